//! Who has nothing yet: a home with no folder to look for projects in, and what comes into it.

use std::path::Path;

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
