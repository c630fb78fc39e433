//! The way of one request: arrive → (hold, latency) → fault → who asks → limits → answer → log.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header;
use axum::response::Response;

use crate::answer::{self, Answer};
use crate::arrival::{Arrival, GraphqlCall};
use crate::faults::Strike;
use crate::graphql::Sight;
use crate::limits::{Actor, Rate, Resource};
use crate::log::RequestKind;
use crate::rest::View;
use crate::shared::Shared;
use crate::switches::Partial;
use crate::wire::Connection;
use crate::world::{Token, ids};

/// Answers one request, or cuts its connection.
pub(crate) async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let arrival = Arrival::read(request).await;
    let number = shared.state().log.arrive(arrival.logged((shared.now)()));
    shared.arrived.send_modify(|count| *count = number.max(*count));
    let turn = Turn { shared: &shared, arrival: &arrival, number };
    let outcome = tokio::select! {
        biased;
        () = shared.stopped() => None,
        outcome = turn.outcome(&connection) => outcome,
    };
    if let Some(answer) = outcome {
        let mut state = shared.state();
        state.log.amend(number, |logged| logged.status = Some(answer.status));
        let is_cut = !answer.body.is_empty() && state.faults.cut(arrival.kind);
        if is_cut { answer.into_cut_response() } else { answer.into_response() }
    } else {
        connection.cut();
        Response::new(Body::empty())
    }
}

/// One request being dealt with.
struct Turn<'a> {
    shared: &'a Shared,
    arrival: &'a Arrival,
    number: u64,
}

/// Who asks.
struct Caller {
    actor: Actor,
    token: Option<Token>,
    /// A token came that does not work.
    refused: bool,
}

/// Counts a request among those under way for as long as it lives.
struct UnderWay<'a> {
    shared: &'a Shared,
    actor: Actor,
    allowed: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.shared.state().ledger.leave(&self.actor);
    }
}

impl Turn<'_> {
    /// None when the connection is to be cut.
    async fn outcome(&self, connection: &Connection) -> Option<Answer> {
        let caller = self.caller(connection);
        let under_way = self.enter(&caller);
        self.shared.released(self.arrival.kind).await;
        if let Some(latency) = self.latency() {
            (self.shared.sleep)(latency).await;
        }
        match self.struck() {
            None => {}
            Some(Strike::Answer(answer)) => return Some(answer),
            Some(Strike::Late(wait, answer)) => {
                (self.shared.sleep)(wait).await;
                return Some(answer);
            }
            Some(Strike::Cut) => return None,
            Some(Strike::Silence) => std::future::pending().await,
        }
        let mut answer = self.dressed(&caller, self.answer(&caller, under_way.allowed).await);
        if answer.status == 200 && self.shared.state().faults.broken(self.arrival.kind) {
            answer.break_off();
        }
        Some(answer)
    }

    fn caller(&self, connection: &Connection) -> Caller {
        let mut state = self.shared.state();
        let distrusts = state.faults.switches().bad_credentials && state.faults.reach(self.arrival.kind);
        let text = self.arrival.token.as_deref();
        let token = text.filter(|_| !distrusts).and_then(|text| state.world.token(text)).cloned();
        let actor = match &token {
            Some(token) => Actor::User(token.login.to_ascii_lowercase()),
            None => Actor::Address(connection.address.ip()),
        };
        let login = token.as_ref().map(|token| token.login.clone());
        state.log.amend(self.number, |logged| logged.actor = login);
        Caller { actor, refused: text.is_some() && token.is_none(), token }
    }

    fn enter(&self, caller: &Caller) -> UnderWay<'_> {
        let allowed = self.shared.state().ledger.enter(&caller.actor);
        UnderWay { shared: self.shared, actor: caller.actor.clone(), allowed }
    }

    fn latency(&self) -> Option<Duration> {
        let state = self.shared.state();
        let latency_ms = state.faults.switches().latency_ms;
        (latency_ms > 0 && state.faults.reach(self.arrival.kind)).then(|| Duration::from_millis(latency_ms))
    }

    fn struck(&self) -> Option<Strike> {
        let repositories = self.arrival.graphql.as_ref().map_or(0, |call| call.plan.names.len());
        let mut state = self.shared.state();
        state.faults.draw(self.arrival.kind, repositories, self.number, self.shared.seed)
    }

    async fn answer(&self, caller: &Caller, allowed: bool) -> Answer {
        let agent = self.arrival.header(header::USER_AGENT).is_some_and(|agent| !agent.is_empty());
        if !agent {
            return answer::needs_user_agent();
        }
        if caller.refused {
            let rate = self.rate(caller, Resource::Core);
            return answer::bad_credentials().with_rate(rate);
        }
        match self.arrival.kind {
            RequestKind::Rest => self.rest(caller, allowed),
            RequestKind::Graphql => self.graphql(caller, allowed).await,
        }
    }

    fn rest(&self, caller: &Caller, allowed: bool) -> Answer {
        if self.arrival.segments == ["rate_limit"] {
            return self.rate_limits(caller);
        }
        let rate = match self.admitted(caller, Resource::Core, allowed, 1) {
            Ok(rate) => rate,
            Err(refused) => return refused,
        };
        let world = Arc::clone(&self.shared.state().world);
        let base = format!("{}{}", self.origin(), self.arrival.prefix);
        let is_enterprise = !self.arrival.prefix.is_empty();
        let view = View { world, token: caller.token.clone(), base, is_enterprise };
        let answer = view.answer(self.arrival);
        let free = answer.status == 304 && caller.token.is_some();
        let mut state = self.shared.state();
        if free {
            state.ledger.refund(&caller.actor, Resource::Core, 1);
        }
        state.log.amend(self.number, |logged| logged.cost = u64::from(!free));
        answer.with_rate(Rate { used: rate.used - u64::from(free), ..rate })
    }

    /// The address the client knows the simulator by: links must lead back to it.
    fn origin(&self) -> String {
        let host = self.arrival.header(header::HOST);
        host.map_or_else(|| self.shared.origin.clone(), |host| format!("http://{host}"))
    }

    async fn graphql(&self, caller: &Caller, allowed: bool) -> Answer {
        let Some(token) = caller.token.clone() else {
            return answer::graphql_needs_token().with_rate(self.rate(caller, Resource::Graphql));
        };
        let Some(call) = &self.arrival.graphql else {
            let message = "Problems parsing JSON, or no `query` of type string in it";
            return answer::refusal(400, message).with_rate(self.rate(caller, Resource::Graphql));
        };
        let rate = match self.admitted(caller, Resource::Graphql, allowed, call.plan.cost) {
            Ok(rate) => rate,
            Err(refused) => return refused,
        };
        self.shared.state().log.amend(self.number, |logged| logged.cost = call.plan.cost);
        if let Some(error) = &call.plan.refusal {
            return Answer::json(200, &serde_json::json!({"errors": [error]})).with_rate(rate);
        }
        self.shared.schema.run(call, self.sight(call, token, rate)).await.with_rate(rate)
    }

    fn sight(&self, call: &GraphqlCall, token: Token, rate: Rate) -> Sight {
        let state = self.shared.state();
        let reached = state.faults.reach(RequestKind::Graphql);
        let partial = if reached { state.faults.switches().partial.clone() } else { Partial::default() };
        Sight {
            world: Arc::clone(&state.world),
            token,
            rate,
            cost: call.plan.cost,
            nodes: call.plan.nodes,
            partial,
            asked: AtomicU32::new(0),
            number: self.number,
        }
    }

    /// Passes the limits and charges `cost`, or says which limit stands in the way.
    fn admitted(
        &self,
        caller: &Caller,
        resource: Resource,
        allowed: bool,
        cost: u64,
    ) -> Result<Rate, Answer> {
        let now_s = self.shared.now_s();
        let mut state = self.shared.state();
        let state = &mut *state;
        let kind = self.arrival.kind;
        let switches = state.faults.switches().clone();
        let rate = state.ledger.rate(&caller.actor, resource, now_s, state.faults.forced_remaining(kind));
        let within = state.ledger.within_the_minute(&caller.actor, resource, now_s);
        if state.faults.secondary(kind) || !allowed || !within {
            return Err(answer::secondary_limit(switches.secondary_limit, self.number).with_rate(rate));
        }
        let user_id = match &caller.actor {
            Actor::User(login) => {
                state.world.owner(login).map_or_else(|| ids::number_of(login), |owner| owner.id)
            }
            Actor::Address(_) => 0,
        };
        let exhausted = rate.remaining() < cost.max(1);
        if resource == Resource::Graphql && (exhausted || state.faults.graphql_limited()) {
            let spelling = switches.graphql_rate_limited_200.spelling;
            return Err(answer::graphql_limit(spelling, user_id).with_rate(rate));
        }
        if exhausted {
            let status = switches.primary_limit.status;
            return Err(answer::primary_limit(status, &caller.actor, user_id, self.number).with_rate(rate));
        }
        state.ledger.charge(&caller.actor, resource, cost);
        Ok(Rate { used: rate.used + cost, ..rate })
    }

    fn rate(&self, caller: &Caller, resource: Resource) -> Rate {
        let mut state = self.shared.state();
        let forced = state.faults.forced_remaining(self.arrival.kind);
        state.ledger.rate(&caller.actor, resource, self.shared.now_s(), forced)
    }

    fn rate_limits(&self, caller: &Caller) -> Answer {
        let core = self.rate(caller, Resource::Core);
        answer::rate_limits(core, self.rate(caller, Resource::Graphql)).with_rate(core)
    }

    /// Adds the headers that everything from GitHub's application carries.
    fn dressed(&self, caller: &Caller, answer: Answer) -> Answer {
        let mut answer = answer
            .with("server", "github.com")
            .with("date", answer::http_date(self.shared.timestamp()))
            .with(
                "vary",
                "Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept, X-Requested-With",
            )
            .with("x-github-media-type", "github.v3; format=json")
            .with("x-github-request-id", answer::request_id(self.number));
        if let Some(scopes) = caller.token.as_ref().and_then(|token| token.scopes.as_ref()) {
            answer = answer.with("x-oauth-scopes", scopes.join(", ")).with("x-accepted-oauth-scopes", "");
        }
        if self.arrival.prefix.is_empty() {
            answer
        } else {
            answer.with("x-github-enterprise-version", "3.20.0")
        }
    }
}
