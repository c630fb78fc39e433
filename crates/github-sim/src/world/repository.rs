//! One repository as GitHub keeps it: everything Larder asks for, and what a test may want to change.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::colours::colour_of;
use super::ids;

/// One repository. Build one with [`Repository::new`] and set the fields that matter:
///
/// ```
/// use larder_github_sim::Repository;
/// let cinder = Repository { stars: 1_200, ..Repository::new("octo-org/cinder") };
/// assert_eq!(cinder.name(), "cinder");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "GitHub's own independent flags")]
pub struct Repository {
    /// `owner/name`, in the case it is shown in; looked up without regard to case.
    pub full_name: String,
    /// `databaseId` in GraphQL, `id` in REST; 0 until the world gives it one. At most 2³¹ − 1.
    pub id: u64,
    /// The opaque global id; empty until the world gives it one.
    pub node_id: String,
    /// The line under the name.
    pub description: Option<String>,
    /// The page for people.
    pub url: String,
    /// The project's own site.
    pub homepage: Option<String>,
    /// Stargazers.
    pub stars: u64,
    /// Forks.
    pub forks: u64,
    /// Open issues, as GraphQL counts them: without pull requests.
    pub open_issues: u64,
    /// Open pull requests; REST's `open_issues_count` adds them to the issues.
    pub open_pull_requests: u64,
    /// The primary language.
    pub language: Option<String>,
    /// All languages, in no order that a client may lean on.
    pub languages: Vec<Language>,
    /// Topics.
    pub topics: Vec<String>,
    /// The licence GitHub recognised.
    pub license: Option<License>,
    /// Made by forking another.
    pub is_fork: bool,
    /// Read-only.
    pub is_archived: bool,
    /// Whether it has issues at all. Where they are switched off REST answers 410, and GraphQL has none.
    pub has_issues: bool,
    /// Seen by chosen tokens alone.
    pub is_private: bool,
    /// Switched off by GitHub (the `disabled` flag), still readable.
    pub is_disabled: bool,
    /// Taken down: answered by a refusal, though lists still name it.
    pub blocked: Option<Block>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
    /// The last push; none for an empty repository.
    pub pushed_at: Option<Timestamp>,
    /// The newest release that is neither a draft nor a pre-release.
    pub latest_release: Option<Release>,
    /// The branch shown first; empty = it was removed, or was never there.
    pub default_branch: String,
}

/// One language of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// Its name, as GitHub spells it.
    pub name: String,
    /// Its colour, `#rrggbb`; none for a few.
    pub color: Option<String>,
    /// Bytes of code.
    pub size: u64,
}

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct License {
    /// `mit`, `apache-2.0`, `other`.
    pub key: String,
    /// `MIT License`.
    pub name: String,
    /// `MIT`; `NOASSERTION` for one GitHub could not tell.
    pub spdx_id: Option<String>,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The tag, `v1.2.0`.
    pub tag_name: String,
    /// Its title.
    pub name: Option<String>,
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// Whether it is marked as a pre-release.
    pub is_prerelease: bool,
}

/// Why a repository is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A copyright claim: REST answers 451.
    Dmca,
    /// A breach of the terms of service: REST answers 403.
    Tos,
}

impl Repository {
    /// A public, empty-handed repository of this name, made on 2024-01-01 and pushed to on 2026-01-01.
    pub fn new(full_name: &str) -> Self {
        let made = Timestamp::constant(1_704_067_200, 0);
        let pushed = Timestamp::constant(1_767_225_600, 0);
        Self {
            full_name: full_name.to_owned(),
            id: 0,
            node_id: String::new(),
            description: None,
            url: format!("https://github.com/{full_name}"),
            homepage: None,
            stars: 0,
            forks: 0,
            open_issues: 0,
            open_pull_requests: 0,
            language: None,
            languages: Vec::new(),
            topics: Vec::new(),
            license: None,
            is_fork: false,
            is_archived: false,
            has_issues: true,
            is_private: false,
            is_disabled: false,
            blocked: None,
            created_at: made,
            updated_at: pushed,
            pushed_at: Some(pushed),
            latest_release: None,
            default_branch: "main".to_owned(),
        }
    }

    /// Sets the languages by name and bytes; the largest becomes the primary one, colours are GitHub's.
    #[must_use]
    pub fn with_languages(mut self, sizes: &[(&str, u64)]) -> Self {
        self.languages = sizes.iter().map(|(name, size)| Language::new(name, *size)).collect();
        self.language = sizes.iter().max_by_key(|(_, size)| *size).map(|(name, _)| (*name).to_owned());
        self
    }

    /// The part before the slash.
    pub fn owner(&self) -> &str {
        self.full_name.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.full_name.split_once('/').map_or(self.full_name.as_str(), |(_, name)| name)
    }

    /// Gives it the identity it lacks.
    pub(super) fn identified(mut self, number: u64) -> Self {
        if self.id == 0 {
            self.id = number;
        }
        if self.node_id.is_empty() {
            self.node_id = ids::node_id("R", self.id);
        }
        self
    }
}

impl Language {
    /// A language of this many bytes, in GitHub's colour.
    pub fn new(name: &str, size: u64) -> Self {
        Self { name: name.to_owned(), color: colour_of(name).map(str::to_owned), size }
    }
}

impl License {
    /// A licence by its SPDX id, with the key and name GitHub uses for the common ones.
    pub fn spdx(id: &str) -> Self {
        let name = match id {
            "MIT" => "MIT License",
            "Apache-2.0" => "Apache License 2.0",
            "GPL-3.0" => "GNU General Public License v3.0",
            "AGPL-3.0" => "GNU Affero General Public License v3.0",
            "BSD-3-Clause" => "BSD 3-Clause \"New\" or \"Revised\" License",
            "MPL-2.0" => "Mozilla Public License 2.0",
            "ISC" => "ISC License",
            "NOASSERTION" => "Other",
            other => other,
        };
        let key = if id == "NOASSERTION" { "other".to_owned() } else { id.to_ascii_lowercase() };
        Self { key, name: name.to_owned(), spdx_id: Some(id.to_owned()) }
    }
}
