//! Looks at what was committed, gathered while another is under way: a turn over 500 entries that were not
//! modified would else ask 500 times.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_core::{Extent, Key, StoreError, Stored, Write};
use tokio::sync::oneshot;

use crate::engine::Inner;
use crate::tier::weigh;

/// How many are looked up at once.
const TOGETHER_MAX: usize = 256;

/// What weighs more is looked up alone: nobody waits for another's thousands of members.
const SMALL_MAX: u64 = 64 << 10;

/// Who comes while a look takes longer than that does not wait for its end.
const PATIENCE: Duration = Duration::from_millis(50);

/// What came of a look.
pub(crate) type Looked = Result<Option<Arc<Stored>>, Arc<StoreError>>;

/// Those that wait.
#[derive(Default)]
pub(crate) struct Gathered(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// Whether somebody looks, and sees to those that wait when that is done.
    is_seen_to: bool,
}

struct Waiting {
    key: Key,
    answer: oneshot::Sender<Looked>,
}

impl Inner {
    /// Looks one entry up.
    pub(crate) async fn look_up_one(&self, key: &Key) -> Looked {
        self.look_up(std::slice::from_ref(key)).await.map(|mut rows| rows.pop().flatten())
    }

    /// Looks one entry up with what others bring while one look is under way: one that [is
    /// small](Inner::is_small).
    pub(crate) async fn look_up_gathered(self: &Arc<Self>, key: &Key) -> Looked {
        let (answer, answered) = oneshot::channel();
        if self.gathered.add(Waiting { key: key.clone(), answer }) {
            self.see_to_gathered();
        }
        match answered.await {
            Ok(looked) => looked,
            // Whoever saw to it broke off.
            Err(_) => self.look_up_one(key).await,
        }
    }

    /// Whether what is held of an entry after a commit is known to be little: as much as before, since that brings
    /// nothing.
    pub(crate) fn is_small(&self, before: &Stored, write: &Write) -> bool {
        if !write.items.is_empty() || write.members.is_some() {
            return false;
        }
        let key = &before.entry.key;
        // Of a source that does not ask for the members only memory knows how many there are.
        let is_whole = self.extent(key) == Extent::Whole || !before.entry.has_data();
        let held = if is_whole { weigh(before) } else { self.weight_of_copy(key) };
        let body = write.body.as_ref().map_or(0, |body| body.as_str().len() as u64);
        held.saturating_add(body) <= SMALL_MAX
    }

    fn weight_of_copy(&self, key: &Key) -> u64 {
        let copy = self.tier().and_then(|tier| tier.get_any(key));
        copy.map_or(u64::MAX, |copy| weigh(&copy))
    }

    fn see_to_gathered(self: &Arc<Self>) {
        let seeing = SeeingTo { engine: self.clone(), is_done: false };
        self.tasks.spawn(seeing.work());
    }

    /// Looks up what is asked for, and answers each. One that cannot be read costs its own place alone: among
    /// fewer it is found out which one it is.
    pub(crate) async fn look_up_all<A>(&self, asked: Vec<(Key, A)>, mut answer: impl FnMut(A, Looked)) {
        let mut parts = vec![asked];
        while let Some(mut part) = parts.pop() {
            let keys: Vec<Key> = part.iter().map(|(key, _)| key.clone()).collect();
            match self.look_up(&keys).await {
                Ok(rows) => part.into_iter().zip(rows).for_each(|((_, to), row)| answer(to, Ok(row))),
                Err(error) if part.len() > 1 && is_of_row(&error) => {
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
                Err(error) => part.into_iter().for_each(|(_, to)| answer(to, Err(error.clone()))),
            }
        }
    }
}

/// Whether it may be one entry alone that cannot be read.
fn is_of_row(error: &StoreError) -> bool {
    matches!(error, StoreError::BadRow { .. } | StoreError::Corrupt { .. })
}

/// Sees to those that wait. Where it breaks off, or the runtime ends, nobody waits for ever.
struct SeeingTo {
    engine: Arc<Inner>,
    is_done: bool,
}

impl SeeingTo {
    async fn work(mut self) {
        let engine = self.engine.clone();
        while let Some(waiting) = engine.gathered.take() {
            let asked = waiting.into_iter().map(|Waiting { key, answer }| (key, answer)).collect();
            let mut looking = pin!(engine.look_up_all(asked, |answer, looked| {
                // It may be that nobody waits any more.
                let _ = answer.send(looked);
            }));
            tokio::select! {
                biased;
                () = &mut looking => continue,
                () = engine.clock.sleep(PATIENCE) => {}
            }
            self.is_done = true;
            engine.see_to_gathered();
            return looking.await;
        }
        self.is_done = true;
    }
}

impl Drop for SeeingTo {
    fn drop(&mut self) {
        if !self.is_done {
            let mut state = self.engine.gathered.lock();
            state.waiting.clear();
            state.is_seen_to = false;
        }
    }
}

impl Gathered {
    /// Answers whether nobody sees to it.
    fn add(&self, waiting: Waiting) -> bool {
        let mut state = self.lock();
        state.waiting.push(waiting);
        !std::mem::replace(&mut state.is_seen_to, true)
    }

    /// The next that are looked up at once, in the order in which they came; `None` = there are none, and who
    /// comes next sees to it.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut state = self.lock();
        state.waiting.retain(|one| !one.answer.is_closed());
        let left = state.waiting.len().min(TOGETHER_MAX);
        let left = state.waiting.split_off(left);
        let taken = std::mem::replace(&mut state.waiting, left);
        state.is_seen_to = !taken.is_empty();
        state.is_seen_to.then_some(taken)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
