//! A look at the files below an artifact's folder, wherever links lead from there. Nothing is read.

use std::collections::HashSet;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use larder_core::Warning;

use super::{Entry, cannot_read, warning};
use crate::projects::patience::Patience;
use crate::projects::place::shown_path;
use crate::projects::reach::{Led, Reach};
use crate::projects::seen::{About, Met};

/// No artifact has more files …
const FILES_MAX: usize = 20_000;
/// … more folders …
const FOLDERS_MAX: usize = 20_000;
/// … deeper ones …
const DEPTH_MAX: usize = 32;
/// … more that links lead to once more, each of whose names is part of the hash.
const AGAIN_MAX: usize = 1_000;

/// So many files are looked at between two looks at the clock.
const LOOKS: usize = 256;

/// A look below one folder.
pub(super) struct Look<'a> {
    reach: &'a Reach,
    about: &'a str,
    patience: &'a Patience<'a>,
    /// Whether it was high time to come to an end before all was looked at.
    pub(super) is_late: bool,
    pub(super) files: Vec<(Entry, Metadata)>,
    pub(super) warnings: Vec<Warning>,
    pub(super) partly: bool,
    pub(super) has_links: bool,
    pub(super) folders: Vec<Met>,
    /// The folders that one stands in, really: whoever leads back to one of them is a loop.
    pub(super) above: HashSet<PathBuf>,
    /// The folders that were listed, really: one that is met once more was led to by a link.
    listed: HashSet<PathBuf>,
    /// How many were met once more.
    again: usize,
}

impl<'a> Look<'a> {
    /// Nothing is looked at yet; `about` names the artifact to people.
    pub(super) fn at(reach: &'a Reach, about: &'a str, patience: &'a Patience<'a>) -> Self {
        Look {
            reach,
            about,
            patience,
            is_late: false,
            files: Vec::new(),
            warnings: Vec::new(),
            partly: false,
            has_links: false,
            folders: Vec::new(),
            above: HashSet::new(),
            listed: HashSet::new(),
            again: 0,
        }
    }

    /// Looks at a folder and all below it.
    pub(super) fn folder(&mut self, real: &Path, name: &Path, depth: usize) {
        let entries = match fs::read_dir(real) {
            Ok(entries) => entries,
            Err(error) => return self.cannot(name, &error),
        };
        for entry in entries {
            let is_too_much =
                self.files.len() >= FILES_MAX || self.folders.len() >= FOLDERS_MAX || self.again > AGAIN_MAX;
            if is_too_much || depth >= DEPTH_MAX || self.patience.is_over() {
                return self.leave();
            }
            self.is_late = self.is_late || (self.files.len() % LOOKS == LOOKS - 1 && self.patience.is_late());
            if self.is_late {
                return;
            }
            match entry {
                Ok(entry) => self.entry(&entry, &name.join(entry.file_name()), depth),
                Err(error) => self.cannot(name, &error),
            }
        }
    }

    fn entry(&mut self, entry: &DirEntry, name: &Path, depth: usize) {
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            // It went while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.cannot(name, &error),
        };
        let path = entry.path();
        if !meta.is_symlink() {
            return self.plain(path, name, meta, depth);
        }
        self.has_links = true;
        let about = format!("{}/{}", self.about, shown_path(name));
        match self.reach.follow(&path, &about) {
            Led::To(real) => match fs::symlink_metadata(&real) {
                Ok(meta) => self.plain(real, name, meta, depth),
                Err(error) => self.cannot(name, &error),
            },
            Led::Nowhere => {
                let message = format!("`{about}` is a link to nothing");
                self.warnings.push(warning(&about, "link_broken", message));
            }
            Led::Round(warning) => self.warnings.push(warning),
            Led::Astray(warning) => {
                self.partly = true;
                self.warnings.push(warning);
            }
        }
    }

    fn plain(&mut self, real: PathBuf, name: &Path, meta: Metadata, depth: usize) {
        if meta.is_file() {
            let about = About::of(&meta);
            self.files.push((Entry { name: name.to_owned(), real, bytes: meta.len(), about }, meta));
        } else if meta.is_dir() {
            // A link to a folder that one stands in ends here: what is below it is being read.
            if self.above.insert(real.clone()) {
                self.folders.push((name.to_owned(), About::of(&meta)));
                self.again += usize::from(self.listed.contains(&real));
                self.folder(&real, name, depth + 1);
                self.above.remove(&real);
                self.listed.insert(real);
            }
        }
    }

    /// Leaves out what is more than any artifact has.
    fn leave(&mut self) {
        self.partly = true;
        let about = self.about;
        if self.warnings.iter().any(|warning| warning.code == "too_large") {
            return;
        }
        let message = format!(
            "`{about}` has more than {FILES_MAX} files, {FOLDERS_MAX} folders or {DEPTH_MAX} of them in one \
             another, or links that lead to more than {AGAIN_MAX} of its folders once more"
        );
        self.warnings.push(warning(about, "too_large", message));
    }

    fn cannot(&mut self, name: &Path, error: &io::Error) {
        self.partly = true;
        self.warnings.push(cannot_read(self.about, name, error));
    }
}
