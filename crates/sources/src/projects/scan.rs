//! One project, looked at and not read: whether anything of it is another than the last time. Quickly
//! first; then, if that proves nothing, folder by folder.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use larder_core::{Ask, FetchError, Fetched, Trigger, Warning};
use larder_domain::{ArtifactType, PROFILES};
use tokio::runtime::Handle;

use super::build::build;
use super::catalogue::Project;
use super::content::{Content, warning};
use super::find::{Sight, Spotted, spot};
use super::patience::Patience;
use super::reach::{Led, Reach, is_nothing};
use super::seen::Seen;
use super::stamp::{Known, Stamp, Stamper};
use super::upstreams::Upstreams;
use super::{PROJECT_FILE, RECORDS_FILE};

/// What scans of one batch have in common.
pub(super) struct Frame<'a> {
    pub(super) reach: &'a Reach,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) zone: &'a TimeZone,
    /// Where what is held of a project is looked up, if it is wanted.
    pub(super) runtime: &'a Handle,
    pub(super) patience: Patience<'a>,
}

/// What is known from the last look at a project, if there is anything to go on from.
pub(super) fn known(ask: &Ask) -> Option<Known> {
    ask.cursor.as_deref().and_then(Known::read)
}

/// Whether a quick look proves that a full one would find what is known.
pub(super) fn is_still_so(project: &Project, ask: &Ask, known: &Known, frame: &Frame<'_>) -> bool {
    let stamp = &frame.upstreams.stamp;
    !stamp.is_empty()
        && *stamp == known.upstream
        && !known.is_tried_again(frame.patience.span, is_by_hand(ask))
        && known.seen.as_ref().is_some_and(|seen| seen.is_still_so(&project.path))
}

fn is_by_hand(ask: &Ask) -> bool {
    ask.trigger == Trigger::Manual
}

/// Scans a project.
pub(super) fn scan(
    project: &Project,
    ask: &Ask,
    before: Option<&Known>,
    frame: &Frame<'_>,
) -> Result<Fetched, FetchError> {
    let began = (frame.patience.time)();
    let about = match fs::metadata(&project.path) {
        Ok(about) => about,
        Err(error) => {
            let path = project.path.display();
            return Err(FetchError::Local(format!("the folder {path} cannot be looked at: {error}")));
        }
    };
    if !about.is_dir() {
        return Err(FetchError::Local(format!("{} is not a folder any more", project.path.display())));
    }
    let reach = frame.reach.and(&project.path);
    let is_by_hand = is_by_hand(ask);
    let scan = Scan { project, frame, reach: &reach, before, began, is_by_hand };
    let look = scan.look();
    if frame.patience.is_over() {
        // What was left out is not gone.
        return Err(FetchError::Local("nobody waits for it any more".to_owned()));
    }
    if let Some(before) = before
        && scan.is_as_before(&look, before)
    {
        // The next look may be a quick one.
        let seen = scan.seen(&look, before);
        let cursor = seen.and_then(|seen| Known { seen: Some(seen), ..before.clone() }.write());
        return Ok(Fetched::NotModified { ttl: None, cursor });
    }
    let held = frame.runtime.block_on(ask.held.members());
    let held =
        held.map_err(|error| FetchError::Local(format!("what is held of it cannot be read: {error}")))?;
    build(&scan, held, look).map_err(|error| FetchError::Local(format!("it cannot be written down: {error}")))
}

pub(super) struct Scan<'a> {
    pub(super) project: &'a Project,
    pub(super) frame: &'a Frame<'a>,
    pub(super) reach: &'a Reach,
    /// What is known from the last look; `None` = this is the first.
    pub(super) before: Option<&'a Known>,
    /// When it began, by the time that files carry.
    pub(super) began: SystemTime,
    /// Whether a person wants it.
    pub(super) is_by_hand: bool,
}

/// What a look at everything brought, with nothing read.
pub(super) struct Look {
    pub(super) sight: Sight,
    /// What is there, in the order of `sight.spotted`.
    pub(super) contents: Vec<io::Result<Content>>,
    /// The stamp of the files that say what was deployed.
    pub(super) inputs: String,
}

impl Scan<'_> {
    fn look(&self) -> Look {
        let mut sight = Sight::default();
        for (root, profile) in PROFILES {
            spot(&self.project.path, root, profile, self.reach, self.frame.patience.stop, &mut sight);
        }
        self.spot_elsewhere(&mut sight);
        let patience = &self.frame.patience;
        let content = |spotted: &Spotted| {
            if patience.is_late() { Ok(Content::not_looked_at()) } else { self.content(spotted) }
        };
        let contents = sight.spotted.iter().map(content).collect();
        let mut stamper = Stamper::new();
        for file in self.inputs() {
            match fs::metadata(&file) {
                Ok(meta) => stamper.file(&file, &meta),
                Err(error) => stamper.word(&error.kind().to_string()),
            }
        }
        Look { sight, contents, inputs: stamper.text() }
    }

    /// Looks at the files of an artifact.
    pub(super) fn content(&self, spotted: &Spotted) -> io::Result<Content> {
        Content::look(&spotted.real, &spotted.path, self.reach, &self.frame.patience)
    }

    /// What the next look can go by quickly, if this one met nothing that wants a full one.
    pub(super) fn seen(&self, look: &Look, known: &Known) -> Option<Seen> {
        let sight = &look.sight;
        let is_plain = !sight.odd && sight.warnings.is_empty() && sight.dark.is_empty();
        let is_proven = |stamp: &Option<Stamp>| stamp.as_ref().is_none_or(Stamp::is_proven);
        if !is_plain
            || known.inputs.is_empty()
            || known.upstream.is_empty()
            || !known.stamps.values().all(is_proven)
        {
            return None;
        }
        let is_there = |root: &str| sight.folders.iter().any(|(folder, _)| folder == Path::new(root));
        let mut nothing: Vec<String> =
            known.stamps.iter().filter(|(_, stamp)| stamp.is_none()).map(|(path, _)| path.clone()).collect();
        let mut met = sight.folders.clone();
        for (root, _) in PROFILES.iter().filter(|(root, _)| !is_there(root)) {
            // Some tools leave a file there.
            if is_nothing(&self.project.path.join(root)) {
                nothing.push((*root).to_owned());
            } else {
                met.push((PathBuf::from(root), None));
            }
        }
        for (spotted, content) in sight.spotted.iter().zip(&look.contents) {
            let content = content.as_ref().ok().filter(|content| content.is_plain())?;
            // Else a link led there.
            let place = spotted.real.strip_prefix(&self.project.path).ok()?;
            if place != Path::new(&spotted.path) {
                return None;
            }
            met.extend(content.met(place));
        }
        let inputs = self.inputs().into_iter().filter(|file| fs::symlink_metadata(file).is_ok());
        for file in inputs {
            met.push((file.strip_prefix(&self.project.path).ok()?.to_owned(), None));
        }
        Seen::of(&self.project.path, met, nothing, self.began, self.frame.patience.time)
    }

    /// The files that say what was deployed, and what the project is called.
    fn inputs(&self) -> Vec<PathBuf> {
        let both = [RECORDS_FILE, PROJECT_FILE];
        let all =
            PROFILES.iter().flat_map(|(root, _)| both.map(|file| self.project.path.join(root).join(file)));
        all.collect()
    }

    /// What was recorded to be where artifacts are not looked for, and was there the last time.
    fn spot_elsewhere(&self, sight: &mut Sight) {
        let Some(before) = self.before else { return };
        let seen: HashSet<&str> = sight.spotted.iter().map(|spotted| spotted.path.as_str()).collect();
        let elsewhere = before.stamps.keys().filter(|path| !seen.contains(path.as_str()));
        let elsewhere: Vec<&String> = elsewhere.filter(|path| !sight.is_dark(path)).collect();
        for path in elsewhere {
            let found = self.spotted_at(path, sight);
            sight.spotted.extend(found);
        }
    }

    /// Something at a path that a record names.
    pub(super) fn spotted_at(&self, path: &str, sight: &mut Sight) -> Option<Spotted> {
        let there = self.project.path.join(path);
        if is_nothing(&there) {
            return None;
        }
        match self.reach.follow(&there, path) {
            Led::To(real) => Some(Spotted {
                profile: String::new(),
                kind: ArtifactType::Skill,
                name: String::new(),
                below: path.to_owned(),
                path: path.to_owned(),
                real,
            }),
            Led::Nowhere => None,
            Led::Round(warning) => {
                sight.warnings.push(warning);
                None
            }
            Led::Astray(warning) => {
                sight.barred.insert(path.to_owned());
                sight.warnings.push(warning);
                None
            }
        }
    }

    fn is_as_before(&self, look: &Look, before: &Known) -> bool {
        let now: BTreeMap<&str, Option<&Stamp>> = stamps(look);
        let is_proven = |(path, stamp): (&&str, Option<&Stamp>)| {
            stamp.is_some() && before.stamps.get(*path).is_some_and(|known| known.as_ref() == stamp)
        };
        let missing = before.stamps.iter().filter(|(path, _)| !now.contains_key(path.as_str()));
        let missing: Vec<_> = missing.collect();
        !look.inputs.is_empty()
            && look.inputs == before.inputs
            // Collections that are too young have none, before and now.
            && !before.upstream.is_empty()
            && self.frame.upstreams.stamp == before.upstream
            && !before.is_tried_again(self.frame.patience.span, self.is_by_hand)
            // Of that nothing was proven.
            && before.left.is_empty()
            && now.iter().map(|(path, stamp)| (path, *stamp)).all(is_proven)
            && missing.iter().all(|(_, stamp)| stamp.is_none())
            && now.len() + missing.len() == before.stamps.len()
            && digest(&warnings_of(look, &before.told)) == before.warned
    }
}

fn stamps<'l>(look: &'l Look) -> BTreeMap<&'l str, Option<&'l Stamp>> {
    let stamp = |content: &'l io::Result<Content>| content.as_ref().ok().and_then(|one| one.stamp.as_ref());
    look.sight
        .spotted
        .iter()
        .zip(&look.contents)
        .map(|(spotted, content)| (spotted.path.as_str(), stamp(content)))
        .collect()
}

/// All warnings but those of this very build: of folders, of links, and of what was read before.
pub(super) fn warnings_of(look: &Look, told: &BTreeMap<String, Vec<Warning>>) -> Vec<Warning> {
    let mut warnings = look.sight.warnings.clone();
    for (spotted, content) in look.sight.spotted.iter().zip(&look.contents) {
        match content {
            Ok(content) => warnings.extend(content.warnings.iter().cloned()),
            Err(error) => warnings.push(unreadable(&spotted.path, error)),
        }
    }
    warnings.extend(told.values().flatten().cloned());
    warnings
}

fn unreadable(path: &str, error: &io::Error) -> Warning {
    warning(path, "unreadable", format!("`{path}` cannot be read: {error}"))
}

pub(super) fn digest(warnings: &[Warning]) -> String {
    let mut texts: Vec<String> = warnings
        .iter()
        .map(|warning| format!("{}\0{}\0{}", warning.about, warning.code, warning.message))
        .collect();
    texts.sort();
    texts.dedup();
    blake3::hash(texts.join("\0\0").as_bytes()).to_hex()[..16].to_owned()
}
