//! Connections that lay idle. Whatever stands between, a router or a load balancer, forgets those that are silent for
//! long, and tells neither end: who used one then would wait for an answer until its time is up. So they are asked
//! for a sign of life first.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::{ClientWrapper, Hook, HookError, Metrics};

/// What is trivial takes no longer, wherever the database is.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whom to ask, and what was found.
struct Idle {
    since: Duration,
    patience: Duration,
    /// When the last one was used that did not answer.
    forgotten: Mutex<Option<Instant>>,
}

/// Asks each connection that was idle for as long as `since`, before it is used, and waits no longer than `most`. One
/// that does not answer is thrown away, and so are those that were idle as long: they went the same way.
pub(crate) fn asked(since: Duration, most: Duration) -> Hook {
    let idle = std::sync::Arc::new(Idle { since, patience: PATIENCE.min(most), forgotten: Mutex::default() });
    Hook::async_fn(move |client: &mut ClientWrapper, metrics: &Metrics| {
        let (idle, metrics) = (idle.clone(), *metrics);
        Box::pin(async move { idle.ask(client, metrics).await })
    })
}

impl Idle {
    #[expect(clippy::disallowed_methods, reason = "a network that is silent is silent in real time")]
    async fn ask(&self, client: &ClientWrapper, metrics: Metrics) -> Result<(), HookError> {
        if metrics.last_used() < self.since {
            return Ok(());
        }
        let used = metrics.recycled.unwrap_or(metrics.created);
        let forgotten = || self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        if forgotten().is_some_and(|at| used <= at) {
            return Err(HookError::message("others that were idle as long did not answer"));
        }
        // Of no transaction and of no words, so that a pooler may send it anywhere.
        if let Ok(answered) = tokio::time::timeout(self.patience, client.simple_query("")).await {
            return answered.map(drop).map_err(HookError::Backend);
        }
        let mut forgotten = forgotten();
        *forgotten = forgotten.max(Some(used));
        Err(HookError::message("it did not answer"))
    }
}
