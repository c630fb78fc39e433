//! The pure-Rust key-value store: one redb file, one process at a time.
//!
//! [`RedbStore`] keeps core's [`Store`] and [`Budgets`] contracts. redb's own lock lets one process
//! write and nobody read meanwhile, so a server holds the file throughout, and programs that come and
//! go hold it for a call ([`Hold`]). Short reads run on the calling thread, long ones on the
//! runtime's blocking threads; writes queue for one writer, which commits them in groups.

mod budgets;
mod columns;
mod commit;
mod compact;
mod due;
mod entries;
mod errors;
mod export;
mod feed;
mod files;
mod hold;
#[cfg(target_os = "linux")]
mod holes;
mod invalidate;
mod items;
mod keys;
mod leases;
mod lines;
mod list;
mod lock;
mod markers;
mod open;
mod overlay;
mod port;
mod rows;
mod search;
mod sequence;
mod sheets;
mod sweep;
mod tables;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use larder_core::{Budgets, Store, StoreError};

use crate::errors::Fault;
use crate::hold::Holder;
use crate::tables::{Snapshot, Tx};
use crate::writer::{Queue, Writer};

pub use open::{Access, Hold, OpenOptions};
pub use tables::SCHEMA;

/// A store in one redb file. Cheap to clone: clones share the file and the writer. The last one to go
/// waits for the writer to finish.
#[derive(Clone)]
pub struct RedbStore {
    shared: Arc<Shared>,
}

struct Shared {
    // Before the holder, so that the thread has ended when the file is closed.
    writer: Mutex<Option<Writer>>,
    holder: Arc<Holder>,
}

impl RedbStore {
    /// Opens the store, making it if there is nothing. A damaged file of ours is moved aside (see
    /// [`recovered`](RedbStore::recovered)). Waits in this thread while another process has the file.
    ///
    /// Errors: [`StoreError::Held`] where another process keeps the file;
    /// [`StoreError::Foreign`] and [`StoreError::TooNew`] leave it as it is;
    /// [`StoreError::Corrupt`] says that it is damaged and in use elsewhere.
    pub fn open(options: OpenOptions) -> Result<RedbStore, StoreError> {
        let place = options.path.display().to_string();
        let options = OpenOptions { path: files::followed(options.path), ..options };
        let opened = open::open(&options, &place)?;
        let holder = Arc::new(Holder::new(options, place, opened));
        Ok(RedbStore { shared: Arc::new(Shared { writer: Mutex::new(None), holder }) })
    }

    /// Where a damaged database was moved to, if this handle met one; the store then began anew.
    pub fn recovered(&self) -> Option<PathBuf> {
        self.shared.holder.recovered()
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.shared.holder.options.path
    }

    /// Reads on the calling thread.
    async fn read<T>(
        &self,
        attempted: &'static str,
        work: impl FnOnce(&Snapshot) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let (life, done) = match self.shared.holder.reading().await {
            Ok(reading) => (Some(reading.life()), reading.look(work)),
            Err(fault) => (None, Err(fault)),
        };
        match done {
            Ok(done) => Ok(done),
            Err(fault) => Err(self.met(fault, life, attempted).await),
        }
    }

    /// Reads where a long look does not keep a runtime's thread from others.
    async fn read_long<T: Send + 'static>(
        &self,
        attempted: &'static str,
        work: impl FnOnce(&Snapshot) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.read(attempted, work).await;
        };
        let reading = match self.shared.holder.reading().await {
            Ok(reading) => reading,
            Err(fault) => return Err(self.met(fault, None, attempted).await),
        };
        let life = Some(reading.life());
        let look = move || reading.look(work);
        let done = runtime.spawn_blocking(look).await;
        match done.unwrap_or_else(|error| Err(Fault::Wrong(error.to_string()))) {
            Ok(done) => Ok(done),
            Err(fault) => Err(self.met(fault, life, attempted).await),
        }
    }

    /// Writes: queues for the writer and waits for the commit. `work` may run more than once.
    async fn write<T: Send + 'static>(
        &self,
        attempted: &'static str,
        work: impl Fn(&Tx<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.queue()?.run(&self.shared.holder.place, attempted, work).await
    }

    /// Has the writer do something about the file as a whole.
    async fn tend<T: Send + 'static>(
        &self,
        attempted: &'static str,
        work: impl FnOnce(&Holder) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.queue()?.tend(&self.shared.holder.place, attempted, work).await
    }

    /// Makes the file smaller, if that pays. Failing to is no harm.
    async fn compact(&self) -> Result<(), StoreError> {
        let compact = |holder: &Holder| match compact::compact_if_it_pays(holder) {
            Ok(true) => tracing::info!(place = holder.place, bytes = holder.bytes(), "made the file smaller"),
            Ok(false) => {}
            Err(fault) => tracing::warn!(place = holder.place, ?fault, "could not make the file smaller"),
        };
        self.tend("compact", compact).await
    }

    /// Names a fault, and has done about it what can be.
    async fn met(&self, fault: Fault, life: Option<u64>, attempted: &'static str) -> StoreError {
        let place = &self.shared.holder.place;
        if !fault.wants_reopening() || self.shared.holder.options.access == Access::ReadOnly {
            return fault.named(place, attempted);
        }
        let heal = move |holder: &Holder| holder.heal(fault, life, attempted);
        match self.tend(attempted, heal).await {
            Ok(error) | Err(error) => error,
        }
    }
}

impl Shared {
    /// The way to the writer, who is called to work by the first write.
    fn queue(&self) -> Result<Queue, StoreError> {
        if self.holder.options.access == Access::ReadOnly {
            return Err(StoreError::ReadOnly {
                place: self.holder.place.clone(),
                cause: "it is opened for reading alone".to_owned(),
                hint: None,
            });
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer.as_ref() {
            return Ok(writer.queue());
        }
        let started = Writer::start(self.holder.clone())?;
        let queue = started.queue();
        *writer = Some(started);
        Ok(queue)
    }
}

/// What both ports ask of a store: a check that `RedbStore` is one.
const _: fn() = || {
    fn keeps<T: Store + Budgets>() {}
    keeps::<RedbStore>();
};
