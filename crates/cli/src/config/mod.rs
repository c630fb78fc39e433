//! Configuration: found, read, checked, and put together from the file, the environment and the
//! command line. [`Config`] is plain data; nothing behind it reads the environment again.

mod clusters;
mod engine;
mod env;
mod find;
mod github;
mod layers;
mod marketplace;
mod origin;
mod pmu;
mod problem;
mod projects;
mod registry;
mod server;
mod setting;
mod shown;
mod span;
mod store;
mod store_url;
mod trackers;
mod trust;
mod vars;

use std::path::{Path, PathBuf};

use larder_domain::{ClustersConfig, RegistryRules};
use larder_sources::MarketplaceConfig;
use pmu::Pmu;
use toml::de::DeTable;

pub use clusters::ClustersSection;
pub use engine::EngineConfig;
pub use env::{Dirs, Environment, EnvironmentError, Host};
pub use find::{FILE_NAME, How, is_same};
pub use github::{GithubConfig, read_owner};
pub use origin::owner_of_origin;
pub use pmu::{PMU_FILE, check as check_pmu};
pub use problem::{Problem, Problems, nearest};
pub use projects::{ProjectsSection, Watching};
pub use registry::RegistryConfig;
pub use server::{LISTEN as SERVER_LISTEN, ServerConfig, read_listen};
pub use setting::{Origin, Setting};
pub use shown::Shown;
pub use span::show as show_span;
pub use store::{StoreConfig, StoreServer};
pub use store_url::{PostgresUrl, StoreUrl};
pub use trackers::TrackersConfig;
pub use trust::{Trust, make_private_dir};

/// Everything that is configured, and where each value came from.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, if there is one.
    pub file: Option<ConfigFile>,
    /// `[store]`.
    pub store: StoreConfig,
    /// `[github]`.
    pub github: GithubConfig,
    /// `[engine]`.
    pub engine: EngineConfig,
    /// `[clusters]`.
    pub clusters: ClustersSection,
    /// `[registry]`.
    pub registry: RegistryConfig,
    /// `[projects]`.
    pub projects: ProjectsSection,
    /// `[[marketplace]]`.
    pub marketplaces: Vec<MarketplaceConfig>,
    /// `[server]`.
    pub server: ServerConfig,
    /// `[trackers]` and `[[tracker]]`.
    pub trackers: TrackersConfig,
    /// `[[cluster]]` and `[[repo]]` with what `[clusters]` and `[github]` say of them.
    pub listed: ClustersConfig,
    /// The user's directories.
    pub dirs: Dirs,
    /// The machine that this is.
    pub host: Host,
    /// Each cluster, tracker and marketplace in a line, for whoever asks how it is configured.
    tables: Vec<Shown>,
    /// What a person should know before anything else.
    pub notes: Vec<String>,
    /// What looks like a slip of the pen, and may be none.
    pub warnings: Vec<String>,
    /// What a file that nobody trusts tried to decide and does not: without that another host may be asked
    /// than the file says, so whoever wants to hear little hears this too.
    pub untrusted: Vec<String>,
    /// What a person should know who asks how it is configured.
    pub quiet_notes: Vec<String>,
}

/// The file that applies.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Its path as a person would write it.
    pub shown: String,
    /// How it was found.
    pub how: How,
    /// Whether it may set what decides where data or a token goes.
    pub trusted: bool,
    /// Whether another content of it was trusted.
    pub changed: bool,
    /// What it tried to set and may not.
    pub ignored: Vec<String>,
}

/// What the command line says of configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--store`.
    pub store: Option<String>,
}

/// Why there is no configuration to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{} could not be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// In the system's words.
        cause: std::io::Error,
    },
    /// It was read, and is wrong.
    #[error(transparent)]
    Wrong(#[from] Problems),
}

/// A configuration file is written by hand; what is larger is something else.
const FILE_BYTES_MAX: u64 = 16 << 20;

impl Config {
    /// Finds, reads and checks the configuration.
    pub fn load(flags: &Flags, env: &Environment) -> Result<Self, ConfigError> {
        let found = find::find(flags.config.as_deref(), env);
        let Some(found) = found else {
            let layers = layers::Layers::new(None, env);
            return Ok(build(layers, flags, &env.cwd, env.dirs.data.join("larder.db"), None)?);
        };
        let text = read_file(&found.path)
            .map_err(|cause| ConfigError::Unreadable { path: found.path.clone(), cause })?;
        let (trusted, changed) = match found.how {
            How::Project => {
                let trust = Trust::load(env);
                let holds = trust.holds(&found.path, &text);
                (holds, !holds && trust.knows(&found.path))
            }
            How::Flag | How::Env | How::User => (true, false),
        };
        Config::of_text(found, &text, (trusted, changed), flags, env)
    }

    /// The configuration that a file would be with this text, if it applied and were trusted.
    pub fn as_if(path: &Path, text: &str, flags: &Flags, env: &Environment) -> Result<Self, ConfigError> {
        let found = find::Found { path: path.to_owned(), how: How::Flag };
        Config::of_text(found, text, (true, false), flags, env)
    }

    fn of_text(
        found: find::Found,
        text: &str,
        (trusted, changed): (bool, bool),
        flags: &Flags,
        env: &Environment,
    ) -> Result<Self, ConfigError> {
        let shown = find::shown(&found.path, env);
        let places = problem::Places::new(&shown, text);
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(ConfigError::Wrong(syntax_errors(&places, &errors)));
        }
        let default = find::default_database(Some(&found), env);
        let base = found.path.parent().unwrap_or(&env.cwd).to_owned();
        let file = ConfigFile {
            path: found.path,
            shown: shown.clone(),
            how: found.how,
            trusted,
            changed,
            ignored: Vec::new(),
        };
        let layers = layers::Layers::new(
            Some(layers::File { places: places.clone(), root: root.get_ref(), trusted }),
            env,
        );
        Ok(build(layers, flags, &base, default, Some(file))?)
    }

    /// The file that applies, whether or not it can be read.
    pub fn applying_file(flags: &Flags, env: &Environment) -> Option<PathBuf> {
        find::find(flags.config.as_deref(), env).map(|found| found.path)
    }

    /// The rules of the merged list.
    pub fn registry_rules(&self) -> RegistryRules {
        RegistryRules {
            updated_since: self.registry.updated_since.as_ref().map(|since| since.value),
            trending_stars: self.registry.trending_stars.value,
            new_within: self.registry.new_within.value,
            forks: self.registry.forks.value,
        }
    }

    /// Whether there is anything to cache.
    pub fn is_empty(&self) -> bool {
        self.listed.clusters.is_empty() && !self.listed.has_unclustered()
    }
}

fn build(
    mut layers: layers::Layers<'_>,
    flags: &Flags,
    base: &Path,
    default_database: PathBuf,
    file: Option<ConfigFile>,
) -> Result<Config, Problems> {
    let env = layers.env();
    let pmu = Pmu::find(env).unwrap_or_else(|wrong| {
        layers.notes.push(wrong);
        None
    });
    layers.notes.extend(pmu.iter().flat_map(Pmu::notes));
    let store = StoreConfig::read(&mut layers, flags.store.as_deref(), base, default_database, pmu.as_ref());
    let github = GithubConfig::read(&mut layers);
    let engine = EngineConfig::read(&mut layers);
    let clusters = ClustersSection::read(&mut layers, github.owner.as_ref());
    let registry = RegistryConfig::read(&mut layers);
    let projects = ProjectsSection::read(&mut layers, base);
    let server = ServerConfig::read(&mut layers);
    let trackers = TrackersConfig::read(&mut layers, pmu.as_ref(), &github.clone_host());
    let owner = github.owner.as_ref().map(|owner| owner.value.clone());
    let marketplaces = marketplace::read_marketplaces(&mut layers, base, owner.as_deref());
    let mut listed = ClustersConfig {
        clusters: clusters::read_clusters(&mut layers, owner.as_deref()),
        owner,
        ttl: clusters.ttl.value,
        active_ttl: clusters.active_ttl.value,
        unclustered: clusters.unclustered.value,
        overrides: Vec::new(),
    };
    listed.overrides = clusters::read_overrides(&mut layers, &listed);
    layers.finish();
    if !layers.problems.is_empty() {
        return Err(Problems(layers.problems));
    }
    let file = file.map(|file| ConfigFile { ignored: layers.ignored, ..file });
    let notes = layers.notes;
    let of_pmu = pmu.as_ref().and_then(|pmu| {
        ignored_note(&pmu.shown, STRANGE, &layers.pmu_ignored, &format!("larder config trust {}", pmu.shown))
    });
    let mut untrusted: Vec<String> =
        of_pmu.into_iter().chain(file.as_ref().and_then(untrusted_note)).collect();
    // What was trusted may be among it.
    if let Some(Err(error)) = (!untrusted.is_empty()).then(|| Trust::check(env)) {
        untrusted.push(format!("{error}: until it can, no file is trusted; {}", error.hint()));
    }
    let (dirs, host) = (env.dirs.clone(), env.host.clone());
    let quiet_notes = layers.quiet_notes;
    let warnings = layers.strays;
    let tables = layers.listed;
    Ok(Config {
        file,
        store,
        github,
        engine,
        clusters,
        registry,
        projects,
        marketplaces,
        server,
        trackers,
        listed,
        dirs,
        host,
        tables,
        notes,
        warnings,
        untrusted,
        quiet_notes,
    })
}

fn untrusted_note(file: &ConfigFile) -> Option<String> {
    let why = if file.changed { "has changed since it was trusted" } else { STRANGE };
    ignored_note(&file.shown, why, &file.ignored, "larder config trust")
}

/// Why a file is not trusted that never was.
const STRANGE: &str = "came with this directory and is not trusted";

/// What of an untrusted file is ignored, in a sentence; `None` = nothing.
fn ignored_note(file: &str, why: &str, ignored: &[impl AsRef<str>], trust: &str) -> Option<String> {
    let (is, it) = if ignored.len() == 1 { ("is", "it") } else { ("are", "them") };
    let ignored: Vec<&str> = ignored.iter().map(AsRef::as_ref).collect();
    let all = ignored.join(", ");
    (!ignored.is_empty())
        .then(|| format!("{file} {why}: its {all} {is} ignored; to allow {it}, read it and run `{trust}`"))
}

fn read_file(path: &Path) -> std::io::Result<String> {
    let bytes = std::fs::metadata(path)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it has {bytes} bytes, {FILE_BYTES_MAX} is the most")));
    }
    std::fs::read_to_string(path)
}

fn syntax_errors(places: &problem::Places<'_>, errors: &[toml::de::Error]) -> Problems {
    let problem = |error: &toml::de::Error| {
        let message = format!("this is not TOML: {}", error.message().trim());
        places.problem(&error.span().unwrap_or_default(), message, None)
    };
    Problems(errors.iter().map(problem).collect())
}

#[cfg(test)]
mod tests;
