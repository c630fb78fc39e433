//! What the store as a whole counts, in one row: above all the one number that orders leases,
//! invalidations and changes.

use larder_core::Token;
use serde::{Deserialize, Serialize};

/// The store's own row. Kept in memory while a transaction lasts, and written at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The store's life.
    pub(crate) epoch: i64,
    /// The number that orders everything in it.
    pub(crate) seq: u64,
    /// How many transactions were committed.
    pub(crate) commits: u64,
    /// How far the feed was swept.
    pub(crate) feed_swept: u64,
    /// The highest version among removed entries: a new row goes on from there, so that an `ETag`
    /// never names two different things.
    pub(crate) version_floor: u64,
    /// The number of the newest line in the refresh log.
    pub(crate) log: u64,
    /// The number of the newest reservation.
    pub(crate) reservation: u64,
}

impl Meta {
    /// A new life.
    pub(crate) fn fresh() -> Result<Meta, getrandom::Error> {
        let all = Meta {
            epoch: epoch()?,
            seq: 0,
            commits: 0,
            feed_swept: 0,
            version_floor: 0,
            log: 0,
            reservation: 0,
        };
        Ok(all)
    }

    /// A new life in the place of one that was damaged. A place in the feed of that one must not be one in
    /// this one's, for a process that lives through both: so its numbers begin somewhere else.
    pub(crate) fn after_another() -> Result<Meta, getrandom::Error> {
        let seq = epoch()? as u64 >> 1;
        Ok(Meta { seq, feed_swept: seq, ..Meta::fresh()? })
    }

    /// The next number, as a token.
    pub(crate) fn next(&mut self) -> Token {
        self.seq += 1;
        Token { epoch: self.epoch, seq: self.seq }
    }
}

/// A number that no other life has. 53 bits, so that it survives a JSON reader that knows doubles
/// alone.
pub(crate) fn epoch() -> Result<i64, getrandom::Error> {
    Ok((getrandom::u64()? & 0x1f_ffff_ffff_ffff) as i64)
}
