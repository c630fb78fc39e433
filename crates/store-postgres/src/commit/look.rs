//! The look at the rows that commits are to write, each under its own lease.

use larder_core::{Commit, Write};
use tokio_postgres::types::Type;

use crate::digest::Digest;
use crate::errors::Fault;
use crate::json::{JsonText, clean};
use crate::leases::LIVE;
use crate::rows::{ENTRY_COLUMNS, ENTRY_WIDTH, EntryRow, FROM_ENTRIES, int};
use crate::transaction::Tx;

/// What is to be written into a row.
pub(super) struct Wish<'a> {
    pub(super) commit: &'a Commit,
    pub(super) write: &'a Write,
    /// What its members are to say.
    pub(super) digest: Option<Digest>,
}

/// A row that is there.
pub(super) struct Looked {
    pub(super) key: String,
    /// `None` = the lease is not ours any more.
    pub(super) ours: Option<Ours>,
}

/// A row whose lease is ours, and what it says of what is to be written.
pub(super) struct Ours {
    pub(super) row: EntryRow,
    /// Whether the body is the same document.
    pub(super) same_body: bool,
    pub(super) same_members: bool,
}

/// Looks at the rows, in no order.
pub(super) async fn look(tx: &Tx, wishes: &[Wish<'_>]) -> Result<Vec<Looked>, Fault> {
    let live = LIVE.replace("$1", "a.now");
    let sql = format!(
        "SELECT {ENTRY_COLUMNS}, e.body IS NOT DISTINCT FROM a.body, coalesce(e.members_digest = a.digest, false), \
         coalesce({live} AND e.lease_epoch = a.epoch AND e.lease_seq = a.seq AND e.lease_owner = a.owner, false) \
         {FROM_ENTRIES} JOIN unnest($1, $2, $3, $4, $5, $6, $7) AS a(now, key, epoch, seq, owner, body, digest) \
         ON e.key = a.key"
    );
    let lease = |wish: &'_ Wish<'_>| wish.commit.lease.token;
    let clocks: Vec<_> = wishes.iter().map(|wish| tx.lease_clock(wish.commit.now)).collect();
    let keys: Vec<_> = wishes.iter().map(|wish| wish.commit.lease.key.as_str()).collect();
    let epochs: Vec<_> = wishes.iter().map(|wish| lease(wish).epoch).collect();
    let numbers: Vec<_> = wishes.iter().map(|wish| int(lease(wish).seq)).collect();
    let owners: Vec<_> = wishes.iter().map(|wish| clean(&wish.commit.lease.owner)).collect();
    let bodies: Vec<_> = wishes.iter().map(|wish| wish.write.body.as_ref().map(JsonText::of)).collect();
    let digests: Vec<_> = wishes.iter().map(|wish| wish.digest).collect();
    let params = [
        (&clocks as _, Type::TIMESTAMPTZ_ARRAY),
        (&keys as _, Type::TEXT_ARRAY),
        (&epochs as _, Type::INT8_ARRAY),
        (&numbers as _, Type::INT8_ARRAY),
        (&owners as _, Type::TEXT_ARRAY),
        (&bodies as _, Type::JSONB_ARRAY),
        (&digests as _, Type::UUID_ARRAY),
    ];
    let mut looked = Vec::with_capacity(wishes.len());
    for row in &tx.query(&sql, &params).await? {
        // What another has now need not be understood.
        let ours = if row.try_get(ENTRY_WIDTH + 2)? {
            let (same_body, same_members) = (row.try_get(ENTRY_WIDTH)?, row.try_get(ENTRY_WIDTH + 1)?);
            Some(Ours { row: EntryRow::read(row, tx.local_now())?, same_body, same_members })
        } else {
            None
        };
        looked.push(Looked { key: row.try_get(1)?, ours });
    }
    Ok(looked)
}
