//! How it is told that a file is as it was without reading it: size, times and inode of all files
//! of an artifact as one number.
//!
//! A file that was written a moment before it was looked at may be written once more within the
//! same tick of its clock: such a number proves nothing, and is not kept.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use larder_core::{Time, Warning};
use serde::{Deserialize, Serialize};

use super::seen::{Seen, time};

/// What is known from the last look at a project, kept as its entry's cursor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Known {
    /// The edition of this very record.
    pub(super) edition: u32,
    /// The files that say what was deployed and what the project is called.
    pub(super) inputs: String,
    /// The collections.
    pub(super) upstream: String,
    /// All that was warned of.
    pub(super) warned: String,
    /// The artifacts, by their paths from the project's folder; one that was missing has none.
    pub(super) stamps: BTreeMap<String, Option<Stamp>>,
    /// What was warned of when an artifact was read, since it is not read again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) told: BTreeMap<String, Vec<Warning>>,
    /// The paths that a file in another profile's folder records, and that folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) apart: BTreeMap<String, String>,
    /// What the time did not last for, or the first of it: that is read first the next time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) left: Vec<String>,
    /// How many looks in a row brought nothing nearer to its end.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) stalled: u8,
    /// Within so many milliseconds some artifact, which was warned of, could not be read: it is not tried again
    /// before there are more, or it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) too_short: Option<u64>,
    /// What the next look can tell by quickly that all of it is as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Seen>,
}

/// A change of what is kept makes all older records void.
pub(super) const EDITION: u32 = 10;

/// A longer record than any look keeps is nobody's.
const BYTES_MAX: u64 = 64 << 20;

/// One number for all files of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Stamp(String);

impl Stamp {
    /// That of something that must be read again whatever its files look like.
    pub(super) fn unproven() -> Self {
        Stamp(String::new())
    }

    /// Whether it is not that.
    pub(super) fn is_proven(&self) -> bool {
        !self.0.is_empty()
    }
}

impl Known {
    /// Reads a cursor; one of another edition, or of nobody's, is none.
    pub(super) fn read(cursor: &str) -> Option<Self> {
        let packed = STANDARD_NO_PAD.decode(cursor).ok()?;
        let mut json = Vec::new();
        DeflateDecoder::new(packed.as_slice()).take(BYTES_MAX).read_to_end(&mut json).ok()?;
        serde_json::from_slice(&json).ok().filter(|known: &Known| known.edition == EDITION)
    }

    /// Whether what could not be read in the time there was is to be tried again: now that there is so much, or
    /// since somebody wants it by hand, and once for that.
    pub(super) fn is_tried_again(&self, span: Duration, is_by_hand: bool) -> bool {
        let has_more = |ms: u64| span.as_millis() > u128::from(ms);
        self.too_short.is_some_and(|ms| has_more(ms) || (is_by_hand && self.left.is_empty()))
    }

    /// As a cursor, packed: paths and names stand in it twice, once for what each artifact was, once for
    /// the quick look.
    pub(super) fn write(&self) -> Option<String> {
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&serde_json::to_vec(self).ok()?).ok()?;
        packed.finish().ok().map(|packed| STANDARD_NO_PAD.encode(packed))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_none(count: &u8) -> bool {
    *count == 0
}

/// Takes files one by one.
pub(super) struct Stamper {
    hasher: blake3::Hasher,
    looked_at: SystemTime,
    newest: Option<SystemTime>,
    too_young: bool,
}

/// Within this span of a look, a file may change without its times telling, on a file system with
/// fine times (Linux moves them every 4 to 10 ms) …
const FINE_TICK: Duration = Duration::from_millis(40);
/// … and on one that knows whole seconds, or two.
const COARSE_TICK: Duration = Duration::from_secs(3);

/// How old a time of a file's must be, so that another change would show another time.
pub(crate) fn tick(time: SystemTime) -> Duration {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since_epoch.subsec_nanos() == 0 { COARSE_TICK } else { FINE_TICK }
}

/// The time that files carry.
#[expect(
    clippy::disallowed_methods,
    reason = "files carry the machine's own time, which is compared with nothing else"
)]
pub(crate) fn machine_time() -> SystemTime {
    SystemTime::now()
}

impl Stamper {
    /// Starts a look.
    pub(super) fn new() -> Self {
        Stamper { hasher: blake3::Hasher::new(), looked_at: machine_time(), newest: None, too_young: false }
    }

    /// Takes a file.
    pub(super) fn file(&mut self, path: &Path, about: &Metadata) {
        let name = path.as_os_str().as_encoded_bytes();
        self.number(name.len() as u64);
        self.hasher.update(name);
        self.number(about.len());
        let modified = about.modified().ok();
        for number in numbers(about) {
            self.number(number);
        }
        if let Some(modified) = modified {
            // A time that lies ahead was set by somebody, and says nothing of when: what is written next has
            // another, and the change time, which nobody can set, tells how long ago that was.
            let is_ahead = modified > self.looked_at;
            let changed = Some(modified).filter(|_| !is_ahead).or_else(|| changed(about)).unwrap_or(modified);
            let age = self.looked_at.duration_since(changed).unwrap_or_default();
            self.too_young |= age < tick(changed);
            self.newest = self.newest.max(Some(modified));
        }
    }

    /// Takes that something is not there, or anything else that would make a difference.
    pub(super) fn word(&mut self, word: &str) {
        self.number(word.len() as u64);
        self.hasher.update(word.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.hasher.update(&number.to_le_bytes());
    }

    /// The stamp, if it proves anything.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        (!self.too_young).then(|| Stamp(self.digest()))
    }

    /// The same as text, whether or not it proves anything: one that does not differs each time.
    pub(super) fn text(&self) -> String {
        if self.too_young { String::new() } else { self.digest() }
    }

    fn digest(&self) -> String {
        self.hasher.finalize().to_hex()[..16].to_owned()
    }

    /// When the newest of the files was written.
    pub(super) fn newest(&self) -> Option<Time> {
        let since_epoch = self.newest?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        i64::try_from(since_epoch.as_millis()).ok().map(Time::from_ms)
    }
}

#[cfg(unix)]
fn numbers(about: &Metadata) -> [u64; 5] {
    use std::os::unix::fs::MetadataExt;
    [
        about.ino(),
        about.mtime() as u64,
        about.mtime_nsec() as u64,
        about.ctime() as u64,
        about.ctime_nsec() as u64,
    ]
}

/// When anything of a file changed last, where the system tells.
#[cfg(unix)]
fn changed(about: &Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    time(about.ctime(), u64::try_from(about.ctime_nsec()).ok()?)
}

#[cfg(not(unix))]
fn changed(_about: &Metadata) -> Option<SystemTime> {
    None
}

#[cfg(not(unix))]
fn numbers(about: &Metadata) -> [u64; 5] {
    let modified = about.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let created = about.created().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let nanos = |span: Option<Duration>| span.unwrap_or_default().as_nanos() as u64;
    [nanos(modified), nanos(created), 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_whole_seconds_must_be_older_to_prove_anything() {
        let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(tick(whole), COARSE_TICK, "FAT knows every second second");
        assert_eq!(tick(whole + Duration::from_millis(4)), FINE_TICK);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_whose_time_lies_ahead_is_as_old_as_its_last_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ahead.md");
        std::fs::write(&path, "ahead").unwrap();
        let now = machine_time();
        let set = |to: SystemTime| {
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(to).unwrap();
            std::fs::metadata(&path).unwrap()
        };
        let stamp = |about: &Metadata, looked_at: SystemTime| {
            let mut stamper = Stamper { looked_at, ..Stamper::new() };
            stamper.file(Path::new("ahead.md"), about);
            stamper.stamp()
        };
        let ahead = set(now + Duration::from_hours(1));
        let known = stamp(&ahead, now + Duration::from_mins(1));
        assert!(known.is_some(), "a minute after it was written it is old");
        assert_eq!(stamp(&ahead, now), None, "and a moment after it is not");
        let written = set(now);
        assert_ne!(stamp(&written, now + Duration::from_mins(1)), known);
        let by_a_clock_ahead = set(now + Duration::from_hours(1));
        assert_eq!(
            stamp(&by_a_clock_ahead, now - Duration::from_mins(1)),
            None,
            "nothing is told by that clock"
        );
    }
}
