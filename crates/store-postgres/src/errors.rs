//! From what PostgreSQL and the network say to [`StoreError`], which names the place and the attempt.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use deadpool_postgres::{PoolError, TimeoutType};
use larder_core::StoreError;
use rustls::CertificateError;
use tokio_postgres::error::{DbError, SqlState};

use crate::schema;

/// What goes wrong inside a transaction, before place and attempt are known.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The database's or the network's own word.
    Sql(Arc<tokio_postgres::Error>),
    /// No connection could be had.
    Pool(PoolError),
    /// No answer came in time: the connection is given up.
    Silent,
    /// Others removed meanwhile what was to be worked with.
    Overtaken,
    /// Already said in the port's words.
    Store(StoreError),
    /// The call makes no sense: in a sentence.
    Wrong(String),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Fault::Sql(Arc::new(error))
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        Fault::Pool(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Store(error)
    }
}

/// What may be done about a fault without anybody being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Others were in the way: the same transaction again.
    Again,
    /// The connection is gone: the same transaction on another.
    Reconnect,
    /// Nothing.
    None,
}

impl Fault {
    /// The error that leaves the store.
    pub(crate) fn named(self, place: &str, attempted: &'static str) -> StoreError {
        match self {
            Fault::Sql(error) => sql_error(&error, place, attempted),
            Fault::Pool(error) => pool_error(&error, place, attempted),
            Fault::Silent => StoreError::Unreachable {
                place: place.to_owned(),
                attempted,
                cause: "it did not answer in time".to_owned(),
            },
            Fault::Overtaken => StoreError::Busy { place: place.to_owned(), attempted },
            Fault::Store(error) => error,
            Fault::Wrong(cause) => StoreError::Failed { place: place.to_owned(), attempted, cause },
        }
    }

    /// Whether it is said only because a statement before it failed.
    pub(crate) fn is_consequence(&self) -> bool {
        let Fault::Sql(error) = self else { return false };
        error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION)
    }

    /// The database's code for it.
    pub(crate) fn code(&self) -> Option<&str> {
        let Fault::Sql(error) = self else { return None };
        error.code().map(SqlState::code)
    }

    /// The same, where it was a view that could not be made: with what a person can do about it.
    pub(crate) fn of_views(self, place: &str) -> Fault {
        let Fault::Sql(error) = &self else { return self };
        let Some(said) = error.as_db_error() else { return self };
        let hint = match said.code().code() {
            "2BP01" => {
                "drop what is built on it, let whom it belongs to run `larder migrate up`, and build it again"
            }
            "42501" => "let whom the schema `larder` belongs to run `larder migrate up`",
            _ => return self,
        };
        let detail = said.detail().map(|detail| format!(": {}", detail.replace('\n', ", ")));
        let (cause, code) = (said.message(), said.code().code());
        Fault::Store(StoreError::Denied {
            place: place.to_owned(),
            attempted: "make the views",
            cause: format!("{cause}{} ({code})", detail.unwrap_or_default()),
            hint: hint.to_owned(),
        })
    }

    pub(crate) fn remedy(&self) -> Remedy {
        let error = match self {
            Fault::Overtaken => return Remedy::Again,
            Fault::Sql(error) => error,
            Fault::Pool(_) | Fault::Silent | Fault::Store(_) | Fault::Wrong(_) => return Remedy::None,
        };
        match error.code() {
            // 23505: another has made the same thing at the same moment.
            Some(code) if matches!(code.code(), "40001" | "40P01" | "23505") => Remedy::Again,
            Some(code) if is_of_connection(code) => Remedy::Reconnect,
            None if is_broken(error) => Remedy::Reconnect,
            Some(_) | None => Remedy::None,
        }
    }

    /// Whether it tells that nothing was committed, though `COMMIT` was sent: a session that was let go since it
    /// was silent amid its transaction has not read it.
    pub(crate) fn came_before_commit(&self) -> bool {
        self.code() == Some(SILENT_AMID)
    }

    /// Whether it is not the life of the store any more that was found whole.
    pub(crate) fn is_of_another_life(&self) -> bool {
        self.code() == Some(OF_ANOTHER_LIFE)
    }

    /// Whether the database said that it may only be read.
    pub(crate) fn is_read_only(&self) -> bool {
        self.code() == Some(READ_ONLY)
    }

    /// Whether the database said that there is no such table or schema.
    pub(crate) fn is_missing_table(&self) -> bool {
        let Fault::Sql(error) = self else { return false };
        error.code().is_some_and(|code| {
            *code == SqlState::UNDEFINED_TABLE
                || *code == SqlState::INVALID_SCHEMA_NAME
                || *code == SqlState::UNDEFINED_COLUMN
        })
    }
}

/// What [`life::is_still`](crate::life::is_still) fails by where it is not: nothing else divides.
const OF_ANOTHER_LIFE: &str = "22012";

/// The same of an error that is not a store's yet.
pub(crate) fn is_read_only(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code() == READ_ONLY)
}

/// A standby, or a session that may only read.
const READ_ONLY: &str = "25006";

/// An error of the database or of the way there.
pub(crate) fn sql_error(error: &tokio_postgres::Error, place: &str, attempted: &'static str) -> StoreError {
    let place = place.to_owned();
    match error.as_db_error() {
        Some(said) => said_error(said, place, attempted),
        None if is_broken(error) => StoreError::Unreachable { place, attempted, cause: chain(error) },
        None => match advice(error) {
            Some(hint) => StoreError::Denied { place, attempted, cause: chain(error), hint: hint.to_owned() },
            None => StoreError::Failed { place, attempted, cause: chain(error) },
        },
    }
}

/// How PostgreSQL ends the word on a statement that a person stopped, which has a time-out's code. One that speaks
/// another language says it otherwise, and then it passes for that.
const BY_HAND: &str = "due to user request";

fn said_error(said: &DbError, place: String, attempted: &'static str) -> StoreError {
    let code = said.code();
    let cause = format!("{} ({})", said.message(), code.code());
    if is_of_connection(code) {
        return StoreError::Unreachable { place, attempted, cause };
    }
    match code.code() {
        OF_ANOTHER_LIFE => {
            let cause = "it is being restored from a copy, or was a moment ago".to_owned();
            StoreError::Unreachable { place, attempted, cause }
        }
        "53300" => StoreError::Crowded { place, attempted, cause },
        // Waited too long for a lock or for others.
        "55P03" | "40001" | "40P01" | "23505" => StoreError::Busy { place, attempted },
        "57014" if said.message().ends_with(BY_HAND) => StoreError::Stopped { place, attempted, cause },
        "57014" => StoreError::Slow { place, attempted, cause },
        "53100" => StoreError::Full { place, attempted },
        READ_ONLY => StoreError::ReadOnly { place, cause, hint: None },
        "XX001" | "XX002" => StoreError::Corrupt { place, cause, moved_to: None },
        code => match denial(code, attempted) {
            Some(hint) => StoreError::Denied { place, attempted, cause, hint: hint.to_owned() },
            None => StoreError::Failed { place, attempted, cause },
        },
    }
}

/// What to do where the client does not get as far as to be heard: a certificate that is not trusted, or
/// no password.
fn advice(error: &tokio_postgres::Error) -> Option<&'static str> {
    match certificate_error(error) {
        Some(CertificateError::UnknownIssuer) => Some(
            "name the PEM file with the certificate of who signed it: \
             `?sslmode=verify-full&sslrootcert=/PATH/ca.pem`; the system's are looked at otherwise",
        ),
        Some(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => Some(
            "write the host as its certificate names it, or check only who signed it: `?sslmode=verify-ca`",
        ),
        Some(_) => None,
        // The client has no other word for it.
        None => chain(error).ends_with("password missing").then_some(
            "set PGPASSWORD, or write `postgres://USER:PASSWORD@HOST/DATABASE` where others cannot read it: \
             LARDER_STORE__URL, DATABASE_URL, or `[store] url` of a private larder.toml",
        ),
    }
}

/// Why a certificate was refused, if one was.
fn certificate_error(error: &tokio_postgres::Error) -> Option<&CertificateError> {
    let mut cause = error.source();
    while let Some(error) = cause {
        // What an I/O error is made of is not among its sources.
        let made_of = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let made_of = made_of.and_then(|error| error.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref().or(made_of) {
            return Some(why);
        }
        cause = error.source();
    }
    None
}

/// What to do where the database says who may come in, and who may do what.
fn denial(code: &str, attempted: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" | "28000" => {
            "see user and password in the store's address; `larder config show` says where that comes from"
        }
        "3D000" => "make it (`createdb`), or name another in `[store] url`",
        "55000" => "let the database take connections again (`ALTER DATABASE … ALLOW_CONNECTIONS true`)",
        "42501" if attempted == schema::MAKING => {
            "`GRANT CREATE ON DATABASE … TO …` lets this user make it; or let one who may run `larder migrate up`"
        }
        "42501" => GRANTS,
        // There is no such prepared statement, or another has made it.
        "26000" | "42P05" => {
            "`[store] prepared` is for a database without a transaction pooler before it: leave it out"
        }
        _ => return None,
    })
}

/// What to do where this user may not do what Larder does.
pub(crate) const GRANTS: &str = "let whom the schema `larder` belongs to grant this user its use, and all on all tables and on all \
     sequences in it (`SELECT`, to read alone)";

fn pool_error(error: &PoolError, place: &str, attempted: &'static str) -> StoreError {
    let place = place.to_owned();
    match error {
        PoolError::Timeout(TimeoutType::Wait) => StoreError::Busy { place, attempted },
        PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
            let cause = "no connection came about in time".to_owned();
            StoreError::Unreachable { place, attempted, cause }
        }
        PoolError::Backend(error) => sql_error(error, &place, attempted),
        PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            StoreError::Failed { place, attempted, cause: error.to_string() }
        }
    }
}

/// Class 08 is the connection's (poolers say all their troubles in it); 57P01 to 57P05 are a server
/// that goes, comes or has dropped us; and 25P03 is one that was let go since we were silent amid a
/// transaction, as a machine is that sleeps.
fn is_of_connection(code: &SqlState) -> bool {
    let code = code.code();
    code.starts_with("08") || code.starts_with("57P0") || code == SILENT_AMID
}

/// `idle_in_transaction_session_timeout`.
const SILENT_AMID: &str = "25P03";

/// Whether the way to the database broke or was never there. A certificate that is not trusted, a
/// server without TLS and a value that is not understood are errors of another kind: waiting does
/// not mend them.
fn is_broken(error: &tokio_postgres::Error) -> bool {
    if error.is_closed() {
        return true;
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
        }
        cause = error.source();
    }
    error.source().is_none() && error.to_string().starts_with("timeout")
}

/// An error with all that it comes from.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
