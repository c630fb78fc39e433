//! The source of one process: it asks the world, over a line that is slow, and sometimes fails.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Absence, Answer, Answers, Ask, Clock as _, Coverage, Definition, FetchError, Fetched, Finding,
    Fingerprint, ItemRef, Json, Key, LimitKind, Listing, NewItem, Scope, Source, Spent, Validators,
};

use super::sim::Sim;
use super::world::{Weather, is_private};

/// One of the two sources, as one process has it.
pub(crate) struct SimSource {
    pub(crate) sim: Arc<Sim>,
    pub(crate) name: &'static str,
    pub(crate) who: Arc<str>,
}

/// A fetch under way; dropped with the process, it is over too.
struct Flying<'a> {
    source: &'a SimSource,
    key: Key,
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        self.source.sim.state().leases.fetch_ends(&self.key, &self.source.who);
    }
}

impl SimSource {
    fn take_off(&self, key: &Key) -> Flying<'_> {
        let tick = self.sim.tick();
        self.sim.note(&self.who, || format!("fetches {key}"));
        let begun = {
            let mut state = self.sim.state();
            state.counts.fetches += 1;
            state.leases.fetch_begins(key, &self.who, tick)
        };
        if let Err(wrong) = begun {
            self.sim.violate(|| wrong);
        }
        Flying { source: self, key: key.clone() }
    }

    async fn travel(&self) {
        let most = self.sim.state().world.latency;
        let ms = self.sim.pick(most + 1);
        if ms > 0 {
            self.sim.clock.sleep(Duration::from_millis(ms)).await;
        }
    }

    fn failure(&self) -> FetchError {
        let host = "upstream".to_owned();
        match self.sim.pick(6) {
            0 | 1 => FetchError::Network { host, cause: "connection refused".to_owned() },
            2 => FetchError::Upstream { host, status: 502, detail: None, retry_at: None },
            3 => FetchError::TimedOut { after: Duration::from_secs(10) },
            4 => FetchError::Limited {
                kind: LimitKind::Secondary,
                until: self.sim.now().plus(Duration::from_secs(self.sim.pick(600))),
                message: "the secondary rate limit holds".to_owned(),
            },
            _ => FetchError::Unusable { host, detail: "not JSON".to_owned() },
        }
    }

    async fn answer(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        let _flying = self.take_off(&ask.key);
        self.travel().await;
        let weather = self.sim.state().world.weather;
        match weather {
            Weather::Hanging => std::future::pending().await,
            Weather::Failing(percent) if self.sim.happens(percent) => return Err(self.failure()),
            Weather::Failing(_) | Weather::Fine => {}
        }
        let names = match (&ask.subset, &ask.definition.names) {
            (Some(names), _) => names.clone(),
            (None, names) => names.as_deref().unwrap_or_default().to_vec(),
        };
        let held = ask.validators.etag.as_deref().filter(|_| self.sim.happens(50));
        if held.is_some_and(|etag| self.etag(&names).as_deref() == Some(etag)) {
            self.travel().await;
            return Ok(Fetched::NotModified { ttl: None, cursor: None });
        }
        if self.sim.state().world.absent.contains(&ask.key) {
            return Ok(Fetched::Absent(Absence::new("not_found", "there is no such entry")));
        }
        let mut answers = Vec::with_capacity(names.len());
        for name in names {
            // Each is looked at in its own moment.
            if self.sim.happens(20) {
                self.travel().await;
            }
            let finding = self.find(&name);
            answers.push(Answer { asked: name, finding });
        }
        self.travel().await;
        Ok(Fetched::Items(self.listing(answers)))
    }

    fn listing(&self, answers: Vec<Answer>) -> Listing {
        let revisions = answers.iter().map(|answer| match &answer.finding {
            Finding::Present(item) => revision(&item.doc),
            Finding::Absent(_) | Finding::Unknown(_) => None,
        });
        let etag = revisions.collect::<Option<Vec<u64>>>().map(|all| format!("{all:?}"));
        let extra = self.sim.state().world.extra_tag;
        Listing {
            answers,
            validators: Validators { etag, ..Validators::default() },
            tags: if extra { vec!["extra".to_owned()] } else { Vec::new() },
            ..Listing::default()
        }
    }

    /// The entity tag of what is there now, if all of it is.
    fn etag(&self, names: &[Arc<str>]) -> Option<String> {
        self.sim.tick();
        let state = self.sim.state();
        let revisions: Option<Vec<u64>> = names.iter().map(|name| state.world.now(name)).collect();
        revisions.map(|all| format!("{all:?}"))
    }

    fn find(&self, name: &Arc<str>) -> Finding {
        self.sim.tick();
        let found = {
            let state = self.sim.state();
            (state.world.unknown.contains(&**name), state.world.now(name))
        };
        match found {
            (true, _) => Finding::Unknown(FetchError::Partial {
                host: "upstream".to_owned(),
                detail: "left out".to_owned(),
            }),
            (false, None) => Finding::Absent(Absence::new("not_found", "it does not exist")),
            (false, Some(revision)) => Finding::Present(item(name, revision)),
        }
    }
}

/// Which revision a document is.
pub(crate) fn revision(doc: &Json) -> Option<u64> {
    doc.decode::<serde_json::Value>().ok()?.get("revision")?.as_u64()
}

fn item(name: &str, revision: u64) -> NewItem {
    let scope =
        if is_private(name) { Scope::Repo(format!("example.com/{name}").into()) } else { Scope::Public };
    NewItem {
        of: ItemRef::new("thing", name),
        scope,
        doc: Json::from(serde_json::json!({ "name": name, "revision": revision })),
        coverage: Coverage::Whole,
    }
}

#[async_trait]
impl Source for SimSource {
    fn name(&self) -> &str {
        self.name
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        let state = self.sim.state();
        let asked = state.world.entries.get(key)?;
        let fingerprint = Fingerprint::of(&[key.as_str(), &asked.edition.to_string()]);
        let definition = Definition::new(fingerprint, state.world.policy.clone());
        let names = Some(asked.names.clone().into());
        Some(Arc::new(Definition { names, tags: asked.tags.clone(), ..definition }))
    }

    fn keys(&self) -> Vec<Key> {
        let state = self.sim.state();
        state.keys().into_iter().filter(|key| key.source() == self.name).collect()
    }

    fn at_once(&self) -> usize {
        if self.name == "right" { 1 } else { usize::MAX }
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        self.answer(ask).await
    }

    async fn fetch_many(&self, asks: &[Ask], answers: &Answers) {
        let each = asks.iter().map(async |ask| {
            let answer = self.answer(ask).await;
            // It happens that a source says nothing of what it was asked.
            let forgetful = self.sim.state().world.forgetful;
            if !(forgetful && self.sim.happens(1)) {
                answers.send(&ask.key, answer, Spent { calls: 1, cost: 1 });
            }
        });
        futures::future::join_all(each).await;
    }
}
