//! What a server logs of what it cannot fetch. An outage is one fact, however many entries it meets and
//! however often they are tried: it is told when it begins and when it is over.

use std::collections::BTreeMap;

use larder_core::{Failure, Key, Outcome, Trigger};
use larder_engine::{Announcement, Engine};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Which entries fail, each by the code of its failure.
#[derive(Debug, Default)]
struct Troubles(BTreeMap<Key, String>);

/// Tells of this engine's attempts from now on, until it is dropped.
pub fn tell(engine: Engine) -> impl Future<Output = ()> + Send {
    let announced = engine.subscribe();
    tell_of(engine, announced)
}

async fn tell_of(engine: Engine, mut announced: Receiver<Announcement>) {
    let mut troubles = Troubles::default();
    loop {
        let heard = match announced.recv().await {
            Ok(heard) => heard,
            // What was missed is heard at the entry's next attempt.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let key = heard.key;
        troubles.forget_gone(&engine);
        if heard.outcome != Outcome::Failed {
            if let Some(code) = troubles.passed(&key) {
                tracing::info!("`{key}` and what failed alike ({code}) can be refreshed again");
            }
            continue;
        }
        // A store that cannot be asked is told of by who finds that out.
        let Ok(rows) = engine.store().lookup(std::slice::from_ref(&key)).await else { continue };
        let failure = rows.into_iter().flatten().next().and_then(|row| row.entry.last_error);
        let Some(failure) = failure else { continue };
        if !troubles.knows(key.source(), &failure.code) && is_gone(&engine, &key).await {
            continue;
        }
        if troubles.began(&key, &failure) {
            let Failure { code, message, .. } = failure;
            tracing::warn!(
                "`{key}` could not be refreshed: {message} ({code}; others that fail alike are not told of)"
            );
        }
    }
}

/// Whether an entry that fails is one no more, as the entries that list it say when they are asked anew: of a
/// folder that was moved or removed it may be heard before it is looked which there are now.
async fn is_gone(engine: &Engine, key: &Key) -> bool {
    let indexes = engine.indexes_of(key.source());
    if !indexes.is_empty() && !indexes.contains(key) {
        engine.refresh_only(&indexes, Trigger::Watch, |_| {}).await;
    }
    engine.define(key).is_none()
}

impl Troubles {
    /// What is gone fails no more, and nobody is to wait until it does well.
    fn forget_gone(&mut self, engine: &Engine) {
        self.0.retain(|key, _| engine.define(key).is_some());
    }

    /// Notes a failure. Answers whether nothing of that source failed so before.
    fn began(&mut self, key: &Key, failure: &Failure) -> bool {
        let is_known = self.knows(key.source(), &failure.code);
        self.0.insert(key.clone(), failure.code.clone());
        !is_known
    }

    /// Notes that an entry fails no more. Answers the code of its failure, if it was the last of its source
    /// that failed so.
    fn passed(&mut self, key: &Key) -> Option<String> {
        let code = self.0.remove(key)?;
        (!self.knows(key.source(), &code)).then_some(code)
    }

    fn knows(&self, source: &str, code: &str) -> bool {
        self.0.iter().any(|(key, known)| key.source() == source && known == code)
    }
}

#[cfg(test)]
mod tests {
    use larder_core::Time;

    use super::*;

    #[test]
    fn an_outage_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let key = |name: &str| -> Key { name.parse().unwrap() };
        let failure = |code: &str| Failure {
            code: code.to_owned(),
            message: "503".to_owned(),
            hint: None,
            at: Time::default(),
        };
        let (quill, kiln, trackers) = (key("cluster/quill"), key("cluster/kiln"), key("trackers/o/quill"));
        let mut troubles = Troubles::default();
        assert!(troubles.began(&quill, &failure("upstream")));
        assert!(!troubles.began(&quill, &failure("upstream")), "the next attempt is no news");
        assert!(!troubles.began(&kiln, &failure("upstream")), "it is the same outage");
        assert!(troubles.began(&trackers, &failure("upstream")), "another source's is another");
        assert!(troubles.began(&kiln, &failure("denied")), "it fails in another way");
        assert_eq!(troubles.passed(&kiln).as_deref(), Some("denied"));
        assert_eq!(troubles.passed(&quill).as_deref(), Some("upstream"));
        assert_eq!(troubles.passed(&quill), None, "all was well already");
    }
}
