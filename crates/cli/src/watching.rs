//! Watching local folders, and the files of marketplaces, for as long as a process runs: what changed is
//! marked due, and the engine refreshes it like anything else that is.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Clock, Key, StoreError, Trigger};
use larder_engine::{Engine, News, SystemClock};
use larder_sources::{FilesWatch, ProjectsSource, Watch, WatchOptions};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;

use crate::config::{ProjectsSection, Watching};

/// How often is looked whether anybody has asked for local projects yet.
const NOT_YET: Duration = Duration::from_secs(30);
/// The wait after a store could not be told of a change.
const AGAIN: Duration = Duration::from_secs(1);

/// How to watch, by the configuration; `None` = not at all.
pub fn options(projects: &ProjectsSection) -> Option<WatchOptions> {
    let by_events = match projects.watch.value {
        Watching::Off => return None,
        Watching::Events => true,
        Watching::Poll => false,
    };
    Some(WatchOptions {
        debounce: projects.debounce.value,
        poll: projects.poll.value,
        by_events,
        sweep: projects.ttl.value,
    })
}

/// Watches until it is dropped. Nothing is watched before anybody has asked for projects once: who
/// keeps none is not searched for any. Where there is nothing to search, it is waited for what comes.
pub async fn watch_once_asked(engine: Engine, source: Arc<ProjectsSource>, options: WatchOptions) {
    while has_roots(&engine) && !is_asked_for(&engine).await {
        wait_for_news(&engine).await;
    }
    watch(engine, source, options, |_| {}, |trouble| tracing::warn!("{trouble}")).await;
}

/// Watches until it is dropped. `begun` is told once that it is watching, `warn` of each trouble with that.
pub async fn watch(
    engine: Engine,
    source: Arc<ProjectsSource>,
    options: WatchOptions,
    begun: impl FnOnce(&Watch),
    warn: impl Fn(&str),
) {
    // The first look is at all that is known: what changed while nobody watched must not be missed because
    // the projects are learned a moment later.
    if let Err(error) = engine.learn().await {
        tracing::warn!(%error, "what projects there are could not be looked up");
    }
    let watch = source.watch(options, Arc::new(SystemClock));
    let all = || [engine.indexes_of(ProjectsSource::NAME), engine.keys_of(ProjectsSource::NAME)].concat();
    tokio::join!(follow(&engine, watch, begun, warn), doubt_at_resets(&engine, all));
}

async fn follow(engine: &Engine, mut watch: Watch, begun: impl FnOnce(&Watch), warn: impl Fn(&str)) {
    let mut begun = Some(begun);
    let mut told = None;
    let mut roots = engine.indexes_of(ProjectsSource::NAME);
    loop {
        let keys = watch.next().await;
        let now = engine.indexes_of(ProjectsSource::NAME);
        if now != roots {
            // Of one that came back the store may still hold that nobody has it.
            match engine.reconcile_of(&[ProjectsSource::NAME]).await {
                Ok(_) => {
                    roots = now;
                    // What is held of the projects there is from before it went.
                    mark(engine, &engine.keys_of(ProjectsSource::NAME)).await;
                }
                Err(error) => tracing::warn!(%error, "what is configured could not be noted"),
            }
        }
        if let Some(begun) = begun.take() {
            begun(&watch);
        }
        let trouble = watch.trouble();
        if let Some(trouble) = trouble.as_deref().filter(|_| trouble != told) {
            warn(trouble);
        }
        told = trouble;
        tracing::debug!(entries = keys.len(), folders = watch.folders(), "folders changed");
        mark(engine, &keys).await;
    }
}

/// Watches the files of marketplaces until it is dropped. One that nobody has asked for is left alone.
pub async fn watch_files(engine: Engine, watch: FilesWatch) {
    let files = watch.keys();
    tokio::join!(follow_files(&engine, watch), doubt_at_resets(&engine, || files.clone()));
}

async fn follow_files(engine: &Engine, mut watch: FilesWatch) {
    let mut told = None;
    loop {
        let keys = watch.next().await;
        let trouble = watch.trouble();
        if let Some(trouble) = trouble.as_deref().filter(|_| trouble != told) {
            tracing::warn!("{trouble}");
        }
        told = trouble;
        let asked = asked(engine, keys).await;
        tracing::debug!(entries = asked.len(), "files of marketplaces changed");
        mark(engine, &asked).await;
    }
}

/// Those of the entries that anybody has asked for.
async fn asked(engine: &Engine, keys: Vec<Key>) -> Vec<Key> {
    let held = engine.store().lookup(&keys).await;
    // Of what cannot be asked, doubt means that it was.
    let is_unknown = |place: usize| held.as_ref().is_ok_and(|held| held[place].is_none());
    let asked = keys.into_iter().enumerate().filter(|(place, _)| !is_unknown(*place));
    asked.map(|(_, key)| key).collect()
}

/// Marks entries due whenever it cannot be told what happened to the store: where an older copy was put in its
/// place, what changed on disk since that was made, nobody will hear of again.
async fn doubt_at_resets(engine: &Engine, keys: impl Fn() -> Vec<Key>) {
    let (mut news, is_in_doubt) = (engine.news(), Notify::new());
    let listen = async {
        loop {
            match news.recv().await {
                Ok(News::Reset { .. }) | Err(RecvError::Lagged(_)) => is_in_doubt.notify_one(),
                Ok(_) => {}
                Err(RecvError::Closed) => return,
            }
        }
    };
    let mark_all = async {
        loop {
            is_in_doubt.notified().await;
            if let Err(error) = engine.learn().await {
                tracing::warn!(%error, "what projects there are could not be looked up");
            }
            mark(engine, &asked(engine, keys()).await).await;
        }
    };
    tokio::join!(listen, mark_all);
}

/// Marks entries due, again and again if the store cannot be told: nobody else heard of it.
async fn mark(engine: &Engine, keys: &[Key]) {
    while let Err(error) = engine.mark_due(keys, Trigger::Watch).await {
        tracing::warn!(%error, "what changed could not be noted");
        if !error.is_retryable() {
            return;
        }
        SystemClock.sleep(AGAIN).await;
    }
}

/// Whether there is any folder to look for projects in.
fn has_roots(engine: &Engine) -> bool {
    !engine.indexes_of(ProjectsSource::NAME).is_empty()
}

/// Whether some root was looked at before.
async fn is_asked_for(engine: &Engine) -> bool {
    let held: Result<_, StoreError> = engine.store().lookup(&engine.indexes_of(ProjectsSource::NAME)).await;
    held.is_ok_and(|held| held.iter().flatten().any(|stored| stored.entry.has_data()))
}

async fn wait_for_news(engine: &Engine) {
    let mut announced = engine.subscribe();
    let wait = SystemClock.sleep(NOT_YET);
    tokio::pin!(wait);
    loop {
        tokio::select! {
            () = &mut wait => return,
            heard = announced.recv() => match heard {
                Ok(heard) if heard.key.source() == ProjectsSource::NAME => return,
                Ok(_) => {}
                Err(_) => return wait.await,
            },
        }
    }
}
