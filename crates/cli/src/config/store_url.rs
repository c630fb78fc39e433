//! The address of a store: a file or a server. A server's password is a secret, so what is shown of
//! an address is put together anew and never holds one.

use std::fmt;
use std::path::{Path, PathBuf};

use larder_store_postgres::{PARAMETERS, check_address};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};

use super::env::Environment;

/// A store's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A redb file.
    Redb(PathBuf),
    /// A PostgreSQL database.
    Postgres(PostgresUrl),
}

/// The address of a PostgreSQL database, with the password that may stand in it.
#[derive(Debug, Clone)]
pub struct PostgresUrl {
    address: SecretString,
    shown: String,
    /// Whether the password was not written in the address.
    is_password_apart: bool,
}

/// What may be written where a store is named.
pub const FORMS: &str = "write `sqlite:PATH`, `redb:PATH` or `postgres://USER@HOST/DATABASE`";

/// The same where something else was probably meant.
const MEANT: &str = "write `postgres://USER@HOST/DATABASE`, or `sqlite:PATH` for a file of that name";

/// What PostgreSQL's other way to write an address is made of.
const KEYWORDS: [&str; 8] = ["host", "hostaddr", "port", "dbname", "user", "password", "service", "sslmode"];

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            StoreUrl::Redb(path) => write!(f, "redb:{}", path.display()),
            StoreUrl::Postgres(url) => url.fmt(f),
        }
    }
}

impl StoreUrl {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            StoreUrl::Sqlite(path) | StoreUrl::Redb(path) => Some(path),
            StoreUrl::Postgres(_) => None,
        }
    }

    /// Reads `sqlite:PATH`, `redb:PATH`, `postgres://…`, or a bare path, which is SQLite's. A relative
    /// path counts from `base`, `~` is the user's home. What is wrong is said without repeating an
    /// address: it may hold a password.
    pub fn parse(text: &str, base: &Path, env: &Environment) -> Result<Self, String> {
        let text = text.trim();
        let file = |path: &str, kind: &str| {
            if path.is_empty() || path.starts_with(':') {
                return Err(format!("`{text}` names no file: write `{kind}PATH`"));
            }
            if path.trim_end_matches('/') == "~" {
                return Err(format!("`{text}` is the home folder: write `{kind}~/NAME` for a file in it"));
            }
            env.at_home(path).map(|path| base.join(path))
        };
        match scheme(text) {
            None if has_keywords(text) => Err(format!("this looks like PostgreSQL's keywords: {MEANT}")),
            None if is_half_a_scheme(text) => Err(format!("a `:` is missing before the `//`: {MEANT}")),
            None => file(text, "").map(StoreUrl::Sqlite),
            Some("sqlite") => {
                check_options(text)?;
                file(path_of(text), "sqlite:").map(StoreUrl::Sqlite)
            }
            Some("redb") => file(path_of(text), "redb:").map(StoreUrl::Redb),
            Some(scheme) if is_postgres(scheme) => PostgresUrl::of(text, env).map(StoreUrl::Postgres),
            Some(scheme) => Err(format!("`{scheme}:` is not a store: {FORMS}")),
        }
    }
}

/// What stands before the colon; `None` = it is a path. One letter is a drive's.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (scheme.len() > 1 && scheme.chars().all(fits)).then_some(scheme)
}

/// Whether it is `host=… password=…`: as a file's name it would be shown, with the password.
fn has_keywords(text: &str) -> bool {
    text.split_whitespace().any(|word| word.split_once('=').is_some_and(|(key, _)| KEYWORDS.contains(&key)))
}

/// Whether it is `postgres//…` and the like.
fn is_half_a_scheme(text: &str) -> bool {
    let Some((word, _)) = text.split_once("//") else { return false };
    let is_like = |known: &str| strsim::osa_distance(&word.to_ascii_lowercase(), known) <= 1;
    ["postgres", "postgresql", "sqlite", "redb", "mysql"].into_iter().any(is_like)
}

/// `postgresql+asyncpg` and the like name a driver of Python's besides.
fn is_postgres(scheme: &str) -> bool {
    let kind = scheme.split('+').next().unwrap_or_default();
    kind.eq_ignore_ascii_case("postgres") || kind.eq_ignore_ascii_case("postgresql")
}

/// The path of `sqlite:PATH`, `sqlite://PATH` or `sqlite:///PATH`, without `?options`.
fn path_of(text: &str) -> &str {
    let rest = text.split_once(':').map_or(text, |(_, rest)| rest);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    rest.split('?').next().unwrap_or_default()
}

/// Refuses what other programs understand behind a SQLite file's name and what cannot be here. The rest of it
/// says nothing that would be different.
fn check_options(text: &str) -> Result<(), String> {
    let options = text.split_once('?').map_or("", |(_, options)| options);
    for option in options.split('&') {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match (name, value) {
            ("mode", "memory") => {
                return Err(format!("`{option}` cannot be: Larder keeps what it fetches in a file"));
            }
            ("mode", "ro") => return Err(format!("`{option}` cannot be: Larder writes what it fetches")),
            ("immutable", value) if !matches!(value, "0" | "no" | "off" | "false") => {
                return Err(format!("`{option}` cannot be: Larder writes what it fetches"));
            }
            _ => {}
        }
    }
    Ok(())
}

impl PostgresUrl {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?options`. The rest of what may be wrong is
    /// found by who connects.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest =
            text.trim().split_once("://").filter(|(scheme, _)| is_postgres(scheme)).map(|(_, rest)| rest);
        let rest =
            rest.filter(|rest| !rest.is_empty() && !rest.contains(|c: char| c.is_control() || c == ' '));
        let Some(rest) = rest else {
            return Err("this is no PostgreSQL address: write `postgres://USER@HOST/DATABASE`".to_owned());
        };
        let address = SecretString::from(format!("postgresql://{rest}"));
        let shown = format!("postgres://{}", without_secrets(rest));
        Ok(PostgresUrl { address, shown, is_password_apart: false })
    }

    /// The same, with the password of `PGPASSWORD` where none stands in it.
    pub fn of(text: &str, env: &Environment) -> Result<Self, String> {
        PostgresUrl::parse(text)?.with_password(env)
    }

    /// With the password of `PGPASSWORD`, where none stands in it.
    pub fn with_password(self, env: &Environment) -> Result<Self, String> {
        if self.has_password() {
            return Ok(self);
        }
        if env.is_odd("PGPASSWORD") {
            return Err("the variable PGPASSWORD is not UTF-8: set it anew, or unset it".to_owned());
        }
        let Some(password) = env.get("PGPASSWORD") else { return Ok(self) };
        let address = self.address.expose_secret();
        let mark = if address.contains('?') { '&' } else { '?' };
        let address = SecretString::from(format!(
            "{address}{mark}password={}",
            utf8_percent_encode(password, NON_ALPHANUMERIC)
        ));
        Ok(PostgresUrl { address, is_password_apart: true, ..self })
    }

    /// The parameter that one behind the `?` was meant to be, if it is nearly one.
    pub fn slip(&self) -> Option<&'static str> {
        let (_, options) = self.address.expose_secret().rsplit_once('?')?;
        let names = options.split('&').filter_map(|option| option.split('=').next());
        let mut slips = names.filter(|name| !PARAMETERS.contains(name));
        slips.find_map(|name| PARAMETERS.iter().copied().find(|known| strsim::osa_distance(name, known) <= 2))
    }

    /// The same, if who connects can read it: without asking anybody, and without repeating any of it.
    pub fn checked(self) -> Result<Self, String> {
        let Err(why) = check_address(&self.address) else { return Ok(self) };
        let slip = self.slip().map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
        Err(format!("this address cannot be read: {why}{slip}"))
    }

    /// All of it, for who connects.
    pub fn address(&self) -> &SecretString {
        &self.address
    }

    /// Whether a password stands in it, as it was written.
    pub fn has_password(&self) -> bool {
        if self.is_password_apart {
            return false;
        }
        let address = self.address.expose_secret();
        let (credentials, _, _) = parts(address.trim_start_matches("postgresql://"));
        credentials.contains(':') || address.contains("password=")
    }
}

/// What may be shown behind `?`: everything else may be a secret, now or one day.
const SHOWN_OPTIONS: [&str; 6] = ["dbname", "host", "port", "sslmode", "target_session_attrs", "user"];

/// What stands before the `@`, what behind it, and the parameters. Where those hold an `@` and are not all known, a `?`
/// may have been of the password, and so may be all that stands before the last `@`.
fn parts(rest: &str) -> (&str, &str, &str) {
    let (front, options) = rest.split_once('?').unwrap_or((rest, ""));
    let is_known = |option: &str| option.split_once('=').is_some_and(|(name, _)| PARAMETERS.contains(&name));
    if !options.contains('@') || options.split('&').all(is_known) {
        let (credentials, place) = front.rsplit_once('@').unwrap_or(("", front));
        return (credentials, place, options);
    }
    let (credentials, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (place, options) = place.split_once('?').unwrap_or((place, ""));
    (credentials, place, options)
}

/// An address without password. Where it is not clear what is one, less is shown: whatever stands
/// between the first `:` and the last `@` may be.
fn without_secrets(rest: &str) -> String {
    let (credentials, place, options) = parts(rest);
    let user = credentials.split([':', '/', '?']).next().unwrap_or_default();
    let is_shown = |option: &&str| {
        option
            .split_once('=')
            .is_some_and(|(name, value)| SHOWN_OPTIONS.contains(&name) && !value.contains('@'))
    };
    let options: Vec<&str> = options.split('&').filter(is_shown).collect();
    let at = if user.is_empty() { "" } else { "@" };
    let mark = if options.is_empty() { "" } else { "?" };
    format!("{user}{at}{place}{mark}{}", options.join("&"))
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &Self) -> bool {
        self.address.expose_secret() == other.address.expose_secret()
    }
}

impl Eq for PostgresUrl {}

#[cfg(test)]
mod tests;
