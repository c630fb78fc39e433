//! The schema and its migrations, up and down, embedded and applied under a lock that all instances
//! share: of many that start at once one migrates, and the others find nothing left to do.

use larder_core::{Fingerprint, Migration, StoreError, Time};
use tokio_postgres::types::Type;

use crate::connections::{Connections, Mode};
use crate::errors::Fault;
use crate::life::{self, IS_OWN, LIFE, Life};
use crate::open::{self, OpenOptions};
use crate::rows::At;
use crate::transaction::Tx;
use crate::views::{self, Views};

/// What `larder.mark` says in a schema of ours. `DATABASE_URL` may be another application's, and that
/// may have a schema `larder` of its own.
pub const MAGIC: &str = "larder-4c524452";

/// The newest schema that this code knows.
pub const SCHEMA: u32 = STEPS.len() as u32;

/// The oldest server that has all that is used here, as `server_version_num` says it.
const SERVER_MIN: i32 = 130_000;

/// Whether a server can look, amid a statement, whether who asked for it is still there: from PostgreSQL 14 on,
/// where the system tells it, which all Linux does.
const LOOKS_FOR_ASKER: &str =
    "current_setting('server_version_num')::integer >= 140000 AND version() LIKE '%linux%'";

/// What the first look at a database is called.
pub(crate) const OPENING: &str = "open it";

/// What making and changing the schema is called.
pub(crate) const MAKING: &str = "bring the schema up to date";

/// What it is called to see whether the migrations that were applied are ours.
const CHECKING: &str = "check the applied migrations";

/// The way out of a schema of this number that is not ours.
const ANOTHER_BUILDS: &str = "`larder export FILE` with the larder that made it, `DROP SCHEMA larder CASCADE`, and \
    `larder import FILE` with this one; or drop it alone: what can be fetched is fetched anew";

const IN_UTF8: &str = "use one of `CREATE DATABASE … ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0`";
const NEWER_SERVER: &str = "update the server, or set `[store] url` to another";

/// Advisory locks are the database's: these two numbers are Larder's (`LRDR` and a purpose).
const MIGRATING: i64 = 0x4c52_4452_0000_0001;

/// A step from one schema to the next and back.
struct Step {
    name: &'static str,
    up: &'static str,
    down: &'static str,
}

const STEPS: &[Step] = &[Step {
    name: "initial",
    up: include_str!("../migrations/001_initial.up.sql"),
    down: include_str!("../migrations/001_initial.down.sql"),
}];

impl Step {
    fn checksum(&self) -> Fingerprint {
        Fingerprint::of(&[self.up, self.down])
    }
}

/// What stays when all migrations are taken back.
const OWN_TABLES: &str = "
    DO $$ BEGIN
      -- `IF NOT EXISTS` wants the right to make one also where there is one, made for this user by another.
      IF to_regnamespace('larder') IS NULL THEN
        CREATE SCHEMA larder;
        COMMENT ON SCHEMA larder IS
          'The cache of Larder. It is made and dropped by `larder migrate`; the views are for everybody to read.';
      END IF;
    END $$;
    CREATE TABLE IF NOT EXISTS larder.mark (
        one   boolean PRIMARY KEY CHECK (one),
        magic text NOT NULL
    );
    CREATE TABLE IF NOT EXISTS larder.migrations (
        version    bigint PRIMARY KEY,
        name       text NOT NULL,
        checksum   text NOT NULL,
        applied_at timestamptz NOT NULL
    )";

/// How a schema of ours, or none, stands.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Version, name, checksum, and when it was applied.
    applied: Vec<(u32, String, String, Time)>,
    views: Option<String>,
    /// Which life it is in.
    life: Option<Life>,
    /// Whether there are tables without the rows that they are made with: somebody is bringing them from a copy.
    is_on_its_way: bool,
    /// Whether there is a mark: it stays where a person took the schema back.
    is_marked: bool,
    /// In a phrase, if it is not ours.
    foreign: Option<String>,
    /// In a sentence, if this server cannot hold us, and what a person can do.
    unfit: Option<(String, &'static str)>,
    /// Whether this server can look, amid a statement, whether who asked for it is still there.
    looks_for_asker: bool,
}

impl Standing {
    /// Says no to what is foreign, too new, or was changed under us.
    pub(crate) fn checked(self, place: &str) -> Result<Standing, StoreError> {
        let denied = |cause, hint: &str| {
            let (place, hint) = (place.to_owned(), hint.to_owned());
            StoreError::Denied { place, attempted: CHECKING, cause, hint }
        };
        if let Some((cause, hint)) = self.unfit {
            return Err(denied(cause, hint));
        }
        if let Some(found) = self.foreign {
            return Err(StoreError::Foreign { place: place.to_owned(), found });
        }
        if self.is_on_its_way {
            return Err(life::being_restored(
                place,
                "there are tables without the rows that they begin with",
            ));
        }
        if self.version() > SCHEMA {
            return Err(StoreError::TooNew { place: place.to_owned(), found: self.version(), known: SCHEMA });
        }
        for ((version, name, checksum, _), (step, expected)) in
            self.applied.iter().zip(STEPS.iter().zip(1_u32..))
        {
            if *version != expected || *checksum != step.checksum().as_str() {
                let cause = format!(
                    "migration {expected} (`{name}`) is not the one that was applied to this database: \
                     another build of larder made it"
                );
                return Err(denied(cause, ANOTHER_BUILDS));
            }
        }
        Ok(self)
    }

    pub(crate) fn is_up_to_date(&self) -> bool {
        self.version() == SCHEMA
    }

    /// Whether there is nothing at all.
    pub(crate) fn is_nothing(&self) -> bool {
        !self.is_marked
    }

    pub(crate) fn life(&self) -> Option<Life> {
        self.life
    }

    pub(crate) fn views(&self) -> Option<&str> {
        self.views.as_deref()
    }

    /// Says no where a migration is needed and not allowed.
    pub(crate) fn refuse_older(&self, place: &str) -> Result<(), StoreError> {
        if self.is_up_to_date() {
            return Ok(());
        }
        let cause = format!(
            "its schema is at {}, this larder needs {SCHEMA}: `larder migrate up`, or let it migrate by itself",
            self.version()
        );
        Err(StoreError::Failed { place: place.to_owned(), attempted: "use it as it is", cause })
    }

    fn version(&self) -> u32 {
        self.applied.last().map_or(0, |(version, ..)| *version)
    }

    fn migrations(&self) -> Vec<Migration> {
        let known = STEPS.iter().zip(1_u32..).map(|(step, version)| {
            let applied = self.applied.iter().find(|(applied, ..)| *applied == version);
            let applied_at = applied.map(|(.., at)| *at);
            Migration { version, name: step.name.to_owned(), applied_at }
        });
        let newer = self.applied.iter().filter(|(version, ..)| *version > SCHEMA);
        let newer = newer.map(|(version, name, _, at)| Migration {
            version: *version,
            name: name.clone(),
            applied_at: Some(*at),
        });
        known.chain(newer).collect()
    }
}

/// All migrations, and when each was applied here. Changes nothing; a schema that is newer than this
/// code shows the ones it knows nothing of.
pub async fn migrations(options: &OpenOptions) -> Result<Vec<Migration>, StoreError> {
    let opened = open::connect(options)?;
    let standing = inspect(&opened.connections).await?;
    match standing.version() {
        newer if newer > SCHEMA && standing.foreign.is_none() => Ok(standing.migrations()),
        _ => Ok(standing.checked(&opened.address.place)?.migrations()),
    }
}

/// Brings the schema up to [`SCHEMA`], and the views to what `options` say. Answers all migrations as
/// they are then.
pub async fn migrate_up(options: &OpenOptions) -> Result<Vec<Migration>, StoreError> {
    let opened = open::connect(options)?;
    let place = opened.address.place.as_str();
    let views = Views::of(&options.views, place)?;
    make(&opened.connections, place, options.now).await?;
    make_views(&opened.connections, place, &views).await?;
    Ok(inspect(&opened.connections).await?.migrations())
}

/// Takes migrations back until schema `to` (0 = no tables but the mark): what they held is gone.
/// Instances that run meanwhile fail until it is brought up again. Answers all migrations as they are
/// then.
pub async fn migrate_down(options: &OpenOptions, to: u32) -> Result<Vec<Migration>, StoreError> {
    let opened = open::connect(options)?;
    let place = opened.address.place.as_str();
    opened
        .connections
        .run(Mode::Long, "take the schema back", |tx| async move {
            lock(&tx).await?;
            let found = look(&tx).await?.checked(place)?.version();
            if found > to {
                views::drop_all(&tx).await?;
            }
            for version in (to + 1..=found).rev() {
                let Some(step) = STEPS.get(version as usize - 1) else { continue };
                tx.batch(step.down).await?;
                let version = i64::from(version);
                tx.execute("DELETE FROM larder.migrations WHERE version = $1", &[(&version, Type::INT8)])
                    .await?;
            }
            Ok(())
        })
        .await?;
    Ok(inspect(&opened.connections).await?.migrations())
}

/// Looks at what is there.
pub(crate) async fn inspect(connections: &Connections) -> Result<Standing, StoreError> {
    let usual = async || {
        let ours = connections.run(Mode::Look, OPENING, |tx| async move {
            match look_at_ours(&tx).await {
                Err(fault) if fault.is_missing_table() => Ok(None),
                other => other.map(Some),
            }
        });
        ours.await
    };
    let standing = match usual().await? {
        // Tables that were made a moment ago are there for whoever began before that, and their rows are not.
        Some(standing) if standing.is_on_its_way => usual().await?,
        standing => standing,
    };
    let standing = match standing {
        Some(standing) => standing,
        None => connections.run(Mode::Look, OPENING, |tx| async move { look(&tx).await }).await?,
    };
    connections.set_looks_for_asker(standing.looks_for_asker);
    Ok(standing)
}

/// Brings the schema to where it must be; also from nothing.
pub(crate) async fn make(connections: &Connections, place: &str, now: Time) -> Result<(), StoreError> {
    connections
        .run(Mode::Long, MAKING, |tx| async move {
            lock(&tx).await?;
            let standing = look(&tx).await?.checked(place)?;
            if !standing.is_up_to_date() {
                apply_from(&tx, standing.version(), now).await?;
            }
            Ok(())
        })
        .await
}

/// Brings the views to where they must be, in a schema that is up to date. By itself, since the store does
/// without: what others did to a view keeps nobody from what it shows.
pub(crate) async fn make_views(
    connections: &Connections,
    place: &str,
    views: &Views,
) -> Result<(), StoreError> {
    connections
        .run(Mode::Long, "make the views", |tx| async move {
            lock(&tx).await?;
            let standing = look(&tx).await?.checked(place)?;
            if standing.views() != Some(views.fingerprint()) {
                views.rebuild(&tx).await.map_err(|fault| fault.of_views(place))?;
            }
            Ok(())
        })
        .await
}

/// Until the end of the transaction, alone among all instances.
async fn lock(tx: &Tx) -> Result<(), Fault> {
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[(&MIGRATING, Type::INT8)]).await.map(drop)
}

async fn apply_from(tx: &Tx, found: u32, now: Time) -> Result<(), Fault> {
    tx.batch(OWN_TABLES).await?;
    tx.execute("INSERT INTO larder.mark VALUES (true, $1) ON CONFLICT DO NOTHING", &[(&MAGIC, Type::TEXT)])
        .await?;
    for (step, version) in STEPS.iter().zip(1_u32..).skip(found as usize) {
        tx.batch(step.up).await?;
        tx.execute(
            "INSERT INTO larder.migrations VALUES ($1, $2, $3, $4)",
            &[
                (&i64::from(version), Type::INT8),
                (&step.name, Type::TEXT),
                (&step.checksum().as_str(), Type::TEXT),
                (&At(now), Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    }
    Ok(())
}

/// In one statement; a missing table is an error that the caller looks into.
async fn look_at_ours(tx: &Tx) -> Result<Standing, Fault> {
    let sql = format!(
        "SELECT mark.magic, meta.views, applied.version, applied.name, applied.checksum, applied.applied_at, \
                 {LOOKS_FOR_ASKER}, {LIFE}, {IS_OWN} \
               FROM larder.mark AS mark CROSS JOIN larder.meta AS meta \
               LEFT JOIN larder.migrations AS applied ON true LEFT JOIN larder.written AS written ON true \
               ORDER BY applied.version"
    );
    let mut standing = Standing { is_marked: true, ..Standing::default() };
    for row in tx.query(&sql, &[]).await? {
        let (nr, is_own): (Option<i64>, Option<bool>) = (row.try_get(7)?, row.try_get(8)?);
        standing.life = nr.zip(is_own).map(|(nr, is_own)| Life { nr, is_own });
        standing.foreign = not_ours(row.try_get(0)?);
        standing.views = Some(row.try_get(1)?);
        standing.looks_for_asker = row.try_get(6)?;
        if let Some(version) = row.try_get::<_, Option<i64>>(2)? {
            let At(at) = row.try_get(5)?;
            let version = u32::try_from(version).unwrap_or(u32::MAX);
            standing.applied.push((version, row.try_get(3)?, row.try_get(4)?, at));
        }
    }
    standing.is_on_its_way = standing.life.is_none() || standing.applied.is_empty();
    Ok(standing)
}

fn not_ours(magic: &str) -> Option<String> {
    (magic != MAGIC).then(|| "its schema `larder` has a table `mark` that is not Larder's".to_owned())
}

/// Step by step, where there may be nothing, or somebody else's.
async fn look(tx: &Tx) -> Result<Standing, Fault> {
    let sql = format!(
        "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding'), \
               to_regclass('larder.mark') IS NOT NULL, to_regclass('larder.meta') IS NOT NULL, \
               (SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace = to_regnamespace('larder')) \
               + (SELECT count(*) FROM pg_catalog.pg_proc WHERE pronamespace = to_regnamespace('larder')), \
               {LOOKS_FOR_ASKER}"
    );
    let row = tx.query_one(&sql, &[]).await?;
    let (server, encoding): (i32, &str) = (row.try_get(0)?, row.try_get(1)?);
    let (has_mark, has_meta): (bool, bool) = (row.try_get(2)?, row.try_get(3)?);
    let things: i64 = row.try_get(4)?;
    if server < SERVER_MIN {
        let cause = format!("PostgreSQL 13 is needed, this is {}", server / 10_000);
        return Ok(Standing { unfit: Some((cause, NEWER_SERVER)), ..Standing::default() });
    }
    if encoding != "UTF8" {
        let cause = format!("the database's encoding must be UTF8, and is {encoding}");
        return Ok(Standing { unfit: Some((cause, IN_UTF8)), ..Standing::default() });
    }
    if !has_mark && things > 0 {
        let found = "its schema `larder` is somebody else's: it is not empty, and has no mark of ours";
        return Ok(Standing { foreign: Some(found.to_owned()), ..Standing::default() });
    }
    let looks_for_asker = row.try_get(5)?;
    if !has_mark {
        return Ok(Standing { looks_for_asker, ..Standing::default() });
    }
    if has_meta {
        return match look_at_ours(tx).await {
            Err(fault) if fault.is_missing_table() => Ok(Standing {
                foreign: Some(
                    "its schema `larder` has tables that look like Larder's and are not".to_owned(),
                ),
                ..Standing::default()
            }),
            other => other,
        };
    }
    let row = tx.query_one("SELECT magic FROM larder.mark", &[]).await?;
    let foreign = not_ours(row.try_get(0)?);
    Ok(Standing { foreign, is_marked: true, looks_for_asker, ..Standing::default() })
}
