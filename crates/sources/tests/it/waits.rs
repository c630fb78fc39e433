//! A host that is no GitHub says for how long it wants to be left alone: nothing is sent there before,
//! by no entry and no process, whatever wishes for it.

use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use larder_core::{
    Ask, FetchError, Fetched, Held, LimitKind, Policy, Priority, Retry, Source, Trigger, Validators,
};
use larder_sources::{MarketplaceConfig, MarketplaceFrom, MarketplaceSource};

use crate::scene::{Scene, TOKEN};

/// A host that counts its calls and answers all with one status, and a Retry-After.
#[derive(Default)]
struct Host {
    status: AtomicU16,
    calls: AtomicUsize,
    retry_after: Mutex<Option<&'static str>>,
}

async fn answer(State(host): State<Arc<Host>>) -> (StatusCode, [(&'static str, String); 1], &'static str) {
    host.calls.fetch_add(1, Ordering::SeqCst);
    let status = StatusCode::from_u16(host.status.load(Ordering::SeqCst)).unwrap();
    let said = host.retry_after.lock().unwrap();
    // Nothing that it could mean.
    let header = said.map_or(("x-nothing", String::new()), |said| ("retry-after", said.to_owned()));
    (status, [header], r#"[{"name": "pdf", "type": "skill"}]"#)
}

impl Host {
    async fn start() -> (Arc<Host>, String) {
        let host = Arc::new(Host { status: AtomicU16::new(200), ..Host::default() });
        let app = Router::new().fallback(answer).with_state(host.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (host, base)
    }

    fn say(&self, status: u16, retry_after: Option<&'static str>) {
        self.status.store(status, Ordering::SeqCst);
        *self.retry_after.lock().unwrap() = retry_after;
    }

    fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

/// A process that reads two indexes of one host.
fn process(scene: &Scene, base: &str, seed: u64) -> MarketplaceSource {
    let configs = ["one", "two"].map(|name| MarketplaceConfig {
        name: name.to_owned(),
        from: MarketplaceFrom::Url {
            url: format!("{base}/{name}.json").parse().unwrap(),
            allow_private: true,
        },
        ttl: Duration::from_hours(24),
    });
    let clock = Arc::new(scene.clock.clone());
    MarketplaceSource::new(&configs, scene.github(Some(TOKEN), seed), clock, &Policy::default()).unwrap()
}

async fn fetch(scene: &Scene, source: &MarketplaceSource, name: &str) -> Result<Fetched, FetchError> {
    let key = MarketplaceSource::key(name).unwrap();
    let ask = Ask {
        definition: source.define(&key).unwrap(),
        key,
        subset: None,
        validators: Validators::default(),
        cursor: None,
        body: None,
        held: Held::default(),
        trigger: Trigger::Manual,
        priority: Priority::Manual,
        deadline: larder_core::Clock::now(&scene.clock).plus(Duration::from_secs(30)),
    };
    source.fetch(&ask).await
}

#[tokio::test]
async fn a_host_that_asks_to_be_left_alone_is_called_by_no_entry_and_no_process() {
    let long_past = Some("Thu, 01 Jan 1970 00:00:01 GMT");
    let cases = [
        (503, Some("120"), 120),
        (429, Some("90"), 90),
        (429, None, 60),
        (502, Some("30"), 30),
        (403, Some("600"), 600),
        (429, long_past, 60),
        (403, long_past, 60),
        (429, Some("0"), 1),
        (503, Some("0"), 1),
        (429, Some("200000"), 86_400),
    ];
    for (status, retry_after, seconds) in cases {
        let (scene, (host, base)) = (Scene::with(Vec::new()).await, Host::start().await);
        let (met, other) = (process(&scene, &base, 1), process(&scene, &base, 2));
        host.say(status, retry_after);
        let error = fetch(&scene, &met, "one").await.unwrap_err();
        let until = larder_core::Clock::now(&scene.clock).plus(Duration::from_secs(seconds));
        assert_eq!((error.retry(), error.counts()), (Retry::At(until), false), "{status}: {error}");
        assert_eq!(host.calls(), 1);

        host.say(200, None);
        scene.clock.advance(Duration::from_secs(seconds - 1));
        for source in [&met, &other] {
            for name in ["one", "two"] {
                let error = fetch(&scene, source, name).await.unwrap_err();
                let FetchError::Limited { kind: LimitKind::Outage, until: told, .. } = error else {
                    panic!("{error}")
                };
                assert_eq!(told, until);
            }
        }
        assert_eq!(host.calls(), 0, "{status}: nothing is sent before");
        scene.clock.advance(Duration::from_secs(1));
        fetch(&scene, &other, "two").await.unwrap();
        assert_eq!(host.calls(), 1);
    }
}

#[tokio::test]
async fn a_failure_that_names_no_time_keeps_no_other_entry_waiting() {
    let (scene, (host, base)) = (Scene::with(Vec::new()).await, Host::start().await);
    let source = process(&scene, &base, 1);
    host.say(503, None);
    assert_eq!(fetch(&scene, &source, "one").await.unwrap_err().retry(), Retry::Now);
    host.say(200, None);
    fetch(&scene, &source, "two").await.unwrap();
    assert_eq!(host.calls(), 2);
    assert_eq!(scene.budgets.in_flight(), 0, "what was taken was given back");
}
