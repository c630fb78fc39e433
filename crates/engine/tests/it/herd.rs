//! A thousand readers of a cold key in two real processes make one upstream call.
//!
//! The test starts this very binary again, twice, with one test picked: each child is a process
//! with five hundred readers. The upstream is a file that every call adds a line to.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{Ask, Clock, Definition, FetchError, Fetched, Fingerprint, Json, Key, Policy, Source};
use larder_engine::{Engine, ReadOptions, SystemClock};
use larder_store_sqlite::SqliteStore;

use crate::world::options;

const DIR: &str = "LARDER_TEST_HERD_DIR";

/// Slow enough that everybody asks before it answers.
struct Slow {
    calls: PathBuf,
}

#[async_trait]
impl Source for Slow {
    #[expect(clippy::unnecessary_literal_bound, reason = "the trait's signature")]
    fn name(&self) -> &str {
        "slow"
    }

    fn define(&self, _key: &Key) -> Option<Arc<Definition>> {
        Some(Arc::new(Definition::new(Fingerprint::of(&["slow"]), Policy::default())))
    }

    async fn fetch(&self, _ask: &Ask) -> Result<Fetched, FetchError> {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.calls).unwrap();
        file.write_all(b"call\n").unwrap();
        SystemClock.sleep(Duration::from_millis(800)).await;
        Ok(Fetched::body(Json::parse(r#"{"answer":42}"#).unwrap()))
    }
}

async fn five_hundred_readers(dir: &Path) {
    let store = Arc::new(SqliteStore::open(options(dir, SystemClock.now())).unwrap());
    let owner = format!("process {}", std::process::id());
    let engine = Engine::builder(store, Arc::new(SystemClock))
        .source(Arc::new(Slow { calls: dir.join("calls") }))
        .owner(owner)
        .build();
    let key: Key = "slow/cold".parse().unwrap();
    let readers: Vec<_> = (0..500)
        .map(|_| {
            let (engine, key) = (engine.clone(), key.clone());
            tokio::spawn(async move { engine.read(&key, &ReadOptions::default()).await })
        })
        .collect();
    for reader in readers {
        let reading = reader.await.unwrap().unwrap();
        assert_eq!(reading.stored.entry.body.as_ref().unwrap().as_str(), r#"{"answer":42}"#);
    }
}

fn calls(dir: &Path) -> usize {
    std::fs::read_to_string(dir.join("calls")).unwrap().lines().count()
}

/// Also what a child of the next test runs, in the directory that it is told.
#[test]
#[expect(clippy::disallowed_methods, reason = "the parent tells its child where, through the environment")]
fn five_hundred_readers_of_a_cold_key_make_one_call() {
    let own = tempfile::tempdir().unwrap();
    let given = std::env::var_os(DIR).map(PathBuf::from);
    let dir = given.as_deref().unwrap_or(own.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(five_hundred_readers(dir));
    assert_eq!(calls(dir), 1);
}

#[test]
fn a_thousand_readers_in_two_processes_make_one_call() {
    let dir = tempfile::tempdir().unwrap();
    let child = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "herd::five_hundred_readers_of_a_cold_key_make_one_call"])
            .env(DIR, dir.path())
            .output()
    };
    let (one, two) = std::thread::scope(|scope| {
        let (one, two) = (scope.spawn(child), scope.spawn(child));
        (one.join().unwrap().unwrap(), two.join().unwrap().unwrap())
    });
    for output in [one, two] {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
    assert_eq!(calls(dir.path()), 1);
}
