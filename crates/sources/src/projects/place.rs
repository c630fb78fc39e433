//! How folders are named: in keys, in identities, in documents, whatever bytes their names hold.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// Everything but RFC 3986's unreserved characters and the `/` between parts.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// How many hexadecimal digits of a path's digest tell one folder from another of the same name.
const DIGITS: usize = 12;
/// How much of a name is shown in an id.
const SLUG_CHARS_MAX: usize = 40;

/// How many before them tell one machine from another.
const MACHINE_DIGITS: usize = 6;

/// A stable name for a folder that fits an address: what it is called, and a digest of its path, behind one of
/// its machine where that is one of several.
pub(super) fn id_of(path: &Path, machine: &str) -> String {
    let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    let mut slug = String::new();
    for c in name.chars().flat_map(char::to_lowercase).take(SLUG_CHARS_MAX) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let digest = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    let dash = if slug.is_empty() || slug.ends_with('-') { "" } else { "-" };
    format!("{slug}{dash}{}{}", mark_of(machine), &digest[..DIGITS])
}

/// Whether a folder of that id is on no other machine, as all are where there is no other. What bears no
/// machine's mark is anybody's.
pub(super) fn is_of(id: &str, machine: &str) -> bool {
    let digits = id.rsplit(['-', '/']).next().unwrap_or_default();
    let mark = digits.len().checked_sub(DIGITS).and_then(|end| digits.get(..end)).unwrap_or_default();
    machine.is_empty() || mark.is_empty() || mark == mark_of(machine)
}

/// Whose folders those of an id are, and what they bear where they are moved to: marks of machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machines {
    /// The machine that those are of which bear no mark, if it is another than this one.
    pub from: Option<String>,
    /// This machine's, wherever several keep theirs.
    pub here: String,
    /// This machine's where they are moved to; nothing, if it is alone there.
    pub there: String,
}

impl Machines {
    /// The id that a folder has where it is moved to; `None` = the one that it has.
    pub(super) fn moved_id(&self, id: &str) -> Option<String> {
        let digits = id.rsplit('-').next().unwrap_or_default();
        let end = digits.len().checked_sub(DIGITS)?;
        let (mark, digest) = (digits.get(..end)?, digits.get(end..)?);
        let mark = match (mark, &self.from) {
            ("", Some(theirs)) => theirs,
            ("", None) => &self.there,
            (mark, _) if mark == self.here => &self.there,
            _ => return None,
        };
        let name = &id[..id.len() - digits.len()];
        Some(format!("{name}{mark}{digest}")).filter(|moved| moved != id)
    }
}

/// What tells a machine of that name from others in the ids of its folders; nothing, where it has none.
pub fn machine_mark(machine: &str) -> String {
    mark_of(machine)
}

fn mark_of(machine: &str) -> String {
    let digest = blake3::hash(machine.as_bytes()).to_hex();
    if machine.is_empty() { String::new() } else { digest[..MACHINE_DIGITS].to_owned() }
}

/// A text for people: as it is, or with `\xNN` for bytes that are no text.
pub(super) fn shown(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
    }
    text
}

/// A relative path for people, with `/` between.
pub(super) fn shown_path(path: &Path) -> String {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(shown(name)),
        _ => None,
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// A path as a document keeps it, to be opened again by another process.
pub(super) fn kept(path: &Path) -> String {
    percent_encode(path.as_os_str().as_encoded_bytes(), ENCODED).to_string()
}

/// The path that [`kept`] wrote.
pub(super) fn opened(text: &str) -> PathBuf {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        PathBuf::from(std::ffi::OsString::from_vec(bytes))
    }
    #[cfg(not(unix))]
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_the_name_and_tells_folders_apart() {
        let id_of = |path: &str| super::id_of(Path::new(path), "");
        let id = id_of("/home/a/dev/My App!");
        assert!(id.starts_with("my-app-") && id.len() == "my-app-".len() + DIGITS, "{id}");
        assert_ne!(id, id_of("/home/b/dev/My App!"));
        assert_eq!(id, id_of("/home/a/dev/My App!"));
        assert_eq!(id_of("/").len(), DIGITS);
        assert!(id_of("/srv/проект").chars().all(|c| c.is_ascii_hexdigit()));
    }

    #[test]
    fn an_id_says_whether_its_folder_is_on_another_machine() {
        for path in ["/home/a/dev/My App!", "/srv/проект", "/"] {
            let [alone, one, two] = ["", "one", "two"].map(|machine| id_of(Path::new(path), machine));
            assert!(alone != one && one != two, "{one}");
            for id in [one.clone(), format!("roots/{one}")] {
                assert!(is_of(&id, "one") && !is_of(&id, "two") && is_of(&id, ""), "{id}");
            }
            assert!(is_of(&alone, "one") && is_of("roots/", "one"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn any_bytes_survive_the_way_there_and_back() {
        use std::os::unix::ffi::OsStrExt;
        let odd = Path::new(OsStr::from_bytes(b"/srv/caf\xe9/new\nline %41"));
        assert_eq!(opened(&kept(odd)), odd);
        assert_eq!(shown_path(odd.strip_prefix("/srv").unwrap()), "caf\\xE9/new\nline %41");
        assert_eq!(shown_path(Path::new("")), ".");
    }
}
