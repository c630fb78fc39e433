//! `larder serve` and `larder demo`, run as people run them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};

use larder_github_sim::Switches;
use serde_json::Value;

use crate::postgres::Database;
use crate::world::{CLUSTERS, GitHub, User};

/// A server that runs until it is stopped, or the test ends.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
}

impl Serving {
    pub(crate) fn start(user: &User, args: &[&str]) -> Self {
        Serving::start_to(user, args, Stdio::null())
    }

    /// The same, with somewhere to log to.
    pub(crate) fn start_to(user: &User, args: &[&str], log: Stdio) -> Self {
        let args = [args, &["--listen", "127.0.0.1:0", "--json"]].concat();
        let mut child = user.command(&args).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        let address = told["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Serving { child, address }
    }

    /// An answer's head and body.
    pub(crate) fn get(&self, path: &str) -> (String, String) {
        get(&self.address, path)
    }

    /// The answer to something posted.
    pub(crate) fn post(&self, path: &str, body: &str) -> (String, String) {
        asked(&self.address, "POST", path, body).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it when it has made so many system calls more to read and write.
    #[cfg(target_os = "linux")]
    pub(crate) fn kill_after_calls(&mut self, calls: u64) {
        let made = || crate::fire::calls_made(self.child.id()).unwrap_or(u64::MAX);
        let end = made().saturating_add(calls);
        while made() < end {
            crate::fire::pause(std::time::Duration::from_micros(300));
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, as the system does, and waits.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        assert!(asked.unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn get(address: &str, path: &str) -> (String, String) {
    try_get(address, path).unwrap()
}

/// The same of a server that may be gone.
pub(crate) fn try_get(address: &str, path: &str) -> std::io::Result<(String, String)> {
    asked(address, "GET", path, "")
}

pub(crate) fn try_post(address: &str, path: &str) -> std::io::Result<(String, String)> {
    asked(address, "POST", path, "")
}

fn asked(address: &str, method: &str, path: &str, body: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((head.to_owned(), body.to_owned()))
}

#[test]
fn a_server_answers_and_ends_when_it_is_asked_to() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let serving = Serving::start(&user, &["serve"]);
    let (head, body) = serving.get("/api/v1/clusters/cinder");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let cluster: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(cluster["repositories"].as_array().unwrap().len(), 3);
    let (head, page) = serving.get("/");
    assert!(head.contains("text/html") && page.contains("cinder-mcp"), "{head}");
    assert!(!page.contains("Break GitHub"), "the panel is the demo's alone");
    let listed = user.json(&["repos", "--cluster", "cinder", "--offline"]);
    assert_eq!(listed["repositories"].as_array().unwrap().len(), 3, "it is one store");
    let (_, body) = serving.get("/api/v1/repos?sort=stars");
    let served: Value = serde_json::from_str(&body).unwrap();
    let listed = user.json(&["repos", "--sort", "stars", "--offline"]);
    // Values keep the order in which their fields came.
    assert_eq!(listed["repositories"].to_string(), served["repositories"].to_string(), "byte by byte");
    let ready = user.json(&["serve", "--check", "--listen", &serving.address]);
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["url"], format!("http://{}", serving.address));
    assert!(serving.stop().success());
}

/// Who asks twice has waited long enough.
#[test]
#[cfg(target_os = "linux")]
fn a_server_that_is_asked_to_end_once_more_waits_for_nothing() {
    let github = GitHub::demo();
    github.switch(Switches { hold: true, ..Switches::default() });
    let user = User::of(&github, CLUSTERS);
    let mut serving = Serving::start_to(&user, &["serve"], Stdio::piped());
    let mut reader = TcpStream::connect(&serving.address).unwrap();
    write!(reader, "GET /api/v1/clusters/cinder HTTP/1.1\r\nHost: {}\r\n\r\n", serving.address).unwrap();
    crate::fire::until("somebody asks GitHub", || (!github.requests().is_empty()).then_some(()));
    crate::fire::signal_to(serving.pid(), rustix::process::Signal::INT);
    let mut said = BufReader::new(serving.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("Ctrl-C once more ends it at once")));
    crate::fire::signal_to(serving.pid(), rustix::process::Signal::INT);
    assert!(serving.child.wait().unwrap().success());
    assert!(said.any(|line| line.contains("what was under way was left as it was")));
}

/// It begins nothing any more, however long its last readers take.
#[test]
#[cfg(target_os = "linux")]
fn a_server_that_is_asked_to_end_is_none_that_refreshes_for_others() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos", "--cluster", "kiln"]);
    github.take_requests();
    github.switch(Switches { hold: true, ..Switches::default() });
    let mut serving = Serving::start_to(&user, &["serve"], Stdio::piped());
    let mut reader = TcpStream::connect(&serving.address).unwrap();
    write!(reader, "GET /api/v1/clusters/cinder HTTP/1.1\r\nHost: {}\r\n\r\n", serving.address).unwrap();
    crate::fire::until("somebody asks GitHub", || (!github.requests().is_empty()).then_some(()));
    crate::fire::signal_to(serving.pid(), rustix::process::Signal::INT);
    let mut said = BufReader::new(serving.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("Ctrl-C once more ends it at once")));
    user.ok(&["cache", "invalidate", "kiln"]);
    user.ok(&["repos", "--cluster", "kiln"]);
    crate::fire::signal_to(serving.pid(), rustix::process::Signal::INT);
    assert!(serving.child.wait().unwrap().success());
    github.switch(Switches::default());
    user.wait_for_child();
    assert_eq!(user.status("cluster/kiln")["status"], "fresh");
}

/// Nothing is wrong but how soon changes are noticed, which nobody would see.
#[test]
fn a_server_that_cannot_listen_where_it_was_told_to_says_so() {
    let database = Database::new();
    let user = User::new()
        .var("LARDER_STORE__URL", &database.url())
        .var("LARDER_STORE__LISTEN_URL", "postgres://nobody@127.0.0.1:1/none");
    let mut serving = Serving::start_to(&user, &["serve"], Stdio::piped());
    let mut said = BufReader::new(serving.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("nobody can listen at `listen_url`")));
    assert!(serving.stop().success());
}

/// What starts servers may end one at once, and must not take it for a crash.
#[test]
#[cfg(target_os = "linux")]
fn a_server_that_is_stopped_as_soon_as_it_says_where_it_is_ends_well() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    for _ in 0..8 {
        let mut serving = Serving::start(&user, &["serve"]);
        crate::fire::signal_to(serving.pid(), rustix::process::Signal::TERM);
        let ended = serving.child.wait().unwrap();
        assert!(ended.success(), "{ended}");
    }
}

#[test]
fn where_a_server_runs_a_stale_reader_leaves_the_refresh_to_it() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let _serving = Serving::start(&user, &["serve"]);
    user.ok(&["repos", "--cluster", "cinder"]);
    user.ok(&["cache", "invalidate", "cinder"]);
    let stale = user.json(&["repos", "--cluster", "cinder"]);
    assert_eq!(stale["cache"][0]["status"], "stale");
    let child_logs = user.home().join(".local/state/larder/behind");
    let logs = std::fs::read_dir(child_logs).unwrap().filter_map(Result::ok);
    assert_eq!(logs.filter(|file| file.path().extension().is_some_and(|ext| ext == "log")).count(), 0);
    let is_fresh = || user.status("cluster/cinder")["status"] == "fresh";
    assert!((0..1000).any(|_| is_fresh()), "the server refreshes what was marked due");
}

/// Of two servers of one store the first one is what others are told of, and then the second.
#[test]
#[cfg(target_os = "linux")]
fn a_server_takes_over_from_the_one_that_was_there_when_it_came() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let first = Serving::start(&user, &["serve"]);
    let second = Serving::start(&user, &["serve"]);
    let dir = user.home().join(".local/state/larder/behind");
    let lock = std::fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
    let is_told_of = |server: &Serving| {
        std::fs::read_to_string(&lock).unwrap().starts_with(&format!("http://{}\n", server.address))
    };
    assert!(is_told_of(&first));
    assert!(first.stop().success());
    crate::fire::until("the second says where it is", || is_told_of(&second).then_some(()));
}

#[test]
fn an_open_page_hears_of_what_the_command_line_refreshed() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos", "--cluster", "cinder"]);
    let serving = Serving::start(&user, &["serve"]);
    let mut events = TcpStream::connect(&serving.address).unwrap();
    write!(events, "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", serving.address).unwrap();
    let mut lines = BufReader::new(events).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "event: ready"));

    github.world(|world| world.edit("octo-org/cinder", |cinder| cinder.stars = 9999));
    user.ok(&["refresh", "cluster/cinder"]);
    assert!(lines.any(|line| line == "event: change"));
    let told = lines.find(|line| line.starts_with("data:")).unwrap();
    assert!(told.contains("cluster/cinder"), "{told}");
    let (_, body) = serving.get("/api/v1/clusters/cinder");
    assert!(body.contains("9999"), "and whoever looks then sees it");
}

#[test]
fn four_hundred_readers_on_two_servers_and_six_processes_make_one_call() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let servers = [Serving::start(&user, &["serve"]), Serving::start(&user, &["serve"])];
    github.take_requests();
    github.switch(Switches { latency_ms: 1_500, ..Switches::default() });
    std::thread::scope(|scope| {
        for reader in 0..400 {
            let address = &servers[reader % 2].address;
            scope.spawn(move || {
                let (head, body) = get(address, "/api/v1/clusters/cinder");
                assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("cinder-mcp"), "{head}");
            });
        }
        for _ in 0..6 {
            scope.spawn(|| user.ok(&["repos", "--cluster", "cinder"]));
        }
    });
    let calls = github.requests().iter().filter(|request| request.repositories > 0).count();
    assert_eq!(calls, 1);
}

#[test]
fn the_demo_shows_its_panel_and_takes_a_ranking() {
    let user = User::new();
    let demo = Serving::start(&user, &["demo"]);
    let (_, page) = demo.get("/");
    assert!(page.contains("Break GitHub") && page.contains("Cinder"));
    assert!(page.contains("cinder-mcp"), "the first page has its copies already");
    let (_, projects) = demo.get("/projects");
    assert!(
        projects.contains("6 projects · 19 artifacts · 3 outdated · 2 modified · 1 missing"),
        "{projects}"
    );
    assert!(projects.contains("1 warning") && projects.contains("Change a file, and see it here"));
    let (_, found) = demo.get("/projects?search=pdf");
    assert!(found.contains(r#"<span class="mark available">"#), "one of its repositories offers skills");
    assert!(demo.stop().success());

    user.write(
        "ranking.csv",
        "rank,item,repo_name,stars,forks,language,repo_url,username,issues,last_commit,description\n\
         1,Rust,bun,95558,1,Rust,https://github.com/oven-sh/bun,oven-sh,2,2026-08-22T04:05:34Z,\"Fast, they say\"\n",
    );
    let demo = Serving::start(&user, &["demo", "--data", "ranking.csv"]);
    let (_, body) = demo.get("/api/v1/repos");
    let repos: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(repos["repositories"][0]["full_name"], "oven-sh/bun");
}

#[test]
fn an_address_that_is_taken_is_said_so() {
    let user = User::new();
    user.write("larder.toml", CLUSTERS);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = user.run(&["serve", "--listen", &address]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains(&format!("error: {address} could not be served on")), "{}", ran.err);
    assert!(ran.err.contains("hint: choose another"), "{}", ran.err);
}

#[test]
fn a_config_that_came_with_a_clone_says_nothing_of_where_to_listen() {
    let user = User::new();
    user.write(
        "larder.toml",
        &format!("{CLUSTERS}\n[server]\nlisten = \"0.0.0.0:80\"\nread_token = \"0123456789abcdef\"\n"),
    );
    let shown = user.ok(&["config", "show"]);
    assert!(shown.out.contains("server.listen\t127.0.0.1:7070\tdefault"), "{}", shown.out);
    assert!(shown.err.contains("`[server] listen`"), "{}", shown.err);
    assert!(!shown.all().contains("0123456789abcdef"));
}

#[test]
fn what_cannot_be_listened_at_or_named_is_refused_with_an_example() {
    let user = User::new();
    let listen = user.run(&["serve", "--listen", ":7070"]);
    assert_eq!(listen.code, 2);
    assert!(listen.err.contains("write `127.0.0.1:7070` for this machine alone"), "{}", listen.err);
    user.write(
        "larder.toml",
        "[server]\nlisten = \"larder.example\"\nallowed_hosts = [\"http://larder.example/\"]\n",
    );
    let ran = user.run(&["config", "show", "--config", "larder.toml"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 2
    --- out
    --- err
    error: larder.toml:2:10: `listen`: `larder.example` is no IP address with a port: write `127.0.0.1:PORT` for this machine alone, or `0.0.0.0:7070` to be reached from others
    error: larder.toml:3:17: `allowed_hosts`: `http://larder.example/` is more than a host: write `larder.example`
    ");
    let user = User::new().var("LARDER_SERVER__LISTEN", "7171");
    assert!(user.ok(&["config", "show"]).out.contains("server.listen\t127.0.0.1:7171\t"));
}
