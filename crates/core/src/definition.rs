//! What an entry is meant to be: its policy, its tags, and a fingerprint that tells an edit.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Time;

/// A short digest of everything that decides what a fetch would bring: the slice of
/// configuration, the host, the kind of credential. An entry whose fingerprint differs from its
/// definition's was edited, and is due at once, unless whoever fetched it has the newer configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Arc<str>);

/// Behind the digest of what brings less than another.
const LESSER: char = '-';
/// Before the time, in milliseconds, at which whoever noted a fingerprint read its configuration.
const AT: char = '@';

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

    /// The same of a fetch that brings less than another would, as one without a token does: no later
    /// configuration makes good what it lacks.
    #[must_use]
    pub fn lesser(&self) -> Self {
        Fingerprint(format!("{}{LESSER}", self.0).into())
    }

    /// The definition alone, whoever noted it and when that read its configuration.
    #[must_use]
    pub fn alone(&self) -> Self {
        self.0.split_once(AT).map_or_else(|| self.clone(), |(alone, _)| Fingerprint(alone.into()))
    }

    fn read_at(self, at: Time) -> Self {
        Fingerprint(format!("{}{AT}{}", self.0, at.ms()).into())
    }

    fn when_read(&self) -> Option<Time> {
        self.0.split_once(AT).and_then(|(_, ms)| ms.parse().ok()).map(Time::from_ms)
    }

    fn is_lesser(&self) -> bool {
        self.0.split(AT).next().is_some_and(|alone| alone.ends_with(LESSER))
    }

    /// Whether that is what a store noted of this one.
    fn is_noted(&self, noted: &Fingerprint) -> bool {
        noted.0.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(AT))
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
    /// When the process read its configuration. Of two that define an entry differently the one that read it
    /// later refreshes what the other fetched, and not the other way round. `None` = whatever differs is
    /// refreshed, as where definitions change while a process runs.
    pub configured_at: Option<Time>,
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
            configured_at: None,
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

    /// What is noted of whatever was done under it.
    pub fn note(&self) -> Fingerprint {
        let plain = self.fingerprint.clone();
        self.policy.configured_at.map_or(plain.clone(), |at| plain.read_at(at))
    }

    /// Whether data of the definition that is [noted](Definition::note) so serve this one.
    pub fn answers_to(&self, noted: &Fingerprint) -> bool {
        self.fingerprint.is_noted(noted) || self.also.iter().any(|one| one.is_noted(noted))
    }

    /// Whether what was done at that time, under the definition that is noted so, is not done again for this one
    /// until it expires: it answers to it, or whoever did it has the newer configuration.
    pub fn stands_by(&self, noted: &Fingerprint, at: Option<Time>) -> bool {
        let own = self.policy.configured_at;
        // A time after it was told by a clock that was ahead.
        let theirs = noted.when_read().zip(at).map(|(read_at, at)| read_at.min(at));
        let is_newer = own.zip(theirs).is_some_and(|(own, theirs)| theirs > own);
        self.answers_to(noted) || (is_newer && !self.brings_more(noted))
    }

    /// Whether that was done without what this one has, such as a token.
    pub fn brings_more(&self, noted: &Fingerprint) -> bool {
        noted.is_lesser() && !self.fingerprint.is_lesser()
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
    fn of_two_definitions_the_one_that_was_read_later_stands() {
        let digests = ["old", "new"].map(|part| Fingerprint::of(&[part]));
        let at = |digest: &Fingerprint, at: Option<i64>| {
            let policy = Policy { configured_at: at.map(Time::from_ms), ..Policy::default() };
            Definition::new(digest.clone(), policy)
        };
        let stands = |one: &Definition, noted: &Fingerprint| one.stands_by(noted, Some(Time::from_ms(9)));
        let [old, new] = [at(&digests[0], Some(1)), at(&digests[1], Some(2))];
        assert!(stands(&old, &new.note()) && !stands(&new, &old.note()));
        let ahead = at(&digests[0], Some(8)).note();
        assert!(stands(&new, &ahead) && !new.stands_by(&ahead, Some(Time::from_ms(2))));
        assert!(!old.answers_to(&new.note()) && old.answers_to(&at(&digests[0], Some(7)).note()));
        for nobody_knows in [at(&digests[1], None).note(), new.note().alone(), Fingerprint::trusted("")] {
            assert!(!stands(&old, &nobody_knows), "{nobody_knows}");
        }
        assert!(!stands(&at(&digests[0], None), &new.note()));

        let lesser = at(&digests[1].lesser(), Some(2));
        assert!(!stands(&old, &lesser.note()), "a token would bring more, whoever is newer");
        assert!(stands(&at(&digests[0].lesser(), Some(1)), &lesser.note()));
        let lesser = Definition { also: vec![digests[1].clone()], ..lesser };
        assert!(lesser.answers_to(&new.note()) && !new.answers_to(&lesser.note()));
    }

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
