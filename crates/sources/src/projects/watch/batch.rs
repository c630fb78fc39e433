//! What happened, put together until it is quiet: of each path the weightiest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use notify::Event;
use notify::event::{EventKind, MetadataKind, ModifyKind};

use super::super::ignored::is_ignore_file;
use super::places::Places;

/// Paths of one batch, and of all that waits to be one.
pub(super) const PATHS_MAX: usize = 20_000;

/// Paths that something happened to.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) paths: BTreeMap<PathBuf, Change>,
    /// Whether there was more than that.
    pub(super) missed: bool,
}

/// What happened at a path, the weightier the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// Something was written.
    Content,
    /// Another may look into a folder.
    Access,
    /// Something may have come, gone, or been renamed.
    Name,
}

impl Change {
    /// Whether there may be other folders now.
    pub(super) fn is_structural(self) -> bool {
        self > Change::Content
    }
}

impl Batch {
    /// Adds what happened at a path.
    pub(super) fn add(&mut self, path: PathBuf, change: Change) {
        if self.paths.len() >= PATHS_MAX && !self.paths.contains_key(&path) {
            self.missed = true;
            return;
        }
        let known = self.paths.entry(path).or_insert(change);
        *known = change.max(*known);
    }

    /// Adds what happened elsewhere.
    pub(super) fn append(&mut self, other: Batch) {
        self.missed |= other.missed;
        for (path, change) in other.paths {
            self.add(path, change);
        }
    }

    /// Whether other folders may be left out now.
    pub(super) fn leaves_out(&self) -> bool {
        self.paths.keys().any(|path| path.file_name().is_some_and(is_ignore_file))
    }

    /// Where there may be other folders now.
    pub(super) fn structural(&self) -> impl Iterator<Item = (&PathBuf, Change)> {
        let all = self.paths.iter().map(|(path, change)| (path, *change));
        all.filter(|(_, change)| change.is_structural())
    }
}

/// What an event says that may mean something.
pub(super) fn changes(event: Event, places: &Places) -> Vec<(PathBuf, Change)> {
    let Event { kind, paths, .. } = event;
    let changes = paths.into_iter().map(|path| change_of(kind, path));
    changes.filter(|(path, change)| places.may_matter(path, change.is_structural())).collect()
}

fn change_of(kind: EventKind, path: PathBuf) -> (PathBuf, Change) {
    let change = match kind {
        EventKind::Create(_)
        | EventKind::Remove(_)
        | EventKind::Modify(ModifyKind::Name(_))
        | EventKind::Any => Change::Name,
        // Looks tell so of every folder in which something came or went.
        EventKind::Modify(ModifyKind::Metadata(MetadataKind::WriteTime | MetadataKind::AccessTime)) => {
            Change::Content
        }
        EventKind::Modify(ModifyKind::Metadata(_))
            if std::fs::symlink_metadata(&path).is_ok_and(|about| about.is_dir()) =>
        {
            Change::Access
        }
        _ => Change::Content,
    };
    (path, change)
}
