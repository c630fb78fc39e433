//! Reads GraphQL answers: what each alias says, and what is to be had of it beside errors. An
//! answer that is there only in part never passes for a whole one.

use larder_core::{Absence, FetchError, Time};
use larder_domain::{RepoName, Repository};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::GitHub;
use super::call::{Judged, Reply, Verdict};
use super::limits::RateHeaders;
use super::listing::Found;
use super::problem::{Problem, problems};
use super::query::Breadth;
use super::repository::Node;
use super::rights::Withheld;

/// No query costs more: GitHub counts a point for a hundred connections, and lets none ask for more than
/// half a million nodes.
const COST_MAX: u32 = 5_000;

/// What came back on a query: data, and errors about parts of it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Envelope {
    pub(super) data: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "problems")]
    errors: Vec<Problem>,
}

/// What an answer says under one alias.
pub(super) enum Said {
    /// What was found.
    Found(Found),
    /// All of it was left out for the sake of its issues, which are not for this token: it is to be
    /// asked for without them.
    WithoutIssues,
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

impl Envelope {
    pub(super) fn problems(&self) -> &[Problem] {
        &self.errors
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
                (told, said.cost.min(COST_MAX))
            }
        };
        let login = envelope.login().map(str::to_owned);
        let verdict =
            if let Some(problem) = envelope.problems().iter().find(|problem| problem.is_rate_limit()) {
                Verdict::Limited(rate.limit_of_graphql(problem.message()))
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
        let said = problem.message().to_ascii_lowercase();
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
    pub(super) fn found(
        &self,
        mut envelope: Envelope,
        names: &[RepoName],
        breadth: Breadth,
    ) -> Result<Vec<Said>, FetchError> {
        if let Some(problem) = envelope.problems().iter().find(|problem| problem.is_about_everything()) {
            return Err(self.left_out(problem));
        }
        let mut data = envelope.data.take().unwrap_or_default();
        let each = names.iter().enumerate().map(|(index, name)| {
            let alias = format!("r{index}");
            let value = data.remove(&alias).unwrap_or_default();
            let within = envelope.problems().iter().filter(|problem| problem.is_within(&alias));
            self.found_one(value, &within.collect::<Vec<_>>(), name, breadth)
        });
        Ok(each.collect())
    }

    fn found_one(&self, value: Value, problems: &[&Problem], name: &RepoName, breadth: Breadth) -> Said {
        // What is refused is missing and nothing besides; any other error may mean more than it names.
        if let Some(problem) = problems.iter().find(|problem| problem.withheld(1).is_none()) {
            return Said::Found(self.lost(problem, name));
        }
        let refused: Vec<Withheld> = problems.iter().filter_map(|problem| problem.withheld(1)).collect();
        if !value.is_null() {
            let node = serde_json::from_value::<Node>(value)
                .map_err(|error| self.unusable(format!("`{name}`: {error}")));
            return Said::Found(match node.and_then(|node| self.keep(node, breadth)) {
                Ok(repository) => Found::here(repository, breadth.and(refused)),
                Err(error) => Found::Unknown(error),
            });
        }
        if breadth.may_spare(&refused) {
            return Said::WithoutIssues;
        }
        Said::Found(if refused.is_empty() {
            let detail = format!("nothing was said of `{name}`");
            Found::Unknown(FetchError::Partial { host: self.host().to_owned(), detail })
        } else {
            let message =
                format!("`{name}` cannot be shown without {}", Withheld::told(&breadth.and(refused)));
            Found::Absent(Absence::new("private", message))
        })
    }

    /// What an error means that is about more than a part which is not for us.
    fn lost(&self, problem: &Problem, name: &RepoName) -> Found {
        match problem.kind() {
            _ if problem.is_within_something() => Found::Unknown(self.left_out(problem)),
            "NOT_FOUND" => Found::Absent(not_found(name)),
            "FORBIDDEN" => Found::Absent(forbidden(name, problem.message())),
            _ => Found::Unknown(self.left_out(problem)),
        }
    }

    /// A repository of an answer; all that was asked of it must be there.
    pub(super) fn keep(&self, node: Node, breadth: Breadth) -> Result<Repository, FetchError> {
        if breadth == Breadth::Whole && node.issues.is_none() {
            return Err(self.unusable(format!("`{}`: no `issues`", node.name_with_owner)));
        }
        Ok(node.keep(self.host()))
    }

    /// What stands on a page, and where the next one begins.
    pub(super) fn nodes<T>(&self, page: Nodes<T>, of: &str) -> Result<(Vec<T>, Option<String>), FetchError> {
        let (nodes, next) = self.nodes_with_gaps(page)?;
        let gaps = nodes.iter().filter(|node| node.is_none()).count();
        if gaps > 0 {
            return Err(self.gaps(gaps, of));
        }
        Ok((nodes.into_iter().flatten().collect(), next))
    }

    /// The same, each in its place, with what is null.
    pub(super) fn nodes_with_gaps<T>(
        &self,
        page: Nodes<T>,
    ) -> Result<(Vec<Option<T>>, Option<String>), FetchError> {
        let PageInfo { has_next_page, end_cursor } = page.page_info;
        let next = has_next_page.then_some(end_cursor).flatten();
        if has_next_page && next.is_none() {
            return Err(self.unusable("a list that goes on, but not where".to_owned()));
        }
        Ok((page.nodes.unwrap_or_default(), next))
    }

    /// Why a list with gaps is no list.
    pub(super) fn gaps(&self, gaps: usize, of: &str) -> FetchError {
        FetchError::Partial { host: self.host().to_owned(), detail: format!("{gaps} {of} of a list") }
    }

    /// Why what an error is about is not there. What is refused is refused however little is asked at
    /// once.
    pub(super) fn left_out(&self, problem: &Problem) -> FetchError {
        let (host, detail) = (self.host().to_owned(), problem.detail());
        if problem.is_refusal() {
            return FetchError::Refused { host, detail };
        }
        FetchError::Partial { host, detail }
    }

    /// The same of a part of a repository, for which the token needs a permission.
    pub(super) fn part_left_out(&self, problem: &Problem, permission: &str) -> FetchError {
        match self.left_out(problem) {
            FetchError::Refused { host, detail } if problem.withheld(1).is_some() => {
                FetchError::Refused { host, detail: format!("{detail}: give the token {permission}") }
            }
            error => error,
        }
    }
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

pub(super) fn not_found(name: &RepoName) -> Absence {
    let message = format!("`{name}` was not found: deleted, or private and not for this token");
    Absence::new("not_found", message)
}

/// An absence that GitHub explains: blocked for all, or not for this token.
pub(super) fn forbidden(name: &RepoName, said: &str) -> Absence {
    let said: String = said.chars().take(300).collect();
    if says_blocked(&said) {
        Absence::new("blocked", format!("`{name}` is blocked by GitHub: {said}"))
    } else {
        Absence::new("private", format!("`{name}` is not for this token: {said}"))
    }
}

/// Whether GitHub says that it blocked a repository. Whole phrases, since refusals name organisations, which
/// may be called anything that is one word.
pub(super) fn says_blocked(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["access blocked", "due to dmca", "for legal reasons", "disabled by github staff"]
        .iter()
        .any(|phrase| said.contains(phrase))
}

fn is_html(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}
