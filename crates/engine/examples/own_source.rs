//! A source of one's own: cached, refreshed, read. `cargo run -p larder-engine --example own_source`
//!
//! What is between the two lines is all that a new source takes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Ask, Clock, Definition, FetchError, Fetched, Fingerprint, Json, Key, Policy, Source, Trigger,
};
use larder_engine::{Engine, ReadOptions, SystemClock};
use larder_store_sqlite::{OpenOptions, SqliteStore};

// ---------------------------------------------------------------------------------------------
struct Weather;

#[async_trait]
impl Source for Weather {
    #[expect(clippy::unnecessary_literal_bound, reason = "the trait's signature")]
    fn name(&self) -> &str {
        "weather"
    }

    fn define(&self, _city: &Key) -> Option<Arc<Definition>> {
        let hourly = Policy::with_ttl(Duration::from_hours(1));
        Some(Arc::new(Definition::new(Fingerprint::of(&["v1"]), hourly)))
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        // Here the slow call would be: an API, a scrape, a query.
        let report = serde_json::json!({ "city": ask.key.name(), "sky": "clear" });
        Ok(Fetched::body(Json::from(report)))
    }
}
// ---------------------------------------------------------------------------------------------

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store =
        Arc::new(SqliteStore::open(OpenOptions::new(dir.path().join("larder.db"), SystemClock.now()))?);
    let engine = Engine::builder(store, Arc::new(SystemClock)).source(Arc::new(Weather)).build();

    let lisbon: Key = "weather/lisbon".parse()?;
    let first = engine.read(&lisbon, &ReadOptions::default()).await?;
    let second = engine.read(&lisbon, &ReadOptions::default()).await?;
    let refreshed = engine.refresh(std::slice::from_ref(&lisbon), Trigger::Manual, |_| {}).await;
    for refreshed in &refreshed {
        refreshed.result.clone()?;
    }
    assert_eq!((first.hit.word(), second.hit.word()), ("miss", "hit"));
    assert_eq!(first.stored.entry.body, second.stored.entry.body);

    let mut out = std::io::stdout().lock();
    std::io::Write::write_fmt(
        &mut out,
        format_args!("{:?}: {}, then {}\n", lisbon, first.hit.word(), second.hit.word()),
    )?;
    engine.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
