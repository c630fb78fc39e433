//! What files of a project say: what it calls itself, and what was deployed into it.

use larder_domain::{Artifact, LocalProject, PROFILES, Record, read_project_file, read_records};

use super::super::content::warning;
use super::super::place::shown;
use super::super::said::{expected_path, profile_of, said};
use super::super::{PROJECT_FILE, RECORDS_FILE};
use super::Build;

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
                .said(&about)
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

    /// What was deployed, as far as it can be read.
    pub(super) fn records(&mut self) -> Vec<Record> {
        let mut all = Vec::new();
        for (root, _) in PROFILES {
            let about = format!("{root}/{RECORDS_FILE}");
            let Some(file) = self.said(&about) else { continue };
            match file.and_then(|file| read_records(&file, root, self.scan.frame.zone)) {
                Ok(records) => {
                    for path in records.records.iter().map(expected_path) {
                        if profile_of(&path) != Some(root) {
                            self.known.apart.insert(path, root.to_owned());
                        }
                    }
                    all.extend(records.records);
                    for problem in records.problems {
                        self.tell(&about, warning(&about, "malformed", format!("`{about}`: {problem}")));
                    }
                }
                Err(why) => {
                    self.unread.push(root);
                    let message = format!("`{about}`: {why}; what was known of its deployments stays");
                    self.tell(&about, warning(&about, "malformed", message));
                }
            }
        }
        self.keep_apart();
        all
    }

    /// Whether it cannot be read now whether an artifact was deployed: whether the file is unreadable that recorded
    /// it, or would.
    pub(super) fn is_unread(&self, held: &Artifact) -> bool {
        let known = self.scan.before.and_then(|before| before.apart.get(&held.path));
        match known.map(String::as_str).or_else(|| profile_of(&held.path)) {
            Some(root) => self.unread.contains(&root),
            None => !self.unread.is_empty(),
        }
    }

    /// Remembers what the files that cannot be read now recorded apart from where they lie.
    fn keep_apart(&mut self) {
        let before = self.scan.before.into_iter().flat_map(|before| &before.apart);
        for (path, root) in before.filter(|(_, root)| self.unread.contains(&root.as_str())) {
            self.known.apart.entry(path.clone()).or_insert_with(|| root.clone());
        }
    }

    fn said(&self, about: &str) -> Option<Result<Vec<u8>, String>> {
        said(&self.scan.project.path, about, self.scan.reach)
    }
}
