//! The way of one call: gate → limits → breaker → budget → send → judge → settle. Nothing reaches GitHub
//! by another way.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use larder_core::{FetchError, LimitKind, Priority, Spent, Time};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, IF_NONE_MATCH};
use serde_json::{Value, json};
use url::Url;

use super::allowance::{Draw, Ticket};
use super::gate::Pass;
use super::limits::{Limit, RateHeaders};
use super::{GitHub, authorization};

/// A body of more bytes than this is not read to its end.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Room that is left before a deadline, to hand over what came.
const MARGIN: Duration = Duration::from_millis(250);

/// One fetch's calls: how urgent they are, until when, and what they cost so far.
#[derive(Debug)]
pub struct Errand {
    priority: Priority,
    started: Time,
    deadline: Time,
    purpose: Purpose,
    spent: Mutex<Spent>,
}

/// What calls are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To bring data into the store.
    Fetch,
    /// To tell a person how things stand, even if the store is not well.
    Check,
}

impl Errand {
    /// An errand that begins now.
    pub fn new(priority: Priority, started: Time, deadline: Time) -> Self {
        Errand { priority, started, deadline, purpose: Purpose::Fetch, spent: Mutex::default() }
    }

    /// A check that a person asked for, beginning now.
    pub(super) fn of_check(started: Time, patience: Duration) -> Self {
        let fetch = Errand::new(Priority::Waiting, started, started.plus(patience));
        Errand { purpose: Purpose::Check, ..fetch }
    }

    /// How urgent it is.
    pub(super) fn priority(&self) -> Priority {
        self.priority
    }

    /// Whether nothing is to be stored of what it brings.
    pub(super) fn is_check(&self) -> bool {
        self.purpose == Purpose::Check
    }

    /// What was spent since it was last taken, so that sums over takers are true.
    pub fn take_spent(&self) -> Spent {
        std::mem::take(&mut *self.spent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, cost: u32) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.calls = spent.calls.saturating_add(1);
        spent.cost = spent.cost.saturating_add(cost);
    }

    /// How long a call may take; an error when there is no time left for one.
    fn time_left(&self, now: Time, most: Duration) -> Result<Duration, FetchError> {
        let left = self.deadline.since(now.plus(MARGIN));
        if left.is_zero() {
            return Err(FetchError::TimedOut { after: self.deadline.since(self.started) });
        }
        Ok(left.min(most))
    }

    /// Whether no call can be made any more.
    pub(super) fn is_over(&self, now: Time) -> bool {
        self.time_left(now, Duration::MAX).is_err()
    }
}

/// A call to be made.
#[derive(Debug)]
pub(super) struct Request {
    /// Which allowance it draws from: `core` or `graphql`.
    pub(super) resource: &'static str,
    /// Points that it may cost.
    pub(super) points: u32,
    /// Where to.
    pub(super) url: Url,
    /// What is posted; `None` = GET.
    pub(super) body: Option<Value>,
    /// The entity tag of what is held.
    pub(super) etag: Option<String>,
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// Empty if it did not come to its end.
    pub(super) body: Vec<u8>,
    /// Why the body did not come to its end.
    pub(super) broken: Option<FetchError>,
}

impl Reply {
    /// Whether status and headers say what is meant, whatever the body. A success is its body, and of a 403
    /// it is the body that tells a refusal from a limit, unless the headers do.
    fn needs_no_body(&self, rate: RateHeaders) -> bool {
        match self.status {
            ..300 => false,
            403 => rate.limit_of_status(403, "").is_some(),
            _ => true,
        }
    }
}

/// What is made of an answer.
pub(super) struct Judged<T> {
    pub(super) verdict: Verdict<T>,
    /// What the call cost.
    pub(super) spent: u32,
    /// What is said of the allowance.
    pub(super) rate: RateHeaders,
    /// Whom the token belongs to, if that was asked.
    pub(super) login: Option<String>,
}

pub(super) enum Verdict<T> {
    Good(T),
    Limited(Limit),
    Failed(FetchError),
}

impl GitHub {
    /// Makes one call and lets `judge` read the answer.
    pub(super) async fn call<T>(
        &self,
        errand: &Errand,
        request: Request,
        judge: impl FnOnce(Reply, RateHeaders, Time) -> Judged<T>,
    ) -> Result<T, FetchError> {
        let draw = Draw { resource: request.resource, points: request.points };
        let _pass = self.pass(errand).await?;
        let limit = errand.time_left(self.clock.now(), self.call_timeout)?;
        let ticket = self.admit(errand, draw).await?;
        let answered = self.send(request, limit).await;
        self.hear(errand, ticket, answered, judge).await
    }

    /// Waits until the call may go beside the others, for as long as the errand has time.
    async fn pass(&self, errand: &Errand) -> Result<Pass, FetchError> {
        let left = errand.time_left(self.clock.now(), Duration::MAX)?;
        tokio::select! {
            biased;
            pass = self.gate.enter(errand.priority()) => Ok(pass),
            () = self.clock.sleep(left) => Err(FetchError::TimedOut { after: left }),
        }
    }

    /// Makes of an answer, or of none, what it means, and tells everybody who must know.
    pub(super) async fn hear<T>(
        &self,
        errand: &Errand,
        ticket: Ticket,
        answered: Result<Reply, FetchError>,
        judge: impl FnOnce(Reply, RateHeaders, Time) -> Judged<T>,
    ) -> Result<T, FetchError> {
        let now = self.clock.now();
        let judged = match answered {
            Ok(mut reply) => {
                let rate = RateHeaders::read(&reply.headers, now);
                // Of a 403 and the like the token is none the worse.
                self.state().is_refused = reply.status == 401;
                if let Some(date) = rate.date {
                    self.state().ahead_ms = date.ms().saturating_sub(now.ms());
                }
                match reply.broken.take() {
                    Some(error) if !reply.needs_no_body(rate) => {
                        let verdict = rate.limit_said().map_or(Verdict::Failed(error), Verdict::Limited);
                        Judged { verdict, spent: ticket.request.points, rate, login: None }
                    }
                    _ => judge(reply, rate, now),
                }
            }
            Err(error) => {
                // Without a connection nothing was spent; of a call without an answer, all may be.
                let spent =
                    if matches!(error, FetchError::Network { .. }) { 0 } else { ticket.request.points };
                Judged { verdict: Verdict::Failed(error), spent, rate: RateHeaders::default(), login: None }
            }
        };
        errand.add(judged.spent);
        self.conclude(ticket, judged, now).await
    }

    /// Sends, and reads the answer to its end, within `limit`. What status and headers said stands even if
    /// the body does not come.
    async fn send(&self, request: Request, limit: Duration) -> Result<Reply, FetchError> {
        let mut over = std::pin::pin!(self.clock.sleep(limit));
        let response = tokio::select! {
            biased;
            response = self.prepare(request)?.send() => response.map_err(|error| self.network(&error))?,
            () = &mut over => return Err(FetchError::TimedOut { after: limit }),
        };
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = tokio::select! {
            biased;
            body = self.body(response) => body,
            () = &mut over => Err(FetchError::TimedOut { after: limit }),
        };
        let (body, broken) = body.map_or_else(|error| (Vec::new(), Some(error)), |body| (body, None));
        Ok(Reply { status, headers, body, broken })
    }

    fn prepare(&self, request: Request) -> Result<reqwest::RequestBuilder, FetchError> {
        if !self.address.owns(&request.url) {
            return Err(
                self.unusable(format!("it sent us to {}, which is not its own", origin(&request.url)))
            );
        }
        let http = self.http().map_err(|error| FetchError::Local(error.to_string()))?;
        let builder = match &request.body {
            Some(body) => http.post(request.url).json(body),
            None => http.get(request.url),
        };
        let mut builder = builder
            .header(ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        if let Some(token) = self.identity().token {
            let value = authorization(&token).map_err(|error| FetchError::Local(error.to_string()))?;
            builder = builder.header(AUTHORIZATION, value);
        }
        Ok(match request.etag {
            Some(etag) => builder.header(IF_NONE_MATCH, etag),
            None => builder,
        })
    }

    async fn body(&self, mut response: reqwest::Response) -> Result<Vec<u8>, FetchError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.network(&error))? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(self.unusable(format!("more than {BODY_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Tells breaker, memory and budget what came of a call.
    async fn conclude<T>(&self, ticket: Ticket, judged: Judged<T>, now: Time) -> Result<T, FetchError> {
        let Judged { verdict, spent, rate, login } = judged;
        let (result, blocked) = match verdict {
            Verdict::Good(value) => {
                self.note_answer(now, None);
                self.state().answered();
                (Ok(value), None)
            }
            Verdict::Failed(error) => {
                self.note_answer(now, Some(&error));
                // Who is out of service and says for how long means every call, whoever makes it.
                let blocked = match &error {
                    FetchError::Upstream { retry_at: Some(at), .. } => {
                        let outage = Limit { kind: LimitKind::Outage, until: Some(*at) };
                        Some((outage.kind, self.state().block(ticket.request.resource, outage, now)))
                    }
                    _ => None,
                };
                (Err(error), blocked)
            }
            Verdict::Limited(met) => {
                self.note_answer(now, None);
                let until = self.state().block(ticket.request.resource, met, now);
                (Err(self.limited(met.kind, until)), Some((met.kind, until)))
            }
        };
        let ticket = match login {
            Some(login) => self.known_as(ticket, &login, now).await,
            None => ticket,
        };
        self.settle(ticket, spent, rate, blocked, now).await;
        result
    }

    /// Tells the breaker whether the host is well. A call that we gave up early says nothing.
    fn note_answer(&self, now: Time, error: Option<&FetchError>) {
        let mut state = self.state();
        match error {
            Some(FetchError::TimedOut { after }) if *after < self.call_timeout => {
                state.breaker.withdrawn(now);
            }
            Some(FetchError::Network { .. } | FetchError::Upstream { .. } | FetchError::TimedOut { .. }) => {
                let chance = state.chance();
                state.breaker.failed(now, chance);
            }
            _ => state.breaker.succeeded(),
        }
    }

    pub(super) fn unusable(&self, detail: String) -> FetchError {
        FetchError::Unusable { host: self.host().to_owned(), detail }
    }

    fn network(&self, error: &reqwest::Error) -> FetchError {
        FetchError::Network { host: self.host().to_owned(), cause: innermost(error) }
    }

    /// The posted form of a GraphQL query.
    pub(super) fn graphql_request(&self, query: &super::query::Query) -> Request {
        Request {
            resource: "graphql",
            points: query.points,
            url: self.address.graphql.clone(),
            body: Some(json!({"query": query.text, "variables": query.variables})),
            etag: None,
        }
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The cause that says most, without the address: `connection refused` rather than `error sending
/// request`.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
