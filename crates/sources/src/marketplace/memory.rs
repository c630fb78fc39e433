//! What an entry remembers from one fetch to the next, in its cursor, and how what was found becomes
//! what came, changed and went.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use larder_core::{Ask, Delta, FetchError, Fetched, Item, ItemRef, NewItem, Others, Scope, Warning};
use larder_domain::Artifact;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// What is written in another way, or means something else, is not taken up.
const EDITION: u32 = 1;
/// Warnings beyond these are counted, not told.
const WARNINGS_MAX: usize = 50;
/// Everything but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// And the `/` between the parts of a path.
const ENCODED_PATH: &AsciiSet = &ENCODED.remove(b'/');

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    pub(super) edition: u32,
    /// The entity tag of the index, or of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_modified: Option<String>,
    /// The digest of the index, where nothing better tells whether it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
    /// The entity tag of the list of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tree_etag: Option<String>,
    /// Whether the repository is not for everybody.
    pub(super) is_private: bool,
    /// Which content of which file is known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) read: BTreeMap<String, String>,
    /// What there was to be told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<Warning>,
}

impl Memory {
    /// Of an ask; nothing where it is fetched from the beginning.
    pub(super) fn of(ask: &Ask) -> Memory {
        let read = ask.cursor.as_deref().and_then(|cursor| serde_json::from_str::<Memory>(cursor).ok());
        read.filter(|memory| memory.edition == EDITION).unwrap_or_default()
    }
}

/// The artifacts that are held, by identity.
pub(super) fn held(ask: &Ask) -> HashMap<String, (Artifact, &Item)> {
    let read = |item: &'_ Item| item.doc.decode::<Artifact>().ok();
    let items = ask.held.at_hand().iter().map(|member| &member.item);
    items.filter_map(|item| Some((item.of.id.to_string(), (read(item)?, item)))).collect()
}

/// The identity of what is known by its name.
pub(super) fn id_by_name(market: &str, artifact: &Artifact) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let plugin = artifact.plugin.as_deref().map(encoded).unwrap_or_default();
    format!("marketplace/{market}/{}/{plugin}/{}", artifact.kind, encoded(&artifact.name))
}

/// The identity of what is known by where it lies.
pub(super) fn id_by_path(market: &str, artifact: &Artifact) -> String {
    format!("marketplace/{market}/{}/./{}", artifact.kind, path_encoded(&artifact.path))
}

/// A path in an address.
pub(super) fn path_encoded(path: &str) -> String {
    utf8_percent_encode(path, ENCODED_PATH).to_string()
}

/// What a fetch found.
pub(super) struct Harvest {
    pub(super) artifacts: Vec<(String, Artifact)>,
    pub(super) scope: Scope,
    /// Whether it is all that there is.
    pub(super) is_all: bool,
    pub(super) memory: Memory,
    pub(super) warnings: Vec<Warning>,
    pub(super) ttl: Option<Duration>,
}

impl Harvest {
    /// What came, changed and went. Of two with one identity the first stands.
    pub(super) fn into_fetched(self, ask: &Ask) -> Result<Fetched, FetchError> {
        let Harvest { artifacts, scope, is_all, mut memory, mut warnings, ttl } = self;
        let from_the_beginning = ask.cursor.is_none();
        let mut ids = HashSet::new();
        let mut upserts = Vec::new();
        let held: HashMap<&str, &Item> =
            ask.held.at_hand().iter().map(|member| (&*member.item.of.id, &member.item)).collect();
        for (id, artifact) in &artifacts {
            if !ids.insert(id.as_str()) {
                let name = &artifact.name;
                let message = format!("`{name}` is offered twice; the first stands");
                warnings.push(warning(name, "taken", message));
                continue;
            }
            let item = artifact
                .item(id, scope.clone())
                .map_err(|error| FetchError::Local(format!("`{}`: {error}", artifact.name)))?;
            let is_same = |held: &&Item| held.doc == item.doc && held.scope == item.scope;
            if from_the_beginning || held.get(id.as_str()).is_none_or(|held| !is_same(held)) {
                upserts.push(item);
            }
        }
        let went = |of: &&ItemRef| is_all && !ids.contains(&*of.id);
        let mut removals: Vec<ItemRef> =
            ask.held.at_hand().iter().map(|member| &member.item.of).filter(went).cloned().collect();
        removals.sort();
        warnings.dedup();
        if warnings.len() > WARNINGS_MAX {
            let more = warnings.len() - WARNINGS_MAX;
            warnings.truncate(WARNINGS_MAX);
            warnings.push(warning("…", "more", format!("there are {more} more warnings like these")));
        }
        memory.edition = EDITION;
        memory.warnings.clone_from(&warnings);
        Ok(Fetched::Delta(Delta {
            upserts,
            removals,
            others: if from_the_beginning { Others::Go } else { Others::Stay },
            cursor: serde_json::to_string(&memory).ok(),
            warnings,
            ttl,
            ..Delta::default()
        }))
    }
}

/// The same content with another scope.
pub(super) fn scoped(ask: &Ask, scope: &Scope) -> Result<Vec<NewItem>, FetchError> {
    let item = |item: &Item| {
        let artifact: Artifact = item.doc.decode().map_err(|error| FetchError::Local(error.to_string()))?;
        artifact.item(&item.of.id, scope.clone()).map_err(|error| FetchError::Local(error.to_string()))
    };
    ask.held.at_hand().iter().map(|member| item(&member.item)).collect()
}

pub(super) fn warning(about: &str, code: &str, message: String) -> Warning {
    Warning { about: about.to_owned(), code: code.to_owned(), message }
}
