//! The item kind `repository`: what is kept of one, how it is named, found and shown in lists.
//!
//! The document is read leniently (a field that is missing or null is its default), so that a row
//! written by an older Larder, or by an answer that knew less, never fails a list.

use larder_core::{ColumnType, Coverage, ItemRef, Json, NewItem, Scope, Time, ViewSpec};
use serde::{Deserialize, Serialize};

use crate::lenient::{column, indexed, lenient};

/// The kind's name.
pub const REPOSITORY: &str = "repository";

/// One repository, as an item's document holds it.
///
/// Fields that every answer knows are always written, as `null` where there is nothing; the ones
/// that a poorer answer (REST without a token) cannot know are left out when unknown, so that a
/// partial answer never overwrites them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Repository {
    /// The name without the owner, as written upstream.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// The owner's login, as written upstream.
    #[serde(deserialize_with = "lenient")]
    pub owner: String,
    /// `owner/name`.
    #[serde(deserialize_with = "lenient")]
    pub full_name: String,
    /// The host it lives on: `github.com`, or a GitHub Enterprise host with its port if unusual.
    #[serde(deserialize_with = "lenient")]
    pub host: String,
    /// One line about it.
    pub description: Option<String>,
    /// Its page.
    #[serde(deserialize_with = "lenient")]
    pub url: String,
    /// The page its owner named.
    pub homepage_url: Option<String>,
    /// How many people starred it.
    #[serde(deserialize_with = "lenient")]
    pub stars: u64,
    /// How many forks it has.
    #[serde(deserialize_with = "lenient")]
    pub forks: u64,
    /// Open issues, pull requests not counted. REST counts both as one number, so it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_issues: Option<u64>,
    /// The language most of it is written in.
    pub language: Option<String>,
    /// That language's colour, `#rrggbb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language_color: Option<String>,
    /// Its languages, largest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<Language>>,
    /// Its topics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
    /// The licence's SPDX id, or its name where it has none.
    pub license: Option<String>,
    /// Whether it is a fork.
    #[serde(deserialize_with = "lenient")]
    pub is_fork: bool,
    /// Whether it is archived.
    #[serde(deserialize_with = "lenient")]
    pub is_archived: bool,
    /// Whether it is private, or internal to an enterprise: not for everybody.
    #[serde(deserialize_with = "lenient")]
    pub is_private: bool,
    /// When something was last pushed.
    pub pushed_at: Option<Time>,
    /// When anything of it last changed.
    pub updated_at: Option<Time>,
    /// When it was made.
    pub created_at: Option<Time>,
    /// Its latest release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_release: Option<Release>,
}

/// A language and how much of a repository is written in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Language {
    /// Its name.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// Bytes.
    #[serde(deserialize_with = "lenient")]
    pub size: u64,
    /// Its colour, `#rrggbb`.
    pub color: Option<String>,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Release {
    /// The tag it was made of.
    #[serde(deserialize_with = "lenient")]
    pub tag: String,
    /// Its title.
    pub name: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// When it was published.
    pub published_at: Option<Time>,
}

/// Repositories as a table.
pub const REPOSITORIES: ViewSpec = ViewSpec {
    kind: REPOSITORY,
    view: "repositories",
    columns: &[
        column("full_name", ColumnType::Text),
        indexed("name", ColumnType::Text),
        column("owner", ColumnType::Text),
        column("host", ColumnType::Text),
        column("description", ColumnType::Text),
        column("url", ColumnType::Text),
        column("homepage_url", ColumnType::Text),
        indexed("stars", ColumnType::Integer),
        column("forks", ColumnType::Integer),
        column("open_issues", ColumnType::Integer),
        indexed("language", ColumnType::Text),
        column("languages", ColumnType::Json),
        column("topics", ColumnType::List),
        column("license", ColumnType::Text),
        column("is_fork", ColumnType::Boolean),
        column("is_archived", ColumnType::Boolean),
        column("is_private", ColumnType::Boolean),
        column("pushed_at", ColumnType::Time),
        indexed("updated_at", ColumnType::Time),
        column("created_at", ColumnType::Time),
        column("latest_release", ColumnType::Json),
    ],
    title: "name",
    // The owner is in the full name, as which people type a repository.
    words: &["full_name", "description", "topics", "language"],
};

impl Repository {
    /// Its identity: `host/owner/name`, lower-cased.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.host, self.owner, self.name).to_lowercase()
    }

    /// Its languages, largest first; none where they are unknown.
    pub fn languages(&self) -> &[Language] {
        self.languages.as_deref().unwrap_or_default()
    }

    /// Its topics; none where they are unknown.
    pub fn topics(&self) -> &[String] {
        self.topics.as_deref().unwrap_or_default()
    }

    /// Who may see it: everybody, or those who may read this very repository.
    pub fn scope(&self) -> Scope {
        if self.is_private { Scope::Repo(self.id().into()) } else { Scope::Public }
    }

    /// The repository as a fetch brings it. Fails only if it cannot be written as JSON.
    pub fn item(&self, coverage: Coverage) -> Result<NewItem, serde_json::Error> {
        Ok(NewItem {
            of: ItemRef::new(REPOSITORY, self.id()),
            scope: self.scope(),
            doc: Json::encode(self)?,
            coverage,
        })
    }
}

#[cfg(test)]
mod tests {
    use larder_core::merge_docs;
    use serde_json::{Value, json};

    use super::*;

    fn cinder() -> Repository {
        Repository {
            name: "Cinder".to_owned(),
            owner: "Octo-Org".to_owned(),
            full_name: "Octo-Org/Cinder".to_owned(),
            host: "github.com".to_owned(),
            description: Some("Parses things".to_owned()),
            stars: 7,
            language: Some("Rust".to_owned()),
            topics: Some(vec!["parser".to_owned()]),
            ..Repository::default()
        }
    }

    #[test]
    fn names_scopes_and_search_words_follow_from_the_document() {
        let public = cinder();
        assert_eq!(public.id(), "github.com/octo-org/cinder");
        assert_eq!(public.scope(), Scope::Public);
        let doc = serde_json::to_string(&public).unwrap();
        let found_by = REPOSITORIES.found_by(&doc);
        assert_eq!(
            (&*found_by.title, &*found_by.words),
            ("Cinder", "Octo-Org/Cinder Parses things parser Rust")
        );
        let private = Repository { is_private: true, ..cinder() };
        assert_eq!(private.scope().to_string(), "repo:github.com/octo-org/cinder");
    }

    #[test]
    fn any_object_can_be_read() {
        let empty: Repository = serde_json::from_value(json!({})).unwrap();
        assert_eq!(empty, Repository::default());
        let nulls = json!({"name": null, "stars": null, "is_fork": null, "languages": null, "new": 1});
        assert_eq!(serde_json::from_value::<Repository>(nulls).unwrap(), Repository::default());
    }

    #[test]
    fn a_poorer_answer_clears_what_it_knows_and_leaves_what_it_cannot_know() {
        let rich = Repository {
            open_issues: Some(3),
            languages: Some(vec![Language { name: "Rust".into(), size: 9, color: None }]),
            latest_release: Some(Release { tag: "v1".into(), ..Release::default() }),
            ..cinder()
        };
        let poor = Repository { description: None, stars: 8, ..cinder() };
        let rich = rich.item(Coverage::Whole).unwrap();
        let poor = poor.item(Coverage::Partial).unwrap();
        let merged: Repository = merge_docs(&rich.doc, &poor.doc).decode().unwrap();
        assert_eq!((merged.stars, merged.description.as_deref()), (8, None));
        assert_eq!(merged.open_issues, Some(3));
        assert_eq!(merged.languages().len(), 1);
        assert_eq!(merged.latest_release.map(|release| release.tag).as_deref(), Some("v1"));
    }

    #[test]
    fn every_column_of_the_view_is_a_field() {
        let full = Repository {
            open_issues: Some(0),
            languages: Some(Vec::new()),
            latest_release: Some(Release::default()),
            ..cinder()
        };
        let Value::Object(fields) = serde_json::to_value(full).unwrap() else { panic!("an object") };
        for column in REPOSITORIES.columns {
            assert!(fields.contains_key(column.name), "{}", column.name);
        }
    }
}
