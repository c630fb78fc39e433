//! The waits that hosts ask for, kept in the store for every process: a Retry-After means all that would
//! be sent there, whatever wishes for it, and not only what met it. For upstreams that say nothing else
//! of their limits; GitHub's client keeps its own (`github/allowance`).

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Admission, Budgets, FetchError, LimitKind, Priority, Reservation, Reserved, Settlement, StoreError, Time,
};

/// No host that says nothing allows less.
const UNLIMITED: u32 = 1_000_000;
/// A call that has not come back by then was dropped.
const RESERVED_FOR: Duration = Duration::from_mins(1);

/// The waits of one store.
pub(crate) struct Waits {
    budgets: Arc<dyn Budgets>,
    owner: Arc<str>,
}

/// Leave to call a host once.
pub(crate) struct Leave {
    id: u64,
    host: Arc<str>,
}

impl Waits {
    pub(crate) fn new(budgets: Arc<dyn Budgets>, owner: Arc<str>) -> Self {
        Waits { budgets, owner }
    }

    /// Leave to call; an error while the host asked to be left alone.
    pub(crate) async fn admit(&self, host: &str, now: Time) -> Result<Leave, FetchError> {
        let host: Arc<str> = host.into();
        let ask = Reservation {
            host: host.clone(),
            actor: "anonymous".into(),
            resource: "web".into(),
            points: 1,
            priority: Priority::Waiting,
            assumed_limit: UNLIMITED,
            per_minute_max: UNLIMITED,
            owner: self.owner.clone(),
            until: now.plus(RESERVED_FOR),
        };
        match self.budgets.reserve(&ask, now).await {
            Ok(Reserved::Granted(id)) => Ok(Leave { id, host }),
            Ok(Reserved::Refused(Admission::Wait { kind, until })) => {
                Err(FetchError::Limited { kind, until, message: format!("{host} asked not to be called") })
            }
            Ok(Reserved::Refused(Admission::Granted)) => {
                Err(FetchError::Local("the budget refused and gave no reason".to_owned()))
            }
            Err(error) => Err(local(&error)),
        }
    }

    /// Tells what came of the call: until when the host wants to be left alone, if it said so.
    pub(crate) async fn settle(&self, leave: Leave, until: Option<Time>, now: Time) {
        let settlement = Settlement {
            id: leave.id,
            host: leave.host,
            actor: "anonymous".into(),
            resource: "web".into(),
            spent: 1,
            limit: None,
            remaining: None,
            reset_at: None,
            blocked: until.map(|until| (LimitKind::Outage, until)),
        };
        if let Err(error) = self.budgets.settle(&settlement, now).await {
            tracing::warn!(%error, "what a host asked for could not be noted");
        }
    }
}

fn local(error: &StoreError) -> FetchError {
    FetchError::Local(format!("whether the host asked to be left alone could not be looked up: {error}"))
}
