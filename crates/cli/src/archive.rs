//! The file that a cache moves in: JSON lines. The first says what it is, each further one is an
//! entry with its items, the last says how many there were, so that a file that was cut off shows.

use std::io::{self, BufRead, Read as _, Write};

use larder_core::{Entry, Exported, ExportedMember, Json, Time, Unfit, Warning};
use serde::{Deserialize, Serialize};

use crate::kinds::{self, said};

/// What the first line says the file is.
const NAME: &str = "larder-export";
/// The version of the file's form. A newer one is refused, an older one is to be read for ever.
const VERSION: u32 = 1;
/// The longest line, in bytes. The largest entries have some ten thousand items of a few kilobytes.
const LINE_BYTES_MAX: u64 = 512 << 20;

/// How many characters of a name that is no key are shown.
const NAME_SHOWN_MAX: usize = 200;

/// No store has counted further: a number like this is damage, and nothing could be counted on from it.
const COUNTED_MAX: u64 = 1 << 53;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    /// Which larder wrote it.
    larder: String,
    exported_at: Time,
    /// The mark of the machine that it was written on: whose local projects those are that bear none. Absent in
    /// what was written before there were such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
}

/// The last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    end: Count,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    entries: u64,
}

/// Why a file cannot be taken in. Lines are counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is something else.
    #[error("line 1: this is no export of Larder's: {0}")]
    Foreign(&'static str),
    /// A newer Larder wrote it.
    #[error("line 1: it has version {found} of the format, this larder knows up to {VERSION}")]
    TooNew {
        /// Its version.
        found: u32,
    },
    /// It ends too early.
    #[error("line {line}: the file ends here, in the middle: it was cut off")]
    Truncated {
        /// Where.
        line: u64,
    },
    /// A line that cannot be understood.
    #[error("line {line}: {cause}")]
    Wrong {
        /// Which.
        line: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// The system said no.
    #[error("line {line}: it could not be read: {cause}")]
    Unreadable {
        /// Where.
        line: u64,
        /// In the system's words.
        cause: io::Error,
    },
}

/// Writes an export.
pub struct Writing<W> {
    to: W,
    entries: u64,
}

impl<W: Write> Writing<W> {
    /// Begins one, on the machine of that mark.
    pub fn begin(mut to: W, now: Time, machine: Option<String>) -> io::Result<Self> {
        let (format, larder) = (NAME.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        line(&mut to, &Header { format, version: VERSION, larder, exported_at: now, machine })?;
        Ok(Writing { to, entries: 0 })
    }

    /// Adds an entry.
    pub fn add(&mut self, entry: &Exported) -> io::Result<()> {
        self.entries += 1;
        line(&mut self.to, entry)
    }

    /// Ends it; answers how many entries it has.
    pub fn end(mut self) -> io::Result<u64> {
        line(&mut self.to, &End { end: Count { entries: self.entries } })?;
        self.to.flush()?;
        Ok(self.entries)
    }
}

fn line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")
}

/// A line of an export.
#[derive(Debug)]
pub struct Line {
    /// Which, counted from 1.
    pub line: u64,
    /// The entry that stands there.
    pub read: Result<Whole, Unread>,
}

/// An entry as every store can keep it.
#[derive(Debug)]
pub struct Whole {
    /// The entry.
    pub entry: Exported,
    /// What of it is left out, and why.
    pub left_out: Vec<Warning>,
}

/// An entry that is left out.
#[derive(Debug)]
pub struct Unread {
    /// Its key, or what stands in its place, if anything does.
    pub name: Option<String>,
    /// Why.
    pub why: String,
}

/// An entry whose items are still to be understood.
#[derive(Deserialize)]
struct Loose {
    entry: Entry,
    tags: Vec<String>,
    unconfigured_since: Option<Time>,
    members: Vec<Json>,
}

/// As much of an entry as says which it is.
#[derive(Deserialize)]
struct Named {
    entry: Keyed,
}

#[derive(Deserialize)]
struct Keyed {
    key: String,
}

/// As much of an item as says which it is.
#[derive(Deserialize)]
struct Asked {
    asked: String,
}

fn read_entry(text: &[u8]) -> Result<Whole, String> {
    let (entry, mut unread) = match serde_json::from_slice::<Exported>(text) {
        Ok(entry) => (entry, Vec::new()),
        Err(error) => read_loose(text).ok_or_else(|| format!("this is no entry: {}", said(&error)))?,
    };
    let Entry { version, began, invalidated, key, .. } = &entry.entry;
    if [version, began, invalidated].iter().any(|at| **at > COUNTED_MAX) {
        return Err(format!("the numbers of `{key}` cannot be: it is damaged"));
    }
    let (mut entry, mut left_out) = entry.admit().map_err(|unfit| format!("it cannot be kept: {unfit}"))?;
    entry.members.retain(|member| {
        let read = kinds::check(&member.item.of, &member.item.doc);
        unread.extend(read.as_ref().err().map(|why| Unfit::Unread(why.clone()).warning(&member.asked)));
        read.is_ok()
    });
    if !unread.is_empty() {
        entry.entry.lack();
    }
    for warning in unread {
        entry.entry.warnings.push(warning.clone());
        left_out.push(warning);
    }
    Ok(Whole { entry, left_out })
}

/// An entry without those of its items that cannot be understood.
fn read_loose(text: &[u8]) -> Option<(Exported, Vec<Warning>)> {
    let Loose { entry, tags, unconfigured_since, members } = serde_json::from_slice(text).ok()?;
    let (mut understood, mut unread) = (Vec::with_capacity(members.len()), Vec::new());
    for (place, member) in (1..).zip(members) {
        match member.decode::<ExportedMember>() {
            Ok(member) => understood.push(member),
            Err(error) => {
                let asked = member.decode::<Asked>().map(|member| member.asked);
                let name = asked.unwrap_or_else(|_| format!("item {place}"));
                unread.push(Unfit::Unread(said(&error)).warning(&name));
            }
        }
    }
    Some((Exported { entry, tags, unconfigured_since, members: understood }, unread))
}

/// What a line calls its entry.
fn name_of(text: &[u8]) -> Option<String> {
    let Named { entry: Keyed { key } } = serde_json::from_slice(text).ok()?;
    Some(key.chars().take(NAME_SHOWN_MAX).collect())
}

/// Reads an export, entry by entry.
pub struct Reading<R> {
    from: R,
    /// Lines that are no entries.
    unread: u64,
    text: Vec<u8>,
    line: u64,
    entries: u64,
    ended: bool,
    machine: Option<String>,
}

impl<R: BufRead> Reading<R> {
    /// Begins with the first line, which says whether it is one.
    pub fn begin(from: R) -> Result<Self, ArchiveError> {
        let (text, machine) = (Vec::new(), None);
        let mut reading = Reading { from, text, line: 0, entries: 0, unread: 0, ended: false, machine };
        if !reading.next_line()? {
            return Err(ArchiveError::Foreign("it is empty"));
        }
        let Ok(header) = serde_json::from_slice::<Header>(&reading.text) else {
            return Err(ArchiveError::Foreign("its first line does not say so"));
        };
        match header {
            Header { format, .. } if format != NAME => Err(ArchiveError::Foreign("it names another format")),
            Header { version, .. } if version > VERSION => Err(ArchiveError::TooNew { found: version }),
            Header { machine, .. } => Ok(Reading { machine, ..reading }),
        }
    }

    /// The mark of the machine that it was written on, if it says so.
    pub fn machine(&self) -> Option<&str> {
        self.machine.as_deref()
    }

    /// The next entry; `None` = that was all of it.
    pub fn next(&mut self) -> Result<Option<Line>, ArchiveError> {
        if self.ended {
            return Ok(None);
        }
        if !self.next_line()? {
            return Err(ArchiveError::Truncated { line: self.line });
        }
        if let Ok(End { end }) = serde_json::from_slice(&self.text) {
            return self.end(end);
        }
        let read = read_entry(&self.text).map_err(|why| Unread { name: name_of(&self.text), why });
        // Only the last line lacks its end, and only where the file was cut off.
        if read.is_err() && !self.text.ends_with(b"\n") {
            return Err(ArchiveError::Truncated { line: self.line });
        }
        *(if read.is_ok() { &mut self.entries } else { &mut self.unread }) += 1;
        Ok(Some(Line { line: self.line, read }))
    }

    fn end(&mut self, said: Count) -> Result<Option<Line>, ArchiveError> {
        self.ended = true;
        // What could not be read may be an entry, or a line that somebody put between.
        if !(self.entries..=self.entries + self.unread).contains(&said.entries) {
            let cause = format!("it should hold {} entries and holds {}", said.entries, self.entries);
            return Err(self.wrong(cause));
        }
        if self.next_line()? {
            return Err(self.wrong("something follows behind the end".to_owned()));
        }
        Ok(None)
    }

    fn wrong(&self, cause: String) -> ArchiveError {
        ArchiveError::Wrong { line: self.line, cause }
    }

    fn next_line(&mut self) -> Result<bool, ArchiveError> {
        self.text.clear();
        self.line += 1;
        let line = self.line;
        let mut limited = (&mut self.from).take(LINE_BYTES_MAX);
        let unreadable = |cause| ArchiveError::Unreadable { line, cause };
        let read = limited.read_until(b'\n', &mut self.text).map_err(unreadable)?;
        if read as u64 == LINE_BYTES_MAX && !self.text.ends_with(b"\n") {
            return Err(self.wrong(format!("it is longer than {LINE_BYTES_MAX} bytes")));
        }
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all of it: how many entries, or what is wrong.
    fn read(text: &str) -> Result<u64, String> {
        let mut reading = Reading::begin(text.as_bytes()).map_err(|error| error.to_string())?;
        while let Some(Line { line, read }) = reading.next().map_err(|error| error.to_string())? {
            read.map_err(|unread| format!("line {line}: {}", unread.why))?;
        }
        Ok(reading.entries)
    }

    fn written() -> String {
        let mut bytes = Vec::new();
        let writing = Writing::begin(&mut bytes, Time::from_ms(0), None).unwrap();
        assert_eq!(writing.end().unwrap(), 0);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_written_says_what_it_is_and_how_much_there_is() {
        let text = written();
        let version = env!("CARGO_PKG_VERSION");
        let first = format!(
            "{{\"format\":\"larder-export\",\"version\":1,\"larder\":\"{version}\",\"exported_at\":\"1970-01-01T00:00:00Z\"}}\n"
        );
        assert_eq!(text, format!("{first}{{\"end\":{{\"entries\":0}}}}\n"));
        assert_eq!(read(&text), Ok(0));
    }

    #[test]
    fn a_line_that_somebody_put_between_is_no_entry_that_is_missing() {
        let text = written().replace("{\"end\"", "<<<<<<< theirs\n{\"end\"");
        let mut reading = Reading::begin(text.as_bytes()).unwrap();
        let Line { line, read } = reading.next().unwrap().unwrap();
        assert!(line == 2 && read.is_err());
        assert!(reading.next().unwrap().is_none());
        let more = text.replace("\"entries\":0", "\"entries\":2");
        let mut reading = Reading::begin(more.as_bytes()).unwrap();
        reading.next().unwrap();
        assert!(reading.next().unwrap_err().to_string().contains("should hold 2 entries and holds 0"));
    }

    #[test]
    fn numbers_that_nothing_could_follow_are_damage() {
        let key: larder_core::Key = "cluster/a".parse().unwrap();
        let with = |version| {
            let entry =
                larder_core::Entry { version, ..larder_core::Entry::empty(key.clone(), Time::from_ms(0)) };
            let exported =
                Exported { entry, tags: Vec::new(), unconfigured_since: None, members: Vec::new() };
            let mut bytes = Vec::new();
            let mut writing = Writing::begin(&mut bytes, Time::from_ms(0), None).unwrap();
            writing.add(&exported).unwrap();
            writing.end().unwrap();
            read(&String::from_utf8(bytes).unwrap())
        };
        assert_eq!(with(1 << 53), Ok(1));
        for version in [(1 << 53) + 1, i64::MAX as u64, u64::MAX] {
            let says = "line 2: the numbers of `cluster/a` cannot be: it is damaged";
            assert_eq!(with(version), Err(says.to_owned()));
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_line() {
        let text = written();
        let (first, end) = text.split_once('\n').unwrap();
        for (text, says) in [
            (String::new(), "line 1: this is no export of Larder's: it is empty"),
            (
                "name,stars\n".to_owned(),
                "line 1: this is no export of Larder's: its first line does not say so",
            ),
            (
                first.replace("larder-export", "other"),
                "line 1: this is no export of Larder's: it names another",
            ),
            (text.replace("\"version\":1", "\"version\":2"), "line 1: it has version 2 of the format"),
            (format!("{first}\n"), "line 2: the file ends here, in the middle"),
            (format!("{first}\n{{\"entry\":"), "line 2: the file ends here, in the middle"),
            (format!("{first}\n{{}}\n{end}"), "line 2: this is no entry: missing field `entry`"),
            (text.replace("\"entries\":0", "\"entries\":7"), "line 2: it should hold 7 entries and holds 0"),
            (format!("{text}{end}"), "line 3: something follows behind the end"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.starts_with(says), "{error}\nfor {says}");
        }
    }
}
