//! The ports of a store: entries and what belongs to them, and the budgets of upstreams.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Budget, Changes, Definition, Entry, Exported, Fingerprint, ItemCounts, Key, Lease, ListQuery, Listed,
    LogLine, Outcome, Reservation, Reserved, Settlement, Sheet, SheetText, StoreError, Stored, Time, Trigger,
    Write,
};

/// Entries, items, leases, log and feed. Each method is one transaction, but for [`evict`](Store::evict) and
/// [`sweep`](Store::sweep); [`commit`](Store::commit) is the only door for what a fetch brought or failed to
/// bring.
#[async_trait]
pub trait Store: Send + Sync {
    /// Looks entries up, in the order asked. Unknown keys are `None`.
    async fn lookup(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError>;

    /// Takes the leases that are free, in the order asked, creating rows where there are none. What was
    /// [`TOUCHED`](crate::TOUCHED) until then is from now on [`TOUCHED_BEFORE`](crate::TOUCHED_BEFORE).
    /// Who takes a lease has the entry in its configuration, whatever another process with another one noted
    /// (see [`reconcile`](Store::reconcile)): it counts as configured again.
    async fn acquire(&self, asks: &[LeaseAsk], now: Time) -> Result<Vec<Acquired>, StoreError>;

    /// Moves the ends of leases on to `now` + their length. `false` = lost: taken over, released,
    /// evicted, or already past its end.
    async fn renew(&self, leases: &[Lease], now: Time) -> Result<Vec<bool>, StoreError>;

    /// Admits what came of an attempt, if its lease still holds: entry, items, members, tags, log
    /// line, change and the lease's release in one transaction.
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError>;

    /// Notes that a refresh is wanted: due now, and found by [`due`](Store::due). Creates rows
    /// where there are none. A reader's wish ends no backoff: what failed keeps its time. What is marked
    /// counts as configured again, as under a lease. Answers how many were marked.
    async fn mark_due(&self, keys: &[Key], trigger: Trigger, now: Time) -> Result<u64, StoreError>;

    /// Marks stale and keeps; ends any backoff. An invalidation that lands during a fetch wins.
    ///
    /// A tag, a source, and everything are invalidated by one marker with a number of the store-wide
    /// sequence, however many entries they mean: whoever reads a row (lookup, list, due, the views)
    /// compares it, and [`sweep`](Store::sweep) writes it through to the rows. It is one line of the
    /// feed, with version 0, also where it met nothing: a fetch under way may bring the tag.
    ///
    /// A marker that is newer than the row's own `invalidated` takes its place, and ends the backoff
    /// (`due_at` is the marker's time, if that is earlier). So that it ends one backoff and not the
    /// next one too, every commit, failed ones as well, every import, and the making of a row write
    /// the newest marker down in it. A marker stays while a lease is live that is older than it.
    async fn invalidate(&self, target: &Target, now: Time) -> Result<Met, StoreError>;

    /// Removes entries, and the items that no entry holds any more. A fetch under way is refused
    /// when it comes. The feed tells of what a tag, a source or everything means in the order of the
    /// keys. In transactions of a bounded size, each entry in one piece: cut short, it is called again.
    /// Answers how many entries it met.
    async fn evict(&self, target: &Target, now: Time) -> Result<u64, StoreError>;

    /// Gives entries that failed (dead ones too) a new start: no attempts, due now, marked, and configured
    /// again, as under a lease. Answers how many it met.
    async fn replay(&self, target: &Target, now: Time) -> Result<u64, StoreError>;

    /// Compares a source's configured entries with the rows: edited ones become due at once and
    /// lose the members whose names are gone; rows that are no longer configured are remembered
    /// as such from now on, and forgiven when they return.
    async fn reconcile(
        &self,
        source: &str,
        configured: &[Configured],
        now: Time,
    ) -> Result<Reconciled, StoreError>;

    /// Notes that a sweep begins, unless one was done within `every`, whoever's it was: `false` = one was. One
    /// in the future was noted by a clock that was ahead, and does not count.
    ///
    /// What is noted is [so long ago](Retention::begun) that the next is due within minutes, whatever becomes of
    /// this one; [`end_sweep`](Store::end_sweep) alone puts it off for `every`, and
    /// [`renew_sweep`](Store::renew_sweep) for as long again.
    async fn begin_sweep(&self, every: Duration, now: Time) -> Result<bool, StoreError>;

    /// Notes that a sweep still goes on, as if it began now.
    async fn renew_sweep(&self, every: Duration, now: Time) -> Result<(), StoreError> {
        self.end_sweep(Retention::begun(every, now)).await
    }

    /// Notes that a sweep came to its end.
    async fn end_sweep(&self, now: Time) -> Result<(), StoreError>;

    /// Removes what is past its retention, and writes invalidations by markers through to the rows, in
    /// transactions of a bounded size.
    async fn sweep(&self, retention: &Retention, now: Time) -> Result<Swept, StoreError>;

    /// The rows of entries (of one source), by key, behind `after` and at most `limit`, without
    /// members and with nothing counted: what a reader asks of every entry, each time, must not take
    /// longer the more members they have, nor hold them all at once. [`Rows`](crate::Rows) goes over
    /// them, [`Heads`](crate::Heads) with their counts.
    async fn rows(
        &self,
        source: Option<&str>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// How many members each entry shows, in the order asked; 0 for unknown keys.
    async fn shown(&self, keys: &[Key]) -> Result<Vec<u64>, StoreError>;

    /// Entries that want a refresh now without a reader: marked, or past their backoff
    /// ([`Entry::is_wait_over`]). Earliest first. Entries that merely expired are not among them. Those that
    /// some process noted as no longer configured are: only whoever asks knows its own configuration, and the
    /// lease that takes the note back comes after this.
    async fn due(&self, now: Time, limit: usize) -> Result<Vec<Key>, StoreError>;

    /// A list of one kind's items.
    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, StoreError>;

    /// How many items a list has in all, whatever its offset and limit, up to [`Met::COUNTED_MAX`].
    async fn count(&self, query: &ListQuery) -> Result<Met, StoreError> {
        let most = usize::try_from(Met::COUNTED_MAX).unwrap_or(usize::MAX).saturating_add(1);
        let all = self.list(&ListQuery { order: None, offset: 0, limit: most, ..query.clone() }).await?;
        Ok(Met::counted(all.len() as u64))
    }

    /// What is on the sheet that lies beside an entry, if it is of that form and of the entry as it is
    /// now: what was changed since, by whomever, raised the entry's version. Of a longer text than
    /// `bytes` the whole lines within its first `bytes` bytes: a list of thirty need not read ten
    /// thousand. A store that keeps none has none.
    async fn sheet(&self, _key: &Key, _form: &str, _bytes: usize) -> Result<Option<SheetText>, StoreError> {
        Ok(None)
    }

    /// Keeps a sheet beside an entry, in place of any other, if the entry's version is still the
    /// sheet's. Answers whether it did: whoever made the sheet has what is on it all the same.
    async fn keep_sheet(&self, _key: &Key, _sheet: &Sheet) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// The feed behind the place `after`, at most `limit` lines.
    async fn changes(&self, after: u64, limit: usize) -> Result<Changes, StoreError>;

    /// The refresh log, newest first.
    async fn log(&self, filter: &LogFilter) -> Result<Vec<LogLine>, StoreError>;

    /// Looks for damage: in the file's own structure, and in what Larder's rules promise.
    async fn verify(&self) -> Result<Vec<Problem>, StoreError>;

    /// What there is to say about the store as a whole.
    async fn info(&self) -> Result<StoreInfo, StoreError>;

    /// Entries by key, behind `after`, at most `limit`, with everything worth moving to another store.
    async fn export(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Exported>, StoreError>;

    /// Takes entries of another store in, each in one piece and announced as `imported`. Answers how
    /// many it took.
    ///
    /// One that is held already and was fetched as late or later stays as it is, and so does an item:
    /// importing twice is importing once. What is taken gets a new place in this store's sequence:
    /// `began` a new number (0 where it was 0), `invalidated` one above it where it was invalidated and
    /// 0 where not; no lease, so that a fetch under way is refused; and a version that this store
    /// never gave it: the exported one, or one above what it had here and above the removed ones. It counts
    /// as [wanted](Row::is_touched_within) from now on, however old it is.
    async fn import(&self, entries: &[Exported], now: Time) -> Result<u64, StoreError>;

    /// A number that differs from the one before when anything was committed since, by whichever
    /// process: cheap enough to be asked every 50 ms.
    async fn pulse(&self) -> Result<u64, StoreError>;

    /// Completes when the store has heard that something was committed, by whichever process. It may
    /// complete for nothing, and a store that cannot hear never completes: whoever waits looks at
    /// the [`pulse`](Store::pulse) every so often all the same.
    async fn heard(&self) {
        std::future::pending::<()>().await;
    }
}

/// What actors may still spend, shared by all processes on one store.
#[async_trait]
pub trait Budgets: Send + Sync {
    /// Takes points if [`admit`](crate::admit) says so, in one transaction.
    async fn reserve(&self, ask: &Reservation, now: Time) -> Result<Reserved, StoreError>;

    /// Gives a reservation back and notes what the upstream said.
    async fn settle(&self, settlement: &Settlement, now: Time) -> Result<(), StoreError>;

    /// Everything known, by host, actor and resource.
    async fn budgets(&self, now: Time) -> Result<Vec<Budget>, StoreError>;

    /// The actor that a credential (by its fingerprint) was last seen to stand for.
    async fn actor(&self, host: &str, credential: &Fingerprint) -> Result<Option<Arc<str>>, StoreError>;

    /// Remembers the actor behind a credential.
    async fn set_actor(&self, host: &str, credential: &Fingerprint, actor: &str) -> Result<(), StoreError>;
}

/// A wish for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseAsk {
    /// On which entry.
    pub key: Key,
    /// For whom.
    pub owner: Arc<str>,
    /// For how long, unless renewed.
    pub length: Duration,
    /// The `began` of the row that the wish is based on: if another's fetch has landed since, the
    /// lease is not taken. `None` = take it all the same.
    pub unless_newer_than: Option<u64>,
    /// How much of the entry comes with the lease.
    pub extent: Extent,
}

/// How much of an entry is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// The row with its members.
    #[default]
    Whole,
    /// The row, and no members: thousands are read only where somebody needs them.
    Row,
}

/// What came of a wish for a lease.
#[derive(Debug, Clone, PartialEq)]
pub enum Acquired {
    /// It is ours; the row as it is now, under the lease, as far as it was wanted.
    Granted(Lease, Box<Stored>),
    /// Another holds it.
    Held(Lease),
    /// Another's fetch has landed since: the row as it is now.
    Newer(Box<Stored>),
}

/// What came of an attempt, on its way to the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The lease it was done under.
    pub lease: Lease,
    /// What to write; `None` = only let go of the lease (an interrupted attempt is not counted).
    pub write: Option<Write>,
    /// The line for the log; the store fills in [`LogLine::items`].
    pub log: LogLine,
    /// Now.
    pub now: Time,
}

impl Commit {
    /// Whether the entry was of use to anybody. That its source failed again when a wait was over is nobody's
    /// wish: else what has no data and is retried for ever would never reach its [retention](Retention).
    pub fn is_of_use(&self) -> bool {
        let is_failed = self.write.as_ref().is_some_and(|write| write.outcome == Outcome::Failed);
        !(is_failed && self.log.trigger == Trigger::Backoff)
    }
}

/// What came of a commit. Losing the race is an outcome, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is in.
    Done {
        /// The entry's version after it.
        version: u64,
        /// What it did to the items.
        items: ItemCounts,
        /// Whether an invalidation had landed meanwhile, so that it is stale already.
        invalidated: bool,
    },
    /// The lease was lost: nothing was written but the log line.
    Superseded,
}

/// Which entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// These.
    Keys(Vec<Key>),
    /// All of a source.
    Source(String),
    /// All that carry a tag.
    Tag(String),
    /// All.
    All,
}

/// How many entries a target met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Met {
    /// The count, up to [`Met::COUNTED_MAX`].
    pub count: u64,
    /// Whether there are more than were counted.
    pub or_more: bool,
}

impl Met {
    /// Beyond this many, counting would take longer than what is counted.
    pub const COUNTED_MAX: u64 = 1_000;

    /// An exact count.
    pub fn exactly(count: u64) -> Self {
        Met { count, or_more: false }
    }

    /// What a count that looked at no more than one above [`Met::COUNTED_MAX`] says.
    pub fn counted(count: u64) -> Self {
        Met { count: count.min(Met::COUNTED_MAX), or_more: count > Met::COUNTED_MAX }
    }
}

impl std::fmt::Display for Met {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.or_more { write!(f, "more than {}", self.count) } else { write!(f, "{}", self.count) }
    }
}

/// A configured entry, for [`Store::reconcile`].
#[derive(Debug, Clone, PartialEq)]
pub struct Configured {
    /// Its key.
    pub key: Key,
    /// What it is meant to be.
    pub definition: Arc<Definition>,
}

/// What a reconcile did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// Entries whose definition was edited.
    pub edited: u64,
    /// Entries that are no longer configured.
    pub unconfigured: u64,
    /// Entries that are configured again.
    pub returned: u64,
}

/// How long things are kept. Design rule 11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Entries that failed and have no data, since anybody wanted them.
    pub failed: Duration,
    /// The refresh log, by age …
    pub log: Duration,
    /// … and by lines.
    pub log_lines_max: u64,
    /// Entries that are no longer configured.
    pub unconfigured: Duration,
    /// Entries that their source knows and does not list, since they were last [read](Entry::is_unread_for) or
    /// [touched](Row::is_touched_within), and those that are not its [own](crate::Source::is_own), since anybody was
    /// last heard of who has them (the engine sees to it: a store knows of no lists).
    pub unread: Duration,
    /// The feed, by age …
    pub feed: Duration,
    /// … and by lines.
    pub feed_lines_max: u64,
}

impl Retention {
    /// How often it is seen to.
    pub const EVERY: Duration = Duration::from_hours(24);

    /// How soon a sweep is due again after it was last noted that it goes on, where nobody noted its end: it failed,
    /// or its process ended before it.
    pub const CUT_OFF: Duration = Duration::from_mins(10);

    /// How often it is noted that a sweep goes on: one of a large database takes longer than that.
    pub const RENEWED_EVERY: Duration = Duration::from_mins(3);

    /// What is noted of a sweep that begins now, as if it had been done then.
    pub fn begun(every: Duration, now: Time) -> Time {
        now.minus(every.saturating_sub(Retention::CUT_OFF))
    }
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_hours(days * 24);
        Retention {
            failed: days(7),
            log: days(30),
            log_lines_max: 500_000,
            unconfigured: days(30),
            unread: days(90),
            feed: days(7),
            feed_lines_max: 100_000,
        }
    }
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Entries.
    pub entries: u64,
    /// Items that nothing held.
    pub items: u64,
    /// Lines of the refresh log.
    pub log: u64,
    /// Lines of the feed.
    pub feed: u64,
    /// Rows that learnt of an invalidation that one marker had told of.
    pub written_through: u64,
}

/// An entry's row, and whether it is still configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The row.
    pub entry: Entry,
    /// Since when it is not configured any more.
    pub unconfigured_since: Option<Time>,
    /// When anything was last asked of it: a fetch, a mark, an invalidation or a new start of its own, or its
    /// [import](Store::import). That a retry failed counts for [nothing](Commit::is_of_use).
    pub touched_at: Time,
}

impl Row {
    /// Whether anything was asked of it so lately: also by who brought it here from elsewhere, which says nothing
    /// of when it was fetched.
    pub fn is_touched_within(&self, length: Duration, now: Time) -> bool {
        now.since(self.touched_at) <= length
    }
}

/// Which lines of the refresh log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    /// Of one entry alone.
    pub key: Option<Key>,
    /// The most lines.
    pub limit: usize,
}

/// Damage that [`Store::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a table, an entry, the file.
    pub on: String,
    /// What is wrong.
    pub message: String,
}

/// A store as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// Where it is, without secrets: a path or an address.
    pub place: String,
    /// The schema's version.
    pub schema: u32,
    /// Rows of entries.
    pub entries: u64,
    /// Rows of items.
    pub items: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// The newest place of the feed.
    pub seq: u64,
}

/// A step of a store's schema, for `larder migrate status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The schema after it.
    pub version: u32,
    /// What it is called.
    pub name: String,
    /// When it was applied to this store; `None` = it was not.
    pub applied_at: Option<Time>,
}
