//! Invalidating, which marks stale and keeps, and evicting, which removes.

use larder_core::{Met, StoreError, Subject, Target, Time};

use crate::RedbStore;
use crate::entries;
use crate::errors::Fault;
use crate::feed;
use crate::markers;
use crate::tables::{Look, Table, Tx, count_upto};

/// Marks what the target means as stale, now and for fetches under way: entries that are named by
/// their rows, all others by one marker, however many they are.
pub(crate) fn invalidate(tx: &Tx<'_>, target: &Target, now: Time) -> Result<Met, Fault> {
    let seq = tx.change_meta(|meta| meta.next().seq);
    let subject = match target {
        Target::Keys(_) => return invalidate_rows(tx, target, seq, now),
        Target::Source(source) => Subject::Source(source.clone()),
        Target::Tag(tag) => Subject::Tag(tag.clone()),
        Target::All => Subject::All,
    };
    if let Some(name) = markers::name(target) {
        markers::set(tx, &name, seq, now)?;
    }
    feed::announce(tx, subject, "invalidated", 0, now)?;
    let met = if *target == Target::All {
        tx.count(Table::Entries)?
    } else {
        let prefix = entries::target_prefix(target);
        count_upto(tx, markers::table_of(target), prefix.stretch(), Met::COUNTED_MAX + 1)?
    };
    Ok(Met::counted(met))
}

fn invalidate_rows(tx: &Tx<'_>, target: &Target, seq: u64, now: Time) -> Result<Met, Fault> {
    let met = entries::met(tx, target)?;
    for key in &met {
        let Some(mut row) = entries::find(tx, key)? else { continue };
        row.entry.invalidated = seq;
        row.entry.due_at = row.entry.due_at.min(now);
        row.touched_at = now;
        entries::save(tx, &row)?;
        feed::announce(tx, Subject::Entry(key.clone()), "invalidated", row.entry.version, now)?;
    }
    Ok(Met::exactly(met.len() as u64))
}

/// How many entries are removed in one transaction: others write in between.
const BATCH: usize = 500;

/// Removes what the target means.
pub(crate) async fn evict(store: &RedbStore, target: &Target, now: Time) -> Result<u64, StoreError> {
    let target = target.clone();
    let met = store.read_long("evict", move |look| entries::met(look, &target)).await?;
    let mut evicted = 0;
    for some in met.chunks(BATCH) {
        let keys = Target::Keys(some.to_vec());
        evicted += store
            .write("evict", move |tx| {
                // One may have gone since.
                let met = entries::met(tx, &keys)?;
                entries::remove(tx, &met, now)?;
                Ok(met.len() as u64)
            })
            .await?;
    }
    Ok(evicted)
}
