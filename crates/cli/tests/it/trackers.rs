//! Trackers as a team meets them: lists without a call, one manifest through git, and the workflow
//! that writes it.

use std::path::Path;
use std::process::Command;

use larder_github_sim::{Issue, Repository, Token, World};
use serde_json::Value;

use crate::serving::Serving;
use crate::world::{GitHub, User};

pub(crate) const REPO: &str = "octo-org/kiln";

pub(crate) fn issue(number: u64, title: &str, label: &str) -> Issue {
    let long_ago = "2019-01-01T00:00:00Z".parse().unwrap();
    Issue {
        labels: vec![label.to_owned()],
        created_at: long_ago,
        updated_at: long_ago,
        ..Issue::new(number, title)
    }
}

pub(crate) fn github(issues: impl IntoIterator<Item = Issue>) -> GitHub {
    let mut world = World::new();
    world.add(Repository::new(REPO));
    world.accept_any_token(Token::of("octocat"));
    assert!(world.add_issues(REPO, issues));
    GitHub::start(world)
}

/// The lists that the format's document has.
pub(crate) fn usual() -> GitHub {
    let github = github([
        issue(430, "Release: release/v0.9.0", "release"),
        issue(440, "Release: release/v0.10.0", "release"),
        issue(441, "Release: release/v0.9.0", "release"),
        issue(460, "Release: v2.0.0 (Phoenix)", "release"),
        issue(461, "Plan the release", "release"),
        issue(425, "Microsprint: 2025-12-20-a-name [release/v2.0.0]", "microsprint"),
    ]);
    close(&github, 430, "2026-02-01T00:00:00Z");
    github
}

pub(crate) fn close(github: &GitHub, number: u64, at: &str) {
    let at = at.parse().unwrap();
    assert!(github.world(|world| world.edit_issue(REPO, number, |issue| issue.close(at))));
}

pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A user whose project is a clone whose `origin` is on github.com.
pub(crate) fn developer(github: &GitHub) -> User {
    let user = User::new().var("LARDER_GITHUB__API_URL", github.url()).var("GITHUB_TOKEN", "t0ken");
    let project = user.project();
    git(&project, &["init", "-q", "."]);
    git(&project, &["remote", "add", "origin", "git@github.com:octo-org/kiln.git"]);
    user
}

#[test]
fn a_server_in_a_clone_shows_its_trackers_though_nothing_is_configured() {
    let github = usual();
    let user = developer(&github);
    let serving = Serving::start(&user, &["serve"]);
    let (_, first) = serving.get("/");
    assert!(first.contains("No clusters are configured"), "{first}");
    assert!(first.contains(r#"<a class="button" href="/trackers">Trackers</a>"#), "{first}");
    assert!(github.requests().is_empty(), "nothing is fetched before anybody looks");
    let (_, body) = serving.get("/api/v1/trackers?type=release");
    let listed: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(listed["trackers"].as_array().unwrap().len(), 4, "{body}");
    let (_, page) = serving.get("/trackers");
    assert!(page.contains("octo-org/kiln") && page.contains("Phoenix"), "{page}");
    let (_, projects) = serving.get("/projects");
    assert!(projects.contains("No folder to look for projects in"), "{projects}");
}

#[test]
fn the_lists_are_those_that_people_know() {
    let github = usual();
    let user = developer(&github);
    insta::assert_snapshot!(user.ok(&["release", "list"]).out.replace('\t', " | "), @r"
    VERSION | CODENAME | TRACKER | STATUS
    v2.0.0 | Phoenix | #460 | Active
    release/v0.10.0 | - | #440 | Active
    release/v0.9.0 | - | #441 | Active
    release/v0.9.0 | - | #430 | Released
    ");
    insta::assert_snapshot!(user.ok(&["microsprint", "list"]).out.replace('\t', " | "), @r"
    MICROSPRINT | TRACKER | STATUS
    2025-12-20-a-name | #425 | Active
    ");
    github.take_requests();
    let open = user.json(&["release", "list", "--state", "open", "--limit", "1"]);
    assert_eq!(open["trackers"].as_array().unwrap().len(), 1);
    let fields: Vec<&String> = open["trackers"][0].as_object().unwrap().keys().collect();
    let wanted = [
        "repo",
        "number",
        "type",
        "title",
        "name",
        "version",
        "codename",
        "state",
        "created_at",
        "closed_at",
        "url",
    ];
    assert_eq!(fields, wanted);
    assert_eq!(open["cache"][0]["key"], "trackers/octo-org/kiln/release");
    let stats = user.json(&["tracker", "stats", "--type", "release"]);
    assert_eq!((&stats["stats"][0]["open"], &stats["stats"][0]["closed"]), (&3.into(), &1.into()));
    assert_eq!(stats["stats"][0]["months"]["2026-02"]["closed"], 1);
    let since = user.json(&["release", "list", "--since", "2026-01-01"]);
    assert_eq!(since["trackers"], Value::Array(Vec::new()));
    assert_eq!(github.requests().len(), 0, "all of that from the cache");
}

#[test]
fn nothing_to_list_is_an_answer_that_is_kept() {
    let github = github([]);
    let user = developer(&github);
    for _ in 0..2 {
        assert_eq!(user.ok(&["release", "list"]).out, "No releases found\n");
    }
    assert_eq!(github.requests().len(), 1);
    assert_eq!(user.run(&["microsprint", "list", "--offline"]).code, 4);
}

#[test]
fn what_is_mistyped_gets_a_hint() {
    let github = usual();
    let user = developer(&github);
    let wrong = user.run(&["tracker", "list", "--type", "relese"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("did you mean `release`?"), "{}", wrong.err);
    let nowhere = User::new().run(&["release", "list"]);
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.err.contains("--repo OWNER/NAME"), "{}", nowhere.err);
}

/// A closes a release, the manifest is generated and pushed, B pulls and sees it, with no call.
#[test]
fn what_one_developer_closes_the_other_sees_by_pulling() {
    let github = usual();
    let (a, b) = (developer(&github), developer(&github));
    let bare = a.project().with_file_name("bare");
    git(&a.project(), &["init", "-q", "--bare", bare.to_str().unwrap()]);
    for user in [&a, &b] {
        git(&user.project(), &["remote", "add", "team", bare.to_str().unwrap()]);
    }
    close(&github, 460, "2026-03-01T00:00:00Z");
    let wrote = a.ok(&["manifest", "generate"]);
    assert_eq!(wrote.out, ".github/pmu-cache.json: written, 5 trackers of octo-org/kiln\n");
    git(&a.project(), &["add", ".github/pmu-cache.json"]);
    git(&a.project(), &["commit", "-q", "-m", "manifest"]);
    git(&a.project(), &["push", "-q", "team", "HEAD:main"]);
    assert!(a.ok(&["manifest", "generate"]).out.contains("unchanged"));
    assert_eq!(git(&a.project(), &["status", "--porcelain"]), "", "no change, no commit");

    github.take_requests();
    git(&b.project(), &["pull", "-q", "team", "main"]);
    let seen = b.ok(&["release", "list"]).out;
    assert!(seen.contains("v2.0.0\tPhoenix\t#460\tReleased"), "{seen}");
    assert_eq!(b.ok(&["release", "list", "--offline"]).out, seen);
    assert!(b.ok(&["manifest", "check"]).out.contains("4 releases, 1 microsprint of"));
    assert_eq!(github.requests().len(), 0);
    // Told to ask GitHub, it does.
    assert_eq!(b.ok(&["release", "list", "--refresh"]).out, seen);
    assert_eq!(github.requests().len(), 1);
}

/// Keys of one's own, jump hosts and agents are told to git, and to nobody else.
#[cfg(unix)]
#[test]
fn the_upstream_is_asked_by_the_ssh_that_its_owner_has_git_run() {
    let github = usual();
    let asked = |global: Option<&str>, of_environment: Option<&str>| {
        let user = developer(&github).var("LARDER_TRACKERS__AUTO_PULL", "fetch");
        for name in ["ssh", "ssh-of-work", "ssh-of-today", "ssh-of-a-stranger"] {
            user.program(name, "#!/bin/sh\necho \"${0##*/} $*\" >> \"$HOME/ssh.log\"\nexit 1\n");
        }
        let bin = user.home().with_file_name("bin");
        let user = user.var("PATH", &format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()));
        git(&user.project(), &["config", "core.sshCommand", "ssh-of-a-stranger"]);
        if let Some(global) = global {
            std::fs::write(user.home().join(".gitconfig"), format!("[core]\nsshCommand = {global}\n"))
                .unwrap();
        }
        let user = match of_environment {
            Some(command) => user.var("GIT_SSH_COMMAND", command),
            None => user,
        };
        let ran = user.ok(&["release", "list"]);
        assert!(ran.err.contains("`git fetch` failed"), "{}", ran.err);
        std::fs::read_to_string(user.home().join("ssh.log")).unwrap()
    };
    let usual = asked(None, None);
    assert!(usual.starts_with("ssh -o BatchMode=yes"), "{usual}");
    let works = asked(Some("ssh-of-work -i key"), None);
    assert!(works.starts_with("ssh-of-work -i key"), "{works}");
    let todays = asked(Some("ssh-of-work -i key"), Some("ssh-of-today -4"));
    assert!(todays.starts_with("ssh-of-today -4"), "{todays}");
    for log in [usual, works, todays] {
        assert!(!log.contains("stranger"), "{log}");
    }
}

#[test]
fn a_manifest_for_a_pipe_is_printed_and_written_nowhere() {
    let github = usual();
    let user = developer(&github);
    let printed = user.ok(&["manifest", "generate", "--output", "-"]);
    let one: Value = printed.json();
    assert!(one["releases"].is_array(), "{one}");
    assert!(!user.project().join("-").exists());
    assert!(!user.project().join(".github").exists());
    user.ok(&["manifest", "generate"]);
    let written = std::fs::read(user.project().join(".github/pmu-cache.json")).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    let again = user.json(&["manifest", "generate", "-o", "-"]);
    assert_eq!(
        (&again["releases"], &again["microsprints"]),
        (&written["releases"], &written["microsprints"])
    );
}

/// A clone may bring a link to whatever never ends.
#[cfg(unix)]
#[test]
fn a_manifest_that_is_no_file_is_not_read() {
    let github = usual();
    let user = developer(&github);
    user.write(".github/notes", "");
    let manifest = user.project().join(".github/pmu-cache.json");
    std::os::unix::fs::symlink("/dev/zero", manifest).unwrap();
    let checked = user.run(&["manifest", "check"]);
    assert_eq!(checked.code, 1, "{}", checked.err);
    assert!(checked.err.contains("it is not a plain file"), "{}", checked.err);
}

#[test]
fn a_manifest_in_conflict_is_told_of_and_passed_over() {
    let github = usual();
    let user = developer(&github);
    user.write(".github/pmu-cache.json", "<<<<<<< HEAD\n");
    let listed = user.ok(&["release", "list"]);
    assert!(listed.out.contains("#460"), "{}", listed.out);
    let said = "the manifest `.github/pmu-cache.json` is passed over";
    assert_eq!(listed.err.matches(said).count(), 1, "told once: {}", listed.err);
    let stats = user.ok(&["tracker", "stats"]);
    assert_eq!(stats.err.matches(said).count(), 1, "{}", stats.err);
    assert_eq!(user.run(&["manifest", "check"]).code, 1);
    insta::assert_snapshot!(user.run(&["cache", "sync"]).all(), @r"
    exit 1
    --- out
    --- err
    error: /root/project/.github/pmu-cache.json could not be taken in
    cause: the manifest `.github/pmu-cache.json` is passed over: it cannot be read: expected value at line 1 column 1
    hint: put it right, or write it anew: `larder manifest generate`
    ");
}

#[test]
fn an_existing_gh_pmu_yml_works_as_it_is() {
    let github = usual();
    let user = User::new().var("LARDER_GITHUB__API_URL", github.url()).var("GITHUB_TOKEN", "t0ken");
    user.write(
        ".gh-pmu.yml",
        "project:\n  name: Kiln\n  number: 3\n  owner: octo-org\nrepositories:\n  - octo-org/kiln\n\
         cache:\n  enabled: true\n  backend: sqlite\n  auto_pull: true\n  auto_pull_interval: 60\n",
    );
    assert!(user.ok(&["release", "list"]).out.contains("Phoenix"));
    let shown = user.ok(&["config", "show"]);
    assert!(shown.out.contains("trackers.repos\tocto-org/kiln\t.gh-pmu.yml:5"), "{}", shown.out);
    assert!(shown.out.contains("trackers.auto_pull_interval\t1m\t.gh-pmu.yml:11"), "{}", shown.out);
    assert!(shown.out.contains("trackers.auto_pull\tfalse\tdefault"), "{}", shown.out);
    assert!(shown.err.contains("`cache: auto_pull` is ignored"), "{}", shown.err);
    user.ok(&["config", "trust", ".gh-pmu.yml"]);
    let trusted = user.ok(&["config", "show"]);
    assert!(trusted.out.contains("trackers.auto_pull\ttrue\t.gh-pmu.yml:10"), "{}", trusted.out);
}

/// The steps of the workflow that are ours, run as Actions runs them: the second time says nothing.
#[test]
fn the_workflow_commits_what_is_new_and_nothing_else() {
    let github = usual();
    let user = developer(&github);
    let project = user.project();
    user.ok(&["manifest", "workflow"]);
    assert!(user.ok(&["manifest", "workflow"]).out.contains("up to date"));
    let text = std::fs::read_to_string(project.join(".github/workflows/larder-manifest.yml")).unwrap();
    let workflow: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    let job = &workflow["jobs"]["manifest"];
    assert_eq!(job["permissions"], serde_json::json!({"contents": "write", "issues": "read"}));
    assert!(job["if"].as_str().unwrap().contains("contains(github.event.issue.labels.*.name, 'release')"));
    let steps = job["steps"].as_array().unwrap();
    for uses in steps.iter().filter_map(|step| step["uses"].as_str()) {
        let pin = uses.split_once('@').unwrap().1;
        assert!(pin.len() == 40 && pin.bytes().all(|byte| byte.is_ascii_hexdigit()), "{uses} is not pinned");
    }
    assert!(workflow["on"]["push"].is_null(), "its own commit must not wake it");

    let bare = project.with_file_name("bare");
    git(&project, &["init", "-q", "--bare", bare.to_str().unwrap()]);
    git(&project, &["remote", "set-url", "--push", "origin", bare.to_str().unwrap()]);
    git(&project, &["checkout", "-q", "-b", "main"]);
    git(&project, &["commit", "-q", "--allow-empty", "-m", "start"]);
    git(&project, &["push", "-q", "-u", "origin", "main"]);
    let run = |name: &str| {
        let step = steps.iter().find(|step| step["name"] == name).unwrap();
        let script = step["run"].as_str().unwrap();
        let mut bash = user.bash(script);
        bash.env("GITHUB_REPOSITORY", REPO).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = bash.output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let commits = || git(&bare, &["rev-list", "--count", "main"]).trim().to_owned();
    for _ in 0..2 {
        run("Generate the manifest");
        run("Commit it, if it says something new");
        assert_eq!(commits(), "2");
    }
    // After the asking before, by any clock.
    close(&github, 460, "2096-03-01T00:00:00Z");
    run("Generate the manifest");
    run("Commit it, if it says something new");
    assert_eq!(commits(), "3");
}
