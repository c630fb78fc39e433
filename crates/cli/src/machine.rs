//! What this machine is called in a store that several share: two laptops whose folders lie at the same paths
//! would take each other's local projects for their own, and show what is private to one of them on the other.
//!
//! Whoever has a fresh home each time, as jobs have, is the same machine each time all the same: else each run
//! would leave all its projects once more. So it is told by what the system knows; a name of our own is kept in
//! the home folder only where that is nothing.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::config::{Config, Host, StoreUrl, make_private_dir};

/// The system's id of a machine is for nobody else's eyes: what is made of it without a key of the program's own
/// would tell it to whoever compares (see machine-id(5)).
const PURPOSE: &str = "larder: whose local projects are these";

/// The file in the user's state directory.
const FILE: &str = "machine";

/// How many hexadecimal digits it has.
const DIGITS: usize = 16;

/// What to tell local projects by; `None` where the store is a file, which is this machine's anyway. Without
/// folders to look at none is made for longer than this process lasts: others' projects are not its own either.
pub fn name_for(config: &Config) -> Option<String> {
    if matches!(config.store.url.value, StoreUrl::Postgres(_)) { own_name(config) } else { None }
}

/// What it is called wherever several machines keep theirs in one store.
pub fn own_name(config: &Config) -> Option<String> {
    let named = config.projects.machine.as_ref().map(|machine| machine.value.clone());
    named.or_else(|| system_name(config))
}

/// What it is called where nobody said otherwise: the same for all configurations on it.
pub fn system_name(config: &Config) -> Option<String> {
    known_by(&config.host).or_else(|| kept(config))
}

/// What the system tells a machine and its user by. Containers made of one image may share the id, or have none,
/// and are called differently; what follows the first dot of that name says where a laptop is, not which one.
/// `None` = it has neither an id nor a name that is not everybody's.
fn known_by(host: &Host) -> Option<String> {
    let id = host.id_files.iter().find_map(|file| system_id(&fs::read_to_string(file).ok()?));
    let name = host.name.split('.').next().filter(|name| !["", "localhost", "(none)"].contains(name));
    if id.is_none() && name.is_none() {
        return None;
    }
    let user = host.user.map(|number| number.to_string());
    let mut hasher = blake3::Hasher::new_derive_key(PURPOSE);
    for part in [id.as_deref(), name, user.as_deref()] {
        hasher.update(part.unwrap_or_default().as_bytes()).update(b"\0");
    }
    Some(hasher.finalize().to_hex()[..DIGITS].to_owned())
}

/// The id that such a file holds; `None` = nothing, or what stands there until there is one.
fn system_id(text: &str) -> Option<String> {
    let id = text.trim().replace('-', "").to_ascii_lowercase();
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(id).filter(|id| is_id && id.bytes().any(|byte| byte != b'0'))
}

/// The name in the user's state directory.
fn kept(config: &Config) -> Option<String> {
    let path = config.dirs.state.join(FILE);
    let projects = config.projects.config();
    let has_roots = !projects.roots.is_empty() || projects.cwd.is_some();
    let new = || if has_roots { make(&path) } else { fresh() };
    let named = read(&path).and_then(|known| known.map_or_else(new, Ok));
    named
        .inspect_err(|error| {
            let path = path.display();
            tracing::warn!(%error, "{path} could not be kept: local projects are this process's alone");
        })
        .or_else(|_| fresh())
        .ok()
}

/// `None` = there is none yet, or what is there is no name.
fn read(path: &Path) -> io::Result<Option<String>> {
    let is_name = |text: &str| text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| is_name(text))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes one. Of processes that do so at once the first one's counts.
fn make(path: &Path) -> io::Result<String> {
    let dir = path.parent().unwrap_or(Path::new("."));
    make_private_dir(dir)?;
    let name = fresh()?;
    let mut beside = tempfile::NamedTempFile::new_in(dir)?;
    writeln!(beside, "{name}")?;
    match beside.persist_noclobber(path) {
        Ok(_) => Ok(name),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => match read(path)? {
            Some(theirs) => Ok(theirs),
            None => fs::write(path, format!("{name}\n")).map(|()| name),
        },
        Err(error) => Err(error.error),
    }
}

fn fresh() -> io::Result<String> {
    Ok(format!("{:016x}", getrandom::u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_keeps_its_name_and_no_other_has_it() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let path = dirs[0].path().join("state/larder/machine");
        let name = make(&path).unwrap();
        assert_eq!(read(&path).unwrap(), Some(name.clone()));
        assert_eq!(make(&path).unwrap(), name, "whoever came second takes the first one's");
        assert_ne!(make(&dirs[1].path().join("machine")).unwrap(), name);
        fs::write(&path, "half a na").unwrap();
        assert_eq!(read(&path).unwrap(), None);
        let anew = make(&path).unwrap();
        assert_eq!(read(&path).unwrap(), Some(anew));
    }

    const ID: &str = "9f2c0b7a1d3e4f5a8b6c7d8e9f0a1b2c";

    /// A system whose files hold these.
    fn host(dir: &tempfile::TempDir, ids: &[&str], name: &str) -> Host {
        let write = |(number, id): (usize, &&str)| {
            let file = dir.path().join(number.to_string());
            fs::write(&file, id).unwrap();
            file
        };
        let id_files = ids.iter().enumerate().map(write).collect();
        Host { id_files, name: name.to_owned(), user: Some(1000) }
    }

    #[test]
    fn a_machine_is_told_by_its_id_its_name_and_its_user() {
        let dir = tempfile::tempdir().unwrap();
        let here = host(&dir, &[&format!("{ID}\n")], "kiln.lan");
        let name = known_by(&here).unwrap();
        assert_eq!(name.len(), DIGITS);
        assert_eq!(known_by(&here).unwrap(), name);
        assert_eq!(known_by(&Host { name: "kiln.example.org".into(), ..here.clone() }).unwrap(), name);
        for other in [
            Host { user: Some(1001), ..here.clone() },
            Host { name: "kiln2.lan".into(), ..here.clone() },
            Host { id_files: Vec::new(), ..here.clone() },
        ] {
            assert_ne!(known_by(&other).unwrap(), name, "{other:?}");
        }
        fs::write(&here.id_files[0], ID.replace('9', "8")).unwrap();
        assert_ne!(known_by(&here).unwrap(), name);
    }

    /// A container's file of that name is often empty, and its name may be everybody's.
    #[test]
    fn what_tells_no_machine_from_another_is_not_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let told = |ids: &[&str], name: &str| known_by(&host(&dir, ids, name));
        let zeros = "0".repeat(32);
        for id in ["", "\n", "uninitialized\n", &zeros, "9f2c"] {
            for name in ["", "localhost", "localhost.localdomain", "(none)"] {
                assert_eq!(told(&[id], name), None, "{id:?} {name:?}");
            }
            assert_eq!(told(&[id], "kiln"), told(&[], "kiln"), "{id:?}");
            assert_eq!(told(&[id, ID], "kiln"), told(&[ID], "kiln"), "the other file has one");
        }
        assert!(told(&[ID], "localhost").is_some() && told(&[], "kiln").is_some());
        let gone = Host { id_files: vec![dir.path().join("gone")], ..host(&dir, &[], "kiln") };
        assert_eq!(known_by(&gone), told(&[], "kiln"));
    }

    #[test]
    fn nobody_learns_the_systems_id_from_a_machines_name() {
        let dir = tempfile::tempdir().unwrap();
        let name = known_by(&host(&dir, &[ID], "localhost")).unwrap();
        assert!(!ID.contains(&name));
        for plain in [ID.to_owned(), format!("{ID}\n"), format!("{ID}\0\x001000\0")] {
            assert!(!blake3::hash(plain.as_bytes()).to_hex().contains(&name));
        }
    }
}
