//! What came of a look at a project, put together: what is as it was is not read again, what changed
//! is read alone, and what cannot be read keeps what was known of it.

mod held;
mod identity;
mod inputs;
mod left;
mod reading;

use std::collections::{HashMap, HashSet};
use std::io;

use larder_core::{Delta, Fetched, ItemRef, Json, Member, NewItem, Others, Warning};
use larder_domain::{ARTIFACT, Artifact, ArtifactType, LocalProject, OnDisk, Placed, Record};

use super::content::{BUFFER_BYTES, Content, warning};
use super::find::{Sight, Spotted};
use super::said::expected_path;
use super::scan::{Look, Scan, digest, warnings_of};
use super::stamp::{EDITION, Known, Stamp};

use held::Held;
use identity::{id_of, scope};

/// Warnings beyond these are counted, not told.
const WARNINGS_MAX: usize = 50;

/// What takes so many bytes is read after what takes fewer.
const LARGE_BYTES: u64 = 16 << 20;

/// Puts a project together from a look at it.
pub(super) fn build(scan: &Scan<'_>, held: &[Member], look: Look) -> Result<Fetched, serde_json::Error> {
    let held = Held::of(held);
    let mut build = Build {
        scan,
        held: &held,
        known: Known {
            edition: EDITION,
            inputs: look.inputs.clone(),
            upstream: scan.frame.upstreams.stamp.clone(),
            ..Known::default()
        },
        artifacts: Vec::new(),
        ids: HashSet::new(),
        recorded: HashSet::new(),
        unread: Vec::new(),
        left: Vec::new(),
        is_any_done: false,
        buffer: vec![0; BUFFER_BYTES],
    };
    let project = build.project_file();
    let deployed = build.records();
    let (look, placed) = build.place(look, &deployed, &project.name);
    let mut placed: Vec<(usize, Named)> = placed.into_iter().enumerate().collect();
    // What is large keeps nothing else waiting that the time may not last for then, nor does what changed since.
    let left: HashSet<&String> = scan.before.iter().flat_map(|before| &before.left).collect();
    placed.sort_by_key(|(number, _)| {
        let size = look.contents[*number].as_ref().map_or(0, |content| content.bytes() / LARGE_BYTES);
        (size, !left.contains(&look.sight.spotted[*number].path))
    });
    for (number, placed) in placed {
        build.artifact(&look.sight.spotted[number], &look.contents[number], placed, &deployed);
    }
    build.missing(&deployed, &look, &project.name);
    build.known.seen = scan.seen(&look, &build.known);
    let warnings = warnings_of(&look, &build.known.told);
    build.finish(project, warnings)
}

struct Build<'a> {
    scan: &'a Scan<'a>,
    held: &'a Held,
    /// What the next look will go by.
    known: Known,
    artifacts: Vec<(String, Artifact)>,
    ids: HashSet<String>,
    /// The records that are about something that is there.
    recorded: HashSet<usize>,
    /// The profiles' folders in which the file that records what was deployed cannot be read.
    unread: Vec<&'static str>,
    /// What the time did not last for.
    left: Vec<String>,
    /// Whether anything was read that the next look need not read.
    is_any_done: bool,
    /// What files are read into.
    buffer: Vec<u8>,
}

/// What an artifact is known by: its profile, its type, its name.
type Identity = (String, ArtifactType, String);

/// What an artifact is called and which record is about it.
struct Named {
    placed: Placed,
    record: Option<usize>,
}

impl Build<'_> {
    fn tell(&mut self, path: &str, warning: Warning) {
        self.known.told.entry(path.to_owned()).or_default().push(warning);
    }

    /// Gives everything that is there its name and record, and finds what lies elsewhere.
    fn place(&mut self, look: Look, records: &[Record], project_name: &str) -> (Look, Vec<Named>) {
        let Look { mut sight, contents, inputs } = look;
        let spotted = std::mem::take(&mut sight.spotted);
        let paths: Vec<String> = records.iter().map(expected_path).collect();
        let by_path: HashMap<&str, usize> =
            paths.iter().enumerate().map(|(number, path)| (path.as_str(), number)).collect();
        let mut there: Vec<(Spotted, io::Result<Content>)> = Vec::new();
        for (mut spotted, content) in spotted.into_iter().zip(contents) {
            // What was found elsewhere the last time is there for its record's sake alone.
            if spotted.profile.is_empty() && !by_path.contains_key(spotted.path.as_str()) {
                let held = self.held.at(&spotted.path).filter(|held| self.is_unread(held));
                let Some(Artifact { profile, kind, name, .. }) = held else { continue };
                (spotted.profile, spotted.kind, spotted.name) = (profile.clone(), *kind, name.clone());
            }
            there.push((spotted, content));
        }
        let seen: HashSet<String> = there.iter().map(|(spotted, _)| spotted.path.clone()).collect();
        for path in paths.iter().filter(|path| !seen.contains(*path)) {
            if sight.is_dark(path) || sight.barred.contains(path) {
                continue;
            }
            if let Some(spotted) = self.scan.spotted_at(path, &mut sight) {
                let content = self.scan.content(&spotted);
                there.push((spotted, content));
            }
        }
        // Recorded names are taken first: they are what people know. Then what lies least deep has its name.
        let mut order: Vec<usize> = (0..there.len()).collect();
        order.sort_by_cached_key(|place| {
            let Spotted { path, below, .. } = &there[*place].0;
            (!by_path.contains_key(path.as_str()), below.matches('/').count())
        });
        let mut named: Vec<Option<Named>> = there.iter().map(|_| None).collect();
        let mut taken = HashSet::new();
        let mut moved = moved_by_identity(records, &paths, &there);
        for place in order {
            let spotted = &mut there[place].0;
            let identity = (spotted.profile.clone(), spotted.kind, spotted.name.clone());
            let by_path = by_path.get(spotted.path.as_str()).copied();
            let record = by_path.or_else(|| moved.remove(&identity));
            self.recorded.extend(record);
            if let Some(record) = record.map(|number| &records[number]) {
                spotted.profile.clone_from(&record.profile);
                spotted.kind = record.kind;
                spotted.name.clone_from(&record.name);
            }
            let mut is_free =
                |name: &&String| taken.insert((spotted.profile.clone(), spotted.kind, String::clone(name)));
            // At the top of its type's folder, where it lies there is its name again.
            let name = [&spotted.name, &spotted.below].into_iter().find(&mut is_free);
            let name = name.unwrap_or(&spotted.path).clone();
            let placed = self.placed(&spotted.profile, spotted.kind, name, &spotted.path, project_name);
            named[place] = Some(Named { placed, record });
        }
        let (spotted, contents) = there.into_iter().unzip();
        let look = Look { sight: Sight { spotted, ..sight }, contents, inputs };
        (look, named.into_iter().flatten().collect())
    }

    fn placed(
        &self,
        profile: &str,
        kind: ArtifactType,
        name: String,
        path: &str,
        project_name: &str,
    ) -> Placed {
        Placed {
            project: self.scan.project.id.clone(),
            project_name: project_name.to_owned(),
            profile: profile.to_owned(),
            kind,
            name,
            path: path.to_owned(),
        }
    }

    /// An artifact that is there.
    fn artifact(
        &mut self,
        spotted: &Spotted,
        content: &io::Result<Content>,
        named: Named,
        records: &[Record],
    ) {
        let id = id_of(&named.placed);
        let held = self.held.artifacts.get(&id).map(|(artifact, _)| artifact);
        // A name may have been another's, which was removed or is called otherwise now.
        let own = held.filter(|held| held.path == spotted.path);
        let stamp = content.as_ref().ok().and_then(|content| content.stamp.clone());
        let known = self.scan.before.and_then(|before| before.stamps.get(&spotted.path)).cloned().flatten();
        let is_same = stamp.is_some() && stamp == known && !self.is_tried_again(&spotted.path);
        let disk = match (own.filter(|own| is_same && !own.missing), content) {
            (Some(own), _) => {
                self.tell_again(&spotted.path);
                self.known.stamps.insert(spotted.path.clone(), stamp);
                Some(own.on_disk())
            }
            (None, Ok(content)) if content.is_left() => {
                self.leave(&spotted.path, known);
                None
            }
            (None, Ok(content)) => self.read(spotted, content, stamp, own),
            (None, Err(_)) => {
                self.known.stamps.insert(spotted.path.clone(), Some(Stamp::unproven()));
                None
            }
        };
        let record = named.record.map(|number| &records[number]);
        let mut artifact = match (disk, own) {
            (Some(disk), _) => self.of(named.placed, Some(disk), record, held),
            // It is there and cannot be read: what was known of it stays.
            (None, Some(own)) => self.of(named.placed, Some(own.on_disk()), record, held),
            (None, None) => self.of(named.placed, Some(OnDisk::default()), record, None),
        };
        if let (Some(own), Some(_)) = (own, self.left.last().filter(|left| **left == spotted.path)) {
            // What is there now is not what the hash is of.
            (artifact.modified, artifact.outdated) = (own.modified, own.outdated);
        }
        self.push(id, artifact);
    }

    /// What follows from the facts, and from what was known where some cannot be had.
    fn of(
        &self,
        placed: Placed,
        disk: Option<OnDisk>,
        record: Option<&Record>,
        held: Option<&Artifact>,
    ) -> Artifact {
        let upstreams = self.scan.frame.upstreams.read();
        let collection = record.and_then(|record| record.collection.as_deref());
        let upstream =
            record.and_then(|record| upstreams.all.upstream(collection, &record.name, record.kind));
        let mut artifact = Artifact::of(placed, disk, record, upstream);
        let Some(held) = held else { return artifact };
        if record.is_none() && self.is_unread(held) {
            artifact.keep_deployment(held);
        } else if upstreams.partly && upstream.is_none() && record.is_some() {
            artifact.keep_upstream(held);
        }
        if artifact.missing {
            artifact.keep_description(held);
        }
        artifact
    }

    /// What was deployed and is not there, or may not be looked at; and, where it cannot be told what was
    /// deployed or what is there, what was known.
    fn missing(&mut self, records: &[Record], look: &Look, project_name: &str) {
        let there: HashSet<&str> = look.sight.spotted.iter().map(|spotted| spotted.path.as_str()).collect();
        for (number, record) in records.iter().enumerate() {
            let path = expected_path(record);
            if self.recorded.contains(&number) || there.contains(path.as_str()) {
                continue;
            }
            let placed = self.placed(&record.profile, record.kind, record.name.clone(), &path, project_name);
            let id = id_of(&placed);
            let held = self.held.artifacts.get(&id).map(|(artifact, _)| artifact);
            // What may not be looked at is not known to be missing.
            let is_hidden = look.sight.is_dark(&path) || look.sight.barred.contains(&path);
            let disk = is_hidden.then(|| held.map(Artifact::on_disk).unwrap_or_default());
            let artifact = self.of(placed, disk, Some(record), held);
            self.known.stamps.insert(path, None);
            self.push(id, artifact);
        }
        let kept: Vec<(String, Artifact)> = self
            .held
            .artifacts
            .iter()
            .filter(|(id, _)| !self.ids.contains(*id))
            .filter_map(|(id, (held, _))| {
                let was_deployed = held.deployed_at.is_some() || held.deployed_version.is_some();
                let (is_unread, is_barred) = (self.is_unread(held), look.sight.barred.contains(&held.path));
                if look.sight.is_dark(&held.path) || (is_unread && is_barred) {
                    let placed =
                        self.placed(&held.profile, held.kind, held.name.clone(), &held.path, project_name);
                    return Some((id.clone(), self.of(placed, Some(held.on_disk()), None, Some(held))));
                }
                let is_gone = !there.contains(held.path.as_str());
                (was_deployed && is_gone && is_unread).then(|| {
                    let gone = Artifact {
                        missing: true,
                        modified: false,
                        content_hash: None,
                        updated_at: None,
                        ..held.clone()
                    };
                    (id.clone(), gone)
                })
            })
            .collect();
        for (id, artifact) in kept {
            if artifact.missing || look.sight.barred.contains(&artifact.path) {
                self.known.stamps.insert(artifact.path.clone(), None);
            }
            self.push(id, artifact);
        }
    }

    fn push(&mut self, id: String, artifact: Artifact) {
        if self.ids.insert(id.clone()) {
            self.artifacts.push((id, artifact));
        }
    }

    fn finish(
        mut self,
        mut project: LocalProject,
        mut warnings: Vec<Warning>,
    ) -> Result<Fetched, serde_json::Error> {
        self.known.warned = digest(&warnings);
        if !self.left.is_empty() {
            let stalled = self.scan.before.map_or(0, |before| before.stalled);
            let had_its_share = self.scan.frame.patience.had_its_share(self.scan.began);
            self.known.stalled = match (self.is_any_done, had_its_share) {
                (true, _) => 0,
                (false, true) => stalled.saturating_add(1),
                (false, false) => stalled,
            };
            self.known.left = self.left.iter().take(left::NAMED_MAX).cloned().collect();
        }
        let left = left::told(&self.left, self.known.stalled, &self.scan.frame.patience);
        let (told, pending) = left.unzip();
        warnings.extend(told);
        warnings.sort_by(|a, b| (&a.about, &a.message).cmp(&(&b.about, &b.message)));
        warnings.dedup();
        project.warnings = warnings.len() as u64;
        if warnings.len() > WARNINGS_MAX {
            let more = warnings.len() - WARNINGS_MAX;
            warnings.truncate(WARNINGS_MAX);
            warnings.push(warning("…", "more", format!("there are {more} more warnings like these")));
        }
        let order =
            |artifact: &Artifact| (artifact.profile.clone(), artifact.kind.word(), artifact.name.clone());
        self.artifacts.sort_by_cached_key(|(_, artifact)| order(artifact));
        project.count(self.artifacts.iter().map(|(_, artifact)| artifact));
        let scope = scope();
        let from_the_beginning = self.scan.before.is_none();
        let mut upserts = Vec::new();
        let differs = |item: &NewItem, held: Option<&Json>| from_the_beginning || held != Some(&item.doc);
        let item = project.item(scope.clone())?;
        if differs(&item, self.held.project.as_ref()) {
            upserts.push(item);
        }
        for (id, artifact) in &self.artifacts {
            let item = artifact.item(id, scope.clone())?;
            if differs(&item, self.held.artifacts.get(id).map(|(_, doc)| doc)) {
                upserts.push(item);
            }
        }
        let gone = self.held.artifacts.keys().filter(|id| !self.ids.contains(*id));
        let mut removals: Vec<ItemRef> = gone.map(|id| ItemRef::new(ARTIFACT, id.as_str())).collect();
        removals.sort();
        Ok(Fetched::Delta(Delta {
            upserts,
            removals,
            others: if from_the_beginning { Others::Go } else { Others::Stay },
            cursor: self.known.write(),
            warnings,
            pending: pending.unwrap_or_default(),
            ..Delta::default()
        }))
    }
}

/// Records of which nothing is where they say, by what they are about: it may have been moved.
fn moved_by_identity(
    records: &[Record],
    paths: &[String],
    there: &[(Spotted, io::Result<Content>)],
) -> HashMap<Identity, usize> {
    let seen: HashSet<&str> = there.iter().map(|(spotted, _)| spotted.path.as_str()).collect();
    let moved = paths.iter().enumerate().filter(|(_, path)| !seen.contains(path.as_str()));
    let identity = |record: &Record| (record.profile.clone(), record.kind, record.name.clone());
    moved.map(|(number, _)| (identity(&records[number]), number)).collect()
}
