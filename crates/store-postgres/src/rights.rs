//! Whether the database lets us write: asked of what it says of itself, with nothing written for it.

use larder_core::StoreError;
use tokio_postgres::types::Type;

use crate::errors::{Fault, GRANTS};
use crate::transaction::Tx;

/// What is written besides migrations, which only whom the schema belongs to applies.
pub(crate) const TABLES: [&str; 14] = [
    "meta",
    "entries",
    "items",
    "docs",
    "words",
    "members",
    "tags",
    "markers",
    "changes",
    "refresh_log",
    "budgets",
    "reservations",
    "actors",
    "written",
];

const FORBIDDEN_TABLE: &str = "SELECT min(c.relname::text) FROM pg_catalog.pg_class c \
    WHERE c.relnamespace = to_regnamespace('larder') AND c.relkind = 'r' \
    AND c.relname = ANY($1) AND NOT (has_table_privilege(c.oid, 'INSERT') \
    AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))";

/// Those of identities go with their tables.
const FORBIDDEN_SEQUENCE: &str = "SELECT min(name) FROM unnest(ARRAY['sequence', 'item_numbers']) name \
    WHERE NOT has_sequence_privilege('larder.' || name, 'USAGE, UPDATE')";

/// Those whose rows not everybody sees, or may write.
const GUARDED_TABLE: &str = "SELECT min(c.relname::text) FROM pg_catalog.pg_class c \
    WHERE c.relnamespace = to_regnamespace('larder') AND c.relname = ANY($1) AND row_security_active(c.oid)";

/// Why nothing can be written, if that is known.
pub(crate) async fn forbids_writing(tx: &Tx, place: &str) -> Result<Option<StoreError>, Fault> {
    // What this transaction may do says nothing: it is one that reads.
    let sql = format!(
        "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')::boolean, \
         current_user::text, ({FORBIDDEN_TABLE}), ({FORBIDDEN_SEQUENCE}), ({GUARDED_TABLE})"
    );
    let row = tx.conclude(tx.query_one(&sql, &[(&TABLES.as_slice(), Type::TEXT_ARRAY)])).await?;
    let (is_standby, is_read_only): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    let user: &str = row.try_get(2)?;
    let (table, sequence): (Option<&str>, Option<&str>) = (row.try_get(3)?, row.try_get(4)?);
    let guarded: Option<&str> = row.try_get(5)?;
    let found = match (table, sequence) {
        _ if is_standby => {
            Some(("it is a standby, or recovers".to_owned(), Some("name its primary in `[store] url`")))
        }
        _ if is_read_only => Some(("`default_transaction_read_only` is on".to_owned(), None)),
        (Some(table), _) => Some((format!("{user} may not write the table `{table}`"), Some(GRANTS))),
        (None, Some(sequence)) => {
            Some((format!("{user} may not use the sequence `{sequence}`"), Some(GRANTS)))
        }
        (None, None) => guarded.map(|table| {
            let cause = format!("row-level security decides what {user} may write into the table `{table}`");
            (cause, Some("let this user bypass it (`ALTER ROLE … BYPASSRLS`), or take it off the table"))
        }),
    };
    Ok(found.map(|(cause, hint)| StoreError::ReadOnly {
        place: place.to_owned(),
        cause,
        hint: hint.map(str::to_owned),
    }))
}
