//! Where a repository's manifest is looked for: in the working tree, and, where that is wanted, at
//! its upstream, which is asked so often at the most.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder_core::{Clock, Delta, Entry, Fetched, Fingerprint, Others, Stored, Time, Trigger, Warning};
use larder_domain::{Held, Manifest, ManifestError, RepoName, Tracker, TrackerType, Verdict, payload};

use super::body;
use super::git::{Git, GitError};
use super::memory::{Memory, Seen, Way, WayIn};
use crate::files::read_plain;

/// The manifest's place in a repository.
pub const MANIFEST: &str = ".github/pmu-cache.json";

/// A manifest is a list of titles; what is larger is something else.
const BYTES_MAX: u64 = 16 << 20;

/// Where one repository's manifest is found.
#[derive(Clone)]
pub struct Desk {
    repo: RepoName,
    root: PathBuf,
    pull: Option<Pull>,
    /// Whether it is consulted unasked.
    unasked: bool,
    host: String,
    clock: Arc<dyn Clock>,
}

/// How the upstream is asked for a newer manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pull {
    /// At most this often.
    pub every: Duration,
    /// How.
    pub how: PullHow,
}

/// What may change in the clone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullHow {
    /// Only what is known of the remote: the file is read from there, the working tree stays.
    Fetch,
    /// A clean working tree follows its upstream, if it can without merging.
    Merge,
}

/// What a look at the manifest came to.
pub(super) struct Looked {
    /// What it says, if that is newer than what is held.
    pub(super) says: Option<Manifested>,
    /// What to remember of the look.
    pub(super) noted: Noted,
}

/// What is remembered of a look, whatever it came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Noted {
    pub(super) manifest: Option<Seen>,
    pub(super) pulled_at: Option<Time>,
    pub(super) warnings: Vec<Warning>,
}

/// A manifest's trackers that are newer than what is held, or the same later.
pub(super) struct Manifested {
    trackers: Vec<Tracker>,
    verdict: Verdict,
    way: Way,
    warnings: Vec<Warning>,
}

/// Whether the file in the working tree says something new of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It was read already, is older, or is not there.
    None,
    /// It should be read in.
    Newer,
    /// It cannot be used.
    Unusable(Warning),
}

/// How far a look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The file in the working tree.
    File,
    /// The remote too, where that is wanted and its time has come.
    Upstream,
}

/// A file's bytes and how it looked.
struct Read {
    bytes: Vec<u8>,
    seen: Seen,
}

impl Desk {
    /// The manifest of `repo` on `host` (`github.com`), whose clone has its root here.
    pub fn new(repo: RepoName, host: &str, root: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Desk { repo, root: root.into(), pull: None, unasked: true, host: host.to_owned(), clock }
    }

    /// The same, asking the upstream.
    #[must_use]
    pub fn pulling(self, pull: Pull) -> Self {
        Desk { pull: Some(pull), ..self }
    }

    /// The same, looked at only where somebody says that it changed.
    #[must_use]
    pub fn only_when_told(self) -> Self {
        Desk { unasked: false, ..self }
    }

    /// Whether a fetch with this trigger looks at it, and whether it asks the upstream then.
    pub(super) fn consulted(&self, trigger: Trigger) -> Option<Reach> {
        match trigger {
            // The file changed: nothing else was said to have.
            Trigger::Watch => Some(Reach::File),
            // A person who asks for GitHub's word gets it.
            Trigger::Manual => None,
            _ => self.unasked.then_some(Reach::Upstream),
        }
    }

    /// Whose manifest it is.
    pub fn repo(&self) -> &RepoName {
        &self.repo
    }

    /// The file in the working tree.
    pub fn file(&self) -> PathBuf {
        self.root.join(MANIFEST)
    }

    /// Whether the file is as it was when the entry last came in: by its size and time, or, as where a
    /// branch was checked out and left again, by what is in it. Then nothing of what is held needs to be
    /// read to know that it says nothing new.
    pub fn has_seen(&self, entry: &Entry) -> bool {
        let way: Option<Way> =
            entry.body.as_ref().filter(|_| entry.has_data()).and_then(|body| body.decode().ok());
        let seen = way.and_then(|way| way.manifest);
        match (std::fs::metadata(self.file()), seen) {
            (Ok(about), Some(seen)) if seen.bytes == about.len() => {
                seen.modified == modified(&about)
                    || read_plain(&self.file(), BYTES_MAX).is_ok_and(|(bytes, _)| hash(&bytes) == seen.hash)
            }
            (Ok(_), _) => false,
            (Err(error), _) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// Whether the file says something new of what is held. A file that was seen already costs a
    /// look at its size and time, and nothing else.
    pub fn news(&self, of: &TrackerType, stored: Option<&Stored>, now: Time) -> News {
        let way: Option<Way> = stored
            .filter(|stored| stored.entry.has_data())
            .and_then(|stored| stored.entry.body.as_ref())
            .and_then(|body| body.decode().ok());
        let seen = way.as_ref().and_then(|way| way.manifest.as_ref());
        let read = match self.read(seen) {
            Ok(Some(read)) => read,
            Ok(None) => return News::None,
            Err(warning) => return News::Unusable(warning),
        };
        let manifest = match Manifest::read_leniently(&read.bytes, &self.repo.to_string()) {
            Ok(manifest) => manifest,
            Err(error) => return News::Unusable(self.warning(&error)),
        };
        if let Some(problem) = manifest.problem(of) {
            return News::Unusable(self.warning(&problem));
        }
        let trackers = stored.map(held_trackers).unwrap_or_default();
        let held = payload(&trackers);
        let as_of = way.map(|way| way.as_of);
        match self.judged(&manifest, of, as_of.map(|as_of| Held { as_of, payload: &held }), now) {
            Some((_, Verdict::Older)) | None => News::None,
            Some(_) => News::Newer,
        }
    }

    /// Looks at the manifest before GitHub is asked.
    pub(super) async fn consult(&self, of: &TrackerType, reach: Reach, memory: &Memory, now: Time) -> Looked {
        let before = memory.way.as_ref();
        let mut noted = Noted {
            manifest: before.and_then(|way| way.manifest.clone()),
            pulled_at: before.and_then(|way| way.pulled_at),
            warnings: Vec::new(),
        };
        let mut found = Vec::new();
        let due = |pull: &Pull| reach == Reach::Upstream && is_over(noted.pulled_at, pull.every, now);
        if let Some(pull) = self.pull.filter(due) {
            noted.pulled_at = Some(now);
            match self.pull_now(pull).await {
                Ok(upstream) => found.extend(upstream),
                Err(cause) => noted.warnings.push(self.warning(&cause)),
            }
        }
        match self.read(noted.manifest.as_ref()) {
            Ok(None) => {}
            Ok(Some(read)) => {
                noted.manifest = Some(read.seen);
                found.push(read.bytes);
            }
            Err(warning) => noted.warnings.push(warning),
        }
        let mut best: Option<Manifest> = None;
        for bytes in found {
            let read = Manifest::read_leniently(&bytes, &self.repo.to_string());
            if let Ok(manifest) = &read {
                noted.warnings.extend(self.warnings(manifest, of));
            }
            match read {
                Err(error) => noted.warnings.push(self.warning(&error)),
                // What cannot be read in it may be what is asked for.
                Ok(manifest) if manifest.problem(of).is_some() => {}
                Ok(manifest) if best.as_ref().is_none_or(|best| best.updated_at <= manifest.updated_at) => {
                    best = Some(manifest);
                }
                Ok(_) => {}
            }
        }
        let payload = memory.payload();
        let held = before.map(|way| Held { as_of: way.as_of, payload: &payload });
        let says = best.and_then(|manifest| self.judged(&manifest, of, held, now)).and_then(|judged| {
            let (trackers, verdict) = judged;
            let (Verdict::Apply { as_of } | Verdict::Confirm { as_of }) = verdict else { return None };
            let way = Way {
                way: WayIn::Manifest,
                as_of,
                manifest: noted.manifest.clone(),
                pulled_at: noted.pulled_at,
            };
            Some(Manifested { trackers, verdict, way, warnings: noted.warnings.clone() })
        });
        Looked { says, noted }
    }

    /// Looks at nothing but how the file is now, so that it is not taken for news later.
    pub(super) fn glance(&self) -> Looked {
        let manifest = self.read(None).ok().flatten().map(|read| read.seen);
        Looked { says: None, noted: Noted { manifest, ..Noted::default() } }
    }

    /// The manifest's trackers and what they are good for; `None` = it does not speak of such.
    fn judged(
        &self,
        manifest: &Manifest,
        of: &TrackerType,
        held: Option<Held<'_>>,
        now: Time,
    ) -> Option<(Vec<Tracker>, Verdict)> {
        if !manifest.lists(of) {
            return None;
        }
        let trackers = manifest.trackers(of, |number| self.page(number));
        let verdict = manifest.judge(&payload(&trackers), held, now);
        Some((trackers, verdict))
    }

    fn page(&self, number: u64) -> String {
        format!("https://{}/{}/issues/{number}", self.host, self.repo)
    }

    /// What the upstream has, asked now.
    async fn pull_now(&self, pull: Pull) -> Result<Option<Vec<u8>>, GitError> {
        let git = Git { root: &self.root, clock: &self.clock };
        git.fetch().await?;
        if pull.how == PullHow::Merge {
            git.follow().await?;
        }
        git.at_upstream(MANIFEST).await
    }

    fn warning(&self, cause: &dyn std::fmt::Display) -> Warning {
        Warning {
            about: self.repo.to_string(),
            code: "manifest".to_owned(),
            message: format!("the manifest `{MANIFEST}` is passed over: {cause}"),
        }
    }

    /// What is wrong with lists of a manifest: the one that is asked for, or others.
    fn warnings(&self, manifest: &Manifest, of: &TrackerType) -> Vec<Warning> {
        if let Some(problem) = manifest.problem(of) {
            return vec![self.warning(&problem)];
        }
        let passed_over = |problem: ManifestError| Warning {
            message: format!("a list of the manifest `{MANIFEST}` is passed over: {problem}"),
            ..self.warning(&problem)
        };
        manifest.problems().map(passed_over).collect()
    }

    /// The file, unless it is as it was seen; `None` also where there is none.
    fn read(&self, seen: Option<&Seen>) -> Result<Option<Read>, Warning> {
        let path = self.file();
        let about = std::fs::metadata(&path);
        let about = match about {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            about => about.map_err(|error| self.warning(&error))?,
        };
        let is_same = |seen: &Seen| seen.bytes == about.len() && seen.modified == modified(&about);
        if about.is_file() && seen.is_some_and(is_same) {
            return Ok(None);
        }
        let (bytes, about) = read_plain(&path, BYTES_MAX).map_err(|error| self.warning(&error))?;
        let hash = hash(&bytes);
        if seen.is_some_and(|seen| seen.hash == hash) {
            return Ok(None);
        }
        Ok(Some(Read { seen: Seen { bytes: about.len(), modified: modified(&about), hash }, bytes }))
    }
}

impl Looked {
    /// No manifest is known.
    pub(super) fn nothing() -> Self {
        Looked { says: None, noted: Noted::default() }
    }
}

impl Manifested {
    /// What becomes of the entry. Nobody said who may see them: what is held says so, and doubt
    /// means no.
    pub(super) fn fetched(self, host: &str, memory: &Memory) -> Fetched {
        let Manifested { trackers, verdict, way, warnings } = self;
        let (as_of, upserts, others, cursor) = match verdict {
            // The next asking of GitHub begins anew: nobody counted what a manifest leaves out.
            Verdict::Apply { as_of } => {
                let items = trackers.into_iter().map(|tracker| {
                    let scope = memory.scope(host, &tracker.repo);
                    tracker.into_item(host, scope)
                });
                (as_of, items.collect(), Others::Go, None)
            }
            Verdict::Confirm { as_of } => {
                (as_of, Vec::new(), Others::Stay, Memory::written(memory.cursor.as_ref()))
            }
            Verdict::Older => (way.as_of, Vec::new(), Others::Stay, Memory::written(memory.cursor.as_ref())),
        };
        Fetched::Delta(Delta {
            upserts,
            others,
            cursor,
            body: body(&way),
            warnings,
            as_of: Some(as_of),
            ..Delta::default()
        })
    }
}

fn held_trackers(stored: &Stored) -> Vec<Tracker> {
    stored.members.iter().filter_map(|member| member.item.doc.decode().ok()).collect()
}

/// Whether the last time is so long ago; one in the future means a clock that was set back.
fn is_over(last: Option<Time>, every: Duration, now: Time) -> bool {
    last.is_none_or(|last| last > now || now.since(last) >= every)
}

fn hash(bytes: &[u8]) -> Fingerprint {
    Fingerprint::of(&[String::from_utf8_lossy(bytes)])
}

fn modified(about: &std::fs::Metadata) -> String {
    let since_1970 = about.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since_1970.map_or_else(|| "0".to_owned(), |since| since.as_nanos().to_string())
}
