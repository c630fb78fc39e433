//! The index of words: what items are found by, and keeping the index at what their documents say.
//!
//! It holds no copy of any text. By which fields an item of each kind is found stands in the file
//! (`meta.found_by`), as the last that made its views knew it: all that write the file go by the same,
//! whichever specs they know themselves.

use std::collections::BTreeMap;

use larder_core::{FOLDING, FoundBy, Problem, ViewSpec};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::errors::Fault;

/// By which fields items are found, by kind.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Finders(BTreeMap<String, Fields>);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fields {
    title: String,
    words: Vec<String>,
    /// By which [`FOLDING`] they were folded on their way into the index; 0 = by SQLite, which folds Latin
    /// letters alone.
    #[serde(default)]
    folding: u32,
}

/// What the index says of one item.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entered {
    found_by: FoundBy,
    /// The kind's [`sign`]; empty, where nothing finds its items.
    kind: String,
}

impl Finders {
    /// As specs say it.
    pub(crate) fn of(specs: &[ViewSpec]) -> Finders {
        let fields = |spec: &ViewSpec| Fields {
            title: spec.title.to_owned(),
            words: spec.words.iter().map(|word| (*word).to_owned()).collect(),
            folding: FOLDING,
        };
        Finders(specs.iter().map(|spec| (spec.kind.to_owned(), fields(spec))).collect())
    }

    /// As the file says it.
    pub(crate) fn read(conn: &Connection) -> Result<Finders, Fault> {
        let text: String =
            conn.prepare_cached("SELECT found_by FROM meta")?.query_row([], |row| row.get(0))?;
        // Before views were made for the first time.
        if text.is_empty() {
            return Ok(Finders::default());
        }
        serde_json::from_str(&text).map_err(|error| Fault::Wrong(format!("`meta.found_by`: {error}")))
    }

    /// What the index says of an item of that kind with that document.
    pub(crate) fn look(&self, kind: &str, doc: &str) -> Entered {
        self.0.get(kind).map_or_else(Entered::default, |fields| Entered {
            found_by: folded(FoundBy::of(doc, &fields.title, &fields.words), fields.folding),
            kind: sign(kind).to_string(),
        })
    }
}

fn folded(found_by: FoundBy, folding: u32) -> FoundBy {
    // The index folds ASCII by itself.
    let fold = |text: String| if text.is_ascii() || folding == 0 { text } else { larder_core::fold(&text) };
    FoundBy { title: fold(found_by.title), words: fold(found_by.words) }
}

impl Entered {
    /// Enters a new item in the index. By a statement of one row: before any of several, and before what a
    /// trigger does, FTS5 writes down what it gathered, and ten thousand items would be as many segments
    /// to be merged.
    pub(crate) fn enter(&self, conn: &Connection, nr: i64) -> rusqlite::Result<()> {
        self.write(conn, "INSERT INTO items_fts (rowid, title, words, kind) VALUES (?1, ?2, ?3, ?4)", nr)
    }

    /// Enters an item that is there, after its document was another. Most changes are of numbers and times,
    /// which nobody searches: then there is nothing to do.
    pub(crate) fn follow(&self, conn: &Connection, nr: i64, before: &Entered) -> rusqlite::Result<()> {
        if self == before {
            return Ok(());
        }
        self.write(conn, "REPLACE INTO items_fts (rowid, title, words, kind) VALUES (?1, ?2, ?3, ?4)", nr)
    }

    fn write(&self, conn: &Connection, sql: &str, nr: i64) -> rusqlite::Result<()> {
        conn.prepare_cached(sql)?
            .execute(params![nr, self.found_by.title, self.found_by.words, self.kind])
            .map(drop)
    }
}

/// Makes the index say what the items say, if it is to find them by other fields than before.
pub(crate) fn find_by(conn: &Connection, specs: &[ViewSpec]) -> Result<(), Fault> {
    let wanted =
        serde_json::to_string(&Finders::of(specs)).map_err(|error| Fault::Wrong(error.to_string()))?;
    if conn.execute("UPDATE meta SET found_by = ?1 WHERE found_by <> ?1", [wanted])? == 0 {
        return Ok(());
    }
    rebuild(conn)
}

/// Makes the index anew from the items, within a transaction.
pub(crate) fn rebuild(conn: &Connection) -> Result<(), Fault> {
    conn.execute("INSERT INTO items_fts (items_fts) VALUES ('delete-all')", [])?;
    fill(conn, "items_fts (rowid, title, words, kind)")
}

/// Whether the index says what the items say, within a transaction that may write; where it does not, it is
/// made anew.
pub(crate) fn verify(conn: &Connection) -> Result<Vec<Problem>, Fault> {
    match conn.execute("INSERT INTO items_fts (items_fts) VALUES ('integrity-check')", []) {
        Ok(_) if !is_astray(conn)? => return Ok(Vec::new()),
        Ok(_) => {}
        Err(error) => {
            let fault = Fault::Sql(error);
            if !fault.is_damaged_index() {
                return Err(fault);
            }
        }
    }
    rebuild(conn)?;
    let message = "it did not match the items; it was rebuilt".to_owned();
    Ok(vec![Problem { on: "items_fts".to_owned(), message }])
}

/// Whether an item is missing in the index, or has more or fewer words there than in another that is made
/// of the items now.
fn is_astray(conn: &Connection) -> Result<bool, Fault> {
    conn.execute_batch(
        "CREATE VIRTUAL TABLE temp.anew USING fts5 (
           title, words, kind, content = '', detail = none, tokenize = 'unicode61 remove_diacritics 2'
         )",
    )?;
    fill(conn, "temp.anew (rowid, title, words, kind)")?;
    let differ = "SELECT EXISTS (SELECT id, sz FROM items_fts_docsize EXCEPT SELECT id, sz FROM temp.anew_docsize) \
         OR EXISTS (SELECT id, sz FROM temp.anew_docsize EXCEPT SELECT id, sz FROM items_fts_docsize)";
    let astray = conn.query_row(differ, [], |row| row.get(0))?;
    conn.execute_batch("DROP TABLE temp.anew")?;
    Ok(astray)
}

fn fill(conn: &Connection, index: &str) -> Result<(), Fault> {
    let finders = Finders::read(conn)?;
    let mut items = conn.prepare("SELECT nr, kind, doc FROM items ORDER BY nr")?;
    let mut rows = items.query([])?;
    let insert = format!("INSERT INTO {index} VALUES (?1, ?2, ?3, ?4)");
    while let Some(row) = rows.next()? {
        let (kind, doc) = (row.get_ref(1)?.as_str(), row.get_ref(2)?.as_str());
        // What is no text is another check's to find.
        let found = finders.look(kind.unwrap_or_default(), doc.unwrap_or_default());
        found.write(conn, &insert, row.get(0)?)?;
    }
    Ok(())
}

/// A kind as a word of one character: every item has it in the index, and a longer word would be in the
/// lists of beginnings once more.
pub(crate) fn sign(kind: &str) -> char {
    // FNV-1a; the ideographs, none of which is changed on the way into the index, are 20,992.
    let hash =
        kind.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    char::from_u32(0x4e00 + hash % 20_992).unwrap_or('\u{4e00}')
}

#[cfg(test)]
mod tests {
    use larder_core::{Column, ColumnType, Store, Target};
    use larder_testkit::contract::build::{VIEW, at, book_with, key, refresh};
    use serde_json::json;

    use super::*;
    use crate::{OpenOptions, SqliteStore};

    fn found(conn: &Connection, word: &str) -> Vec<i64> {
        let mut statement =
            conn.prepare("SELECT rowid FROM items_fts WHERE items_fts MATCH ?1 ORDER BY rowid").unwrap();
        statement.query_map([word], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn within_one_transaction_an_item_comes_changes_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("larder.db");
        let options = OpenOptions { views: vec![VIEW], ..OpenOptions::new(&path, at(0)) };
        drop(SqliteStore::open(options).unwrap());
        let conn = Connection::open(&path).unwrap();
        let finders = Finders::read(&conn).unwrap();
        assert_eq!(finders, Finders::of(&[VIEW]));
        let look = |title: &str| finders.look("book", &json!({"title": title}).to_string());
        let insert = "INSERT INTO items (nr, kind, id, scope, doc, fetched_at) VALUES (?1, 'book', ?1, 'public', ?2, 0)";
        conn.execute_batch("BEGIN").unwrap();
        for (nr, title) in [(1, "Moby"), (2, "Emma")] {
            conn.execute(insert, params![nr, json!({"title": title}).to_string()]).unwrap();
            look(title).enter(&conn, nr).unwrap();
        }
        look("Persuasion").follow(&conn, 2, &look("Emma")).unwrap();
        conn.execute("DELETE FROM items WHERE nr = 1", []).unwrap();
        // Its number is another's now.
        conn.execute(insert, params![1, json!({"title": "Ahab"}).to_string()]).unwrap();
        look("Ahab").enter(&conn, 1).unwrap();
        let all = |conn: &Connection| ["moby", "emma", "persuasion", "ahab"].map(|word| found(conn, word));
        assert_eq!(all(&conn), [vec![], vec![], vec![2], vec![1]]);
        conn.execute_batch("COMMIT; BEGIN").unwrap();
        assert_eq!(all(&conn), [vec![], vec![], vec![2], vec![1]]);
        conn.execute("UPDATE items SET doc = '{\"title\": \"Persuasion\"}' WHERE nr = 2", []).unwrap();
        assert_eq!(verify(&conn).unwrap(), []);
        conn.execute_batch("COMMIT").unwrap();
    }

    #[tokio::test]
    async fn an_index_that_says_other_words_than_the_items_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("larder.db");
        let options = OpenOptions { views: vec![VIEW], ..OpenOptions::new(&path, at(0)) };
        let store = SqliteStore::open(options).unwrap();
        let books = ["Moby Dick", "Emma"].map(|title| book_with(title, json!({"title": title}))).to_vec();
        refresh(&store, &key("shelf/a"), books, at(0)).await;
        let conn = Connection::open(&path).unwrap();
        assert_eq!((found(&conn, "moby"), found(&conn, "emma")), (vec![1], vec![2]));
        for damage in [
            "REPLACE INTO items_fts (rowid, title, words, kind) VALUES (1, 'Emma and Moby', '', '')",
            "DELETE FROM items_fts WHERE rowid = 2",
            "INSERT INTO items_fts (rowid, title, words, kind) VALUES (3, 'Emma', '', '')",
        ] {
            conn.execute_batch(damage).unwrap();
            let problems = store.verify().await.unwrap();
            assert_eq!(
                problems.iter().map(|problem| &*problem.on).collect::<Vec<_>>(),
                ["items_fts"],
                "{damage}"
            );
            assert_eq!(store.verify().await.unwrap(), [], "{damage}");
            assert_eq!((found(&conn, "moby"), found(&conn, "emma")), (vec![1], vec![2]), "{damage}");
        }
        store.evict(&Target::All, at(1)).await.unwrap();
        assert_eq!(found(&conn, "emma"), [0; 0]);
    }

    #[tokio::test]
    async fn all_that_write_a_file_go_by_what_it_says() {
        static TOLD: ViewSpec = ViewSpec {
            kind: "book",
            view: "told",
            columns: &[Column { name: "teller", holds: ColumnType::Text, indexed: false }],
            title: "teller",
            words: &[],
        };
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions::new(dir.path().join("larder.db"), at(0));
        let old = SqliteStore::open(OpenOptions { views: vec![VIEW], ..options.clone() }).unwrap();
        let book = |title: &str| book_with(title, json!({"title": title, "teller": "Ishmael"}));
        refresh(&old, &key("shelf/a"), vec![book("Moby")], at(0)).await;
        drop(SqliteStore::open(OpenOptions { views: vec![TOLD], ..options.clone() }).unwrap());
        // One that was open before, and knows nothing of tellers.
        refresh(&old, &key("shelf/b"), vec![book("Emma")], at(1)).await;
        let conn = Connection::open(&options.path).unwrap();
        assert_eq!((found(&conn, "ishmael"), found(&conn, "emma")), (vec![1, 2], vec![]));
        assert_eq!(old.verify().await.unwrap(), []);
    }
}
