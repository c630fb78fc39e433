//! What may be spent: whose allowance calls draw from, whether one may go now, and what it cost.
//! The store's budget is the word for all processes; limits met here are kept in memory besides.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Admission, EVERYBODY, FetchError, LimitKind, Priority, Reservation, Reserved, SECONDARY, Settlement,
    StoreError, Time,
};

use super::GitHub;
use super::call::Errand;
use super::limits::RateHeaders;

/// A reservation that is not settled by then counts as lost.
const RESERVED_FOR: Duration = Duration::from_mins(1);

/// A reservation of ours, or leave to call without one.
pub(super) struct Ticket {
    id: Option<u64>,
    actor: Arc<str>,
    pub(super) request: Draw,
}

/// What a call draws from which allowance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    pub(super) resource: &'static str,
    pub(super) points: u32,
}

/// Whose allowance calls draw from.
pub(super) struct Actor {
    pub(super) name: Arc<str>,
    /// Whether that is a name, not merely a stand-in for a token whose owner is not known yet.
    pub(super) is_known: bool,
}

impl GitHub {
    /// Whose allowance it is. What the store cannot say now, it may the next time.
    pub(super) async fn actor(&self) -> Result<Actor, FetchError> {
        if !self.has_token() {
            return Ok(Actor { name: "anonymous".into(), is_known: true });
        }
        if let Some(name) = self.state().actor.clone() {
            return Ok(Actor { name, is_known: true });
        }
        let credential = self.credential();
        let found = self.budgets.actor(self.host(), &credential).await.map_err(|error| local(&error))?;
        if let Some(name) = found {
            self.state().actor = Some(name.clone());
            return Ok(Actor { name, is_known: true });
        }
        let stand_in = format!("token:{}", &credential.as_str()[..8]);
        Ok(Actor { name: stand_in.into(), is_known: false })
    }

    /// Remembers whom the token belongs to.
    async fn learn_actor(&self, login: &str) {
        self.state().actor = Some(login.into());
        if let Err(error) = self.budgets.set_actor(self.host(), &self.credential(), login).await {
            tracing::warn!(%error, "the owner of the token could not be noted; it is asked for again");
        }
    }

    /// Asks everything that may keep a call back.
    pub(super) async fn admit(&self, errand: &Errand, request: Draw) -> Result<Ticket, FetchError> {
        let actor = self.actor().await?.name;
        let now = self.clock.now();
        if let Some((kind, until)) = self.state().blocked(request.resource, now) {
            return Err(self.limited(kind, until));
        }
        let admitted = self.state().breaker.admit(now);
        admitted.map_err(|until| FetchError::BreakerOpen { host: self.host().to_owned(), until })?;
        let ask = self.reservation(errand.priority(), actor.clone(), request, now);
        let refusal = match self.budgets.reserve(&ask, now).await {
            Ok(Reserved::Granted(id)) => return Ok(Ticket { id: Some(id), actor, request }),
            Ok(Reserved::Refused(Admission::Wait { kind, until })) => self.limited(kind, until),
            Ok(Reserved::Refused(Admission::Granted)) => {
                FetchError::Local("the budget refused and gave no reason".to_owned())
            }
            Err(error) => match self.without_budget(errand, &actor, request, &error, now).await {
                Ok(()) => return Ok(Ticket { id: None, actor, request }),
                Err(refusal) => refusal,
            },
        };
        self.state().breaker.withdrawn(now);
        Err(refusal)
    }

    /// Whether a call may go though the budget cannot be written. A fetch may not: what it costs no
    /// other process would see, and what it brings could not be stored.
    async fn without_budget(
        &self,
        errand: &Errand,
        actor: &str,
        request: Draw,
        error: &StoreError,
        now: Time,
    ) -> Result<(), FetchError> {
        if !errand.is_check() {
            return Err(local(error));
        }
        let rows = self.budgets.budgets(now).await.unwrap_or_default();
        for row in rows.iter().filter(|row| *row.host == *self.host()) {
            let kind = match (&*row.actor, &*row.resource) {
                (EVERYBODY, SECONDARY) => LimitKind::Outage,
                (whose, SECONDARY) if whose == actor => LimitKind::Secondary,
                (whose, resource) if whose == actor && resource == request.resource => LimitKind::Primary,
                _ => continue,
            };
            if let Some(until) = row.blocked_until.filter(|until| now < *until) {
                return Err(self.limited(kind, until));
            }
        }
        Ok(())
    }

    fn reservation(&self, priority: Priority, actor: Arc<str>, request: Draw, now: Time) -> Reservation {
        let is_graphql = request.resource == "graphql";
        Reservation {
            host: self.host().into(),
            actor,
            resource: request.resource.into(),
            points: request.points,
            priority,
            assumed_limit: if self.has_token() { 5000 } else { 60 },
            per_minute_max: if is_graphql { 2000 } else { 900 },
            owner: self.reserver.clone(),
            until: now.plus(RESERVED_FOR),
        }
    }

    /// Moves a reservation from the stand-in to the login that the answer told, so that what
    /// GitHub said of the allowance is noted where the next call looks.
    pub(super) async fn known_as(&self, ticket: Ticket, login: &str, now: Time) -> Ticket {
        if &*ticket.actor == login {
            return ticket;
        }
        self.learn_actor(login).await;
        let ask = self.reservation(Priority::Waiting, login.into(), ticket.request, now);
        match self.budgets.reserve(&ask, now).await {
            Ok(Reserved::Granted(id)) => {
                let moved = Ticket { id: Some(id), actor: login.into(), request: ticket.request };
                self.settle(ticket, 0, RateHeaders::default(), None, now).await;
                moved
            }
            Ok(Reserved::Refused(_)) | Err(_) => ticket,
        }
    }

    /// Gives the reservation back. If the store cannot take it, the answer is good all the same:
    /// the reservation ends by itself.
    pub(super) async fn settle(
        &self,
        ticket: Ticket,
        spent: u32,
        rate: RateHeaders,
        blocked: Option<(LimitKind, Time)>,
        now: Time,
    ) {
        let Some(id) = ticket.id else { return };
        let settlement = Settlement {
            id,
            host: self.host().into(),
            actor: ticket.actor,
            resource: ticket.request.resource.into(),
            spent,
            limit: rate.limit,
            remaining: rate.remaining,
            reset_at: rate.reset_at,
            blocked,
        };
        if let Err(error) = self.budgets.settle(&settlement, now).await {
            tracing::warn!(%error, "what a call cost could not be noted");
        }
    }

    pub(super) fn limited(&self, kind: LimitKind, until: Time) -> FetchError {
        let message = match kind {
            LimitKind::Primary if self.has_token() => "GitHub's hourly rate limit is used up",
            LimitKind::Primary => "GitHub's 60 calls an hour without a token are used up",
            LimitKind::Secondary => "GitHub's secondary rate limit holds",
            LimitKind::Outage => "GitHub is out of service, and asked not to be called",
            LimitKind::Budget => "the rest of GitHub's hourly limit is kept for more urgent calls",
        };
        FetchError::Limited { kind, until, message: message.to_owned() }
    }
}

fn local(error: &StoreError) -> FetchError {
    FetchError::Local(format!("the budget could not be asked: {error}"))
}
