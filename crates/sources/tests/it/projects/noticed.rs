//! What is heard of beyond plain folders that stay where they are: links, what they lead to, and what may not be
//! looked into.

use std::fs;
use std::os::unix::fs::symlink;

use larder_sources::WatchOptions;

use crate::projects::folder::{Folder, chmod, codes, told_by_nobody};
use crate::projects::watching::{QUICK, Watched};

async fn watched(mut folder: Folder) -> Watched {
    folder.refresh().await;
    Watched::over(folder, WatchOptions { debounce: QUICK, ..WatchOptions::default() }).await
}

#[tokio::test]
async fn what_a_link_leads_to_is_missed_when_it_goes_and_seen_when_it_is_back() {
    for (link, shared) in [("skills/shared", "lib/shared"), ("agents/shared.md", "lib/shared.md")] {
        for library in ["dev", "outside"] {
            let mut folder = Folder::new();
            folder.project("kiln");
            folder.write(&format!("{library}/lib/shared/SKILL.md"), "---\ndescription: one\n---\n");
            folder.write(&format!("{library}/lib/shared.md"), "---\ndescription: one\n---\n");
            fs::create_dir_all(folder.path("dev/kiln/.claude/agents")).unwrap();
            let target = folder.path(&format!("{library}/{shared}"));
            symlink(&target, folder.path("dev/kiln/.claude").join(link)).unwrap();
            folder.configure(|config, dir| config.allow_links = vec![dir.join("outside")]);
            let mut watched = watched(folder).await;
            let is_there = |folder: &Folder| folder.artifacts("kiln").len() == 2;
            assert!(is_there(&watched.folder));
            let above = target.parent().unwrap();
            for (here, away) in
                [(target.as_path(), target.with_extension("away")), (above, above.with_extension("away"))]
            {
                fs::rename(here, &away).unwrap();
                watched.follow_until(|folder| !is_there(folder)).await;
                fs::rename(&away, here).unwrap();
                watched.follow_until(is_there).await;
            }
            watched.folder.remove(&format!("{library}/lib"));
            watched.follow_until(|folder| !is_there(folder)).await;
            let file = if shared.contains('.') { shared.to_owned() } else { format!("{shared}/SKILL.md") };
            watched.folder.write(&format!("{library}/{file}"), "---\ndescription: two\n---\n");
            watched
                .follow_until(|folder| {
                    is_there(folder)
                        && folder.artifact("kiln", "shared").description.as_deref() == Some("two")
                })
                .await;
        }
    }
}

#[tokio::test]
async fn projects_behind_a_link_come_and_go_as_any_others() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.project("../shared/oven");
    symlink(folder.path("shared"), folder.path("dev/ext")).unwrap();
    folder.configure(|config, dir| config.allow_links = vec![dir.join("shared")]);
    let mut watched = watched(folder).await;
    assert_eq!(watched.folder.names(), ["kiln", "ext/oven"]);
    watched.folder.project("../shared/forge");
    watched.follow_until(|folder| folder.names() == ["kiln", "ext/forge", "ext/oven"]).await;
    watched.folder.remove("shared/oven");
    watched.follow_until(|folder| folder.names() == ["kiln", "ext/forge"]).await;
    let link = watched.folder.path("dev/ext");
    fs::remove_file(&link).unwrap();
    watched.follow_until(|folder| folder.names() == ["kiln"]).await;
    symlink(watched.folder.path("shared"), &link).unwrap();
    watched.follow_until(|folder| folder.names() == ["kiln", "ext/forge"]).await;
    fs::rename(watched.folder.path("shared"), watched.folder.path("away")).unwrap();
    watched.follow_until(|folder| folder.names() == ["kiln"]).await;
    fs::rename(watched.folder.path("away"), watched.folder.path("shared")).unwrap();
    watched.follow_until(|folder| folder.names() == ["kiln", "ext/forge"]).await;
}

#[tokio::test]
async fn what_may_not_be_looked_into_is_heard_of_and_when_it_may_again() {
    if told_by_nobody("projects::noticed::what_may_not_be_looked_into_is_heard_of_and_when_it_may_again") {
        return;
    }
    let folder = Folder::new();
    folder.project("kiln");
    folder.project("work/oven");
    let mut watched = watched(folder).await;
    for place in ["dev/kiln", "dev/work", "dev/kiln/.claude", "dev/kiln/.claude/skills"] {
        let path = watched.folder.path(place);
        let is_told = |folder: &Folder| {
            [folder.root_warnings(), folder.warnings("kiln")]
                .iter()
                .any(|all| codes(all).contains(&"unreadable"))
        };
        chmod(&path, 0o000);
        watched.follow_until(is_told).await;
        chmod(&path, 0o755);
        watched
            .follow_until(|folder| folder.root_warnings().is_empty() && folder.warnings("kiln").is_empty())
            .await;
    }
    chmod(&watched.folder.path("dev"), 0o000);
    let root = watched.root();
    watched.until(&root).await;
    chmod(&watched.folder.path("dev"), 0o755);
    let oven = watched.folder.key("oven");
    watched.until(&oven).await;
}

#[tokio::test]
async fn a_folder_that_may_not_be_watched_is_told_of_as_such_and_watched_when_it_may() {
    if told_by_nobody(
        "projects::noticed::a_folder_that_may_not_be_watched_is_told_of_as_such_and_watched_when_it_may",
    ) {
        return;
    }
    let folder = Folder::new();
    folder.project("kiln");
    folder.project("oven");
    let closed = folder.path("dev/oven/.claude");
    chmod(&closed, 0o000);
    let mut watched = watched(folder).await;
    let trouble = watched.watch.trouble().unwrap();
    assert!(trouble.contains(&closed.display().to_string()) && trouble.contains("denied"), "{trouble}");
    assert!(!trouble.contains("max_user_watches"), "{trouble}");
    chmod(&closed, 0o755);
    watched.follow_until(|folder| folder.artifacts("oven").len() == 1).await;
    assert_eq!(watched.watch.trouble(), None);
    watched.folder.skill("oven", "pdf", "Changed");
    watched
        .follow_until(|folder| folder.artifact("oven", "pdf").description.as_deref() == Some("Changed"))
        .await;
}
