//! The one place where the process's environment is read. Everything else gets it as data, so
//! that tests need no environment of their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

/// What the process was started with.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Its variables.
    pub vars: BTreeMap<String, String>,
    /// Those whose value is not UTF-8. A path may be such a one; a setting that is must not pass for one that
    /// nobody set.
    pub odd: BTreeMap<String, OsString>,
    /// Where the user keeps things.
    pub dirs: Dirs,
    /// The working directory.
    pub cwd: PathBuf,
    /// The machine that it runs on.
    pub host: Host,
}

/// By what the system tells this machine and its user from others.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// The files that may hold the system's id, the better one first. None is read before it is wanted.
    pub id_files: Vec<PathBuf>,
    /// What it is called in its network; empty = nobody knows.
    pub name: String,
    /// The user's number.
    pub user: Option<u32>,
}

/// Larder's own directories for this user. None of them need exist yet.
#[derive(Debug, Clone, Default)]
pub struct Dirs {
    /// `larder.toml`, on Linux `~/.config/larder`.
    pub config: PathBuf,
    /// Databases, on Linux `~/.local/share/larder`.
    pub data: PathBuf,
    /// Logs, locks and what the user trusts, on Linux `~/.local/state/larder`.
    pub state: PathBuf,
}

/// Why the environment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The folder that the process stands in was removed.
    #[error("the working directory is gone")]
    Gone,
    /// Something else is wrong with it, or with the user's home.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Environment {
    /// Reads the process's environment. Without a `place`, paths that are not absolute count from wherever the
    /// process stands, be that gone.
    pub fn of_this_process(place: bool) -> Result<Self, EnvironmentError> {
        let (mut vars, mut odd) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in std::env::vars_os() {
            // One whose name is no text either is none that Larder knows, but may have been meant for one.
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) => drop(vars.insert(name, value)),
                Err(value) => drop(odd.insert(name, value)),
            }
        }
        let base = etcetera::choose_base_strategy().map_err(anyhow::Error::from)?;
        let cwd = match std::env::current_dir() {
            Ok(cwd) => cwd,
            Err(_) if !place => PathBuf::new(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(EnvironmentError::Gone),
            Err(error) => return Err(anyhow::Error::from(error).context("the working directory").into()),
        };
        let dirs = Dirs {
            config: base.config_dir().join("larder"),
            data: base.data_dir().join("larder"),
            state: base.state_dir().unwrap_or_else(|| base.data_dir()).join("larder"),
        };
        Ok(Environment { vars, odd, dirs, cwd, host: Host::of_this_process() })
    }

    /// A variable that is set and not empty: an empty one means "as if it were not there".
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same of one that holds a path, which need not be UTF-8.
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.get(name).map(Path::new).or_else(|| self.odd.get(name).map(Path::new))
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.path("HOME").filter(|home| home.is_absolute()).map(Path::to_owned)
    }

    /// A path as a person writes it, where `~` is the home folder. What a shell alone could tell is refused:
    /// nobody wants a folder of that name.
    pub fn at_home(&self, text: &str) -> Result<PathBuf, String> {
        let Some(rest) = text.strip_prefix('~') else { return Ok(PathBuf::from(text)) };
        if !rest.is_empty() && !rest.starts_with('/') {
            return Err(format!("`{text}`: write the folder in full, or `./{text}` if it is called that"));
        }
        let home = self.home().ok_or_else(|| format!("`{text}`: there is no home folder"))?;
        let rest = rest.trim_start_matches('/');
        Ok(if rest.is_empty() { home } else { home.join(rest) })
    }

    /// Whether a variable is set to what no setting may be.
    pub fn is_odd(&self, name: &str) -> bool {
        self.odd.contains_key(name)
    }
}

impl Host {
    #[cfg(unix)]
    fn of_this_process() -> Self {
        Host {
            id_files: ["/etc/machine-id", "/var/lib/dbus/machine-id"].map(PathBuf::from).into(),
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            user: Some(rustix::process::geteuid().as_raw()),
        }
    }

    #[cfg(not(unix))]
    fn of_this_process() -> Self {
        Host::default()
    }
}
