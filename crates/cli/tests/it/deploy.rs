//! The deployment examples: what stands in them is what the binary knows, and it runs as it stands.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Map, Value};

use crate::postgres::Database;
use crate::serving::{Serving, try_get};
use crate::world::{GitHub, User};

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(deploy(name)).unwrap()
}

fn compose() -> Value {
    serde_saphyr::from_str(&text("compose.yaml")).unwrap()
}

/// A service with what it takes over from its template.
fn service(compose: &Value, name: &str) -> Map<String, Value> {
    let mut own =
        compose["services"][name].as_object().unwrap_or_else(|| panic!("no service {name}")).clone();
    let Some(Value::Object(mut merged)) = own.remove("<<") else { return own };
    merged.extend(own);
    merged
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// What a deployment's own words become on this machine.
type Words<'w> = &'w [(&'w str, &'w str)];

fn replaced(text: &str, words: Words<'_>) -> String {
    words.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A user whose larder has these variables and no others.
fn user_of(vars: &BTreeMap<String, String>) -> User {
    vars.iter().fold(User::new(), |user, (name, value)| user.var(name, value))
}

/// Each variable of ours sets the setting that its name says.
fn check_variables(vars: &BTreeMap<String, String>) {
    let shown = user_of(vars).json(&["config", "show"]);
    let settings = shown["settings"].as_array().unwrap();
    for name in vars.keys() {
        let Some((section, key)) = name.strip_prefix("LARDER_").and_then(|rest| rest.split_once("__")) else {
            continue;
        };
        let key = format!("{}.{}", section.to_lowercase(), key.to_lowercase());
        let setting =
            settings.iter().find(|setting| setting["key"] == key).unwrap_or_else(|| panic!("no {key}"));
        assert_eq!(setting["origin"], format!("env {name}"), "{key}");
    }
}

const INSTANCES: [&str; 2] = ["larder-1", "larder-2"];

#[test]
fn the_compose_file_names_nothing_that_is_not_there() {
    let compose = compose();
    let services: Vec<&String> = compose["services"].as_object().unwrap().keys().collect();
    assert_eq!(services.len(), 4, "{services:?}");
    for name in &services {
        let service = service(&compose, name);
        assert!(service.contains_key("image"), "{name}");
        if let Some(build) = service.get("build") {
            assert!(
                deploy(build["context"].as_str().unwrap())
                    .join(build["dockerfile"].as_str().unwrap())
                    .is_file()
            );
        }
        for other in service.get("depends_on").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            assert!(services.contains(&other), "{name} depends on {other}");
        }
        for volume in service.get("volumes").map(strings).unwrap_or_default() {
            let from = volume.split(':').next().unwrap();
            let is_there = if from.starts_with('.') {
                deploy(from).exists()
            } else {
                compose["volumes"].get(from).is_some()
            };
            assert!(is_there, "{name} mounts {from}");
        }
        let networks = match &service["networks"] {
            Value::Object(networks) => networks.keys().cloned().collect(),
            list => strings(list),
        };
        assert!(networks.iter().all(|network| compose["networks"].get(network).is_some()), "{name}");
    }
    let proxy = &compose["services"]["proxy"]["networks"]["inside"]["ipv4_address"];
    assert_eq!(service(&compose, INSTANCES[0])["environment"]["LARDER_SERVER__TRUSTED_PROXIES"], *proxy);
}

/// What the compose file's head says to run before anything else: it is done once.
fn first_step() -> String {
    let said = text("compose.yaml");
    let steps =
        said.lines().map_while(|line| line.strip_prefix('#')).filter_map(|line| line.strip_prefix("   "));
    steps.take_while(|line| !line.starts_with("docker")).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_the_compose_file_is_told_is_written_once_for_its_owner_alone_and_goes_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    for made in ["deploy", "bin"] {
        std::fs::create_dir(dir.path().join(made)).unwrap();
    }
    // Each says something else whenever it is asked.
    for program in ["openssl", "gh"] {
        let path = dir.path().join("bin").join(program);
        std::fs::write(&path, "#!/bin/sh\nexec cat /proc/sys/kernel/random/uuid\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    let written = dir.path().join("deploy/.env");
    let run = || {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask 022\n{}", first_step())]).current_dir(dir.path());
        shell.env("PATH", format!("{}:/usr/bin:/bin", dir.path().join("bin").display()));
        shell.output().unwrap().status.success()
    };
    assert!(run());
    let told = std::fs::read_to_string(&written).unwrap();
    assert_eq!(std::fs::metadata(&written).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!run(), "the database keeps its first password, and so does the file");
    assert_eq!(std::fs::read_to_string(&written).unwrap(), told);
    let mut given: Vec<&str> = told.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let compose = text("compose.yaml");
    let asked = compose.split("${").skip(1).filter_map(|rest| rest.split([':', '}']).next());
    let mut asked: Vec<&str> = asked.collect();
    asked.sort_unstable();
    asked.dedup();
    given.sort_unstable();
    assert_eq!(given, asked);
    for ignored in ["../.gitignore", "../.dockerignore"] {
        assert!(text(ignored).lines().any(|line| line == "deploy/.env"), "{ignored}");
    }
}

/// The address that the compose file gives a service.
fn address_of(compose: &Value, name: &str) -> String {
    let address = &service(compose, name)["networks"]["inside"]["ipv4_address"];
    address.as_str().unwrap_or_else(|| panic!("{name} has no address of its own")).to_owned()
}

/// What the proxy asks, as its example says: what it knew by name at its start would be gone when an instance
/// is made anew.
fn asked_by_proxy(compose: &Value) -> [String; 2] {
    INSTANCES.map(|name| format!("{}:7070", address_of(compose, name)))
}

#[test]
fn nobody_who_starts_first_is_given_an_address_that_others_know() {
    let compose = compose();
    let number = |text: &str| u32::from(text.parse::<std::net::Ipv4Addr>().unwrap());
    let named = ["proxy", INSTANCES[0], INSTANCES[1]].map(|name| number(&address_of(&compose, name)));
    let network = &compose["networks"]["inside"]["ipam"]["config"][0];
    for address in named {
        let holds = |range: &serde_json::Value| {
            let (first, bits) = range.as_str().unwrap().split_once('/').unwrap();
            let mask = u32::MAX << (32 - bits.parse::<u32>().unwrap());
            address & mask == number(first)
        };
        assert!(holds(&network["subnet"]) && !holds(&network["ip_range"]), "{network}");
        // Without one that is named, the first of the range is taken.
        assert_ne!(number(network["gateway"].as_str().unwrap()), address);
        assert_eq!(named.iter().filter(|other| **other == address).count(), 1);
    }
    let servers: Vec<String> = text("nginx.conf")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("server ")?.split(' ').next().map(str::to_owned))
        .filter(|server| server.contains(':'))
        .collect();
    assert_eq!(servers, asked_by_proxy(&compose));
}

#[test]
fn an_instance_that_is_frozen_is_left_out_as_soon_as_one_that_works_would_have_answered() {
    let nginx = text("nginx.conf");
    let seconds = |line: &str| -> u64 {
        let said = line.trim().strip_prefix("proxy_read_timeout ").and_then(|said| said.strip_suffix("s;"));
        said.unwrap_or_else(|| panic!("{line}")).parse().unwrap()
    };
    let waits = nginx.lines().find(|line| line.contains("proxy_read_timeout")).map(seconds).unwrap();
    let user = User::new().var("LARDER_CONFIG", deploy("larder.toml").to_str().unwrap());
    let shown = user.json(&["config", "show"]);
    let settings = shown["settings"].as_array().unwrap();
    let hard = settings.iter().find(|setting| setting["key"] == "engine.hard_timeout").unwrap();
    assert_eq!(hard["value"], "30s");
    assert!((31..=40).contains(&waits), "{waits}");
}

#[test]
fn the_database_is_healthy_when_others_can_reach_it() {
    let check = strings(&compose()["services"]["postgres"]["healthcheck"]["test"]);
    assert_eq!(check[1], "pg_isready");
    // By the socket the server of the first start answers too, which is for the image alone.
    assert!(check.windows(2).any(|args| args == ["-h", "127.0.0.1"]), "{check:?}");
}

#[test]
fn what_the_examples_say_to_install_is_there_or_built() {
    let unit = text("larder.service");
    let installs = unit.lines().filter(|line| line.starts_with("#   install "));
    let files: Vec<&str> = installs
        .filter_map(|line| line.split(' ').find(|word| word.contains('.') && !word.starts_with('/')))
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files.iter().all(|file| deploy("..").join(file).is_file()), "{files:?}");
    let compose = compose();
    assert_eq!(service(&compose, INSTANCES[0])["environment"]["LARDER_LOG"], "info");
    assert!(unit.contains("Environment=LARDER_LOG=info"));
}

/// The variables of an instance, on this machine.
fn variables(compose: &Value, instance: &str, words: Words<'_>) -> BTreeMap<String, String> {
    let service = service(compose, instance);
    let all = service["environment"].as_object().unwrap();
    all.iter().map(|(name, value)| (name.clone(), replaced(value.as_str().unwrap(), words))).collect()
}

/// nginx with the example's configuration, ended with it.
struct Nginx {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Nginx {
    fn before(instances: &[Serving], compose: &Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let tmp = format!("{}/", dir.path().display());
        let listen = format!("listen {free};");
        let asked = asked_by_proxy(compose);
        let words = [
            (asked[0].as_str(), instances[0].address.as_str()),
            (asked[1].as_str(), instances[1].address.as_str()),
            ("listen 8080;", listen.as_str()),
            ("/tmp/", tmp.as_str()),
        ];
        let original = text("nginx.conf");
        assert!(words.iter().all(|(word, _)| original.contains(word)), "the example has changed");
        let conf = dir.path().join("nginx.conf");
        std::fs::write(&conf, replaced(&original, &words)).unwrap();
        let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(nginx.expect("nginx is missing: `apt install nginx-light`"));
        command.arg("-p").arg(dir.path()).arg("-c").arg(&conf).args(["-g", "daemon off;"]);
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let nginx = Nginx { child, address: free.to_string(), _dir: dir };
        let is_up = || std::net::TcpStream::connect(&nginx.address).is_ok().then_some(());
        crate::fire::until("nginx listens", is_up);
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with their master, when that is asked to.
        crate::fire::signal_to(self.child.id(), rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

#[test]
fn two_instances_run_as_the_compose_file_says_on_one_database_behind_its_proxy() {
    let (github, database) = (GitHub::demo(), Database::new());
    let compose = compose();
    let config = deploy("larder.toml").display().to_string();
    let url = database.url();
    let words = [
        ("postgres://larder:${POSTGRES_PASSWORD:?}@postgres:5432/larder", url.as_str()),
        ("${LARDER_READ_TOKEN:?}", "read-token-of-this-test"),
        ("${LARDER_ADMIN_TOKEN:?}", "admin-token-of-this-test"),
        ("${GITHUB_TOKEN:-}", "t0ken"),
        ("/etc/larder/larder.toml", config.as_str()),
    ];
    let instances: Vec<Serving> = INSTANCES
        .iter()
        .map(|name| {
            let vars = variables(&compose, name, &words);
            check_variables(&vars);
            let command = strings(&service(&compose, name)["command"]);
            let [rest @ .., flag, address] = command.as_slice() else { panic!("{command:?}") };
            assert_eq!((flag.as_str(), address.as_str()), ("--listen", "0.0.0.0:7070"));
            let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
            let user = user_of(&vars).var("LARDER_GITHUB__API_URL", github.url());
            // The repositories of the example are not in the demo's world; its own are.
            user.write(
                "larder.toml",
                "[github]\nowner = \"octo-org\"\n[[cluster]]\nid = \"docs\"\nrepos = [\"cinder\"]\n",
            );
            let user = user.var("LARDER_CONFIG", "larder.toml");
            let serving = Serving::start(&user, &rest);
            let healthy = user.ok(&["serve", "--check", "--listen", &serving.address]);
            assert_eq!(healthy.out, format!("the server at {} is ready\n", serving.address));
            serving
        })
        .collect();
    let proxy = Nginx::before(&instances, &compose);
    let read = || try_get(&proxy.address, "/api/v1/clusters/docs").unwrap();
    for _ in 0..20 {
        let (head, body) = read();
        assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("octo-org/cinder"), "{head}\n{body}");
    }
    let calls = || github.requests().iter().filter(|request| request.repositories > 0).count();
    assert_eq!(calls(), 1, "both answered from one fetch");
    let served = |instance: &Serving| {
        let (_, metrics) = instance.get("/metrics");
        metrics.contains("larder_requests") || metrics.contains("_total")
    };
    assert!(instances.iter().all(served));
    // One goes; whoever asks notices nothing.
    let mut instances = instances;
    let gone = instances.remove(0);
    let address = gone.address.clone();
    assert!(gone.stop().success());
    for _ in 0..20 {
        let (head, _) = read();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
    let check = User::new().run(&["serve", "--check", "--listen", &address]);
    assert_eq!(check.code, 1);
    assert!(check.err.contains("is not ready"), "{}", check.err);
}

#[test]
fn the_examples_configuration_is_one() {
    let user = User::new().var("LARDER_CONFIG", deploy("larder.toml").to_str().unwrap());
    let shown = user.json(&["config", "show"]);
    assert_eq!(shown["clusters"], 2);
}

#[test]
fn the_image_is_built_as_the_workspace_says_and_runs_what_the_binary_knows() {
    let file = text("Containerfile");
    let workspace = std::fs::read_to_string(deploy("../Cargo.toml")).unwrap();
    let rust =
        workspace.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(file.contains(&format!("rust:{rust}-")), "the toolchain is the workspace's: {rust}");
    assert!(
        file.contains("LARDER_PIE=1 cargo build --locked --profile dist")
            && workspace.contains("[profile.dist]")
    );
    let user = file.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(!user.starts_with("root") && !user.starts_with('0'), "{user}");
    let words = |start: &str| -> Vec<String> {
        let line = file.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}"));
        serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap()
    };
    assert_eq!(words("ENTRYPOINT"), ["larder"]);
    let command = words("CMD");
    assert_eq!(command, strings(&service(&compose(), INSTANCES[0])["command"]));
    let check = words("HEALTHCHECK");
    for args in [&command[..], &check[1..]] {
        let args: Vec<&str> = args.iter().map(String::as_str).chain(["--help"]).collect();
        User::new().ok(&args);
    }
}

#[test]
fn the_service_of_the_system_is_sound_locked_up_and_starts_what_is_there() {
    let unit = text("larder.service");
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let config = dir.path().join("larder.toml");
    std::fs::write(&config, "[github]\nowner = \"octo-org\"\n").unwrap();
    let words = [
        ("/usr/local/bin/larder", env!("CARGO_BIN_EXE_larder")),
        ("/etc/larder/larder.toml", config.to_str().unwrap()),
        ("/var/lib/larder", state.to_str().unwrap()),
    ];
    let installed = dir.path().join("larder.service");
    std::fs::write(&installed, unit.replace(words[0].0, words[0].1)).unwrap();
    let analyze = |args: &[&str]| {
        let ran = Command::new("systemd-analyze").args(args).arg(&installed).output();
        let ran = ran.expect("systemd-analyze is missing: `apt install systemd`");
        let said = [ran.stdout, ran.stderr].concat();
        (ran.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let (is_sound, said) = analyze(&["verify"]);
    assert!(is_sound && said.is_empty(), "{said}");
    // 0 is a service that can do nothing, 10 one that can do all.
    let (is_locked_up, said) = analyze(&["security", "--offline=yes", "--threshold=20"]);
    assert!(is_locked_up, "{said}");

    let setting =
        |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), replaced(value, &words)));
    let vars: BTreeMap<String, String> =
        unit.lines().filter_map(|line| line.strip_prefix("Environment=")).filter_map(setting).collect();
    check_variables(&vars);
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let args: Vec<&str> = start.split(' ').skip(1).collect();
    let serving = Serving::start(&user_of(&vars), &args);
    assert!(serving.get("/readyz").0.starts_with("HTTP/1.1 200 "));
    assert!(serving.stop().success());
    assert!(state.join("larder.db").is_file(), "and keeps its cache where the system gives it room");
}

#[test]
fn a_service_that_is_misconfigured_is_not_started_for_ever_and_one_whose_database_is_away_is() {
    let unit = text("larder.service");
    let setting = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    assert_eq!(setting("Restart="), "on-failure");
    let stays_down: Vec<i32> =
        setting("RestartPreventExitStatus=").split_whitespace().map(|code| code.parse().unwrap()).collect();
    let start: Vec<&str> = setting("ExecStart=").split(' ').skip(1).collect();
    let misconfigured = User::new().var("LARDER_CONFIG", "larder.toml");
    misconfigured.write("larder.toml", "[githb]\n");
    let ended = misconfigured.run(&start);
    assert!(stays_down.contains(&ended.code), "{stays_down:?}: {}\n{}", ended.code, ended.all());
    let away = User::new().var("LARDER_STORE__URL", "postgres://larder@127.0.0.1:1/larder");
    let ended = away.run(&start);
    assert!(ended.code != 0 && !stays_down.contains(&ended.code), "{}\n{}", ended.code, ended.all());
}
