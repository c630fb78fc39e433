//! Commits that are gathered while others are under way: a transaction for each would ask the database a dozen
//! things a hundred times where a hundred entries were not modified.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_core::{Commit, Committed, StoreError};
use tokio::sync::oneshot;

use crate::PostgresStore;
use crate::commit::commit_rows;
use crate::connections::Mode;
use crate::transaction::Tx;

/// How many are committed at once: their rows are locked meanwhile.
const TOGETHER_MAX: usize = 256;

/// What came of a commit; `None` = it is to come alone.
type Answer = Result<Option<Committed>, StoreError>;

/// Those that wait.
#[derive(Default)]
pub(crate) struct Gathered(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// Whether somebody is committing, and sees to those that wait when that is done.
    is_seen_to: bool,
}

struct Waiting {
    commit: Arc<Commit>,
    answer: oneshot::Sender<Answer>,
}

impl PostgresStore {
    /// Commits it with what others bring while one transaction is under way. It is a task's work: who waits no
    /// longer takes nothing from the others.
    pub(crate) async fn commit_gathered(&self, commit: Arc<Commit>) -> Answer {
        let (answer, answered) = oneshot::channel();
        if self.shared.gathered.add(Waiting { commit, answer }) {
            let seeing = SeeingTo { store: self.clone(), is_done: false };
            tokio::spawn(seeing.work());
        }
        // Nobody answers where the runtime ends: then nothing was committed.
        answered.await.unwrap_or(Ok(None))
    }
}

/// Sees to those that wait. Where it breaks off, or the runtime ends, nobody waits for ever.
struct SeeingTo {
    store: PostgresStore,
    is_done: bool,
}

impl SeeingTo {
    async fn work(mut self) {
        while let Some(waiting) = self.store.shared.gathered.take() {
            let commits: Vec<&Commit> = waiting.iter().map(|one| &*one.commit).collect();
            let work = |tx: Arc<Tx>| {
                let commits = &commits;
                async move { commit_rows(&tx, commits).await }
            };
            let done = self.store.run(Mode::Write, "commit a refresh", work).await;
            let answers: Vec<Answer> = match done {
                Ok(all) => all.into_iter().map(Ok).collect(),
                Err(error) if is_of_store(&error) => waiting.iter().map(|_| Err(error.clone())).collect(),
                Err(_) => waiting.iter().map(|_| Ok(None)).collect(),
            };
            for (one, answer) in waiting.into_iter().zip(answers) {
                // It may be that nobody waits any more.
                let _ = one.answer.send(answer);
            }
        }
        self.is_done = true;
    }
}

impl Drop for SeeingTo {
    fn drop(&mut self) {
        if !self.is_done {
            let mut state = self.store.shared.gathered.lock();
            state.waiting.clear();
            state.is_seen_to = false;
        }
    }
}

/// Whether none would come to another end alone. All else is of one row, or of one statement, and nothing was
/// committed.
fn is_of_store(error: &StoreError) -> bool {
    !matches!(
        error,
        StoreError::BadRow { .. }
            | StoreError::Failed { .. }
            | StoreError::Busy { .. }
            | StoreError::Slow { .. }
            | StoreError::Stopped { .. }
            | StoreError::Corrupt { .. }
    )
}

impl Gathered {
    /// Answers whether nobody sees to it.
    fn add(&self, waiting: Waiting) -> bool {
        let mut state = self.lock();
        state.waiting.push(waiting);
        !std::mem::replace(&mut state.is_seen_to, true)
    }

    /// The next that are committed at once, in the order in which they came; `None` = there are none, and who
    /// comes next sees to it.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut state = self.lock();
        state.waiting.retain(|one| !one.answer.is_closed());
        let mut keys = HashSet::new();
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for one in std::mem::take(&mut state.waiting) {
            // What is of one entry goes one after another.
            let is_next = taken.len() < TOGETHER_MAX && keys.insert(one.commit.lease.key.clone());
            if is_next { taken.push(one) } else { left.push(one) }
        }
        state.waiting = left;
        state.is_seen_to = !taken.is_empty();
        state.is_seen_to.then_some(taken)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
