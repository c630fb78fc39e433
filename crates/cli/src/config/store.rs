//! `[store]`: where the cache is kept, and how its server is spoken to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::layers::{Key, Layers, Raw, Section};
use super::pmu::Pmu;
use super::problem::nearest;
use super::setting::{Origin, Setting};
use super::span;
use super::store_url::{PostgresUrl, StoreUrl};

/// Where the cache is kept, and how its server is spoken to. A file that is not trusted may set none
/// of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The store's address.
    pub url: Setting<StoreUrl>,
    /// How a server is spoken to.
    pub server: StoreServer,
}

/// What means something for PostgreSQL alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreServer {
    /// How many connections are kept.
    pub pool_size: Setting<u64>,
    /// How many more may be open at a time.
    pub max_overflow: Setting<u64>,
    /// Whether statements are prepared under names: not where a transaction pooler stands between.
    pub prepared: Setting<bool>,
    /// Where to listen for notifications, if the store's own address leads through a pooler.
    pub listen_url: Option<Setting<PostgresUrl>>,
    /// How long a free connection is waited for.
    pub pool_timeout: Setting<Duration>,
    /// How long connecting may take.
    pub connect_timeout: Setting<Duration>,
    /// How long one statement may take.
    pub statement_timeout: Setting<Duration>,
}

/// More connections than any server takes from one program.
const CONNECTIONS_MAX: u64 = 1_000;
/// The shortest and longest time-outs that make sense.
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_mins(10));

impl Default for StoreServer {
    fn default() -> Self {
        StoreServer {
            pool_size: Setting::default(10),
            max_overflow: Setting::default(10),
            prepared: Setting::default(false),
            listen_url: None,
            pool_timeout: Setting::default(Duration::from_secs(5)),
            connect_timeout: Setting::default(Duration::from_secs(5)),
            statement_timeout: Setting::default(Duration::from_secs(30)),
        }
    }
}

impl StoreConfig {
    /// Reads the section. `base` is the configuration file's directory, `default` the path where
    /// nobody says another.
    pub fn read(
        layers: &mut Layers<'_>,
        flag: Option<&str>,
        base: &Path,
        default: PathBuf,
        pmu: Option<&Pmu>,
    ) -> Self {
        let env = layers.env();
        let flag = flag.and_then(|text| match StoreUrl::parse(text, &env.cwd, env) {
            Ok(value) => Some(Setting { value, origin: Origin::Flag("--store") }),
            Err(message) => {
                layers.problem_of(&Origin::Flag("--store"), message, None);
                None
            }
        });
        warn_of_password(layers, flag.as_ref());
        let mut section = layers.section("store");
        let url = section.read(Key::guarded("url"), |raw| match raw {
            Raw::Text(text) | Raw::Shared(text) => StoreUrl::parse(text, &env.cwd, env),
            Raw::Value(_) => StoreUrl::parse(raw.text("an address such as \"sqlite:PATH\"")?, base, env),
        });
        let url = flag.or(url).or_else(|| database_url(section.layers()));
        let url = url.or_else(|| pmu_store(pmu?, &default, section.layers()));
        let url = url.unwrap_or(Setting::default(StoreUrl::Sqlite(default)));
        let server = StoreServer::read(&mut section, matches!(url.value, StoreUrl::Postgres(_)));
        section.finish();
        StoreConfig { url, server }
    }
}

impl StoreServer {
    /// Variables that other programs know too count where there is a server alone: what they say is
    /// no concern of a file's.
    fn read(section: &mut Section<'_, '_>, is_there: bool) -> Self {
        let key = |name, shared: &'static [&'static str]| {
            let key = Key::guarded(name);
            if is_there { key.or_vars(shared) } else { key }
        };
        let (least, most) = TIMEOUTS;
        let env = section.layers().env();
        let usual = StoreServer::default();
        StoreServer {
            pool_size: section
                .count(key("pool_size", &["DB_POOL_SIZE"]), 1, CONNECTIONS_MAX)
                .unwrap_or(usual.pool_size),
            max_overflow: section
                .count(key("max_overflow", &["DB_MAX_OVERFLOW"]), 0, CONNECTIONS_MAX)
                .unwrap_or(usual.max_overflow),
            prepared: section.flag(key("prepared", &[])).unwrap_or(usual.prepared),
            listen_url: section.read(key("listen_url", &[]), |raw| {
                PostgresUrl::of(raw.text("an address such as \"postgres://HOST/DATABASE\"")?, env)?.checked()
            }),
            pool_timeout: section
                .read(key("pool_timeout", &["DB_POOL_TIMEOUT"]), read_timeout)
                .unwrap_or(usual.pool_timeout),
            connect_timeout: section
                .span(key("connect_timeout", &[]), least, most)
                .unwrap_or(usual.connect_timeout),
            statement_timeout: section
                .span(key("statement_timeout", &[]), least, most)
                .unwrap_or(usual.statement_timeout),
        }
    }
}

/// Larder writes `5s`; the variable that others know holds seconds as a bare number.
fn read_timeout(raw: Raw<'_>) -> Result<Duration, String> {
    let (least, most) = TIMEOUTS;
    match raw {
        Raw::Shared(text) if text.trim().parse::<f64>().is_ok() => {
            span::parse(&format!("{}s", text.trim()), least, most)
        }
        raw => span::parse(raw.text("a duration such as \"5s\"")?, least, most),
    }
}

/// What a command line holds can be read by everybody on the machine.
fn warn_of_password(layers: &mut Layers<'_>, flag: Option<&Setting<StoreUrl>>) {
    if let Some(StoreUrl::Postgres(url)) = flag.map(|flag| &flag.value)
        && url.has_password()
    {
        let note =
            "others on this machine may read the password behind `--store`: LARDER_STORE__URL keeps it";
        layers.notes.push(note.to_owned());
    }
}

/// `DATABASE_URL`, where nothing else is said and it can be Larder's. Many programs share that name:
/// one that names another kind of database belongs to somebody else and is left alone. In a PostgreSQL
/// database Larder has a schema of its own, beside whatever else is there.
fn database_url(layers: &mut Layers<'_>) -> Option<Setting<StoreUrl>> {
    const NAME: &str = "DATABASE_URL";
    let env = layers.env();
    if env.is_odd(NAME) {
        layers.odd_var(NAME);
    }
    let text = env.get(NAME)?;
    if let Ok(url) = PostgresUrl::parse(text) {
        let origin = Origin::Env(NAME.to_owned());
        return match url.with_password(env) {
            Ok(url) => Some(Setting { value: StoreUrl::Postgres(url), origin }),
            Err(message) => {
                layers.problem_of(&origin, message, None);
                None
            }
        };
    }
    let said = "DATABASE_URL is left alone: it names no PostgreSQL database";
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    match nearest(scheme, ["postgres", "postgresql"]) {
        // Another kind's is another program's; this one was mistyped.
        Some(near) => layers.notes.push(format!("{said}; did you mean `{near}://`?")),
        None => layers.quiet_notes.push(said.to_owned()),
    }
    None
}

/// Where `.gh-pmu.yml` wants the cache, if nothing else says: its `backend` is the kind of store, and
/// the directory of its `path` is ours too. The file in it bears our name: theirs has another format.
fn pmu_store(pmu: &Pmu, default: &Path, layers: &mut Layers<'_>) -> Option<Setting<StoreUrl>> {
    let cache = pmu.cache();
    if cache.backend.is_none() && cache.path.is_none() {
        return None;
    }
    let is_bolt = match cache.backend.as_deref() {
        None | Some("sqlite") => false,
        Some("bolt") => true,
        Some(other) => {
            layers.notes.push(format!(
                "{}: `cache: backend: {other}` is neither `sqlite` nor `bolt`, and is ignored",
                pmu.shown
            ));
            false
        }
    };
    let kind = if is_bolt { StoreUrl::Redb } else { StoreUrl::Sqlite };
    let ending = if is_bolt { "redb" } else { "db" };
    let here = default.with_extension(ending);
    let Some(path) = cache.path.as_deref() else {
        return Some(pmu.setting("backend", kind(here)));
    };
    if !pmu.trusted {
        layers.pmu_ignored.push("`cache: path`");
        return is_bolt.then(|| pmu.setting("backend", kind(here)));
    }
    let path = match layers.env().at_home(path) {
        Ok(path) => pmu.folder().join(path),
        Err(message) => {
            layers.problem_of(&pmu.setting("path", ()).origin, format!("`cache: path`: {message}"), None);
            return None;
        }
    };
    // A path that names no file of theirs is a directory already.
    let dir = if path.extension().is_some() { path.parent().unwrap_or(&path) } else { &path };
    Some(pmu.setting("path", kind(dir.join(format!("larder.{ending}")))))
}
