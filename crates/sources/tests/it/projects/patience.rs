//! Reading that takes longer than there is time for: what was read is kept, and the next look goes on from there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{Clock, Policy, Time};
use larder_testkit::VirtualClock;

use crate::projects::folder::{Folder, codes};

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
    }
    folder.go_by(&Policy::default(), Reading::by(Duration::from_secs(1)));
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
        assert!(warnings[0].message.contains(&format!("and {} more", SKILLS - read - 1)), "{warnings:?}");
        assert!(folder.is_unfinished("kiln"), "the next look comes at once");
    }
    assert!(folder.warnings("kiln").is_empty());
    assert!(!folder.is_unfinished("kiln"));
}

#[tokio::test]
async fn what_cannot_be_read_in_any_time_there_is_keeps_nothing_else_waiting() {
    let mut folder = Folder::new();
    folder.skill("kiln", "aaa", "Is large");
    folder.write("dev/kiln/.claude/skills/aaa/weights.bin", &"w".repeat(20 << 20));
    folder.skill("kiln", "pdf", "Fills forms");
    folder.skill("wheel", "turn", "Turns");
    // Some hundred pieces in the time there is; the large one has 320.
    folder.go_by(&Policy::default(), Reading::by(Duration::from_millis(150)));
    folder.refresh().await;
    assert!(folder.artifact("kiln", "pdf").content_hash.is_some(), "the large one comes last");
    let large = folder.artifact("kiln", "aaa");
    assert_eq!((large.description.as_deref(), large.content_hash), (Some("Is large"), None));
    assert_eq!(codes(&folder.warnings("kiln")), ["unfinished"]);
    folder.refresh().await;
    let warnings = folder.warnings("kiln");
    assert_eq!(codes(&warnings), ["too_slow"], "it had all the time there was");
    assert!(warnings[0].message.contains("hard_timeout"), "{warnings:?}");
    assert!(!folder.is_unfinished("kiln"), "and is not tried for ever");
    assert!(folder.artifact("wheel", "turn").content_hash.is_some());
    let policy = Policy { hard_timeout: Duration::from_mins(5), ..Policy::default() };
    folder.go_by(&policy, Reading::by(Duration::from_millis(150)));
    folder.refresh().await;
    assert!(folder.artifact("kiln", "aaa").content_hash.is_some());
    assert!(folder.warnings("kiln").is_empty());
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
