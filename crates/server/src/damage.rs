//! What is told of an entry whose row cannot be understood, in its place among the others: that it holds nothing,
//! is set aside for a person, and why. Everybody else is told of no such entry: nothing says whether it is public.

use std::collections::HashMap;

use larder_core::{
    Damaged, Entry, Failure, Key, ListQuery, Listed, StoreError, Stored, Time, list_past_damage,
    lookup_past_damage,
};

use crate::app::App;

/// The word for it, which no failed fetch has.
const DAMAGED: &str = "damaged";

/// The entry as it is told of.
pub(crate) fn in_place_of(key: Key, error: &StoreError, now: Time) -> Entry {
    let last_error = Failure {
        code: DAMAGED.to_owned(),
        message: format!("what is held of it is damaged: {error}"),
        hint: Some(format!("`larder cache clear {key} --yes` removes it, and it is fetched anew")),
        at: now,
    };
    // Whatever its policy says, nobody tries it anew by himself.
    Entry { faults: u32::MAX, last_error: Some(last_error), ..Entry::empty(key, now) }
}

/// Whether that is what an entry says.
pub(crate) fn is_damaged(entry: &Entry) -> bool {
    entry.last_error.as_ref().is_some_and(is_of_damage)
}

/// Whether a failure says that.
pub(crate) fn is_of_damage(failure: &Failure) -> bool {
    failure.code == DAMAGED
}

impl App {
    /// Entries with their members, in the order asked, those that are damaged as they are told of.
    pub(crate) async fn held(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        let (mut rows, damaged) = lookup_past_damage(&*self.store, keys).await?;
        let mut damaged: HashMap<Key, StoreError> =
            damaged.into_iter().map(|Damaged { key, error }| (key, error)).collect();
        for (key, row) in keys.iter().zip(&mut rows) {
            if let Some(error) = damaged.remove(key) {
                let entry = in_place_of(key.clone(), &error, self.now());
                *row = Some(Stored { entry, members: Vec::new() });
            }
        }
        Ok(rows)
    }

    /// A list, with the places of the items that are damaged.
    pub(crate) async fn list(
        &self,
        query: &ListQuery,
    ) -> Result<Vec<Result<Listed, StoreError>>, StoreError> {
        let listed = list_past_damage(&*self.store, query).await?;
        for error in listed.iter().filter_map(|listed| listed.as_ref().err()) {
            tracing::warn!(%error, "a copy cannot be read");
        }
        Ok(listed)
    }

    /// What of a list can be read.
    pub(crate) async fn list_readable(&self, query: &ListQuery) -> Result<Vec<Listed>, StoreError> {
        Ok(self.list(query).await?.into_iter().filter_map(Result::ok).collect())
    }
}
