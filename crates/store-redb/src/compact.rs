//! Making the file smaller, when that pays: redb gives pages back to itself, not to the disk.

use crate::errors::Fault;
use crate::hold::Holder;

/// Less than this is not worth the while.
const FREED_MIN: u64 = 4 * 1024 * 1024;

/// Compacts the file if more than half of it, and more than a few MiB, hold nothing. Waits until
/// nobody reads, and readers wait until it is done. Answers whether it did.
pub(crate) fn compact_if_it_pays(holder: &Holder) -> Result<bool, Fault> {
    let used = holder.with(|database| {
        let transaction = database.begin_write()?;
        let stats = transaction.stats()?;
        transaction.abort()?;
        Ok(stats.allocated_pages().saturating_mul(stats.page_size() as u64))
    })?;
    let free = holder.bytes().saturating_sub(used);
    if free < FREED_MIN || free < used {
        return Ok(false);
    }
    holder.alone_with(|database| Ok(database.compact()?))
}
