//! The one number that orders leases, invalidations and changes.

use larder_core::Token;
use rusqlite::Connection;

/// The next number, as a token. In two steps: before a statement that may write several rows, or that
/// answers what it wrote, FTS5 writes down what the transaction gathered so far.
pub(crate) fn next(conn: &Connection) -> rusqlite::Result<Token> {
    conn.prepare_cached("UPDATE meta SET seq = seq + 1 WHERE one = 1")?.execute([])?;
    conn.prepare_cached("SELECT epoch, seq FROM meta WHERE one = 1")?
        .query_row([], |row| Ok(Token { epoch: row.get(0)?, seq: row.get::<_, i64>(1)? as u64 }))
}
