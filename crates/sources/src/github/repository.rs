//! GitHub's two forms of a repository, and what is kept of them.

use larder_core::Time;
use larder_domain::{Language, Release, Repository};
use serde::Deserialize;

/// A repository as GraphQL answers the fragment `Repo`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    name: String,
    pub(super) name_with_owner: String,
    owner: Owner,
    description: Option<String>,
    url: String,
    homepage_url: Option<String>,
    stargazer_count: u64,
    fork_count: u64,
    /// `None` where it was not asked for.
    pub(super) issues: Option<Count>,
    primary_language: Option<Named>,
    languages: Option<Edges>,
    repository_topics: Nodes,
    license_info: Option<Licence>,
    is_fork: bool,
    is_archived: bool,
    is_private: bool,
    pushed_at: Option<Time>,
    updated_at: Option<Time>,
    created_at: Option<Time>,
    latest_release: Option<ReleaseNode>,
}

#[derive(Debug, Deserialize)]
struct Owner {
    login: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Count {
    total_count: u64,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    color: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Edges {
    edges: Option<Vec<Option<Edge>>>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    size: u64,
    node: Named,
}

#[derive(Debug, Deserialize)]
struct Nodes {
    nodes: Option<Vec<Option<Tagged>>>,
}

#[derive(Debug, Deserialize)]
struct Tagged {
    topic: Topic,
}

#[derive(Debug, Deserialize)]
struct Topic {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Licence {
    #[serde(alias = "spdxId")]
    spdx_id: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseNode {
    tag_name: String,
    name: Option<String>,
    url: Option<String>,
    published_at: Option<Time>,
}

impl Node {
    /// What is kept of it.
    pub(super) fn keep(self, host: &str) -> Repository {
        let languages = self.languages.and_then(|languages| languages.edges).unwrap_or_default();
        let languages = languages.into_iter().flatten().map(|edge| Language {
            name: edge.node.name,
            size: edge.size,
            color: edge.node.color,
        });
        let topics = self.repository_topics.nodes.unwrap_or_default();
        let (language, language_color) = match self.primary_language {
            Some(Named { name, color }) => (Some(name), color),
            None => (None, None),
        };
        Repository {
            name: self.name,
            owner: self.owner.login,
            full_name: self.name_with_owner,
            host: host.to_owned(),
            description: said(self.description),
            url: self.url,
            homepage_url: said(self.homepage_url),
            stars: self.stargazer_count,
            forks: self.fork_count,
            open_issues: self.issues.map(|issues| issues.total_count),
            language,
            language_color,
            languages: Some(languages.collect()),
            topics: Some(topics.into_iter().flatten().map(|tagged| tagged.topic.name).collect()),
            license: self.license_info.and_then(Licence::keep),
            is_fork: self.is_fork,
            is_archived: self.is_archived,
            is_private: self.is_private,
            pushed_at: self.pushed_at,
            updated_at: self.updated_at,
            created_at: self.created_at,
            latest_release: self.latest_release.map(|release| Release {
                tag: release.tag_name,
                name: said(release.name),
                url: release.url,
                published_at: release.published_at,
            }),
        }
    }
}

/// A repository as REST answers it. It knows neither the languages' shares nor releases, and its
/// count of issues includes pull requests: those are left out.
#[derive(Debug, Deserialize)]
pub(super) struct RestNode {
    name: String,
    full_name: String,
    owner: Owner,
    description: Option<String>,
    html_url: String,
    homepage: Option<String>,
    stargazers_count: u64,
    forks_count: u64,
    language: Option<String>,
    topics: Option<Vec<String>>,
    license: Option<Licence>,
    #[serde(default)]
    fork: bool,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    private: bool,
    pushed_at: Option<Time>,
    updated_at: Option<Time>,
    created_at: Option<Time>,
}

impl RestNode {
    /// What is kept of it.
    pub(super) fn keep(self, host: &str) -> Repository {
        Repository {
            name: self.name,
            owner: self.owner.login,
            full_name: self.full_name,
            host: host.to_owned(),
            description: said(self.description),
            url: self.html_url,
            homepage_url: said(self.homepage),
            stars: self.stargazers_count,
            forks: self.forks_count,
            open_issues: None,
            language: self.language,
            language_color: None,
            languages: None,
            topics: self.topics,
            license: self.license.and_then(Licence::keep),
            is_fork: self.fork,
            is_archived: self.archived,
            is_private: self.private,
            pushed_at: self.pushed_at,
            updated_at: self.updated_at,
            created_at: self.created_at,
            latest_release: None,
        }
    }
}

impl Licence {
    /// The SPDX id; GitHub says `NOASSERTION` of a licence that it does not know.
    fn keep(self) -> Option<String> {
        said(self.spdx_id).filter(|id| id != "NOASSERTION").or(said(self.name))
    }
}

/// GitHub writes "nothing" as `null` in one place and as an empty text in another.
fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node() -> serde_json::Value {
        json!({
            "name": "Cinder", "nameWithOwner": "Octo-Org/Cinder", "owner": {"login": "Octo-Org"},
            "description": "Parses things", "url": "https://github.com/Octo-Org/Cinder", "homepageUrl": "",
            "stargazerCount": 7, "forkCount": 2, "issues": {"totalCount": 3},
            "primaryLanguage": {"name": "Rust", "color": "#dea584"},
            "languages": {"edges": [{"size": 9, "node": {"name": "Rust", "color": "#dea584"}}]},
            "repositoryTopics": {"nodes": [{"topic": {"name": "parser"}}]},
            "licenseInfo": {"spdxId": "MIT", "name": "MIT License"},
            "isFork": false, "isArchived": true, "isPrivate": false,
            "pushedAt": "2026-01-02T03:04:05Z", "updatedAt": "2026-01-02T03:04:05Z",
            "createdAt": "2020-01-01T00:00:00Z",
            "latestRelease": {"tagName": "v1", "name": "", "url": "https://x", "publishedAt": null},
        })
    }

    #[test]
    fn both_forms_keep_the_same_of_what_both_know() {
        let rich: Node = serde_json::from_value(node()).unwrap();
        let poor: RestNode = serde_json::from_value(json!({
            "id": 1, "name": "Cinder", "full_name": "Octo-Org/Cinder", "owner": {"login": "Octo-Org", "id": 1},
            "description": "Parses things", "html_url": "https://github.com/Octo-Org/Cinder", "homepage": null,
            "stargazers_count": 7, "forks_count": 2, "open_issues_count": 5, "language": "Rust",
            "topics": ["parser"], "license": {"key": "mit", "spdx_id": "MIT", "name": "MIT License"},
            "fork": false, "archived": true, "private": false, "pushed_at": "2026-01-02T03:04:05Z",
            "updated_at": "2026-01-02T03:04:05Z", "created_at": "2020-01-01T00:00:00Z",
        }))
        .unwrap();
        let rich = rich.keep("github.com");
        let poor = poor.keep("github.com");
        assert_eq!((rich.open_issues, rich.languages().len()), (Some(3), 1));
        let less = Repository {
            open_issues: None,
            language_color: None,
            languages: None,
            latest_release: None,
            ..rich
        };
        assert_eq!(poor, less);
    }

    #[test]
    fn nothing_is_nothing_however_it_is_written() {
        let mut sparse = node();
        for field in
            ["description", "primaryLanguage", "languages", "licenseInfo", "latestRelease", "pushedAt"]
        {
            sparse[field] = serde_json::Value::Null;
        }
        let kept = serde_json::from_value::<Node>(sparse).unwrap().keep("github.com");
        assert_eq!((kept.homepage_url, kept.description, kept.license), (None, None, None));
        assert_eq!((kept.languages, kept.language, kept.latest_release), (Some(Vec::new()), None, None));
    }

    #[test]
    fn a_licence_without_an_spdx_id_is_called_by_its_name() {
        let mut other = node();
        other["licenseInfo"] = json!({"spdxId": "NOASSERTION", "name": "Other"});
        let kept = serde_json::from_value::<Node>(other).unwrap().keep("github.com");
        assert_eq!(kept.license.as_deref(), Some("Other"));
    }
}
