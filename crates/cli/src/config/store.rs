//! `[store]`: where the cache is kept.

use std::fmt;
use std::path::{Path, PathBuf};

use super::env::Environment;
use super::layers::{Key, Layers, Raw};
use super::setting::{Origin, Setting};

/// Where the cache is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The store's address.
    pub url: Setting<StoreUrl>,
}

/// A store's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

impl StoreUrl {
    /// Reads `sqlite:PATH`; a relative path counts from `base`, `~` is the user's home.
    pub fn parse(text: &str, base: &Path, env: &Environment) -> Result<Self, String> {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        match scheme {
            Some("postgres" | "postgresql") => {
                Err("a PostgreSQL store arrives with a later Larder: write `sqlite:PATH`".to_owned())
            }
            Some("redb") => Err("a redb store arrives with a later Larder: write `sqlite:PATH`".to_owned()),
            Some("sqlite") => {
                let path = sqlite_path(text);
                if path.is_empty() || path.starts_with(':') {
                    return Err(format!("`{text}` names no file: write `sqlite:PATH`"));
                }
                let in_home = path.strip_prefix("~/").zip(env.get("HOME"));
                let path = in_home.map_or_else(|| path.into(), |(rest, home)| Path::new(home).join(rest));
                Ok(StoreUrl::Sqlite(base.join(path)))
            }
            _ => Err(format!("`{text}` is not a store: write `sqlite:PATH`")),
        }
    }
}

/// The path of `sqlite:PATH`, `sqlite://PATH` or `sqlite:///PATH`, without `?options`.
fn sqlite_path(text: &str) -> &str {
    let rest = text.strip_prefix("sqlite:").unwrap_or(text);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    rest.split('?').next().unwrap_or_default()
}

impl StoreConfig {
    /// Reads the section. `base` is the configuration file's directory, `default` the path where
    /// nobody says another.
    pub fn read(layers: &mut Layers<'_>, flag: Option<&str>, base: &Path, default: PathBuf) -> Self {
        let env = layers.env();
        let mut section = layers.section("store");
        let url = section.read(Key::guarded("url"), |raw| match raw {
            Raw::Text(text) | Raw::Shared(text) => StoreUrl::parse(text, &env.cwd, env),
            Raw::Value(_) => StoreUrl::parse(raw.text("an address such as \"sqlite:PATH\"")?, base, env),
        });
        section.finish();
        let flag = flag.and_then(|text| match StoreUrl::parse(text, &env.cwd, env) {
            Ok(value) => Some(Setting { value, origin: Origin::Flag("--store") }),
            Err(message) => {
                layers.problem_of(&Origin::Flag("--store"), message, None);
                None
            }
        });
        let has_own_var = url.as_ref().is_some_and(|url| matches!(url.origin, Origin::Env(_)));
        let shared = if flag.is_some() || has_own_var { None } else { database_url(layers) };
        let url = flag.or(shared).or(url).unwrap_or(Setting::default(StoreUrl::Sqlite(default)));
        StoreConfig { url }
    }
}

/// `DATABASE_URL`, where it can be Larder's. Many programs share that name: one that names another
/// kind of database, or a file that is not Larder's, belongs to somebody else and is left alone.
fn database_url(layers: &mut Layers<'_>) -> Option<Setting<StoreUrl>> {
    let env = layers.env();
    let text = env.get("DATABASE_URL")?;
    let theirs = match StoreUrl::parse(text, &env.cwd, env) {
        Ok(StoreUrl::Sqlite(path)) if is_anothers(&path) => "its file holds another program's data",
        Ok(value) => {
            return Some(Setting { value, origin: Origin::Env("DATABASE_URL".to_owned()) });
        }
        Err(_) => "it names no store that this larder knows",
    };
    layers.quiet_notes.push(format!("DATABASE_URL is left alone: {theirs}"));
    None
}

/// Whether a file is there, holds something, and does not carry Larder's mark. The store itself
/// refuses such a file; here it only tells whom a shared variable was meant for.
fn is_anothers(path: &Path) -> bool {
    use std::io::Read as _;
    let mut header = [0_u8; 72];
    let Ok(mut file) = std::fs::File::open(path) else { return false };
    match file.read_exact(&mut header) {
        Ok(()) => header[68..72] != larder_store_sqlite::APPLICATION_ID.to_be_bytes(),
        Err(_) => file.metadata().is_ok_and(|about| about.len() > 0),
    }
}
