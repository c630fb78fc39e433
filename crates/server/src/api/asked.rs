//! By which names the repositories of a list are asked for. GitHub leads from a former name to the present one,
//! and configuration may go on using it. A list tells which entries show a repository, and not by which name: so
//! the members of a cluster that shows one and does not name it as it is called now are looked up.

use std::collections::HashMap;
use std::sync::Arc;

use larder_core::{Key, Store, StoreError, Stored, lookup_past_damage};
use larder_domain::{ClustersConfig, Repository};

/// The former names of these repositories, each beside the entries that show it: `None` where every cluster asks
/// for it as it is called now. Nearly always that is known without the store.
pub async fn asked_names(
    store: &dyn Store,
    config: &ClustersConfig,
    listed: &[(&Repository, &[Key])],
) -> Result<Vec<Option<Arc<str>>>, StoreError> {
    let is_former = |repository: &Repository, key: &Key| {
        let id = key.segments().pop().unwrap_or_default();
        config.cluster(&id).is_some_and(|cluster| !cluster.names(repository))
    };
    let mut keys: Vec<Key> = Vec::new();
    for (repository, entries) in listed {
        for key in entries.iter().filter(|key| is_former(repository, key)) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
    }
    if keys.is_empty() {
        return Ok(vec![None; listed.len()]);
    }
    // By which name one that cannot be read asks is not known: that takes nothing from the list.
    let (held, _) = lookup_past_damage(store, &keys).await?;
    let held: HashMap<Key, Stored> =
        keys.into_iter().zip(held).filter_map(|(key, held)| Some((key, held?))).collect();
    let asked = |(repository, entries): &(&Repository, &[Key])| {
        let id = repository.id();
        let members = entries.iter().filter_map(|key| held.get(key)).flat_map(|held| &held.members);
        members
            .filter(|member| *member.item.of.id == *id)
            .find_map(|member| former(&member.asked, repository))
    };
    Ok(listed.iter().map(asked).collect())
}

/// The name that a repository is asked for by, where it is called otherwise by now.
pub(crate) fn former(asked: &Arc<str>, repository: &Repository) -> Option<Arc<str>> {
    (!asked.eq_ignore_ascii_case(&repository.full_name)).then(|| asked.clone())
}
