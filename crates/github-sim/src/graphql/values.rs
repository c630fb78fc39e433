//! The plain types of GitHub's schema: scalars, enums, input objects and objects without arguments.

use async_graphql::{Enum, ID, InputObject, SimpleObject, scalar};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::answer::github_time;
use crate::world::{self, ids};

/// An address.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Uri(pub(crate) String);
scalar!(Uri, "URI");

/// The name of a git object.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct GitObjectId(pub(crate) String);
scalar!(GitObjectId, "GitObjectID");

/// A time in whole seconds, UTC.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct DateTime(String);
scalar!(DateTime, "DateTime");

impl DateTime {
    /// The instant, if it is one.
    pub(crate) fn instant(&self) -> Option<Timestamp> {
        self.0.parse().ok()
    }
}

impl From<Timestamp> for DateTime {
    fn from(at: Timestamp) -> Self {
        Self(github_time(at))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderDirection {
    Asc,
    Desc,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum LanguageOrderField {
    Size,
}

#[derive(Clone, Copy, InputObject)]
pub(crate) struct LanguageOrder {
    pub(crate) field: LanguageOrderField,
    pub(crate) direction: OrderDirection,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum RepositoryOrderField {
    CreatedAt,
    Name,
    PushedAt,
    Stargazers,
    UpdatedAt,
}

#[derive(Clone, Copy, InputObject)]
pub(crate) struct RepositoryOrder {
    pub(crate) field: RepositoryOrderField,
    pub(crate) direction: OrderDirection,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum RepositoryAffiliation {
    Collaborator,
    OrganizationMember,
    Owner,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum RepositoryPrivacy {
    Private,
    Public,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum RepositoryVisibility {
    Internal,
    Private,
    Public,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum IssueState {
    Closed,
    Open,
}

#[derive(Clone, SimpleObject)]
pub(crate) struct Language {
    id: ID,
    name: String,
    color: Option<String>,
}

impl Language {
    pub(crate) fn new(name: &str, color: Option<&str>) -> Self {
        let id = ids::node_id("LANG", ids::number_of(name));
        Self { id: ID(id), name: name.to_owned(), color: color.map(str::to_owned) }
    }
}

#[derive(Clone, SimpleObject)]
pub(crate) struct LanguageEdge {
    pub(crate) cursor: String,
    pub(crate) node: Language,
    pub(crate) size: i32,
}

#[derive(SimpleObject)]
pub(crate) struct LanguageConnection {
    pub(crate) edges: Option<Vec<Option<LanguageEdge>>>,
    pub(crate) nodes: Option<Vec<Option<Language>>>,
    pub(crate) page_info: PageInfo,
    pub(crate) total_count: i32,
    pub(crate) total_size: i32,
}

#[derive(Clone, SimpleObject)]
pub(crate) struct Topic {
    pub(crate) id: ID,
    pub(crate) name: String,
}

#[derive(Clone, SimpleObject)]
pub(crate) struct RepositoryTopic {
    pub(crate) id: ID,
    pub(crate) topic: Topic,
    pub(crate) url: Uri,
}

impl RepositoryTopic {
    pub(crate) fn new(name: &str) -> Self {
        let number = ids::number_of(name);
        let topic = Topic { id: ID(ids::node_id("T", number)), name: name.to_owned() };
        Self {
            id: ID(ids::node_id("RT", number)),
            topic,
            url: Uri(format!("https://github.com/topics/{name}")),
        }
    }
}

#[derive(Clone, SimpleObject)]
pub(crate) struct RepositoryTopicEdge {
    pub(crate) cursor: String,
    pub(crate) node: Option<RepositoryTopic>,
}

#[derive(SimpleObject)]
pub(crate) struct RepositoryTopicConnection {
    pub(crate) edges: Option<Vec<Option<RepositoryTopicEdge>>>,
    pub(crate) nodes: Option<Vec<Option<RepositoryTopic>>>,
    pub(crate) page_info: PageInfo,
    pub(crate) total_count: i32,
}

/// Stargazers are counted, never listed.
#[derive(SimpleObject)]
pub(crate) struct StargazerConnection {
    pub(crate) total_count: i32,
}

#[derive(Clone, Default, SimpleObject)]
pub(crate) struct PageInfo {
    pub(crate) end_cursor: Option<String>,
    pub(crate) has_next_page: bool,
    pub(crate) has_previous_page: bool,
    pub(crate) start_cursor: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct License {
    id: ID,
    key: String,
    name: String,
    spdx_id: Option<String>,
    url: Option<Uri>,
}

impl From<&world::License> for License {
    fn from(license: &world::License) -> Self {
        Self {
            id: ID(ids::node_id("L", ids::number_of(&license.key))),
            key: license.key.clone(),
            name: license.name.clone(),
            spdx_id: license.spdx_id.clone(),
            url: Some(Uri(format!("http://choosealicense.com/licenses/{}/", license.key))),
        }
    }
}

#[derive(SimpleObject)]
pub(crate) struct Release {
    id: ID,
    tag_name: String,
    name: Option<String>,
    published_at: Option<DateTime>,
    created_at: DateTime,
    url: Uri,
    is_draft: bool,
    is_latest: bool,
    is_prerelease: bool,
}

impl Release {
    pub(crate) fn of(repository: &world::Repository, release: &world::Release) -> Self {
        Self {
            id: ID(ids::node_id(
                "RE",
                ids::number_of(&format!("{}@{}", repository.full_name, release.tag_name)),
            )),
            tag_name: release.tag_name.clone(),
            name: release.name.clone(),
            published_at: release.published_at.map(DateTime::from),
            created_at: release.published_at.unwrap_or(repository.created_at).into(),
            url: Uri(format!("{}/releases/tag/{}", repository.url, release.tag_name)),
            is_draft: false,
            is_latest: true,
            is_prerelease: release.is_prerelease,
        }
    }
}

#[derive(Clone, SimpleObject)]
pub(crate) struct RateLimit {
    pub(crate) cost: i32,
    pub(crate) limit: i32,
    pub(crate) node_count: i32,
    pub(crate) remaining: i32,
    pub(crate) reset_at: DateTime,
    pub(crate) used: i32,
}

/// A count as GraphQL's 32-bit integer.
pub(crate) fn int(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
