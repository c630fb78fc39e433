//! What `larder doctor` finds out about the file system: can it be written, is there room, is it
//! of this machine.

use std::path::Path;

use super::Check;
use crate::config::{Dirs, make_private_dir};

/// With less room than this, a database may soon fail to grow.
const ROOM_WARN_MIB: u64 = 200;
/// With less than this, it fails.
const ROOM_FAIL_MIB: u64 = 10;

/// What to do where the database cannot be.
const DATA_HINT: &str = "make it writable, or set `[store] url` to a place that is";
/// The same of what the user trusts, and of the logs, which go where the system says.
const STATE_HINT: &str = "make it writable, or set the variable XDG_STATE_HOME to a folder that is";

/// Looks at where the database, if it is a file, and the state live.
pub fn check(database: Option<&Path>, dirs: &Dirs) -> Vec<Check> {
    let Some(database) = database else { return vec![writable("state", &dirs.state, STATE_HINT)] };
    let data = database.parent().unwrap_or(&dirs.data);
    let mut checks = vec![writable("data", data, DATA_HINT), writable("state", &dirs.state, STATE_HINT)];
    checks.extend(room(data));
    checks.extend(network(data));
    checks.extend(private(database));
    checks
}

/// Writes a file there and takes it away again: permissions alone do not tell.
fn writable(on: &'static str, dir: &Path, hint: &str) -> Check {
    let probe = dir.join(format!(".larder-doctor-{}", std::process::id()));
    let tried = make_private_dir(dir).and_then(|()| {
        let written = std::fs::write(&probe, b"x");
        // On a full disk it is made, and nothing can be written into it.
        let removed = std::fs::remove_file(&probe);
        written.and(removed)
    });
    match tried {
        Ok(()) => Check::ok(on, format!("{} can be written", dir.display())),
        Err(error) => {
            Check::fail(on, format!("{} cannot be written: {error}", dir.display()), Some(hint.to_owned()))
        }
    }
}

#[cfg(unix)]
fn room(dir: &Path) -> Option<Check> {
    let about = rustix::fs::statvfs(dir).ok()?;
    let free = about.f_bavail.saturating_mul(about.f_frsize) >> 20;
    let found = format!("{free} MiB free on the disk of {}", dir.display());
    let hint = "free some room, or move the store: `[store] url`";
    Some(match free {
        0..ROOM_FAIL_MIB => Check::fail("disk", found, Some(hint.to_owned())),
        ROOM_FAIL_MIB..ROOM_WARN_MIB => Check::warn("disk", found, hint),
        _ => Check::ok("disk", found),
    })
}

#[cfg(not(unix))]
fn room(_dir: &Path) -> Option<Check> {
    None
}

/// SQLite's locks and its shared memory are not to be relied on across machines.
#[cfg(target_os = "linux")]
fn network(dir: &Path) -> Option<Check> {
    const NETWORKS: [(u32, &str); 6] = [
        (0x6969, "NFS"),
        (0xFF53_4D42, "CIFS"),
        (0xFE53_4D42, "SMB"),
        (0x517B, "SMB"),
        (0x0102_1997, "9P"),
        (0x00C3_6400, "Ceph"),
    ];
    let about = rustix::fs::statfs(dir).ok()?;
    let kind = about.f_type as u32;
    let (_, name) = NETWORKS.iter().find(|(magic, _)| *magic == kind)?;
    Some(Check::warn(
        "disk",
        format!(
            "{} is on a network file system ({name}), where locks are not to be relied on",
            dir.display()
        ),
        "set `[store] url` to a place on a disk of this machine",
    ))
}

#[cfg(not(target_os = "linux"))]
fn network(_dir: &Path) -> Option<Check> {
    None
}

/// The cache may hold what only its user may see.
#[cfg(unix)]
fn private(database: &Path) -> Option<Check> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(database).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| {
        Check::warn(
            "disk",
            format!("others on this machine may read {}", database.display()),
            format!("chmod 600 {}", database.display()),
        )
    })
}

#[cfg(not(unix))]
fn private(_database: &Path) -> Option<Check> {
    None
}
