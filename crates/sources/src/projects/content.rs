//! The content of one artifact: which files it has, their stamp, their hash, what it says of itself.
//!
//! The hash is the one that the deploying tool records, byte for byte: a file's is the SHA-256 of its
//! bytes; a folder's is one SHA-256 over its files in the order of their path components, of each
//! its path from the folder (with `/`) and then its bytes, with nothing between.

mod below;

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use larder_core::{Time, Warning};
use larder_domain::{FrontMatter, HASH_DIGITS, OnDisk};

use super::patience::Patience;
use super::place::shown_path;
use super::reach::Reach;
use super::seen::{About, Met};
use super::stamp::{Stamp, Stamper};
use below::Look;

/// No artifact has more bytes.
const BYTES_MAX: u64 = 1 << 30;
/// Front matter stands within so many bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// What [`Content::read`] wants to read into.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// The files of an artifact, looked at and not read.
pub(super) struct Content {
    files: Vec<Entry>,
    /// What tells that all of it is as it was; `None` = nothing does.
    pub(super) stamp: Option<Stamp>,
    /// When the newest file was written.
    pub(super) updated_at: Option<Time>,
    /// What a reader should know.
    pub(super) warnings: Vec<Warning>,
    /// Whether some of it could not be looked at, so that it has no hash.
    pub(super) partly: bool,
    /// Whether there was a link in it.
    pub(super) has_links: bool,
    /// The folders in it, from its own.
    folders: Vec<Met>,
    /// What was told of itself.
    about: Option<About>,
    sort: Sort,
}

/// What an artifact is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    File,
    Folder,
    /// There was no time to look at it.
    Left,
}

struct Entry {
    /// From the artifact's folder; empty for an artifact that is a file.
    name: PathBuf,
    /// Where it really is.
    real: PathBuf,
    bytes: u64,
    about: Option<About>,
}

impl Entry {
    /// Reads the file, a piece at a time, as long as anybody wants more of it.
    fn read(&self, buffer: &mut [u8], mut take: impl FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        let mut file = File::open(&self.real)?;
        let mut is_known = false;
        loop {
            let read = match file.read(buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if take(&buffer[..read]).is_break() {
                return Ok(());
            }
            // A file that is as long as it was is at its end, and need not be asked whether it is.
            let is_all = !is_known && read as u64 == self.bytes && read < buffer.len();
            if read == 0 || is_all {
                return Ok(());
            }
            // Anything else must still be a file: no other thing need ever end.
            if !is_known && !file.metadata()?.is_file() {
                return Err(io::Error::other("it is not a file any more"));
            }
            is_known = true;
        }
    }
}

/// What came of reading.
pub(super) struct Read1 {
    /// What was found; `None` = the file that describes it cannot be read.
    pub(super) disk: Option<OnDisk>,
    /// What is wrong with what it says of itself, and what cannot be read.
    pub(super) warnings: Vec<Warning>,
    /// Whether some file could not be read, so that there is no hash now.
    pub(super) partly: bool,
    /// Whether that is because the time did not last.
    pub(super) cut: Option<Cut>,
}

/// Why the time did not last for all of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Others had it.
    Short,
    /// It had as much as there is.
    Slow,
}

impl Content {
    /// Looks at an artifact that is really at `real`, as long as there is `patience`; `about` names it to people.
    pub(super) fn look(
        real: &Path,
        about: &str,
        reach: &Reach,
        patience: &Patience<'_>,
    ) -> io::Result<Content> {
        let meta = fs::symlink_metadata(real)?;
        let mut look = Look::at(reach, about, patience);
        if meta.is_dir() {
            look.above.insert(real.to_owned());
            look.folder(real, Path::new(""), 0);
        } else if meta.is_file() {
            look.files.push((
                Entry { name: PathBuf::new(), real: real.to_owned(), bytes: meta.len(), about: None },
                meta.clone(),
            ));
        } else {
            return Err(io::Error::other("it is neither a file nor a folder"));
        }
        if look.is_late {
            return Ok(Content::not_looked_at());
        }
        let Look { mut files, mut warnings, mut partly, has_links, folders, .. } = look;
        files.sort_by(|(a, _), (b, _)| a.name.components().cmp(b.name.components()));
        let bytes: u64 = files.iter().map(|(entry, _)| entry.bytes).sum();
        if bytes > BYTES_MAX {
            partly = true;
            warnings.push(warning(
                about,
                "too_large",
                format!("`{about}` has {bytes} bytes and is not read"),
            ));
        }
        let mut stamper = Stamper::new();
        for (entry, meta) in &files {
            stamper.file(&entry.name, meta);
        }
        stamper.word(if partly { "partly" } else { "all" });
        Ok(Content {
            stamp: stamper.stamp(),
            updated_at: stamper.newest().or_else(|| written(&meta)),
            files: files.into_iter().map(|(entry, _)| entry).collect(),
            warnings,
            partly,
            has_links,
            folders,
            about: About::of(&meta),
            sort: if meta.is_dir() { Sort::Folder } else { Sort::File },
        })
    }

    /// Of an artifact that there was no time to look at.
    pub(super) fn not_looked_at() -> Content {
        Content {
            files: Vec::new(),
            stamp: None,
            updated_at: None,
            warnings: Vec::new(),
            partly: true,
            has_links: false,
            folders: Vec::new(),
            about: None,
            sort: Sort::Left,
        }
    }

    /// Whether it is such a one.
    pub(super) fn is_left(&self) -> bool {
        self.sort == Sort::Left
    }

    /// Whether the names of its files and folders say where all of it is.
    pub(super) fn is_plain(&self) -> bool {
        !self.has_links && !self.partly && self.warnings.is_empty()
    }

    /// Its files and folders, itself too, from wherever `place` is from, and what was told of them.
    pub(super) fn met(&self, place: &Path) -> impl Iterator<Item = Met> {
        let files = self.files.iter().map(|entry| (&entry.name, entry.about));
        let folders = self.folders.iter().map(|(name, about)| (name, *about));
        let within = files.chain(folders).filter(|(name, _)| !name.as_os_str().is_empty());
        within.map(|(name, about)| (place.join(name), about)).chain([(place.to_owned(), self.about)])
    }

    /// How much there is to read.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.bytes).sum()
    }

    /// Reads it by way of `buffer`, as long as there is `patience`: its hash, and what the file that describes it
    /// says. A file that cannot be read takes the hash, and hides nothing else; nor does want of time. Where there is
    /// no hash to be had, no file is read further than what it says of itself.
    pub(super) fn read(&self, about: &str, buffer: &mut [u8], patience: &Patience<'_>) -> Read1 {
        let began = patience.now();
        let mut is_cut = !self.partly && patience.is_spent_at(began);
        if self.is_left() || (is_cut && patience.is_late()) {
            return Read1 { disk: None, warnings: Vec::new(), partly: true, cut: Some(Cut::Short) };
        }
        let mut hasher = digest::Context::new(&digest::SHA256);
        let describing = self.describing(about);
        let mut head = Vec::new();
        let (mut unreadable, mut is_described) = (Vec::new(), true);
        for (number, entry) in self.files.iter().enumerate() {
            let wanted = Some(number) == describing;
            if (self.partly || is_cut || !unreadable.is_empty()) && !wanted {
                continue;
            }
            if self.sort == Sort::Folder {
                let parts = entry.name.components().map(|part| part.as_os_str().as_encoded_bytes());
                for (place, part) in parts.enumerate() {
                    if place > 0 {
                        hasher.update(b"/");
                    }
                    hasher.update(part);
                }
            }
            let read = entry.read(buffer, |bytes| {
                hasher.update(bytes);
                if wanted && head.len() < HEAD_BYTES {
                    let room = HEAD_BYTES - head.len();
                    head.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
                is_cut |= !self.partly && patience.is_spent();
                let is_head_read = !wanted || head.len() >= HEAD_BYTES;
                let is_enough = (self.partly || is_cut) && is_head_read;
                if is_enough || patience.is_over() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            if let Err(error) = read {
                is_described &= !wanted;
                unreadable.push(cannot_read(about, &entry.name, &error));
            }
        }
        // Nobody waits any more for what was read of a part.
        let is_stopped = patience.is_over();
        let partly = !unreadable.is_empty() || is_cut || is_stopped;
        let cut = is_cut.then(|| if patience.had_its_share(began) { Cut::Slow } else { Cut::Short });
        let mut warnings = unreadable;
        if !is_described || is_stopped {
            return Read1 { disk: None, warnings, partly, cut };
        }
        let (front, problem) = FrontMatter::read(&head);
        warnings.extend(problem.map(|what| warning(about, "malformed", format!("`{about}`: {what}"))));
        let is_whole = !self.partly && !partly;
        let content_hash = is_whole.then(|| hex(&hasher.finish().as_ref()[..HASH_DIGITS / 2]));
        Read1 {
            disk: Some(OnDisk { content_hash, updated_at: self.updated_at, front }),
            warnings,
            partly,
            cut,
        }
    }

    /// The file that says what the artifact is: itself, or a skill's `SKILL.md`. A link goes by its own name, as
    /// where it is told what is an artifact.
    fn describing(&self, about: &str) -> Option<usize> {
        if self.sort != Sort::Folder {
            let ending = Path::new(about).extension();
            return ending.filter(|ending| ending.eq_ignore_ascii_case("md")).and(Some(0));
        }
        let by_name = |name: &str| {
            self.files
                .iter()
                .position(|entry| entry.name.to_str().is_some_and(|found| found.eq_ignore_ascii_case(name)))
        };
        by_name("SKILL.md").or_else(|| by_name("README.md"))
    }
}

/// `name` is from the artifact's folder.
fn cannot_read(about: &str, name: &Path, error: &io::Error) -> Warning {
    let about =
        if name.as_os_str().is_empty() { about.to_owned() } else { format!("{about}/{}", shown_path(name)) };
    let message = format!("`{about}` cannot be read: {error}");
    warning(&about, "unreadable", message)
}

fn written(meta: &Metadata) -> Option<Time> {
    let since_epoch = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_millis()).ok().map(Time::from_ms)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |number: u8| DIGITS[usize::from(number)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

pub(super) fn warning(about: &str, code: &str, message: String) -> Warning {
    Warning { about: about.to_owned(), code: code.to_owned(), message }
}
