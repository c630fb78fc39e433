//! Refreshing by hand: at will for admins, for all others once in half a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use larder_core::{Key, Time, Trigger};
use larder_engine::Refreshed;
use serde::Serialize;
use utoipa::ToSchema;

use super::entry_view::EntryView;
use super::read::Reader;
use crate::access::Viewer;
use crate::answer::{Came, send_now};
use crate::app::App;
use crate::problem::Problem;
use crate::sight::{self, Sight};
use crate::tier::Shape;

/// How often a forced refresh of one entry is granted to one who may not force it.
pub(crate) const FORCED_EVERY: Duration = Duration::from_secs(30);

/// When entries were last refreshed by force on behalf of one who needed a turn. Bounded by the
/// entries that are configured, since [no others may be asked for](App::may_ask).
#[derive(Default)]
pub(crate) struct Forced(Mutex<HashMap<Key, Time>>);

impl Forced {
    /// Takes the turn of now, if there was none lately.
    pub(crate) fn take_turn(&self, key: &Key, now: Time) -> bool {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A turn from the future comes from a clock that was set back.
        let is_recent = |at: &Time| *at <= now && now.since(*at) < FORCED_EVERY;
        if turns.get(key).is_some_and(is_recent) {
            return false;
        }
        if turns.len() >= SWEPT_ABOVE {
            turns.retain(|_, at| is_recent(at));
        }
        turns.insert(key.clone(), now);
        true
    }
}

/// Turns are looked through for old ones when there are so many.
const SWEPT_ABOVE: usize = 1024;

/// What became of the wish for a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RefreshStarted {
    /// It is under way.
    Started,
    /// There was one a moment ago, which must do.
    Recent,
    /// It came to its end.
    Done,
}

/// The answer to a wish for a refresh.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefreshAnswer {
    /// Which entry.
    #[schema(value_type = String, example = "cluster/tools")]
    key: Key,
    /// What became of the wish.
    refresh: RefreshStarted,
    /// What the refresh did, where it was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    /// The entry after it, where it was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<EntryView>,
}

impl App {
    /// Starts refreshes of what the viewer may have refreshed; answers what became of each, in the
    /// order asked. Nobody is waited for.
    pub(crate) fn start_refresh(&self, viewer: Viewer, keys: &[Key]) -> Vec<RefreshStarted> {
        let now = self.now();
        let granted = |key: &Key| viewer.may_admin || self.forced.take_turn(key, now);
        let (mut wanted, mut told) = (Vec::new(), Vec::with_capacity(keys.len()));
        for key in keys {
            let is_granted = self.engine.define(key).is_some() && granted(key);
            told.push(if is_granted { RefreshStarted::Started } else { RefreshStarted::Recent });
            if is_granted {
                wanted.push(key.clone());
            }
        }
        if !wanted.is_empty() {
            let engine = self.engine.clone();
            tokio::spawn(async move { engine.refresh(&wanted, Trigger::Manual, |_| {}).await });
        }
        told
    }
}

/// `POST /api/v1/entries/{key}/refresh`.
pub(crate) async fn refresh(
    app: &App,
    viewer: Viewer,
    key: Key,
    wait: bool,
    asked: &HeaderMap,
) -> Result<Response, Problem> {
    if app.engine.out_of_reach().is_some() {
        return Err(Problem::out_of_reach());
    }
    if check_known(app, viewer, &key).await? == Held::JustNow {
        app.forced.take_turn(&key, app.now());
        let entry = state(app, viewer, &key).await?;
        let answer = RefreshAnswer { key, refresh: RefreshStarted::Done, outcome: None, entry };
        return Ok(send_now(StatusCode::OK, &answer, asked));
    }
    // Nothing else may write for long to a store that could not be written: who asks finds out, and hears it.
    let wait = wait || app.engine.unwritable_since().is_some();
    if !wait {
        let refresh = app.start_refresh(viewer, std::slice::from_ref(&key)).pop();
        let refresh = refresh.unwrap_or(RefreshStarted::Recent);
        let answer = RefreshAnswer { key, refresh, outcome: None, entry: None };
        return Ok(send_now(StatusCode::ACCEPTED, &answer, asked));
    }
    if !viewer.may_admin && !app.forced.take_turn(&key, app.now()) {
        let entry = state(app, viewer, &key).await?;
        let answer = RefreshAnswer { key, refresh: RefreshStarted::Recent, outcome: None, entry };
        return Ok(send_now(StatusCode::OK, &answer, asked));
    }
    // A task of its own: a reader who goes away does not take it along.
    let engine = app.engine.clone();
    let keys = [key.clone()];
    let work = tokio::spawn(async move { engine.refresh(&keys, Trigger::Manual, |_| {}).await });
    let refreshed = work.await.ok().and_then(|mut all| all.pop());
    match refreshed {
        Some(Refreshed { result: Ok(outcome), .. }) => {
            let entry = state(app, viewer, &key).await?;
            let outcome = Some(outcome.word());
            let answer = RefreshAnswer { key, refresh: RefreshStarted::Done, outcome, entry };
            Ok(send_now(StatusCode::OK, &answer, asked))
        }
        Some(Refreshed { result: Err(error), .. }) => {
            let problem = Problem::of_refresh(&key, &error, viewer.into(), app.now());
            Err(match app.store.lookup(&[key]).await?.pop().flatten() {
                Some(row) if problem.status == 503 && problem.retry_after.is_none() => {
                    problem.retry_at(row.entry.due_at, app.now())
                }
                _ => problem,
            })
        }
        None => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "interrupted", "the refresh was interrupted"))
        }
    }
}

/// What is held of an entry that is to be refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Something else than what is wanted.
    Before,
    /// What was fetched for this very wish, to find out who may know of it.
    JustNow,
}

/// A key that is configured and that the viewer may know of, as far as that can be known.
async fn check_known(app: &App, viewer: Viewer, key: &Key) -> Result<Held, Problem> {
    if app.engine.define(key).is_none() || !app.may_ask(key, viewer) {
        return Err(Problem::unknown(key.as_str()));
    }
    if viewer.may_read_private {
        return Ok(Held::Before);
    }
    let stored = app.store.lookup(std::slice::from_ref(key)).await?.pop().flatten();
    let Some(stored) = stored.filter(|stored| stored.entry.has_data()) else {
        // Only what it holds says whether everybody may know of it.
        let got = app.document(key, Shape::Entry, Reader::plain(viewer)).await?;
        return Ok(if got.came == Came::Fetched { Held::JustNow } else { Held::Before });
    };
    let definition = app.engine.define(key);
    let is_secret = sight::is_secret(key, Some(&stored), definition.as_deref());
    if is_secret { Err(Problem::unknown(key.as_str())) } else { Ok(Held::Before) }
}

async fn state(app: &App, viewer: Viewer, key: &Key) -> Result<Option<EntryView>, Problem> {
    let stored = app.store.lookup(std::slice::from_ref(key)).await?.pop().flatten();
    let definition = app.engine.define(key);
    let shown = stored.and_then(|stored| Sight::from(viewer).stored(stored, definition.as_deref()));
    Ok(shown.map(|stored| EntryView::new(&stored.entry, definition.as_deref(), app.now())))
}
