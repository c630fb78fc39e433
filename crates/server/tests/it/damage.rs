//! A row of the store that cannot be understood: it costs its own entry alone, which is shown as damaged.

use larder_server::Settings;
use serde_json::Value;

use crate::world::{Served, World, header, problem};

/// Trackers, projects and marketplaces too, all of it fetched, and then spoilt.
async fn spoilt(sql: &str) -> World {
    let mut world = World::with_markets().await;
    world.tracked = vec!["cinder", "ember"];
    world.skill("borealis", "deploy", "Ships it");
    world.skill("kiln", "fire", "Heats it");
    let before = world.serve().await;
    for path in LISTS {
        before.json(path).await;
    }
    before.running.stop().await;
    world.spoil(sql);
    world
}

const LISTS: [&str; 9] = [
    "/api/v1/repos",
    "/api/v1/clusters",
    "/api/v1/registry",
    "/api/v1/projects",
    "/api/v1/artifacts",
    "/api/v1/marketplace",
    "/api/v1/trackers",
    "/api/v1/trackers/stats",
    "/api/v1/entries",
];

const PAGES: [&str; 8] = [
    "/",
    "/?search=cinder",
    "/trackers",
    "/cache",
    "/cache?sort=items",
    "/cache?search=c",
    "/metrics",
    "/api/v1/stats",
];

fn of_entry(key: &str) -> String {
    format!("UPDATE entries SET warnings = 'oops' WHERE key LIKE '{key}'")
}

async fn text(served: &Served, path: &str) -> String {
    let response = served.get(path).send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 200, "{path}: {text}");
    text
}

/// The names of what a list has, under `of`.
fn names<'a>(list: &'a Value, of: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> =
        list[of].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

/// The keys of what is told of in these rows, with what is wrong with it.
fn told(rows: &Value) -> Vec<(&str, &str)> {
    let rows = rows.as_array().unwrap().iter();
    let rows = rows.filter(|row| row["last_error"]["code"] == "damaged");
    rows.map(|row| (row["key"].as_str().unwrap(), row["last_error"]["message"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_damaged_entry_is_shown_as_such_and_all_others_are_as_they_were() {
    let keys = [
        "cluster/mixed",
        "trackers/octo-org/cinder/release",
        "projects/borealis-%",
        "projects/roots/%",
        "marketplace/mine",
    ];
    for key in keys {
        let world = spoilt(&of_entry(key)).await;
        let served = world.serve().await;
        for path in LISTS.iter().chain(&PAGES).chain(&["/projects", "/projects?search=fire"]) {
            text(&served, path).await;
        }
        let repos = served.json("/api/v1/repos").await;
        assert_eq!(names(&repos, "repositories"), ["cinder", "ember", "vault"], "{key}");
        let entries = served.json("/api/v1/entries").await;
        let [(told, why)] = told(&entries["entries"])[..] else { panic!("{key}: {entries}") };
        assert!(told.starts_with(key.trim_end_matches('%')), "{told}");
        assert_eq!(
            why,
            format!("what is held of it is damaged: entries {told}: column `warnings` holds `oops`")
        );
        let all = entries["entries"].as_array().unwrap();
        let keys: Vec<&str> = all.iter().map(|entry| entry["key"].as_str().unwrap()).collect();
        assert!(keys.is_sorted() && keys.len() == 13, "{keys:?}");
        let walked = walk(&served, "/api/v1/entries?limit=1", "entries").await;
        assert_eq!(walked.iter().map(|entry| &entry["key"]).collect::<Vec<_>>(), keys, "page by page");
        let counts = served.json("/api/v1/stats").await["entries"].clone();
        let of = |state: &str| all.iter().filter(|entry| entry["status"] == state).count();
        assert_eq!((counts["total"].as_u64(), counts["dead"].as_u64()), (Some(13), Some(1)), "{counts}");
        assert_eq!(counts["missing"], of("missing"), "{counts}");
        let cache = text(&served, "/cache?show=failing").await;
        assert!(cache.contains(told) && cache.contains("holds <code>oops</code>"), "{cache}");
        assert!(!cache.contains("/actions/replay"), "no new start mends it: {cache}");
        let itself = served.get(&format!("/api/v1/entries/{told}")).send().await.unwrap();
        problem(itself, 500, "store").await;
    }
}

#[tokio::test]
async fn each_list_tells_of_its_own_damaged_entry() {
    let lists = [
        ("cluster/mixed", "/api/v1/registry", "/"),
        ("trackers/octo-org/cinder/release", "/api/v1/trackers", "/trackers"),
        ("projects/borealis-%", "/api/v1/projects", "/projects"),
        ("marketplace/mine", "/api/v1/marketplace", "/projects"),
    ];
    for (key, list, page) in lists {
        let world = spoilt(&of_entry(key)).await;
        let served = world.serve().await;
        let listed = served.json(list).await;
        let told = told(&listed["cache"]);
        assert!(matches!(told[..], [(told, _)] if told.starts_with(key.trim_end_matches('%'))), "{listed}");
        let response = served.get(list).send().await.unwrap();
        assert_eq!(header(&response, "x-cache-hit"), "stale", "{list}");
        let page = text(&served, page).await;
        assert!(page.contains("What is held of it is damaged"), "{page}");
        assert!(page.contains("holds <code>oops</code>"), "{page}");
    }
    let world = spoilt(&of_entry("cluster/mixed")).await;
    let clusters = world.serve().await.json("/api/v1/clusters").await;
    assert_eq!(names(&clusters, "clusters"), ["Bunker plans", "Mixed", "Tools"]);
    assert_eq!(clusters["clusters"][1]["cache"]["last_error"]["code"], "damaged");
    assert_eq!(clusters["clusters"][0]["repositories"], 2);
}

#[tokio::test]
async fn everybody_else_is_not_told_of_a_damaged_entry() {
    for key in ["cluster/tools", "marketplace/public", "trackers/octo-org/cinder/release"] {
        let world = spoilt(&of_entry(key)).await;
        let open = world.serve_with(world.open_settings()).await;
        for path in LISTS.iter().chain(&PAGES) {
            let told = text(&open, path).await;
            assert!(!told.contains("oops") && !told.contains("damaged"), "{key} {path}: {told}");
            assert!(!told.contains(&format!("\"{key}\"")), "{key} {path}: {told}");
        }
        assert_eq!(names(&open.json("/api/v1/repos").await, "repositories").first(), Some(&"cinder"));
    }
}

/// As whole paths are, which a damaged row may say.
#[tokio::test]
async fn where_folders_lie_is_told_of_a_damaged_entry_on_this_machine_alone() {
    let sql = "UPDATE entries SET last_error = '{\"message\": \"/home/ann/code is gone' WHERE key LIKE 'projects/%'";
    let world = spoilt(sql).await;
    let here = world.serve_with(world.settings()).await;
    let told = text(&here, "/api/v1/entries").await;
    assert!(told.contains("/home/ann"), "{told}");
    let open = Settings { read_token: Some("reader".into()), ..world.open_settings() };
    let open = world.serve_with(open).await;
    let elsewhere = open.get("/api/v1/entries").bearer_auth("reader").send().await.unwrap();
    let elsewhere = elsewhere.text().await.unwrap();
    assert!(elsewhere.contains("projects/roots/") && !elsewhere.contains("/home/ann"), "{elsewhere}");
}

#[tokio::test]
async fn a_damaged_item_costs_the_lists_itself_and_the_entries_that_hold_it() {
    let item = "UPDATE items SET scope = 'oops' WHERE kind = 'repository' AND id LIKE '%ember'";
    let world = spoilt(item).await;
    for settings in [world.settings(), world.open_settings()] {
        let is_open = settings.listen.ip().is_unspecified();
        let served = world.serve_with(settings).await;
        for path in LISTS.iter().chain(&PAGES) {
            text(&served, path).await;
        }
        let walked = walk(&served, "/api/v1/repos?sort=name&limit=1", "repositories").await;
        let walked: Vec<&str> = walked.iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(walked, if is_open { vec!["cinder"] } else { vec!["cinder", "vault"] });
        let clusters = served.json("/api/v1/clusters").await;
        let ids: Vec<&Value> =
            clusters["clusters"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
        if is_open {
            assert_eq!(ids, ["mixed"]);
        } else {
            assert_eq!(ids, ["tools", "mixed", "bunker"]);
            assert_eq!(clusters["clusters"][0]["cache"]["last_error"]["code"], "damaged");
            assert_eq!(clusters["clusters"][1]["cache"]["last_error"], Value::Null);
        }
    }
}

/// All that a list has, one answer after the other.
async fn walk(served: &Served, first: &str, of: &str) -> Vec<Value> {
    let (mut path, mut walked) = (first.to_owned(), Vec::new());
    loop {
        let page = served.json(&path).await;
        walked.extend(page[of].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { return walked };
        path = format!("{first}&cursor={next}");
    }
}
