//! The one number that orders leases, invalidations and changes.

use larder_core::Token;
use rusqlite::Connection;

/// The next number, as a token.
pub(crate) fn next(conn: &Connection) -> rusqlite::Result<Token> {
    conn.prepare_cached("UPDATE meta SET seq = seq + 1 RETURNING epoch, seq")?
        .query_row([], |row| Ok(Token { epoch: row.get(0)?, seq: row.get::<_, i64>(1)? as u64 }))
}
