//! One way to an entry's document for all routes: from memory where it is fresh, else by the engine.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use larder_core::{Key, Member, Mode, Request, Status, Time, Warning};
use larder_domain::{ClustersConfig, Repository};
use larder_engine::{Behind, Hit, ReadError, ReadOptions, Reading};

use super::asked::former;
use super::bodies::{ClusterBody, entry_document, etag, raw, said};
use super::clusters::ClusterView;
use super::entry_view::{CacheView, RepositoryView};
use super::refresh::FORCED_EVERY;
use super::wishes::Wishes;
use crate::access::Viewer;
use crate::answer::{Came, Taken, Told, send};
use crate::app::App;
use crate::guard::{check_own_page, is_own_page};
use crate::problem::Problem;
use crate::sight::{self, Sight};
use crate::tier::{Document, Held, Shape};

/// A document and how it came.
pub(crate) struct Got {
    pub(crate) held: Arc<Held>,
    pub(crate) came: Came,
    pub(crate) status: Status,
}

impl Got {
    /// Sends it.
    pub(crate) fn send(&self, asked: &HeaderMap, now: Time) -> Response {
        send(&self.held.document, &self.told(now), self.held.document.form(&Taken::of(asked)))
    }

    /// What is told of it.
    pub(crate) fn told(&self, now: Time) -> Told<'_> {
        Told { entry: &self.held.entry, status: self.status, came: self.came, now }
    }
}

/// Who reads, and what they wish.
#[derive(Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) viewer: Viewer,
    pub(crate) wishes: Wishes,
}

impl Reader {
    /// Reads a request's wishes, as far as the one who asks may have them: another site's page may
    /// wish nothing, and only an admin may have a copy younger than half a minute at will.
    pub(crate) fn of(viewer: Viewer, headers: &HeaderMap) -> Self {
        let mut wishes = Wishes::of(headers);
        if !is_own_page(headers) {
            wishes = wishes.unheard();
        }
        if !viewer.may_admin {
            wishes.request.max_age = wishes.request.max_age.map(|age| age.max(FORCED_EVERY));
        }
        Reader { viewer, wishes }
    }

    /// The same, insisting on a fetch if the query says `refresh`. There is no other way to read that
    /// word, so that another site's page is refused however it writes it.
    pub(crate) fn asking(viewer: Viewer, headers: &HeaderMap, refresh: bool) -> Result<Self, Problem> {
        let mut reader = Reader::of(viewer, headers);
        if refresh {
            check_own_page(headers)?;
            reader.wishes.request.mode = Mode::Forced;
        }
        Ok(reader)
    }

    /// One who wishes nothing.
    pub(crate) fn plain(viewer: Viewer) -> Self {
        Reader { viewer, wishes: Wishes::default() }
    }

    pub(crate) fn sight(&self) -> Sight {
        self.viewer.into()
    }
}

impl App {
    /// Reads one entry.
    pub(crate) async fn document(&self, key: &Key, shape: Shape, reader: Reader) -> Result<Got, Problem> {
        let mut all = self.documents(std::slice::from_ref(key), shape, reader).await;
        all.pop().unwrap_or_else(|| Err(Problem::unknown(key.as_str())))
    }

    /// Reads many as one batch, in the order asked.
    pub(crate) async fn documents(
        &self,
        keys: &[Key],
        shape: Shape,
        reader: Reader,
    ) -> Vec<Result<Got, Problem>> {
        let now = self.now();
        let mut all: Vec<Option<Result<Got, Problem>>> =
            keys.iter().map(|key| self.at_once(key, shape, reader, now)).collect();
        let missed: Vec<usize> = (0..keys.len()).filter(|place| all[*place].is_none()).collect();
        let others: Vec<Key> = missed.iter().map(|place| keys[*place].clone()).collect();
        let heard = self.heard(&others, reader).await;
        let mut asked = Vec::with_capacity(others.len());
        for ((place, key), heard) in missed.into_iter().zip(&others).zip(heard) {
            match heard {
                Ok(reader) => asked.push((place, key.clone(), reader)),
                Err(problem) => all[place] = Some(Err(problem)),
            }
        }
        // Who insisted in vain is content with what memory holds.
        if reader.wishes.is_forced() {
            asked.retain(|(place, key, reader)| {
                all[*place] = self.at_once(key, shape, *reader, now);
                all[*place].is_none()
            });
        }
        // All that wish alike are one batch for the engine.
        let (forced, plain) = asked.into_iter().partition(|(.., reader)| reader.wishes.is_forced());
        let (forced, plain) = futures::join!(self.by_engine(forced, shape), self.by_engine(plain, shape));
        for (place, got) in forced.into_iter().chain(plain) {
            all[place] = Some(got);
        }
        let filled = all.into_iter().zip(keys);
        let filled = filled.map(|(got, key)| got.unwrap_or_else(|| Err(Problem::unknown(key.as_str()))));
        filled.inspect(|got| self.count(got)).collect()
    }

    /// What is answered without the store: a document from memory, or that one may not ask for it.
    fn at_once(&self, key: &Key, shape: Shape, reader: Reader, now: Time) -> Option<Result<Got, Problem>> {
        if !self.may_ask(key, reader.viewer) {
            return Some(Err(Problem::unknown(key.as_str())));
        }
        let found = self.in_memory(key, shape, reader, now)?;
        self.metrics.read_from_memory();
        Some(Ok(found))
    }

    fn count(&self, got: &Result<Got, Problem>) {
        match got {
            Ok(got) => self.metrics.read(got.came, got.status == Status::Fresh),
            Err(_) => self.metrics.read_failed(),
        }
    }

    /// What is held in memory and may be served without asking the store, not counted yet.
    pub(crate) fn in_memory(&self, key: &Key, shape: Shape, reader: Reader, now: Time) -> Option<Got> {
        if reader.wishes.is_forced() || reader.wishes.stale_if_error.is_some() {
            return None;
        }
        let reading = self.engine.glance(key, &reader.wishes.request, now)?;
        let status = reading.status;
        let held = match self.tier.entry(shape, reader.sight(), &reading) {
            // It was made for one who may ask for it.
            Some(held) => held,
            None if !self.may_ask(key, reader.viewer) => return None,
            None => self.got(&reading, shape, reader)?.held,
        };
        Some(Got { held, came: Came::Held, status })
    }

    /// What readers who wish alike ask for, each with its place.
    async fn by_engine(
        &self,
        asked: Vec<(usize, Key, Reader)>,
        shape: Shape,
    ) -> Vec<(usize, Result<Got, Problem>)> {
        let Some((.., reader)) = asked.first().cloned() else { return Vec::new() };
        let (places, keys): (Vec<usize>, Vec<Key>) =
            asked.into_iter().map(|(place, key, _)| (place, key)).unzip();
        let options = ReadOptions { request: reader.wishes.request, behind: Behind::Refresh };
        let readings = self.engine.load_many(&keys, &options).await;
        let mut all = Vec::with_capacity(keys.len());
        for ((place, key), reading) in places.into_iter().zip(&keys).zip(readings) {
            let got = match self.within_error_window(key, reading, reader.wishes).await {
                Ok(reading) => {
                    let out = reading.out_of_reach;
                    // In an outage a secret is as little there as what memory does not hold.
                    let none = || match out {
                        Some(_) => Problem::out_of_reach(),
                        None => Problem::unknown(key.as_str()),
                    };
                    self.got(&reading, shape, reader).ok_or_else(none)
                }
                Err(error) => Err(self.why_not(&error, reader.viewer, key).await),
            };
            all.push((place, got));
        }
        all
    }

    /// RFC 5861's `stale-if-error`: how old a copy may be if the source fails, and no older.
    async fn within_error_window(
        &self,
        key: &Key,
        reading: Result<Reading, ReadError>,
        wishes: Wishes,
    ) -> Result<Reading, ReadError> {
        let Some(window) = wishes.stale_if_error else { return reading };
        let now = self.now();
        match reading {
            Ok(reading) if reading.error.is_some() && reading.status == Status::Stale => {
                let until = reading.stored.entry.fresh_until;
                let by = until.map_or(Duration::ZERO, |until| now.since(until));
                if by <= window {
                    return Ok(reading);
                }
                let until = reading.stored.entry.due_at;
                Err(ReadError::Backoff { key: key.clone(), until, failure: reading.error.map(Box::new) })
            }
            Err(error @ (ReadError::Failed { .. } | ReadError::Backoff { .. })) => {
                let request = Request { mode: Mode::Offline, max_stale: Some(window), max_age: None };
                let options = ReadOptions { request, behind: Behind::Leave };
                self.engine.read(key, &options).await.map_err(|_| error)
            }
            other => other,
        }
    }

    /// The document of a reading, as its reader may see it: the one that was made of it before, or a
    /// new one, which is kept.
    fn got(&self, reading: &Reading, shape: Shape, reader: Reader) -> Option<Got> {
        let came = match reading.hit {
            Hit::Miss if reader.wishes.is_forced() => Came::Forced,
            Hit::Miss => Came::Fetched,
            Hit::Hit | Hit::Stale => Came::Held,
        };
        let status = reading.status;
        // The row may be the one from before the attempt that failed just now.
        let is_as_held = reading.error == reading.stored.entry.last_error || reading.out_of_reach.is_some();
        if is_as_held && let Some(held) = self.tier.entry(shape, reader.sight(), reading) {
            return Some(Got { held, came, status });
        }
        let seen = reader.sight().reading(told_of_error(reading.clone()))?;
        let seen = told_of_outage(seen);
        let document = match shape {
            Shape::Entry => entry_document(&seen),
            Shape::Cluster => self.cluster_document(&seen),
            Shape::Project => super::projects::document(&seen, reader.sight())?,
        };
        let held = Arc::new(Held::new(reading, seen.stored.entry.clone(), document));
        if is_as_held {
            self.tier.put(&reading.key, shape, reader.sight(), held.clone());
        }
        Some(Got { held, came, status })
    }

    /// Why there is no answer. One who may not know of an entry is told that there is none.
    pub(crate) async fn why_not(&self, error: &ReadError, viewer: Viewer, key: &Key) -> Problem {
        if !viewer.may_read_private && self.engine.out_of_reach().is_some() {
            // Nobody can say now what this viewer may know of.
            return Problem::out_of_reach();
        }
        let problem = Problem::of_read(error, viewer.into(), self.now());
        let is_to_be_dated = problem.status == 503 && problem.retry_after.is_none();
        if viewer.may_read_private && !is_to_be_dated {
            return problem;
        }
        let row = match self.store.lookup(std::slice::from_ref(key)).await {
            Ok(mut rows) => rows.pop().flatten(),
            Err(error) => return Problem::of_store(&error),
        };
        let definition = self.engine.define(key);
        if !viewer.may_read_private && sight::is_secret(key, row.as_ref(), definition.as_deref()) {
            return Problem::unknown(key.as_str());
        }
        let Some(row) = row else { return problem };
        if is_to_be_dated { problem.retry_at(row.entry.due_at, self.now()) } else { problem }
    }

    /// Why nothing of a list can be had. What failed is named to those alone who may know of all: a list that holds
    /// nothing does not say what of it everybody may know of.
    pub(crate) async fn why_no_list(&self, error: &ReadError, viewer: Viewer, key: &Key) -> Problem {
        if viewer.may_read_private {
            return self.why_not(error, viewer, key).await;
        }
        if self.engine.out_of_reach().is_some() {
            return Problem::out_of_reach();
        }
        let problem = Problem::of_read(error, Sight::Public, self.now());
        let detail = match problem.code {
            "limited" => "nothing of this list can be fetched now",
            "not_cached" => "nothing of this list is in the cache",
            "upstream_failed" => "nothing of this list could be fetched",
            _ => return problem,
        };
        Problem { detail: detail.to_owned(), hints: Vec::new(), ..problem }
    }

    fn cluster_document(&self, reading: &Reading) -> Document {
        let id = reading.key.segments().pop().unwrap_or_default();
        let mut repositories: Vec<(Repository, &Member)> = Vec::with_capacity(reading.stored.members.len());
        for member in &reading.stored.members {
            match member.item.doc.decode() {
                Ok(repository) => repositories.push((repository, member)),
                Err(error) => tracing::warn!(item = %member.item.of.id, %error, "a copy cannot be read"),
            }
        }
        let views: Vec<RepositoryView<'_>> = repositories
            .iter()
            .map(|(repository, member)| {
                let name = self.clusters.name_of(repository, Some(&member.asked));
                // Of what is in no cluster nobody names any.
                let asked = former(&member.asked, repository).filter(|_| id != ClustersConfig::UNCLUSTERED);
                RepositoryView::new(repository, asked, name, vec![id.clone()], member.item.fetched_at)
            })
            .collect();
        let cluster = ClusterView::new(&self.cluster_config(&id));
        let cluster_json = raw(&cluster);
        let names = views.iter().map(|view| view.display_name.as_str());
        let said: Vec<&str> = std::iter::once(cluster_json.get()).chain(names).chain(said(reading)).collect();
        let etag = etag(&reading.stored.entry, &said, "c");
        let data = raw(&views);
        let body = ClusterBody { cluster, repositories: &data, cache: CacheView::new(&reading.stored.entry) };
        Document::new(
            serde_json::to_vec(&body).unwrap_or_default(),
            etag,
            sight::is_all_public(&reading.stored),
        )
    }
}

/// The reading with the failure that its reader is told of in its row.
fn told_of_error(mut reading: Reading) -> Reading {
    if reading.error.is_some() && reading.error != reading.stored.entry.last_error {
        Arc::make_mut(&mut reading.stored).entry.last_error.clone_from(&reading.error);
    }
    reading
}

/// The reading with a warning, where it is only what memory held.
fn told_of_outage(mut reading: Reading) -> Reading {
    if let (Some(_), Some(failure)) = (reading.out_of_reach, &reading.error) {
        let warning = Warning {
            about: reading.key.to_string(),
            code: failure.code.clone(),
            message: failure.message.clone(),
        };
        Arc::make_mut(&mut reading.stored).entry.warnings.push(warning);
    }
    reading
}
