//! A folder of projects in a test's hand, and what a store would hold of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use larder_core::{
    Answers, Ask, Attempt, Clock, Entry, FetchError, Fetched, Fingerprint, Item, Key, Member, NewItem,
    Outcome, Policy, Priority, Source, Stored, Time, Trigger, Validators, Warning, absorb,
};
use larder_domain::{ARTIFACT, Artifact, LocalProject, PROJECT};
use larder_sources::{ProjectsConfig, ProjectsSource, Watch, WatchOptions};
use larder_testkit::VirtualClock;
use tempfile::TempDir;

/// When everything is fetched.
const NOW: Time = Time::from_ms(1_000);

pub(crate) struct Folder {
    dir: TempDir,
    pub(crate) config: ProjectsConfig,
    source: ProjectsSource,
    pub(crate) held: BTreeMap<Key, Stored>,
    /// What the last refresh wrote: kinds, and the names of artifacts.
    pub(crate) upserts: Vec<String>,
    /// Whether a person wants what is fetched.
    pub(crate) is_by_hand: bool,
}

impl Folder {
    /// With one root, `dev`, and a place for collections.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        fs::create_dir(real.join("dev")).unwrap();
        let config = ProjectsConfig {
            roots: vec![real.join("dev")],
            collections: vec![real.join("skillmeat/collections"), real.join("skillmeat/collection")],
            ..ProjectsConfig::default()
        };
        let (held, upserts) = (BTreeMap::new(), Vec::new());
        Folder { source: source(&config), config, dir, held, upserts, is_by_hand: false }
    }

    /// Edits the configuration.
    pub(crate) fn configure(&mut self, edit: impl FnOnce(&mut ProjectsConfig, &Path)) {
        let real = self.path("");
        edit(&mut self.config, &real);
        self.source = source(&self.config);
        for (key, stored) in &self.held {
            self.source.learn(key, stored.entry.body.as_ref());
        }
    }

    /// Compares the times of files with that clock's from now on.
    pub(crate) fn compare_with(&mut self, clock: &VirtualClock) {
        self.go_by(&Policy::default(), Arc::new(clock.clone()));
    }

    /// And goes by that policy.
    pub(crate) fn go_by(&mut self, policy: &Policy, clock: Arc<dyn Clock>) {
        self.source = ProjectsSource::with_clock(&self.config, policy, || TimeZone::UTC, clock).unwrap();
        for (key, stored) in &self.held {
            self.source.learn(key, stored.entry.body.as_ref());
        }
    }

    /// Takes times without an offset for that zone's from now on.
    pub(crate) fn mean(&mut self, zone: fn() -> TimeZone) {
        self.source = ProjectsSource::new(&self.config, &Policy::default(), zone).unwrap();
        for (key, stored) in &self.held {
            self.source.learn(key, stored.entry.body.as_ref());
        }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    /// Writes a file long ago, so that its times prove that it was not written since.
    pub(crate) fn write(&self, path: &str, text: &str) {
        write_bytes(&self.path(path), text.as_bytes());
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }

    /// A project with one skill.
    pub(crate) fn project(&self, name: &str) {
        self.skill(name, "pdf", "Fills forms");
    }

    pub(crate) fn skill(&self, project: &str, name: &str, description: &str) {
        let text = format!("---\nname: {name}\ndescription: {description}\n---\n# {name}\n");
        self.write(&format!("dev/{project}/.claude/skills/{name}/SKILL.md"), &text);
    }

    /// Finds the projects, and looks at all of them.
    pub(crate) async fn refresh(&mut self) -> BTreeMap<Key, Outcome> {
        let mut outcomes = self.find().await;
        self.upserts.clear();
        for key in self.source.keys() {
            outcomes.insert(key.clone(), self.fetch(&key).await.unwrap());
        }
        outcomes
    }

    /// Finds the projects.
    pub(crate) async fn find(&mut self) -> BTreeMap<Key, Outcome> {
        let mut outcomes = BTreeMap::new();
        for key in self.source.indexes() {
            if let Ok(outcome) = self.fetch(&key).await {
                outcomes.insert(key.clone(), outcome);
            }
            let learned =
                self.source.learn(&key, self.held.get(&key).and_then(|held| held.entry.body.as_ref()));
            for gone in learned.gone {
                self.held.remove(&gone);
            }
        }
        outcomes
    }

    /// Finds the projects, all roots in one batch.
    pub(crate) async fn find_all_at_once(&mut self) {
        self.fetch_all_at_once(&self.source.indexes()).await;
    }

    /// Fetches these, all in one batch.
    pub(crate) async fn fetch_all_at_once(&mut self, keys: &[Key]) {
        let asks: Vec<Ask> = keys.iter().map(|key| self.ask(key).0).collect();
        let answered = Arc::new(Mutex::new(Vec::new()));
        let told = answered.clone();
        let answers = Answers::new(move |key, result, _| told.lock().unwrap().push((key.clone(), result)));
        self.source.fetch_many(&asks, &answers).await;
        let answered = std::mem::take(&mut *answered.lock().unwrap());
        for (key, result) in answered {
            let before = self.ask(&key).1;
            self.take(&key, before, result).unwrap();
            self.source.learn(&key, self.held[&key].entry.body.as_ref());
        }
    }

    /// One refresh of one entry, as the engine does it.
    pub(crate) async fn fetch(&mut self, key: &Key) -> Result<Outcome, FetchError> {
        let (ask, before) = self.ask(key);
        let result = self.source.fetch(&ask).await;
        self.take(key, before, result)
    }

    /// What is asked of an entry, and what was held before.
    fn ask(&self, key: &Key) -> (Ask, Stored) {
        let definition = self.source.define(key).unwrap();
        let before = self.held.get(key).cloned().unwrap_or_else(|| Stored {
            entry: Entry::empty(key.clone(), Time::from_ms(0)),
            members: Vec::new(),
        });
        let comparable = before.entry.has_data() && !before.entry.is_edited(&definition);
        let ask = Ask {
            key: key.clone(),
            definition,
            subset: None,
            validators: Validators::default(),
            cursor: before.entry.cursor.clone().filter(|_| comparable),
            body: before.entry.body.clone(),
            held: before.members.clone().into(),
            trigger: if self.is_by_hand { Trigger::Manual } else { Trigger::Watch },
            priority: Priority::Schedule,
            deadline: Time::MAX,
        };
        (ask, before)
    }

    /// What becomes of an answer.
    fn take(
        &mut self,
        key: &Key,
        before: Stored,
        result: Result<Fetched, FetchError>,
    ) -> Result<Outcome, FetchError> {
        let definition = self.source.define(key).unwrap();
        let error = result.as_ref().err().cloned();
        if let Ok(Fetched::Delta(delta)) = &result {
            assert!(delta.upserts.iter().all(|item| !item.scope.is_public()), "folders are their owner's");
            self.upserts.extend(delta.upserts.iter().map(written));
        }
        let now = NOW;
        let attempt =
            Attempt { before: &before, definition: &definition, subset: false, result, now, chance: 0.0 };
        let write = absorb(attempt);
        let outcome = write.outcome;
        self.held.insert(key.clone(), apply(before, write));
        error.map_or(Ok(outcome), Err)
    }

    /// Forgets what is held of an entry, as a clear does.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.held.remove(key);
        self.source.learn(key, None);
    }

    /// What decides about an entry.
    pub(crate) fn definition(&self, key: &Key) -> Fingerprint {
        self.source.define(key).unwrap().fingerprint.clone()
    }

    /// Watches it.
    pub(crate) fn watch(&self, options: WatchOptions, clock: Arc<dyn Clock>) -> Watch {
        self.source.watch(options, clock)
    }

    /// The keys of the roots.
    pub(crate) fn roots(&self) -> Vec<Key> {
        self.source.indexes()
    }

    /// The keys of the projects that are known.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.source.keys()
    }

    /// The names of the projects that are known, by path.
    pub(crate) fn names(&self) -> Vec<String> {
        self.projects().into_iter().map(|project| project.relative_path).collect()
    }

    pub(crate) fn projects(&self) -> Vec<LocalProject> {
        let all = self.keys().into_iter().filter_map(|key| {
            let stored = self.held.get(&key)?;
            let member = stored.members.iter().find(|member| &*member.item.of.kind == PROJECT)?;
            Some(member.item.doc.decode().unwrap())
        });
        all.collect()
    }

    /// The key of the project of that name.
    pub(crate) fn key(&self, name: &str) -> Key {
        let project = self.projects().into_iter().find(|project| project.name == name);
        ProjectsSource::key(&project.unwrap_or_else(|| panic!("no project {name}")).id).unwrap()
    }

    pub(crate) fn artifacts(&self, project: &str) -> Vec<Artifact> {
        let stored = &self.held[&self.key(project)];
        let members = stored.members.iter().filter(|member| &*member.item.of.kind == ARTIFACT);
        let mut all: Vec<Artifact> = members.map(|member| member.item.doc.decode().unwrap()).collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    pub(crate) fn artifact(&self, project: &str, name: &str) -> Artifact {
        let found = self.artifacts(project).into_iter().find(|artifact| artifact.name == name);
        found.unwrap_or_else(|| panic!("no artifact {name}: {:?}", self.artifacts(project)))
    }

    pub(crate) fn warnings(&self, project: &str) -> Vec<Warning> {
        self.held[&self.key(project)].entry.warnings.clone()
    }

    /// Whether the next look is to come at once, since there is more to find out.
    pub(crate) fn is_unfinished(&self, project: &str) -> bool {
        let entry = &self.held[&self.key(project)].entry;
        !entry.pending.is_empty() && entry.due_at <= NOW
    }

    /// The warnings of the first root.
    pub(crate) fn root_warnings(&self) -> Vec<Warning> {
        self.held[&self.source.indexes()[0]].entry.warnings.clone()
    }
}

/// The kind of an item, and of an artifact its name.
fn written(item: &NewItem) -> String {
    let artifact = (&*item.of.kind == ARTIFACT).then(|| item.doc.decode::<Artifact>().unwrap().name);
    artifact.map_or_else(|| item.of.kind.to_string(), |name| format!("{} {name}", item.of.kind))
}

pub(crate) fn codes(warnings: &[Warning]) -> Vec<&str> {
    warnings.iter().map(|warning| warning.code.as_str()).collect()
}

/// Has a story told by a process that may not read everything, if this one may: root is shown
/// whatever is forbidden. `true` = it was told.
pub(crate) fn told_by_nobody(story: &str) -> bool {
    use std::os::unix::process::CommandExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("forbidden");
    fs::write(&file, "x").unwrap();
    chmod(&file, 0o000);
    if fs::read(&file).is_err() {
        return false;
    }
    // Where the tests were built may be out of nobody's reach.
    let exe = dir.path().join("it");
    fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    chmod(&exe, 0o755);
    chmod(dir.path(), 0o755);
    let mut nobody = std::process::Command::new(&exe);
    let told = nobody.args(["--exact", story]).current_dir("/").uid(65534).gid(65534).output().unwrap();
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success() && said.contains("1 passed"), "{said}");
    true
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn source(config: &ProjectsConfig) -> ProjectsSource {
    ProjectsSource::new(config, &Policy::default(), || TimeZone::UTC).unwrap()
}

/// Writes a file long ago, whatever bytes its name has.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(long_ago()).unwrap();
}

fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)
}

/// What a store makes of a write.
fn apply(before: Stored, write: larder_core::Write) -> Stored {
    let members = match write.members {
        None => before.members,
        Some(members) => {
            let member = |of: larder_core::MemberWrite| {
                let new = write.items.iter().find(|item| item.of == of.item);
                let held = before.members.iter().find(|member| member.item.of == of.item);
                let item = match (new, held) {
                    (Some(new), _) => Item {
                        of: new.of.clone(),
                        scope: new.scope.clone(),
                        doc: new.doc.clone(),
                        derived: None,
                        fetched_at: Time::from_ms(0),
                    },
                    (None, Some(held)) => held.item.clone(),
                    (None, None) => panic!("a member without an item: {:?}", of.item),
                };
                Member { asked: of.asked, state: of.state, item }
            };
            members.into_iter().map(member).collect()
        }
    };
    let entry = Entry {
        definition: write.definition,
        tried: write.tried,
        body: write.body,
        cursor: write.cursor,
        complete: write.complete,
        warnings: write.warnings,
        fetched_at: write.fetched_at,
        due_at: write.due_at,
        pending: write.pending,
        last_error: write.last_error,
        ..before.entry
    };
    Stored { entry, members }
}
