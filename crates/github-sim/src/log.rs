//! The request log: what was asked, by whom, at what cost, and how it ended. Tests read it to say
//! "one upstream call for a thousand readers".

use std::collections::VecDeque;

use serde::Serialize;

/// The log keeps this many requests; older ones fall out.
const REQUESTS_KEPT: usize = 100_000;

/// One request, from its arrival. Holds no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// Its number since the simulator started, from 1.
    pub number: u64,
    /// When it arrived, in milliseconds since 1970 on the simulator's clock.
    pub at_ms: i64,
    /// `GET`, `POST`.
    pub method: String,
    /// Path and query as sent, `/users/octo-org/repos?per_page=100`.
    pub path: String,
    /// Which interface.
    pub kind: RequestKind,
    /// What it was answered with; none when it never was (held, timed out, dropped, or still under way).
    pub status: Option<u16>,
    /// How many repositories it asked for by name: the aliases of a GraphQL query, 1 for `/repos/o/r`.
    pub repositories: usize,
    /// Their full names, as asked.
    pub names: Vec<String>,
    /// Points or requests charged to the primary limit.
    pub cost: u64,
    /// The login its token belongs to; none for a request without one, or with a bad one.
    pub actor: Option<String>,
    /// Whether it came with `If-None-Match` or `If-Modified-Since`.
    pub conditional: bool,
}

/// Which of GitHub's interfaces was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// REST.
    Rest,
    /// GraphQL.
    Graphql,
}

/// The log itself.
#[derive(Default)]
pub(crate) struct Log {
    requests: VecDeque<LoggedRequest>,
    arrived: u64,
}

impl Log {
    /// Notes an arrival and gives it its number.
    pub(crate) fn arrive(&mut self, mut request: LoggedRequest) -> u64 {
        self.arrived += 1;
        request.number = self.arrived;
        if self.requests.len() == REQUESTS_KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
        self.arrived
    }

    /// Adds what became known later; nothing when the log was emptied in between.
    pub(crate) fn amend(&mut self, number: u64, change: impl FnOnce(&mut LoggedRequest)) {
        if let Ok(place) = self.requests.binary_search_by_key(&number, |request| request.number) {
            change(&mut self.requests[place]);
        }
    }

    pub(crate) fn all(&self) -> Vec<LoggedRequest> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn take(&mut self) -> Vec<LoggedRequest> {
        self.requests.drain(..).collect()
    }
}
