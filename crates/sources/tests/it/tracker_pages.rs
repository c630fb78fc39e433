//! Trackers without a token: pages that are turned by their links, how few calls that takes, and lists that are
//! cut, refused or taken away while they are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::LINK;
use axum::routing::get;
use larder_core::{FetchError, Fetched, Others, Source, Trigger};
use larder_github_sim::{Switches, When};
use larder_sources::{GitHub, GitHubConfig, TrackersSource};
use serde_json::{Value, json};

use crate::scene::{Scene, TOKEN};
use crate::trackers::{HOUR, Held, REPO, edit, release, scene, source, source_of};

/// So many releases.
async fn scene_of(count: u64) -> Scene {
    scene((1..=count).map(|number| release(number, &format!("Release: v0.{number}")))).await
}

#[tokio::test]
async fn two_refreshes_of_five_issues_are_two_calls_and_miss_nothing() {
    let scene = scene_of(5).await;
    let source = source(&scene, None);
    let mut held = Held::nothing("release");
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!(held.trackers().len(), 5);
    scene.clock.advance(HOUR);
    scene.sim.world(|world| world.remove_issue(REPO, 2));
    edit(&scene, 3, |issue| issue.labels.clear());
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!(
        held.trackers().into_keys().collect::<Vec<_>>(),
        [1, 4, 5],
        "all of them were on the one page"
    );
    assert_eq!(scene.requests(), 2, "each refresh is a call, whose one page is the whole list");
}

#[tokio::test]
async fn more_than_a_page_costs_a_call_for_what_changed_and_all_pages_every_few_hours() {
    let scene = scene_of(250).await;
    let source = source(&scene, None);
    let mut held = Held::nothing("release");
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!((held.trackers().len(), scene.requests()), (250, 3));
    for hour in 1..=5 {
        scene.clock.advance(HOUR);
        scene.sim.world(|world| world.remove_issue(REPO, hour));
        edit(&scene, 100 + hour, |issue| issue.title = "Release: v9".to_owned());
        let delta = held.refresh(&scene, &source, Trigger::Read).await;
        assert_eq!((delta.others, scene.requests()), (Others::Stay, 1));
        assert_eq!(held.trackers()[&(100 + hour)].title, "Release: v9");
    }
    scene.clock.advance(HOUR);
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!((held.trackers().len(), scene.requests()), (245, 3), "what went is seen by the whole list");
}

#[tokio::test]
async fn an_enterprise_servers_pages_have_numbers_and_are_all_read() {
    let scene = scene_of(1_150).await;
    let config = GitHubConfig::new(format!("{}/api/v3", scene.sim.url()));
    let clock = Arc::new(scene.clock.clone());
    let source = source_of(Arc::new(GitHub::new(config, scene.budgets.clone(), clock, 1).unwrap()));
    let mut held = Held::nothing("release");
    held.refresh(&scene, &source, Trigger::Read).await;
    let paths: Vec<String> = scene.sim.take_requests().into_iter().map(|request| request.path).collect();
    assert_eq!((held.trackers().len(), paths.len()), (1_150, 12));
    assert!(paths[11].starts_with("/api/v3/") && paths[11].ends_with("page=12"), "{paths:?}");
}

/// A hundred issues, as REST lists them.
fn issues() -> Value {
    let issue = |number: u64| {
        json!({"number": number, "title": format!("Release: v0.{number}"), "state": "open",
            "labels": [{"name": "release"}], "created_at": "2019-01-01T00:00:00Z", "closed_at": null,
            "html_url": format!("https://github.com/{REPO}/issues/{number}"),
            "repository_url": format!("https://api.github.com/repos/{REPO}")})
    };
    (1..=100).map(issue).collect()
}

/// A server that answers everything but `/lost` with a hundred issues and this `Link`; its address, and how often
/// it was asked.
async fn server(link: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lost = || async { StatusCode::NOT_FOUND };
    let app = Router::new().route("/lost", get(lost)).fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let link = axum::http::HeaderValue::from_bytes(link).unwrap();
        async move { ([(LINK, link)], issues().to_string()) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, asked)
}

fn source_at(scene: &Scene, url: String) -> TrackersSource {
    let clock = Arc::new(scene.clock.clone());
    source_of(Arc::new(GitHub::new(GitHubConfig::new(url), scene.budgets.clone(), clock, 1).unwrap()))
}

#[tokio::test]
async fn a_list_that_goes_on_where_nobody_can_follow_is_no_whole_list() {
    let scene = scene_of(150).await;
    let mut held = Held::nothing("release");
    held.refresh(&scene, &source(&scene, None), Trigger::Read).await;
    scene.clock.advance(25 * HOUR);
    let links: [&[u8]; 9] = [
        b"<http://[half/issues?after=x>; rel=\"next\"",
        b"https://api.github.com/issues?after=x; rel=\"next\"",
        b"</\xff>; rel=\"next\"",
        b"<https://elsewhere.example/repos/octo-org/kiln/issues?page=2>; rel=\"next\"",
        b"<https://elsewhere.example/octo-org/kiln/issues?state=all&labels=release&per_page=100&sort=created\
            &direction=asc&page=2>; rel=\"next\"",
        b"<https://elsewhere.example/repos/octo-org/other/issues?state=all&labels=release&per_page=100\
            &sort=created&direction=asc&page=2>; rel=\"next\"",
        b"<ftp://127.0.0.1/issues?page=2>; rel=\"next\"",
        b"<>; rel=\"next\"",
        b"</lost>; rel=\"next\"",
    ];
    for link in links {
        let (url, asked) = server(link).await;
        let source = source_at(&scene, url);
        let answer = source.fetch(&held.ask(&scene, &source, Trigger::Read)).await;
        let link = String::from_utf8_lossy(link);
        assert!(matches!(answer, Err(FetchError::Unusable { .. })), "{link}: {answer:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{link}");
    }
}

#[tokio::test]
async fn a_list_that_goes_on_at_another_host_is_not_followed_there() {
    let scene = scene([]).await;
    let (elsewhere, asked) = server(b"").await;
    let link = format!("<{elsewhere}/repositories/1/issues?after=x&page=2>; rel=\"next\"");
    let (url, _) = server(link.leak().as_bytes()).await;
    let source = source_at(&scene, url);
    let answer = source.fetch(&Held::nothing("release").ask(&scene, &source, Trigger::Read)).await;
    let Err(FetchError::Unusable { detail, .. }) = answer else { panic!("{answer:?}") };
    assert!(detail.contains(&elsewhere) && !detail.contains("after=x"), "{detail}");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "it never heard of it");
}

/// A proxy that hands on what is asked below `prefix` to this upstream, and its answers as they come.
async fn proxy(prefix: &'static str, upstream: String) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let app = Router::new().fallback(move |request: axum::extract::Request| {
        let path = request.uri().path_and_query().unwrap().as_str();
        let asked = path.strip_prefix(prefix).map(|below| http.get(format!("{upstream}{below}")));
        let agent = request.headers()["user-agent"].clone();
        async move {
            let answer = asked.unwrap().header("user-agent", agent).send().await.unwrap();
            let (status, link) = (answer.status(), answer.headers().get(LINK).cloned());
            let link: axum::http::HeaderMap = link.into_iter().map(|link| (LINK, link)).collect();
            (status, link, answer.bytes().await.unwrap())
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{prefix}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn a_list_behind_a_proxy_goes_on_there_though_its_links_name_github() {
    let scene = scene_of(250).await;
    for (prefix, base) in [("", ""), ("/github", ""), ("/github", "/api/v3"), ("", "/api/v3")] {
        let url = proxy(prefix, format!("{}{base}", scene.sim.url())).await;
        let source = source_at(&scene, url);
        let mut held = Held::nothing("release");
        held.refresh(&scene, &source, Trigger::Read).await;
        let paths: Vec<String> = scene.sim.take_requests().into_iter().map(|request| request.path).collect();
        assert_eq!((held.trackers().len(), paths.len()), (250, 3), "{prefix} {base}: {paths:?}");
        assert!(paths.iter().all(|path| path.starts_with(&format!("{base}/repo"))), "{paths:?}");
    }
}

#[tokio::test]
async fn a_repository_whose_issues_are_switched_off_has_no_trackers_and_is_there() {
    for (token, count, calls) in [(Some(TOKEN), 5, 2), (None, 5, 1), (None, 150, 2)] {
        let scene = scene_of(count).await;
        let source = source(&scene, token);
        let mut held = Held::nothing("release");
        held.refresh(&scene, &source, Trigger::Read).await;
        assert_eq!(held.trackers().len() as u64, count);
        scene.requests();
        scene.clock.advance(HOUR);
        scene.sim.world(|world| assert!(world.edit(REPO, |one| one.has_issues = false)));
        let delta = held.refresh(&scene, &source, Trigger::Read).await;
        assert_eq!((delta.others, held.trackers().len(), scene.requests()), (Others::Go, 0, calls));
    }
}

#[tokio::test]
async fn trackers_of_a_repository_that_was_taken_down_are_blocked_on_whichever_page_that_shows() {
    for page in [1, 2] {
        let scene = scene_of(150).await;
        scene.sim.switch(Switches { taken_down: When::Every(page), ..Switches::default() });
        let source = source(&scene, None);
        let answer = source.fetch(&Held::nothing("release").ask(&scene, &source, Trigger::Read)).await;
        assert!(matches!(&answer, Ok(Fetched::Absent(absence)) if absence.code == "blocked"), "{answer:?}");
    }
}
