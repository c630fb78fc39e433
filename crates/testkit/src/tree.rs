//! Folders of projects as people have them, on a real disk, the same for the same seed: for the stories
//! and the measurements of whoever looks at such folders. What was grown is told beside it, hashes and
//! all, by rules written down a second time.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// What to grow.
#[derive(Debug, Clone, Copy)]
pub struct Tree {
    /// How many projects.
    pub projects: usize,
    /// How many artifacts, spread evenly over them.
    pub artifacts: usize,
    /// Another number is another tree.
    pub seed: u64,
}

/// What was grown.
#[derive(Debug)]
pub struct Grown {
    /// The folder below which the projects lie.
    pub root: PathBuf,
    /// The folder of the one collection that artifacts were deployed from.
    pub collections: PathBuf,
    /// The projects, by path.
    pub projects: Vec<GrownProject>,
    /// How many files the artifacts have …
    pub files: usize,
    /// … and how many bytes.
    pub bytes: usize,
}

/// A project that was grown.
#[derive(Debug)]
pub struct GrownProject {
    /// Its folder.
    pub path: PathBuf,
    /// Its artifacts, by path.
    pub artifacts: Vec<GrownArtifact>,
}

/// An artifact that was grown.
#[derive(Debug)]
pub struct GrownArtifact {
    /// Its name, without an ending.
    pub name: String,
    /// `skill`, `command`, `agent`, `hook` or `mcp`.
    pub kind: &'static str,
    /// From the project's folder.
    pub path: String,
    /// The files that it has, absolute; of one that is missing, none.
    pub files: Vec<PathBuf>,
    /// What it says of itself.
    pub description: Option<String>,
    /// The hash of what is there.
    pub hash: Option<String>,
    /// What became of it since it was deployed.
    pub lot: Lot,
}

/// What became of an artifact since it was deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lot {
    /// It was made here.
    Unrecorded,
    /// Nothing.
    AsDeployed,
    /// Its collection has a newer one.
    Outdated,
    /// It was edited.
    Modified,
    /// It was deleted.
    Missing,
}

const WORDS: [&str; 48] = [
    "review",
    "python",
    "testing",
    "deploy",
    "schema",
    "design",
    "security",
    "audit",
    "writer",
    "release",
    "cluster",
    "kernel",
    "payment",
    "search",
    "index",
    "format",
    "parser",
    "agent",
    "prompt",
    "pipeline",
    "metrics",
    "logging",
    "tracing",
    "database",
    "migration",
    "frontend",
    "backend",
    "mobile",
    "cloud",
    "network",
    "storage",
    "cache",
    "queue",
    "worker",
    "session",
    "report",
    "invoice",
    "document",
    "pdf",
    "spreadsheet",
    "slides",
    "translate",
    "summary",
    "research",
    "planner",
    "roadmap",
    "refactor",
    "debug",
];
/// The collection's name.
const COLLECTION: &str = "default";
/// Bytes of the text that all files are cut from.
const TEXT_BYTES: usize = 64 * 1024;
/// So many projects lie in one folder.
const EACH_TEAM: usize = 12;

impl Tree {
    /// Grows it below an empty folder: projects in `dev`, the collection in `collections`.
    pub fn grow(&self, dir: &Path) -> io::Result<Grown> {
        let mut chance = Chance(self.seed);
        let text = text(&mut chance);
        let mut growing = Growing { chance, text, locked: String::new(), files: 0, bytes: 0 };
        let (root, collections) = (dir.join("dev"), dir.join("collections"));
        let mut projects = Vec::with_capacity(self.projects);
        for number in 0..self.projects {
            let from = number * self.artifacts / self.projects;
            let until = (number + 1) * self.artifacts / self.projects;
            // Some lie deeper than others, as they do.
            let team = root.join(format!("team-{:02}", number / EACH_TEAM));
            let team = if number % 5 == 0 { team.join("more") } else { team };
            let path = team.join(format!("app-{number:03}"));
            projects.push(growing.project(path, from..until)?);
        }
        projects.sort_by(|a, b| a.path.cmp(&b.path));
        let collection = collections.join(COLLECTION);
        write_long_ago(&collection.join("collection.toml"), b"[collection]\nname = \"default\"\n")?;
        let locked = std::mem::take(&mut growing.locked);
        write_long_ago(&collection.join("collection.lock"), locked.as_bytes())?;
        Ok(Grown { root, collections, projects, files: growing.files, bytes: growing.bytes })
    }
}

impl Grown {
    /// How many artifacts there are of a lot.
    pub fn of_lot(&self, lot: Lot) -> usize {
        self.projects.iter().flat_map(|project| &project.artifacts).filter(|one| one.lot == lot).count()
    }
}

/// Writes a file long ago, so that its times prove that it was not written since.
pub fn write_long_ago(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)?;
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    fs::File::options().write(true).open(path)?.set_modified(long_ago)
}

/// The same numbers each time, without a library of chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len())]
    }
}

fn text(chance: &mut Chance) -> Vec<u8> {
    let mut text = String::with_capacity(TEXT_BYTES + 16);
    while text.len() < TEXT_BYTES {
        text.push_str(chance.word());
        text.push(if chance.below(12) == 0 { '\n' } else { ' ' });
    }
    text.into_bytes()
}

struct Growing {
    chance: Chance,
    text: Vec<u8>,
    /// What the collection's lock says.
    locked: String,
    files: usize,
    bytes: usize,
}

impl Growing {
    fn project(&mut self, path: PathBuf, numbers: std::ops::Range<usize>) -> io::Result<GrownProject> {
        let mut records = String::new();
        let mut artifacts = Vec::with_capacity(numbers.len());
        for number in numbers {
            let (artifact, record) = self.artifact(&path, number)?;
            records.push_str(&record);
            artifacts.push(artifact);
        }
        artifacts.sort_by(|a, b| a.path.cmp(&b.path));
        write_long_ago(&path.join(".claude/.skillmeat-deployed.toml"), records.as_bytes())?;
        self.surroundings(&path)?;
        Ok(GrownProject { path, artifacts })
    }

    /// What lies in a project besides: its own sources, and much that nobody looks into.
    fn surroundings(&mut self, path: &Path) -> io::Result<()> {
        write_long_ago(&path.join(".gitignore"), b"node_modules/\n.claude/skills/\n")?;
        write_long_ago(&path.join(".git/HEAD"), b"ref: refs/heads/main\n")?;
        for folder in 0..3 {
            for file in 0..3 {
                let bytes = self.some_text(300);
                write_long_ago(&path.join(format!("src/part-{folder}/file-{file}.py")), &bytes)?;
            }
        }
        for package in 0..5 {
            let skill = format!("node_modules/package-{package}/.claude/skills/not-mine/SKILL.md");
            write_long_ago(&path.join(skill), b"---\nname: not-mine\n---\n")?;
        }
        Ok(())
    }

    fn artifact(&mut self, project: &Path, number: usize) -> io::Result<(GrownArtifact, String)> {
        let name = format!("{}-{}-{number}", self.chance.word(), self.chance.word());
        let (kind, path) = match number % 20 {
            0..8 => ("skill", format!(".claude/skills/{name}")),
            8..13 => ("agent", format!(".claude/agents/{}/{name}.md", self.chance.word())),
            13..18 => ("command", format!(".claude/commands/{name}.md")),
            18 => ("hook", format!(".claude/hooks/{name}.json")),
            _ => ("mcp", format!(".claude/mcp/{name}.json")),
        };
        let lot = match self.chance.below(20) {
            0..9 => Lot::Unrecorded,
            9..15 => Lot::AsDeployed,
            15..17 => Lot::Outdated,
            17..19 => Lot::Modified,
            _ => Lot::Missing,
        };
        let description = (!matches!(kind, "hook" | "mcp")).then(|| self.description());
        let content = self.content(kind, &name, description.as_deref());
        let hash = hash_of(kind, &content);
        let record = self.record(kind, &name, &path, &hash, lot);
        let mut files = Vec::new();
        if lot != Lot::Missing {
            for (below, bytes) in &content {
                let file =
                    if below.is_empty() { project.join(&path) } else { project.join(&path).join(below) };
                write_long_ago(&file, bytes)?;
                self.files += 1;
                self.bytes += bytes.len();
                files.push(file);
            }
        }
        let is_there = lot != Lot::Missing;
        let hash = is_there.then_some(hash);
        let description = description.filter(|_| is_there);
        Ok((GrownArtifact { name, kind, path, files, description, hash, lot }, record))
    }

    /// The files of an artifact, in the order in which they are hashed.
    fn content(&mut self, kind: &str, name: &str, description: Option<&str>) -> Vec<(&'static str, Vec<u8>)> {
        let Some(description) = description else {
            return vec![(
                "",
                format!("{{\"name\": \"{name}\", \"command\": \"run {name}\"}}\n").into_bytes(),
            )];
        };
        let (first, second) = (self.chance.word(), self.chance.word());
        let mut bytes = format!(
            "---\nname: {name}\ndescription: {description}\nversion: 1.{}.0\ntags: [{first}, {second}]\n---\n# {name}\n\n",
            self.chance.below(30)
        )
        .into_bytes();
        let length = 500 + self.chance.below(4_500);
        bytes.extend(self.some_text(length));
        if kind != "skill" {
            return vec![("", bytes)];
        }
        let mut files = vec![("SKILL.md", bytes)];
        let others = ["references/guide.md", "references/notes.txt", "scripts/run.py"];
        for other in others.into_iter().take(self.chance.below(4)) {
            let length = 200 + self.chance.below(4_000);
            files.push((other, self.some_text(length)));
        }
        files
    }

    fn description(&mut self) -> String {
        let words: Vec<&str> = (0..8 + self.chance.below(16)).map(|_| self.chance.word()).collect();
        words.join(" ")
    }

    /// What is on record of it, and in its collection's lock.
    fn record(&mut self, kind: &str, name: &str, path: &str, hash: &str, lot: Lot) -> String {
        let other = |of: &str| hex(&Sha256::digest(format!("{name} {of}")));
        let (deployed, upstream) = match lot {
            Lot::Unrecorded => return String::new(),
            Lot::AsDeployed | Lot::Missing => (hash.to_owned(), hash.to_owned()),
            Lot::Outdated => (hash.to_owned(), other("newer")),
            Lot::Modified => (other("before"), other("before")),
        };
        // Writing to a text cannot fail.
        let _ = write!(
            self.locked,
            "[lock.entries.\"{name}::{kind}\"]\ncontent_hash = \"{upstream}\"\nfetched = \"2026-01-09T14:32:10\"\n\n"
        );
        let below = path.trim_start_matches(".claude/");
        format!(
            "[[deployed]]\nartifact_name = \"{name}\"\nartifact_type = \"{kind}\"\nfrom_collection = \"{COLLECTION}\"\n\
             deployed_at = \"2026-01-09T14:32:10.550083\"\nartifact_path = \"{below}\"\ncontent_hash = \"{deployed}\"\n\
             local_modifications = false\ndeployment_profile_id = \"claude_code\"\nplatform = \"claude_code\"\n\
             profile_root_dir = \".claude\"\n\n"
        )
    }

    fn some_text(&mut self, length: usize) -> Vec<u8> {
        let from = self.chance.below(TEXT_BYTES - length);
        self.text[from..from + length].to_vec()
    }
}

/// A file's is that of its bytes; a folder's is one over the paths and bytes of its files.
fn hash_of(kind: &str, content: &[(&str, Vec<u8>)]) -> String {
    let mut hasher = Sha256::new();
    for (path, bytes) in content {
        if kind == "skill" {
            hasher.update(path.as_bytes());
        }
        hasher.update(bytes);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
