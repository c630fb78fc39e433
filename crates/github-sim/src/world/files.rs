//! What lies in repositories: the files of the default branch, pushed as a client would push them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;

use super::{Repository, World, ids};

/// The files of one repository's default branch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// Content and its name by path, with `/` between.
    by_path: BTreeMap<String, File>,
    /// From this many entries on, a list of them is cut off; 0 = GitHub's own limit.
    cut_at: usize,
}

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// The name of its content.
    pub(crate) oid: String,
    /// What stands in it.
    pub(crate) content: Vec<u8>,
}

/// GitHub lists no more entries of a tree.
const ENTRIES_MAX: usize = 100_000;

impl Files {
    /// The files, in the order of their paths.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &File)> {
        self.by_path.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The file at a path.
    pub(crate) fn at(&self, path: &str) -> Option<&File> {
        self.by_path.get(path)
    }

    /// The content of that name.
    pub(crate) fn blob(&self, oid: &str) -> Option<&File> {
        self.by_path.values().find(|file| file.oid == oid)
    }

    /// How many entries a list of them may have.
    pub(crate) fn cut_at(&self) -> usize {
        if self.cut_at == 0 { ENTRIES_MAX } else { self.cut_at }
    }
}

/// A name for a content, in the form of git's: forty hexadecimal digits that say what it is.
pub(crate) fn blob_id(content: &[u8]) -> String {
    let first = ids::digest(content);
    let second = ids::digest(&[&first.to_le_bytes(), content].concat());
    format!("{first:016x}{second:016x}{:08x}", content.len() & 0xffff_ffff)
}

impl World {
    /// Pushes files to a repository's default branch: a content that is `None` deletes its file. A push moves
    /// `pushed_at` on by a minute. False when there is no such repository.
    ///
    /// ```
    /// # use larder_github_sim::{Repository, World};
    /// # let mut world = World::new();
    /// world.add(Repository::new("octo-org/skills"));
    /// assert!(world.push("octo-org/skills", [("skills/pdf/SKILL.md", Some("---\nname: pdf\n---\n"))]));
    /// ```
    pub fn push<'f>(
        &mut self,
        full_name: &str,
        files: impl IntoIterator<Item = (&'f str, Option<&'f str>)>,
    ) -> bool {
        let Some(id) = self.repository(full_name).map(|found| found.id) else { return false };
        let held = &mut Arc::make_mut(self.files.entry(id).or_default()).by_path;
        for (path, content) in files {
            match content {
                Some(content) => {
                    let content = content.as_bytes().to_vec();
                    held.insert(path.to_owned(), File { oid: blob_id(&content), content });
                }
                None => drop(held.remove(path)),
            }
        }
        self.edit(full_name, |repository| {
            let last = repository.pushed_at.unwrap_or(repository.created_at);
            repository.pushed_at = last.checked_add(SignedDuration::from_mins(1)).ok().or(Some(last));
        });
        true
    }

    /// Cuts lists of a repository's files off after so many entries, as GitHub does with very large ones. False when
    /// there is no such repository.
    pub fn cut_trees(&mut self, full_name: &str, entries: usize) -> bool {
        let Some(id) = self.repository(full_name).map(|found| found.id) else { return false };
        Arc::make_mut(self.files.entry(id).or_default()).cut_at = entries;
        true
    }

    /// The files of a repository; none where nothing was ever pushed.
    pub(crate) fn files(&self, repository: &Repository) -> Option<&Arc<Files>> {
        self.files.get(&repository.id)
    }
}
