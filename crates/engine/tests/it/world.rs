//! One engine or several on one SQLite file, a source and a clock in the test's hand.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Clock, Entry, FetchError, Key, LogFilter, LogLine, Mode, Request, Source, Status, Store, Stored, Time,
    Trigger,
};
use larder_engine::{Behind, Engine, ReadError, ReadOptions, Reading, Refreshed};
use larder_store_sqlite::{OpenOptions, SqliteStore};
use larder_testkit::{FakeSource, FaultyStore, VirtualClock};
use tempfile::TempDir;

pub struct World {
    pub clock: VirtualClock,
    pub source: FakeSource,
    pub store: Arc<FaultyStore>,
    pub engine: Engine,
    dir: TempDir,
    engines: u64,
}

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_mins(1);
pub const FOLLOW_EVERY: Duration = Duration::from_millis(50);
pub const HOUR: Duration = Duration::from_hours(1);

impl World {
    pub fn new() -> Self {
        World::with_memory(0)
    }

    /// As in a process that lives long: copies in memory, and a task that follows the store.
    pub fn remembering() -> Self {
        let world = World::with_memory(1 << 20);
        follow(&world.engine);
        world
    }

    fn with_memory(bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = VirtualClock::new();
        let source = FakeSource::new(Arc::new(clock.clone()));
        let store = open(dir.path(), &clock);
        let engine = engine(&store, &clock, Arc::new(source.clone()), 0, bytes);
        World { clock, source, store, engine, dir, engines: 0 }
    }

    /// Another process on the same file: its own store handle, its own engine, the same upstream.
    pub fn another_process(&mut self) -> (Engine, Arc<FaultyStore>) {
        self.another_process_with(Arc::new(self.source.clone()))
    }

    /// The same, with a source of its own.
    pub fn another_process_with(&mut self, source: Arc<dyn Source>) -> (Engine, Arc<FaultyStore>) {
        self.engines += 1;
        let store = open(self.dir.path(), &self.clock);
        let engine = engine(&store, &self.clock, source, self.engines, 0);
        (engine, store)
    }

    /// Damages what the file holds, behind the store's back.
    pub fn spoil(&self, sql: &str) {
        rusqlite::Connection::open(self.dir.path().join("larder.db")).unwrap().execute_batch(sql).unwrap();
    }

    /// Runs to the end, moving time whenever everybody waits.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.clock.drive(work).await
    }

    pub async fn read(&self, key: &Key) -> Result<Reading, ReadError> {
        self.run(self.engine.read(key, &ReadOptions::default())).await
    }

    /// Reads and leaves what is stale alone.
    pub async fn peek(&self, key: &Key) -> Result<Reading, ReadError> {
        self.run(self.engine.read(key, &ReadOptions { behind: Behind::Leave, ..ReadOptions::default() }))
            .await
    }

    pub async fn refresh(&self, key: &Key) -> Refreshed {
        let mut all = self.run(self.engine.refresh(std::slice::from_ref(key), Trigger::Manual, |_| {})).await;
        all.pop().unwrap()
    }

    /// Lets everything under way come to its end, without anybody asking for anything.
    pub async fn settle(&self) {
        let mut quiet = 0;
        while quiet < 400 {
            tokio::task::yield_now().await;
            std::thread::yield_now();
            // A store's work on another thread is waited for, however busy the machine.
            quiet = if self.clock.is_held_still() { 0 } else { quiet + 1 };
        }
    }

    /// Moves time, letting everything that wakes do its work.
    pub async fn pass(&self, span: Duration) {
        let until = self.clock.now().plus(span);
        self.run(self.clock.sleep(until.since(self.clock.now()))).await;
        self.settle().await;
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }

    pub async fn row(&self, key: &Key) -> Option<Entry> {
        self.stored(key).await.map(|stored| stored.entry)
    }

    pub async fn stored(&self, key: &Key) -> Option<Stored> {
        self.store.lookup(std::slice::from_ref(key)).await.unwrap().pop().unwrap()
    }

    pub async fn log(&self) -> Vec<LogLine> {
        self.store.log(&LogFilter { key: None, limit: 1000 }).await.unwrap()
    }

    pub async fn status(&self, key: &Key) -> Status {
        let definition = self.source.define(key);
        let row = self.row(key).await;
        row.map_or(Status::Missing, |row| row.status(definition.as_deref(), self.clock.now()))
    }
}

pub fn open(dir: &Path, clock: &VirtualClock) -> Arc<FaultyStore> {
    let store = SqliteStore::open(options(dir, clock.now())).unwrap();
    Arc::new(FaultyStore::new(Arc::new(store), clock.clone()))
}

pub fn options(dir: &Path, now: Time) -> OpenOptions {
    OpenOptions::new(dir.join("larder.db"), now)
}

/// Starts the task that follows the store.
pub fn follow(engine: &Engine) {
    let engine = engine.clone();
    tokio::spawn(async move { engine.follow(0, FOLLOW_EVERY).await });
}

fn engine(
    store: &Arc<FaultyStore>,
    clock: &VirtualClock,
    source: Arc<dyn Source>,
    number: u64,
    bytes: u64,
) -> Engine {
    let store: Arc<dyn Store> = store.clone();
    Engine::builder(store, Arc::new(clock.clone()))
        .source(source)
        .owner(format!("process {number}"))
        .seed(number)
        .memory(bytes)
        .build()
}

pub fn with_mode(mode: Mode) -> ReadOptions {
    ReadOptions { request: Request { mode, ..Request::default() }, ..ReadOptions::default() }
}

/// The revisions of what a reading shows, by name.
pub fn shown(reading: &Reading) -> Vec<(String, u64)> {
    let one = |member: &larder_core::Member| {
        let doc: serde_json::Value = member.item.doc.decode().unwrap();
        (doc["name"].as_str().unwrap().to_owned(), doc["rev"].as_u64().unwrap())
    };
    reading.stored.members.iter().map(one).collect()
}

pub fn network() -> FetchError {
    FetchError::Network { host: "example.com".to_owned(), cause: "connection refused".to_owned() }
}

pub fn unusable() -> FetchError {
    FetchError::Unusable { host: "example.com".to_owned(), detail: "not JSON".to_owned() }
}
