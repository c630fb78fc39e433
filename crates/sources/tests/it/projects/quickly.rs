//! What did not change is told by one question a name, with no folder listed; and nothing that did
//! change gets past it.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use larder_core::{Key, Outcome, Time};
use larder_testkit::VirtualClock;

use crate::projects::folder::{Folder, codes};
use crate::projects::opened::Opened;

const RECORDS: &str = "dev/kiln/.claude/.skillmeat-deployed.toml";

/// The machine's time, and a while on: everything that is on disk now is old by then.
#[expect(clippy::disallowed_methods, reason = "files carry the machine's own time")]
fn later() -> VirtualClock {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_mins(1);
    VirtualClock::at(Time::from_ms(now.as_millis() as i64))
}

/// When a file or folder was last changed, by its own file system.
fn changed(path: &Path) -> Time {
    let about = fs::symlink_metadata(path).unwrap();
    Time::from_ms(about.ctime() * 1_000 + about.ctime_nsec() / 1_000_000)
}

/// A project that was looked at when all of it was old, and its key.
async fn kiln() -> (Folder, Key) {
    let mut folder = Folder::new();
    folder.skill("kiln", "pdf", "Fills forms");
    folder.write("dev/kiln/.claude/skills/pdf/references/guide.md", "first");
    folder.write("dev/kiln/.claude/agents/team/writer.md", "---\ndescription: writes\n---\n");
    folder.write("dev/kiln/.claude/commands/go.md", "---\ndescription: goes\n---\n");
    fs::create_dir(folder.path("dev/kiln/.claude/skills/empty")).unwrap();
    folder.write(
        RECORDS,
        "[[deployed]]\nartifact_name = \"tool\"\nartifact_type = \"command\"\nartifact_path = \"custom/tool.md\"\n",
    );
    folder.compare_with(&later());
    folder.refresh().await;
    let key = folder.key("kiln");
    (folder, key)
}

/// Looks once more: what came of it, and whether any folder was listed.
async fn look(folder: &mut Folder, key: &Key) -> (Outcome, bool) {
    let opened = Opened::below([folder.path("dev/kiln/.claude").as_path()]);
    let outcome = folder.fetch(key).await.unwrap();
    (outcome, !opened.account().folders.is_empty())
}

fn names(folder: &Folder) -> Vec<String> {
    folder.artifacts("kiln").into_iter().map(|artifact| artifact.name).collect()
}

#[tokio::test]
async fn a_project_that_did_not_change_is_told_without_listing_a_folder() {
    let (mut folder, key) = kiln().await;
    assert_eq!(names(&folder), ["writer", "go", "tool", "pdf"]);
    for _ in 0..3 {
        assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, false));
    }
}

#[tokio::test]
async fn a_file_that_is_changed_in_its_place_is_seen_whatever_its_times_are_set_to() {
    let (mut folder, key) = kiln().await;
    let skills = folder.path("dev/kiln/.claude/skills/pdf");
    let before = fs::metadata(&skills).unwrap().mtime_nsec();
    // As long as before, and its time set to what it was.
    folder.skill("kiln", "pdf", "Kills forms");
    assert_eq!(fs::metadata(&skills).unwrap().mtime_nsec(), before, "its folder knows nothing of it");
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated);
    assert_eq!(folder.artifact("kiln", "pdf").description.as_deref(), Some("Kills forms"));
    folder.write("dev/kiln/.claude/skills/pdf/references/guide.md", "other");
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated, "in a folder of a skill too");
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, false));
}

#[tokio::test]
async fn whatever_comes_goes_or_is_called_another_name_is_seen() {
    let (mut folder, key) = kiln().await;
    let claude = folder.path("dev/kiln/.claude");
    let agent = "---\ndescription: new\n---\n";
    folder.write("dev/kiln/.claude/agents/team/new.md", agent);
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated);
    assert_eq!(names(&folder), ["new", "writer", "go", "tool", "pdf"]);
    folder.remove("dev/kiln/.claude/agents/team/new.md");
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated);
    fs::rename(claude.join("commands/go.md"), claude.join("commands/went.md")).unwrap();
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated);
    assert_eq!(names(&folder), ["writer", "went", "tool", "pdf"]);
    let hash = folder.artifact("kiln", "pdf").content_hash;
    folder.write("dev/kiln/.claude/skills/pdf/scripts/run.py", "print()");
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated);
    assert_ne!(folder.artifact("kiln", "pdf").content_hash, hash);
    folder.write("dev/kiln/.claude/skills/empty/SKILL.md", "# it is a skill now\n");
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated);
    assert_eq!(names(&folder), ["writer", "went", "tool", "empty", "pdf"]);
    folder.write("dev/kiln/.claude/hooks/lint.json", "{}");
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated, "a folder of a type that there was not");
    folder.write("dev/kiln/.codex/agents/other.md", agent);
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated, "a tool that was not used");
    assert_eq!(names(&folder).len(), 7);
    folder.write("dev/kiln/.claude/.skillmeat-project.toml", "[project]\npath = \"/x\"\nname = \"kiln\"\n");
    assert!(look(&mut folder, &key).await.1, "what says something of the project came");
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, false));
}

#[tokio::test]
async fn what_was_missing_is_seen_when_it_is_back_where_nobody_looks() {
    let (mut folder, key) = kiln().await;
    fs::create_dir(folder.path("dev/kiln/.claude/custom")).unwrap();
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, true));
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, false));
    assert!(folder.artifact("kiln", "tool").missing);
    // No folder that was listed knows of this one.
    folder.write("dev/kiln/.claude/custom/tool.md", "---\ndescription: back\n---\n");
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated);
    assert_eq!(folder.artifact("kiln", "tool").description.as_deref(), Some("back"));
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, false));
    folder.write("dev/kiln/.claude/custom/tool.md", "---\ndescription: more\n---\n");
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated);
}

#[tokio::test]
async fn a_folder_in_another_s_place_is_seen_whatever_its_times_are_set_to() {
    let (mut folder, key) = kiln().await;
    let team = folder.path("dev/kiln/.claude/agents/team");
    let about = fs::metadata(&team).unwrap();
    fs::rename(&team, folder.path("dev/kiln/team")).unwrap();
    folder.write("dev/kiln/.claude/agents/team/writer.md", "---\ndescription: another\n---\n");
    fs::File::open(&team).unwrap().set_modified(about.modified().unwrap()).unwrap();
    let agents = folder.path("dev/kiln/.claude/agents");
    fs::File::open(&agents).unwrap().set_modified(about.modified().unwrap()).unwrap();
    assert_eq!(fs::metadata(&team).unwrap().mtime_nsec(), about.mtime_nsec());
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated);
    assert_eq!(folder.artifact("kiln", "writer").description.as_deref(), Some("another"));
    // And one whose own name is a link now, to the very folder that it was.
    fs::rename(folder.path("dev/kiln/.claude/skills"), folder.path("outside")).unwrap();
    symlink(folder.path("outside"), folder.path("dev/kiln/.claude/skills")).unwrap();
    look(&mut folder, &key).await;
    assert_eq!(codes(&folder.warnings("kiln")), ["link_outside"]);
}

#[tokio::test]
async fn a_file_in_the_place_of_a_profile_costs_no_full_look() {
    let mut folder = Folder::new();
    folder.project("kiln");
    let missing = "[[deployed]]\nartifact_name = \"a\"\nartifact_type = \"agent\"\nplatform = \"codex\"\n";
    folder.write(RECORDS, missing);
    fs::write(folder.path("dev/kiln/.codex"), "").unwrap();
    folder.compare_with(&later());
    folder.refresh().await;
    assert!(folder.artifact("kiln", "a").missing);
    let key = folder.key("kiln");
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, false));
    folder.remove("dev/kiln/.codex");
    folder.write("dev/kiln/.codex/agents/a.md", "# a\n");
    assert_eq!(look(&mut folder, &key).await.0, Outcome::Updated);
    assert!(!folder.artifact("kiln", "a").missing);
}

#[tokio::test]
async fn a_look_within_a_tick_of_a_change_proves_nothing() {
    let (mut folder, key) = kiln().await;
    let commands = folder.path("dev/kiln/.claude/commands");
    folder.write("dev/kiln/.claude/commands/late.md", "---\ndescription: late\n---\n");
    let clock = VirtualClock::at(changed(&commands).plus(Duration::from_millis(10)));
    folder.compare_with(&clock);
    assert_eq!(look(&mut folder, &key).await, (Outcome::Updated, true));
    // For all that its folder's times may tell, one more may have come in that tick.
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, true));
    fs::remove_file(commands.join("late.md")).unwrap();
    assert_eq!(look(&mut folder, &key).await, (Outcome::Updated, true));
    assert_eq!(names(&folder), ["writer", "go", "tool", "pdf"]);
    clock.set(changed(&commands).plus(Duration::from_secs(5)));
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, true), "old enough from here on");
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, false));
}

#[tokio::test]
async fn by_a_clock_that_was_set_back_every_folder_is_listed() {
    let (mut folder, key) = kiln().await;
    let skill = "dev/kiln/.claude/skills/more/SKILL.md";
    let clock = VirtualClock::at(changed(&folder.path("dev/kiln")).minus(Duration::from_hours(1)));
    folder.compare_with(&clock);
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, false), "that was proven before");
    folder.write(skill, "# more\n");
    assert_eq!(look(&mut folder, &key).await, (Outcome::Updated, true));
    for _ in 0..3 {
        assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, true));
    }
    folder.remove("dev/kiln/.claude/skills/more");
    assert_eq!(look(&mut folder, &key).await, (Outcome::Updated, true));
}

#[tokio::test]
async fn a_project_with_a_link_in_it_gets_the_full_look_each_time() {
    let (mut folder, key) = kiln().await;
    folder.write("dev/shared/tool/SKILL.md", "---\ndescription: one\n---\n");
    symlink(folder.path("dev/shared/tool"), folder.path("dev/kiln/.claude/skills/shared")).unwrap();
    assert_eq!(look(&mut folder, &key).await, (Outcome::Updated, true));
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, true));
    folder.write("dev/shared/tool/SKILL.md", "---\ndescription: two\n---\n");
    assert_eq!(look(&mut folder, &key).await, (Outcome::Updated, true), "what it leads to has changed");
    assert_eq!(folder.artifact("kiln", "shared").description.as_deref(), Some("two"));
}

#[tokio::test]
async fn a_project_that_is_warned_of_is_looked_at_and_warned_of_each_time() {
    let (mut folder, key) = kiln().await;
    symlink("gone", folder.path("dev/kiln/.claude/skills/pdf/dangling")).unwrap();
    for outcome in [Outcome::Updated, Outcome::NotModified, Outcome::NotModified] {
        assert_eq!(look(&mut folder, &key).await, (outcome, true));
        assert_eq!(codes(&folder.warnings("kiln")), ["link_broken"]);
    }
    folder.remove("dev/kiln/.claude/skills/pdf/dangling");
    assert_eq!(look(&mut folder, &key).await, (Outcome::Updated, true));
    assert!(folder.warnings("kiln").is_empty());
    // What a file says of itself is no reason to look at it again.
    folder.write("dev/kiln/.claude/agents/odd.md", "---\ndescription: [unclosed\nname: odd\n---\n");
    assert_eq!(look(&mut folder, &key).await, (Outcome::Updated, true));
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, false));
    assert_eq!(codes(&folder.warnings("kiln")), ["malformed"]);
}

#[tokio::test]
async fn a_collection_that_changed_asks_for_a_full_look() {
    let (mut folder, key) = kiln().await;
    folder.write("skillmeat/collection/manifest.toml", "[collection]\nname = \"default\"\n");
    assert!(look(&mut folder, &key).await.1);
    assert_eq!(look(&mut folder, &key).await, (Outcome::NotModified, false));
}

#[tokio::test]
async fn collections_are_read_when_something_is_another_than_before_and_not_for_nothing() {
    let (mut folder, key) = kiln().await;
    folder.write("skillmeat/collection/manifest.toml", "[collection]\nname = \"default\"\n");
    folder.write("skillmeat/collection/lockfile.toml", "[lock.entries.\"pdf::skill\"]\ncontent_");
    folder.refresh().await;
    for _ in 0..2 {
        assert_eq!(codes(&folder.root_warnings()), ["malformed"], "for as long as it is so");
        folder.compare_with(&later());
        folder.refresh().await;
    }
    folder.write("skillmeat/collection/lockfile.toml", "");
    folder.refresh().await;
    assert!(folder.root_warnings().is_empty());
    // As another process would, that has read nothing yet.
    folder.compare_with(&later());
    let shelf = folder.path("skillmeat/collection");
    let opened = Opened::below([shelf.as_path()]);
    folder.refresh().await;
    assert!(opened.account().files.is_empty());
    let opened = Opened::below([shelf.as_path()]);
    folder.write("dev/kiln/.claude/commands/new.md", "# new\n");
    assert_eq!(folder.fetch(&key).await.unwrap(), Outcome::Updated);
    assert_eq!(opened.account().files.len(), 2, "now somebody wants to know");
}
