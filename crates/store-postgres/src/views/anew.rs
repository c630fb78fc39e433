//! Making views and indexes anew, so that whoever uses a view notices as little as can be: other views
//! may be built on it, and others may have been allowed to read it.

use larder_core::{Fingerprint, ViewSpec};
use tokio_postgres::types::Type;

use super::{Index, View, Views, found_by, is_word};
use crate::errors::Fault;
use crate::json::JsonText;
use crate::transaction::Tx;

/// What `meta.view_names` calls what was made.
const VIEW: &str = "view";
/// Its name, and of what makes it so much that it can be told from another's.
const INDEX: &str = "index";
/// And what the items of a kind were last made to be found by.
const WORDS: &str = "words";

/// What was made, and what it is called.
type Names = Vec<(String, String)>;

impl Views {
    /// Makes what these specs want, and drops what was made for others.
    pub(crate) async fn rebuild(&self, tx: &Tx) -> Result<(), Fault> {
        let before = names(tx, "").await?;
        let of = |kind: &'static str| {
            before.iter().filter(move |(what, name)| what == kind && is_word(name)).map(|(_, name)| name)
        };
        // Views first: one that cannot be dropped is met before anybody waits for an index.
        for name in of(VIEW).filter(|name| !self.all.iter().any(|view| view.name == **name)) {
            tx.batch(&format!("DROP VIEW IF EXISTS larder.\"{name}\"")).await?;
        }
        for view in &self.all {
            view.make(tx, of(VIEW).any(|name| name == view.name)).await?;
        }
        // Whoever removes entries holds this row and then waits for documents, which wait for an index.
        let before = names(tx, " FOR UPDATE").await?;
        self.make_indexes(tx, &before).await?;
        let mut names = self.names();
        names.extend(self.words_of(tx, &before).await?);
        let names = JsonText::encode(&names)?;
        tx.execute(
            "UPDATE larder.meta SET views = $1, view_names = $2",
            &[(&self.fingerprint(), Type::TEXT), (&names, Type::JSONB)],
        )
        .await?;
        Ok(())
    }

    /// One that is made as it would be stays: while an index is dropped and made, nobody reads a document.
    async fn make_indexes(&self, tx: &Tx, before: &Names) -> Result<(), Fault> {
        let there = indexes(tx).await?;
        let noted: Vec<&str> =
            before.iter().filter(|(what, _)| what == INDEX).map(|(_, said)| said.as_str()).collect();
        let is_made = |index: &Index| noted.contains(&&*index.noted()) && there.contains(&index.name);
        let (stay, lack): (Vec<&Index>, Vec<&Index>) = self.indexes.iter().partition(|index| is_made(index));
        for name in noted.iter().filter_map(|said| name_of(said)) {
            if !stay.iter().any(|index| index.name == name) {
                tx.batch(&format!("DROP INDEX IF EXISTS larder.\"{name}\"")).await?;
            }
        }
        for index in lack {
            tx.batch(&index.sql).await?;
        }
        Ok(())
    }

    fn names(&self) -> Names {
        let views = self.all.iter().map(|view| (VIEW.to_owned(), view.name.to_owned()));
        let indexes = self.indexes.iter().map(|index| (INDEX.to_owned(), index.noted()));
        views.chain(indexes).collect()
    }

    /// Where there are no items yet, all that come are found by what these specs say.
    async fn words_of(&self, tx: &Tx, before: &Names) -> Result<Names, Fault> {
        let row = tx.query_one("SELECT EXISTS (SELECT 1 FROM larder.items)", &[]).await?;
        if row.try_get(0)? {
            return Ok(before.iter().filter(|(what, _)| what == WORDS).cloned().collect());
        }
        Ok(self.words.iter().map(|words| (WORDS.to_owned(), words.clone())).collect())
    }
}

impl Index {
    /// What is noted of it when it is made.
    fn noted(&self) -> String {
        format!("{} {}", self.name, Fingerprint::of(&[&self.sql]).as_str())
    }
}

/// The name of what was made, by what is noted of it.
fn name_of(noted: &str) -> Option<&str> {
    noted.split(' ').next().filter(|name| is_word(name))
}

impl View {
    /// Puts it in the place of the one that is there, if `is_ours`. One that has all its columns still is
    /// the same view to whatever was built on it; another must go first, and takes with it what was said of
    /// it.
    async fn make(&self, tx: &Tx, is_ours: bool) -> Result<(), Fault> {
        let held = if is_ours { columns(tx, self.name).await? } else { Vec::new() };
        if held.is_empty() {
            return tx.batch(&self.sql("CREATE VIEW", &[])).await;
        }
        let stays = |(name, holds): &(String, String)| {
            self.columns.iter().any(|column| column.name == name && column.holds == holds)
        };
        let stay_all = held.iter().all(stays);
        let names: Vec<String> = held.into_iter().map(|(name, _)| name).collect();
        if stay_all {
            return tx.batch(&self.sql("CREATE OR REPLACE VIEW", &names)).await;
        }
        let said = self.said_of(tx).await?;
        tx.batch(&format!("DROP VIEW larder.\"{}\"", self.name)).await?;
        tx.batch(&self.sql("CREATE VIEW", &[])).await?;
        for statement in said {
            tx.batch(&statement).await?;
        }
        Ok(())
    }

    /// Whose it is and who may do what with it, as statements.
    async fn said_of(&self, tx: &Tx) -> Result<Vec<String>, Fault> {
        let columns: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let rows = tx
            .query(
                "WITH seen AS ( \
                   SELECT c.oid, c.relowner, c.relacl, format('larder.%I', c.relname) AS view \
                   FROM pg_catalog.pg_class c WHERE c.oid = to_regclass(format('larder.%I', $1)) \
                 ), allowed AS ( \
                   SELECT s.view, s.relowner, '' AS part, x.* FROM seen s CROSS JOIN aclexplode(s.relacl) x \
                   UNION ALL \
                   SELECT s.view, s.relowner, format(' (%I)', a.attname), x.* FROM seen s \
                   JOIN pg_catalog.pg_attribute a ON a.attrelid = s.oid AND a.attname = ANY($2) \
                   CROSS JOIN aclexplode(a.attacl) x \
                 ) \
                 SELECT format('ALTER VIEW %s OWNER TO %I', view, pg_get_userbyid(relowner)) FROM seen \
                 WHERE pg_get_userbyid(relowner) <> current_user \
                 UNION ALL \
                 SELECT format('GRANT %s%s ON %s TO %s%s', privilege_type, part, view, \
                   CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, \
                   CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
                 FROM allowed WHERE grantee <> relowner",
                &[(&self.name, Type::TEXT), (&columns, Type::TEXT_ARRAY)],
            )
            .await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }
}

/// The columns of a view with their types, in their order; none, if there is no such view.
async fn columns(tx: &Tx, view: &str) -> Result<Vec<(String, String)>, Fault> {
    let rows = tx
        .query(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
             WHERE c.oid = to_regclass(format('larder.%I', $1)) AND c.relkind = 'v' ORDER BY a.attnum",
            &[(&view, Type::TEXT)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The indexes of documents that are there.
async fn indexes(tx: &Tx) -> Result<Vec<String>, Fault> {
    let rows = tx
        .query(
            "SELECT c.relname::text FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid \
             WHERE x.indrelid = to_regclass('larder.docs') AND x.indisvalid",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

async fn names(tx: &Tx, lock: &str) -> Result<Names, Fault> {
    let row = tx.query_one(&format!("SELECT view_names FROM larder.meta{lock}"), &[]).await?;
    let JsonText(names) = row.try_get(0)?;
    Ok(serde_json::from_str(&names).unwrap_or_default())
}

/// Drops what [`Views::rebuild`] made, and nothing that people made beside it.
pub(crate) async fn drop_all(tx: &Tx) -> Result<(), Fault> {
    for (what, noted) in names(tx, "").await? {
        let name = match what.as_str() {
            VIEW | INDEX => name_of(&noted),
            _ => None,
        };
        if let Some(name) = name {
            tx.batch(&format!("DROP {what} IF EXISTS larder.\"{name}\"")).await?;
        }
    }
    Ok(())
}

/// Those of the specs whose items may still be found by something else.
pub(crate) async fn behind(tx: &Tx, specs: &[ViewSpec]) -> Result<Vec<ViewSpec>, Fault> {
    let names = names(tx, "").await?;
    let is_behind = |spec: &&ViewSpec| {
        let words = found_by(spec);
        !names.iter().any(|(what, name)| what == WORDS && *name == words)
    };
    Ok(specs.iter().filter(is_behind).copied().collect())
}

/// Notes that the items of those kinds are found by what the specs say.
pub(crate) async fn note_words(tx: &Tx, specs: &[ViewSpec]) -> Result<(), Fault> {
    let mut names = names(tx, " FOR UPDATE").await?;
    for spec in specs {
        let of_kind = format!("{} ", spec.kind);
        names.retain(|(what, name)| what != WORDS || !name.starts_with(&of_kind));
        names.push((WORDS.to_owned(), found_by(spec)));
    }
    let names = JsonText::encode(&names)?;
    tx.execute("UPDATE larder.meta SET view_names = $1", &[(&names, Type::JSONB)]).await.map(drop)
}
