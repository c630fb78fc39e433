//! What a database says of itself: whose it is, and which tables and views are in it.

use larder_core::StoreError;
use rusqlite::{Connection, OptionalExtension};

use crate::readers::Sight;
use crate::schema::{self, APPLICATION_ID};

/// How a database of ours stands.
pub(super) struct Standing {
    pub(super) conn: Connection,
    pub(super) sight: Sight,
    pub(super) schema: u32,
    pub(super) views: Option<String>,
}

pub(super) struct Seen {
    application: i32,
    schema: u32,
    views: Option<String>,
    /// Whether nobody made anything in it.
    is_empty: bool,
}

impl Seen {
    pub(super) fn standing(
        self,
        conn: Connection,
        sight: Sight,
        place: &str,
    ) -> Result<Standing, StoreError> {
        // Who was making it ended first, and what was made was rolled back: it is made anew.
        if self.application == 0 && self.is_empty {
            return Ok(Standing { conn, sight, schema: 0, views: None });
        }
        if self.application != APPLICATION_ID {
            let found =
                format!("it is another program's SQLite database (application_id {})", self.application);
            return Err(StoreError::Foreign { place: place.to_owned(), found });
        }
        schema::refuse_newer(self.schema, place)?;
        if self.schema > 0 && self.views.is_none() {
            let found = "it has Larder's mark, but not Larder's tables".to_owned();
            return Err(StoreError::Foreign { place: place.to_owned(), found });
        }
        Ok(Standing { conn, sight, schema: self.schema, views: self.views })
    }
}

/// In the usual case one statement.
pub(super) fn inspect(conn: &Connection) -> rusqlite::Result<Seen> {
    let all = conn.query_row(
        "SELECT (SELECT application_id FROM pragma_application_id), \
         (SELECT user_version FROM pragma_user_version), views FROM meta",
        [],
        |row| Ok(Seen { application: row.get(0)?, schema: row.get(1)?, views: row.get(2)?, is_empty: false }),
    );
    match all {
        Err(rusqlite::Error::SqliteFailure(failure, _)) if failure.code == rusqlite::ErrorCode::Unknown => {
            inspect_foreign(conn)
        }
        Err(rusqlite::Error::QueryReturnedNoRows) => inspect_foreign(conn),
        other => other,
    }
}

fn inspect_foreign(conn: &Connection) -> rusqlite::Result<Seen> {
    Ok(Seen {
        application: conn.pragma_query_value(None, "application_id", |row| row.get(0))?,
        schema: conn.pragma_query_value(None, "user_version", |row| row.get(0))?,
        views: conn.query_row("SELECT views FROM meta", [], |row| row.get(0)).optional().unwrap_or_default(),
        is_empty: conn.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?,
    })
}
