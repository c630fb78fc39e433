//! JSON bodies in REST's own words.

use serde_json::{Map, Value, json};

use crate::answer::github_time;
use crate::world::{Owner, OwnerKind, Release, Repository, World};

/// A repository at its own address: what lists say, and a little more.
pub(super) fn repository(world: &World, one: &Repository, base: &str, authorised: bool) -> Value {
    let mut body = repository_in_list(world, one, base, authorised);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("network_count".to_owned(), json!(one.forks));
        fields.insert("subscribers_count".to_owned(), json!(one.stars / 20));
        if world.owner(one.owner()).is_some_and(|owner| owner.kind == OwnerKind::Organization) {
            let owner = fields.get("owner").cloned().unwrap_or(Value::Null);
            fields.insert("organization".to_owned(), owner);
        }
    }
    body
}

/// A repository in a list.
pub(super) fn repository_in_list(world: &World, one: &Repository, base: &str, authorised: bool) -> Value {
    let api = format!("{base}/repos/{}", one.full_name);
    let issues = world.open_issues(one) + one.open_pull_requests;
    let mut body = json!({
        "id": one.id, "node_id": one.node_id, "name": one.name(), "full_name": one.full_name,
        "private": one.is_private,
        "owner": world.owner(one.owner()).map(|owner| simple_account(owner, base)),
        "html_url": one.url, "description": one.description, "fork": one.is_fork, "url": api,
        "languages_url": format!("{api}/languages"), "releases_url": format!("{api}/releases{{/id}}"),
        "created_at": github_time(one.created_at), "updated_at": github_time(one.updated_at),
        "pushed_at": one.pushed_at.map(github_time),
        "homepage": one.homepage,
        "size": one.languages.iter().map(|language| language.size).sum::<u64>() / 1_024,
        "stargazers_count": one.stars, "watchers_count": one.stars, "language": one.language,
        "has_issues": one.has_issues, "forks_count": one.forks, "mirror_url": null,
        "archived": one.is_archived, "disabled": one.is_disabled,
        "open_issues_count": issues,
        "license": one.license.as_ref().map(|license| json!({"key": license.key, "name": license.name,
            "spdx_id": license.spdx_id, "url": format!("{base}/licenses/{}", license.key)})),
        "allow_forking": true, "is_template": false, "topics": one.topics,
        "visibility": if one.is_private { "private" } else { "public" },
        "forks": one.forks, "open_issues": issues, "watchers": one.stars, "default_branch": one.default_branch,
    });
    if authorised && let Some(fields) = body.as_object_mut() {
        let permissions =
            json!({"admin": false, "maintain": false, "push": false, "triage": false, "pull": true});
        fields.insert("permissions".to_owned(), permissions);
    }
    body
}

/// A user or organisation at its own address.
pub(super) fn account(owner: &Owner, base: &str, public_repositories: usize) -> Value {
    let mut body = simple_account(owner, base);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("name".to_owned(), json!(owner.name));
        fields.insert("public_repos".to_owned(), json!(public_repositories));
        fields.insert("created_at".to_owned(), json!("2020-01-01T00:00:00Z"));
    }
    body
}

fn simple_account(owner: &Owner, base: &str) -> Value {
    json!({
        "login": owner.login, "id": owner.id, "node_id": owner.node_id(),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{}?v=4", owner.id),
        "url": format!("{base}/users/{}", owner.login), "html_url": format!("https://github.com/{}", owner.login),
        "repos_url": format!("{base}/users/{}/repos", owner.login), "type": owner.kind.to_string(),
        "site_admin": false,
    })
}

/// Bytes by language, largest first.
pub(super) fn languages(one: &Repository) -> Value {
    let mut languages: Vec<_> = one.languages.iter().collect();
    languages.sort_by_key(|language| std::cmp::Reverse(language.size));
    let sizes: Map<String, Value> =
        languages.into_iter().map(|language| (language.name.clone(), json!(language.size))).collect();
    Value::Object(sizes)
}

/// The latest release.
pub(super) fn release(one: &Repository, release: &Release, base: &str) -> Value {
    json!({
        "url": format!("{base}/repos/{}/releases/1", one.full_name),
        "html_url": format!("{}/releases/tag/{}", one.url, release.tag_name),
        "tag_name": release.tag_name, "name": release.name, "draft": false, "prerelease": release.is_prerelease,
        "published_at": release.published_at.map(github_time),
        "created_at": release.published_at.map(github_time),
    })
}
