//! A token goes to its own host alone, and shows nowhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use larder_core::{Definition, FetchError, Policy, Priority, Source, Time};
use larder_domain::RepoName;
use larder_sources::github::Errand;
use larder_sources::{ClustersSource, GitHub, GitHubConfig, GitHubError};
use larder_testkit::VirtualClock;

use crate::budgets::MemoryBudgets;
use crate::scene::{SEEING, Scene, TOKEN, many, tools_of};

/// Serves `app` on a free port and answers its address.
async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn github(api_url: &str, token: Option<&str>) -> Result<GitHub, GitHubError> {
    let config = GitHubConfig { token: token.map(Into::into), ..GitHubConfig::new(api_url) };
    GitHub::new(config, Arc::new(MemoryBudgets::default()), Arc::new(VirtualClock::new()), 1)
}

fn errand(github: &GitHub) -> Errand {
    Errand::new(Priority::Waiting, github.now(), github.now().plus(Duration::from_secs(30)))
}

#[tokio::test]
async fn a_redirect_to_another_host_is_refused_and_nothing_is_sent_there() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counter = hits.clone();
    let elsewhere = serve(Router::new().fallback(move |_: HeaderMap| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { "{}" }
    }))
    .await;
    let target = format!("{elsewhere}/repos/octo-org/r0");
    let here = serve(Router::new().fallback(move || {
        let target = target.clone();
        async move { (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, target)]) }
    }))
    .await;
    let github = github(&here, Some(TOKEN)).unwrap();
    let name = RepoName::new("octo-org", "r0").unwrap();
    let error = github.repository(&name, None, &errand(&github)).await.unwrap_err();
    assert!(matches!(error, FetchError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains("not its own"), "{error}");
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn redirects_without_an_end_come_to_one() {
    let here = serve(
        Router::new().fallback(|| async { (StatusCode::FOUND, [(header::LOCATION, "/repositories/1")]) }),
    )
    .await;
    let github = github(&here, None).unwrap();
    let name = RepoName::new("octo-org", "r0").unwrap();
    let errand = errand(&github);
    let error = github.repository(&name, None, &errand).await.unwrap_err();
    assert!(error.to_string().contains("redirects"), "{error}");
    assert!(errand.take_spent().calls <= 6);
}

#[tokio::test]
async fn every_call_says_who_calls_and_carries_the_token_in_its_header_alone() {
    let here = serve(Router::new().fallback(|uri: axum::http::Uri, headers: HeaderMap| async move {
        let text =
            |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap().to_owned());
        let seen = serde_json::json!({
            "message": format!("{uri} {:?} {:?}", text(header::USER_AGENT), text(header::AUTHORIZATION)),
        });
        (StatusCode::UNPROCESSABLE_ENTITY, seen.to_string())
    }))
    .await;
    let github = github(&here, Some("tok-en")).unwrap();
    let name = RepoName::new("octo-org", "r0").unwrap();
    let error = github.repository(&name, None, &errand(&github)).await.unwrap_err().to_string();
    let agent = format!("Some(\"larder/{}\")", env!("CARGO_PKG_VERSION"));
    assert!(error.contains(&agent) && error.contains("Some(\"Bearer tok-en\")"), "{error}");
    assert!(error.contains("/repos/octo-org/r0 "), "nothing but the path is in the address: {error}");
}

#[tokio::test]
async fn a_page_of_html_is_no_answer() {
    let page =
        || async { ([(header::CONTENT_TYPE, "text/html")], "<html>Log in to the guest network</html>") };
    let here = serve(Router::new().fallback(page)).await;
    let github = github(&here, None).unwrap();
    let name = RepoName::new("octo-org", "r0").unwrap();
    let error = github.repository(&name, None, &errand(&github)).await.unwrap_err();
    assert!(matches!(error, FetchError::Unusable { .. }), "{error}");
}

#[test]
fn a_token_is_not_sent_over_plain_http_off_this_machine() {
    let error = github("http://ghe.example/api/v3", Some(TOKEN)).unwrap_err();
    assert!(matches!(error, GitHubError::PlainHttp { .. }), "{error}");
    assert!(github("http://ghe.example/api/v3", None).is_ok());
    assert!(github("https://ghe.example/api/v3", Some(TOKEN)).is_ok());
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_and_not_repeated() {
    let error = github("https://api.github.com", Some("two\nlines")).unwrap_err();
    assert!(matches!(error, GitHubError::Token), "{error}");
    assert!(!format!("{error} {error:?}").contains("lines"));
}

#[tokio::test]
async fn what_was_fetched_with_any_token_serves_without_one_and_not_the_other_way_round() {
    let scene = Scene::with(Vec::new()).await;
    let definition = |token| {
        let source = scene.source(&tools_of(3), token);
        source.define(&source.keys()[0]).unwrap()
    };
    let (with, other, without) = (definition(Some(TOKEN)), definition(Some("renewed")), definition(None));
    assert_eq!(with.fingerprint, other.fingerprint, "tokens are renewed all the time");
    assert!(without.answers_to(&with.fingerprint));
    assert!(!with.answers_to(&without.fingerprint));
    let later = |token| {
        let policy = Policy { configured_at: Some(Time::from_ms(2)), ..Policy::default() };
        let source = ClustersSource::new(&tools_of(2), scene.github(token, 1), &policy).unwrap();
        source.define(&source.keys()[0]).unwrap().note()
    };
    let policy = Policy { configured_at: Some(Time::from_ms(1)), ..Policy::default() };
    let with = Definition { policy, ..(*with).clone() };
    let stands_by = |token| with.stands_by(&later(token), Some(Time::MAX));
    assert!(stands_by(Some(TOKEN)) && !stands_by(None), "whoever is newer");
}

#[tokio::test]
async fn a_token_that_ended_or_came_late_is_replaced_while_everything_goes_on() {
    let scene = Scene::with(many("octo-org", 3)).await;
    for first in [Some(TOKEN), None] {
        let github = scene.github(first, 1);
        let source = ClustersSource::new(&tools_of(3), github.clone(), &Policy::default()).unwrap();
        scene.listing(&source, "tools").await;
        assert_eq!(github.wants_token(), first.is_none());
        let before = scene.ask(&source, "tools").definition.fingerprint.clone();
        if let Some(first) = first {
            scene.sim.world(|world| world.revoke_token(first));
            assert!(matches!(scene.fetch(&source, "tools").await, Err(FetchError::Refused { .. })));
            assert!(github.wants_token());
            assert!(!github.renew_token(first.into()).unwrap(), "it is the same");
            assert!(github.wants_token());
        }
        assert!(github.renew_token(SEEING.into()).unwrap());
        assert!(!github.wants_token());
        scene.listing(&source, "tools").await;
        assert!(!github.wants_token());
        let after = scene.ask(&source, "tools").definition.fingerprint.clone();
        assert_eq!(after == before, first.is_some(), "what came without a token is due");
        assert!(github.renew_token("two\nlines".into()).is_err());
    }
}

#[tokio::test]
async fn a_token_shows_in_no_debug_text_no_error_no_definition_and_no_budget() {
    let scene = Scene::with(many("octo-org", 3)).await;
    let github = scene.github(Some(TOKEN), 1);
    let config = GitHubConfig { token: Some(TOKEN.into()), ..GitHubConfig::new(scene.sim.url()) };
    let source = scene.source(&tools_of(3), Some(TOKEN));
    scene.listing(&source, "tools").await;
    let ask = scene.ask(&source, "tools");
    scene.sim.stop().await;
    let error = source.fetch(&ask).await.unwrap_err();

    let said = format!(
        "{github:?} {config:?} {error} {error:?} {ask:?} {} {}",
        github.credential(),
        scene.budgets.dump()
    );
    for part in [TOKEN, &TOKEN[4..], &TOKEN[TOKEN.len() - 12..]] {
        assert!(!said.contains(part), "{said}");
    }
    assert!(said.contains("octocat"), "the budget is under the login");
    assert!(scene.clock.next_wake().is_none(), "nothing waits any more");
}
