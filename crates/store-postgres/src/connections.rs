//! The pool of connections, and how often what fails on one is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolConfig, PoolError, QueueMode, Runtime, TimeoutType, Timeouts,
};
use larder_core::{StoreError, ViewSpec};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::Address;
use crate::copy::MANY;
use crate::direct::Direct;
use crate::errors::{Fault, Remedy};
use crate::idle;
use crate::life;
use crate::open::{OpenOptions, Statements, Times};
use crate::reach::{LetIn, Reach};
use crate::transaction::{ON_THE_WAY, Terms, Tx};

/// How often a transaction is tried that others were in the way of.
const TRIES_MAX: u32 = 8;

/// How often one is tried whose connection broke before anything could be committed.
const CONNECTIONS_MAX: u32 = 3;

/// How soon one that the server did not let in looks whether another has come back.
const LOOKS_AGAIN: Duration = Duration::from_millis(20);

/// A reader who goes away, and a process that is killed, leave statements behind, which would go on to their end or
/// time-out: the database looks each second whether anybody still waits.
const LOOKS_FOR_ASKER: &str = "; SET LOCAL client_connection_check_interval = 1000";

/// The pool, and what every transaction on it has in common.
pub(crate) struct Connections {
    pool: Pool,
    kept: usize,
    /// So many may write at once: what they wait for, a table that somebody has locked, is no reader's concern.
    writers: Semaphore,
    pool_timeout: Duration,
    statement_timeout: Duration,
    statements: Statements,
    direct: Arc<Direct>,
    times: Times,
    specs: Arc<[ViewSpec]>,
    place: String,
    /// Whether the database let us in at any time.
    was_let_in: AtomicBool,
    /// Which way it did so last.
    let_in: LetIn,
    /// Whether it can look, amid a statement, whether who asked for it is still there.
    looks_for_asker: AtomicBool,
    /// The life that was found whole; 0 = none was yet.
    life: AtomicI64,
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One state of the store, for as many statements as it takes.
    Read,
    /// As `Read`, quicker: its first statement has [`Tx::is_still`] among its conditions.
    Hit,
    /// As `Read`, of whatever there is: it need not be a store.
    Look,
    /// Each statement sees what others have committed, and waits for rows that they hold.
    Write,
    /// As `Write`; done twice it is as good as done once.
    Rewrite,
    /// As `Write`, for as long as an index may take to build, and into whatever there is.
    Long,
}

impl Mode {
    fn may_be_repeated(self) -> bool {
        matches!(self, Mode::Read | Mode::Hit | Mode::Look | Mode::Rewrite)
    }

    fn writes(self) -> bool {
        matches!(self, Mode::Write | Mode::Rewrite | Mode::Long)
    }
}

/// How many of so many connections may write at once. Readers are quick, and few connections are enough for them.
fn writers_max(connections: usize) -> usize {
    (connections - connections.div_ceil(5)).max(1)
}

/// The longest that a migration or an index may take.
const LONG: Duration = Duration::from_mins(10);

impl Connections {
    pub(crate) fn new(
        options: &OpenOptions,
        address: &Address,
        tls: MakeRustlsConnect,
    ) -> Result<Self, StoreError> {
        let mut config = address.config.clone();
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(options.statement_timeout + ON_THE_WAY);
        }
        let patience = address.patience(options.connect_timeout);
        let direct = Direct::of(address, tls.clone(), patience);
        let let_in = LetIn::default();
        let reach = Reach::new(&config, tls, patience, let_in.clone());
        let manager = Manager::from_connect(config, reach, ManagerConfig::default());
        // What connects has a time for each way in.
        let timeouts = Timeouts { wait: Some(options.pool_timeout), create: None, recycle: Some(patience) };
        let max_size = (options.pool_size + options.max_overflow).max(1);
        let pool = Pool::builder(manager)
            // The last one used is the next, so that those beyond the kept ones become idle.
            .config(PoolConfig { max_size, timeouts, queue_mode: QueueMode::Lifo })
            .pre_recycle(idle::asked(options.idle_for, options.pool_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Failed {
                place: address.place.clone(),
                attempted: "make the pool",
                cause: error.to_string(),
            })?;
        Ok(Connections {
            pool,
            kept: options.pool_size.max(1),
            writers: Semaphore::new(writers_max(max_size)),
            pool_timeout: options.pool_timeout,
            statement_timeout: options.statement_timeout,
            statements: options.statements,
            direct: Arc::new(direct),
            times: options.times.clone(),
            specs: options.views.clone().into(),
            place: address.place.clone(),
            was_let_in: AtomicBool::new(false),
            let_in,
            looks_for_asker: AtomicBool::new(false),
            life: AtomicI64::new(0),
        })
    }

    /// Runs `work` in a transaction and commits it, and does so again where that is safe: when others
    /// were in the way, or the connection broke before `COMMIT` was sent. An answer to `COMMIT` that
    /// is lost is [`StoreError::Unreachable`]: nobody knows then.
    pub(crate) async fn run<T, W: Future<Output = Result<T, Fault>>>(
        &self,
        mode: Mode,
        attempted: &'static str,
        work: impl Fn(Arc<Tx>) -> W,
    ) -> Result<T, StoreError> {
        self.tried(mode, work).await.map_err(|fault| match self.named(fault, attempted) {
            // Its time is no setting of anybody's.
            StoreError::Slow { place, attempted, cause } if mode == Mode::Long => {
                StoreError::Failed { place, attempted, cause }
            }
            error => error,
        })
    }

    /// The same, for who looks into the fault: [`named`](Connections::named) is what leaves the store.
    pub(crate) async fn tried<T, W: Future<Output = Result<T, Fault>>>(
        &self,
        mode: Mode,
        work: impl Fn(Arc<Tx>) -> W,
    ) -> Result<T, Fault> {
        let (mut tries, mut connections) = (1, 1);
        loop {
            let (fault, is_open) = match self.once(mode, tries, &work).await {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            match fault.remedy() {
                Remedy::Again if tries < TRIES_MAX => tries += 1,
                Remedy::Reconnect if !is_open && connections < CONNECTIONS_MAX => connections += 1,
                _ => return Err(fault),
            }
        }
    }

    /// What the database was found to be able to.
    pub(crate) fn set_looks_for_asker(&self, does: bool) {
        self.looks_for_asker.store(does, Ordering::Relaxed);
    }

    /// Which life of the store was found whole: none of another is read, nor written, until it was looked at.
    pub(crate) fn set_life(&self, nr: i64) {
        self.life.store(nr, Ordering::Relaxed);
    }

    /// That life; 0 = none was yet.
    pub(crate) fn life(&self) -> i64 {
        self.life.load(Ordering::Relaxed)
    }

    /// Whether nobody stands between.
    pub(crate) async fn is_direct(&self) -> bool {
        self.direct.is_direct().await
    }

    /// The kinds that items are found and listed as.
    pub(crate) fn specs(&self) -> &[ViewSpec] {
        &self.specs
    }

    /// What tells whether somebody does.
    pub(crate) fn way(&self) -> Arc<Direct> {
        self.direct.clone()
    }

    /// Which way the database let us in last, for who connects to it beside the pool.
    pub(crate) fn let_in(&self) -> LetIn {
        self.let_in.clone()
    }

    /// Before so many rows are written: whether they may be copied in is told, once.
    pub(crate) async fn expect(&self, rows: usize) {
        if rows >= MANY && self.statements == Statements::Unnamed {
            self.is_direct().await;
        }
    }

    /// One try. With the fault it answers whether it is open what became of it.
    async fn once<T, W: Future<Output = Result<T, Fault>>>(
        &self,
        mode: Mode,
        nth: u32,
        work: &impl Fn(Arc<Tx>) -> W,
    ) -> Result<T, (Fault, bool)> {
        let _place = if mode.writes() {
            Some(self.place_to_write().await.map_err(|fault| (fault, false))?)
        } else {
            None
        };
        let tx = Arc::new(self.begin(mode, nth).await.map_err(|fault| (fault, false))?);
        let mut is_astray = false;
        let ended = match work(tx.clone()).await {
            Ok(done) => tx.commit().await.map(|()| done),
            Err(fault) => {
                // It may stand in for another, which is back: neither this connection nor those that lie idle are
                // used again.
                is_astray = fault.is_read_only() && self.let_in.forget();
                tx.roll_back(&fault).await;
                Err(fault)
            }
        };
        let may_have_committed = !mode.may_be_repeated() && tx.may_have_committed();
        if let Some(tx) = Arc::into_inner(tx) {
            self.give_back(tx);
        }
        if is_astray {
            self.pool.retain(|_, _| false);
        }
        ended.map_err(|fault| {
            let is_open = may_have_committed && !fault.came_before_commit();
            (fault, is_open)
        })
    }

    /// The error that leaves the store. Where the database let us in before, it may let us in again, whichever
    /// way it sends us away now.
    pub(crate) fn named(&self, fault: Fault, attempted: &'static str) -> StoreError {
        let was_let_in = matches!(fault, Fault::Pool(_)) && self.was_let_in.load(Ordering::Relaxed);
        match fault.named(&self.place, attempted) {
            StoreError::Denied { place, cause, .. } if was_let_in => {
                StoreError::Unreachable { place, attempted, cause }
            }
            error => error,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "waits for a database, whose time no test moves")]
    async fn place_to_write(&self) -> Result<SemaphorePermit<'_>, Fault> {
        let waited = || Fault::Pool(PoolError::Timeout(TimeoutType::Wait));
        tokio::time::timeout(self.pool_timeout, self.writers.acquire())
            .await
            .map_err(|_| waited())?
            .map_err(|_| Fault::Pool(PoolError::Closed))
    }

    async fn begin(&self, mode: Mode, nth: u32) -> Result<Tx, Fault> {
        let conn = self.connection().await?;
        self.was_let_in.store(true, Ordering::Relaxed);
        let timeout = if mode == Mode::Long { LONG } else { self.statement_timeout };
        let isolation = match mode {
            Mode::Read | Mode::Hit | Mode::Look => "ISOLATION LEVEL REPEATABLE READ READ ONLY",
            // Not `READ WRITE`: whose database it is may have set it to be read only.
            Mode::Write | Mode::Rewrite | Mode::Long => "ISOLATION LEVEL READ COMMITTED",
        };
        // Whoever waits for what a frozen larder holds is to get it before its own statement is stopped. But
        // the values of a prepared statement are on their way while it counts as idle, and may be many.
        let idle = match self.statements {
            Statements::Unnamed => (self.statement_timeout / 2).max(ON_THE_WAY),
            Statements::Prepared => self.statement_timeout.max(ON_THE_WAY),
        };
        let known = Some(self.life.load(Ordering::Relaxed)).filter(|known| *known != 0);
        let (look, is_still) = match (known, mode) {
            (Some(known), Mode::Hit) => (String::new(), format!(" AND {} = 1", life::is_still(known))),
            (Some(known), Mode::Read | Mode::Write | Mode::Rewrite) => {
                (format!("; SELECT {}", life::is_still(known)), String::new())
            }
            (None, _) | (_, Mode::Look | Mode::Long) => Default::default(),
        };
        // Compiling a statement takes longer than any of ours. Our own names are qualified, and whose database
        // it is may have set another schema before that of the functions we call.
        let begin = format!(
            "BEGIN {isolation}; SET LOCAL statement_timeout = {}; \
             SET LOCAL idle_in_transaction_session_timeout = {}; SET LOCAL jit = off; \
             SET LOCAL search_path = pg_catalog{}{}",
            timeout.as_millis(),
            idle.as_millis(),
            if self.looks_for_asker.load(Ordering::Relaxed) { LOOKS_FOR_ASKER } else { "" },
            look
        );
        let (statements, direct) = (self.statements, self.direct.clone());
        let (times, specs) = (self.times.clone(), self.specs.clone());
        Ok(Tx::on(conn, Terms { begin, is_still, nth, timeout, statements, direct, times, specs }))
    }

    /// One of the pool's. Where the server takes no more of them than there are, which may be fewer than the
    /// pool may have, one of those is waited for as when the pool is full.
    #[expect(clippy::disallowed_methods, reason = "waits for a database, whose time no test moves")]
    async fn connection(&self) -> Result<Object, Fault> {
        let mut waited = Duration::ZERO;
        loop {
            match self.pool.get().await {
                Err(PoolError::Backend(error))
                    if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS)
                        && self.pool.status().size > 0
                        && waited < self.pool_timeout =>
                {
                    tokio::time::sleep(LOOKS_AGAIN).await;
                    waited += LOOKS_AGAIN;
                }
                found => return Ok(found?),
            }
        }
    }

    /// Where as many as are kept lie idle already, one more is closed.
    fn give_back(&self, tx: Tx) {
        if let Some(conn) = tx.into_connection()
            && self.pool.status().available >= self.kept
        {
            drop(Object::take(conn));
        }
    }
}
