//! Reads GraphQL answers: what each alias says, and which of GitHub's errors is about what. An
//! answer that is there only in part never passes for a whole one.

use larder_core::{Absence, FetchError, Time};
use larder_domain::RepoName;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::GitHub;
use super::call::{Judged, Reply, Verdict};
use super::limits::RateHeaders;
use super::listing::Found;
use super::repository::Node;

/// What came back on a query: data, and errors about parts of it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Envelope {
    pub(super) data: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) errors: Option<Vec<Problem>>,
}

/// One of GitHub's errors.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    message: String,
    path: Option<Vec<Value>>,
    extensions: Option<Extensions>,
}

#[derive(Debug, Deserialize)]
struct Extensions {
    #[serde(alias = "code", rename = "type")]
    kind: Option<String>,
}

/// What a GraphQL query's field `rateLimit` says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RateLimitField {
    limit: u32,
    cost: u32,
    remaining: u32,
    reset_at: Option<Time>,
}

impl Problem {
    /// GitHub's word for it, or nothing.
    pub(super) fn kind(&self) -> &str {
        let inner = self.extensions.as_ref().and_then(|extensions| extensions.kind.as_deref());
        self.kind.as_deref().or(inner).unwrap_or_default()
    }

    fn is_rate_limit(&self) -> bool {
        matches!(self.kind(), "RATE_LIMITED" | "RATE_LIMIT")
    }

    fn is_resource_limit(&self) -> bool {
        let kind = self.kind();
        kind.starts_with("RESOURCE_LIMIT") || kind.starts_with("MAX_NODE_LIMIT")
    }

    /// Whether it is about all of one alias or field, not about something within it.
    fn is_about(&self, field: &str) -> bool {
        matches!(self.path.as_deref(), Some([Value::String(name)]) if name == field)
    }

    fn is_within(&self, field: &str) -> bool {
        matches!(self.path.as_deref(), Some([Value::String(name), ..]) if name == field)
    }

    /// Whether it names no part of the answer, so that any part may be wrong.
    fn is_about_everything(&self) -> bool {
        self.path.as_ref().is_none_or(Vec::is_empty)
    }

    fn detail(&self) -> String {
        let message: String = self.message.chars().take(300).collect();
        match self.kind() {
            "" => message,
            kind => format!("{message} ({kind})"),
        }
    }
}

impl Envelope {
    pub(super) fn problems(&self) -> &[Problem] {
        self.errors.as_deref().unwrap_or_default()
    }

    /// Whom the token belongs to, if that was asked.
    pub(super) fn login(&self) -> Option<&str> {
        self.data.as_ref()?.get("viewer")?.get("login")?.as_str()
    }

    fn rate_limit(&self) -> Option<RateLimitField> {
        let field = self.data.as_ref()?.get("rateLimit")?;
        RateLimitField::deserialize(field).ok()
    }

    /// Whether a resource limit left something out, so that less should be asked at once.
    pub(super) fn has_resource_limit(&self) -> bool {
        self.problems().iter().any(Problem::is_resource_limit)
    }
}

impl GitHub {
    /// What an answer to a GraphQL query means as a whole.
    pub(super) fn judge_graphql(
        &self,
        reply: &Reply,
        rate: RateHeaders,
        points: u32,
        now: Time,
    ) -> Judged<Envelope> {
        if reply.status != 200 {
            return self.judge_refusal(reply, rate, points);
        }
        let failed = |error| Judged { verdict: Verdict::Failed(error), spent: points, rate, login: None };
        let envelope: Envelope = match serde_json::from_slice(&reply.body) {
            Ok(envelope) => envelope,
            Err(_) if is_html(&reply.body) => return failed(self.unusable("a page of HTML".to_owned())),
            Err(error) => return failed(self.unusable(format!("not the JSON of a GraphQL answer: {error}"))),
        };
        let (rate, spent) = match envelope.rate_limit() {
            None => (rate, points),
            Some(said) => {
                let reset_at = said.reset_at.map(|at| rate.ours(at, now)).or(rate.reset_at);
                let told = RateHeaders {
                    limit: Some(said.limit),
                    remaining: Some(said.remaining),
                    reset_at,
                    ..rate
                };
                (told, said.cost)
            }
        };
        let login = envelope.login().map(str::to_owned);
        let verdict =
            if let Some(problem) = envelope.problems().iter().find(|problem| problem.is_rate_limit()) {
                Verdict::Limited(rate.limit_of_graphql(&problem.message))
            } else if envelope.data.is_some() {
                Verdict::Good(envelope)
            } else {
                Verdict::Failed(self.failure_of_all(&envelope))
            };
        Judged { verdict, spent, rate, login }
    }

    /// Why there is no data at all.
    fn failure_of_all(&self, envelope: &Envelope) -> FetchError {
        let Some(problem) = envelope.problems().first() else {
            return self.unusable("neither data nor errors".to_owned());
        };
        let host = self.host().to_owned();
        let detail = problem.detail();
        let said = problem.message.to_ascii_lowercase();
        match problem.kind() {
            _ if problem.is_resource_limit() => FetchError::Partial { host, detail },
            "INSUFFICIENT_SCOPES" | "FORBIDDEN" => FetchError::Refused { host, detail },
            "SERVICE_UNAVAILABLE" | "INTERNAL" | "TIMEOUT" => {
                FetchError::Upstream { host, status: 200, detail: Some(detail), retry_at: None }
            }
            _ if said.contains("something went wrong") || said.contains("timeout") => {
                FetchError::Upstream { host, status: 200, detail: Some(detail), retry_at: None }
            }
            _ => FetchError::BadRequest { host, detail },
        }
    }

    /// What each alias of a query for many repositories says, in the order asked. An error if
    /// nothing of the answer can be trusted.
    pub(super) fn found(&self, mut envelope: Envelope, names: &[RepoName]) -> Result<Vec<Found>, FetchError> {
        if let Some(problem) = envelope.problems().iter().find(|problem| problem.is_about_everything()) {
            return Err(self.left_out(problem));
        }
        let mut data = envelope.data.take().unwrap_or_default();
        let each = names.iter().enumerate().map(|(index, name)| {
            let alias = format!("r{index}");
            let value = data.remove(&alias).unwrap_or_default();
            self.found_one(&alias, value, envelope.problems(), name)
        });
        Ok(each.collect())
    }

    fn found_one(&self, alias: &str, value: Value, problems: &[Problem], name: &RepoName) -> Found {
        let Some(problem) = problems.iter().find(|problem| problem.is_within(alias)) else {
            if value.is_null() {
                let detail = format!("nothing was said of `{name}`");
                return Found::Unknown(FetchError::Partial { host: self.host().to_owned(), detail });
            }
            return match serde_json::from_value::<Node>(value) {
                Ok(node) => Found::Here(Box::new(node.keep(self.host()))),
                Err(error) => Found::Unknown(self.unusable(format!("`{name}`: {error}"))),
            };
        };
        match problem.kind() {
            _ if !problem.is_about(alias) => Found::Unknown(self.left_out(problem)),
            "NOT_FOUND" => Found::Absent(not_found(name)),
            "FORBIDDEN" => Found::Absent(forbidden(name, &problem.message)),
            "INSUFFICIENT_SCOPES" => {
                Found::Unknown(FetchError::Refused { host: self.host().to_owned(), detail: problem.detail() })
            }
            _ => Found::Unknown(self.left_out(problem)),
        }
    }

    /// One page of an owner's repositories; `None` = there is no such owner.
    pub(super) fn owned_page(&self, mut envelope: Envelope) -> Result<Option<OwnedPage>, FetchError> {
        let owner =
            envelope.data.as_mut().and_then(|data| data.remove("repositoryOwner")).unwrap_or_default();
        let problems = envelope.problems();
        if owner.is_null() {
            return match problems.iter().find(|problem| problem.kind() != "NOT_FOUND") {
                Some(problem) => Err(self.left_out(problem)),
                None => Ok(None),
            };
        }
        // A repository of theirs that is not for us is no gap in the list; all else is.
        let is_gap = |problem: &&Problem| !(problem.kind() == "FORBIDDEN" && is_about_a_node(problem));
        if let Some(problem) = problems.iter().find(is_gap) {
            return Err(self.left_out(problem));
        }
        let hidden = problems.len();
        let owner = serde_json::from_value::<OwnerField>(owner)
            .map_err(|error| self.unusable(format!("a list of repositories: {error}")))?;
        let (nodes, next) = self.nodes_but(hidden, owner.repositories, "repositories")?;
        let repositories = nodes.into_iter().map(|node| node.keep(self.host())).collect();
        Ok(Some(OwnedPage { repositories, next }))
    }

    /// What stands on a page, and where the next one begins.
    pub(super) fn nodes<T>(&self, page: Nodes<T>, of: &str) -> Result<(Vec<T>, Option<String>), FetchError> {
        self.nodes_but(0, page, of)
    }

    /// The same, where so many may be hidden.
    fn nodes_but<T>(
        &self,
        hidden: usize,
        page: Nodes<T>,
        of: &str,
    ) -> Result<(Vec<T>, Option<String>), FetchError> {
        let nodes = page.nodes.unwrap_or_default();
        let gaps = nodes.iter().filter(|node| node.is_none()).count();
        if gaps > hidden {
            let detail = format!("{gaps} {of} of a list");
            return Err(FetchError::Partial { host: self.host().to_owned(), detail });
        }
        let PageInfo { has_next_page, end_cursor } = page.page_info;
        let next = has_next_page.then_some(end_cursor).flatten();
        if has_next_page && next.is_none() {
            return Err(self.unusable("a list that goes on, but not where".to_owned()));
        }
        Ok((nodes.into_iter().flatten().collect(), next))
    }

    pub(super) fn left_out(&self, problem: &Problem) -> FetchError {
        FetchError::Partial { host: self.host().to_owned(), detail: problem.detail() }
    }
}

/// A page of what an owner owns.
pub(super) struct OwnedPage {
    pub(super) repositories: Vec<larder_domain::Repository>,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct OwnerField {
    repositories: Nodes<Node>,
}

/// One page of a connection.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Nodes<T> {
    page_info: PageInfo,
    nodes: Option<Vec<Option<T>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

/// Whether an error is about one whole node of a list: `[…, "nodes", 3]`.
fn is_about_a_node(problem: &Problem) -> bool {
    matches!(problem.path.as_deref(), Some([.., Value::String(nodes), Value::Number(_)]) if nodes == "nodes")
}

pub(super) fn not_found(name: &RepoName) -> Absence {
    let message = format!("`{name}` was not found: deleted, or private and not for this token");
    Absence::new("not_found", message)
}

/// An absence that GitHub explains: blocked for all, or not for this token.
pub(super) fn forbidden(name: &RepoName, said: &str) -> Absence {
    let said: String = said.chars().take(300).collect();
    let lower = said.to_ascii_lowercase();
    let is_blocked = lower.contains("block") || lower.contains("dmca") || lower.contains("legal");
    if is_blocked {
        Absence::new("blocked", format!("`{name}` is blocked by GitHub: {said}"))
    } else {
        Absence::new("private", format!("`{name}` is not for this token: {said}"))
    }
}

fn is_html(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}
