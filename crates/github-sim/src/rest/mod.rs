//! REST: the addresses Larder asks, with GitHub's redirects, refusals, pages and validators.

mod cursors;
mod git;
mod issues;
mod list;
mod shapes;

use std::sync::Arc;

use axum::http::{Method, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::answer::{Answer, NOT_ACCESSIBLE, http_date, not_found, refusal};
use crate::arrival::Arrival;
use crate::world::{Block, OwnerKind, Permission, Repository, Token, World, ids};

/// What one request may see, and the address its links start with.
pub(crate) struct View {
    pub(crate) world: Arc<World>,
    pub(crate) token: Option<Token>,
    /// The simulator's own address with the layout's prefix.
    pub(crate) base: String,
    /// Whether it is asked as an Enterprise Server.
    pub(crate) is_enterprise: bool,
}

impl View {
    /// Answers a request; the budget and the common headers are not its concern.
    pub(crate) fn answer(&self, arrival: &Arrival) -> Answer {
        if arrival.method != Method::GET && arrival.method != Method::HEAD {
            return not_found();
        }
        let segments: Vec<&str> = arrival.segments.iter().map(String::as_str).collect();
        let found = match segments.as_slice() {
            [] => Found::now(json!({"current_user_url": format!("{}/user", self.base),
                "rate_limit_url": format!("{}/rate_limit", self.base)})),
            ["user"] => self.user(),
            ["users", login] => self.owner(login, None),
            ["orgs", login] => self.owner(login, Some(OwnerKind::Organization)),
            ["users" | "orgs" | "user" | "organizations", who, "repos"] => {
                self.list(segments[0], who, &arrival.query)
            }
            ["repos", owner, name, rest @ ..] => self.named(&format!("{owner}/{name}"), rest, &arrival.query),
            ["repositories", id, rest @ ..] => self.numbered(id, rest, &arrival.query),
            _ => Err(not_found()),
        };
        found.map_or_else(|refused| refused, |found| self.validated(arrival, found))
    }

    fn shows(&self, repository: &Repository) -> bool {
        World::shown(self.token.as_ref(), repository)
    }

    fn user(&self) -> Result<Found, Answer> {
        let Some(token) = &self.token else { return Err(refusal(401, "Requires authentication")) };
        let known = self.world.owner(&token.login).cloned();
        let owner = known.unwrap_or_else(|| crate::world::Owner::user(&token.login));
        Found::now(shapes::account(&owner, &self.base, self.world.repositories_of(&owner.login).count()))
    }

    fn owner(&self, login: &str, kind: Option<OwnerKind>) -> Result<Found, Answer> {
        let owner = self.world.owner(login).filter(|owner| kind.is_none_or(|kind| owner.kind == kind));
        let owner = owner.ok_or_else(not_found)?;
        let public = self.world.repositories_of(login).filter(|one| !one.is_private).count();
        Found::now(shapes::account(owner, &self.base, public))
    }

    fn named(&self, full_name: &str, rest: &[&str], query: &[(String, String)]) -> Result<Found, Answer> {
        let repository =
            self.world.repository(full_name).filter(|one| self.shows(one)).ok_or_else(not_found)?;
        if !repository.full_name.eq_ignore_ascii_case(full_name) {
            return Err(self.moved(repository, rest));
        }
        self.part(repository, rest, query)
    }

    fn numbered(&self, id: &str, rest: &[&str], query: &[(String, String)]) -> Result<Found, Answer> {
        let repository = id.parse().ok().and_then(|id| self.world.repository_by_id(id));
        self.part(repository.filter(|one| self.shows(one)).ok_or_else(not_found)?, rest, query)
    }

    fn part(
        &self,
        repository: &Repository,
        rest: &[&str],
        query: &[(String, String)],
    ) -> Result<Found, Answer> {
        if let Some(block) = repository.blocked {
            return Err(blocked(block));
        }
        let wanted = match rest {
            ["issues"] => Some(Permission::Issues),
            ["git" | "releases", ..] => Some(Permission::Contents),
            _ => None,
        };
        if wanted.is_some_and(|part| !World::lets_read(self.token.as_ref(), repository, part)) {
            return Err(refusal(403, NOT_ACCESSIBLE));
        }
        match rest {
            [] => Ok(Found {
                body: shapes::repository(&self.world, repository, &self.base, self.token.is_some()),
                modified: Some(repository.updated_at),
                link: None,
            }),
            ["languages"] => Found::now(shapes::languages(repository)),
            ["issues"] => self.issues(repository, query),
            ["git", "trees", of] => self.tree(repository, of, query),
            ["git", "blobs", sha] => self.blob(repository, sha),
            ["topics"] => Found::now(json!({"names": repository.topics})),
            ["releases", "latest"] => {
                let release = repository.latest_release.as_ref().filter(|release| !release.is_prerelease);
                Found::now(shapes::release(repository, release.ok_or_else(not_found)?, &self.base))
            }
            _ => Err(not_found()),
        }
    }

    /// A renamed repository lives at the address of its number.
    fn moved(&self, repository: &Repository, rest: &[&str]) -> Answer {
        let mut url = format!("{}/repositories/{}", self.base, repository.id);
        for part in rest {
            url.push('/');
            url.push_str(part);
        }
        let docs =
            "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects";
        Answer::json(301, &json!({"message": "Moved Permanently", "url": url, "documentation_url": docs}))
            .with("location", url)
    }

    /// Adds the validators, and answers 304 when the client's copy still holds.
    fn validated(&self, arrival: &Arrival, found: Found) -> Answer {
        let mut answer = Answer::json(200, &found.body);
        let reader = self.token.as_ref().map_or("", |token| token.login.as_str());
        let etag = format!("W/\"{:016x}\"", ids::digest(&[reader.as_bytes(), &answer.body].concat()));
        if unchanged(arrival, &etag, found.modified) {
            answer.status = 304;
            answer.body.clear();
            answer.headers.clear();
        }
        let private = if self.token.is_some() { "private" } else { "public" };
        let mut answer =
            answer.with("etag", etag).with("cache-control", format!("{private}, max-age=60, s-maxage=60"));
        if let Some(modified) = found.modified {
            answer = answer.with("last-modified", http_date(modified));
        }
        match found.link {
            Some(link) => answer.with("link", link),
            None => answer,
        }
    }
}

/// A good answer before its validators.
struct Found {
    body: Value,
    modified: Option<Timestamp>,
    link: Option<String>,
}

impl Found {
    #[expect(clippy::unnecessary_wraps, reason = "every arm of the routing gives a result")]
    fn now(body: Value) -> Result<Self, Answer> {
        Ok(Self { body, modified: None, link: None })
    }
}

/// Compares weakly, as GitHub does; a tag given outweighs a date given.
fn unchanged(arrival: &Arrival, etag: &str, modified: Option<Timestamp>) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    if let Some(held) = arrival.header(header::IF_NONE_MATCH) {
        return held.trim() == "*" || held.split(',').any(|tag| opaque(tag) == opaque(etag));
    }
    let since = arrival.header(header::IF_MODIFIED_SINCE).and_then(parse_http_date);
    since.zip(modified).is_some_and(|(since, modified)| modified.as_second() <= since.as_second())
}

fn parse_http_date(text: &str) -> Option<Timestamp> {
    let at = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text.trim()).ok()?;
    at.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp())
}

/// What a repository that was taken down is answered with.
pub(crate) fn blocked(block: Block) -> Answer {
    let (status, reason, url) = match block {
        Block::Dmca => {
            (451, "dmca", "https://github.com/github/dmca/blob/master/2026/01/2026-01-01-example.md")
        }
        Block::Tos => (403, "tos", "https://github.com/tos"),
    };
    let block = json!({"reason": reason, "created_at": "2026-01-02T00:00:00Z", "html_url": url});
    Answer::json(status, &json!({"message": "Repository access blocked", "block": block}))
}
