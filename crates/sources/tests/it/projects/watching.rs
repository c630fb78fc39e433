//! What is heard of changes in folders, on the real file system and in real time: each story waits
//! for what it is about, however long that takes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{Clock, Key, Time};
use larder_sources::{Watch, WatchOptions};

use crate::projects::folder::Folder;

pub(crate) struct RealClock;

#[async_trait]
impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "the file system's events come in real time")]
    fn now(&self) -> Time {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Time::from_ms(now.as_millis() as i64)
    }

    #[expect(clippy::disallowed_methods, reason = "the file system's events come in real time")]
    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

pub(crate) struct Watched {
    pub(crate) folder: Folder,
    pub(crate) watch: Watch,
}

pub(crate) const QUICK: Duration = Duration::from_millis(20);

impl Watched {
    /// A watch that has said everything that it says at its beginning.
    pub(crate) async fn over(folder: Folder, options: WatchOptions) -> Watched {
        let mut watch = folder.watch(options, Arc::new(RealClock));
        let first: BTreeSet<Key> = watch.next().await.into_iter().collect();
        let all: BTreeSet<Key> = folder.roots().into_iter().chain(folder.keys()).collect();
        assert_eq!(first, all, "what happened before nobody heard of, so everything is looked at");
        Watched { folder, watch }
    }

    /// Over projects of these names.
    pub(crate) async fn new(names: &[&str]) -> Watched {
        let mut folder = Folder::new();
        for name in names {
            folder.project(name);
        }
        folder.refresh().await;
        Watched::over(folder, WatchOptions { debounce: QUICK, ..WatchOptions::default() }).await
    }

    /// Waits until the key is said to want a look, and answers all that was said until then.
    pub(crate) async fn until(&mut self, key: &Key) -> BTreeSet<Key> {
        let mut said = BTreeSet::new();
        while !said.contains(key) {
            said.extend(self.watch.next().await);
        }
        said
    }

    /// As the engine does: what is said is looked at, until the folder is as the story wants it.
    pub(crate) async fn follow_until(&mut self, is_so: impl Fn(&Folder) -> bool) {
        while !is_so(&self.folder) {
            let keys = self.watch.next().await;
            let known = self.folder.keys();
            if self.folder.roots().iter().any(|root| keys.contains(root)) {
                self.folder.find().await;
            }
            let wanted = |key: &Key| keys.contains(key) || !known.contains(key);
            for key in self.folder.keys().into_iter().filter(wanted).collect::<Vec<Key>>() {
                // One that is gone is dropped with its root's next look.
                let _ = self.folder.fetch(&key).await;
            }
        }
    }

    pub(crate) fn root(&self) -> Key {
        self.folder.roots().remove(0)
    }
}

#[tokio::test]
async fn a_change_concerns_its_project_alone() {
    let mut watched = Watched::new(&["kiln", "cinder"]).await;
    let kiln = watched.folder.key("kiln");
    watched.folder.skill("kiln", "pdf", "Changed");
    assert_eq!(watched.until(&kiln).await, [kiln].into(), "neither the other project nor the root");
}

#[tokio::test]
async fn editors_that_write_beside_and_rename_and_those_that_truncate_are_heard() {
    let mut watched = Watched::new(&["kiln"]).await;
    let kiln = watched.folder.key("kiln");
    let file = watched.folder.path("dev/kiln/.claude/skills/pdf/SKILL.md");
    let beside = watched.folder.path("dev/kiln/.claude/skills/pdf/.SKILL.md.swp");
    fs::write(&beside, "---\ndescription: beside\n---\n").unwrap();
    fs::rename(&beside, &file).unwrap();
    let described = |text: &'static str| {
        move |folder: &Folder| folder.artifact("kiln", "pdf").description.as_deref() == Some(text)
    };
    watched.follow_until(described("beside")).await;
    fs::write(&file, "---\ndescription: truncated\n---\n").unwrap();
    watched.follow_until(described("truncated")).await;
    assert_eq!(watched.folder.keys(), [kiln]);
}

#[tokio::test]
async fn a_storm_is_one_change_and_its_end_is_never_missed() {
    let mut watched = Watched::new(&["kiln"]).await;
    let file = watched.folder.path("dev/kiln/.claude/skills/pdf/SKILL.md");
    for number in 0..500 {
        fs::write(&file, format!("---\ndescription: number {number}\n---\n")).unwrap();
    }
    let mut batches = 0;
    while watched.folder.artifact("kiln", "pdf").description.as_deref() != Some("number 499") {
        let keys = watched.watch.next().await;
        batches += 1;
        watched.folder.fetch(&keys[0]).await.unwrap();
    }
    assert!(batches < 50, "{batches} looks at 500 writes");
}

#[tokio::test]
async fn a_new_project_is_found_and_one_that_goes_is_dropped() {
    let mut watched = Watched::new(&["kiln"]).await;
    watched.folder.project("cinder");
    watched.follow_until(|folder| folder.names() == ["cinder", "kiln"]).await;
    watched.folder.skill("cinder", "pdf", "Heard of in a new folder too");
    watched
        .follow_until(|folder| {
            folder.artifact("cinder", "pdf").description.as_deref() == Some("Heard of in a new folder too")
        })
        .await;
    watched.folder.remove("dev/cinder");
    watched.follow_until(|folder| folder.names() == ["kiln"]).await;
}

#[tokio::test]
async fn a_folder_becomes_a_project_when_it_gets_its_first_artifact() {
    let mut watched = Watched::new(&["kiln"]).await;
    let root = watched.root();
    fs::create_dir_all(watched.folder.path("dev/later/src")).unwrap();
    watched.until(&root).await;
    fs::create_dir_all(watched.folder.path("dev/later/.claude/agents")).unwrap();
    watched.until(&root).await;
    watched.folder.write("dev/later/.claude/agents/a.md", "# a\n");
    watched.follow_until(|folder| folder.names() == ["kiln", "later"]).await;
    watched.folder.remove("dev/later/.claude/agents/a.md");
    watched.follow_until(|folder| folder.names() == ["kiln"]).await;
}

#[tokio::test]
async fn a_renamed_folder_is_watched_by_its_new_name() {
    let mut watched = Watched::new(&["kiln"]).await;
    fs::rename(watched.folder.path("dev/kiln"), watched.folder.path("dev/oven")).unwrap();
    watched.follow_until(|folder| folder.names() == ["oven"]).await;
    watched.folder.skill("oven", "pdf", "Changed since");
    watched
        .follow_until(|folder| folder.artifact("oven", "pdf").description.as_deref() == Some("Changed since"))
        .await;
    let skills = watched.folder.path("dev/oven/.claude/skills");
    fs::rename(skills.join("pdf"), skills.join("docs")).unwrap();
    watched.follow_until(|folder| folder.artifacts("oven")[0].name == "docs").await;
    watched.folder.skill("oven", "docs", "Below a renamed folder");
    watched
        .follow_until(|folder| {
            folder.artifacts("oven")[0].description.as_deref() == Some("Below a renamed folder")
        })
        .await;
}

#[tokio::test]
async fn what_is_no_artifact_wakes_nobody() {
    let mut watched = Watched::new(&["kiln"]).await;
    let kiln = watched.folder.key("kiln");
    watched.folder.write("dev/kiln/notes.txt", "no artifact");
    fs::write(watched.folder.path("dev/kiln/notes.txt"), "still none").unwrap();
    fs::create_dir_all(watched.folder.path("dev/kiln/node_modules/x")).unwrap();
    watched.folder.skill("kiln", "pdf", "Changed");
    assert_eq!(watched.until(&kiln).await, [kiln].into());
}

#[tokio::test]
async fn a_collection_s_lock_concerns_every_project() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.project("cinder");
    folder.write("skillmeat/collections/default/collection.toml", "[collection]\nname = \"default\"\n");
    folder.refresh().await;
    let options = WatchOptions { debounce: QUICK, ..WatchOptions::default() };
    let mut watched = Watched::over(folder, options).await;
    let lock = "skillmeat/collections/default/collection.lock";
    watched.folder.write(lock, "[lock.entries]\n");
    let (kiln, cinder) = (watched.folder.key("kiln"), watched.folder.key("cinder"));
    assert!(watched.until(&kiln).await.contains(&cinder));
}

#[tokio::test]
async fn where_the_system_tells_nothing_it_is_looked_every_so_often() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.refresh().await;
    let options =
        WatchOptions { debounce: QUICK, poll: QUICK * 2, by_events: false, ..WatchOptions::default() };
    let mut watched = Watched::over(folder, options).await;
    watched.folder.project("cinder");
    watched.follow_until(|folder| folder.names() == ["cinder", "kiln"]).await;
    let file = watched.folder.path("dev/kiln/.claude/skills/pdf/SKILL.md");
    fs::write(&file, "---\ndescription: looked at\n---\n").unwrap();
    watched
        .follow_until(|folder| folder.artifact("kiln", "pdf").description.as_deref() == Some("looked at"))
        .await;
}

#[tokio::test]
async fn everything_is_looked_at_once_in_a_while_for_what_was_missed() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.refresh().await;
    let options = WatchOptions { sweep: QUICK, ..WatchOptions::default() };
    let mut watched = Watched::over(folder, options).await;
    let (kiln, root) = (watched.folder.key("kiln"), watched.root());
    assert_eq!(watched.until(&kiln).await, [kiln, root].into(), "though nothing happened");
}

#[tokio::test]
async fn links_are_watched_where_they_lead() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.write("shared/skill/SKILL.md", "---\ndescription: one\n---\n");
    let link = folder.path("dev/kiln/.claude/skills/shared");
    symlink(folder.path("shared/skill"), link).unwrap();
    folder.configure(|config, dir| config.allow_links = vec![dir.join("shared")]);
    folder.refresh().await;
    let options = WatchOptions { debounce: QUICK, ..WatchOptions::default() };
    let mut watched = Watched::over(folder, options).await;
    watched.folder.write("shared/skill/SKILL.md", "---\ndescription: two\n---\n");
    watched
        .follow_until(|folder| folder.artifact("kiln", "shared").description.as_deref() == Some("two"))
        .await;
}

/// A clock beside which a file is written whenever somebody begins to wait for quiet.
struct Disturbed {
    log: PathBuf,
    waits: AtomicUsize,
}

#[async_trait]
impl Clock for Disturbed {
    fn now(&self) -> Time {
        RealClock.now()
    }

    async fn sleep(&self, span: Duration) {
        if span <= QUICK {
            self.waits.fetch_add(1, Ordering::Relaxed);
            fs::write(&self.log, "a line\n").unwrap();
        }
        RealClock.sleep(span).await;
    }
}

#[tokio::test]
async fn what_is_written_beside_all_that_is_looked_at_keeps_no_change_waiting() {
    for log in ["build.log", ".claude/debug.log", ".claude/worktrees/w1/target/build.log"] {
        let mut folder = Folder::new();
        folder.project("kiln");
        folder.refresh().await;
        folder.write(&format!("dev/kiln/{log}"), "");
        let log = folder.path(&format!("dev/kiln/{log}"));
        let clock = Arc::new(Disturbed { log, waits: AtomicUsize::new(0) });
        let options = WatchOptions { debounce: QUICK, ..WatchOptions::default() };
        let mut watch = folder.watch(options, clock.clone());
        watch.next().await;
        folder.skill("kiln", "pdf", "Changed");
        assert_eq!(watch.next().await, [folder.key("kiln")]);
        let waits = clock.waits.load(Ordering::Relaxed);
        // A write is a few events, of which each may come while it is quiet.
        assert!((1..10).contains(&waits), "the quiet began {waits} times");
    }
}

#[tokio::test]
async fn of_a_profile_s_folder_is_watched_what_is_looked_at_and_no_worktree() {
    for link in [false, true] {
        let folder = Folder::new();
        let claude = if link { "shared/claude" } else { "dev/kiln/.claude" };
        folder.write(&format!("{claude}/skills/pdf/SKILL.md"), "# pdf\n");
        if link {
            fs::create_dir_all(folder.path("dev/kiln")).unwrap();
            symlink(folder.path(claude), folder.path("dev/kiln/.claude")).unwrap();
        }
        let mut folder = folder;
        folder.configure(|config, dir| config.allow_links = vec![dir.join("shared")]);
        folder.refresh().await;
        let options = WatchOptions { debounce: QUICK, ..WatchOptions::default() };
        let before = Watched::over(folder, options).await;
        let (folder, watched_before) = (before.folder, before.watch.folders());
        for module in ["a", "b", "c"] {
            folder.write(&format!("{claude}/worktrees/w1/node_modules/{module}/index.js"), "x");
            folder.write(&format!("dev/kiln/.cursor/worktrees/w1/node_modules/{module}/index.js"), "x");
        }
        let mut watched = Watched::over(folder, options).await;
        assert_eq!(watched.watch.folders(), watched_before + 1, "`.cursor` itself, and no worktree");
        let kiln = watched.folder.key("kiln");
        for place in [claude, "dev/kiln/.cursor"] {
            fs::create_dir_all(watched.folder.path(place).join("todos/deep")).unwrap();
            fs::write(watched.folder.path(place).join("settings.json"), "{}").unwrap();
        }
        watched.folder.write(&format!("{claude}/skills/pdf/SKILL.md"), "# changed\n");
        assert_eq!(watched.until(&kiln).await, [kiln.clone()].into());
        assert_eq!(watched.watch.folders(), watched_before + 1, "nor what came");
        for place in [claude, "dev/kiln/.cursor"] {
            let agents = watched.folder.path(place).join("agents");
            fs::rename(watched.folder.path(place).join("todos"), &agents).unwrap();
            watched.until(&kiln).await;
            fs::write(agents.join("deep/a.md"), "# a\n").unwrap();
        }
        watched.follow_until(|folder| folder.artifacts("kiln").len() == 3).await;
    }
}

#[tokio::test]
async fn a_root_below_a_folder_that_is_called_like_a_profile_is_watched_as_any_other() {
    let mut folder = Folder::new();
    folder.configure(|config, home| config.roots = vec![home.join(".cursor/worktrees")]);
    folder.write(".cursor/worktrees/kiln/.claude/skills/pdf/SKILL.md", "# pdf\n");
    folder.refresh().await;
    let mut watched =
        Watched::over(folder, WatchOptions { debounce: QUICK, ..WatchOptions::default() }).await;
    let kiln = watched.folder.key("kiln");
    watched.folder.write(".cursor/worktrees/kiln/.claude/skills/pdf/SKILL.md", "# changed\n");
    assert_eq!(watched.until(&kiln).await, [kiln].into());
    watched.folder.write(".cursor/worktrees/cinder/.claude/skills/pdf/SKILL.md", "# pdf\n");
    watched.follow_until(|folder| folder.names() == ["cinder", "kiln"]).await;
}

/// A clock on which what is waited for longer than anybody would is over at once, but for hours.
pub(crate) struct Hasty;

#[async_trait]
impl Clock for Hasty {
    fn now(&self) -> Time {
        RealClock.now()
    }

    async fn sleep(&self, span: Duration) {
        let is_long = span > Duration::from_secs(1) && span < Duration::from_hours(1);
        RealClock.sleep(if is_long { QUICK } else { span }).await;
    }
}

#[tokio::test]
async fn a_root_that_was_away_is_watched_again_when_it_is_back() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.refresh().await;
    let options = WatchOptions { debounce: QUICK, ..WatchOptions::default() };
    let mut watch = folder.watch(options, Arc::new(Hasty));
    watch.next().await;
    let (root, kiln) = (folder.roots().remove(0), folder.key("kiln"));
    let (here, away) = (folder.path("dev"), folder.path("away"));
    fs::rename(&here, &away).unwrap();
    while watch.folders() > 0 {
        assert!(watch.next().await.contains(&root));
    }
    fs::rename(&away, &here).unwrap();
    let mut watched = Watched { folder, watch };
    assert!(watched.until(&root).await.contains(&kiln), "it may be another by now");
    watched.folder.skill("kiln", "pdf", "Changed");
    assert_eq!(watched.until(&kiln).await, [kiln].into());
}

#[tokio::test]
async fn what_changes_before_its_project_is_known_is_looked_at_when_it_is() {
    let folder = Folder::new();
    folder.project("kiln");
    let mut watched =
        Watched::over(folder, WatchOptions { debounce: QUICK, ..WatchOptions::default() }).await;
    let root = watched.root();
    watched.folder.skill("kiln", "pdf", "Changed");
    assert_eq!(watched.until(&root).await, [root].into(), "it may be a project");
    // Another process had just read it, and this one learns of that.
    watched.folder.find().await;
    let kiln = watched.folder.keys().remove(0);
    assert_eq!(watched.until(&kiln).await, [kiln].into());
}
