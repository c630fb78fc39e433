//! The one writer: a thread that takes everything waiting and commits it as one transaction.
//!
//! Each request runs in a savepoint of its own, so that one that fails leaves the others alone; all
//! are answered only after the commit. Many small writes so cost one sync instead of one each.

use std::panic::{self, AssertUnwindSafe};
use std::thread::JoinHandle;

use larder_core::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::errors::{Fault, is_damaged_index, use_error};
use crate::words;

/// How many requests may wait before callers do.
const QUEUE_MAX: usize = 1_024;

/// How many requests share a transaction at most, so that the first is not kept for ever.
const BATCH_MAX: usize = 256;

/// The writer's thread and its queue.
pub(crate) struct Writer {
    queue: mpsc::Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// The way into the queue, for one call.
#[derive(Clone)]
pub(crate) struct Queue(mpsc::Sender<Message>);

enum Message {
    Work(Box<dyn Job>),
    /// Wakes the thread up to see that it shall end.
    Stop,
}

/// A request as the thread sees it.
trait Job: Send {
    /// May run more than once: after the index of words was mended, all that was undone is done again.
    fn run(&mut self, conn: &Connection) -> Result<(), Fault>;
    fn attempted(&self) -> &'static str;
    /// Answers: with what `run` brought, unless something else went wrong.
    fn reply(self: Box<Self>, failed: Option<StoreError>);
}

struct Request<T, F> {
    attempted: &'static str,
    work: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Request<T, F>
where
    T: Send,
    F: Fn(&Connection) -> Result<T, Fault> + Send,
{
    fn run(&mut self, conn: &Connection) -> Result<(), Fault> {
        self.done = Some((self.work)(conn)?);
        Ok(())
    }

    fn attempted(&self) -> &'static str {
        self.attempted
    }

    fn reply(self: Box<Self>, failed: Option<StoreError>) {
        // Whoever asked may have gone; what was written stays written.
        match (failed, self.done) {
            (Some(error), _) => drop(self.reply.send(Err(error))),
            (None, Some(done)) => drop(self.reply.send(Ok(done))),
            (None, None) => {}
        }
    }
}

impl Writer {
    /// Starts the thread on a connection of its own.
    pub(crate) fn start(conn: Connection, place: String) -> Result<Writer, StoreError> {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let named = place.clone();
        let thread = std::thread::Builder::new()
            .name("larder-writer".to_owned())
            .spawn(move || serve(&conn, requests, &named))
            .map_err(|error| StoreError::Failed {
                place,
                attempted: "start the writer",
                cause: error.to_string(),
            })?;
        Ok(Writer { queue, thread: Some(thread) })
    }

    /// A way into the queue.
    pub(crate) fn queue(&self) -> Queue {
        Queue(self.queue.clone())
    }
}

impl Drop for Writer {
    /// Lets the thread finish what it has and waits for it: what was answered is on disk, and the
    /// connection is closed before anybody may move the file.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // A full queue needs no wake-up; it holds a `Stop` as soon as there is room.
        let mut message = Message::Stop;
        while let Err(mpsc::error::TrySendError::Full(back)) = self.queue.try_send(message) {
            message = back;
            std::thread::yield_now();
        }
        if thread.join().is_err() {
            tracing::error!("the writer of a store ended by a panic");
        }
    }
}

impl Queue {
    /// Has `work` done within the next transaction and waits for its commit.
    pub(crate) async fn run<T, F>(
        &self,
        place: &str,
        attempted: &'static str,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let gone = || StoreError::Failed {
            place: place.to_owned(),
            attempted,
            cause: "the writer has ended".to_owned(),
        };
        let (reply, answer) = oneshot::channel();
        let request = Request { attempted, work, done: None, reply };
        self.0.send(Message::Work(Box::new(request))).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn serve(conn: &Connection, mut requests: mpsc::Receiver<Message>, place: &str) {
    let mut batch: Vec<Box<dyn Job>> = Vec::new();
    let mut stopping = false;
    while !stopping {
        let Some(first) = requests.blocking_recv() else { return };
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Work(job) => batch.push(job),
                Message::Stop => stopping = true,
            }
            next = if batch.len() < BATCH_MAX { requests.try_recv().ok() } else { None };
        }
        let mut may_mend = true;
        while !batch.is_empty() {
            batch = match commit_together(conn, std::mem::take(&mut batch), place, may_mend) {
                Left::Rest(rest) => rest,
                Left::Full(rest) => {
                    give_back(conn, place);
                    rest
                }
                Left::Undone(all) => {
                    may_mend = false;
                    mend_index(conn, place);
                    all
                }
            };
        }
    }
}

/// What a transaction left to be done.
enum Left {
    /// Those that had no turn, since a failure took the whole transaction with it.
    Rest(Vec<Box<dyn Job>>),
    /// The same, where it failed for want of room.
    Full(Vec<Box<dyn Job>>),
    /// All: the index of words is damaged, and nothing was answered.
    Undone(Vec<Box<dyn Job>>),
}

impl Left {
    fn after(error: &StoreError, rest: Vec<Box<dyn Job>>) -> Left {
        if matches!(error, StoreError::Full { .. }) { Left::Full(rest) } else { Left::Rest(rest) }
    }
}

/// Commits as much of the batch as one transaction takes. `may_mend` = a damaged index of words is not yet
/// anybody's failure.
fn commit_together(conn: &Connection, batch: Vec<Box<dyn Job>>, place: &str, may_mend: bool) -> Left {
    if let Err(error) = execute(conn, "BEGIN IMMEDIATE") {
        return fail_all(batch, &error, place);
    }
    // Alone it needs no savepoint, in which SQLite would keep every page that it changes once more.
    let alone = batch.len() == 1;
    let mut waiting = batch.into_iter();
    let mut done: Vec<Box<dyn Job>> = Vec::new();
    while let Some(mut job) = waiting.next() {
        let ran = if alone { run(conn, job.as_mut()) } else { in_savepoint(conn, job.as_mut()) };
        match ran {
            Ok(()) => done.push(job),
            Err(fault) if may_mend && fault.is_damaged_index() => {
                roll_back(conn);
                done.push(job);
                done.extend(waiting);
                return Left::Undone(done);
            }
            Err(fault) => {
                let error = fault.named(place, job.attempted());
                // A full disk or an I/O error rolls everything back, the work of the others too.
                if conn.is_autocommit() {
                    for job in done {
                        job.reply(Some(error.clone()));
                    }
                    let left = Left::after(&error, waiting.collect());
                    job.reply(Some(error));
                    return left;
                }
                job.reply(Some(error));
            }
        }
    }
    // One that failed alone may have left the half of its work.
    let end = if done.is_empty() { "ROLLBACK" } else { "COMMIT" };
    match execute(conn, end) {
        Ok(()) => done.into_iter().for_each(|job| job.reply(None)),
        Err(error) => {
            roll_back(conn);
            // What the index gathered it writes down at the end.
            if may_mend && is_damaged_index(&error) {
                return Left::Undone(done);
            }
            return fail_all(done, &error, place);
        }
    }
    Left::Rest(Vec::new())
}

fn roll_back(conn: &Connection) {
    if !conn.is_autocommit() {
        // Nothing more can be done about a rollback that fails.
        let _ = execute(conn, "ROLLBACK");
    }
}

/// Gives the disk back what a commit took that was refused for want of room: what it had written beside the file
/// stays there otherwise, also when all is cleared.
fn give_back(conn: &Connection, place: &str) {
    roll_back(conn);
    let emptied = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    if let Err(error) = emptied {
        tracing::warn!(place, %error, "could not give back what a refused commit took");
    }
}

/// Makes the index of words anew, which is only a copy of what the items say. Where that fails, whoever writes
/// hears so.
fn mend_index(conn: &Connection, place: &str) {
    let mended = execute(conn, "BEGIN IMMEDIATE").map_err(Fault::from).and_then(|()| {
        words::rebuild(conn)?;
        Ok(execute(conn, "COMMIT")?)
    });
    if let Err(fault) = mended {
        roll_back(conn);
        tracing::warn!(place, ?fault, "could not rebuild the full-text index");
    }
}

/// A job that panics is one that failed: the writer must live on for the others.
fn run(conn: &Connection, job: &mut dyn Job) -> Result<(), Fault> {
    let ran = panic::catch_unwind(AssertUnwindSafe(|| job.run(conn)));
    ran.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<&str>().copied();
        let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words");
        Err(Fault::Wrong(format!("the work ended by a panic: {said}")))
    })
}

fn in_savepoint(conn: &Connection, job: &mut dyn Job) -> Result<(), Fault> {
    execute(conn, "SAVEPOINT request")?;
    let ran = run(conn, job);
    if ran.is_err() && !conn.is_autocommit() {
        execute(conn, "ROLLBACK TO request")?;
    }
    if !conn.is_autocommit() {
        execute(conn, "RELEASE request")?;
    }
    ran
}

fn fail_all(batch: Vec<Box<dyn Job>>, error: &rusqlite::Error, place: &str) -> Left {
    let left = Left::after(&use_error(error, place, "commit"), Vec::new());
    for job in batch {
        let named = use_error(error, place, job.attempted());
        job.reply(Some(named));
    }
    left
}

fn execute(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests {
    use larder_core::Store;
    use larder_testkit::contract::build::{at, book, ids, key, refresh, row};

    use super::*;
    use crate::{OpenOptions, SqliteStore};

    /// Writes half of something and panics.
    async fn panic(store: &SqliteStore) -> StoreError {
        let work = |conn: &Connection| -> Result<(), Fault> {
            conn.execute("DELETE FROM entries", [])?;
            panic!("a job that was not thought through")
        };
        store.write("do half of it", work).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_job_that_panics_fails_alone_and_the_writer_lives_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(OpenOptions::new(dir.path().join("larder.db"), at(0))).unwrap();
        let one = key("shelf/one");
        refresh(&store, &one, vec![book("a", 1)], at(0)).await;
        let error = panic(&store).await;
        let StoreError::Failed { attempted, cause, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*attempted, "do half of it");
        assert!(cause.contains("a job that was not thought through"), "{cause}");
        assert_eq!(ids(&row(&store, &one).await), ["a"], "the half is undone");
        // Among others, in one transaction with them.
        let writes = (0..20).map(|n| {
            let (store, shelf) = (store.clone(), key(&format!("shelf/{n}")));
            async move {
                if n % 5 == 2 {
                    panic(&store).await;
                } else {
                    store.mark_due(&[shelf], larder_core::Trigger::Manual, at(1)).await.unwrap();
                }
            }
        });
        futures::future::join_all(writes).await;
        assert_eq!(store.due(at(2), 100).await.unwrap().len(), 16);
        refresh(&store, &one, vec![book("b", 1)], at(3)).await;
        assert_eq!(ids(&row(&store, &one).await), ["b"]);
        assert_eq!(store.verify().await.unwrap(), []);
    }
}
