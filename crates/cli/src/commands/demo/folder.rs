//! The demo's local projects: a small folder of them, grown where nothing of it is kept, with something
//! of all that the pages tell of, and changes to watch.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use larder_sources::ProjectsConfig;
use sha2::{Digest as _, Sha256};

/// The folder of the demo's projects.
pub struct Folder {
    dir: PathBuf,
    /// How many changes were made.
    changes: AtomicUsize,
}

/// What became of an artifact since it was deployed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lot {
    /// It was made there.
    Own,
    /// Nothing.
    Same,
    /// Its collection has this newer version.
    Outdated(&'static str),
    Modified,
    Missing,
}

/// An artifact: its project, type, name, version, tags, and what it says of itself.
type Made = (&'static str, &'static str, &'static str, Lot, &'static str, &'static str, &'static str);

const ARTIFACTS: [Made; 18] = [
    ("kiln", "skill", "pdf", Lot::Same, "2.4.0", "documents, forms", "Fills forms and takes PDF files apart"),
    ("kiln", "skill", "release-notes", Lot::Outdated("1.9.0"), "1.7.2", "release", RELEASE_NOTES),
    ("kiln", "agent", "reviewer", Lot::Modified, "1.0.0", "review", "Reads a change as a careful colleague"),
    ("kiln", "command", "ship", Lot::Missing, "0.3.0", "release", "Tags, builds and announces a version"),
    (
        "harbor",
        "skill",
        "postgres",
        Lot::Same,
        "3.1.0",
        "database",
        "Explains slow queries, proposes indexes",
    ),
    ("harbor", "agent", "on-call", Lot::Same, "1.2.0", "operations", "Gathers what an incident needs first"),
    ("harbor", "command", "changelog", Lot::Outdated("2.0.0"), "1.4.0", "release", "Writes what changed"),
    ("harbor", "mcp", "registry", Lot::Own, "", "", ""),
    ("harbor", "hook", "format-on-save", Lot::Own, "", "", ""),
    (
        "atlas",
        "skill",
        "map-styles",
        Lot::Own,
        "0.1.0",
        "maps, design",
        "Checks a map's colours for contrast",
    ),
    (
        "atlas",
        "agent",
        "geocoder",
        Lot::Modified,
        "1.1.0",
        "maps",
        "Finds places in addresses as people write",
    ),
    ("atlas", "command", "tiles", Lot::Same, "1.0.3", "maps, build", "Cuts tiles and measures them"),
    ("quill", "skill", "typesetting", Lot::Same, "1.3.0", "documents", "Sets pages as a printer would"),
    ("quill", "skill", "footnotes", Lot::Own, "0.2.0", "documents", "Keeps notes where they belong"),
    (
        "quill",
        "skill",
        "pdf",
        Lot::Outdated("2.4.0"),
        "2.2.1",
        "documents, forms",
        "Fills forms and takes PDFs apart",
    ),
    ("photon", "agent", "bench", Lot::Own, "0.5.0", "performance", "Measures twice, and says how sure it is"),
    ("photon", "command", "profile", Lot::Own, "0.1.0", "performance", "Draws where the time goes"),
    ("beacon", "skill", "translate", Lot::Same, "1.0.0", "languages", "Translates, and asks where it doubts"),
];

const RELEASE_NOTES: &str =
    "Writes release notes from merged pull requests, in the words of those who use it";

/// The one collection that they come from.
const COLLECTION: &str = "workshop";

impl Folder {
    /// Grows it below a folder.
    pub fn grow(dir: &Path) -> io::Result<Self> {
        let folder = Folder { dir: dir.to_owned(), changes: AtomicUsize::new(0) };
        let mut locked = String::new();
        let mut projects: Vec<&str> = ARTIFACTS.iter().map(|(project, ..)| *project).collect();
        projects.dedup();
        for project in projects {
            let mut records = String::new();
            for made in ARTIFACTS.iter().filter(|(of, ..)| *of == project) {
                folder.plant(made, &mut records, &mut locked)?;
            }
            let profile = folder.root().join(project).join(".claude");
            write_long_ago(&profile.join(".skillmeat-deployed.toml"), &records)?;
        }
        // Nobody's front matter is always well.
        write_long_ago(&folder.root().join("quill/.claude/agents/proofreader.md"), "---\nname: [\n---\n")?;
        let collection = folder.collection();
        let manifest = format!("[collection]\nname = \"{COLLECTION}\"\n");
        write_long_ago(&collection.join("collection.toml"), &manifest)?;
        write_long_ago(&collection.join("collection.lock"), &locked)?;
        Ok(folder)
    }

    /// Where the projects lie.
    pub fn root(&self) -> PathBuf {
        self.dir.join("projects")
    }

    fn collection(&self) -> PathBuf {
        self.dir.join("collections").join(COLLECTION)
    }

    /// What has to be configured to see them.
    pub fn config(&self) -> ProjectsConfig {
        ProjectsConfig {
            roots: vec![self.root()],
            collections: vec![self.collection()],
            ..ProjectsConfig::default()
        }
    }

    /// Makes one of four changes, each in its turn, the last two taking the first two back. Says which.
    pub fn change(&self) -> io::Result<String> {
        let (edited, added) = ("kiln/.claude/skills/pdf/SKILL.md", "atlas/.claude/skills/night-shift");
        let edited_file = self.root().join(edited);
        match self.changes.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => {
                let text = fs::read_to_string(&edited_file)?;
                replace(&edited_file, &format!("{text}\nAlways keep a copy of the original.\n"))?;
                Ok(format!("{edited} was edited: it is not what was deployed any more."))
            }
            1 => {
                let text = "---\nname: night-shift\ndescription: Renders large maps while everybody sleeps\n\
                            version: 0.1.0\ntags: [maps]\n---\n# Night shift\n";
                replace(&self.root().join(added).join("SKILL.md"), text)?;
                Ok(format!("{added} was written: a new skill."))
            }
            2 => {
                let made = ARTIFACTS.iter().find(|made| (made.0, made.2) == ("kiln", "pdf"));
                replace(&edited_file, &made.map(text).unwrap_or_default())?;
                Ok(format!("{edited} was set right again."))
            }
            _ => {
                fs::remove_dir_all(self.root().join(added))?;
                Ok(format!("{added} was deleted."))
            }
        }
    }

    /// Writes an artifact, unless it is missing, with what is on record of it.
    fn plant(&self, made: &Made, records: &mut String, locked: &mut String) -> io::Result<()> {
        let &(project, kind, name, lot, version, ..) = made;
        let path = path(kind, name);
        let text = text(made);
        let hash = |text: &str| hash(kind, text);
        if lot != Lot::Missing {
            let file = self.root().join(project).join(".claude").join(&path);
            let file = if kind == "skill" { file.join("SKILL.md") } else { file };
            let more = if lot == Lot::Modified { "\nBe kind.\n" } else { "" };
            write_long_ago(&file, &format!("{text}{more}"))?;
        }
        if lot == Lot::Own {
            return Ok(());
        }
        let (upstream, newest) = match lot {
            Lot::Outdated(newer) => (hash(newer), newer),
            Lot::Own | Lot::Same | Lot::Modified | Lot::Missing => (hash(&text), version),
        };
        // Writing to a text cannot fail. What several projects have stands in the lock once.
        let head = format!("[lock.entries.\"{name}::{kind}\"]\n");
        if !locked.contains(&head) {
            let _ =
                write!(locked, "{head}content_hash = \"{upstream}\"\nresolved_version = \"{newest}\"\n\n");
        }
        let _ = write!(
            records,
            "[[deployed]]\nartifact_name = \"{name}\"\nartifact_type = \"{kind}\"\n\
             artifact_path = \"{path}\"\nfrom_collection = \"{COLLECTION}\"\n\
             deployed_at = \"2026-01-09T14:32:10\"\ncontent_hash = \"{}\"\n\
             profile_root_dir = \".claude\"\n\n",
            hash(&text)
        );
        Ok(())
    }
}

/// Where an artifact lies in its profile's folder.
fn path(kind: &str, name: &str) -> String {
    match kind {
        "skill" => format!("skills/{name}"),
        "mcp" => format!("mcp/{name}.json"),
        "hook" => format!("hooks/{name}.json"),
        _ => format!("{kind}s/{name}.md"),
    }
}

/// An artifact's file, as it was deployed.
fn text(&(_, kind, name, _, version, tags, about): &Made) -> String {
    if matches!(kind, "mcp" | "hook") {
        return format!("{{\"name\": \"{name}\", \"command\": \"{name}\"}}\n");
    }
    format!(
        "---\nname: {name}\ndescription: {about}\nversion: {version}\ntags: [{tags}]\n---\n# {name}\n\n{about}.\n"
    )
}

/// The hash that a deployment records: of a file its bytes', of a folder over the paths and bytes in it.
fn hash(kind: &str, text: &str) -> String {
    let mut hasher = Sha256::new();
    if kind == "skill" {
        hasher.update("SKILL.md");
    }
    hasher.update(text);
    hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Writes a file as if weeks ago, so that what is changed later stands out.
fn write_long_ago(path: &Path, text: &str) -> io::Result<()> {
    replace(path, text)?;
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_789_000_000);
    fs::File::options().write(true).open(path)?.set_modified(long_ago)
}

/// Writes a file beside and renames it, as editors do: nobody reads half of it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}
