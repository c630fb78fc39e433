//! The files that say what was deployed into a project and what it is called, and where a record says that its
//! artifact lies.

use std::path::Path;

use larder_domain::{ArtifactType, PROFILES, Record};

use super::place::shown_path;
use super::reach::{Led, Reach, is_absence, is_nothing};
use crate::files::read_plain;

/// No record file is longer.
const RECORDS_BYTES_MAX: u64 = 64 << 20;

/// One of the files that say something of the project, by its name from the project's folder; `None` = there is
/// none.
pub(super) fn said(project: &Path, about: &str, reach: &Reach) -> Option<Result<Vec<u8>, String>> {
    let path = project.join(about);
    if is_nothing(&path) {
        return None;
    }
    let real = match reach.follow(&path, about) {
        Led::To(real) => real,
        Led::Nowhere => return None,
        Led::Astray(warning) | Led::Round(warning) => return Some(Err(warning.message)),
    };
    match read_plain(&real, RECORDS_BYTES_MAX) {
        Ok((file, _)) => Some(Ok(file)),
        Err(error) if is_absence(&error) => None,
        Err(error) => Some(Err(format!("it cannot be read: {error}"))),
    }
}

/// Where a record says that its artifact is, from the project's folder.
pub(super) fn expected_path(record: &Record) -> String {
    let below = record.path.as_deref().map_or_else(
        || {
            let is_markdown = matches!(record.kind, ArtifactType::Command | ArtifactType::Agent);
            let ending = if is_markdown { ".md" } else { "" };
            format!("{}/{}{ending}", record.kind.folder(), record.name)
        },
        |path| {
            let path = path.replace('\\', "/");
            let path = path.trim_end_matches('/');
            // Some name the file that describes a skill, which is its folder.
            let folder = match path.rsplit_once('/') {
                Some((folder, file)) if file.eq_ignore_ascii_case("SKILL.md") => Some(folder),
                _ => None,
            };
            folder.filter(|_| record.kind == ArtifactType::Skill).unwrap_or(path).to_owned()
        },
    );
    let root = Path::new(&record.profile_root);
    shown_path(&root.join(below))
}

/// The folder of the profile that a path from the project's folder leads into.
pub(super) fn profile_of(path: &str) -> Option<&'static str> {
    let first = path.split('/').next();
    PROFILES.iter().map(|(root, _)| *root).find(|root| first == Some(root))
}
