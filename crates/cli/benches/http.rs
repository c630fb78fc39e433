//! What a hit over HTTP costs `larder serve`, beside a bare hyper server with the same bodies and
//! nginx's `proxy_cache`; and what 100,000 entries cost a start. The client shares the cores, so the
//! figure to compare is the servers' own CPU time; the rounds alternate, so that a noisy machine is
//! noisy for all. Wants `wrk` and `nginx`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use larder_github_sim::{Owner, Repository, Simulator, Token, World};

use server::{Load, Server};

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

/// Each server's hits by body and connections, a line each.
fn hits(dir: &Path) {
    let larder = serve(dir);
    for (cluster, _) in CLUSTERS {
        larder.get(&path_of(cluster));
        std::fs::write(dir.join(cluster), larder.get(&path_of(cluster))).unwrap();
    }
    let servers = [bare(dir), larder, nginx(dir)];
    for (cluster, _) in CLUSTERS {
        let path = path_of(cluster);
        let body = std::fs::read(dir.join(cluster)).unwrap();
        assert!(servers.iter().all(|server| server.get(&path) == body), "all send the same bytes");
        for connections in CONNECTIONS {
            let mut loads = servers.each_ref().map(|_| Vec::new());
            for _ in 0..ROUNDS {
                for (server, loads) in servers.iter().zip(&mut loads) {
                    loads.push(server.load(&path, connections));
                }
            }
            let theirs = cpu_us(&loads[0]);
            for (server, loads) in servers.iter().zip(&loads) {
                let name = format!("HTTP hit, {:>6} bytes, {connections:>3} connections", body.len());
                tell(&format!("{name} | {:<17}", server.name), loads, theirs);
            }
        }
    }
}

fn tell(name: &str, loads: &[Load], theirs: f64) {
    let median = |of: fn(&Load) -> f64| {
        let mut all: Vec<f64> = loads.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "| {name} | {:>7.0} a second | p50 {:>6.2} ms | p99 {:>6.2} ms | CPU {:>6.2} µs a request | {:>5.2}× | goal ≤ 1.25× (larder) |",
        median(|load| load.requests / load.seconds),
        median(|load| load.p50_ms),
        median(|load| load.p99_ms),
        cpu_us(loads),
        cpu_us(loads) / theirs,
    );
}

/// CPU time a request, over all rounds.
fn cpu_us(loads: &[Load]) -> f64 {
    let sum = |of: fn(&Load) -> f64| loads.iter().map(of).sum::<f64>();
    sum(|load| load.cpu_s) / sum(|load| load.requests) * 1e6
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
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
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

/// Answers with bytes from memory and hyper's least head, on as many threads as Larder has.
fn bare_server(dir: &Path) {
    let [small, large] = CLUSTERS.map(|(cluster, _)| Bytes::from(std::fs::read(dir.join(cluster)).unwrap()));
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
                let mut response =
                    Response::new(Full::new(if is_large { large.clone() } else { small.clone() }));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
}

fn nginx_command(prefix: &Path) -> Command {
    let mut command = Command::new("nginx");
    command
        .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
        .arg(prefix)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// nginx with both bodies in its cache; what it had them from is gone.
fn nginx(dir: &Path) -> Server {
    let upstream = bare(dir);
    let prefix = dir.join("nginx");
    std::fs::create_dir(&prefix).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    // Workers of root's would be nobody's, who may not look into a directory of root's.
    let user = if std::fs::metadata(&prefix).unwrap().uid() == 0 { "user root;" } else { "" };
    let config = format!(
        "{user} daemon off; worker_processes auto; pid nginx.pid; events {{ worker_connections 1024; }}
         http {{
           access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
           client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
           scgi_temp_path scgi; proxy_cache_path cache keys_zone=hits:1m;
           server {{
             listen {address};
             location / {{ proxy_pass http://{}; proxy_cache hits; proxy_cache_valid 200 1h; }}
           }}
         }}",
        upstream.address,
    );
    std::fs::write(prefix.join("nginx.conf"), config).unwrap();
    let child = nginx_command(&prefix).spawn().unwrap();
    let server = Server { name: "nginx proxy_cache", child, address, prefix: Some(prefix) };
    let began = now();
    while TcpStream::connect(&server.address).is_err() {
        assert!(now().saturating_sub(began) < PATIENCE, "nginx listens some time");
        std::thread::yield_now();
    }
    for (cluster, _) in CLUSTERS {
        server.get(&path_of(cluster));
    }
    server
}
