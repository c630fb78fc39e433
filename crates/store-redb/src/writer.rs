//! The one writer: a thread that takes everything waiting and commits it as one transaction.
//!
//! A commit costs a sync of the disk, so many small writes share one. redb has no savepoints within a
//! transaction: where one request fails, the transaction is given up and the others run again
//! without it, which is why requests are functions that may be called more than once.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use larder_core::StoreError;
use redb::Database;
use tokio::sync::{mpsc, oneshot};

use crate::errors::{Fault, guarded};
use crate::hold::Holder;
use crate::lock::pause;
use crate::tables::Tx;

/// How many requests may wait before callers do.
const QUEUE_MAX: usize = 1_024;

/// How many requests share a transaction at most, so that the first is not kept for ever.
const BATCH_MAX: usize = 256;

/// How long the file is kept for the next write of a run, where processes take turns. Opening and
/// closing cost four syncs.
const LINGER: Duration = Duration::from_millis(20);

/// How many commits in a run, before others get a chance.
const RUN_MAX: u32 = 16;

/// How long that chance is: others look every five milliseconds.
const CHANCE: Duration = Duration::from_millis(15);

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
    /// Something about the file as a whole, in its turn.
    Tend(Box<dyn FnOnce(&Holder) + Send>),
    /// Wakes the thread up to see that it shall end.
    Stop,
}

/// A request as the thread sees it.
trait Job: Send {
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Fault>;
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
    F: Fn(&Tx<'_>) -> Result<T, Fault> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Fault> {
        self.done = Some((self.work)(tx)?);
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
    /// Starts the thread.
    pub(crate) fn start(holder: Arc<Holder>) -> Result<Writer, StoreError> {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let place = holder.place.clone();
        let thread = std::thread::Builder::new()
            .name("larder-writer".to_owned())
            .spawn(move || serve(&holder, requests))
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
    /// file is closed.
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
        F: Fn(&Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let request = Request { attempted, work, done: None, reply };
        self.0.send(Message::Work(Box::new(request))).await.map_err(|_| gone(place, attempted))?;
        answer.await.map_err(|_| gone(place, attempted))?
    }

    /// Has `work` done between transactions.
    pub(crate) async fn tend<T: Send + 'static>(
        &self,
        place: &str,
        attempted: &'static str,
        work: impl FnOnce(&Holder) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let tend = move |holder: &Holder| drop(reply.send(work(holder)));
        self.0.send(Message::Tend(Box::new(tend))).await.map_err(|_| gone(place, attempted))?;
        answer.await.map_err(|_| gone(place, attempted))
    }
}

fn gone(place: &str, attempted: &'static str) -> StoreError {
    let cause = "the writer has ended".to_owned();
    StoreError::Failed { place: place.to_owned(), attempted, cause }
}

fn serve(holder: &Holder, mut requests: mpsc::Receiver<Message>) {
    let mut run = 0;
    while let Some(first) = next(holder, &mut requests, &mut run) {
        let mut batch: Vec<Box<dyn Job>> = Vec::new();
        let mut message = Some(first);
        let mut tend = None;
        while let Some(one) = message {
            match one {
                Message::Work(job) => batch.push(job),
                Message::Tend(work) => tend = Some(work),
                Message::Stop => return finish(holder, batch),
            }
            message = (tend.is_none() && batch.len() < BATCH_MAX).then(|| requests.try_recv().ok()).flatten();
        }
        commit_together(holder, batch);
        run += 1;
        if let Some(tend) = tend {
            tend(holder);
        }
    }
    holder.let_go();
}

fn finish(holder: &Holder, batch: Vec<Box<dyn Job>>) {
    commit_together(holder, batch);
    holder.let_go();
}

/// The next message. Where processes take turns, the file is kept a moment for it, and then let go.
fn next(holder: &Holder, requests: &mut mpsc::Receiver<Message>, run: &mut u32) -> Option<Message> {
    if !holder.takes_turns() || *run == 0 {
        return requests.blocking_recv();
    }
    let mut waited = Duration::ZERO;
    while *run < RUN_MAX && waited < LINGER {
        match requests.try_recv() {
            Ok(message) => return Some(message),
            Err(mpsc::error::TryRecvError::Disconnected) => return None,
            Err(mpsc::error::TryRecvError::Empty) => waited += pause(),
        }
    }
    holder.let_go();
    if *run >= RUN_MAX {
        let mut chance = Duration::ZERO;
        while chance < CHANCE {
            chance += pause();
        }
    }
    *run = 0;
    requests.blocking_recv()
}

/// What came of running a batch.
enum Ran {
    /// It is committed.
    Together,
    /// One failed by itself: the others run again without it.
    OneFailed(usize, Fault),
    /// Nothing is committed.
    Failed(Fault),
}

fn commit_together(holder: &Holder, mut batch: Vec<Box<dyn Job>>) {
    while !batch.is_empty() {
        let ran = holder.with(|database| guarded(|| Ok(run_all(database, &mut batch))));
        match ran.unwrap_or_else(Ran::Failed) {
            Ran::Together => {
                holder.committed.notify_waiters();
                batch.drain(..).for_each(|job| job.reply(None));
            }
            Ran::OneFailed(place, fault) => {
                let job = batch.remove(place);
                let error = fault.named(&holder.place, job.attempted());
                job.reply(Some(error));
            }
            Ran::Failed(fault) => fail_all(holder, std::mem::take(&mut batch), fault),
        }
    }
}

fn run_all(database: &Database, batch: &mut [Box<dyn Job>]) -> Ran {
    let transaction = match database.begin_write() {
        Ok(transaction) => transaction,
        Err(error) => return Ran::Failed(error.into()),
    };
    let failed = {
        let tx = match Tx::new(&transaction) {
            Ok(tx) => tx,
            Err(fault) => return Ran::Failed(fault),
        };
        let mut failed = None;
        for (place, job) in batch.iter_mut().enumerate() {
            if let Err(fault) = job.run(&tx) {
                failed = Some((place, fault));
                break;
            }
        }
        match failed {
            None => tx.finish().err().map(|fault| (usize::MAX, fault)),
            failed => failed,
        }
    };
    match failed {
        None => match transaction.commit() {
            Ok(()) => Ran::Together,
            Err(error) => Ran::Failed(error.into()),
        },
        Some((place, fault)) => match transaction.abort() {
            _ if place == usize::MAX || fault.wants_reopening() => Ran::Failed(fault),
            Ok(()) => Ran::OneFailed(place, fault),
            Err(error) => Ran::Failed(error.into()),
        },
    }
}

fn fail_all(holder: &Holder, batch: Vec<Box<dyn Job>>, fault: Fault) {
    let attempted = batch.first().map_or("commit", |job| job.attempted());
    let error = if fault.wants_reopening() {
        holder.heal(fault, Some(holder.life()), attempted)
    } else {
        fault.named(&holder.place, attempted)
    };
    for job in batch {
        job.reply(Some(error.clone()));
    }
}
