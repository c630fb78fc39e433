//! `[projects]`: where local projects are looked for.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use larder_sources::ProjectsConfig;

use super::env::Environment;
use super::layers::{Key, Layers, Raw, Section};
use super::setting::{Origin, Setting};

/// `[projects]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectsSection {
    /// Folders below which projects are looked for.
    pub roots: Setting<Vec<PathBuf>>,
    /// The usual ones, there or not, where nobody named any.
    pub usual: Vec<PathBuf>,
    /// How many folders deep.
    pub depth: Setting<u64>,
    /// Names of folders that are not looked into.
    pub prune: Setting<Vec<String>>,
    /// How changes are noticed while `larder serve` or `larder watch` runs.
    pub watch: Setting<Watching>,
    /// How long it must be quiet before a change is looked at.
    pub debounce: Setting<Duration>,
    /// How often is looked where the system does not tell of changes.
    pub poll: Setting<Duration>,
    /// Folders that links may lead to.
    pub allow_links: Setting<Vec<PathBuf>>,
    /// Collections, or folders of them.
    pub collections: Setting<Vec<PathBuf>>,
    /// How long what was found is taken for true without a look.
    pub ttl: Setting<Duration>,
    /// What this machine is called in a database that several share.
    pub machine: Option<Setting<String>>,
    /// The working directory, where it is a root.
    pub cwd: Option<PathBuf>,
    /// The user's home, which is not searched.
    pub home: Option<PathBuf>,
}

/// How changes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watching {
    /// The system tells of them.
    Events,
    /// By looking every so often.
    Poll,
    /// They are not.
    Off,
}

impl Watching {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Watching::Events => "true",
            Watching::Poll => "poll",
            Watching::Off => "false",
        }
    }
}

/// Where people keep their projects.
const USUAL_ROOTS: [&str; 4] = ["projects", "dev", "workspace", "src"];
/// Where the deploying tool keeps its collections.
const USUAL_COLLECTIONS: [&str; 2] = [".skillmeat/collections", ".skillmeat/collection"];
/// The longest name of a machine: a host name is no longer.
const MACHINE_CHARS_MAX: usize = 253;
/// The longest list.
const LIST_MAX: usize = 1_000;

impl ProjectsSection {
    /// Reads the section. `base` is the configuration file's folder, where there is a file.
    pub fn read(layers: &mut Layers<'_>, base: &Path) -> Self {
        let env = layers.env();
        let home = env.home();
        let usual = ProjectsConfig::default();
        let mut section = layers.section("projects");
        let paths =
            |section: &mut Section<'_, '_>, key: Key| section.read(key, |raw| read_paths(raw, base, env));
        let roots = paths(&mut section, Key::open("roots"));
        let depth = section.count("depth", 0, 16).unwrap_or(Setting::default(usual.depth as u64));
        let prune = section.read(Key::open("prune"), read_pruned).unwrap_or(Setting::default(usual.prune));
        let watch = section.read(Key::open("watch"), read_watching);
        let minute = Duration::from_mins(1);
        let debounce = section.span("debounce", Duration::from_millis(10), minute);
        let poll = section.span("poll", Duration::from_millis(100), minute * 60);
        let allow_links = paths(&mut section, Key::guarded("allow_links"));
        let collections = paths(&mut section, Key::guarded("collections"));
        let ttl = section.span("ttl", Duration::from_secs(1), Duration::from_hours(24 * 366));
        let machine = section.read(Key::guarded("machine"), read_machine);
        let trusted = section.is_trusted();
        section.finish();
        let usual_paths = |names: &[&str]| -> Vec<PathBuf> {
            home.iter().flat_map(|home| names.iter().map(|name| home.join(name))).collect()
        };
        let roots = roots.and_then(|roots| checked(layers, roots, base, trusted, home.as_deref()));
        let usual_roots = if roots.is_none() { usual_paths(&USUAL_ROOTS) } else { Vec::new() };
        // One that leads to too much is as good as not there.
        let is_there = |path: &&PathBuf| path.is_dir() && !is_too_much(path, home.as_deref());
        let there = || usual_roots.iter().filter(is_there).cloned().collect();
        ProjectsSection {
            roots: roots.unwrap_or_else(|| Setting::default(there())),
            usual: usual_roots,
            depth,
            prune,
            watch: watch.unwrap_or(Setting::default(Watching::Events)),
            debounce: debounce.unwrap_or(Setting::default(Duration::from_millis(100))),
            poll: poll.unwrap_or(Setting::default(Duration::from_secs(5))),
            allow_links: allow_links.unwrap_or(Setting::default(Vec::new())),
            collections: collections.unwrap_or_else(|| Setting::default(usual_paths(&USUAL_COLLECTIONS))),
            ttl: ttl.unwrap_or(Setting::default(usual.ttl)),
            machine,
            cwd: None,
            home,
        }
    }

    /// Makes the working directory a root of this run, unless it is too much to search.
    pub fn stand_in(&mut self, env: &Environment) {
        self.cwd = Some(env.cwd.clone()).filter(|cwd| !is_too_much(cwd, env.home().as_deref()));
    }

    /// As the source takes it.
    pub fn config(&self) -> ProjectsConfig {
        // Which of the usual roots are there decides nothing about a project.
        let all = if self.usual.is_empty() { &self.roots.value } else { &self.usual };
        ProjectsConfig {
            roots: all.clone(),
            awaited: all.iter().filter(|root| !self.roots.value.contains(root)).cloned().collect(),
            cwd: self.cwd.clone(),
            machine: self.machine.as_ref().map(|machine| machine.value.clone()),
            home: self.home.clone(),
            depth: self.depth.value as usize,
            prune: self.prune.value.clone(),
            allow_links: self.allow_links.value.clone(),
            collections: self.collections.value.clone(),
            ttl: self.ttl.value,
        }
    }
}

/// Roots that may be: neither everything nor the home folder, and, for a file that nobody trusts,
/// nothing outside of the folder that it came with. `None` = of what was said none may be said.
fn checked(
    layers: &mut Layers<'_>,
    roots: Setting<Vec<PathBuf>>,
    base: &Path,
    trusted: bool,
    home: Option<&Path>,
) -> Option<Setting<Vec<PathBuf>>> {
    let own_only = !trusted && matches!(roots.origin, Origin::File { .. });
    let mut kept = Vec::new();
    let mut outside = false;
    for root in roots.value {
        if own_only && !is_below(&root, base) {
            outside = true;
        } else if is_too_much(&root, home) {
            let message =
                format!("`roots`: {} holds the home folder, which is never searched", root.display());
            layers.problem_of(
                &roots.origin,
                message,
                Some("name the folders in it that hold projects".to_owned()),
            );
        } else if !kept.contains(&root) {
            kept.push(root);
        }
    }
    if outside {
        layers.ignored.push("`[projects] roots`".to_owned());
    }
    let is_ignored = outside && kept.is_empty();
    (!is_ignored).then_some(Setting { value: kept, origin: roots.origin })
}

/// Whether a folder is the home folder, or one that holds it.
fn is_too_much(folder: &Path, home: Option<&Path>) -> bool {
    let folder = real(folder);
    folder.parent().is_none() || home.is_some_and(|home| real(home).starts_with(&folder))
}

/// Whether a path lies below a folder, links followed as far as it exists.
pub fn is_below(path: &Path, base: &Path) -> bool {
    real(path).starts_with(real(base))
}

/// The path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| plain(path))
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// A list of paths in the file; in the environment, one text with `:` between, as in `PATH`.
fn read_paths(raw: Raw<'_>, base: &Path, env: &Environment) -> Result<Vec<PathBuf>, String> {
    let (texts, base) = match raw {
        Raw::Value(_) => (read_names(raw)?, base),
        Raw::Text(text) | Raw::Shared(text) => {
            let parts = std::env::split_paths(text).map(|path| path.to_string_lossy().into_owned());
            (parts.filter(|path| !path.is_empty()).collect(), env.cwd.as_path())
        }
    };
    texts.iter().map(|text| read_path(text, base, env)).collect()
}

/// A path; `~` is the user's home, and a relative one counts from `base`.
pub fn read_path(text: &str, base: &Path, env: &Environment) -> Result<PathBuf, String> {
    if text.trim().is_empty() || text.contains('\0') {
        return Err("a path must not be empty".to_owned());
    }
    Ok(plain(&base.join(env.at_home(text)?)))
}

fn read_names(raw: Raw<'_>) -> Result<Vec<String>, String> {
    let Raw::Value(value) = raw else {
        let text = raw.text("a list")?;
        return Ok(text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect());
    };
    let array = value.as_array().ok_or_else(|| "expected a list of texts".to_owned())?;
    if array.len() > LIST_MAX {
        return Err(format!("too many: {LIST_MAX} is the most"));
    }
    let text = |item: &toml::Spanned<toml::de::DeValue<'_>>| {
        item.get_ref().as_str().map(str::to_owned).ok_or_else(|| "expected a text in quotes".to_owned())
    };
    array.iter().map(text).collect()
}

/// Names of folders: a path or a pattern is the name of none, and would leave out nothing without a word.
fn read_pruned(raw: Raw<'_>) -> Result<Vec<String>, String> {
    let name = |text: String| {
        let name = text.strip_suffix('/').unwrap_or(&text);
        if name.is_empty() || name.contains(['/', '*', '?']) {
            return Err(format!(
                "`{text}` is not a folder's name alone, such as `node_modules`; paths and patterns go into an ignore \
                 file, such as `.gitignore`"
            ));
        }
        Ok(name.to_owned())
    };
    read_names(raw)?.into_iter().map(name).collect()
}

fn read_machine(raw: Raw<'_>) -> Result<String, String> {
    let name = raw.text("a text in quotes")?.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err("a machine's name is a word or some, such as `build`".to_owned());
    }
    if name.chars().count() > MACHINE_CHARS_MAX {
        return Err(format!("{MACHINE_CHARS_MAX} letters is the most"));
    }
    Ok(name.to_owned())
}

fn read_watching(raw: Raw<'_>) -> Result<Watching, String> {
    if let Raw::Value(value) = raw
        && let Some(on) = value.as_bool()
    {
        return Ok(if on { Watching::Events } else { Watching::Off });
    }
    match raw.text("`true`, `false` or \"poll\"")?.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(Watching::Events),
        "false" | "0" | "no" | "off" => Ok(Watching::Off),
        "poll" => Ok(Watching::Poll),
        other => Err(format!("`{other}` is neither `true`, `false` nor `poll`")),
    }
}
