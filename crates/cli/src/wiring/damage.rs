//! Going over what is held although a row of it cannot be understood: that one is told of, the others are shown.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use larder_core::{
    Damaged, Key, ListQuery, Listed, Rows, StoreError, Stored, list_past_damage, lookup_past_damage,
};

use super::Rooms;
use crate::report::{CLEAR_DAMAGED, Complaint};
use crate::ui::Screen;

/// Of so many damaged entries each is told of.
const TOLD_MAX: usize = 3;

/// What is wrong with entries and items that cannot be understood, and whether it was told.
#[derive(Default)]
pub struct Damage(RefCell<BTreeMap<String, bool>>);

impl Rooms<'_> {
    /// The keys that are configured, and those that are held besides.
    pub async fn known_keys(&self) -> Result<Vec<Key>, Complaint> {
        let mut keys = self.reader().keys();
        let configured: HashSet<Key> = keys.iter().cloned().collect();
        let mut held = Vec::new();
        let mut rows = Rows::of(&**self.reader().store(), None).past_damage();
        while let Some(row) = rows.next().await? {
            held.push(row.entry.key);
        }
        // What cannot be read can be named all the same, and be removed.
        held.extend(rows.damaged().iter().map(|damaged| damaged.key.clone()));
        self.note_damage(rows.damaged());
        keys.extend(held.into_iter().filter(|key| !configured.contains(key)));
        Ok(keys)
    }

    /// The entries as they are held. What cannot be understood is as if it were not, and noted.
    pub async fn held(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, Complaint> {
        let (rows, damaged) = lookup_past_damage(&**self.reader().store(), keys).await?;
        self.note_damage(&damaged);
        Ok(rows)
    }

    /// What a list has. An item that cannot be understood is left out, and noted.
    pub async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, Complaint> {
        let found = list_past_damage(&**self.reader().store(), query).await?;
        let note = |error: StoreError| {
            self.note(&error);
        };
        Ok(found.into_iter().filter_map(|one| one.map_err(note).ok()).collect())
    }

    /// Notes entries whose rows cannot be understood, to be [told](Rooms::tell_damage) of once.
    pub fn note_damage(&self, damaged: &[Damaged]) {
        for one in damaged {
            self.note(&one.error);
        }
    }

    /// An entry whose item is damaged and a list that has it say the same.
    fn note(&self, error: &StoreError) {
        self.damage.0.borrow_mut().entry(error.to_string()).or_default();
    }

    /// Whether some was noted.
    pub fn met_damage(&self) -> bool {
        !self.damage.0.borrow().is_empty()
    }

    /// Tells of what was noted and not told yet: in the words of `larder cache verify`, which lists all.
    pub fn tell_damage(&self, screen: &Screen) {
        let mut noted = self.damage.0.borrow_mut();
        let is_news = |is_told: &mut bool| !std::mem::replace(is_told, true);
        let untold = noted.iter_mut().filter_map(|(message, is_told)| is_news(is_told).then_some(message));
        let untold: Vec<&String> = untold.collect();
        for message in untold.iter().take(TOLD_MAX) {
            screen.warn(message);
        }
        if let Some(more) = untold.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
            screen.warn(&format!("{more} more are damaged: `larder cache verify` lists all"));
        }
        if !untold.is_empty() {
            screen.note(CLEAR_DAMAGED);
        }
    }
}
