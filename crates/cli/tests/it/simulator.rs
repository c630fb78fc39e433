//! The simulated GitHub as a stranger starts it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::world::User;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it, and reads what it says until a line begins with `last`.
fn start(user: &User, args: &[&str], last: &str) -> (Running, String) {
    let mut child = user.command(args).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let running = Running(child);
    let mut said = String::new();
    for line in lines {
        said.push_str(&line);
        said.push('\n');
        if line.trim_start().starts_with(last) {
            break;
        }
    }
    (running, said)
}

#[test]
fn everything_can_be_tried_in_two_commands() {
    let user = User::new();
    let args = ["github-sim", "--write-config", "larder.toml"];
    let (_running, said) = start(&user, &args, "larder registry");
    assert!(said.contains("wrote larder.toml") && said.contains("larder repos"), "{said}");
    let repos = user.json(&["repos"]);
    assert!(repos["repositories"].as_array().unwrap().len() > 30);
    let ids: Vec<_> = repos["cache"].as_array().unwrap().iter().map(|entry| entry["key"].as_str()).collect();
    assert!(ids.contains(&Some("cluster/harbor")) && ids.contains(&Some("cluster/unclustered")), "{ids:?}");
    let releases = user.ok(&["release", "list"]).out;
    assert!(releases.contains("v2.13.0") && releases.contains("v1.31.0"), "{releases}");
    let again = user.run(&args);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("larder.toml") && again.err.contains("it is there already"), "{}", again.err);
}

#[test]
fn without_a_file_the_lines_that_it_prints_do() {
    let user = User::new();
    let (_running, said) = start(&user, &["github-sim"], "larder repos");
    let export = said.lines().find_map(|line| line.trim().strip_prefix("export ")).unwrap();
    let user = export.split(' ').fold(user, |user, pair| {
        let (name, value) = pair.split_once('=').unwrap();
        user.var(name, value)
    });
    assert!(user.ok(&["repos"]).out.contains("octo-org/cinder"));
}

#[cfg(unix)]
#[test]
fn the_file_it_writes_holds_a_token_and_is_the_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let user = User::new();
    let (_running, _) = start(&user, &["github-sim", "--write-config", "larder.toml"], "larder registry");
    let mode = std::fs::metadata(user.project().join("larder.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn a_file_that_could_not_be_trusted_is_named_in_what_there_is_to_do() {
    let user = User::new();
    let state = user.home().join("state");
    std::fs::write(&state, "a file").unwrap();
    let user = user.var("XDG_STATE_HOME", state.to_str().unwrap());
    let (_running, said) = start(&user, &["github-sim", "--write-config", "larder.toml"], "larder registry");
    let line = said.lines().find_map(|line| line.trim().strip_prefix("larder repos")).unwrap();
    let args: Vec<&str> = std::iter::once("repos").chain(line.split_whitespace()).collect();
    assert!(user.ok(&args).out.contains("octo-org/cinder"), "{said}");
}

#[test]
fn an_entry_is_shown_in_the_columns_of_what_it_holds() {
    let user = User::new();
    let (_running, _) = start(&user, &["github-sim", "--write-config", "larder.toml"], "larder registry");
    let refreshed = user.ok(&["refresh", "--all"]).out;
    let line = |key: &str| refreshed.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert_eq!(
        line("trackers/octo-org/quill/microsprint"),
        "trackers/octo-org/quill/microsprint\tupdated\t1 tracker"
    );
    assert_eq!(line("cluster/quill"), "cluster/quill\tupdated\t4 repositories");
    let shown = user.ok(&["show", "trackers/octo-org/quill/release"]).out;
    let head = shown.lines().find(|line| line.starts_with("NAME")).unwrap();
    assert_eq!(head, "NAME\tTRACKER\tSTATE\tOPENED\tCLOSED\tTITLE");
    assert!(shown.contains("v1.30.0\t#398\tclosed\t"), "{shown}");
    assert!(user.ok(&["show", "quill"]).out.contains("octo-org/quill-lsp\t390\tRust"));
}

#[test]
fn what_has_a_store_and_a_configuration_of_its_own_takes_no_others() {
    let user = User::new();
    for command in ["demo", "github-sim"] {
        for option in ["--store", "--config"] {
            let ran = user.run(&[command, option, "mine", "--data", "nowhere.csv"]);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.all());
            let said = format!("error: `larder {command}` takes no `{option}`");
            assert!(ran.err.starts_with(&said), "{}", ran.err);
        }
    }
}

/// Asks a process for its end as a terminal does that is closed.
#[cfg(target_os = "linux")]
fn hang_up(id: u32) {
    let asked = std::process::Command::new("sh").args(["-c", &format!("kill -HUP {id}")]).status();
    assert!(asked.unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_demo_whose_terminal_is_closed_leaves_nothing_behind() {
    let user = User::new();
    let dir = user.home().join("tmp");
    std::fs::create_dir(&dir).unwrap();
    let user = user.var("TMPDIR", dir.to_str().unwrap());
    let (mut running, _) = start(&user, &["demo", "--listen", "127.0.0.1:0", "--json"], "{");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    hang_up(running.0.id());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn who_was_started_to_outlive_the_terminal_does() {
    let github = crate::world::GitHub::demo();
    let user = User::of(&github, crate::world::CLUSTERS);
    let user = user.started_by(&["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]);
    let serving = crate::serving::Serving::start(&user, &["serve"]);
    hang_up(serving.pid());
    let status = std::fs::read_to_string(format!("/proc/{}/status", serving.pid())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim().to_owned();
    assert_eq!(u64::from_str_radix(&ignored, 16).unwrap() & 1, 1, "it is ignored as before");
    assert!(serving.get("/api/v1/clusters/cinder").0.starts_with("HTTP/1.1 200 "));
    assert!(serving.stop().success());
}
