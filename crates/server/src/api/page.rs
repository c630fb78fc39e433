//! Lists: what they are made of is fetched as far as a reader has to wait for it, then the list is
//! made once and kept in memory until something of it changes. Cursors are places in a list.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use larder_core::{
    Damaged, Decision, Entry, Key, Refusal, Rows, StaleReason, StoreError, Stored, Time, decide,
};
use larder_domain::ClusterConfig;
use larder_engine::{Behind, ReadError, ReadOptions};

use super::read::Reader;
use crate::access::Viewer;
use crate::answer::{Copies, CopiesCame, send_last_list, send_list};
use crate::app::App;
use crate::damage::{in_place_of, is_damaged};
use crate::problem::Problem;
use crate::sight::Sight;
use crate::tier::{Document, HeldList};

/// The rows that are held of some entries.
pub(crate) type HeldRows = HashMap<Key, Entry>;

/// A list that is asked for.
pub(crate) struct Listing<'a> {
    /// Names it, with all that decides what it holds.
    pub(crate) name: &'a str,
    /// The entries that it is made of.
    pub(crate) keys: &'a [Key],
    /// Who asks.
    pub(crate) reader: Reader,
}

/// What was done for a list before it is made.
#[derive(Debug, Clone, Copy)]
struct Settled {
    /// Until when nothing more is to be done.
    good_until: Time,
    copies: Copies,
    /// What was held when the first of its rows were read. What is read later may be newer, and a list that
    /// has both is not kept: another edition is held by then.
    edition: Option<u64>,
}

impl Settled {
    fn and(self, other: Settled) -> Settled {
        Settled {
            good_until: self.good_until.min(other.good_until),
            copies: self.copies.and(other.copies),
            edition: self.edition,
        }
    }
}

/// A cluster as a viewer may see it; an empty row where nothing is held.
pub(crate) struct HeldCluster {
    pub(crate) config: ClusterConfig,
    pub(crate) stored: Stored,
}

impl App {
    /// Answers a list; `build` makes its bytes, and says whether all of it is public.
    pub(crate) async fn listed(
        &self,
        listing: Listing<'_>,
        asked: &HeaderMap,
        build: impl AsyncFnOnce(&App) -> Result<(Vec<u8>, bool), Problem>,
    ) -> Result<Response, Problem> {
        self.listed_with_rows(listing, asked, async |app: &App, _: &HeldRows| build(app).await).await
    }

    /// The same, of rows that were read already: of the entries that it is made of, and of those that
    /// these say there are.
    pub(crate) async fn listed_with_rows(
        &self,
        listing: Listing<'_>,
        asked: &HeaderMap,
        build: impl AsyncFnOnce(&App, &HeldRows) -> Result<(Vec<u8>, bool), Problem>,
    ) -> Result<Response, Problem> {
        let Listing { name, keys, reader } = listing;
        let is_plain = reader.wishes == super::wishes::Wishes::default();
        let edition = self.engine.edition();
        if let Some(list) =
            is_plain.then(|| self.tier.list(name, reader.sight(), edition, self.now())).flatten()
        {
            return Ok(send_list(&list.document, list.copies, asked));
        }
        let made = async {
            let (settled, mut rows) = self.settle(keys, reader).await?;
            // What says which entries there are was settled first.
            let (others, their_rows) = self.settle(&self.said_by(keys).await?, reader).await?;
            rows.extend(their_rows);
            let settled = settled.and(others);
            Ok::<_, Problem>((settled, build(self, &rows).await?))
        };
        let (settled, (bytes, is_public)) = match made.await {
            Ok(made) => made,
            Err(problem) => return self.last_list(name, reader, asked).ok_or(problem),
        };
        let digest = blake3::hash(&bytes).to_hex();
        let document = Document::new(bytes, format!("W/\"l-{}\"", &digest.as_str()[..24]), is_public);
        let Settled { good_until, copies, edition } = settled;
        let list = Arc::new(HeldList { document, edition, good_until, copies: copies.held() });
        // One that is made anew the next time stands in all the same while the store is out of reach.
        if is_plain || good_until > self.now() {
            self.tier.put_list(name, reader.sight(), list.clone());
        }
        Ok(send_list(&list.document, copies, asked))
    }

    /// Sees to it that entries are as the reader wants them, for one who reads another that these
    /// say there is.
    pub(crate) async fn settled(&self, keys: &[Key], reader: Reader) -> Result<(), Problem> {
        self.settle(keys, reader).await.map(drop)
    }

    /// The entries that these say there are, where that is what they say.
    async fn said_by(&self, keys: &[Key]) -> Result<Vec<Key>, Problem> {
        let Some(source) = keys.first().map(Key::source) else { return Ok(Vec::new()) };
        if !self.engine.indexes_of(source).contains(&keys[0]) {
            return Ok(Vec::new());
        }
        let known = self.engine.keys_of(source);
        if !known.is_empty() {
            return Ok(known);
        }
        // Another process may have found some a moment ago.
        self.engine.bounded("look up what there is", self.engine.learn()).await?;
        Ok(self.engine.keys_of(source))
    }

    /// The list as it was made last, while the store is out of reach: what is private only while its
    /// proof is recent, and after that as it was made for everybody.
    fn last_list(&self, name: &str, reader: Reader, asked: &HeaderMap) -> Option<Response> {
        let out = self.engine.out_of_reach().filter(|_| !reader.wishes.is_forced())?;
        let may_be_shown = |list: &Arc<HeldList>| list.document.is_public || out.is_proven;
        let own = self.tier.last_list(name, reader.sight()).filter(may_be_shown);
        let list = own.or_else(|| self.tier.last_list(name, Sight::Public).filter(may_be_shown))?;
        Some(send_last_list(&list.document, list.copies, asked))
    }

    /// Sees to it that the entries are as the reader wants them, as far as that can be had, deciding
    /// about each from its row alone. Errs only if nothing is held of any.
    async fn settle(&self, keys: &[Key], reader: Reader) -> Result<(Settled, HeldRows), Problem> {
        let now = self.now();
        let mut edition = self.engine.edition();
        let mut rows = self.rows_of(keys).await?;
        let (mut wait, mut behind) = (Vec::new(), Vec::new());
        let (mut good_until, mut came) = (Time::MAX, CopiesCame::Fresh);
        let mut refusal = None;
        let hidden = self.hidden_among(&rows, reader, now).await?;
        for key in keys {
            let Some(definition) = self.engine.define(key) else { continue };
            // For everybody it is not there, whatever it holds.
            if definition.private && reader.sight() == Sight::Public {
                continue;
            }
            let entry = rows.get(key);
            if entry.is_some_and(is_damaged) {
                // It is shown as such. Whoever mends it by another way than ours tells nobody.
                good_until = good_until.min(now.plus(DAMAGE_GOOD_FOR));
                if reader.sight() != Sight::Public {
                    came = came.max(CopiesCame::Stale);
                }
                continue;
            }
            let is_hidden = hidden.contains(key);
            let granted = match entry.filter(|entry| entry.has_data()) {
                Some(_) if is_hidden => reader.unheard(),
                // Nothing says yet who may know of it.
                None if reader.sight() == Sight::Public => reader.patient(),
                Some(_) | None => self.granted(key, reader),
            };
            let decision = decide(entry, &definition, &granted.wishes.request, now);
            came = came.max(match decision {
                _ if is_hidden => CopiesCame::Fresh,
                Decision::Fresh => CopiesCame::Fresh,
                Decision::Stale(_) | Decision::Revalidate | Decision::Refuse(_) => CopiesCame::Stale,
                Decision::Fetch { .. } => CopiesCame::Fetched,
            });
            let until = match decision {
                Decision::Fresh => entry.and_then(|entry| entry.fresh_until).unwrap_or(now),
                Decision::Stale(StaleReason::Backoff(until) | StaleReason::Dead(until)) => until,
                Decision::Stale(StaleReason::Offline) => now,
                Decision::Revalidate => {
                    behind.push(key.clone());
                    now
                }
                Decision::Fetch { .. } if is_hidden => {
                    behind.push(key.clone());
                    now
                }
                Decision::Refuse(_) if is_hidden => now,
                Decision::Fetch { .. } => {
                    wait.push((key.clone(), granted));
                    now
                }
                Decision::Refuse(why) => {
                    refusal.get_or_insert_with(|| (key.clone(), refused(key, why)));
                    now
                }
            };
            good_until = good_until.min(until);
        }
        self.fetch_behind(behind);
        let failed = if wait.is_empty() {
            None
        } else {
            let failed = self.fetch(wait).await;
            edition = self.engine.edition();
            rows = self.rows_of(keys).await?;
            failed
        };
        let is_held = rows.values().any(Entry::has_data);
        // What does not exist upstream may be something private: to everybody it is a list with nothing on it.
        let may_be_empty =
            |error: &ReadError| reader.sight() == Sight::Public && matches!(error, ReadError::Absent { .. });
        match failed.or(refusal) {
            Some((key, error)) if !is_held && !may_be_empty(&error) => {
                Err(self.why_no_list(&error, reader.viewer, &key).await)
            }
            Some(_) | None => {
                let fetched_at = rows.values().filter_map(|entry| entry.fetched_at).min();
                // The oldest may be one that this reader must not know of.
                let fetched_at = fetched_at.filter(|_| reader.sight() != Sight::Public);
                Ok((Settled { good_until, copies: Copies { came, fetched_at }, edition }, rows))
            }
        }
    }

    pub(super) fn fetch_behind(&self, keys: Vec<Key>) {
        if !keys.is_empty() {
            let engine = self.engine.clone();
            tokio::spawn(async move { engine.load_many(&keys, &ReadOptions::default()).await });
        }
    }

    /// Fetches while the reader waits; answers the first failure.
    async fn fetch(&self, wait: Vec<(Key, Reader)>) -> Option<(Key, ReadError)> {
        let (forced, plain): (Vec<_>, Vec<_>) =
            wait.into_iter().partition(|(_, reader)| reader.wishes.is_forced());
        let load = async |wanted: Vec<(Key, Reader)>| {
            let (_, reader) = wanted.first().cloned()?;
            let options = ReadOptions { request: reader.wishes.request, behind: Behind::Refresh };
            let keys: Vec<Key> = wanted.into_iter().map(|(key, _)| key).collect();
            let readings = self.engine.load_many(&keys, &options).await;
            keys.into_iter().zip(readings).find_map(|(key, reading)| Some((key, reading.err()?)))
        };
        let (forced, plain) = futures::join!(load(forced), load(plain));
        forced.or(plain)
    }

    /// The rows of entries of one source, those that are damaged as they are told of: no others are read than stand
    /// between them.
    pub(crate) async fn rows_of(&self, keys: &[Key]) -> Result<HeldRows, Problem> {
        let wanted: HashSet<&Key> = keys.iter().collect();
        let mut found = HashMap::with_capacity(keys.len());
        let (Some(first), Some(last)) = (keys.iter().min(), keys.iter().max()) else { return Ok(found) };
        let mut rows = Rows::behind(&*self.store, Some(first.source()), just_before(first)).past_damage();
        while let Some(row) = rows.next().await?.filter(|row| row.entry.key <= *last) {
            if wanted.contains(&row.entry.key) {
                found.insert(row.entry.key.clone(), row.entry);
            }
        }
        for Damaged { key, error } in rows.damaged().iter().filter(|damaged| wanted.contains(&damaged.key)) {
            found.insert(key.clone(), in_place_of(key.clone(), error, self.now()));
        }
        Ok(found)
    }

    /// The row of an entry, without its members if that can be had.
    pub(crate) async fn row_of(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        match self.store.rows(Some(key.source()), just_before(key).as_ref(), NEAR).await {
            Ok(near) if near.len() < NEAR || near.last().is_some_and(|row| row.entry.key >= *key) => {
                return Ok(near.into_iter().map(|row| row.entry).find(|entry| entry.key == *key));
            }
            // It may be another one that is damaged.
            Ok(_) | Err(StoreError::BadRow { .. }) => {}
            Err(error) => return Err(error),
        }
        let stored = self.store.lookup(std::slice::from_ref(key)).await?.pop().flatten();
        Ok(stored.map(|stored| stored.entry))
    }

    /// What is held of all clusters that a viewer may know of, in the order of configuration.
    pub(crate) async fn held_clusters(&self, sight: Sight) -> Result<Vec<HeldCluster>, Problem> {
        let keys = self.cluster_keys();
        let stored = self.held(&keys).await?;
        let mut held = Vec::with_capacity(keys.len());
        for (key, stored) in keys.into_iter().zip(stored) {
            let definition = self.engine.define(&key);
            let id = key.segments().pop().unwrap_or_default();
            let stored = match stored {
                Some(stored) => sight.stored(stored, definition.as_deref()),
                // Nobody knows yet whether it shows anything public.
                None if sight != Sight::Public => {
                    Some(Stored { entry: Entry::empty(key, Time::default()), members: Vec::new() })
                }
                None => None,
            };
            held.extend(stored.map(|stored| HeldCluster { config: self.cluster_config(&id), stored }));
        }
        Ok(held)
    }

    /// The keys of the clusters that a viewer may know of.
    pub(crate) async fn visible_clusters(&self, viewer: Viewer) -> Result<Vec<Key>, Problem> {
        if viewer.may_read_private {
            return Ok(self.cluster_keys());
        }
        let keys = self.cluster_keys();
        let mut rows = self.rows_of(&keys).await?;
        let rows = keys.iter().filter_map(|key| rows.remove(key)).collect();
        Ok(self.public_rows(rows).await?.into_iter().map(|(row, _)| row.key).collect())
    }
}

/// For so long a list that has a damaged entry is kept.
const DAMAGE_GOOD_FOR: Duration = Duration::from_mins(1);

/// So many rows are looked at for one whose place is about known.
const NEAR: usize = 8;

/// A place before the key, and not far; `None` = its source's first.
fn just_before(key: &Key) -> Option<Key> {
    let text = key.as_str();
    text.get(..text.len() - 1)?.parse().ok()
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

/// The length of what ties a cursor to its question.
const MARK_LENGTH: usize = 12;

/// The place behind an entry, as text that only means something for the same question.
pub(crate) fn cursor_behind(key: &Key, question: &str) -> String {
    let bytes = key.as_str().bytes();
    let hex: String = bytes.flat_map(|byte| [byte >> 4, byte & 15]).map(hex_digit).collect();
    format!("{hex}.{}", mark(question))
}

fn hex_digit(half: u8) -> char {
    char::from_digit(u32::from(half), 16).unwrap_or_default()
}

/// The entry behind which a cursor's place is.
pub(crate) fn key_of(cursor: &str, question: &str) -> Result<Key, Problem> {
    let (hex, marked) = cursor.split_once('.').ok_or_else(no_cursor)?;
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| Some((digit(*high)? << 4 | digit(*low)?) as u8);
    let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>();
    let is_whole = rest.is_empty() && !pairs.is_empty();
    let bytes = bytes.filter(|_| is_whole).ok_or_else(no_cursor)?;
    check_mark(marked, question)?;
    // With that mark it was made here, or somebody tries things out.
    let text = String::from_utf8(bytes).map_err(|_| anothers_cursor())?;
    text.parse().map_err(|_| anothers_cursor())
}

pub(super) fn no_cursor() -> Problem {
    Problem::bad("`cursor` is not one that a list gave")
}

pub(super) fn anothers_cursor() -> Problem {
    let detail = "`cursor` belongs to another list, or to another question";
    Problem::new(StatusCode::NOT_FOUND, "unknown_cursor", detail)
}

pub(super) fn check_mark(marked: &str, question: &str) -> Result<(), Problem> {
    if marked.len() != MARK_LENGTH || !marked.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(no_cursor());
    }
    if marked == mark(question) { Ok(()) } else { Err(anothers_cursor()) }
}

pub(super) fn mark(question: &str) -> String {
    blake3::hash(question.as_bytes()).to_hex().as_str()[..MARK_LENGTH].to_owned()
}

/// A limit within its bounds.
pub(crate) fn limit_of(asked: Option<u32>, usual: u32, most: u32) -> Result<usize, Problem> {
    match asked {
        None => Ok(usual as usize),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit as usize),
        Some(limit) => Err(Problem::bad(format!("`limit` is 1 to {most}, not {limit}"))),
    }
}
