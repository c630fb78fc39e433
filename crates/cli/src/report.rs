//! How a command ends: its exit code, and for a failure what was attempted, why it failed and what
//! to do.

use std::process::ExitCode;

use larder_core::{Key, StoreError, Time};
use larder_engine::{ReadError, RefreshError};
use larder_sources::ProjectsSource;

use crate::config::ConfigError;

/// The exit codes, which scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// The question was answered, maybe with warnings.
    Answered = 0,
    /// It was not.
    Failed = 1,
    /// The command line or the configuration is wrong: nothing was tried.
    Usage = 2,
    /// An old copy was printed though a refresh was asked and failed, or part of it failed.
    Old = 3,
    /// It is not in the cache, and the network was not to be used.
    NotCached = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command failed, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What was attempted on what.
    pub error: String,
    /// Why it failed, outermost first.
    pub causes: Vec<String>,
    /// What to do.
    pub hints: Vec<String>,
    /// Lines to copy into a file, below what says so.
    pub paste: &'static [&'static str],
    /// When the next read may try again, where that has to be waited for.
    pub retry_at: Option<Time>,
    /// The exit code.
    pub exit: Exit,
}

/// What is said of a failure that nothing else is known about.
pub const LOOK: &str = "try again in a while; `larder doctor` asks GitHub how it is";

/// What to do about an entry whose row cannot be understood.
pub const CLEAR_DAMAGED: &str =
    "`larder cache clear KEY --yes` removes a damaged entry, which is fetched anew";

/// The same of a folder, of which GitHub knows nothing.
pub const FOLDER: &str = "see that the folder is there and may be read; `[projects] roots` names those that are \
                          looked at, and `larder cache clear KEY` forgets what is held of one that is gone for good";

/// The same of one that was not looked at in time.
const SLOW: &str = "its disk answers too slowly: a longer `[engine] hard_timeout` gives more time";

/// What is said of a failure of this entry, of that code, that nothing else is known about.
fn look(key: &Key, code: Option<&str>) -> &'static str {
    match code {
        Some("timed_out") if is_local(key) => SLOW,
        _ if is_local(key) => FOLDER,
        _ => LOOK,
    }
}

/// The code of the fetch's own failure.
fn code(error: &RefreshError) -> Option<&'static str> {
    if let RefreshError::Fetch(error) = error { Some(error.code()) } else { None }
}

/// Whether it is of a folder on this machine.
pub fn is_local(key: &Key) -> bool {
    key.source() == ProjectsSource::NAME
}

impl Complaint {
    /// A failure in one sentence.
    pub fn failed(error: impl Into<String>) -> Self {
        Complaint {
            error: error.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            paste: &[],
            retry_at: None,
            exit: Exit::Failed,
        }
    }

    /// A wrong command line or configuration.
    pub fn usage(error: impl Into<String>) -> Self {
        Complaint { exit: Exit::Usage, ..Complaint::failed(error) }
    }

    /// With a cause.
    #[must_use]
    pub fn because(mut self, cause: impl std::fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// With something to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// With all of an optional list of things to do.
    #[must_use]
    pub fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// With this to do, if there is nothing yet.
    fn or_hint(self, hint: &str) -> Self {
        if self.hints.is_empty() { self.hint(hint) } else { self }
    }

    /// A refresh of one entry that failed.
    pub fn of_refresh(key: &Key, error: &RefreshError) -> Self {
        Complaint::failed(format!("`{key}` could not be refreshed"))
            .because(error)
            .hints(error.hints())
            .or_hint(look(key, code(error)))
    }

    /// A read of one entry that has no answer.
    pub fn of_read(error: &ReadError) -> Self {
        let complaint = Complaint::failed(error.to_string()).hints(error.hints());
        match error {
            ReadError::Failed { key, source } => complaint.because(source).or_hint(look(key, code(source))),
            ReadError::Backoff { key, until, failure: Some(failure) } => {
                let complaint = complaint.because(&failure.message);
                Complaint {
                    // When is told once for all that wait, in words.
                    error: format!("`{key}` could not be fetched"),
                    retry_at: Some(*until),
                    ..if is_local(key) {
                        complaint.or_hint(look(key, Some(&failure.code)))
                    } else {
                        complaint
                    }
                }
            }
            ReadError::Store(source) => complaint.because(source),
            ReadError::NotCached(_) | ReadError::TooOld(_) => {
                Complaint { exit: Exit::NotCached, ..complaint }
            }
            ReadError::Unknown(_) => Complaint { exit: Exit::Usage, ..complaint },
            ReadError::Absent { .. } | ReadError::Backoff { failure: None, .. } => complaint,
        }
    }
}

/// Entries by name in a sentence: all of a few, the first of many.
pub fn named(keys: &[&Key]) -> String {
    let quoted = |keys: &[&Key]| {
        let names: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        names.join(", ")
    };
    match keys {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [few @ .., last] if keys.len() <= NAMED_MAX => format!("{} and `{last}`", quoted(few)),
        many => format!("{} and {} more", quoted(&many[..NAMED_MAX]), many.len() - NAMED_MAX),
    }
}

/// How many entries are named in a sentence.
const NAMED_MAX: usize = 3;

/// One complaint for all entries that failed alike: an outage is one fact, however many it meets.
pub fn grouped(complaints: &[(Key, Complaint)]) -> Vec<Complaint> {
    let mut groups: Vec<(String, Vec<&Key>, Complaint)> = Vec::new();
    for (key, complaint) in complaints {
        let what = complaint.error.replacen(&format!("`{key}` "), "", 1);
        let alike = |(known, _, first): &&mut (String, Vec<&Key>, Complaint)| {
            *known == what && first.causes == complaint.causes && first.hints == complaint.hints
        };
        match groups.iter_mut().find(alike) {
            Some((_, keys, first)) => {
                keys.push(key);
                first.retry_at = first.retry_at.max(complaint.retry_at);
            }
            None => groups.push((what, vec![key], complaint.clone())),
        }
    }
    let merged = |(what, keys, first): (String, Vec<&Key>, Complaint)| {
        if keys.len() == 1 {
            return first;
        }
        let many = [("is ", "are "), ("does ", "do ")];
        let many = many.iter().find_map(|(one, many)| Some(format!("{many}{}", what.strip_prefix(one)?)));
        let what = many.unwrap_or(what);
        Complaint { error: format!("{} {what}", named(&keys)), ..first }
    };
    groups.into_iter().map(merged).collect()
}

impl From<StoreError> for Complaint {
    fn from(error: StoreError) -> Self {
        Complaint::failed(error.to_string()).hints(error.hints())
    }
}

impl From<ConfigError> for Vec<Complaint> {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Unreadable { path, cause } => {
                let missing = cause.kind() == std::io::ErrorKind::NotFound;
                let hint = missing.then(|| format!("`larder init {}` writes a new one", path.display()));
                vec![
                    Complaint::usage(format!("{} could not be read", path.display()))
                        .because(cause)
                        .hints(hint),
                ]
            }
            ConfigError::Wrong(problems) => {
                let complaint = |problem: crate::config::Problem| {
                    Complaint::usage(problem.to_string()).hints(problem.hint)
                };
                problems.0.into_iter().map(complaint).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_one_complaint_however_many_entries_it_meets() {
        let complaint =
            |key: &Key, cause: &str| Complaint::failed(format!("`{key}` is not there")).because(cause);
        let keys: Vec<Key> =
            ["a", "b", "c", "d", "e"].map(|id| format!("cluster/{id}").parse().unwrap()).to_vec();
        let mut complaints: Vec<_> = keys.iter().map(|key| (key.clone(), complaint(key, "503"))).collect();
        complaints[4].1.causes = vec!["404".to_owned()];
        let errors: Vec<String> = grouped(&complaints).into_iter().map(|complaint| complaint.error).collect();
        assert_eq!(
            errors,
            ["`cluster/a`, `cluster/b`, `cluster/c` and 1 more are not there", "`cluster/e` is not there"]
        );
        assert_eq!(named(&[&keys[0], &keys[1]]), "`cluster/a` and `cluster/b`");
    }
}
