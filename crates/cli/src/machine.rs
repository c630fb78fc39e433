//! What this machine is called in a store that several share: two laptops whose folders lie at the same paths
//! would take each other's local projects for their own, and show what is private to one of them on the other.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::config::{Config, StoreUrl, make_private_dir};

/// The file in the user's state directory.
const FILE: &str = "machine";

/// How many hexadecimal digits it has.
const DIGITS: usize = 16;

/// What to tell local projects by; `None` where the store is a file, which is this machine's anyway. Without
/// folders to look at none is made for longer than this process lasts: others' projects are not its own either.
pub fn name_for(config: &Config) -> Option<String> {
    let projects = config.projects.config();
    let has_roots = !projects.roots.is_empty() || projects.cwd.is_some();
    if !matches!(config.store.url.value, StoreUrl::Postgres(_)) {
        return None;
    }
    let path = config.dirs.state.join(FILE);
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
}
