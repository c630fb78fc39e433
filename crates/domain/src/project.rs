//! The item kind `project`: a folder with artifacts of its own, and how many of them want a look.

use larder_core::{ColumnType, Coverage, ItemRef, Json, NewItem, Scope, Time, ViewSpec};
use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::lenient::{column, indexed, lenient};

/// The kind's name.
pub const PROJECT: &str = "project";

/// One project, as an item's document holds it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalProject {
    /// Its id: stable as long as its folder stays where it is, and fit for an address.
    #[serde(deserialize_with = "lenient")]
    pub id: String,
    /// Its name: what it calls itself, else its folder's.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// Its folder, absolute: for the local user's eyes.
    #[serde(deserialize_with = "lenient")]
    pub path: String,
    /// Its folder from the root that it was found below, `.` for the root itself: for others' eyes.
    #[serde(deserialize_with = "lenient")]
    pub relative_path: String,
    /// For which tools it has artifacts.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// How many artifacts it has, missing ones too.
    #[serde(deserialize_with = "lenient")]
    pub artifacts: u64,
    /// How many of them are outdated …
    #[serde(deserialize_with = "lenient")]
    pub outdated: u64,
    /// … modified …
    #[serde(deserialize_with = "lenient")]
    pub modified: u64,
    /// … and missing.
    #[serde(deserialize_with = "lenient")]
    pub missing: u64,
    /// How many warnings there are about it.
    #[serde(deserialize_with = "lenient")]
    pub warnings: u64,
    /// When it was made a project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// When any of its artifacts was last written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
}

/// Projects as a table.
pub const PROJECTS: ViewSpec = ViewSpec {
    kind: PROJECT,
    view: "projects",
    columns: &[
        column("id", ColumnType::Text),
        indexed("name", ColumnType::Text),
        column("path", ColumnType::Text),
        column("relative_path", ColumnType::Text),
        column("profiles", ColumnType::List),
        column("artifacts", ColumnType::Integer),
        column("outdated", ColumnType::Integer),
        column("modified", ColumnType::Integer),
        column("missing", ColumnType::Integer),
        column("warnings", ColumnType::Integer),
        column("created_at", ColumnType::Time),
        column("updated_at", ColumnType::Time),
    ],
    title: "name",
    words: &["relative_path"],
};

impl LocalProject {
    /// Counts what its artifacts are.
    pub fn count<'a>(&mut self, artifacts: impl IntoIterator<Item = &'a Artifact>) {
        let mut profiles: Vec<String> = Vec::new();
        (self.artifacts, self.outdated, self.modified, self.missing) = (0, 0, 0, 0);
        self.updated_at = None;
        for artifact in artifacts {
            self.artifacts += 1;
            self.outdated += u64::from(artifact.outdated);
            self.modified += u64::from(artifact.modified);
            self.missing += u64::from(artifact.missing);
            self.updated_at = self.updated_at.max(artifact.updated_at);
            if !profiles.contains(&artifact.profile) {
                profiles.push(artifact.profile.clone());
            }
        }
        profiles.sort();
        self.profiles = profiles;
    }

    /// The project as a fetch brings it. Fails only if it cannot be written as JSON.
    pub fn item(&self, scope: Scope) -> Result<NewItem, serde_json::Error> {
        Ok(NewItem {
            of: ItemRef::new(PROJECT, self.id.as_str()),
            scope,
            doc: Json::encode(self)?,
            coverage: Coverage::Whole,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_project_counts_what_wants_a_look() {
        let artifact = |profile: &str, outdated, missing| Artifact {
            profile: profile.to_owned(),
            outdated,
            missing,
            updated_at: Some(Time::from_ms(if missing { 9 } else { 5 })),
            ..Artifact::default()
        };
        let mut project = LocalProject { artifacts: 99, ..LocalProject::default() };
        project.count(&[artifact("codex", true, false), artifact("claude_code", true, true)]);
        assert_eq!((project.artifacts, project.outdated, project.modified, project.missing), (2, 2, 0, 1));
        assert_eq!(project.profiles, ["claude_code", "codex"]);
        assert_eq!(project.updated_at, Some(Time::from_ms(9)));
    }

    #[test]
    fn every_column_of_the_view_is_a_field() {
        let full = LocalProject {
            profiles: vec!["codex".to_owned()],
            created_at: Some(Time::from_ms(1)),
            updated_at: Some(Time::from_ms(1)),
            ..LocalProject::default()
        };
        let Value::Object(fields) = serde_json::to_value(full).unwrap() else { panic!("an object") };
        for column in PROJECTS.columns {
            assert!(fields.contains_key(column.name), "{}", column.name);
        }
    }
}
