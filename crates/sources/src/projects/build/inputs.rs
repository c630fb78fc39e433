//! What files of a project say: what it calls itself, what was deployed into it, and where that should lie.

use std::io;
use std::path::Path;

use larder_domain::{ArtifactType, LocalProject, PROFILES, Record, read_project_file, read_records};

use super::super::content::warning;
use super::super::place::{shown, shown_path};
use super::super::reach::{Led, is_nothing};
use super::super::{PROJECT_FILE, RECORDS_FILE};
use super::Build;
use crate::files::read_plain;

/// No record file is longer.
const RECORDS_BYTES_MAX: u64 = 64 << 20;

impl Build<'_> {
    /// What the project calls itself, whichever profile says it.
    pub(super) fn project_file(&mut self) -> LocalProject {
        let of = self.scan.project;
        let mut project = LocalProject {
            id: of.id.clone(),
            name: of.path.file_name().map_or_else(|| of.relative_path.clone(), shown),
            path: shown(of.path.as_os_str()),
            relative_path: of.relative_path.clone(),
            ..LocalProject::default()
        };
        for (root, _) in PROFILES {
            let about = format!("{root}/{PROJECT_FILE}");
            let read = self
                .input(&about)
                .map(|file| file.and_then(|file| read_project_file(&file, self.scan.frame.zone)));
            match read {
                None => {}
                Some(Ok(said)) => {
                    project.name = said.name.unwrap_or(project.name);
                    project.created_at = said.created_at;
                    break;
                }
                Some(Err(why)) => {
                    self.tell(&about, warning(&about, "malformed", format!("`{about}`: {why}")));
                }
            }
        }
        project
    }

    /// What was deployed; `None` = some of it cannot be read, so that nothing may be taken for
    /// not deployed.
    pub(super) fn records(&mut self) -> Option<Vec<Record>> {
        let mut all = Vec::new();
        let mut readable = true;
        for (root, _) in PROFILES {
            let about = format!("{root}/{RECORDS_FILE}");
            let Some(file) = self.input(&about) else { continue };
            match file.and_then(|file| read_records(&file, self.scan.frame.zone)) {
                Ok(records) => {
                    all.extend(records.records);
                    for problem in records.problems {
                        self.tell(&about, warning(&about, "malformed", format!("`{about}`: {problem}")));
                    }
                }
                Err(why) => {
                    readable = false;
                    let message = format!("`{about}`: {why}; what was known of deployments stays");
                    self.tell(&about, warning(&about, "malformed", message));
                }
            }
        }
        readable.then_some(all)
    }

    /// One of the files that say something of the project; `None` = there is none.
    fn input(&self, about: &str) -> Option<Result<Vec<u8>, String>> {
        let path = self.scan.project.path.join(about);
        if is_nothing(&path) {
            return None;
        }
        let real = match self.scan.reach.follow(&path, about) {
            Led::To(real) => real,
            Led::Nowhere => return None,
            Led::Astray(warning) => return Some(Err(warning.message)),
        };
        match read_plain(&real, RECORDS_BYTES_MAX) {
            Ok((file, _)) => Some(Ok(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(format!("it cannot be read: {error}"))),
        }
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
