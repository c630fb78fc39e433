//! What the engine's follower sees of the store, told to open streams: each line with whether
//! everybody may know of it.

use std::time::Duration;

use larder_core::{Change, Entry, Key, StoreError, Subject};
use larder_engine::News;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::app::{App, Site};
use crate::events::{Event, Renewal};

/// How often a store that is out of reach is asked for at the start.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// The place of the feed from which on the server follows it. A store that is out of reach at the
/// start is waited for as long as the settings say.
pub(crate) async fn first_place(site: &Site) -> Result<u64, StoreError> {
    let began = site.clock.now();
    let mut is_told = false;
    loop {
        match site.engine.store().changes(0, 0).await {
            Ok(changes) => return Ok(changes.last),
            Err(error) if !error.is_retryable() => return Err(error),
            Err(error) if site.clock.now().since(began) >= site.settings.store_wait => return Err(error),
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%error, "waiting for the store");
                }
                site.clock.sleep(TRY_EVERY).await;
            }
        }
    }
}

/// Follows the store, and tells what is seen, until the server stops.
pub(crate) async fn watch(app: App) {
    let news = app.engine.news();
    app.engine.remember(app.settings.memory_bytes_max);
    tokio::select! {
        biased;
        () = app.stopping.cancelled() => {}
        is_own = app.engine.follow(app.events.place(), app.settings.watch_every) => {
            if !is_own {
                tracing::warn!("this engine follows the store already: its memory is looked after elsewhere");
            }
        }
        () = tell_all(&app, news) => {}
    }
}

async fn tell_all(app: &App, mut news: Receiver<News>) {
    loop {
        match news.recv().await {
            Ok(news) => tell(app, news).await,
            Err(RecvError::Lagged(_)) => {
                app.events.tell(Event::Reset { last: app.engine.place() }, true);
            }
            Err(RecvError::Closed) => return,
        }
    }
}

async fn tell(app: &App, news: News) {
    match news {
        News::Changed(line) => {
            let is_public = may_all_be_told(app, &line).await;
            app.events.tell(Event::Changed(line), is_public);
        }
        News::Refreshed { line, is_told } => {
            app.metrics.refreshed(&line.outcome);
            if is_told {
                return;
            }
            let is_public = may_all_know(app, &line.key).await.unwrap_or(false);
            let at = line.started_at.plus(Duration::from_millis(line.duration_ms));
            app.events.tell(Event::Refreshed(Renewal { key: line.key, what: line.outcome, at }), is_public);
        }
        News::Reset { last } => {
            // The store may be another, whose versions name other things.
            app.faces.forget();
            app.events.tell(Event::Reset { last }, true);
        }
        News::Lost(out) => app.events.tell(Event::Lost(out.since), true),
        News::Found => app.events.tell(Event::Found, true),
    }
}

/// Whether everybody may be told of a line. Doubt means no.
pub(crate) async fn may_all_be_told(app: &App, line: &Change) -> bool {
    match &line.on {
        Subject::Entry(key) => may_all_know(app, key).await.unwrap_or(false),
        Subject::Tag(_) | Subject::Source(_) | Subject::All => true,
    }
}

/// A line as those are told of it who may not see what is private: a tag may be named after
/// something that is, so that it is told as if it were about everything.
pub(crate) fn for_all(line: &Change) -> Change {
    let on = match &line.on {
        Subject::Tag(_) => Subject::All,
        on => on.clone(),
    };
    Change { on, ..line.clone() }
}

/// Whether everybody may know of an entry; of one that is gone, what was so before.
async fn may_all_know(app: &App, key: &Key) -> Result<bool, StoreError> {
    let now = match app.row_of(key).await?.filter(Entry::has_data) {
        Some(row) => Some(app.public_row(row).await?.is_some()),
        None => None,
    };
    Ok(app.events.remember(key, now))
}

#[cfg(test)]
mod tests {
    use larder_core::Time;

    use super::*;

    #[test]
    fn a_tag_is_named_to_those_alone_who_may_see_what_is_private() {
        let line =
            |on: Subject| Change { seq: 7, on, what: "invalidated".into(), version: 0, at: Time::default() };
        assert_eq!(for_all(&line(Subject::Tag("acme-merger".into()))).on, Subject::All);
        let source = Subject::Source("cluster".into());
        assert_eq!(for_all(&line(source.clone())).on, source);
    }
}
