//! The reading of files that others wrote: whole, and never one that is endless or keeps us waiting, as a link to
//! a device or a pipe would. Repositories carry links to wherever they please.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

/// Reads a plain file, links followed, and answers what the system said of the very file that was read. The error
/// is also that it is something else than a file, or has more than `most` bytes.
pub(crate) fn read_plain(path: &Path, most: u64) -> io::Result<(Vec<u8>, Metadata)> {
    // Some devices do something when they are opened, so it is asked before, and once more of what was opened.
    plain(&fs::metadata(path)?)?;
    let file = open(path)?;
    let about = file.metadata()?;
    plain(&about)?;
    let too_large = || io::Error::other(format!("it has more than {most} bytes"));
    if about.len() > most {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default());
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large());
    }
    Ok((bytes, about))
}

fn plain(about: &Metadata) -> io::Result<()> {
    if about.is_file() { Ok(()) } else { Err(io::Error::other("it is not a file")) }
}

/// Without waiting for anybody at a pipe's other end, nor taking a terminal for one's own.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_up_to_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.json");
        fs::write(&path, "12345").unwrap();
        let (bytes, about) = read_plain(&path, 5).unwrap();
        assert_eq!((bytes.as_slice(), about.len()), (&b"12345"[..], 5));
        assert!(read_plain(&path, 4).unwrap_err().to_string().contains("more than 4 bytes"));
        assert_eq!(read_plain(&dir.path().join("none"), 4).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_need_never_end_is_not_read_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let endless = dir.path().join("endless");
        std::os::unix::fs::symlink("/dev/zero", &endless).unwrap();
        for path in [pipe.as_path(), endless.as_path(), dir.path()] {
            let error = read_plain(path, 1 << 20).unwrap_err();
            assert!(error.to_string().contains("not a file"), "{error}");
        }
    }
}
