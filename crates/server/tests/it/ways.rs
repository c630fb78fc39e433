//! The short way and the long way of a hit: whatever is asked, and however it is written, both say
//! the same, and what parsers may differ on never takes the short one.

use std::fmt::Write as _;

use larder_github_sim::Issue;
use larder_server::Settings;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::raw::{Answer, Raw};
use crate::visitor::Visitor;
use crate::world::{HOUR, MINUTE, Served, World, header};

const HIT: &str = "GET /api/v1/clusters/tools HTTP/1.1\r\nHost: localhost\r\n\r\n";

const TARGETS: [&str; 20] = [
    "/api/v1/clusters/tools",
    "/api/v1/clusters/mixed",
    "/api/v1/clusters/bunker",
    "/api/v1/clusters/none",
    "/api/v1/clusters/%74ools",
    "/api/v1/clusters/tools/",
    "/api/v1/clusters//tools",
    "/api/v1/clusters/tools?",
    "/api/v1/clusters/tools?refresh=false",
    "/api/v1/clusters/..",
    "/api/v1/clusters/Tools",
    "/api/v1/clusters",
    "/api/v1/entries/cluster/tools",
    "/api/v1/entries/cluster/mixed",
    "/api/v1/entries/cluster%2Ftools",
    "/api/v1/entries/cluster/tools/refresh",
    "/api/v1/entries/Cluster/tools",
    "//api/v1/clusters/tools",
    "http://localhost/api/v1/clusters/tools",
    "/healthz",
];

const FIELDS: [&str; 53] = [
    "",
    "Accept-Encoding: gzip",
    "accept-encoding: br, GZIP;q=0.5",
    "Accept-Encoding: gzip;q=0",
    "Accept-Encoding: *",
    "Accept-Encoding: br\r\nAccept-Encoding: gzip",
    "If-None-Match: *",
    "If-None-Match: ETAG",
    "If-None-Match: \"x\", ETAG",
    "If-None-Match: \"x\"\r\nIF-NONE-MATCH: ETAG",
    "If-None-Match: \"x\"",
    "If-None-Match: ETAG\r\nAccept-Encoding: gzip",
    "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT",
    "Range: bytes=0-9",
    "Cache-Control: only-if-cached",
    "Cache-Control: max-age=600",
    "Cache-Control: max-stale=10",
    "Cache-Control:",
    "Pragma: x",
    "User-Agent: curl/8.1\r\nAccept: */*",
    "Accept:\t application/json \t",
    "X-Forwarded-For: 203.0.113.9",
    "FORWARDED: for=203.0.113.9",
    "X-FORWARDED-Proto: http",
    "Via: 1.1 proxy",
    "Authorization: Bearer reading-is-allowed",
    "authorization: bearer   all-is-allowed",
    "Authorization: Bearer no",
    "Authorization: Basic cmVhZGluZw==",
    "Cookie: larder_session=read.9999999999.0000; other=1",
    "Origin: https://evil.example",
    "Sec-Fetch-Site: cross-site",
    "Host: evil.example",
    "Connection: close",
    "Connection: Keep-Alive",
    "Connection: keep-alive, close",
    "Connection: upgrade\r\nUpgrade: h2c",
    "Content-Length: 0",
    "Content-Length: 0\r\nContent-Length: 0",
    "Content-Length: nine",
    "Transfer-Encoding: identity",
    "Expect: 100-continue",
    "Expect: something",
    "TE: trailers",
    "Folded: a\r\n b",
    "Bare: a\nLine: b",
    "Space : a",
    "Nul: a\0b",
    "Return: a\rb",
    "Delete: a\u{7f}b",
    ": nameless",
    "LONG",
    "MANY",
];

/// The line that makes hyper read the request, and changes nothing else.
const BY_HYPER: &str = "X-Odd: \u{e9}\r\n";

struct Case {
    method: &'static str,
    target: &'static str,
    version: &'static str,
    host: &'static str,
    fields: String,
}

impl Case {
    fn of(method: &'static str, target: &'static str, version: &'static str, fields: &str) -> Self {
        let fields = match fields {
            "LONG" => format!("X-Long: {}", "x".repeat(9000)),
            "MANY" => (0..80).fold(String::new(), |mut all, nr| {
                let _ = write!(all, "{}X-{nr}: y", if nr == 0 { "" } else { "\r\n" });
                all
            }),
            fields => fields.to_owned(),
        };
        Case { method, target, version, host: "Host: localhost:7070\r\n", fields }
    }

    fn text(&self, etag: &str, last: &str) -> Vec<u8> {
        let Case { method, target, version, host, fields } = self;
        let fields = fields.replace("ETAG", etag);
        let end = if fields.is_empty() { "" } else { "\r\n" };
        format!("{method} {target} {version}\r\n{host}{fields}{end}{last}\r\n").into_bytes()
    }
}

/// What comes back on a connection of its own, and what comes behind it.
async fn exchange(served: &Served, request: &[u8], is_head: bool) -> (Option<Answer>, Vec<u8>) {
    let mut raw = Raw::connect(served.running.address()).await;
    raw.write(request).await;
    let answer = raw.answer(is_head).await.map(Answer::undated);
    (answer, raw.finish().await)
}

async fn at_once(served: &Served) -> u64 {
    let text = served.get("/metrics").send().await.unwrap().text().await.unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix("larder_http_responses_at_once_total "));
    count.unwrap().parse().unwrap()
}

async fn etag(served: &Served) -> String {
    let answer = served.get("/api/v1/clusters/tools").bearer_auth("reading-is-allowed").send().await.unwrap();
    header(&answer, "etag")
}

/// Asks both ways, and says whether the short one was taken.
async fn ask(served: &Served, case: &Case, etag: &str) -> bool {
    let is_head = case.method == "HEAD";
    let before = at_once(served).await;
    let short = exchange(served, &case.text(etag, ""), is_head).await;
    let between = at_once(served).await;
    let long = exchange(served, &case.text(etag, BY_HYPER), is_head).await;
    assert_eq!(short, long, "{}", String::from_utf8_lossy(&case.text(etag, "")));
    assert_eq!(at_once(served).await, between);
    between > before
}

/// Reads until all is held in memory: for who may see it all, and for everybody.
async fn warm(served: &Served) {
    for cluster in ["tools", "mixed", "bunker"] {
        for path in ["/api/v1/clusters/", "/api/v1/entries/cluster/"] {
            let path = format!("{path}{cluster}");
            warm_one(served, served.get(&path).bearer_auth("reading-is-allowed")).await;
            if cluster != "bunker" {
                warm_one(served, served.get(&path).header("via", "1.1 proxy")).await;
            }
        }
    }
}

/// Whoever made an entry drops its first copy a moment later.
async fn warm_one(served: &Served, request: reqwest::RequestBuilder) {
    for _ in 0..1000 {
        let before = at_once(served).await;
        assert_eq!(request.try_clone().unwrap().send().await.unwrap().status(), 200);
        if at_once(served).await > before {
            return;
        }
    }
    panic!("{request:?} is never answered at once");
}

fn with_tokens(world: &World) -> Settings {
    let mut settings = world.settings();
    settings.read_token = Some("reading-is-allowed".into());
    settings.admin_token = Some("all-is-allowed".into());
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_say_the_same_of_every_target_with_every_field() {
    let world = World::new().await;
    let served = world.serve().await;
    warm(&served).await;
    world.clock.advance(MINUTE);
    let etag = etag(&served).await;
    let mut shortened = 0;
    for fields in FIELDS {
        let targets = if fields.len() < 25 { &TARGETS[..] } else { &TARGETS[..5] };
        for target in targets {
            shortened += usize::from(ask(&served, &Case::of("GET", target, "HTTP/1.1", fields), &etag).await);
        }
    }
    assert!((100..250).contains(&shortened), "{shortened} took the short way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_say_the_same_in_every_method_and_version() {
    let world = World::new().await;
    let served = world.serve().await;
    warm(&served).await;
    let etag = etag(&served).await;
    let mut shortened = Vec::new();
    for method in ["GET", "HEAD", "get", "OPTIONS", "DELETE", "POST", "PATCH"] {
        for version in ["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "http/1.1"] {
            for fields in [
                "",
                "Connection: close",
                "Connection: keep-alive",
                "Accept-Encoding: gzip",
                "If-None-Match: *",
            ] {
                for target in
                    ["/api/v1/clusters/tools", "/api/v1/entries/cluster/mixed", "/api/v1/clusters/none"]
                {
                    if ask(&served, &Case::of(method, target, version, fields), &etag).await {
                        shortened.push((method, version));
                    }
                }
            }
        }
    }
    assert_eq!(shortened.len(), 2 * 2 * 5 * 2, "{shortened:?}");
    assert!(shortened.iter().all(|(method, version)| {
        ["GET", "HEAD"].contains(method) && ["HTTP/1.0", "HTTP/1.1"].contains(version)
    }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_know_the_same_hosts() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.allowed_hosts = vec!["larder.example:80".to_owned()];
    let served = world.serve_with(settings).await;
    warm(&served).await;
    let mut shortened = 0;
    for host in [
        "",
        "Host:\r\n",
        "Host: LOCALHOST\r\n",
        "Host: localhost.\r\n",
        "Host: x.localhost:9\r\n",
        "Host: 127.0.0.1:1\r\n",
        "Host: [::1]:1\r\n",
        "Host: Larder.Example:443\r\n",
        "Host: evil.example\r\n",
        "Host: localhost.evil.example\r\n",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost\r\nHost: evil.example\r\n",
        "Host: 10.0.0.1\r\n",
        "Host: a@localhost\r\n",
        "host : localhost\r\n",
    ] {
        for target in ["/api/v1/clusters/tools", "/api/v1/clusters/bunker"] {
            let case = Case { host, ..Case::of("GET", target, "HTTP/1.1", "") };
            shortened += usize::from(ask(&served, &case, "").await);
        }
    }
    assert_eq!(shortened, 11, "the public cluster under six names, the private one under five of loopback's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_show_the_same_to_each_viewer() {
    let world = World::new().await;
    let served = world.serve_with(with_tokens(&world)).await;
    warm(&served).await;
    let entered = Visitor::new(&served).post("/sign-in", &[("token", "reading-is-allowed")]).await;
    let cookie = header(&entered, "set-cookie");
    let session = format!("Cookie: a=b; {}", cookie.split(';').next().unwrap());
    let mut shortened = 0;
    let viewers = FIELDS.iter().filter(|fields| fields.to_lowercase().starts_with("authorization"));
    for fields in viewers.copied().chain(["", &session, "Cookie: larder_session=read.1.x"]) {
        for target in &TARGETS[..5] {
            shortened += usize::from(ask(&served, &Case::of("GET", target, "HTTP/1.1", fields), "").await);
        }
    }
    assert!(shortened > 10, "{shortened}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_tell_nobody_of_what_only_others_may_ask_for() {
    const KEPT: &str = "/api/v1/entries/trackers/octo-org/cinder/release";
    const BESIDES: &str = "/api/v1/entries/trackers/octo-org/ember/release";
    let mut world = World::with_trackers().await;
    world.tracked = vec!["cinder"];
    let release = Issue { labels: vec!["release".to_owned()], ..Issue::new(1, "Release: v1.0.0") };
    world.sim.world(|github| assert!(github.add_issues("octo-org/ember", [release])));
    let served = world.serve_with(with_tokens(&world)).await;
    for path in [KEPT, BESIDES] {
        warm_one(&served, served.get(path).bearer_auth("all-is-allowed")).await;
    }
    warm_one(&served, served.get(KEPT)).await;
    let mut shortened = Vec::new();
    for fields in ["", "Authorization: Bearer reading-is-allowed", "Accept-Encoding: gzip"] {
        for target in [KEPT, BESIDES] {
            if ask(&served, &Case::of("GET", target, "HTTP/1.1", fields), "").await {
                shortened.push((fields, target));
            }
        }
    }
    let kept = |(_, target): &&(&str, &str)| *target == KEPT;
    assert_eq!((shortened.iter().filter(kept).count(), shortened.len()), (3, 4), "{shortened:?}");
    assert_eq!(served.get(BESIDES).send().await.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_say_the_same_of_a_copy_that_has_become_old() {
    let world = World::new().await;
    let served = world.serve().await;
    warm(&served).await;
    let etag = etag(&served).await;
    world.switch(larder_github_sim::Switches {
        outage: larder_github_sim::Outage::Unavailable,
        ..larder_github_sim::Switches::default()
    });
    world.clock.advance(2 * HOUR);
    // The first reader finds out that there is nothing younger to be had.
    let path = "/api/v1/clusters/tools";
    warm_one(&served, served.get(path)).await;
    let mut shortened = 0;
    for fields in ["", "Accept-Encoding: gzip", "If-None-Match: ETAG"] {
        shortened += usize::from(ask(&served, &Case::of("GET", path, "HTTP/1.1", fields), &etag).await);
    }
    assert_eq!(shortened, 3, "an outage makes hits no dearer");
}

/// A request, written in some of the ways that clients and attackers write.
fn requests() -> impl Strategy<Value = (Case, String)> {
    let method = prop::sample::select(vec!["GET", "GET", "GET", "HEAD"]);
    let version = prop::sample::select(vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]);
    let held = prop::sample::select(vec![TARGETS[0], TARGETS[1], TARGETS[12], TARGETS[13]]);
    let target = prop_oneof![2 => held, 1 => prop::sample::select(&TARGETS[..])];
    let known = prop::sample::select(&FIELDS[..51]).prop_map(str::to_owned);
    let spaced = ("[ \t]{0,3}", "[ \t]{0,3}", prop::sample::select(&FIELDS[1..34]));
    let spaced =
        spaced.prop_map(|(before, behind, field)| field.replacen(": ", &format!(":{before}"), 1) + &behind);
    let free = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}:[ -~\t]{0,40}".prop_map(|line| line);
    let odd = prop::collection::vec(any::<u8>().prop_map(|byte| char::from(byte & 0x7f)), 1..20)
        .prop_map(String::from_iter);
    let field = prop_oneof![6 => known, 4 => spaced, 4 => free, 1 => odd];
    let fields = prop::collection::vec(field, 0..4).prop_map(|fields| {
        fields.into_iter().filter(|field| !field.is_empty()).collect::<Vec<_>>().join("\r\n")
    });
    (method, target, version, fields).prop_map(|(method, target, version, fields)| {
        let case = Case { fields: fields.clone(), ..Case::of(method, target, version, "") };
        (case, fields)
    })
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.text("ETAG", "")))
    }
}

#[test]
fn both_ways_say_the_same_of_whatever_is_written() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_world, served, etag) = runtime.block_on(async {
        let world = World::new().await;
        let served = world.serve().await;
        warm(&served).await;
        let etag = etag(&served).await;
        (world, served, etag)
    });
    let before = runtime.block_on(at_once(&served));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(400));
    let ran = runner.run(&requests(), |(case, _)| {
        let is_head = case.method == "HEAD";
        let (short, long) = runtime.block_on(async {
            let short = exchange(&served, &case.text(&etag, ""), is_head).await;
            (short, exchange(&served, &case.text(&etag, BY_HYPER), is_head).await)
        });
        prop_assert_eq!(short, long);
        Ok(())
    });
    ran.unwrap();
    assert!(runtime.block_on(at_once(&served)) > before + 50);
}

/// What tells a request's end in two ways, or in a way that not all parsers know.
fn smuggled() -> impl Strategy<Value = String> {
    let framing = prop::sample::select(vec![
        "Content-Length: 5",
        "Content-Length: 60\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding:\tchunked",
        "transfer-encoding: CHUNKED",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Content-Length : 5",
        "X: y\nContent-Length: 5",
        "X: y\rContent-Length: 5",
        "X: y\r\n Content-Length: 5",
        "X: y\0\r\nContent-Length: 5",
        "\r\nContent-Length: 5",
        "Upgrade: websocket\r\nConnection: upgrade",
        "Expect: 100-continue\r\nContent-Length: 5",
        "\n",
        "X: y\n",
    ]);
    let around = prop::collection::vec("X-[a-z]{1,5}: [ -~]{0,10}\r\n", 0..3);
    let behind = prop::sample::select(vec!["", "0\r\n\r\n", "hello", HIT]);
    (framing, around.clone(), around, behind).prop_map(|(framing, before, after, behind)| {
        let (before, after) = (before.concat(), after.concat());
        format!("GET /api/v1/clusters/tools HTTP/1.1\r\nHost: localhost\r\n{before}{framing}\r\n{after}\r\n{behind}")
    })
}

#[test]
fn nothing_that_could_be_smuggled_takes_the_short_way() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_world, served) = runtime.block_on(async {
        let world = World::new().await;
        let served = world.serve().await;
        warm(&served).await;
        (world, served)
    });
    let before = runtime.block_on(at_once(&served));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(300));
    let ran = runner.run(&smuggled(), |request| {
        // A request that ends early, in all parsers' eyes, is one; what is behind it is another.
        let head_end = request.find("\r\n\r\n").unwrap();
        prop_assume!(request[..head_end].contains("Content-Length") || !request.contains("\r\n\r\nContent"));
        runtime.block_on(async {
            let mut raw = Raw::connect(served.running.address()).await;
            raw.write(request.as_bytes()).await;
            raw.finish().await
        });
        prop_assert_eq!(runtime.block_on(at_once(&served)), before);
        Ok(())
    });
    ran.unwrap();
}

#[tokio::test]
async fn a_hit_may_come_in_any_two_pieces() {
    let world = World::new().await;
    let served = world.serve().await;
    warm(&served).await;
    let (whole, _) = exchange(&served, HIT.as_bytes(), false).await;
    let before = at_once(&served).await;
    let mut raw = Raw::connect(served.running.address()).await;
    for cut in 1..HIT.len() {
        raw.write(&HIT.as_bytes()[..cut]).await;
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        raw.write(&HIT.as_bytes()[cut..]).await;
        assert_eq!(raw.answer(false).await.map(Answer::undated), whole, "cut at {cut}");
    }
    assert_eq!(raw.finish().await, b"");
    assert_eq!(at_once(&served).await, before + HIT.len() as u64 - 1);
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order_whichever_way_they_take() {
    let world = World::new().await;
    let served = world.serve().await;
    warm(&served).await;
    let (hit, _) = exchange(&served, HIT.as_bytes(), false).await;
    let list = "GET /api/v1/clusters HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let none = "GET /api/v1/clusters/none HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let head = "HEAD /api/v1/clusters/tools HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let body = "{\"keys\":[\"cluster/tools\"]}";
    let post = format!(
        "POST /api/v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let before = at_once(&served).await;
    // All at once, and each when the one before it is answered.
    for is_pipelined in [true, false] {
        let mut raw = Raw::connect(served.running.address()).await;
        let requests = [HIT, HIT, list, HIT, none, none, head, HIT, list, &post, HIT, list, HIT];
        if is_pipelined {
            raw.write(requests.concat().as_bytes()).await;
        }
        let mut statuses = Vec::new();
        for request in requests {
            if !is_pipelined {
                raw.write(request.as_bytes()).await;
            }
            let answer = raw.answer(request == head).await.unwrap().undated();
            statuses.push(answer.status().to_owned());
            match request {
                HIT => assert_eq!(Some(&answer), hit.as_ref()),
                request if request == list => assert!(answer.body.starts_with(b"{\"clusters\":")),
                request if request == head => assert_eq!(answer.head, hit.as_ref().unwrap().head),
                _ => {}
            }
        }
        let of = |request: &str| if request == none { "404" } else { "200" };
        assert_eq!(statuses, requests.map(of));
        assert_eq!(raw.finish().await, b"");
    }
    // A body ends what is plain: what comes behind it is hyper's.
    assert_eq!(at_once(&served).await, before + 2 * 5);
}

#[tokio::test]
async fn what_was_asked_before_a_miss_or_behind_it_is_still_answered_at_once() {
    let world = World::new().await;
    let served = world.serve().await;
    let mut raw = Raw::connect(served.running.address()).await;
    while at_once(&served).await < 3 {
        raw.write(HIT.as_bytes()).await;
        assert_eq!(raw.answer(false).await.unwrap().status(), "200");
    }
    assert_eq!(world.calls(), 1, "the first one was a miss");
}

#[tokio::test]
async fn short_answers_are_counted_as_long_ones_are() {
    let world = World::new().await;
    let served = world.serve().await;
    warm(&served).await;
    let figures = async |served: &Served| {
        let text = served.get("/metrics").send().await.unwrap().text().await.unwrap();
        let of = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
            value.unwrap_or_else(|| panic!("{name} in {text}"))
        };
        [
            of("larder_http_responses_total{class=\"2xx\"}"),
            of("larder_http_responses_total{class=\"3xx\"}"),
            of("larder_reads_total{result=\"hit\"}"),
            of("larder_reads_from_memory_total"),
            of("larder_http_duration_seconds_bucket{le=\"+Inf\"}"),
            of("larder_http_duration_seconds_count"),
        ]
    };
    for last in ["", BY_HYPER] {
        let before = figures(&served).await;
        for fields in ["", "If-None-Match: *", "Accept-Encoding: gzip"] {
            let case = Case::of("GET", "/api/v1/clusters/tools", "HTTP/1.1", fields);
            exchange(&served, &case.text("", last), false).await;
        }
        let after = figures(&served).await;
        let more = std::array::from_fn(|nr| after[nr] - before[nr]);
        // The first look at the figures was an answer too.
        assert_eq!(more, [3, 1, 3, 3, 4, 4], "{last}");
    }
}
