//! What an entry is meant to be: its policy, its tags, and a fingerprint that tells an edit.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A short digest of everything that decides what a fetch would bring: the slice of
/// configuration, the host, the kind of credential. An entry whose fingerprint differs from its
/// definition's was edited, and is due at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Arc<str>);

impl Fingerprint {
    /// Digests the parts (BLAKE3, 128 bits, hexadecimal). Each part's length is digested with it,
    /// so that `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn of<S: AsRef<str>>(parts: &[S]) -> Self {
        // In one piece: ten thousand short ones take four times as long.
        let mut all = Vec::with_capacity(parts.iter().map(|part| part.as_ref().len() + 8).sum());
        for part in parts {
            let part = part.as_ref().as_bytes();
            all.extend_from_slice(&(part.len() as u64).to_le_bytes());
            all.extend_from_slice(part);
        }
        Fingerprint(blake3::hash(&all).to_hex().as_str()[..32].into())
    }

    /// Takes a fingerprint that a store kept.
    pub fn trusted(text: impl Into<Arc<str>>) -> Self {
        Fingerprint(text.into())
    }

    /// The digest as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long an entry is fresh, and how its refresh is tried. Design, section 5.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The freshness lifetime.
    pub ttl: Duration,
    /// How long past that a reader is served at once while a refresh runs behind; `None` = for ever.
    pub stale_while_revalidate: Option<Duration>,
    /// How long past that a reader is served when the source fails; `None` = for ever.
    pub stale_if_error: Option<Duration>,
    /// How long the absence of a whole entry is remembered.
    pub negative_ttl: Duration,
    /// The part of a lifetime that chance may take off it, 0 to 1, so that entries fetched
    /// together do not expire together.
    pub jitter: f64,
    /// How long a reader who could be served a stale copy waits for a fresh one.
    pub soft_timeout: Duration,
    /// When a fetch is cancelled.
    pub hard_timeout: Duration,
    /// How long a refresh may stay silent before another takes over.
    pub lease: Duration,
    /// How many failures of its own an entry may have before it is set aside as dead.
    pub attempts: u32,
    /// The wait after the first failure, doubled with each further one; chance picks within it.
    pub backoff_base: Duration,
    /// The longest such wait.
    pub backoff_cap: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            ttl: Duration::from_hours(6),
            stale_while_revalidate: None,
            stale_if_error: None,
            negative_ttl: Duration::from_mins(1),
            jitter: 0.1,
            soft_timeout: Duration::from_secs(1),
            hard_timeout: Duration::from_secs(30),
            lease: Duration::from_secs(15),
            attempts: 8,
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_mins(15),
        }
    }
}

impl Policy {
    /// The default policy with another freshness lifetime.
    pub fn with_ttl(ttl: Duration) -> Self {
        Policy { ttl, ..Policy::default() }
    }

    /// The longest lifetime that a source may give in place of [`ttl`](Policy::ttl): 31 days, or that, if it is
    /// longer. What lasts longer could not be told from what a clock that was ahead has noted.
    pub fn lifetime_max(&self) -> Duration {
        self.ttl.max(Duration::from_hours(24 * 31))
    }
}

/// What an entry is meant to be, as its source says from configuration, without any I/O.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Tells one definition from an edited one.
    pub fingerprint: Fingerprint,
    /// Fingerprints of definitions whose data serve this one as well: what was fetched with a
    /// token is not stale because there is none at hand.
    pub also: Vec<Fingerprint>,
    /// How it is kept fresh.
    pub policy: Policy,
    /// The tags it is invalidated by, besides those a fetch adds.
    pub tags: Vec<String>,
    /// The names it asks its source for, where configuration lists them; `None` where the source
    /// decides. Members asked under a name that is no longer here are not shown.
    pub names: Option<Arc<[Arc<str>]>>,
    /// Names that belong to other entries, where the source decides but for these.
    pub except: Arc<HashSet<Arc<str>>>,
    /// Whether the entry as a whole, its name and its document, is for those alone who may see what
    /// is private.
    pub private: bool,
}

impl Definition {
    /// A definition with the default tags and names: none.
    pub fn new(fingerprint: Fingerprint, policy: Policy) -> Self {
        Definition {
            fingerprint,
            also: Vec::new(),
            policy,
            tags: Vec::new(),
            names: None,
            except: Arc::default(),
            private: false,
        }
    }

    /// Whether data of the definition with that fingerprint serve this one.
    pub fn answers_to(&self, fingerprint: &Fingerprint) -> bool {
        self.fingerprint == *fingerprint || self.also.contains(fingerprint)
    }

    /// Whether a member asked for under `name` still belongs to the entry. It goes over all names: for many
    /// members see [`roster`](Definition::roster).
    pub fn names(&self, name: &str) -> bool {
        let has = |names: &Arc<[Arc<str>]>| names.iter().any(|known| &**known == name);
        self.names.as_ref().is_none_or(has) && !self.except.contains(name)
    }

    /// The names, made ready for being asked about many members.
    pub fn roster(&self) -> Roster<'_> {
        let names = self.names.as_ref().map(|names| names.iter().map(|name| &**name).collect());
        Roster { names, except: &self.except }
    }
}

/// Who belongs to an entry, as its [definition](Definition::roster) says.
#[derive(Debug)]
pub struct Roster<'a> {
    names: Option<HashSet<&'a str>>,
    except: &'a HashSet<Arc<str>>,
}

impl Roster<'_> {
    /// As [`Definition::names`].
    pub fn names(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(name)) && !self.except.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_says_what_its_definition_says() {
        let plain = Definition::new(Fingerprint::of(&["1"]), Policy::default());
        let except: Arc<HashSet<Arc<str>>> = Arc::new(["b".into()].into());
        for names in [None, Some(["a".into(), "b".into()].into())] {
            let definition = Definition { names, except: except.clone(), ..plain.clone() };
            let roster = definition.roster();
            for name in ["a", "b", "c"] {
                assert_eq!(roster.names(name), definition.names(name), "{name} of {:?}", definition.names);
            }
        }
    }
}
