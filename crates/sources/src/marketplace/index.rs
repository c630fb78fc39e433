//! A marketplace that is a JSON index: by its address, or in a file.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use larder_core::{Absence, Ask, FetchError, Fetched, Scope};
use larder_domain::{Artifact, MarketIndex};
use url::Url;

use super::memory::{Harvest, Memory, held, id_by_name, warning};
use super::web::{BODY_BYTES_MAX, Got, Wanted, Web, host};
use crate::files::read_plain;

/// Reads an index by its address.
pub(super) async fn by_address(
    web: &Web,
    market: &str,
    url: &Url,
    allow_private: bool,
    ask: &Ask,
) -> Result<Fetched, FetchError> {
    let memory = Memory::of(ask);
    let wanted = Wanted {
        url,
        allow_private,
        etag: memory.etag.as_deref(),
        last_modified: memory.last_modified.as_deref(),
        deadline: ask.deadline,
    };
    let (body, etag, last_modified) = match web.get(wanted).await? {
        Got::NotModified => return Ok(Fetched::NotModified { ttl: None, cursor: None }),
        Got::Absent(absence) => return Ok(Fetched::Absent(absence)),
        Got::Here { body, etag, last_modified } => (body, etag, last_modified),
    };
    let scope = if allow_private { Artifact::offer_scope(market) } else { Scope::Public };
    let memory = Memory { etag, last_modified, ..Memory::default() };
    harvest(market, &MarketIndex::of(&body, &host(url))?, scope, memory, ask).into_fetched(ask)
}

/// Reads an index in a file.
pub(super) async fn by_file(market: &str, path: &Path, ask: &Ask) -> Result<Fetched, FetchError> {
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_plain(&file, BODY_BYTES_MAX as u64)).await;
    let known = Memory::of(ask).digest;
    let unusable = |detail| FetchError::BadFile { path: path.display().to_string(), detail };
    let body = match read.map_err(|error| FetchError::Local(error.to_string()))? {
        Ok((body, _)) => body,
        // It may be on its way to another place, or on a disk that is away: what it offered stands.
        Err(error) if error.kind() == io::ErrorKind::NotFound && known.is_some() => {
            return Err(unusable("it is not there any more".to_owned()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("there is no file {}", path.display());
            return Ok(Fetched::Absent(Absence::new("not_found", message)));
        }
        Err(error) => return Err(FetchError::Local(format!("{} cannot be read: {error}", path.display()))),
    };
    let digest = blake3::hash(&body).to_hex().as_str()[..32].to_owned();
    if known.as_ref() == Some(&digest) {
        return Ok(Fetched::NotModified { ttl: None, cursor: None });
    }
    let index = MarketIndex::read(&body).map_err(unusable)?;
    let memory = Memory { digest: Some(digest), ..Memory::default() };
    harvest(market, &index, Artifact::offer_scope(market), memory, ask).into_fetched(ask)
}

/// What an index offers. An entry that cannot be understood now keeps what was known of it.
fn harvest(market: &str, index: &MarketIndex, scope: Scope, memory: Memory, ask: &Ask) -> Harvest {
    let offered = index.offers.iter().map(|offer| {
        let artifact = Artifact::offered(market, offer.clone());
        (id_by_name(market, &artifact), artifact)
    });
    let mut artifacts: Vec<(String, Artifact)> = offered.collect();
    let ids: HashSet<String> = artifacts.iter().map(|(id, _)| id.clone()).collect();
    let odd: HashSet<&str> = index.problems.iter().map(|(about, _)| about.as_str()).collect();
    let is_odd = |name: &str| odd.contains(name);
    let kept = held(ask).into_iter().filter(|(id, (artifact, _))| {
        let of_odd = is_odd(&artifact.name) || artifact.plugin.as_deref().is_some_and(is_odd);
        of_odd && !ids.contains(id)
    });
    artifacts.extend(kept.map(|(id, (artifact, _))| (id, artifact)));
    let told = |(about, message): &(String, String)| warning(about, "malformed", message.clone());
    let warnings = index.problems.iter().map(told).collect();
    Harvest { artifacts, scope, is_all: true, memory, warnings, ttl: None }
}
