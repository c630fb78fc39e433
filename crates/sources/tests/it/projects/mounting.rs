//! Disks that come and go below a root while it is known and watched.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use larder_sources::{FilesWatch, MarketplaceConfig, MarketplaceFrom, MarketplaceSource, WatchOptions};
use larder_testkit::{MOUNT_HINT, may_mount};

use crate::projects::folder::{Folder, codes};
use crate::projects::watching::{Hasty, QUICK, RealClock, Watched};

/// Set where a story may mount what it likes, and nobody else sees it.
const APART: &str = "LARDER_TEST_APART";

/// Has a story told by a process with mounts of its own. `true` = it was told, or is to be left out.
#[expect(clippy::disallowed_methods, reason = "what the story's other process is told")]
fn told_apart(story: &str) -> bool {
    if std::env::var_os(APART).is_some() {
        return false;
    }
    if may_mount() {
        let mut apart = Command::new("unshare");
        apart.args(["--mount", "--map-root-user"]).arg(std::env::current_exe().unwrap());
        let told = apart.args(["--exact", story]).env(APART, "1").output().expect(MOUNT_HINT);
        let said = [told.stdout, told.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(told.status.success() && said.contains("1 passed"), "{said}\n{MOUNT_HINT}");
    }
    true
}

/// Puts an empty disk on a folder.
fn mount(folder: &Path) {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "larder"]).arg(folder).status();
    assert!(mounted.expect(MOUNT_HINT).success(), "{MOUNT_HINT}");
}

fn unmount(folder: &Path) {
    assert!(Command::new("umount").arg(folder).status().unwrap().success());
}

#[tokio::test]
async fn a_mount_point_without_its_disk_drops_nothing_and_tells_what_to_do() {
    if told_apart("projects::mounting::a_mount_point_without_its_disk_drops_nothing_and_tells_what_to_do") {
        return;
    }
    let mut folder = Folder::new();
    let dev = folder.path("dev");
    mount(&dev);
    folder.project("kiln");
    folder.refresh().await;
    assert!(folder.root_warnings().is_empty());
    mount(&dev);
    for _ in 0..2 {
        folder.find().await;
        assert_eq!((folder.keys().len(), codes(&folder.root_warnings())), (1, vec!["other_disk"]));
    }
    let said = &folder.root_warnings()[0].message;
    assert!(said.contains(&format!("larder cache clear {}", folder.roots()[0])), "{said}");
    unmount(&dev);
    folder.find().await;
    assert_eq!((folder.names(), folder.root_warnings()), (vec!["kiln".to_owned()], vec![]), "it is back");
    // It moved to another for good.
    mount(&dev);
    folder.project("cinder");
    folder.refresh().await;
    assert_eq!((folder.names(), folder.root_warnings()), (vec!["cinder".to_owned()], vec![]));
    folder.remove("dev/cinder");
    folder.find().await;
    assert!(folder.keys().is_empty() && folder.root_warnings().is_empty(), "it was emptied where it is");
}

#[tokio::test]
async fn what_is_known_to_be_gone_for_good_with_its_disk_is_forgotten_as_it_is_told() {
    if told_apart(
        "projects::mounting::what_is_known_to_be_gone_for_good_with_its_disk_is_forgotten_as_it_is_told",
    ) {
        return;
    }
    let mut folder = Folder::new();
    folder.project("kiln");
    folder.refresh().await;
    mount(&folder.path("dev"));
    folder.find().await;
    assert_eq!(folder.keys().len(), 1);
    folder.forget(&folder.roots()[0].clone());
    folder.find().await;
    assert!(folder.keys().is_empty() && folder.root_warnings().is_empty());
}

#[tokio::test]
async fn a_disk_that_comes_or_goes_is_noticed_and_what_is_there_then_is_watched() {
    if told_apart(
        "projects::mounting::a_disk_that_comes_or_goes_is_noticed_and_what_is_there_then_is_watched",
    ) {
        return;
    }
    let mut folder = Folder::new();
    let dev = folder.path("dev");
    folder.project("kiln");
    folder.refresh().await;
    let mut watch =
        folder.watch(WatchOptions { debounce: QUICK, ..WatchOptions::default() }, Arc::new(Hasty));
    watch.next().await;
    let mut watched = Watched { folder, watch };
    let root = watched.root();
    let described = |project: &'static str, text: &'static str| {
        move |folder: &Folder| folder.artifact(project, "pdf").description.as_deref() == Some(text)
    };

    mount(&dev);
    watched.until(&root).await;
    watched.folder.find().await;
    assert_eq!(codes(&watched.folder.root_warnings()), ["other_disk"]);
    watched.folder.project("cinder");
    watched.follow_until(|folder| folder.names() == ["cinder"]).await;
    watched.folder.skill("cinder", "pdf", "On the disk");
    watched.follow_until(described("cinder", "On the disk")).await;

    unmount(&dev);
    watched.follow_until(|folder| folder.names() == ["kiln"]).await;
    watched.folder.skill("kiln", "pdf", "Below the disk");
    watched.follow_until(described("kiln", "Below the disk")).await;

    mount(&dev);
    watched.until(&root).await;
    watched.folder.project("oven");
    watched.follow_until(|folder| folder.names() == ["oven"]).await;
}

#[tokio::test]
async fn a_marketplace_s_file_that_comes_or_goes_with_its_disk_is_looked_at_and_watched() {
    if told_apart(
        "projects::mounting::a_marketplace_s_file_that_comes_or_goes_with_its_disk_is_looked_at_and_watched",
    ) {
        return;
    }
    let folder = Folder::new();
    let (dev, file) = (folder.path("dev"), folder.path("dev/index.json"));
    let from = MarketplaceFrom::File(file.clone());
    let own = MarketplaceConfig { name: "own".to_owned(), from, ttl: Duration::from_hours(6) };
    let options = WatchOptions { debounce: QUICK, ..WatchOptions::default() };
    let mut watch = FilesWatch::of(&[own], options, Arc::new(RealClock)).unwrap();
    let own = [MarketplaceSource::key("own").unwrap()];
    assert_eq!(watch.next().await, own, "what happened before nobody heard of");
    for change in [mount, unmount] {
        change(&dev);
        assert_eq!(watch.next().await, own);
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(watch.next().await, own);
    }
}
