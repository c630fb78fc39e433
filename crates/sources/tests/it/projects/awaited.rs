//! Usual roots that are not there: nobody is told of one, nothing is asked of it, and it counts when it comes.

use std::fs;
use std::sync::Arc;

use larder_sources::WatchOptions;

use crate::projects::folder::Folder;
use crate::projects::watching::{Hasty, QUICK, Watched};

/// A home with nothing in it, where three roots may come.
fn newcomer() -> Folder {
    let mut folder = Folder::new();
    folder.remove("dev");
    folder.configure(|config, home| {
        config.roots = ["projects", "dev", "src"].map(|name| home.join(name)).to_vec();
        config.awaited = config.roots.clone();
    });
    folder
}

fn watch(folder: Folder, options: WatchOptions) -> Watched {
    let watch = folder.watch(options, Arc::new(Hasty));
    Watched { folder, watch }
}

#[tokio::test]
async fn a_root_that_is_not_there_yet_is_found_with_its_projects_when_it_comes() {
    for by_events in [true, false] {
        let folder = newcomer();
        assert_eq!(folder.roots(), [], "nothing is asked of them");
        let options = WatchOptions { debounce: QUICK, poll: QUICK, by_events, ..WatchOptions::default() };
        let mut watched = watch(folder, options);
        watched.folder.project("kiln");
        watched.follow_until(|folder| folder.names() == ["kiln"]).await;
        assert_eq!(watched.folder.roots().len(), 1, "the others are still not there");
        fs::write(watched.folder.path("src"), "a file, no folder").unwrap();
        watched.folder.project("../projects/oven");
        watched.follow_until(|folder| folder.names() == ["oven", "kiln"]).await;
        let file = watched.folder.path("dev/kiln/.claude/skills/pdf/SKILL.md");
        fs::write(file, "---\ndescription: Changed\n---\n").unwrap();
        watched
            .follow_until(|folder| folder.artifact("kiln", "pdf").description.as_deref() == Some("Changed"))
            .await;
    }
}

#[tokio::test]
async fn what_is_known_of_a_project_is_the_same_whoever_found_a_root_there() {
    let mut folder = newcomer();
    folder.project("kiln");
    folder.configure(|config, home| config.awaited.retain(|root| *root != home.join("dev")));
    folder.refresh().await;
    let kiln = folder.key("kiln");
    let definition = folder.definition(&kiln);
    folder.write("src/oven/.claude/skills/pdf/SKILL.md", "# pdf\n");
    folder.configure(|config, home| config.awaited.retain(|root| *root != home.join("src")));
    assert_eq!(folder.definition(&kiln), definition);
}

#[tokio::test]
async fn a_root_of_which_projects_are_held_was_there_and_counts_until_they_are_forgotten() {
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.refresh().await;
    let root = folder.roots().remove(0);
    folder.remove("dev");
    folder.configure(|config, home| {
        config.roots = ["dev", "src"].map(|name| home.join(name)).to_vec();
        config.awaited = config.roots.clone();
    });
    assert_eq!(folder.roots(), std::slice::from_ref(&root), "the other was never there");
    assert_eq!(folder.names(), ["kiln"]);
    assert!(folder.fetch(&root).await.is_err(), "it is complained of like one that was named");
    folder.forget(&root);
    assert_eq!((folder.roots().len(), folder.keys().len()), (0, 0));
}
