//! The machine's clock is set back while a source hangs: waits are spans, and none grows by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Ask, Clock, Definition, FetchError, Fetched, Fingerprint, Key, Policy, Source, Store, Time, Trigger,
};
use larder_engine::{Engine, RefreshError, SystemClock};
use larder_store_sqlite::SqliteStore;

use crate::world::{HOUR, options};

/// Tells a time that a test moves; waits as the machine does.
#[derive(Clone, Default)]
struct Jumping(Arc<AtomicI64>);

#[async_trait]
impl Clock for Jumping {
    fn now(&self) -> Time {
        Time::from_ms(SystemClock.now().ms() + self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, span: Duration) {
        SystemClock.sleep(span).await;
    }
}

/// Never answers; the clock jumps as soon as it is asked.
struct Hanging(Jumping);

#[async_trait]
impl Source for Hanging {
    #[expect(clippy::unnecessary_literal_bound, reason = "the trait's signature")]
    fn name(&self) -> &str {
        "hanging"
    }

    fn define(&self, _key: &Key) -> Option<Arc<Definition>> {
        let hard_timeout = Duration::from_millis(300);
        let policy = Policy { hard_timeout, lease: Duration::from_millis(90), ..Policy::default() };
        Some(Arc::new(Definition::new(Fingerprint::of(&["hanging"]), policy)))
    }

    async fn fetch(&self, _ask: &Ask) -> Result<Fetched, FetchError> {
        // Within the fetch: its time-out has begun to run.
        self.0.sleep(Duration::from_millis(50)).await;
        self.0.0.store(-(HOUR.as_millis() as i64), Ordering::SeqCst);
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_lengthen_a_hard_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Jumping::default();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(options(dir.path(), clock.now())).unwrap());
    let engine = Engine::builder(store, Arc::new(clock.clone())).source(Arc::new(Hanging(clock))).build();
    let key: Key = "hanging/one".parse().unwrap();
    let refresh = engine.refresh(std::slice::from_ref(&key), Trigger::Manual, |_| {});
    let refreshed = tokio::select! {
        refreshed = refresh => refreshed,
        () = SystemClock.sleep(Duration::from_secs(5)) => panic!("it hangs for as long as the clock was set back"),
    };
    let error = refreshed[0].result.as_ref().unwrap_err();
    assert!(
        matches!(error, RefreshError::LeaseEnded | RefreshError::Fetch(FetchError::TimedOut { .. })),
        "a time-out, of which the entry knows nothing: {error:?}"
    );
    let row = engine.store().lookup(&[key]).await.unwrap().pop().unwrap().unwrap();
    assert_eq!(row.entry.faults, 0);
}
