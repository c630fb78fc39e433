//! The one task that looks at the store for what others changed: every 50 ms the feed behind the
//! last place, and the newest line of the refresh log, which also has what changed nothing visible.
//!
//! What this process commits is dropped from memory as it is announced, without waiting for a turn.

use larder_core::{Changes, Key, LogFilter, LogLine, StoreError, Subject};
use tokio::sync::broadcast::error::RecvError;

use crate::app::App;
use crate::events::{Event, Renewal};
use crate::sight;

/// Lines of the feed that are read at once.
const LINES_MAX: usize = 256;

/// What was seen of the store so far.
struct Seen {
    place: u64,
    log: Option<LogLine>,
}

/// Watches until the server stops.
pub(crate) async fn watch(app: App) {
    let mut announced = app.engine.subscribe();
    let log = app.store.log(&LogFilter { key: None, limit: 1 }).await.ok().and_then(|mut lines| lines.pop());
    let mut seen = Seen { place: app.events.place(), log };
    let mut failing = false;
    loop {
        let looked = look(&app, &mut seen).await;
        match &looked {
            // What cannot be watched must not be trusted.
            Err(error) if !failing => {
                tracing::warn!(%error, "the store cannot be watched");
                app.tier.clear();
            }
            Err(_) => app.tier.clear(),
            Ok(()) => {}
        }
        failing = looked.is_err();
        let turn = app.clock.sleep(app.settings.watch_every);
        tokio::pin!(turn);
        tokio::select! {
            biased;
            () = app.stopping.cancelled() => return,
            heard = announced.recv() => match heard {
                Ok(announcement) => app.tier.drop_entry(&announcement.key),
                Err(RecvError::Lagged(_)) => app.tier.clear(),
                Err(RecvError::Closed) => turn.await,
            },
            () = &mut turn => {}
        }
    }
}

/// One look: everything that came since the last one.
async fn look(app: &App, seen: &mut Seen) -> Result<(), StoreError> {
    let mut changed: Vec<Key> = Vec::new();
    loop {
        let Changes { lines, reset, last } = app.store.changes(seen.place, LINES_MAX).await?;
        if reset {
            app.tier.clear();
            seen.place = last;
            app.events.tell(Event::Reset { last }, true);
            break;
        }
        let is_all = lines.len() < LINES_MAX;
        for line in lines {
            seen.place = line.seq;
            let is_public = match &line.on {
                Subject::Entry(key) => {
                    app.tier.drop_entry(key);
                    changed.push(key.clone());
                    may_all_know(app, key).await?
                }
                on => {
                    app.tier.clear();
                    is_all_told(on)
                }
            };
            app.events.tell(Event::Changed(line), is_public);
        }
        if is_all {
            break;
        }
    }
    look_at_log(app, seen, &changed).await
}

/// Refreshes that changed nothing that the feed tells of: the copy is younger all the same.
async fn look_at_log(app: &App, seen: &mut Seen, changed: &[Key]) -> Result<(), StoreError> {
    let newest = app.store.log(&LogFilter { key: None, limit: 1 }).await?.pop();
    if newest == seen.log {
        return Ok(());
    }
    let lines = app.store.log(&LogFilter { key: None, limit: LINES_MAX }).await?;
    let known = seen.log.take();
    let is_new = |line: &&LogLine| known.as_ref() != Some(*line);
    let fresh: Vec<&LogLine> = lines.iter().take_while(is_new).collect();
    if fresh.len() == LINES_MAX {
        app.tier.clear();
    }
    for line in fresh.into_iter().rev() {
        app.metrics.refreshed(&line.outcome);
        app.tier.drop_entry(&line.key);
        if !changed.contains(&line.key) {
            let is_public = may_all_know(app, &line.key).await?;
            let at = line.started_at.plus(std::time::Duration::from_millis(line.duration_ms));
            let renewal = Renewal { key: line.key.clone(), what: line.outcome.clone(), at };
            app.events.tell(Event::Refreshed(renewal), is_public);
        }
    }
    seen.log = lines.into_iter().next();
    Ok(())
}

/// Whether everybody may know of a line that is about more than one entry. A tag may be named after
/// something private.
pub(crate) fn is_all_told(on: &Subject) -> bool {
    matches!(on, Subject::Source(_) | Subject::All)
}

/// Whether everybody may know of an entry; of one that is gone, what was so before.
pub(crate) async fn may_all_know(app: &App, key: &Key) -> Result<bool, StoreError> {
    let stored = app.store.lookup(std::slice::from_ref(key)).await?.pop().flatten();
    let definition = app.engine.define(key);
    let now = stored
        .filter(|stored| stored.entry.has_data())
        .map(|stored| sight::is_public(&stored, definition.as_deref()));
    Ok(app.events.remember(key, now))
}
