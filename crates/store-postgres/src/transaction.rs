//! Transactions.
//!
//! Everything runs inside a transaction, reads too: the time-out is set for it alone (`SET LOCAL`),
//! so that nothing of a session outlives it and a pooler may hand the connection to somebody else.
//! What can be sent at once is: `BEGIN` travels with the first statement, `COMMIT` with the last.

use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::Object;
use larder_core::{FoundBy, Time, ViewSpec};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::copy::MANY;
use crate::direct::Direct;
use crate::errors::{Fault, Remedy};
use crate::open::{Statements, Times};
use crate::rows::At;

/// A statement's values with their types.
pub(crate) type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// An answer under way. On the heap: a transaction waits for many.
type Answer<'a, T> = futures::future::BoxFuture<'a, Result<T, Fault>>;

/// An answer takes a statement's time-out and this long on the way before a connection is given up.
pub(crate) const ON_THE_WAY: Duration = Duration::from_secs(2);

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// Nothing was sent.
    Idle,
    /// `BEGIN` was sent.
    Open,
    /// `COMMIT` was sent, and not answered.
    Committing,
    /// It is over: the connection may be used for another.
    Ended,
}

/// A transaction. One that is dropped before its end takes its connection with it, so that the
/// database rolls it back.
pub(crate) struct Tx {
    conn: Option<Object>,
    state: AtomicU8,
    begin: String,
    is_still: String,
    /// Which try it is, from 1 on.
    nth: u32,
    patience: Duration,
    statements: Statements,
    direct: Arc<Direct>,
    /// What is prepared first is asked one after another, in the order in which it is asked: the way
    /// to a statement may be longer than that to the next.
    turn: tokio::sync::Mutex<()>,
    /// Counts the answers, and the pieces of a copy that were taken.
    moved: AtomicU64,
    /// What went wrong first: of statements that were sent at once, all behind it fail too.
    first: Mutex<Option<Arc<tokio_postgres::Error>>>,
    times: Times,
    specs: Arc<[ViewSpec]>,
}

/// What a transaction goes by.
pub(crate) struct Terms {
    /// What begins it.
    pub(crate) begin: String,
    /// See [`Tx::is_still`].
    pub(crate) is_still: String,
    /// Which try it is, from 1 on.
    pub(crate) nth: u32,
    /// How long the database may take for a statement.
    pub(crate) timeout: Duration,
    pub(crate) statements: Statements,
    pub(crate) direct: Arc<Direct>,
    pub(crate) times: Times,
    pub(crate) specs: Arc<[ViewSpec]>,
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take()
            && !matches!(self.state(), State::Idle | State::Ended)
        {
            drop(Object::take(conn));
        }
    }
}

impl Tx {
    /// One of which nothing was sent yet.
    pub(crate) fn on(conn: Object, terms: Terms) -> Tx {
        Tx {
            conn: Some(conn),
            state: AtomicU8::new(State::Idle as u8),
            begin: terms.begin,
            is_still: terms.is_still,
            nth: terms.nth,
            patience: terms.timeout + ON_THE_WAY,
            statements: terms.statements,
            direct: terms.direct,
            turn: tokio::sync::Mutex::new(()),
            moved: AtomicU64::new(0),
            first: Mutex::new(None),
            times: terms.times,
            specs: terms.specs,
        }
    }

    /// Its connection, if it is over, for another.
    pub(crate) fn into_connection(mut self) -> Option<Object> {
        if self.state() == State::Ended { self.conn.take() } else { None }
    }

    /// Whether `COMMIT` was sent, and not answered.
    pub(crate) fn may_have_committed(&self) -> bool {
        self.state() == State::Committing
    }

    /// What a search finds an item of that kind by. Nothing, if no view is of it.
    pub(crate) fn found_by(&self, kind: &str, doc: &str) -> FoundBy {
        let spec = self.specs.iter().find(|spec| spec.kind == kind);
        spec.map_or_else(FoundBy::default, |spec| spec.found_by(doc))
    }

    /// Asks for rows.
    pub(crate) fn query<'a>(&'a self, sql: &'a str, params: Params<'a>) -> Answer<'a, Vec<Row>> {
        Box::pin(async move {
            let conn = self.conn()?;
            let (begun, rows) = futures::join!(self.begin_unless_begun(conn), self.ask(conn, sql, params));
            begun?;
            rows
        })
    }

    /// Asks for a row that must be there.
    pub(crate) async fn query_one(&self, sql: &str, params: Params<'_>) -> Result<Row, Fault> {
        let row = self.query(sql, params).await?.into_iter().next();
        row.ok_or_else(|| Fault::Wrong("the database answered no row where there must be one".to_owned()))
    }

    /// Asks for nothing but to do it; answers how many rows it met.
    pub(crate) fn execute<'a>(&'a self, sql: &'a str, params: Params<'a>) -> Answer<'a, u64> {
        Box::pin(async move {
            let conn = self.conn()?;
            let (begun, met) = futures::join!(self.begin_unless_begun(conn), self.tell(conn, sql, params));
            begun?;
            met
        })
    }

    /// From here on whatever can be found by an index is: statistics, which a store that was just filled
    /// does not have yet, may say of ten thousand rows that there is one, and that it is best looked for
    /// by reading the table ten thousand times.
    pub(crate) async fn by_index(&self) -> Result<(), Fault> {
        self.execute("SET LOCAL enable_seqscan = off", &[]).await.map(drop)
    }

    /// To follow the conditions of its first statement, which then fails in another life of the store; nothing where
    /// that was seen to as it began.
    pub(crate) fn is_still(&self) -> &str {
        &self.is_still
    }

    /// Whether others were not in the way yet.
    pub(crate) fn is_first_try(&self) -> bool {
        self.nth == 1
    }

    /// Whether a statement is sent before the one before it is answered.
    pub(crate) fn sends_ahead(&self) -> bool {
        self.statements == Statements::Unnamed
    }

    /// Whether so many rows are worth a copy, and one may be made: not where a pooler may stand between.
    /// A copy is made by a prepared statement, and `pgbouncer` (1.18) now and then loses count of the
    /// answers that it waits for: what is asked next hangs.
    pub(crate) fn may_copy(&self, rows: usize) -> bool {
        rows >= MANY && (self.statements == Statements::Prepared || self.direct.is_known_to_be())
    }

    /// Several statements without values, as migrations are.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Fault> {
        let conn = self.conn()?;
        self.begin_unless_begun(conn).await?;
        self.in_time(async { Ok(conn.batch_execute(sql).await?) }).await
    }

    /// The last statements, sent at once and `COMMIT` right behind them: what they lock is held for no
    /// way to and fro. They must not wait for one another's answers. If one of them fails, `COMMIT`
    /// rolls back.
    pub(crate) async fn conclude<T>(&self, last: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        if self.statements == Statements::Prepared {
            // They are prepared before they are sent, which is a way of its own.
            let done = last.await?;
            self.commit().await?;
            return Ok(done);
        }
        let conn = self.conn()?;
        let (done, committed) = futures::join!(last, self.send_commit(conn));
        if committed.is_ok() {
            self.set(State::Ended);
        }
        let done = done?;
        committed?;
        Ok(done)
    }

    /// Ends it well.
    pub(crate) async fn commit(&self) -> Result<(), Fault> {
        match self.state() {
            State::Idle => self.set(State::Ended),
            State::Ended => {}
            State::Open | State::Committing => {
                self.send_commit(self.conn()?).await?;
                self.set(State::Ended);
            }
        }
        Ok(())
    }

    async fn send_commit(&self, conn: &Object) -> Result<(), Fault> {
        // On a connection that is lost already nothing is sent: then it is known what became of it.
        if !conn.is_closed() {
            self.set(State::Committing);
        }
        self.in_time(async { Ok(conn.batch_execute("COMMIT").await?) }).await
    }

    /// Takes back all that was done, to begin anew.
    pub(crate) async fn start_over(&self) -> Result<(), Fault> {
        let conn = self.conn()?;
        self.in_time(async { Ok(conn.batch_execute("ROLLBACK").await?) }).await?;
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.set(State::Idle);
        Ok(())
    }

    /// Ends it after a fault, if its connection is worth it.
    pub(crate) async fn roll_back(&self, fault: &Fault) {
        let is_lost = matches!(fault, Fault::Silent) || fault.remedy() == Remedy::Reconnect;
        if self.state() != State::Open || is_lost {
            return;
        }
        let Ok(conn) = self.conn() else { return };
        let ended = self.in_time(async { Ok(conn.batch_execute("ROLLBACK").await?) }).await;
        if ended.is_ok() {
            self.set(State::Ended);
        }
    }

    pub(crate) async fn begin_unless_begun(&self, conn: &Object) -> Result<(), Fault> {
        let (idle, open) = (State::Idle as u8, State::Open as u8);
        if self.state.compare_exchange(idle, open, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return Ok(());
        }
        self.in_time(async { Ok(conn.batch_execute(&self.begin).await?) }).await
    }

    async fn ask(&self, conn: &Object, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        self.in_time(async {
            Ok(match self.statements {
                Statements::Unnamed => conn.query_typed(sql, params).await?,
                Statements::Prepared => {
                    let _turn = self.turn.lock().await;
                    let (types, values) = split(params);
                    let statement = conn.prepare_typed_cached(sql, &types).await?;
                    conn.query(&statement, &values).await?
                }
            })
        })
        .await
    }

    async fn tell(&self, conn: &Object, sql: &str, params: Params<'_>) -> Result<u64, Fault> {
        self.in_time(async {
            Ok(match self.statements {
                Statements::Unnamed => conn.execute_typed(sql, params).await?,
                Statements::Prepared => {
                    let _turn = self.turn.lock().await;
                    let (types, values) = split(params);
                    let statement = conn.prepare_typed_cached(sql, &types).await?;
                    conn.execute(&statement, &values).await?
                }
            })
        })
        .await
    }

    /// What is sent ahead waits for what was sent before it: while that gets on, so does this, however slow
    /// the link.
    #[expect(clippy::disallowed_methods, reason = "a network that is silent is silent in real time")]
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let mut work = pin!(work);
        let done = loop {
            let moved = self.moved.load(Ordering::Acquire);
            match tokio::time::timeout(self.patience, work.as_mut()).await {
                Ok(done) => {
                    self.moved.fetch_add(1, Ordering::AcqRel);
                    break done;
                }
                Err(_) if self.moved.load(Ordering::Acquire) == moved => break Err(Fault::Silent),
                Err(_) => {}
            }
        };
        done.map_err(|fault| self.cause_of(fault))
    }

    fn cause_of(&self, fault: Fault) -> Fault {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match (&fault, first.as_ref()) {
            (Fault::Sql(_), Some(first)) if fault.is_consequence() => Fault::Sql(first.clone()),
            (Fault::Sql(error), None) => {
                *first = Some(error.clone());
                fault
            }
            _ => fault,
        }
    }

    pub(crate) fn conn(&self) -> Result<&Object, Fault> {
        self.conn.as_ref().ok_or_else(|| Fault::Wrong("the transaction is over".to_owned()))
    }

    fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Idle,
            1 => State::Open,
            2 => State::Committing,
            _ => State::Ended,
        }
    }

    fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// The clock that leases go by, as a value for `coalesce($n, clock_timestamp())`.
    pub(crate) fn lease_clock(&self, now: Time) -> Option<At> {
        match self.times {
            Times::Caller => Some(At(now)),
            Times::Database(_) => None,
        }
    }

    /// The caller's now, where a call does not say it.
    pub(crate) fn local_now(&self) -> Option<Time> {
        match &self.times {
            Times::Caller => None,
            Times::Database(clock) => Some(clock.now()),
        }
    }
}

fn split(params: Params<'_>) -> (Vec<Type>, Vec<&(dyn ToSql + Sync)>) {
    params.iter().map(|(value, holds)| (holds.clone(), *value)).unzip()
}
