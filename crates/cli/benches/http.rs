//! What a hit over HTTP costs `larder serve`, beside a bare hyper server, nginx's `proxy_cache` and
//! Varnish with the same bodies and the same headers; and what 100,000 entries cost a start. The
//! client shares the cores, so the figure to compare is the CPU time of each server's processes, by
//! `/proc`; the rounds alternate, and a ratio is made of two runs of one round, so that a noisy machine
//! is noisy for both. All speak HTTP/1.1 and keep connections; `wrk` asks without pipelining.
//!
//! The rivals are set as for production: nginx with a worker a core, no access log, `sendfile`,
//! `tcp_nopush` and `tcp_nodelay` on, `open_file_cache`, the cache's files on a local disk and so in
//! the page cache, connections kept for ever; Varnish with its defaults and `malloc` storage. Both
//! have what they serve from a server that sends Larder's own answers, and that is gone when the
//! measuring begins. Wants `wrk`, `nginx` and `varnishd`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

mod binary;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use larder_github_sim::{Owner, Repository, Simulator, Token, World};

use server::{Load, Server};

#[path = "http/rivals.rs"]
mod rivals;
#[path = "http/server.rs"]
mod server;

const ENTRIES: usize = 100_000;
const ROUNDS: usize = 3;
const STARTS: usize = 15;
const SECONDS: u64 = 3;
const CONNECTIONS: [usize; 2] = [64, 256];

/// A cluster's id and how many repositories make its body about 2 and 25 KB.
const CLUSTERS: [(&str, usize); 2] = [("small", 3), ("large", 38)];

/// As an argument, it makes this program the bare server.
const BARE: &str = "bare-server";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let [_, word, dir] = words.as_slice()
        && word == BARE
    {
        return bare_server(Path::new(dir));
    }
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    hits(dir.path());
    let few = start_times(dir.path(), STARTS);
    multiply(&dir.path().join("larder.db"));
    starts(dir.path(), few);
}

fn path_of(cluster: &str) -> String {
    format!("/api/v1/clusters/{cluster}")
}

/// Each server's hits by body and connections, a line each, and what Larder's cost beside theirs.
fn hits(dir: &Path) {
    let larder = serve(dir);
    for (cluster, _) in CLUSTERS {
        larder.get(&path_of(cluster));
        let hit = larder.ask(&path_of(cluster)).unwrap();
        assert!(String::from_utf8_lossy(&hit).contains("x-cache-hit: hit"));
        std::fs::write(dir.join(cluster), hit).unwrap();
    }
    let origin = bare(dir);
    let rivals = [bare(dir), rivals::nginx(dir, &origin), rivals::varnish(dir, &origin)];
    drop(origin);
    let servers: Vec<&Server> = std::iter::once(&larder).chain(&rivals).collect();
    for (cluster, _) in CLUSTERS {
        let path = path_of(cluster);
        let body = larder.get(&path);
        for server in &servers {
            let answer = server.ask(&path).unwrap();
            let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            assert!(head.contains("cache-control: public") && head.contains("x-frame-options"), "{head}");
            assert!(answer.ends_with(&body), "{} sends the same bytes", server.name);
        }
        for connections in CONNECTIONS {
            let name = format!("HTTP hit, {:>6} bytes, {connections:>3} connections", body.len());
            compare(&name, &servers, &path, connections);
        }
    }
}

fn compare(name: &str, servers: &[&Server], path: &str, connections: usize) {
    let mut loads: Vec<Vec<Load>> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (server, loads) in servers.iter().zip(&mut loads) {
            loads.push(server.load(path, connections));
        }
    }
    for (server, loads) in servers.iter().zip(&loads) {
        println!(
            "| {name} | {:<17} | {:>7.0} a second | p50 {:>6.2} ms | p99 {:>6.2} ms | CPU {:>6.2} µs a request |",
            server.name,
            median(loads.iter().map(|load| load.requests / load.seconds)),
            median(loads.iter().map(|load| load.p50_ms)),
            median(loads.iter().map(|load| load.p99_ms)),
            median(loads.iter().map(Load::cpu_us)),
        );
    }
    let beside = |theirs: usize| {
        let rounds = loads[0].iter().zip(&loads[theirs]);
        median(rounds.map(|(ours, theirs)| ours.cpu_us() / theirs.cpu_us()))
    };
    println!(
        "| {name} | CPU of larder / bare hyper {:.2} | / nginx {:.2} | / Varnish {:.2} | goal ≤ 0.6 of nginx's and of Varnish's |",
        beside(1),
        beside(2),
        beside(3),
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// How long a start takes until `/readyz` says yes, and the memory of one that serves.
fn starts(dir: &Path, mut few: Vec<Duration>) {
    // The first one notes in each row that it is not configured; the others find that done.
    let first = percentile(&mut start_times(dir, 1), 50);
    let mut many = start_times(dir, STARTS);
    println!(
        "| `serve` ready, {ENTRIES} entries | p50 {:>6.1} ms | p99 {:>6.1} ms | first {first:>6.1} ms | with 2 entries p50 {:>6.1} ms, p99 {:>6.1} ms | goal ≤ 50 ms |",
        percentile(&mut many, 50),
        percentile(&mut many, 99),
        percentile(&mut few, 50),
        percentile(&mut few, 99),
    );
    let server = serve(dir);
    assert!(server.is_ready());
    let at_first = server.memory_mb("VmRSS:");
    server.load(&path_of("small"), CONNECTIONS[0]);
    println!(
        "| `serve` RSS, {ENTRIES} entries | ready {at_first:>5.1} MB | after {SECONDS} s of hits {:>5.1} MB | peak {:>5.1} MB | goal ≤ 64 MB |",
        server.memory_mb("VmRSS:"),
        server.memory_mb("VmHWM:"),
    );
}

fn start_times(dir: &Path, times: usize) -> Vec<Duration> {
    let start = |_| {
        let began = now();
        let server = serve(dir);
        while !server.is_ready() {
            assert!(now().saturating_sub(began) < PATIENCE, "it is ready some time");
        }
        now().saturating_sub(began)
    };
    (0..times).map(start).collect()
}

const PATIENCE: Duration = Duration::from_mins(1);

/// In milliseconds.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

/// A monotonic reading.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

fn larder(dir: &Path, args: &[&str]) -> Command {
    let mut command = binary::larder();
    command
        .env_clear()
        .env("HOME", dir)
        .env("GITHUB_TOKEN", "bench-token")
        .arg("--config")
        .arg(dir.join("larder.toml"))
        .args(args);
    command
}

fn serve(dir: &Path) -> Server {
    Server::spawn("larder serve", larder(dir, &["serve", "--listen", "127.0.0.1:0"]))
}

/// Two clusters, fetched once; GitHub is gone when they are served.
fn fill(dir: &Path) {
    let mut world = World::new();
    world.add_owner(Owner::organization("octo-org"));
    let mut config = String::new();
    for (cluster, size) in CLUSTERS {
        let names: Vec<String> = (0..size).map(|n| format!("{cluster}-{n}")).collect();
        writeln!(config, "\n[[cluster]]\nid = \"{cluster}\"\nname = \"{cluster}\"\nrepos = {names:?}")
            .unwrap();
        for name in names {
            world.add(Repository {
                description: Some(
                    "A repository, described at a length that is usual for such lines".to_owned(),
                ),
                stars: 4711,
                topics: vec!["cache".to_owned(), "github".to_owned()],
                ..Repository::new(&format!("octo-org/{name}"))
            });
        }
    }
    world.add_token("bench-token", Token::of("octocat"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let simulator = runtime.block_on(Simulator::start(world, larder_github_sim::Options::default())).unwrap();
    let head = format!(
        "[store]\nurl = \"sqlite:{}\"\n\n[github]\napi_url = \"{}\"\nowner = \"octo-org\"\n\n[clusters]\nunclustered = false\n",
        dir.join("larder.db").display(),
        simulator.url(),
    );
    std::fs::write(dir.join("larder.toml"), head + &config).unwrap();
    let output = larder(dir, &["refresh", "--all", "--quiet"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    runtime.block_on(simulator.stop());
}

/// Writes as many rows beside the small cluster's, with its members, as if each had been fetched.
fn multiply(database: &Path) {
    let conn = rusqlite::Connection::open(database).unwrap();
    let columns: Vec<String> = conn
        .prepare("SELECT name FROM pragma_table_info('entries') WHERE name NOT IN ('nr', 'key')")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let columns = columns.join(", ");
    conn.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ENTRIES} - 2)
         INSERT INTO entries (key, {columns})
           SELECT printf('cluster/filler-%06d', n), {columns} FROM n, entries WHERE key = 'cluster/small';
         INSERT INTO members (entry, position, asked, state, item)
           SELECT other.nr, position, asked, state, item
           FROM entries AS other, entries AS small JOIN members ON members.entry = small.nr
           WHERE small.key = 'cluster/small' AND other.key GLOB 'cluster/filler-*';
         COMMIT;"
    ))
    .unwrap();
    let held: i64 = conn.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).unwrap();
    assert_eq!(held, ENTRIES as i64);
}

fn bare(dir: &Path) -> Server {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(BARE).arg(dir);
    Server::spawn("bare hyper", command)
}

/// Sends what Larder sent, from memory, on as many threads as Larder has.
fn bare_server(dir: &Path) {
    let [small, large] = CLUSTERS.map(|(cluster, _)| answer(&std::fs::read(dir.join(cluster)).unwrap()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("http://{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (small, large) = (small.clone(), large.clone());
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let is_large = request.uri().path().ends_with("large");
                let (headers, body) = if is_large { &large } else { &small };
                let mut response = Response::new(Full::new(body.clone()));
                response.headers_mut().clone_from(headers);
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
}

/// The head and the body of an answer; what hyper says by itself is left out.
fn answer(sent: &[u8]) -> (HeaderMap, Bytes) {
    let (head, body) = server::parts(sent);
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let mut headers: HeaderMap = lines
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect();
    for own in [CONTENT_LENGTH, DATE, hyper::header::CONNECTION] {
        headers.remove(own);
    }
    (headers, Bytes::copy_from_slice(body))
}
