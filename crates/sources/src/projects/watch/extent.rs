//! How much of a folder matters. Of a profile's, what is looked at there and no more: tools keep logs, caches and
//! whole worktrees of the project in theirs.

use std::ffi::OsStr;
use std::path::Path;

use larder_domain::ArtifactType;

use super::super::walk::is_profile;
use super::super::{PROJECT_FILE, RECORDS_FILE};

/// How much of a folder matters, the more the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// What something leads to, by its name.
    Named,
    /// What is looked at in a profile's folder.
    Profile,
    /// All.
    All,
}

impl Extent {
    /// Whether folders of that name in it are watched as well.
    pub(super) fn goes_into(self, name: &OsStr) -> bool {
        match self {
            Extent::Named => false,
            Extent::Profile => is_looked_at(Path::new(name)),
            Extent::All => true,
        }
    }
}

/// What is looked at in a profile's folder.
pub(super) fn looked_at() -> impl Iterator<Item = &'static str> {
    let folders = ArtifactType::ALL.into_iter().map(ArtifactType::folder);
    folders.chain([RECORDS_FILE, PROJECT_FILE])
}

/// Whether something is looked at in a profile's folder, by its path from there.
pub(super) fn is_looked_at(path: &Path) -> bool {
    path.iter().next().is_none_or(|first| looked_at().any(|name| first == name))
}

/// The folders of profiles among a path and those above it in which it is looked at, the innermost first.
pub(super) fn profiles_above(path: &Path) -> impl Iterator<Item = &Path> {
    let is_one = |part: &Path| part.file_name().is_some_and(is_profile);
    path.ancestors().filter(move |part| is_one(part) && path.strip_prefix(part).is_ok_and(is_looked_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_profile_counts_what_is_looked_at_there() {
        for (path, counts) in [
            ("kiln/.claude", true),
            ("kiln/.claude/skills/pdf/SKILL.md", true),
            ("kiln/.codex/.skillmeat-deployed.toml", true),
            ("kiln/.claude/skillset", false),
            ("kiln/.claude/worktrees/w1/target/build.log", false),
            ("kiln/.claude/worktrees/w1/.claude/agents/a.md", true),
            ("kiln/skills/pdf", false),
        ] {
            assert_eq!(profiles_above(Path::new(path)).next().is_some(), counts, "{path}");
        }
    }
}
