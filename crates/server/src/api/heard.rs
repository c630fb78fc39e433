//! Whose wishes are heard. What everybody may not see is fetched by its policy, as for anybody; no wish of theirs
//! brings it sooner, and nobody waits for it, who would learn by that that it is there.

use std::collections::HashSet;

use larder_core::{Decision, Entry, Key, Mode, Status, Time, decide};

use super::page::HeldRows;
use super::read::Reader;
use crate::access::Viewer;
use crate::app::App;
use crate::problem::Problem;
use crate::sight::{self, Sight};
use crate::trackers::TRACKERS_SOURCE;

impl Reader {
    /// The same without insisting.
    pub(super) fn patient(self) -> Self {
        Reader { wishes: self.wishes.patient(), ..self }
    }

    /// One whose wishes are not heard.
    pub(super) fn unheard(self) -> Self {
        Reader { wishes: self.wishes.unheard(), ..self }
    }
}

impl App {
    /// Whether a reader may have the entry fetched at all. What is private whatever it holds, there is not for
    /// everybody.
    pub(crate) fn may_ask(&self, key: &Key, viewer: Viewer) -> bool {
        let is_private = || self.engine.define(key).is_some_and(|definition| definition.private);
        viewer.may_read_private || (self.is_for_all(key) && !is_private())
    }

    /// Whether everybody may know of an entry, as far as its key says. A source may know more entries than are
    /// configured: everybody's wishes do not decide what is kept here, nor spend what may be asked, and what others
    /// asked for is nobody else's business.
    pub(crate) fn is_for_all(&self, key: &Key) -> bool {
        key.source() != TRACKERS_SOURCE || self.trackers.contains(key)
    }

    /// A wish for a fetch is granted to admins, and to others once in half a minute.
    pub(super) fn granted(&self, key: &Key, reader: Reader) -> Reader {
        let is_granted = !reader.wishes.is_forced()
            || reader.viewer.may_admin
            || (self.engine.define(key).is_some() && self.forced.take_turn(key, self.now()));
        if is_granted { reader } else { reader.patient() }
    }

    /// What is heard of a reader's wishes, of each entry that memory did not answer for; an error where the reader
    /// is told that there is none.
    pub(super) async fn heard(&self, keys: &[Key], reader: Reader) -> Vec<Result<Reader, Problem>> {
        if reader.sight() != Sight::Public || keys.is_empty() {
            return keys.iter().map(|key| Ok(self.granted(key, reader))).collect();
        }
        let mut behind = Vec::new();
        let mut heard = Vec::with_capacity(keys.len());
        for (key, held) in keys.iter().zip(self.look(keys).await) {
            heard.push(match held {
                Ok(held) if sight::is_public(&held.stored, Some(&held.definition)) => {
                    Ok(self.granted(key, reader))
                }
                Ok(held) if held.out_of_reach.is_some() => Err(Problem::out_of_reach()),
                Ok(held) => {
                    // It may have become public since.
                    if held.status != Status::Fresh && reader.wishes.request.mode != Mode::Offline {
                        behind.push(key.clone());
                    }
                    Err(Problem::unknown(key.as_str()))
                }
                // Nothing says yet who may know of it.
                Err(_) => Ok(reader.patient()),
            });
        }
        self.fetch_behind(behind);
        heard
    }

    /// Those of a list's rows that a reader may not know of. Of what is served as it is, it makes no difference, and
    /// is not asked.
    pub(super) async fn hidden_among(
        &self,
        rows: &HeldRows,
        reader: Reader,
        now: Time,
    ) -> Result<HashSet<Key>, Problem> {
        if reader.sight() != Sight::Public {
            return Ok(HashSet::new());
        }
        let is_asked = |row: &&Entry| {
            row.has_data()
                && self.engine.define(&row.key).is_some_and(|definition| {
                    decide(Some(row), &definition, &reader.wishes.request, now) != Decision::Fresh
                })
        };
        let asked: Vec<Entry> = rows.values().filter(is_asked).cloned().collect();
        let mut hidden: HashSet<Key> = asked.iter().map(|row| row.key.clone()).collect();
        for (row, _) in self.public_rows(asked).await? {
            hidden.remove(&row.key);
        }
        Ok(hidden)
    }
}
