//! Marketplaces by HTTP: what is to be had is listed and found, beside what projects have, by those
//! who may know of it.

use larder_core::{Budgets, Clock, Priority, Reservation};
use larder_server::Settings;
use serde_json::{Value, json};

use crate::visitor::Visitor;
use crate::world::{HOUR, Served, World, header, problem};

fn names(list: &Value) -> Vec<&str> {
    list["artifacts"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

fn keys(list: &Value) -> Vec<&str> {
    list["cache"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect()
}

async fn text(served: &Served, path: &str) -> String {
    let answer = served.get(path).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn which_sites_something_is_fetched_from_is_told_to_those_who_may_read_all() {
    let world = World::with_markets().await;
    let (store, _) = world.process();
    let now = world.clock.now();
    let ask = Reservation {
        host: "wiki.corp.internal".into(),
        actor: "anonymous".into(),
        resource: "web".into(),
        points: 1,
        priority: Priority::Waiting,
        assumed_limit: u32::MAX,
        per_minute_max: u32::MAX,
        owner: "a".into(),
        until: now.plus(HOUR),
    };
    store.reserve(&ask, now).await.unwrap();
    let paths = ["/api/v1/stats", "/cache", "/metrics"];
    let served = world.serve().await;
    assert!(text(&served, paths[0]).await.contains("wiki.corp"));
    let settings = Settings { read_token: Some("reader".into()), ..world.open_settings() };
    let open = world.serve_with(settings).await;
    for path in paths {
        assert!(!text(&open, path).await.contains("wiki.corp"), "{path}");
    }
}

#[tokio::test]
async fn what_is_to_be_had_is_searched_filtered_and_paged() {
    let world = World::with_markets().await;
    let served = world.serve().await;
    let list = served.json("/api/v1/marketplace").await;
    assert_eq!(names(&list), ["bunker", "formulist", "pdf", "tickets"]);
    assert_eq!(keys(&list), ["marketplace/public", "marketplace/secret", "marketplace/mine"]);
    let pdf = &list["artifacts"][2];
    assert_eq!(
        json!([pdf["type"], pdf["project"], pdf["marketplace"], pdf["version"], pdf["upstream_version"]]),
        json!(["skill", null, "public", "1.0", null])
    );
    assert_eq!(pdf["url"], "https://github.com/octo-org/cinder/tree/HEAD/skills/pdf");
    for (query, expected) in [
        ("search=fi+fo&type=skill", vec!["bunker", "pdf"]),
        ("type=mcp", vec!["tickets"]),
        ("type=plugin", vec![]),
        ("marketplace=mine", vec!["tickets"]),
        ("marketplace=nobody", vec![]),
        ("search=docs", vec!["bunker", "pdf"]),
        ("search=%22%2A%F0%9F%A6%80+OR", vec![]),
    ] {
        let list = served.json(&format!("/api/v1/marketplace?{query}")).await;
        let mut found = names(&list);
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
    let found = served.json("/api/v1/marketplace?search=form").await;
    assert_eq!((names(&found)[0], names(&found).len()), ("formulist", 4), "names that begin so come first");
    let mut walked = Vec::new();
    let mut path = "/api/v1/marketplace?limit=3".to_owned();
    loop {
        let page = served.json(&path).await;
        walked.extend(names(&page).into_iter().map(str::to_owned));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/marketplace?limit=3&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(walked, ["bunker", "formulist", "pdf", "tickets"]);
    assert_eq!(
        names(&served.json("/api/v1/artifacts").await),
        Vec::<&str>::new(),
        "nothing of it is installed"
    );
    for query in
        ["type=hat", "limit=0", "cursor=x", "status=outdated", &format!("marketplace={}", "x".repeat(65))]
    {
        problem(served.get(&format!("/api/v1/marketplace?{query}")).send().await.unwrap(), 400, "bad_input")
            .await;
    }
    let none = World::new().await;
    assert_eq!(
        none.serve().await.json("/api/v1/marketplace").await,
        json!({"artifacts": [], "cache": [], "next": null})
    );
}

#[tokio::test]
async fn an_answer_is_held_until_it_changes_and_a_forced_one_asks_each_marketplace_once() {
    let world = World::with_markets().await;
    let served = world.serve().await;
    let first = served.get("/api/v1/marketplace").send().await.unwrap();
    assert_eq!(header(&first, "x-cache-hit"), "miss");
    let etag = header(&first, "etag");
    let again = served.get("/api/v1/marketplace").header("if-none-match", &etag).send().await.unwrap();
    assert_eq!((again.status().as_u16(), &*header(&again, "x-cache-hit")), (304, "hit"));
    assert!(!header(&again, "x-cache-last-fetched").is_empty());
    world.push("octo-org/cinder", "skills/ocr/SKILL.md", "---\ndescription: Reads pictures\n---\n");
    world.sim.take_requests();
    let forced = served.get("/api/v1/marketplace?search=ocr&refresh=true").send().await.unwrap();
    assert_eq!(names(&forced.json().await.unwrap()), ["ocr"]);
    let asked = world.sim.take_requests();
    let of = |repo: &str| asked.iter().filter(|one| one.path.contains(repo)).count();
    assert_eq!((of("vault"), of("cinder")), (1, 2), "the unchanged one costs one request: {asked:?}");
    world.clock.advance(HOUR * 2);
    let stale = served.get("/api/v1/marketplace").send().await.unwrap();
    assert_eq!(header(&stale, "x-cache-hit"), "stale");
}

#[tokio::test]
async fn strangers_are_told_of_public_marketplaces_and_of_no_other() {
    let world = World::with_markets().await;
    let local = world.serve().await;
    local.json("/api/v1/marketplace").await;
    let open = world.serve_with(world.open_settings()).await;
    let list = open.json("/api/v1/marketplace").await;
    assert_eq!((names(&list), keys(&list)), (vec!["formulist", "pdf"], vec!["marketplace/public"]));
    for path in
        ["/api/v1/marketplace?search=form", "/api/v1/entries", "/api/v1/marketplace?marketplace=secret"]
    {
        let told = text(&open, path).await;
        for secret in ["bunker", "secret", "tickets", "mine"] {
            assert!(!told.contains(secret), "{path} tells of {secret}: {told}");
        }
    }
    for key in ["secret", "mine"] {
        let path = format!("/api/v1/entries/marketplace/{key}");
        problem(open.get(&path).send().await.unwrap(), 404, "unknown_key").await;
    }
    world.sim.world(|github| github.edit("octo-org/cinder", |repository| repository.is_private = true));
    local.json("/api/v1/marketplace?refresh=true").await;
    let later = world.serve_with(world.open_settings()).await.json("/api/v1/marketplace").await;
    assert_eq!((names(&later), keys(&later)), (Vec::<&str>::new(), Vec::<&str>::new()), "it is private now");
}

#[tokio::test]
async fn a_broken_index_takes_nothing_away_and_tells_others_no_whole_path() {
    let world = World::with_markets().await;
    let mut settings = world.open_settings();
    settings.read_token = Some("reader".into());
    let (local, open) = (world.serve().await, world.serve_with(settings).await);
    local.json("/api/v1/marketplace").await;
    world.say_index("{\"artifacts\": 7");
    let forced = local.json("/api/v1/marketplace?refresh=true&type=mcp").await;
    assert_eq!(names(&forced), ["tickets"], "the old copy stays");
    let wrong = &forced["cache"][2]["last_error"];
    assert_eq!(wrong["code"], "unusable");
    let path = world.index().to_str().unwrap().to_owned();
    assert!(wrong["message"].as_str().unwrap().contains(&path), "{wrong}");
    for path in [
        "/api/v1/marketplace",
        "/api/v1/entries/marketplace/mine",
        "/api/v1/entries",
        "/projects?search=form",
    ] {
        let told = open.get(path).bearer_auth("reader").send().await.unwrap();
        assert_eq!(told.status(), 200, "{path}");
        let told = told.text().await.unwrap();
        assert!(!told.contains("index.json"), "{path}: {told}");
    }
}

#[tokio::test]
async fn nothing_but_a_failure_is_a_problem() {
    let mut world = World::with_markets().await;
    world.markets.retain(|market| market.name == "mine");
    world.say_index("<html>");
    let served = world.serve().await;
    problem(served.get("/api/v1/marketplace").send().await.unwrap(), 502, "upstream_failed").await;
    let mut settings = world.open_settings();
    settings.read_token = Some("reader".into());
    let open = world.serve_with(settings).await;
    let told = open.get("/api/v1/marketplace").bearer_auth("reader").send().await.unwrap();
    let told = problem(told, 502, "upstream_failed").await;
    assert!(!told.to_string().contains("index.json"), "{told}");
    world.say_index("[]");
    let forced = served.json("/api/v1/marketplace?refresh=true").await;
    assert_eq!((names(&forced), &forced["cache"][0]["last_error"]), (Vec::<&str>::new(), &Value::Null));
}

#[tokio::test]
async fn the_page_finds_what_is_installed_and_what_is_to_be_had_and_tells_them_apart() {
    let world = World::with_markets().await;
    world.skill("kiln", "pdf", "Fills forms of our own");
    let served = world.serve().await;
    served.json("/api/v1/marketplace").await;
    served.json("/api/v1/projects").await;
    let available = r#"<span class="mark available">available</span>"#;
    let found = text(&served, "/projects?search=pdf").await;
    assert!(found.contains("2 artifacts") && found.matches(available).count() == 1, "{found}");
    assert!(
        found.contains(r#"href="https://github.com/octo-org/cinder/tree/HEAD/skills/pdf" rel="noreferrer""#)
    );
    assert!(found.contains("of our own") && found.contains(">From</th>"));
    let installed = text(&served, "/projects?search=pdf&from=installed").await;
    assert!(installed.contains("1 artifact<") && !installed.contains(available));
    let offered = text(&served, "/projects?from=available").await;
    assert!(
        offered.contains("4 artifacts")
            && offered.matches(available).count() == 4
            && !offered.contains("of our own")
    );
    assert!(offered.contains(r#"<option value="available" selected>"#));
    let plain = text(&served, "/projects?show=artifacts").await;
    assert!(plain.contains("1 artifact<"), "a list without a search is of what projects have");
    assert!(plain.contains("To be had from <span class=\"path\">public</span>"));
    assert!(text(&served, "/projects?show=plugin").await.contains("Nothing found"));
    assert!(text(&served, "/projects?search=form&from=available&part=list").await.contains("tickets"));
    let form = text(&served, "/projects").await;
    assert!(form.contains("1 project · 1 artifact") && form.contains(r#"<select name="from" id="from">"#));
}

#[tokio::test]
async fn the_page_s_button_asks_marketplaces_anew_with_the_projects_beside_them() {
    let world = World::with_markets().await;
    world.skill("kiln", "pdf", "Fills forms of our own");
    let served = world.serve().await;
    served.json("/api/v1/marketplace").await;
    served.json("/api/v1/projects").await;
    world.push("octo-org/cinder", "skills/ocr/SKILL.md", "---\ndescription: Reads pictures\n---\n");
    world.skill("kiln", "ocr", "Reads pictures of our own");
    world.clock.advance(HOUR / 2);
    assert!(text(&served, "/projects?search=ocr&part=list").await.contains("Nothing found"));
    let asked = Visitor::new(&served).post("/actions/refresh", &[("all", "projects")]).await;
    assert_eq!(asked.status(), 303);
    let found = served.json("/api/v1/marketplace?search=ocr").await;
    assert_eq!(names(&found), ["ocr"]);
    assert!(text(&served, "/projects?search=ocr&part=list").await.contains("2 artifacts"));
}
