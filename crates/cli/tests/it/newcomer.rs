//! Who has nothing yet: a home with no folder to look for projects in, and what comes into it.

use std::path::Path;

#[cfg(target_os = "linux")]
use larder_testkit::{MOUNT_HINT, may_mount};
use serde_json::Value;

use crate::serving::Serving;
use crate::world::User;

fn skill(project: &Path, name: &str) {
    let folder = project.join(".claude/skills").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("SKILL.md"), format!("# {name}\n")).unwrap();
}

/// What a server lists, by name.
fn listed(serving: &Serving) -> Vec<String> {
    let (_, body) = serving.get("/api/v1/projects");
    let list: Value = serde_json::from_str(&body).unwrap();
    let all = list["projects"].as_array().unwrap();
    all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_server_finds_what_comes_below_a_usual_root_that_was_not_there() {
    let user = User::new().var("LARDER_PROJECTS__DEBOUNCE", "10ms");
    let serving = Serving::start(&user, &["serve"]);
    assert!(serving.get("/projects").1.contains("No folder to look for projects in"));
    assert!(!serving.get("/").1.contains("href=\"/projects\""), "there is nothing to go to");
    let until = |expected: &[&str]| {
        crate::fire::until("the projects are listed", || (listed(&serving) == expected).then_some(()));
    };
    skill(&user.home().join("dev/site"), "deploy");
    until(&["site"]);
    assert!(serving.get("/").1.contains("href=\"/projects\""));
    skill(&user.home().join("src/app"), "build");
    until(&["app", "site"]);
    // Of the roots that are still not there nobody hears, and a command knows the same projects.
    let (_, known) = serving.get("/api/v1/entries?source=projects");
    assert!(!known.contains("workspace"), "{known}");
    let found = user.ok(&["projects"]);
    assert!(
        found.out.contains("app") && found.out.contains("site") && found.err.is_empty(),
        "{}",
        found.all()
    );
    let states = user.json(&["cache", "status", "--source", "projects"]);
    let entries = states["entries"].as_array().unwrap();
    assert!(entries.iter().all(|entry| entry["status"] == "fresh"), "{states}");
    // One that goes and comes again is the same.
    std::fs::remove_dir_all(user.home().join("src")).unwrap();
    skill(&user.home().join("src/tool"), "build");
    until(&["site", "tool"]);
    assert!(serving.stop().success());
}

/// The commands look at the folders, and the server reads what they held.
#[test]
fn what_others_found_below_a_root_that_was_not_there_is_heard_of_without_watching() {
    let user = User::new().var("LARDER_PROJECTS__WATCH", "off");
    skill(&user.home().join("dev/site"), "deploy");
    let serving = Serving::start(&user, &["serve"]);
    assert_eq!(listed(&serving), ["site"]);
    skill(&user.home().join("dev/second"), "deploy");
    skill(&user.home().join("src/bot"), "answer");
    user.ok(&["projects", "--refresh"]);
    crate::fire::until("all are listed", || (listed(&serving) == ["bot", "second", "site"]).then_some(()));
    assert!(serving.stop().success());
}

/// Whoever starts a server stands somewhere, often in a project, and did not say that it is for everybody to see.
#[test]
fn the_folder_that_a_server_is_started_in_is_a_root_for_commands_alone() {
    let user = User::new().var("LARDER_PROJECTS__DEBOUNCE", "10ms");
    skill(&user.project(), "deploy");
    skill(&user.project().join("tools/site"), "build");
    let serving = Serving::start(&user, &["serve"]);
    let is_none = || {
        assert!(listed(&serving).is_empty());
        assert!(serving.get("/projects").1.contains("No folder to look for projects in"));
        let (_, artifacts) = serving.get("/api/v1/artifacts");
        assert!(!artifacts.contains("deploy") && !artifacts.contains("build"), "{artifacts}");
    };
    is_none();
    let stood_in = user.json(&["projects"]);
    let all = stood_in["projects"].as_array().unwrap().iter();
    assert_eq!(all.map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>(), ["project", "site"]);
    is_none();
    // What lies below a root is found, and nothing beside it.
    skill(&user.home().join("dev/app"), "launch");
    crate::fire::until("the root is looked below", || (listed(&serving) == ["app"]).then_some(()));
}

#[test]
fn a_usual_root_that_leads_to_the_home_folder_or_above_is_not_searched() {
    use std::os::unix::fs::symlink;
    let user = User::new().var("LARDER_PROJECTS__DEBOUNCE", "10ms");
    skill(&user.home().join("private/diary"), "write");
    symlink(".", user.home().join("dev")).unwrap();
    assert!(!user.ok(&["projects"]).out.contains("diary"));
    let serving = Serving::start(&user, &["serve"]);
    symlink("..", user.home().join("src")).unwrap();
    skill(&user.home().join("workspace/site"), "deploy");
    crate::fire::until("the project is listed", || (!listed(&serving).is_empty()).then_some(()));
    assert_eq!(listed(&serving), ["site"]);
    std::fs::remove_file(user.home().join("dev")).unwrap();
    skill(&user.home().join("dev/app"), "build");
    crate::fire::until("a folder is in its place", || (listed(&serving) == ["app", "site"]).then_some(()));
}

/// A user for whom the system has so many watches, or listeners, and no more. `None` = whoever runs this has said
/// that nothing of the kind can be had.
#[cfg(target_os = "linux")]
fn user_with_few(limit: &str, number: u32) -> Option<User> {
    if !may_mount() {
        return None;
    }
    let few = format!("echo {number} > /proc/sys/user/max_inotify_{limit} && exec \"$0\" \"$@\"");
    let starter = ["/usr/bin/unshare", "-Ur", "/bin/sh", "-c", &few];
    let can = std::process::Command::new(starter[0]).args(&starter[1..]).arg("/bin/true").status();
    assert!(can.is_ok_and(|status| status.success()), "{MOUNT_HINT}");
    Some(User::new().started_by(&starter))
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_has_no_watch_from_the_beginning_looks_every_so_often_and_says_so_once() {
    for (limit, number) in [("watches", 1), ("instances", 0)] {
        let Some(user) = user_with_few(limit, number) else { return };
        user.write("larder.toml", "[projects]\nroots = [\"code\"]\ndebounce = \"10ms\"\npoll = \"100ms\"\n");
        skill(&user.project().join("code/site"), "deploy");
        let log = user.home().join("log");
        let serving = Serving::start_to(&user, &["serve"], std::fs::File::create(&log).unwrap().into());
        crate::fire::until("it is listed", || (listed(&serving) == ["site"]).then_some(()));
        for project in ["app", "tool", "zone"] {
            skill(&user.project().join("code").join(project), "build");
            crate::fire::until("it is found", || {
                listed(&serving).contains(&project.to_owned()).then_some(())
            });
            let agent = user.project().join("code").join(project).join(".claude/skills/build/SKILL.md");
            std::fs::write(agent, format!("---\ndescription: of {project}\n---\n")).unwrap();
            let is_seen = || serving.get("/api/v1/artifacts").1.contains(&format!("of {project}"));
            crate::fire::until("what is written is seen", || is_seen().then_some(()));
        }
        assert!(serving.stop().success());
        let said = std::fs::read_to_string(log).unwrap();
        assert_eq!(said.matches("no watches left").count(), 1, "{limit}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_says_when_the_system_has_no_watches_left_also_when_that_comes_later() {
    let Some(user) = user_with_few("watches", 40) else { return };
    user.write("larder.toml", "[projects]\nroots = [\"code\"]\ndebounce = \"10ms\"\npoll = \"100ms\"\n");
    skill(&user.project().join("code/site"), "deploy");
    let log = user.home().join("log");
    let serving = Serving::start_to(&user, &["serve"], std::fs::File::create(&log).unwrap().into());
    let is_told = || std::fs::read_to_string(&log).unwrap().contains("no watches left");
    crate::fire::until("it is listed", || (listed(&serving) == ["site"]).then_some(()));
    skill(&user.project().join("code/app"), "build");
    crate::fire::until("it is watched", || (listed(&serving) == ["app", "site"]).then_some(()));
    assert!(!is_told(), "there are some left");
    for number in 0..50 {
        std::fs::create_dir_all(user.project().join(format!("code/more/{number:02}"))).unwrap();
    }
    crate::fire::until("it is told", || is_told().then_some(()));
    skill(&user.project().join("code/more/49"), "polled");
    crate::fire::until("it is found", || listed(&serving).contains(&"49".to_owned()).then_some(()));
    assert!(serving.stop().success());
    assert_eq!(std::fs::read_to_string(log).unwrap().matches("no watches left").count(), 1);
}
