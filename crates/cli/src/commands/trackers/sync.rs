//! Taking in what the manifest of the clone that one stands in says of its trackers.

use larder_core::{Key, Rows, Time, Trigger, Warning};
use larder_sources::{Desk, News, TrackersSource};

use crate::config::Config;
use crate::report::Complaint;
use crate::ui::harmless;
use crate::wiring::Rooms;

/// What became of the manifest.
#[derive(Debug)]
pub struct Synced {
    /// The entries that it said something new of.
    pub newer: Vec<Key>,
    /// Whether there was nothing to be read: it is what it was for all of them, or there is none.
    pub is_seen: bool,
    /// Why it cannot be used.
    pub unusable: Option<Warning>,
}

/// What becomes of one that nobody has to look at.
impl Default for Synced {
    fn default() -> Self {
        Synced { newer: Vec::new(), is_seen: true, unusable: None }
    }
}

/// Takes the manifest in where it says something new. An unchanged file costs a look at its size and time.
pub async fn sync(rooms: &Rooms<'_>, keys: &[Key], config: &Config) -> Result<Synced, Complaint> {
    let Some(desk) = rooms.desk() else { return Ok(Synced::default()) };
    let of_clone =
        |key: &&Key| TrackersSource::repo_of(key).is_some_and(|repo| repo.key() == desk.repo().key());
    let mut asked: Vec<&Key> = keys.iter().filter(of_clone).collect();
    if asked.is_empty() {
        return Ok(Synced::default());
    }
    let mut rows = Rows::of(&**rooms.reader().store(), Some(TrackersSource::NAME)).past_damage();
    while let Some(row) = rows.next().await? {
        if desk.has_seen(&row.entry) {
            asked.retain(|key| **key != row.entry.key);
        }
    }
    rooms.note_damage(rows.damaged());
    if asked.is_empty() {
        return Ok(Synced::default());
    }
    let (mut newer, mut unusable) = (Vec::new(), None);
    for key in asked {
        match news(rooms, desk, key, config).await? {
            News::None => {}
            News::Newer => newer.push(key.clone()),
            // It is one file for all of them.
            News::Unusable(warning) => unusable = Some(warning),
        }
    }
    if !newer.is_empty() {
        for done in rooms.reader().refresh(&newer, Trigger::Watch, |_| {}).await {
            if let Err(error) = done.result {
                return Err(Complaint::of_refresh(&done.key, &error));
            }
        }
    }
    Ok(Synced { newer, is_seen: false, unusable })
}

async fn news(rooms: &Rooms<'_>, desk: &Desk, key: &Key, config: &Config) -> Result<News, Complaint> {
    let Some(of) = config.trackers.types.iter().find(|of| key.segments().last() == Some(&of.name)) else {
        return Ok(News::None);
    };
    let store = rooms.reader().store();
    let stored = store.lookup(std::slice::from_ref(key)).await?.pop().flatten();
    Ok(desk.news(of, stored.as_ref(), rooms.now()))
}

/// Complains of a manifest that cannot be used, also where that was seen before: who wants it to be taken in has
/// to know.
pub fn check_manifest(desk: &Desk, now: Time, config: &Config) -> Result<(), Complaint> {
    let read = config.trackers.types.first().map(|of| desk.news(of, None, now));
    let Some(News::Unusable(warning)) = read else { return Ok(()) };
    Err(Complaint::failed(format!("{} could not be taken in", harmless(&desk.file().to_string_lossy())))
        .because(warning.message)
        .hint("put it right, or write it anew: `larder manifest generate`"))
}
