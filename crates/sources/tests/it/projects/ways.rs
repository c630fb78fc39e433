//! What is heard of the ways to what is watched: a root behind a link that is pointed elsewhere, a folder above
//! one, links that lead to profiles, and ignore files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use larder_sources::WatchOptions;

use crate::projects::folder::Folder;
use crate::projects::watching::{QUICK, Watched};

async fn watched(mut folder: Folder) -> Watched {
    folder.refresh().await;
    Watched::over(folder, WatchOptions { debounce: QUICK, ..WatchOptions::default() }).await
}

/// Has a link lead elsewhere, as `ln -sfn` does it.
fn point(link: &Path, target: &str) {
    let beside = link.with_extension("new");
    symlink(target, &beside).unwrap();
    fs::rename(beside, link).unwrap();
}

fn described(watched: &Watched, path: &str, text: &str) {
    fs::write(watched.folder.path(path), format!("---\ndescription: {text}\n---\n")).unwrap();
}

#[tokio::test]
async fn a_link_to_a_project_s_own_profile_keeps_no_change_of_it_unheard() {
    let folder = Folder::new();
    folder.project("kiln");
    symlink(".claude", folder.path("dev/kiln/claude")).unwrap();
    let mut watched = watched(folder).await;
    let kiln = watched.folder.key("kiln");
    described(&watched, "dev/kiln/.claude/skills/pdf/SKILL.md", "Changed");
    watched.until(&kiln).await;
    watched.folder.skill("kiln", "docs", "New");
    watched.follow_until(|folder| folder.artifacts("kiln").len() == 2).await;
    described(&watched, "dev/kiln/.claude/skills/docs/SKILL.md", "Changed");
    watched
        .follow_until(|folder| folder.artifact("kiln", "docs").description.as_deref() == Some("Changed"))
        .await;
}

#[tokio::test]
async fn a_link_to_projects_in_a_project_s_profile_hides_neither_from_the_other() {
    let folder = Folder::new();
    folder.project("kiln");
    folder.project("kiln/.claude/worktrees/oven");
    symlink("kiln/.claude/worktrees", folder.path("dev/wt")).unwrap();
    let mut watched = watched(folder).await;
    assert_eq!(watched.folder.names(), ["kiln", "wt/oven"]);
    let (kiln, oven) = (watched.folder.key("kiln"), watched.folder.key("oven"));
    described(&watched, "dev/kiln/.claude/skills/pdf/SKILL.md", "Changed");
    watched.until(&kiln).await;
    described(&watched, "dev/kiln/.claude/worktrees/oven/.claude/skills/pdf/SKILL.md", "Changed");
    watched.until(&oven).await;
    watched.folder.project("kiln/.claude/worktrees/forge");
    watched.follow_until(|folder| folder.names() == ["kiln", "wt/forge", "wt/oven"]).await;
}

#[tokio::test]
async fn a_root_behind_a_link_is_followed_when_the_link_is_pointed_elsewhere() {
    for by_events in [true, false] {
        let mut folder = Folder::new();
        folder.configure(|config, home| config.roots = vec![home.join("cur")]);
        folder.project("../v1/kiln");
        folder.project("../v2/oven");
        symlink("v1", folder.path("cur")).unwrap();
        folder.refresh().await;
        let options = WatchOptions { debounce: QUICK, poll: QUICK, by_events, ..WatchOptions::default() };
        let mut watched = Watched::over(folder, options).await;
        point(&watched.folder.path("cur"), "v2");
        watched.follow_until(|folder| folder.names() == ["oven"]).await;
        watched.folder.project("../v2/forge");
        watched.follow_until(|folder| folder.names() == ["forge", "oven"]).await;
        fs::remove_file(watched.folder.path("cur")).unwrap();
        let root = watched.root();
        watched.until(&root).await;
        symlink(watched.folder.path("v1"), watched.folder.path("cur")).unwrap();
        watched.follow_until(|folder| folder.names() == ["kiln"]).await;
    }
}

#[tokio::test]
async fn a_root_goes_and_comes_with_a_folder_above_it() {
    let mut folder = Folder::new();
    folder.configure(|config, home| config.roots = vec![home.join("real/mid/dev")]);
    folder.project("../real/mid/dev/kiln");
    let mut watched = watched(folder).await;
    let (root, kiln) = (watched.root(), watched.folder.key("kiln"));
    let (here, away) = (watched.folder.path("real/mid"), watched.folder.path("real/mid2"));
    fs::rename(&here, &away).unwrap();
    watched.until(&root).await;
    fs::rename(&away, &here).unwrap();
    watched.until(&kiln).await;
    described(&watched, "real/mid/dev/kiln/.claude/skills/pdf/SKILL.md", "Changed");
    watched.until(&kiln).await;
}

#[tokio::test]
async fn a_collection_behind_a_link_is_followed_when_the_link_is_pointed_elsewhere() {
    let mut folder = Folder::new();
    folder.project("kiln");
    for version in ["v1", "v2"] {
        folder.write(&format!("{version}/collection.toml"), "[collection]\nname = \"default\"\n");
    }
    symlink("v1", folder.path("cur")).unwrap();
    folder.configure(|config, home| config.collections = vec![home.join("cur")]);
    let mut watched = watched(folder).await;
    let kiln = watched.folder.key("kiln");
    point(&watched.folder.path("cur"), "v2");
    watched.until(&kiln).await;
    watched.folder.write("v2/collection.lock", "[lock.entries]\n");
    watched.until(&kiln).await;
}

#[tokio::test]
async fn what_comes_into_a_folder_that_an_ignore_file_left_out_before_is_seen() {
    for name in [".gitignore", ".ignore"] {
        let folder = Folder::new();
        folder.project("kiln");
        folder.write(&format!("dev/{name}"), "/work\n");
        fs::create_dir(folder.path("dev/work")).unwrap();
        let mut watched = watched(folder).await;
        let root = watched.root();
        fs::write(watched.folder.path("dev").join(name), "").unwrap();
        watched.until(&root).await;
        watched.folder.project("work/oven");
        watched.follow_until(|folder| folder.names() == ["kiln", "work/oven"]).await;
    }
}

#[tokio::test]
async fn where_it_is_looked_every_so_often_no_write_is_taken_for_the_one_before() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.refresh().await;
    let options = WatchOptions { debounce: QUICK, poll: QUICK, by_events: false, ..WatchOptions::default() };
    let mut watched = Watched::over(folder, options).await;
    let file = "dev/kiln/.claude/skills/pdf/SKILL.md";
    for round in 0..10 {
        let text = round.to_string();
        described(&watched, file, &text);
        watched
            .follow_until(|folder| folder.artifact("kiln", "pdf").description.as_deref() == Some(&*text))
            .await;
    }
    // Whatever time it carries.
    watched.folder.write(file, "---\ndescription: from long ago\n---\n");
    watched
        .follow_until(|folder| folder.artifact("kiln", "pdf").description.as_deref() == Some("from long ago"))
        .await;
}

#[tokio::test]
async fn a_folder_becomes_a_project_by_what_a_link_in_its_place_of_a_profile_leads_to() {
    for link in [".claude", ".claude/agents"] {
        let folder = Folder::new();
        folder.project("kiln");
        fs::create_dir_all(folder.path("dev/lib/agents")).unwrap();
        let (from, to) =
            (folder.path("dev/site").join(link), if link == ".claude" { "lib" } else { "lib/agents" });
        fs::create_dir_all(from.parent().unwrap()).unwrap();
        symlink(folder.path("dev").join(to), &from).unwrap();
        let mut watched = watched(folder).await;
        assert_eq!(watched.folder.names(), ["kiln"]);
        fs::write(watched.folder.path("dev/lib/agents/a.md"), "# a\n").unwrap();
        watched.follow_until(|folder| folder.names() == ["kiln", "site"]).await;
    }
}

#[tokio::test]
async fn a_project_goes_with_its_last_artifact_also_behind_a_link() {
    for link in [".claude", ".claude/agents"] {
        let folder = Folder::new();
        folder.project("kiln");
        folder.write("dev/lib/agents/one.md", "# one\n");
        folder.write("dev/lib/agents/two.md", "# two\n");
        let (from, to) =
            (folder.path("dev/site").join(link), if link == ".claude" { "lib" } else { "lib/agents" });
        fs::create_dir_all(from.parent().unwrap()).unwrap();
        symlink(folder.path("dev").join(to), &from).unwrap();
        let mut watched = watched(folder).await;
        assert_eq!(watched.folder.names(), ["kiln", "site"]);
        let (root, site) = (watched.root(), watched.folder.key("site"));
        fs::remove_file(watched.folder.path("dev/lib/agents/one.md")).unwrap();
        assert!(!watched.until(&site).await.contains(&root), "one is left");
        fs::remove_file(watched.folder.path("dev/lib/agents/two.md")).unwrap();
        watched.follow_until(|folder| folder.names() == ["kiln"]).await;
    }
}
