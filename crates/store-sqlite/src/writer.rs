//! The one writer: a thread that takes everything waiting and commits it as one transaction.
//!
//! Each request runs in a savepoint of its own, so that one that fails leaves the others alone; all
//! are answered only after the commit. Many small writes so cost one sync instead of one each.

use std::panic::{self, AssertUnwindSafe};
use std::thread::JoinHandle;

use larder_core::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::errors::{Fault, sql_error};

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
    fn run(&mut self, conn: &Connection) -> Result<(), Fault>;
    fn attempted(&self) -> &'static str;
    /// Answers: with what `run` brought, unless something else went wrong.
    fn reply(self: Box<Self>, failed: Option<StoreError>);
}

struct Request<T, F> {
    attempted: &'static str,
    work: Option<F>,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Request<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send,
{
    fn run(&mut self, conn: &Connection) -> Result<(), Fault> {
        if let Some(work) = self.work.take() {
            self.done = Some(work(conn)?);
        }
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
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let gone = || StoreError::Failed {
            place: place.to_owned(),
            attempted,
            cause: "the writer has ended".to_owned(),
        };
        let (reply, answer) = oneshot::channel();
        let request = Request { attempted, work: Some(work), done: None, reply };
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
        while !batch.is_empty() {
            let rest = commit_together(conn, std::mem::take(&mut batch), place);
            batch = rest;
        }
    }
}

/// Commits as much of the batch as one transaction takes; answers what is left when a failure took
/// the whole transaction with it.
fn commit_together(conn: &Connection, batch: Vec<Box<dyn Job>>, place: &str) -> Vec<Box<dyn Job>> {
    if let Err(error) = execute(conn, "BEGIN IMMEDIATE") {
        fail_all(batch, &error, place);
        return Vec::new();
    }
    // Alone it needs no savepoint, in which SQLite would keep every page that it changes once more.
    let alone = batch.len() == 1;
    let mut waiting = batch.into_iter();
    let mut done: Vec<Box<dyn Job>> = Vec::new();
    while let Some(mut job) = waiting.next() {
        let ran = if alone { run(conn, job.as_mut()) } else { in_savepoint(conn, job.as_mut()) };
        match ran {
            Ok(()) => done.push(job),
            Err(fault) => {
                let error = fault.named(place, job.attempted());
                // A full disk or an I/O error rolls everything back, the work of the others too.
                if conn.is_autocommit() {
                    for job in done {
                        job.reply(Some(error.clone()));
                    }
                    job.reply(Some(error));
                    return waiting.collect();
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
            if !conn.is_autocommit() {
                // Nothing more can be done about a rollback that fails.
                let _ = execute(conn, "ROLLBACK");
            }
            fail_all(done, &error, place);
        }
    }
    Vec::new()
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

fn fail_all(batch: Vec<Box<dyn Job>>, error: &rusqlite::Error, place: &str) {
    for job in batch {
        let named = sql_error(error, place, job.attempted());
        job.reply(Some(named));
    }
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
