//! Collections: where they may lie, and what is heard of them.

use std::fs;
use std::os::unix::fs::symlink;

use larder_sources::WatchOptions;

use crate::projects::folder::{Folder, codes};
use crate::projects::scanning::{RECORDS, content_hash, record};
use crate::projects::watching::{QUICK, Watched};

const DEFAULT: &str = "skillmeat/collections/default";

/// A project with something that was deployed.
fn deployed() -> Folder {
    let folder = Folder::new();
    folder.skill("kiln", "pdf", "d");
    folder.write(RECORDS, &record("pdf", "skill", "skills/pdf", &content_hash(&"a".repeat(64))));
    folder
}

/// Puts a collection there that has the skill, another one if `is_new`.
fn collect(folder: &Folder, place: &str, is_new: bool) {
    folder.write(&format!("{place}/collection.toml"), "[collection]\nname = \"default\"\n");
    lock(folder, place, is_new);
}

fn lock(folder: &Folder, place: &str, is_new: bool) {
    let hash = if is_new { "b" } else { "a" }.repeat(64);
    let text = format!("[lock.entries.\"pdf::skill\"]\ncontent_hash = \"{hash}\"\n");
    fs::write(folder.path(place).join("collection.lock"), text).unwrap();
}

fn is_outdated(folder: &Folder) -> bool {
    folder.artifact("kiln", "pdf").outdated
}

#[tokio::test]
async fn a_collection_behind_a_link_is_read_where_the_link_may_lead() {
    for (link, target) in [
        (DEFAULT.to_owned(), "outside"),
        (format!("{DEFAULT}/collection.toml"), "outside/collection.toml"),
        (format!("{DEFAULT}/collection.lock"), "outside/collection.lock"),
    ] {
        let mut folder = deployed();
        collect(&folder, "outside", true);
        if link != DEFAULT {
            collect(&folder, DEFAULT, true);
            folder.remove(&link);
        }
        fs::create_dir_all(folder.path(&link).parent().unwrap()).unwrap();
        symlink(folder.path(target), folder.path(&link)).unwrap();
        folder.refresh().await;
        assert!(!is_outdated(&folder), "{link} is not followed");
        let warnings = folder.root_warnings();
        assert_eq!(codes(&warnings), ["link_outside"], "{link}");
        assert_eq!(warnings[0].about, folder.path(&link).display().to_string());
        folder.configure(|config, dir| config.allow_links = vec![dir.join("outside")]);
        folder.refresh().await;
        assert!(is_outdated(&folder), "{link} is allowed");
        assert_eq!(folder.root_warnings(), []);
    }
}

#[tokio::test]
async fn a_collection_that_comes_later_is_heard_of_and_so_are_its_changes() {
    for there in ["", "skillmeat", "skillmeat/collections"] {
        let mut folder = deployed();
        fs::create_dir_all(folder.path(there)).unwrap();
        folder.refresh().await;
        let options = WatchOptions { debounce: QUICK, ..WatchOptions::default() };
        let mut watched = Watched::over(folder, options).await;
        collect(&watched.folder, DEFAULT, true);
        watched.follow_until(is_outdated).await;
        lock(&watched.folder, DEFAULT, false);
        watched.follow_until(|folder| !is_outdated(folder)).await;
        lock(&watched.folder, DEFAULT, true);
        watched.follow_until(is_outdated).await;
        watched.folder.remove("skillmeat");
        watched.follow_until(|folder| !is_outdated(folder)).await;
        collect(&watched.folder, DEFAULT, true);
        watched.follow_until(is_outdated).await;
    }
}

#[tokio::test]
async fn a_collection_behind_a_link_is_heard_of_too() {
    let mut folder = deployed();
    collect(&folder, "outside/mine", true);
    fs::create_dir_all(folder.path("skillmeat/collections")).unwrap();
    symlink(folder.path("outside/mine"), folder.path(DEFAULT)).unwrap();
    folder.configure(|config, dir| config.allow_links = vec![dir.join("outside")]);
    folder.refresh().await;
    let options = WatchOptions { debounce: QUICK, ..WatchOptions::default() };
    let mut watched = Watched::over(folder, options).await;
    lock(&watched.folder, "outside/mine", false);
    watched.follow_until(|folder| !is_outdated(folder)).await;
}

#[tokio::test]
async fn what_happens_beside_the_way_to_a_collection_wakes_nobody() {
    let mut watched = Watched::new(&["kiln"]).await;
    let kiln = watched.folder.key("kiln");
    fs::create_dir_all(watched.folder.path("music/.claude/skills")).unwrap();
    watched.folder.write(".gitignore", "*\n");
    watched.folder.skill("kiln", "pdf", "Changed");
    assert_eq!(watched.until(&kiln).await, [kiln].into());
}

#[tokio::test]
async fn a_number_for_a_version_hides_neither_the_hash_beside_it_nor_that_something_is_outdated() {
    let mut folder = deployed();
    collect(&folder, DEFAULT, true);
    folder.refresh().await;
    assert!(is_outdated(&folder));
    let lock = fs::read_to_string(folder.path(DEFAULT).join("collection.lock")).unwrap();
    let odd = format!("{lock}resolved_version = 2.1\nresolved_sha = true\n");
    fs::write(folder.path(DEFAULT).join("collection.lock"), odd).unwrap();
    folder.refresh().await;
    assert!(is_outdated(&folder));
    assert_eq!(folder.artifact("kiln", "pdf").upstream_version.as_deref(), Some("2.1"));
    let warnings = folder.root_warnings();
    assert_eq!(codes(&warnings), ["malformed"]);
    assert!(warnings[0].message.ends_with("`resolved_sha` of `pdf::skill` is left out: it is not a text"));
}

#[tokio::test]
async fn where_an_artifact_is_from_it_says_itself_or_its_collection_or_the_record_of_it() {
    let mut folder = deployed();
    let from = |folder: &Folder| folder.artifact("kiln", "pdf").source;
    folder.refresh().await;
    assert_eq!(from(&folder).as_deref(), Some("default"), "the collection that the record names");
    let manifest = format!("{DEFAULT}/collection.toml");
    let artifact =
        "[[artifacts]]\nname = \"pdf\"\ntype = \"skill\"\nupstream = \"https://octo.example/pdf\"\n";
    folder.write(&manifest, &format!("[collection]\nname = \"default\"\n{artifact}"));
    folder.refresh().await;
    assert_eq!(from(&folder).as_deref(), Some("https://octo.example/pdf"));
    folder.write(&manifest, "[collection\n");
    folder.refresh().await;
    assert_eq!(from(&folder).as_deref(), Some("https://octo.example/pdf"), "it cannot be read now");
    let skill = "dev/kiln/.claude/skills/pdf/SKILL.md";
    folder.write(skill, "---\nname: pdf\nsource: https://example.org/x\n---\n");
    folder.refresh().await;
    assert_eq!(from(&folder).as_deref(), Some("https://example.org/x"));
    folder.write(skill, "---\nname: pdf\n---\n");
    folder.remove(&manifest);
    folder.refresh().await;
    assert_eq!(from(&folder).as_deref(), Some("default"));
}
