//! Reading that takes longer than there is time for: what was read is kept, and the next look goes on from there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{Clock, Key, Policy, Time};
use larder_testkit::VirtualClock;

use crate::projects::folder::{Folder, codes};
use crate::projects::scanning::{content_hash, record};

/// A clock that moves on whenever it is looked at, as it does while files are read.
struct Reading {
    clock: VirtualClock,
    began: Time,
    step: Duration,
    looks: AtomicU32,
}

impl Reading {
    fn by(step: Duration) -> Arc<Self> {
        let clock = VirtualClock::default();
        // Long after the files were written.
        let began = clock.now().plus(Duration::from_hours(24 * 365 * 20));
        Arc::new(Reading { clock, began, step, looks: AtomicU32::new(0) })
    }

    fn looks(&self) -> u32 {
        self.looks.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Clock for Reading {
    fn now(&self) -> Time {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        self.began.plus(self.step * looks)
    }

    async fn sleep(&self, span: Duration) {
        self.clock.sleep(span).await;
    }
}

#[tokio::test]
async fn a_project_that_takes_longer_to_read_than_there_is_time_for_is_read_bit_by_bit() {
    const SKILLS: usize = 40;
    let mut folder = Folder::new();
    for number in 0..SKILLS {
        folder.skill("kiln", &format!("skill{number:02}"), "Fills forms");
        folder.write(&format!("dev/kiln/.claude/skills/skill{number:02}/words.txt"), &"w".repeat(2 << 20));
    }
    // Each takes somewhat more than a second.
    folder.go_by(&Policy::default(), Reading::by(Duration::from_millis(40)));
    let mut read = 0;
    for look in 0.. {
        let outcomes = folder.refresh().await;
        let artifacts = folder.artifacts("kiln");
        let described =
            artifacts.iter().filter(|one| one.description.as_deref() == Some("Fills forms")).count();
        assert_eq!(described, SKILLS, "what each says of itself is known from the first look on");
        let known = artifacts.iter().filter(|one| one.content_hash.is_some()).count();
        assert!(known > read, "look {look} brought nothing: {outcomes:?}");
        read = known;
        if read == SKILLS {
            assert!(look > 1, "it took but {look} looks");
            break;
        }
        let warnings = folder.warnings("kiln");
        assert_eq!(codes(&warnings), ["unfinished"]);
        let others = SKILLS - read - 1;
        let said = if others == 0 { String::new() } else { format!("and {others} more") };
        assert!(warnings[0].message.contains(&said), "{warnings:?}");
        assert!(folder.is_unfinished("kiln"), "the next look comes at once");
    }
    assert!(folder.warnings("kiln").is_empty());
    assert!(!folder.is_unfinished("kiln"));
}

#[tokio::test]
async fn what_cannot_be_read_in_any_time_there_is_keeps_nothing_else_waiting() {
    let mut folder = with_a_large_one();
    folder.skill("wheel", "turn", "Turns");
    folder.go_by(&Policy::default(), quick());
    refresh_until_finished(&mut folder).await;
    assert!(folder.artifact("kiln", "pdf").content_hash.is_some(), "the large one comes last");
    assert!(folder.artifact("wheel", "turn").content_hash.is_some());
    let large = folder.artifact("kiln", "aaa");
    assert_eq!((large.description.as_deref(), large.content_hash), (Some("Is large"), None));
    let warnings = folder.warnings("kiln");
    assert_eq!(codes(&warnings), ["too_slow"], "it had all the time there was");
    assert!(warnings[0].message.contains("hard_timeout"), "{warnings:?}");
    let policy = Policy { hard_timeout: Duration::from_mins(5), ..Policy::default() };
    folder.go_by(&policy, quick());
    refresh_until_finished(&mut folder).await;
    assert!(folder.artifact("kiln", "aaa").content_hash.is_some(), "with more time it is tried again");
    assert!(folder.warnings("kiln").is_empty());
}

#[tokio::test]
async fn what_was_too_slow_to_read_is_not_read_again_as_long_as_it_is_what_it_was() {
    let mut folder = with_a_large_one();
    folder.go_by(&Policy::default(), quick());
    refresh_until_finished(&mut folder).await;
    for text in ["fills", "reads", "prints"] {
        folder.skill("kiln", "pdf", text);
        let clock = quick();
        folder.go_by(&Policy::default(), clock.clone());
        folder.refresh().await;
        assert_eq!(folder.artifact("kiln", "pdf").description.as_deref(), Some(text));
        assert_eq!(codes(&folder.warnings("kiln")), ["too_slow"]);
        assert!(!folder.is_unfinished("kiln"), "nothing is left to go on with");
        assert!(clock.looks() < 20, "{} pieces were read", clock.looks());
    }
    folder.write("dev/kiln/.claude/skills/aaa/weights.bin", "small now");
    folder.refresh().await;
    assert!(folder.artifact("kiln", "aaa").content_hash.is_some());
    assert!(folder.warnings("kiln").is_empty());
}

#[tokio::test]
async fn what_is_written_all_the_time_keeps_nothing_waiting_that_was_left_before_it() {
    let mut folder = Folder::new();
    let skill = |number: usize| format!("skill{number:02}");
    for number in 0..40 {
        folder.skill("kiln", &skill(number), "Fills forms");
    }
    folder.go_by(&Policy::default(), Reading::by(Duration::from_millis(250)));
    let mut looks = 0;
    loop {
        folder.refresh().await;
        looks += 1;
        let known = folder.artifacts("kiln").iter().filter(|one| one.content_hash.is_some()).count();
        if known == 40 {
            break;
        }
        assert!(looks < 20, "{known} are known after {looks} looks");
        for number in 0..10 {
            folder.skill("kiln", &skill(number), &format!("Is at its look {looks}"));
        }
    }
}

#[tokio::test]
async fn a_root_with_more_folders_than_there_is_time_for_says_so_and_drops_nothing() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.refresh().await;
    for number in 0..60 {
        folder.write(&format!("dev/empty{number}/README"), "nothing");
    }
    folder.project("wheel");
    folder.go_by(&Policy::default(), Reading::by(Duration::from_secs(1)));
    folder.find().await;
    assert!(folder.names().contains(&"kiln".to_owned()), "what was found before is not gone");
    let warnings = folder.root_warnings();
    assert_eq!(codes(&warnings), ["too_slow"]);
    assert!(warnings[0].message.contains("within 20 s"), "{warnings:?}");
    folder.go_by(&Policy::default(), Reading::by(Duration::from_millis(1)));
    folder.find().await;
    assert!(folder.root_warnings().is_empty());
    assert_eq!(folder.keys().len(), 2);
}

#[tokio::test]
async fn a_root_that_time_did_not_last_for_lists_what_was_found_in_it() {
    let mut folder = Folder::new();
    for number in 0..60 {
        folder.project(&format!("kiln{number}"));
    }
    folder.go_by(&Policy::default(), Reading::by(Duration::from_secs(1)));
    folder.find().await;
    let found = folder.keys().len();
    assert!((5..60).contains(&found), "{found} were found");
}

#[tokio::test]
async fn a_slow_root_takes_no_time_from_the_others() {
    let mut folder = Folder::new();
    for number in 0..60 {
        folder.write(&format!("dev/empty{number}/README"), "nothing");
    }
    folder.write("more/kiln/.claude/skills/pdf/SKILL.md", "# pdf\n");
    folder.write("most/wheel/.claude/skills/pdf/SKILL.md", "# pdf\n");
    folder.configure(|config, real| config.roots.extend([real.join("more"), real.join("most")]));
    // Two of them use up all there is.
    for number in 0..60 {
        folder.write(&format!("more/empty{number}/README"), "nothing");
    }
    folder.go_by(&Policy::default(), Reading::by(Duration::from_secs(1)));
    let [dev, more, most] = folder.roots().try_into().unwrap();
    folder.find_all_at_once().await;
    let codes_of = |folder: &Folder, root: &Key| {
        let entry = &folder.held[root].entry;
        (entry.warnings.iter().map(|warning| warning.code.clone()).collect::<Vec<_>>(), entry.pending.len())
    };
    assert_eq!(codes_of(&folder, &dev), (vec!["too_slow".to_owned()], 0), "it had its share");
    assert_eq!(codes_of(&folder, &more), (vec!["too_slow".to_owned()], 0), "and so had this one");
    let (_, pending) = codes_of(&folder, &most);
    assert_eq!(pending, 1, "its turn comes at once");
    folder.fetch(&most).await.unwrap();
    assert_eq!(codes_of(&folder, &most), (Vec::new(), 0));
}

#[tokio::test]
async fn projects_that_are_slow_to_read_keep_others_of_their_batch_waiting_but_not_for_good() {
    let mut folder = Folder::new();
    for number in 0..6 {
        folder.skill(&format!("big{number}"), "aaa", "Is large");
        let weights = format!("dev/big{number}/.claude/skills/aaa/weights.bin");
        folder.write(&weights, &"w".repeat(20 << 20));
        folder.skill(&format!("tiny{number}"), "pdf", "Fills forms");
    }
    folder.go_by(&Policy::default(), quick());
    folder.find().await;
    let mut left = folder.keys();
    for rounds in 0.. {
        assert!(rounds < 40, "there is no end to it: {left:?}");
        folder.fetch_all_at_once(&left).await;
        left.retain(|key| !folder.held[key].entry.pending.is_empty());
        if left.is_empty() {
            break;
        }
    }
    for number in 0..6 {
        assert!(folder.artifact(&format!("tiny{number}"), "pdf").content_hash.is_some());
        assert_eq!(codes(&folder.warnings(&format!("big{number}"))), ["too_slow"]);
    }
}

#[tokio::test]
async fn what_was_too_slow_at_a_bad_moment_is_read_by_hand() {
    let mut folder = with_a_large_one();
    folder.go_by(&Policy::default(), quick());
    refresh_until_finished(&mut folder).await;
    assert_eq!(codes(&folder.warnings("kiln")), ["too_slow"]);
    folder.go_by(&Policy::default(), Reading::by(Duration::from_millis(1)));
    folder.refresh().await;
    assert_eq!(codes(&folder.warnings("kiln")), ["too_slow"], "not by itself");
    folder.is_by_hand = true;
    folder.refresh().await;
    assert!(folder.artifact("kiln", "aaa").content_hash.is_some());
    assert!(folder.warnings("kiln").is_empty());
}

#[tokio::test]
async fn nothing_is_said_of_what_is_there_as_long_as_it_is_not_read() {
    let mut folder = with_a_large_one();
    folder.refresh().await;
    let hash = folder.artifact("kiln", "aaa").content_hash.unwrap();
    let deployed = |hash: &str| record("aaa", "skill", "skills/aaa", &content_hash(&format!("{hash:0<64}")));
    folder.write("dev/kiln/.claude/.skillmeat-deployed.toml", &deployed(&hash));
    folder.refresh().await;
    assert!(!folder.artifact("kiln", "aaa").modified, "it is what was deployed");
    // Another version comes, with its record.
    folder.write("dev/kiln/.claude/skills/aaa/weights.bin", &"W".repeat(20 << 20));
    folder.write("dev/kiln/.claude/.skillmeat-deployed.toml", &deployed(&"ab".repeat(8)));
    folder.go_by(&Policy::default(), quick());
    folder.refresh().await;
    assert!(folder.is_unfinished("kiln"));
    assert!(!folder.artifact("kiln", "aaa").modified, "whether it is nobody knows");
    folder.go_by(&Policy::default(), Reading::by(Duration::from_millis(1)));
    folder.refresh().await;
    assert!(folder.artifact("kiln", "aaa").modified, "it is something else");
}

fn with_a_large_one() -> Folder {
    let folder = Folder::new();
    folder.skill("kiln", "aaa", "Is large");
    folder.write("dev/kiln/.claude/skills/aaa/weights.bin", &"w".repeat(20 << 20));
    folder.skill("kiln", "pdf", "Fills forms");
    folder
}

/// Some hundred pieces in the time there is; the large one has 320.
fn quick() -> Arc<Reading> {
    Reading::by(Duration::from_millis(150))
}

/// Looks as often as there is more to find out.
async fn refresh_until_finished(folder: &mut Folder) {
    for _ in 0..5 {
        folder.refresh().await;
        if !folder.is_unfinished("kiln") {
            return;
        }
    }
    panic!("there is no end to it: {:?}", folder.warnings("kiln"));
}

#[tokio::test]
async fn what_there_is_no_time_to_look_at_is_known_by_its_name_and_not_tried_for_ever() {
    let mut folder = Folder::new();
    for number in 0..80 {
        folder.skill("kiln", &format!("skill{number:02}"), "Fills forms");
    }
    folder.go_by(&Policy::default(), Reading::by(Duration::from_millis(500)));
    refresh_until_finished(&mut folder).await;
    assert_eq!(folder.artifacts("kiln").len(), 80, "what is there is told");
    let warnings = folder.warnings("kiln");
    assert_eq!(codes(&warnings), ["too_slow"]);
    assert!(warnings[0].message.contains("and 79 more cannot be looked at within 20 s"), "{warnings:?}");
    folder.go_by(&Policy::default(), Reading::by(Duration::from_millis(1)));
    folder.refresh().await;
    assert!(folder.artifacts("kiln").iter().all(|one| one.content_hash.is_some()));
    assert!(folder.warnings("kiln").is_empty());
}
