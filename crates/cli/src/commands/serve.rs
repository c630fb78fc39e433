//! What reading commands have in common: every entry asked for is looked at once; what is missing
//! is fetched while the reader waits, what is stale is served and refreshed behind.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use larder_core::{
    Decision, Entry, Key, MemberState, Mode, Outcome, RefreshState, Refusal, Request, Rows, Status,
    StoreError, Stored, Time, Trigger, Warning, decide,
};
use larder_engine::{Behind, Hit, ReadError, ReadOptions, Refreshed};
use larder_sources::{MarketplaceFrom, MarketplaceSource};

use super::Context;
use super::entry::{CutShort, EntryView};
use super::target::{kind_of, kinds_of};
use super::warnings::{self, Detail};
use crate::config::Config;
use crate::detach::refresh_behind;
use crate::report::{Complaint, Exit, LOOK, grouped, is_local, named};
use crate::ui::{Progress, Screen, ago, counted, in_a_while};
use crate::wiring::{Rooms, until_interrupted};

/// How a reader wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Now, and fresh next time.
    Normal,
    /// Fresh, and willing to wait.
    Refresh,
    /// From the cache alone.
    Offline,
}

/// What became of the entries asked for.
pub struct Served {
    /// Their states, in the order asked.
    pub entries: Vec<EntryView>,
    /// Why some could not be had, or not anew.
    pub complaints: Complaints,
    /// Entries that were marked due, which nobody in this process refreshes.
    pub behind: Vec<Key>,
    /// Why stale entries could not be marked due.
    pub stuck: Option<StoreError>,
}

impl Served {
    /// Whether there is anything to show.
    pub fn has_data(&self) -> bool {
        self.entries.iter().any(EntryView::has_data)
    }

    /// These, and behind them others.
    pub fn and(mut self, others: Served) -> Self {
        self.entries.extend(others.entries);
        self.complaints.extend(others.complaints);
        self.behind.extend(others.behind);
        Served { stuck: self.stuck.or(others.stuck), ..self }
    }

    /// With hints that fit where each marketplace is.
    pub fn placed(mut self, config: &Config) -> Self {
        place(&mut self.complaints, config);
        self
    }

    /// Whether some entry says so already.
    pub fn warns_of(&self, warning: &Warning) -> bool {
        self.entries.iter().any(|entry| entry.warnings.iter().any(|one| one.message == warning.message))
    }

    /// Whether nothing went wrong, and nothing is done behind.
    pub fn is_plain(&self) -> bool {
        self.complaints.is_empty() && self.behind.is_empty() && self.stuck.is_none()
    }

    /// The exit code, when what there is has been shown.
    pub fn exit(&self) -> Exit {
        match self.complaints.first() {
            None => Exit::Answered,
            Some(_) if self.has_data() => Exit::Old,
            Some((_, first)) => first.exit,
        }
    }

    /// Has refreshed behind the reader what is stale, and tells a person about that, ages, failures and warnings:
    /// on standard error, behind the answer. The exit code of the command.
    pub fn end(&self, detail: Detail, rooms: &Rooms<'_>, context: &Context, config: &Config) -> Exit {
        let screen = &context.screen;
        rooms.tell_damage(screen);
        let is_behind = !self.behind.is_empty() && {
            let at_it = refresh_behind(&self.behind, rooms, config, context);
            match &at_it {
                Ok(note) => note.iter().for_each(|note| screen.note(note)),
                Err(error) => screen.warn(&format!(
                    "what is stale cannot be refreshed behind: {error}; `larder refresh` does it at once"
                )),
            }
            at_it.is_ok()
        };
        self.tell(is_behind, screen, detail, rooms.now());
        self.exit()
    }

    /// Tells a person about ages, failures and warnings.
    fn tell(&self, is_behind: bool, screen: &Screen, detail: Detail, now: Time) {
        self.tell_ages(is_behind, screen, now);
        let warnings = self.entries.iter().map(|entry| (&entry.key, entry.warnings.as_slice()));
        warnings::tell(warnings, detail, screen);
        for complaint in grouped(&self.complaints) {
            let is_told = complaint.hints.iter().any(|hint| hint.contains("retry after"));
            let wait = complaint.retry_at.filter(|_| !is_told).map(|at| retry(at, now));
            screen.complain(&complaint.hints(wait));
        }
    }

    fn tell_ages(&self, is_behind: bool, screen: &Screen, now: Time) {
        let stale: Vec<&EntryView> =
            self.entries.iter().filter(|entry| entry.status == Status::Stale).collect();
        let (failing, waiting): (Vec<&EntryView>, Vec<&EntryView>) =
            stale.into_iter().partition(|entry| entry.last_error.is_some());
        let behind = if is_behind { "; refreshing behind" } else { "" };
        match waiting.as_slice() {
            [] => {}
            [only] => screen.note(&match (only.cut_short, only.fetched_at) {
                (Some(CutShort::Edited), Some(at)) => {
                    format!("`{}` was edited; this is the copy from {}{behind}", only.key, ago(at, now))
                }
                _ => format!("`{}` is {} old{behind}", only.key, only.age()),
            }),
            many => {
                let oldest = many.iter().max_by_key(|entry| entry.age_seconds).map(|entry| entry.age());
                let oldest = oldest.unwrap_or_default();
                screen.note(&format!("{} entries are stale, the oldest {oldest} old{behind}", many.len()));
            }
        }
        // Those that fail alike are told of together, with the age of the oldest copy.
        let mut by_why: BTreeMap<&str, Vec<&EntryView>> = BTreeMap::new();
        for entry in failing {
            let why = entry.last_error.as_ref().map_or("", |failure| failure.message.as_str());
            by_why.entry(why).or_default().push(entry);
        }
        for (why, entries) in by_why {
            let keys: Vec<&Key> = entries.iter().map(|entry| &entry.key).collect();
            let is = if keys.len() == 1 { "is" } else { "are" };
            let age = entries.iter().max_by_key(|entry| entry.age_seconds).map(|entry| entry.age());
            let first = entries.iter().min_by_key(|entry| entry.due_at);
            let is_running = entries.iter().any(|entry| entry.refresh == RefreshState::Running);
            let next = if is_behind || is_running {
                "trying again behind".to_owned()
            } else {
                format!("next try {}", first.map(|entry| entry.next_try(now)).unwrap_or_default())
            };
            screen.warn(&format!("{} {is} {} old: {why}; {next}", named(&keys), age.unwrap_or_default()));
        }
        if let Some(error) = &self.stuck {
            screen.warn(&format!("what is stale cannot be refreshed: {error}"));
        }
    }
}

/// Gives complaints hints that fit where each marketplace is: neither a file nor an address wants a token.
pub(super) fn place(complaints: &mut [(Key, Complaint)], config: &Config) {
    let markets = config.marketplaces.iter();
    for (key, complaint) in complaints {
        let is_its = |name: &str| key.source() == MarketplaceSource::NAME && key.name() == name;
        let fitting = match markets.clone().find(|market| is_its(&market.name)).map(|market| &market.from) {
            Some(MarketplaceFrom::File(_)) => {
                "put the file there, or correct the `file` of its `[[marketplace]]`"
            }
            Some(MarketplaceFrom::Url { .. }) => "check the `url` of its `[[marketplace]]`",
            Some(MarketplaceFrom::Repository(_)) | None => continue,
        };
        let general = ReadError::Absent { key: key.clone(), until: Time::default() }.hints();
        for hint in complaint.hints.iter_mut().filter(|hint| general.contains(hint) || **hint == LOOK) {
            fitting.clone_into(hint);
        }
    }
}

/// Why a refresh that was asked for did not bring an entry. Who asks for it anew is told the same of what is
/// not there as who only reads.
pub(super) fn not_brought(one: &Refreshed, now: Time) -> Option<Complaint> {
    match &one.result {
        Err(error) => Some(Complaint::of_refresh(&one.key, error)),
        Ok(Outcome::Absent) => {
            Some(Complaint::of_read(&ReadError::Absent { key: one.key.clone(), until: now }))
        }
        Ok(_) => None,
    }
}

/// Sees to it that the entries are as the reader wants them, as far as that can be had.
pub async fn serve(
    rooms: &Rooms<'_>,
    keys: &[Key],
    wish: Wish,
    screen: &Screen,
) -> Result<Served, Complaint> {
    // A store that cannot be written still serves its readers.
    let sources: BTreeSet<&str> = keys.iter().map(Key::source).collect();
    let sources: Vec<&str> = sources.into_iter().collect();
    if let Err(error) = rooms.reader().reconcile_of(&sources).await {
        tracing::warn!(%error, "what is configured could not be noted");
    }
    let mut held = look(rooms, keys).await?;
    let (complaints, marked) = match wish {
        Wish::Refresh => (refresh(rooms, keys, screen).await?, Ok(Vec::new())),
        Wish::Normal | Wish::Offline => settle(rooms, keys, wish, &held, screen).await?,
    };
    if rooms.has_fetched() {
        held = look(rooms, keys).await?;
    }
    let hidden = hidden(rooms, &held).await?;
    let now = rooms.now();
    let view = |key: &Key| {
        let definition = rooms.reader().define(key);
        let view = EntryView::new(key, held.get(key), definition.as_deref(), now);
        EntryView { is_hidden: hidden.contains(key), ..view }
    };
    let entries: Vec<EntryView> = keys.iter().map(view).collect();
    let with_hint = |(key, complaint): (Key, Complaint)| {
        let served = entries.iter().find(|entry| entry.key == key && entry.has_data());
        let served = served.and_then(|entry| entry.fetched_at);
        let is_named = complaint.hints.iter().any(|hint| hint.contains("`larder doctor`"));
        let see = if is_named || is_local(&key) { "" } else { "; see `larder doctor`" };
        let hint = served.map(|at| format!("the copy from {} was served{see}", ago(at, now)));
        (key, complaint.hints(hint))
    };
    let complaints = complaints.into_iter().map(with_hint).collect();
    let (behind, stuck) = match marked {
        Ok(behind) => (behind, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    Ok(Served { entries, complaints, behind, stuck })
}

/// The rows of entries.
pub(super) async fn look(rooms: &Rooms<'_>, keys: &[Key]) -> Result<BTreeMap<Key, Entry>, Complaint> {
    let source = keys.first().map(Key::source);
    let of_one = source.filter(|source| keys.iter().all(|key| key.source() == *source));
    let wanted: HashSet<&Key> = keys.iter().collect();
    let mut rows = Rows::of(&**rooms.reader().store(), of_one).past_damage();
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next().await? {
        if wanted.contains(&row.entry.key) {
            found.insert(row.entry.key.clone(), row.entry);
        }
    }
    rooms.note_damage(rows.damaged());
    Ok(found)
}

/// Of which of these nothing is shown, though it is held: all of it is private, and is said to be gone.
async fn hidden(rooms: &Rooms<'_>, held: &BTreeMap<Key, Entry>) -> Result<HashSet<Key>, Complaint> {
    let is_doubted = |entry: &&Entry| entry.absent_at.is_some() && entry.has_data();
    let doubted: Vec<Key> = held.values().filter(is_doubted).map(|entry| entry.key.clone()).collect();
    if doubted.is_empty() {
        return Ok(HashSet::new());
    }
    let is_hidden = |stored: &Stored| {
        let members = &stored.members;
        !members.is_empty() && members.iter().all(|member| member.state == MemberState::Hidden)
    };
    let stored = rooms.held(&doubted).await?.into_iter().flatten();
    Ok(stored.filter(is_hidden).map(|stored| stored.entry.key).collect())
}

/// Why entries could not be had, or not anew.
type Complaints = Vec<(Key, Complaint)>;

async fn refresh(rooms: &Rooms<'_>, keys: &[Key], screen: &Screen) -> Result<Complaints, Complaint> {
    let engine = rooms.fetcher_of(keys)?;
    let progress = Progress::start(screen, "refreshing", kind_of(keys), keys.len());
    // All rows are looked at together when all have landed.
    let work = engine.refresh_only(keys, Trigger::Manual, |_| progress.step());
    let refreshed = until_interrupted(engine, screen, work).await;
    progress.finish();
    let refreshed = refreshed?;
    let now = rooms.now();
    Ok(refreshed.iter().filter_map(|one| Some((one.key.clone(), not_brought(one, now)?))).collect())
}

/// Decides about each entry from its row alone, and asks the engine only for those that a reader
/// has to wait for: a list of ten thousand reads no members to find out that all is well.
async fn settle(
    rooms: &Rooms<'_>,
    keys: &[Key],
    wish: Wish,
    held: &BTreeMap<Key, Entry>,
    screen: &Screen,
) -> Result<(Complaints, Marked), Complaint> {
    let now = rooms.now();
    let mode = if wish == Wish::Offline { Mode::Offline } else { Mode::Normal };
    let request = Request { mode, ..Request::default() };
    let (mut fetch, mut stale, mut complaints) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        let Some(definition) = rooms.reader().define(key) else { continue };
        let entry = held.get(key);
        match decide(entry, &definition, &request, now) {
            Decision::Fresh | Decision::Stale(_) => {}
            Decision::Revalidate => stale.push(key.clone()),
            Decision::Fetch { .. } => fetch.push(key.clone()),
            Decision::Refuse(refusal) => {
                complaints.push((key.clone(), Complaint::of_read(&refused(key, refusal))));
            }
        }
    }
    if !fetch.is_empty() {
        let (failed, late) = wait_for(rooms, &fetch, request, screen).await?;
        complaints.extend(failed);
        stale.extend(late);
    }
    let marked = if stale.is_empty() { Ok(stale) } else { mark(rooms, stale).await };
    Ok((complaints, marked))
}

/// Fetches while the reader waits. Answers what failed, and what came too late for this reader.
async fn wait_for(
    rooms: &Rooms<'_>,
    keys: &[Key],
    request: Request,
    screen: &Screen,
) -> Result<(Complaints, Vec<Key>), Complaint> {
    let engine = rooms.fetcher_of(keys)?;
    let (one, many) = kinds_of(keys);
    let first = counted(keys.len(), one, many);
    let progress = Progress::spin(screen, &format!("fetching {first} for the first time"));
    let options = ReadOptions { request, behind: Behind::MarkDue };
    let readings = until_interrupted(engine, screen, engine.load_many(keys, &options)).await;
    progress.finish();
    let mut failed = Vec::new();
    let mut late = Vec::new();
    for (key, reading) in keys.iter().zip(readings?) {
        match reading {
            Ok(reading) if reading.hit == Hit::Stale && reading.error.is_none() => late.push(key.clone()),
            Ok(_) => {}
            Err(error) => failed.push((key.clone(), Complaint::of_read(&error))),
        }
    }
    // What is still under way would die with this process: it is handed on.
    engine.interrupt().await;
    Ok((failed, late))
}

/// The entries that were marked due for somebody else to refresh.
type Marked = Result<Vec<Key>, StoreError>;

async fn mark(rooms: &Rooms<'_>, keys: Vec<Key>) -> Marked {
    rooms.reader().mark_due(&keys, Trigger::Read).await.map(|_| keys)
}

fn retry(at: Time, now: Time) -> String {
    if at <= now {
        return "the next read tries again".to_owned();
    }
    format!("{} the next read tries again; `larder refresh` tries at once", in_a_while(at, now))
}

fn refused(key: &Key, refusal: Refusal) -> ReadError {
    let key = key.clone();
    match refusal {
        Refusal::NotCached => ReadError::NotCached(key),
        Refusal::TooOld => ReadError::TooOld(key),
        Refusal::Absent { until } => ReadError::Absent { key, until },
        Refusal::Backoff { until, error } => ReadError::Backoff { key, until, failure: error },
    }
}
