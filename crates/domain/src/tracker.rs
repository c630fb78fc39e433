//! The item kind `tracker`: an issue that stands for a release, a microsprint or the like. A label
//! says which kind it is, a title prefix that it is one at all (formats, section 4).

mod manifest;
mod stats;
mod version;

use larder_core::{Column, ColumnType, Coverage, ItemRef, Json, NewItem, Scope, Time, ViewSpec};
use serde::{Deserialize, Serialize};

pub use manifest::{Generated, Held, Manifest, ManifestError, ManifestTracker, Verdict, generate, payload};
pub use stats::{TrackerMonth, TrackerStats, month_of};
pub use version::sort_key;

/// The kind's name.
pub const TRACKER: &str = "tracker";

/// How a kind of tracker is told from other issues, and its title read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerType {
    /// `release`, `microsprint`, or one's own: the last part of its entries' keys.
    pub name: String,
    /// An issue carries all of these.
    pub labels: Vec<String>,
    /// Its title begins with one of these, whatever the case: `Release:`.
    pub prefixes: Vec<String>,
    /// What stands behind the prefix.
    pub reads: Reads,
}

/// What stands behind a title's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// A version, and perhaps a codename in brackets: `v2.0.0 (Phoenix)`.
    Version,
    /// A name, and perhaps what it belongs to in square brackets: `2025-12-20-a-name [release/v2.0.0]`.
    Name,
}

/// Whether the issue is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackerState {
    /// Active.
    #[default]
    #[serde(alias = "OPEN")]
    Open,
    /// Released, or over.
    #[serde(alias = "CLOSED")]
    Closed,
}

/// One tracker, as an item's document holds it and `--json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracker {
    /// `owner/name`, as written upstream.
    pub repo: String,
    /// The number.
    pub number: u64,
    /// Its [`TrackerType`]'s name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The title as it is.
    pub title: String,
    /// What stands behind the prefix, without codename and brackets.
    pub name: String,
    /// The version as in the title (`release/v0.9.0`), where titles have one.
    pub version: Option<String>,
    /// The codename, where there is one.
    pub codename: Option<String>,
    /// Open or closed.
    pub state: TrackerState,
    /// When the issue was opened.
    pub created_at: Option<Time>,
    /// When it was closed; `None` while it is open.
    pub closed_at: Option<Time>,
    /// Its page.
    pub url: String,
}

/// Trackers as a table.
pub const TRACKERS: ViewSpec = ViewSpec {
    kind: TRACKER,
    view: "trackers",
    columns: &[
        indexed("repo", ColumnType::Text),
        column("number", ColumnType::Integer),
        column("type", ColumnType::Text),
        column("title", ColumnType::Text),
        column("name", ColumnType::Text),
        column("version", ColumnType::Text),
        column("codename", ColumnType::Text),
        column("state", ColumnType::Text),
        indexed("created_at", ColumnType::Time),
        column("closed_at", ColumnType::Time),
        column("url", ColumnType::Text),
        indexed("sort_key", ColumnType::Text),
    ],
    title: "title",
    words: &["codename", "repo"],
};

const fn column(name: &'static str, holds: ColumnType) -> Column {
    Column { name, holds, indexed: false }
}

const fn indexed(name: &'static str, holds: ColumnType) -> Column {
    Column { name, holds, indexed: true }
}

/// What the store holds besides, to sort by: the sort key, and the number, so that of two with one
/// title the later issue stands first in a list that is cut short too.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    tracker: &'a Tracker,
    sort_key: String,
}

impl TrackerType {
    /// The label `release` with titles such as `Release: v2.0.0 (Phoenix)`.
    pub fn release() -> Self {
        TrackerType::new("release", "Release:", Reads::Version)
    }

    /// The label `microsprint` with titles such as `Microsprint: 2025-12-20-a-name`.
    pub fn microsprint() -> Self {
        TrackerType::new("microsprint", "Microsprint:", Reads::Name)
    }

    fn new(name: &str, prefix: &str, reads: Reads) -> Self {
        TrackerType {
            name: name.to_owned(),
            labels: vec![name.to_owned()],
            prefixes: vec![prefix.to_owned()],
            reads,
        }
    }

    /// The manifest's field for these: `releases`, `branches`.
    pub fn plural(&self) -> String {
        plural(&self.name)
    }

    /// Reads a title: `None` = it is not one of these trackers, whatever its labels.
    pub fn read(&self, title: &str) -> Option<Titled> {
        let behind = self.prefixes.iter().find_map(|prefix| behind(title.trim_start(), prefix))?;
        let (rest, bracketed) = match self.reads {
            Reads::Version => cut(behind, '(', ')'),
            Reads::Name => cut(behind, '[', ']'),
        };
        if rest.is_empty() {
            return None;
        }
        Some(match self.reads {
            Reads::Version => Titled {
                name: rest.to_owned(),
                version: Some(rest.to_owned()),
                codename: bracketed.map(str::to_owned),
            },
            Reads::Name => Titled { name: rest.to_owned(), version: None, codename: None },
        })
    }
}

/// Many of a type: `releases`, `branches`.
pub fn plural(name: &str) -> String {
    let hisses = ["s", "x", "z", "ch", "sh"].iter().any(|end| name.ends_with(end));
    format!("{name}{}", if hisses { "es" } else { "s" })
}

/// What a title says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Titled {
    /// The name.
    pub name: String,
    /// The version.
    pub version: Option<String>,
    /// The codename.
    pub codename: Option<String>,
}

/// What stands behind a prefix, trimmed; prefixes are told whatever the case.
fn behind<'t>(title: &'t str, prefix: &str) -> Option<&'t str> {
    let start = title.get(..prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| title[prefix.len()..].trim())
}

/// Cuts a bracketed end off, with the brackets in it.
fn cut(text: &str, opens: char, closes: char) -> (&str, Option<&str>) {
    let inner = text.strip_suffix(closes).and_then(|open| {
        let place = opening(open, opens, closes)?;
        Some((&open[..place], &open[place + opens.len_utf8()..]))
    });
    match inner {
        Some((rest, inner)) if !inner.trim().is_empty() => (rest.trim_end(), Some(inner.trim())),
        Some((rest, _)) => (rest.trim_end(), None),
        None => (text, None),
    }
}

/// The place of the bracket that one behind the text would close, or of the first if more are closed than opened.
fn opening(text: &str, opens: char, closes: char) -> Option<usize> {
    let (mut first, mut depth) = (None, 1_u32);
    for (place, c) in text.char_indices().rev() {
        if c == closes {
            depth += 1;
        } else if c == opens {
            (first, depth) = (Some(place), depth - 1);
            if depth == 0 {
                break;
            }
        }
    }
    first
}

impl Tracker {
    /// The name of its item: unique by host, repository, type and number, since titles are not.
    pub fn item_ref(&self, host: &str) -> ItemRef {
        let repo = self.repo.to_lowercase();
        ItemRef::new(TRACKER, format!("{host}/{repo}/{}/{}", self.kind, self.number))
    }

    /// The text that its list is sorted by.
    pub fn sort_key(&self) -> String {
        match &self.version {
            Some(version) => sort_key(version),
            None => self.name.to_lowercase(),
        }
    }

    /// Its place in a list, the greatest first: the newest version, or the last name; of two with one
    /// title the later issue.
    fn place(&self) -> String {
        // A tab sorts below all that a key may go on with.
        format!("{}\t{:010}", self.sort_key(), self.number)
    }

    /// It as an item.
    pub fn into_item(self, host: &str, scope: Scope) -> NewItem {
        let document = Document { sort_key: self.place(), tracker: &self };
        let doc =
            serde_json::to_value(&document).map_or_else(|_| Json::from(serde_json::Value::Null), Json::from);
        NewItem { of: self.item_ref(host), scope, doc, coverage: Coverage::Whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_read_as_people_write_them() {
        let release = TrackerType::release();
        let read =
            |title: &str| release.read(title).map(|read| (read.version.unwrap_or_default(), read.codename));
        let plain = |version: &str| Some((version.to_owned(), None));
        assert_eq!(read("Release: v2.0.0 (Phoenix)"), Some(("v2.0.0".into(), Some("Phoenix".into()))));
        assert_eq!(read("Release: release/v0.9.0"), plain("release/v0.9.0"));
        assert_eq!(read("Release: patch/v0.9.3"), plain("patch/v0.9.3"));
        assert_eq!(read("release:v1 ()"), plain("v1"));
        assert_eq!(read("Release: v1 (a) (B c)"), Some(("v1 (a)".into(), Some("B c".into()))));
        let nested = Some(("v9.9.8".into(), Some("a (b)".into())));
        assert_eq!(read("Release: v9.9.8 (a (b))"), nested);
        assert_eq!(read("Release: v9 (x) ((a) (b))"), Some(("v9 (x)".into(), Some("(a) (b)".into()))));
        assert_eq!(read("Release: v9 (Smile :))"), Some(("v9".into(), Some("Smile :)".into()))));
        assert_eq!(read("Release: v9 a)"), plain("v9 a)"));
        for other in
            ["Release v1", "Plan the Release: v1", "Release:", "Release: (Phoenix)", "", "Rel\u{e9}ase: v1"]
        {
            assert_eq!(read(other), None, "{other:?}");
        }
        let sprint = TrackerType::microsprint();
        let name = |title: &str| sprint.read(title).map(|read| read.name);
        assert_eq!(
            name("Microsprint: 2025-12-20-a-name [release/v2.0.0]").as_deref(),
            Some("2025-12-20-a-name")
        );
        assert_eq!(name("Microsprint: a-name [of [b]]").as_deref(), Some("a-name"));
        assert_eq!(name("Microsprint: tidy (again)").as_deref(), Some("tidy (again)"));
    }

    #[test]
    fn two_trackers_of_one_title_are_two() {
        let one =
            Tracker { repo: "Octo/Kiln".into(), kind: "release".into(), number: 4, ..Tracker::default() };
        let two = Tracker { number: 9, ..one.clone() };
        assert_ne!(one.item_ref("github.com"), two.item_ref("github.com"));
        assert_eq!(&*one.item_ref("github.com").id, "github.com/octo/kiln/release/4");
        assert!(two.place() > one.place(), "the later issue stands first");
    }

    #[test]
    fn the_document_is_what_json_prints_and_a_sort_key() {
        let tracker = Tracker {
            repo: "octo/kiln".into(),
            number: 7,
            kind: "release".into(),
            title: "Release: v1.2".into(),
            name: "v1.2".into(),
            version: Some("v1.2".into()),
            ..Tracker::default()
        };
        let item = tracker.clone().into_item("github.com", Scope::Public);
        let doc: serde_json::Value = item.doc.decode().unwrap();
        assert_eq!(doc["sort_key"], format!("{}\t0000000007", sort_key("v1.2")));
        assert_eq!(doc["state"], "open");
        assert_eq!(item.doc.decode::<Tracker>().unwrap(), tracker);
    }

    #[test]
    fn manifest_fields_are_plurals() {
        assert_eq!(TrackerType::release().plural(), "releases");
        assert_eq!(TrackerType::new("branch", "Branch:", Reads::Name).plural(), "branches");
    }
}
