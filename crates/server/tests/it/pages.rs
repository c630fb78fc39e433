//! The pages without JavaScript: what they say in each state, what their forms do, what they refuse.
//! A browser looks at the same pages in `tests/browser`.

use std::sync::{Arc, Mutex};

use larder_github_sim::{Outage, Repository, SecondaryLimit, Switches, When};
use larder_server::{Demo, DemoControl, DemoMode, DemoRequest};
use reqwest::Response;

use crate::visitor::{Visitor, between, csrf, encoded};
use crate::world::{HOUR, MINUTE, Served, World, header, problem};

/// One card of the clusters' page, without what differs from run to run.
async fn card(world: &World, visitor: &mut Visitor<'_>, id: &str) -> String {
    let card = visitor.page(&format!("/?part=card&key=cluster/{id}")).await;
    let sim = world.sim.address().to_string();
    card.replace(&csrf(&card), "[csrf]").replace(&sim, "[github]")
}

fn off() -> Switches {
    Switches { outage: Outage::Unavailable, ..Switches::default() }
}

/// What a browser sends when it looks at a page.
async fn browse(served: &Served, path: &str) -> Response {
    served.get(path).header("accept", "text/html,application/xhtml+xml").send().await.unwrap()
}

#[tokio::test]
async fn a_card_says_in_each_state_how_old_it_is_and_why() {
    let world = World::new().await;
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    insta::assert_snapshot!("card_missing", card(&world, &mut visitor, "tools").await);

    served.json("/api/v1/clusters/tools").await;
    world.clock.advance(5 * MINUTE);
    insta::assert_snapshot!("card_fresh", card(&world, &mut visitor, "tools").await);

    world.clock.advance(2 * HOUR);
    insta::assert_snapshot!("card_stale", card(&world, &mut visitor, "tools").await);

    world.switch(off());
    let refreshed = visitor.post("/actions/refresh", &[("key", "cluster/tools"), ("back", "/")]).await;
    assert_eq!(refreshed.status(), 303);
    insta::assert_snapshot!("card_error_with_data", card(&world, &mut visitor, "tools").await);

    visitor.post("/actions/refresh", &[("key", "cluster/mixed"), ("back", "/")]).await;
    insta::assert_snapshot!("card_error_without_data", card(&world, &mut visitor, "mixed").await);
}

#[tokio::test]
async fn a_limit_is_told_in_githubs_words() {
    let world = World::new().await;
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    served.json("/api/v1/clusters/tools").await;
    let secondary_limit = SecondaryLimit { when: When::Always, ..SecondaryLimit::default() };
    world.switch(Switches { secondary_limit, ..Switches::default() });
    visitor.post("/actions/refresh", &[("key", "cluster/tools")]).await;
    let card = card(&world, &mut visitor, "tools").await;
    assert!(card.contains("<p>GitHub said: GitHub&#39;s secondary rate limit"), "{card}");
    assert!(card.contains(r#"data-way="due">in 1 min</time>"#), "{card}");
    let cache = visitor.page("/cache").await;
    assert!(cache.contains("must pause: it may be asked again"), "{cache}");
}

#[tokio::test]
async fn what_is_set_aside_as_dead_can_be_replayed() {
    let mut world = World::new().await;
    world.policy.attempts = 1;
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    served.json("/api/v1/clusters/tools").await;
    world.switch(Switches { bad_credentials: true, ..Switches::default() });
    visitor.post("/actions/refresh", &[("key", "cluster/tools")]).await;
    insta::assert_snapshot!("card_dead", card(&world, &mut visitor, "tools").await);
    let cache = visitor.page("/cache?show=failing").await;
    assert!(cache.contains(r#"aria-label="Replay cluster/tools""#));

    world.switch(Switches::default());
    let replayed = visitor.post("/actions/replay", &[("key", "cluster/tools"), ("back", "/cache")]).await;
    assert_eq!(header(&replayed, "location"), "/cache?told=replayed&count=1");
    let page = visitor.page("/cache?told=replayed&count=1").await;
    assert!(page.contains("1 entry given a new start."));
}

#[tokio::test]
async fn a_page_is_there_at_once_while_github_hangs_and_says_what_is_under_way() {
    let world = World::new().await;
    let served = world.serve().await;
    world.switch(Switches { hold: true, ..Switches::default() });
    let mut visitor = Visitor::new(&served);
    let page = visitor.page("/").await;
    assert_eq!(page.matches("Loading for the first time").count(), 3);
    assert!(page.contains("0 repositories in 3 clusters · 3 updating"));
    assert!(!page.contains("http-equiv"), "nobody's typing is cut short");
    assert!(page.contains(r#"<a href="/">Look again</a></p></noscript>"#));
    let told = visitor.page("/?sort=stars&told=started&count=3").await;
    assert!(
        told.contains(r#"<a href="/?sort=stars">Look again</a>"#),
        "what was said once is not said again"
    );
    world.sim.arrived(1).await;
    world.switch(Switches::default());
}

#[tokio::test]
async fn looking_at_a_part_causes_no_refresh_and_reading_the_page_does() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters/tools").await;
    let calls = world.calls();
    let mut visitor = Visitor::new(&served);
    for part in
        ["/?part=list", "/?part=card&key=cluster/tools", "/?part=card&key=cluster/mixed", "/cache?part=list"]
    {
        let html = visitor.page(part).await;
        assert!(!html.contains("<html"), "{part}");
    }
    assert_eq!(world.calls(), calls);
    let mut stream = served.events().await;
    visitor.page("/").await;
    stream.about("cluster/mixed").await;
    assert!(world.calls() > calls);
}

#[tokio::test]
async fn search_and_order_live_in_the_address() {
    let world = World::new().await;
    let served = world.serve().await;
    for id in ["tools", "mixed", "bunker"] {
        served.json(&format!("/api/v1/clusters/{id}")).await;
    }
    let mut visitor = Visitor::new(&served);
    let found = visitor.page("/?search=ember&sort=stars").await;
    assert!(found.contains("1 repository in 1 cluster"));
    assert!(found.contains(r#"value="ember""#) && found.contains(r#"<option value="stars" selected>"#));
    assert!(!found.contains("card-mixed"));
    let nothing = visitor.page("/?search=%3Cb%3Enothing").await;
    assert!(nothing.contains("Nothing found") && nothing.contains("“&#60;b&#62;nothing”"), "{nothing}");
    let by_name = visitor.page("/?sort=name").await;
    assert!(by_name.find("card-bunker").unwrap() < by_name.find("card-tools").unwrap());
    let cache = visitor.page("/cache?sort=-items").await;
    assert!(cache.contains(r#"aria-sort="ascending""#));
    assert!(
        cache.find(r#"data-key="cluster/bunker""#).unwrap()
            < cache.find(r#"data-key="cluster/tools""#).unwrap()
    );
}

#[tokio::test]
async fn what_upstream_writes_is_text_and_never_markup() {
    let world = World::new().await;
    let hostile = r#"<script>alert(1)</script><img src=x onerror=alert(2)>"'&"#;
    world.sim.world(|world| {
        world.edit("octo-org/cinder", |cinder| {
            cinder.description = Some(hostile.to_owned());
            cinder.topics = vec![r#""><b>x"#.to_owned()];
        });
    });
    let served = world.serve().await;
    served.json("/api/v1/clusters/tools").await;
    let mut visitor = Visitor::new(&served);
    let asked = format!("/?search={}", encoded("\"><i>"));
    let unknown = format!("/?sort={}", encoded("\"><u>"));
    let card = "/?part=card&key=cluster/tools";
    for path in ["/", &asked, &unknown, card, "/cache?show=%22%3E%3Ci%3E", "/?told=%3Cs%3E"] {
        let page = visitor.send(served.get(path)).await.text().await.unwrap();
        for markup in ["<script>alert", "<img", "<b>x", "<i>", "<u>", "<s>", "onerror=alert(2)>\""] {
            assert!(!page.contains(markup), "{path} has {markup}");
        }
    }
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere_and_nothing_inline() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters/tools").await;
    for path in ["/", "/cache", "/sign-in"] {
        let response = served.get(path).send().await.unwrap();
        let policy = header(&response, "content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(header(&response, "cache-control"), "private, no-cache");
        let page = response.text().await.unwrap();
        assert!(
            !page.contains(" style=") && !page.contains(" onclick=") && !page.contains("<style"),
            "{path}"
        );
        assert_eq!(page.matches("<script").count(), 1, "{path}");
        for start in ["href=\"/assets/", "src=\"/assets/"] {
            let name = between(&page, start, "\"");
            let asset = served.get(&format!("/assets/{name}")).send().await.unwrap();
            assert_eq!(asset.status(), 200, "{name}");
            assert!(header(&asset, "cache-control").contains("immutable"));
        }
    }
    assert_eq!(served.get("/assets/site.css").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_form_without_this_visitors_token_changes_nothing() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters/tools").await;
    let calls = world.calls();
    let mut visitor = Visitor::new(&served);
    let own = csrf(&visitor.page("/cache").await);
    let others = csrf(&Visitor::new(&served).page("/cache").await);
    assert_ne!(own, others);
    let forms =
        ["/actions/refresh", "/actions/invalidate", "/actions/replay", "/sign-in", "/sign-out", "/theme"];
    for form in forms {
        for token in ["", "0", &others] {
            let refused = visitor.post_with(token, form, &[("key", "cluster/tools"), ("token", "x")]).await;
            assert_eq!(refused.status(), 403, "{form}");
            assert!(refused.text().await.unwrap().contains("Nothing was changed"), "{form}");
        }
        // The right token in the hands of one who has no cookie.
        let refused = Visitor::new(&served).post_with(&own, form, &[("key", "cluster/tools")]).await;
        assert_eq!(refused.status(), 403, "{form}");
        let request = visitor.form(form).header("cookie", visitor.cookies.join("; "));
        let request = request.header("origin", "https://evil.example").body(format!("csrf={own}"));
        problem(request.send().await.unwrap(), 403, "foreign_origin").await;
    }
    assert_eq!(world.calls(), calls);
    let entry = served.json("/api/v1/entries?status=stale").await;
    assert_eq!(entry["entries"], serde_json::json!([]));
}

#[tokio::test]
async fn a_form_goes_back_to_its_page_and_to_no_other_site() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters/tools").await;
    let mut visitor = Visitor::new(&served);
    let cases = [
        ("/cache?sort=age", "/cache?sort=age&told=invalidated&count=1"),
        ("https://evil.example/", "/?told=invalidated&count=1"),
        ("//evil.example", "/?told=invalidated&count=1"),
        ("/\\evil.example", "/?told=invalidated&count=1"),
    ];
    for (back, to) in cases {
        let done = visitor.post("/actions/invalidate", &[("key", "cluster/tools"), ("back", back)]).await;
        assert_eq!((done.status().as_u16(), header(&done, "location")), (303, to.to_owned()));
    }
    assert!(visitor.page("/").await.contains("badge updating"), "what is stale is refreshed behind a read");
}

#[tokio::test]
async fn the_script_is_told_what_became_of_a_form_as_json() {
    let world = World::new().await;
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    let token = csrf(&visitor.page("/sign-in").await);
    let http = Visitor::new(&served);
    let ask = |path: &str, fields: &str| {
        http.form(path).header("accept", "application/json").body(format!("csrf={token}&{fields}"))
    };
    let done = visitor.send(ask("/actions/refresh", "all=clusters")).await;
    let said: serde_json::Value = done.json().await.unwrap();
    assert_eq!(said, serde_json::json!({"message": "3 entries refreshed.", "wrong": false}));
    world.switch(off());
    let failed = visitor.send(ask("/actions/refresh", "key=cluster/tools")).await;
    assert_eq!(failed.json::<serde_json::Value>().await.unwrap()["wrong"], true);
    let unknown = visitor.send(ask("/actions/refresh", "key=cluster/none")).await;
    problem(unknown, 404, "unknown_key").await;
    let odd = visitor.send(ask("/actions/invalidate", "key=none")).await;
    problem(odd, 400, "bad_input").await;
}

#[tokio::test]
async fn without_a_token_nobody_changes_anything_and_refreshes_are_rare() {
    let world = World::new().await;
    world.serve().await.json("/api/v1/clusters/tools").await;
    let served = world.serve_with(world.open_settings()).await;
    let mut visitor = Visitor::new(&served);
    let refused = visitor.post("/actions/invalidate", &[("all", "entries")]).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("This is not allowed from here"));
    let first = visitor.post("/actions/refresh", &[("key", "cluster/tools"), ("back", "/")]).await;
    assert_eq!(header(&first, "location"), "/?told=refreshed&count=1");
    let second = visitor.post("/actions/refresh", &[("key", "cluster/tools"), ("back", "/")]).await;
    assert_eq!(header(&second, "location"), "/?told=recent&count=1");
    let hidden = visitor.post("/actions/refresh", &[("key", "cluster/bunker")]).await;
    problem(hidden, 404, "unknown_key").await;
}

#[tokio::test]
async fn a_token_entered_on_the_page_becomes_a_cookie_of_this_site_alone() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.read_token = Some("reader".into());
    settings.admin_token = Some("admin".into());
    let served = world.serve_with(settings).await;
    served.get("/api/v1/clusters").bearer_auth("admin").send().await.unwrap();
    let mut visitor = Visitor::new(&served);
    assert!(!visitor.page("/").await.contains("vault"));
    let refused = visitor.post("/actions/invalidate", &[("all", "entries")]).await;
    assert_eq!(refused.status(), 401);
    assert!(refused.text().await.unwrap().contains(r#"name="token""#), "the page takes a token");
    let wrong = visitor.post("/sign-in", &[("token", "guess")]).await;
    assert_eq!(wrong.status(), 403);
    assert!(!header(&wrong, "set-cookie").contains("larder_session"));

    let entered = visitor.post("/sign-in", &[("token", "reader"), ("back", "/cache")]).await;
    assert_eq!(header(&entered, "location"), "/cache?told=entered&count=0");
    let cookie = header(&entered, "set-cookie");
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict") && !cookie.contains("reader")
    );
    assert!(visitor.page("/").await.contains("vault"));
    let refused = visitor.post("/actions/invalidate", &[("all", "entries")]).await;
    assert_eq!(refused.status(), 403, "reading is not changing");

    visitor.post("/sign-in", &[("token", "admin")]).await;
    assert_eq!(visitor.post("/actions/invalidate", &[("all", "entries")]).await.status(), 303);
    visitor.post("/sign-out", &[]).await;
    assert!(!visitor.page("/").await.contains("vault"));
}

#[tokio::test]
async fn colours_are_remembered_without_a_script() {
    let world = World::new().await;
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    assert!(visitor.page("/").await.contains(r#"<html lang="en">"#));
    visitor.post("/theme", &[("theme", "dark"), ("back", "/")]).await;
    assert!(visitor.page("/").await.contains(r#"<html lang="en" data-theme="dark">"#));
    visitor.post("/theme", &[("theme", "\"><script>"), ("back", "/")]).await;
    assert!(visitor.page("/").await.contains(r#"<html lang="en">"#));
}

#[tokio::test]
async fn a_repository_of_two_clusters_is_counted_once() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters").await;
    let page = Visitor::new(&served).page("/").await;
    // cinder stands in `tools` and in `mixed`, the vault in `mixed` and in `bunker`.
    assert!(page.contains("3 repositories in 3 clusters"), "{page}");
}

#[tokio::test]
async fn a_page_that_had_nothing_to_show_is_no_hit() {
    let world = World::new().await;
    world.switch(off());
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    assert!(visitor.page("/cache").await.contains("nothing read yet"));
    served.get("/api/v1/clusters").send().await.unwrap();
    visitor.page("/").await;
    let figures = served.json("/api/v1/stats").await;
    assert_eq!((&figures["reads"]["hit_rate"], &figures["reads"]["hits"]), (&0.0.into(), &0.into()));
    let page = visitor.page("/cache").await;
    assert!(page.contains("0 %") && page.contains(" in vain") && page.contains("not told its limits"));
}

#[tokio::test]
async fn an_address_that_cannot_be_read_is_answered_with_a_page() {
    let world = World::new().await;
    let served = world.serve().await;
    for path in ["/", "/projects", "/projects/x", "/trackers", "/cache"] {
        let answer = browse(&served, &format!("{path}?part=a&part=b")).await;
        assert_eq!(
            (answer.status().as_u16(), header(&answer, "content-type")),
            (400, "text/html; charset=utf-8".to_owned())
        );
        let page = answer.text().await.unwrap();
        assert!(page.contains("duplicate field `part`") && page.contains("<nav"), "{path}: {page}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_a_page_for_people_and_a_problem_for_programs() {
    let world = World::new().await;
    let served = world.serve().await;
    let page = browse(&served, "/nowhere").await;
    assert_eq!(page.status(), 404);
    assert!(page.text().await.unwrap().contains("There is no such page"));
    problem(served.get("/nowhere").send().await.unwrap(), 404, "no_such_path").await;
    problem(browse(&served, "/api/v1/nowhere").await, 404, "no_such_path").await;
    assert_eq!(browse(&served, "/demo/requests").await.status(), 404, "there is no panel without a demo");
}

/// A demo's GitHub that only remembers how it was switched.
struct Switched(Mutex<DemoMode>);

impl DemoControl for Switched {
    fn mode(&self) -> DemoMode {
        *self.0.lock().unwrap()
    }

    fn switch(&self, mode: DemoMode) {
        *self.0.lock().unwrap() = mode;
    }

    fn requests(&self, _limit: usize) -> Vec<DemoRequest> {
        vec![DemoRequest {
            at: larder_core::Time::from_ms(1_767_225_600_000),
            method: "POST".to_owned(),
            path: "/graphql?<b>".to_owned(),
            status: Some(403),
            repositories: 3,
            cost: 1,
        }]
    }

    fn folder(&self) -> Option<std::path::PathBuf> {
        Some("/demo/<dev>".into())
    }

    fn change_file(&self) -> std::io::Result<String> {
        match self.mode() {
            DemoMode::Off => Err(std::io::ErrorKind::NotFound.into()),
            _ => Ok("kiln/<b> was edited.".to_owned()),
        }
    }
}

#[tokio::test]
async fn the_demos_projects_are_changed_by_a_button_that_says_what_it_did() {
    let world = World::with_folder().await;
    world.skill("kiln", "pdf", "Fills forms");
    let mut settings = world.settings();
    let control = Arc::new(Switched(Mutex::new(DemoMode::On)));
    settings.demo = Some(Demo::new(control.clone()));
    let served = world.serve_with(settings).await;
    let mut visitor = Visitor::new(&served);
    let page = visitor.page("/projects").await;
    assert!(page.contains("Change a file, and see it here") && page.contains("/demo/&#60;dev&#62;"));
    let changed = visitor.post("/demo/change", &[("back", "/projects?show=skill")]).await;
    assert_eq!(
        (changed.status().as_u16(), header(&changed, "location").as_str()),
        (303, "/projects?show=skill")
    );
    assert_eq!(visitor.post_with("no", "/demo/change", &[]).await.status(), 403);

    let own = csrf(&visitor.page("/projects").await);
    let said = visitor.script("/demo/change", &own).await;
    assert_eq!(said, serde_json::json!({"message": "kiln/<b> was edited.", "wrong": false}));
    control.switch(DemoMode::Off);
    assert_eq!(visitor.script("/demo/change", &own).await["wrong"], true);

    let plain = world.serve().await;
    let mut visitor = Visitor::new(&plain);
    assert!(!visitor.page("/projects").await.contains("Change a file"), "the panel is the demo's alone");
    assert_eq!(visitor.post("/demo/change", &[]).await.status(), 404);
}

#[tokio::test]
async fn the_demos_panel_turns_github_and_shows_what_it_was_asked() {
    let world = World::new().await;
    let mut settings = world.settings();
    let github = Arc::new(Switched(Mutex::new(DemoMode::On)));
    settings.demo = Some(Demo::new(github.clone()));
    let served = world.serve_with(settings).await;
    let mut visitor = Visitor::new(&served);
    let page = visitor.page("/").await;
    assert!(page.contains(r#"value="on" aria-pressed="true""#));
    assert!(page.contains("POST /graphql?&#60;b&#62;, 3 repositories"));

    let switched = visitor.post("/demo/switch", &[("mode", "off"), ("back", "/cache")]).await;
    assert_eq!(header(&switched, "location"), "/cache");
    assert_eq!(github.mode(), DemoMode::Off);
    let live = served.json("/demo/requests").await;
    assert_eq!((live["mode"].as_str(), live["lines"][0]["status"].as_str()), (Some("off"), Some("403")));

    assert_eq!(visitor.post_with("no", "/demo/switch", &[("mode", "on")]).await.status(), 403);
    problem(visitor.post("/demo/switch", &[("mode", "sideways")]).await, 400, "bad_input").await;
    assert_eq!(github.mode(), DemoMode::Off);
}

#[tokio::test]
async fn a_long_cluster_is_folded_and_a_gone_repository_is_marked() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters/tools").await;
    world.sim.world(|world| {
        world.remove("octo-org/ember");
        world.add(Repository { stars: 3, ..Repository::new("octo-org/other") });
    });
    let mut visitor = Visitor::new(&served);
    visitor.post("/actions/refresh", &[("key", "cluster/tools")]).await;
    let card = card(&world, &mut visitor, "tools").await;
    assert!(card.contains(r#"<span class="mark gone">gone</span>"#), "{card}");
    assert!(card.contains("<summary>1 warning</summary>"), "{card}");
}

#[tokio::test]
async fn who_signs_in_comes_back_to_the_page_that_led_there() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.admin_token = Some("admin".into());
    let served = world.serve_with(settings).await;
    let mut visitor = Visitor::new(&served);
    let back = |page: &str| {
        between(page, "<main", "</main>")
            .split(r#"name="back" value=""#)
            .last()
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    let host = served.url.clone();
    let cases = [
        (format!("{host}/cache?sort=age&told=left&count=0"), "/cache?sort=age"),
        (format!("{host}/actions/invalidate"), "/"),
        (format!("{host}//evil.example"), "/"),
        ("https://evil.example/cache".to_owned(), "/"),
        ("not an address".to_owned(), "/"),
    ];
    for (from, to) in cases {
        let page = visitor.send(served.get("/sign-in").header("referer", &from)).await.text().await.unwrap();
        assert_eq!(back(&page), to, "{from}");
    }
    // A change that takes a token leads back to where it was wanted, also after a wrong token.
    let csrf = csrf(&visitor.page("/sign-in").await);
    let form = visitor.form("/actions/invalidate").header("referer", format!("{host}/cache"));
    let refused = visitor.send(form.body(format!("csrf={csrf}&all=entries"))).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(back(&refused.text().await.unwrap()), "/cache");
    let wrong = visitor.post("/sign-in", &[("token", "guess"), ("back", "/cache")]).await;
    assert_eq!(back(&wrong.text().await.unwrap()), "/cache");
}

#[tokio::test]
async fn where_forms_are_sent_to_a_browser_finds_a_way_out() {
    let world = World::new().await;
    let served = world.serve().await;
    for path in ["/actions/refresh", "/actions/invalidate", "/actions/replay", "/theme", "/sign-out"] {
        let answer = browse(&served, path).await;
        let head = (answer.status().as_u16(), header(&answer, "content-type"), header(&answer, "allow"));
        assert_eq!(head, (405, "text/html; charset=utf-8".to_owned(), "POST".to_owned()), "{path}");
        let page = answer.text().await.unwrap();
        assert!(page.contains("There is nothing to look at here") && page.contains(r#"<a href="/">"#));
        problem(served.get(path).send().await.unwrap(), 405, "method").await;
    }
    problem(browse(&served, "/api/v1/invalidate").await, 405, "method").await;

    let mut visitor = Visitor::new(&served);
    let csrf = csrf(&visitor.page("/").await);
    for (key, status) in [("cluster/none", 404), ("none", 400)] {
        let form = visitor.form("/actions/refresh").header("accept", "text/html,*/*;q=0.8");
        let refused = visitor.send(form.body(format!("csrf={csrf}&key={key}"))).await;
        assert_eq!(refused.status(), status, "{key}");
        let page = refused.text().await.unwrap();
        assert!(page.contains("This could not be done") && page.contains("<nav"), "{page}");
    }
}
