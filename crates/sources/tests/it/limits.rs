//! GitHub's limits and Larder's own budget: nothing is sent before its time, by no process.

use std::time::Duration;

use larder_core::{Clock, FetchError, LimitKind, Priority, Source, Time};
use larder_github_sim::{
    Limits, Outage, PrimaryLimit, RateLimitSpelling, RateLimited200, SecondaryLimit, Switches, When,
};
use larder_sources::ClustersSource;

use crate::scene::{SEEING, Scene, TOKEN, items, many, present, tools_of};

fn limited(error: &FetchError) -> (LimitKind, Time) {
    match error {
        FetchError::Limited { kind, until, .. } => (*kind, *until),
        other => panic!("a limit was expected, not {other}"),
    }
}

#[tokio::test]
async fn a_limit_that_comes_with_http_200_is_waited_out_until_the_reset_and_nothing_is_sent_before() {
    for spelling in [RateLimitSpelling::RateLimit, RateLimitSpelling::RateLimited] {
        let scene = Scene::with(many("octo-org", 3)).await;
        scene.sim.set_limits(Limits { graphql: 2, ..Limits::default() });
        let graphql_rate_limited_200 = RateLimited200 { spelling, ..RateLimited200::default() };
        scene.sim.switch(Switches { graphql_rate_limited_200, ..Switches::default() });
        // The first client does not know that the second spends from the same hour.
        let (first, other) = (scene.source(&tools_of(3), Some(TOKEN)), Scene::with(Vec::new()).await);
        let config = larder_sources::GitHubConfig {
            token: Some(TOKEN.into()),
            ..larder_sources::GitHubConfig::new(scene.sim.url())
        };
        let clock = std::sync::Arc::new(scene.clock.clone());
        let github = larder_sources::GitHub::new(config, other.budgets.clone(), clock, 2).unwrap();
        let second =
            ClustersSource::new(&tools_of(3), std::sync::Arc::new(github), &larder_core::Policy::default())
                .unwrap();
        for _ in 0..2 {
            scene.listing(&second, "tools").await;
        }
        scene.requests();

        let error = scene.fetch(&first, "tools").await.unwrap_err();
        let (kind, until) = limited(&error);
        assert_eq!(kind, LimitKind::Primary);
        assert!(until.since(scene.clock.now()) > Duration::from_mins(50), "the hour's end: {until}");
        assert_eq!(scene.requests(), 1);

        for minutes in [1, 20, 20] {
            scene.clock.advance(Duration::from_mins(minutes));
            assert_eq!(limited(&scene.fetch(&first, "tools").await.unwrap_err()).1, until);
        }
        assert_eq!(scene.requests(), 0, "nothing is sent before the reset");
        scene.clock.set(until);
        assert_eq!(present(&scene.listing(&first, "tools").await).len(), 3);
    }
}

#[tokio::test]
async fn a_retry_after_met_by_one_process_holds_for_the_other() {
    for status in [403, 429] {
        let scene = Scene::with(many("octo-org", 3)).await;
        let met = scene.source(&tools_of(3), Some(TOKEN));
        scene.listing(&met, "tools").await;
        let other =
            ClustersSource::new(&tools_of(3), scene.github(Some(SEEING), 2), &larder_core::Policy::default());
        let other = other.unwrap();
        scene.listing(&other, "tools").await;
        let secondary_limit = SecondaryLimit { when: When::Next(1), status, retry_after_s: Some(90) };
        scene.sim.switch(Switches { secondary_limit, ..Switches::default() });
        scene.requests();

        let (kind, until) = limited(&scene.fetch(&met, "tools").await.unwrap_err());
        assert_eq!((kind, until.since(scene.clock.now())), (LimitKind::Secondary, Duration::from_secs(90)));
        assert_eq!(scene.requests(), 1);

        // Another token of the same user is the same actor.
        scene.clock.advance(Duration::from_secs(89));
        assert_eq!(limited(&scene.fetch(&other, "tools").await.unwrap_err()), (kind, until));
        assert_eq!(scene.requests(), 0, "nothing is sent inside a Retry-After");
        scene.clock.advance(Duration::from_secs(1));
        assert_eq!(present(&scene.listing(&other, "tools").await).len(), 3);
    }
}

#[tokio::test]
async fn what_status_and_headers_said_stands_though_the_body_breaks_off() {
    let limit = |status| SecondaryLimit { when: When::Always, status, retry_after_s: Some(600) };
    let down =
        Switches { outage: Outage::Unavailable, outage_retry_after_s: Some(600), ..Switches::default() };
    let cases = [
        Switches { secondary_limit: limit(429), ..Switches::default() },
        Switches { secondary_limit: limit(403), ..Switches::default() },
        down,
    ];
    for switches in cases {
        for token in [Some(TOKEN), None] {
            let scene = Scene::with(many("octo-org", 3)).await;
            let source = scene.source(&tools_of(3), token);
            scene.sim.switch(Switches { cut_body: When::Always, ..switches.clone() });
            for _ in 0..3 {
                scene.fetch(&source, "tools").await.unwrap_err();
                scene.clock.advance(Duration::from_secs(190));
            }
            assert_eq!(scene.requests(), 1, "nothing is sent inside a Retry-After: {switches:?}");
            scene.sim.switch(Switches::default());
            scene.clock.advance(Duration::from_secs(30));
            assert_eq!(present(&scene.listing(&source, "tools").await).len(), 3);
        }
    }
}

#[tokio::test]
async fn an_answer_that_broke_off_was_charged_all_the_same() {
    let scene = Scene::with(many("octo-org", 3)).await;
    let source = scene.source(&tools_of(3), Some(TOKEN));
    scene.listing(&source, "tools").await;
    let left = || scene.budgets.row("octocat", "graphql").unwrap().remaining.unwrap();
    let before = left();
    scene.requests();
    scene.sim.switch(Switches { cut_body: When::Always, ..Switches::default() });
    let (answer, spent) = scene.fetch_many(&source, &["tools"]).await.remove("tools").unwrap();
    assert!(matches!(answer, Err(FetchError::Network { .. })), "{answer:?}");
    let charged: u64 = scene.sim.take_requests().iter().map(|request| request.cost).sum();
    assert!(charged > 0);
    assert_eq!(u64::from(before - left()), charged, "as GitHub's headers told");
    assert!(u64::from(spent.cost) >= charged, "{spent:?}");
}

#[tokio::test]
async fn a_403_whose_body_broke_off_is_no_refusal() {
    let scene = Scene::with(many("octo-org", 3)).await;
    let source = scene.source(&tools_of(3), Some(TOKEN));
    let secondary_limit = SecondaryLimit { when: When::Always, status: 403, retry_after_s: None };
    scene.sim.switch(Switches { secondary_limit, cut_body: When::Always, ..Switches::default() });
    let error = scene.fetch(&source, "tools").await.unwrap_err();
    assert!(matches!(error, FetchError::Network { .. }) && !error.counts(), "{error}");
}

#[tokio::test]
async fn a_503_that_says_for_how_long_holds_for_everybody_who_asks_that_host() {
    let scene = Scene::with(many("octo-org", 3)).await;
    let met = scene.source(&tools_of(3), Some(TOKEN));
    let another_process = scene.github(Some(SEEING), 2);
    let nobody = scene.github(None, 3);
    let policy = larder_core::Policy::default();
    let another = ClustersSource::new(&tools_of(3), another_process.clone(), &policy).unwrap();
    let anonymous = ClustersSource::new(&tools_of(3), nobody.clone(), &policy).unwrap();
    scene.listing(&met, "tools").await;
    let down =
        Switches { outage: Outage::Unavailable, outage_retry_after_s: Some(90), ..Switches::default() };
    scene.sim.switch(down);
    scene.requests();

    let error = scene.fetch(&met, "tools").await.unwrap_err();
    let FetchError::Upstream { status: 503, retry_at: Some(until), .. } = error else { panic!("{error}") };
    assert_eq!(until.since(scene.clock.now()), Duration::from_secs(90));
    assert_eq!(scene.requests(), 1, "it is not halved and sent again");

    scene.sim.switch(Switches::default());
    scene.clock.advance(Duration::from_secs(89));
    for source in [&met, &another, &anonymous] {
        let found = limited(&scene.fetch(source, "tools").await.unwrap_err());
        assert_eq!(found, (LimitKind::Outage, until));
    }
    for github in [&another_process, &nobody] {
        assert_eq!(limited(&github.check().await.unwrap_err()), (LimitKind::Outage, until));
    }
    assert_eq!(scene.requests(), 0, "nothing is sent inside a Retry-After, whoever asks");
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(present(&scene.listing(&another, "tools").await).len(), 3);
}

#[tokio::test]
async fn a_check_without_a_budget_keeps_to_an_outage_that_another_process_met() {
    let scene = Scene::with(many("octo-org", 3)).await;
    let source = scene.source(&tools_of(3), Some(TOKEN));
    let down =
        Switches { outage: Outage::Unavailable, outage_retry_after_s: Some(90), ..Switches::default() };
    scene.sim.switch(down);
    let error = scene.fetch(&source, "tools").await.unwrap_err();
    assert!(matches!(error, FetchError::Upstream { .. }), "{error}");
    scene.sim.switch(Switches::default());
    scene.requests();

    scene.budgets.make_read_only();
    let another = scene.github(None, 2);
    assert_eq!(limited(&another.check().await.unwrap_err()).0, LimitKind::Outage);
    assert_eq!(scene.requests(), 0);
}

#[tokio::test]
async fn a_secondary_limit_that_names_no_time_is_waited_out_a_minute_and_then_longer() {
    let scene = Scene::with(many("octo-org", 3)).await;
    let source = scene.source(&tools_of(3), Some(TOKEN));
    let secondary_limit = SecondaryLimit { when: When::Always, status: 403, retry_after_s: None };
    scene.sim.switch(Switches { secondary_limit, ..Switches::default() });
    let mut waits = Vec::new();
    for _ in 0..3 {
        let (_, until) = limited(&scene.fetch(&source, "tools").await.unwrap_err());
        waits.push(until.since(scene.clock.now()).as_secs());
        scene.clock.set(until);
    }
    for (wait, least) in waits.iter().zip([60, 120, 240]) {
        assert!((least..=least * 11 / 10 + 1).contains(wait), "{waits:?}");
    }
}

#[tokio::test]
async fn a_limit_whose_window_ended_long_ago_is_waited_out_a_minute_and_then_longer() {
    let refuse = || async {
        let said = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")];
        (axum::http::StatusCode::FORBIDDEN, said, r#"{"message": "API rate limit exceeded"}"#)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(refuse)).await });
    let scene = Scene::with(Vec::new()).await;
    let config = larder_sources::GitHubConfig::new(url).with_token(TOKEN.into());
    let clock = std::sync::Arc::new(scene.clock.clone());
    let github = larder_sources::GitHub::new(config, scene.budgets.clone(), clock, 1).unwrap();
    let source =
        ClustersSource::new(&tools_of(3), std::sync::Arc::new(github), &larder_core::Policy::default())
            .unwrap();
    for least in [60, 120, 240] {
        let (kind, until) = limited(&scene.fetch(&source, "tools").await.unwrap_err());
        assert_eq!(kind, LimitKind::Primary);
        let wait = until.since(scene.clock.now()).as_secs();
        assert!((least..=least * 11 / 10 + 1).contains(&wait), "{wait} s");
        scene.clock.set(until);
    }
}

#[tokio::test]
async fn a_primary_limit_told_by_headers_ends_at_its_reset() {
    for status in [403, 429] {
        let scene = Scene::with(many("octo-org", 3)).await;
        let source = scene.source(&tools_of(3), Some(TOKEN));
        let primary_limit = PrimaryLimit { remaining: Some(0), status };
        scene.sim.switch(Switches { primary_limit, ..Switches::default() });
        let (kind, until) = limited(&scene.fetch(&source, "tools").await.unwrap_err());
        assert_eq!(kind, LimitKind::Primary);
        assert!(until > scene.clock.now().plus(Duration::from_mins(59)), "{until}");
    }
}

#[tokio::test]
async fn what_is_left_of_the_hour_is_kept_for_the_urgent() {
    let scene = Scene::with(many("octo-org", 3)).await;
    scene.sim.set_limits(Limits { graphql: 100, ..Limits::default() });
    let source = scene.source(&tools_of(3), Some(TOKEN));
    let primary_limit = PrimaryLimit { remaining: Some(16), status: 403 };
    scene.sim.switch(Switches { primary_limit, ..Switches::default() });
    scene.listing(&source, "tools").await;
    scene.requests();

    let mut ask = scene.ask(&source, "tools");
    ask.priority = Priority::Schedule;
    assert_eq!(limited(&source.fetch(&ask).await.unwrap_err()).0, LimitKind::Budget);
    assert_eq!(scene.requests(), 0);
    ask.priority = Priority::StaleRead;
    assert_eq!(present(&items(source.fetch(&ask).await)).len(), 3);
}

#[tokio::test]
async fn the_budget_is_kept_under_the_login_once_it_is_known_and_what_it_says_is_githubs_word() {
    let scene = Scene::with(many("octo-org", 3)).await;
    let source = scene.source(&tools_of(3), Some(TOKEN));
    scene.listing(&source, "tools").await;
    scene.listing(&source, "tools").await;
    let row = scene.budgets.row("octocat", "graphql").unwrap();
    assert_eq!((row.limit, row.remaining), (Some(5000), Some(4998)));
    assert!(row.reset_at.is_some());

    // Another process finds the login in the store and need not ask.
    let second = scene.github(Some(TOKEN), 2);
    let second = ClustersSource::new(&tools_of(3), second, &larder_core::Policy::default()).unwrap();
    scene.listing(&second, "tools").await;
    assert_eq!(scene.budgets.row("octocat", "graphql").unwrap().remaining, Some(4997));
}

#[tokio::test]
async fn without_a_budget_that_can_be_written_nothing_is_sent() {
    let scene = Scene::with(many("octo-org", 3)).await;
    scene.budgets.make_read_only();
    let error = scene.fetch(&scene.source(&tools_of(3), Some(TOKEN)), "tools").await.unwrap_err();
    assert!(matches!(error, FetchError::Local(_)), "{error}");
    assert!(!error.counts());
    assert_eq!(scene.requests(), 0);
}

#[tokio::test]
async fn a_check_is_made_though_the_budget_cannot_be_written_but_never_inside_a_retry_after() {
    let scene = Scene::with(many("octo-org", 3)).await;
    let source = scene.source(&tools_of(3), Some(TOKEN));
    scene.listing(&source, "tools").await;
    let secondary_limit = SecondaryLimit { when: When::Next(1), status: 403, retry_after_s: Some(90) };
    scene.sim.switch(Switches { secondary_limit, ..Switches::default() });
    let (_, until) = limited(&scene.fetch(&source, "tools").await.unwrap_err());
    scene.requests();

    scene.budgets.make_read_only();
    let another = scene.github(Some(TOKEN), 2);
    assert_eq!(limited(&another.check().await.unwrap_err()), (LimitKind::Secondary, until));
    assert_eq!(scene.requests(), 0);
    scene.clock.set(until);
    assert_eq!(another.check().await.unwrap().login.as_deref(), Some("octocat"));
}

#[tokio::test]
async fn a_fetch_that_is_dropped_leaks_no_budget() {
    let scene = Scene::with(many("octo-org", 3)).await;
    let source = scene.source(&tools_of(3), Some(TOKEN));
    scene.sim.switch(Switches { hold: true, ..Switches::default() });
    tokio::select! {
        biased;
        answer = scene.fetch(&source, "tools") => panic!("{answer:?}"),
        () = scene.sim.arrived(1) => {}
    }
    assert_eq!(scene.budgets.in_flight(), 1);
    scene.sim.switch(Switches::default());
    scene.clock.advance(Duration::from_secs(61));
    scene.listing(&source, "tools").await;
    assert_eq!(scene.budgets.in_flight(), 0);
}

#[tokio::test]
async fn a_check_tells_the_login_the_scopes_the_limits_and_the_servers_clock() {
    let scene = Scene::with(Vec::new()).await;
    let checked = scene.github(Some(SEEING), 1).check().await.unwrap();
    assert_eq!(checked.login.as_deref(), Some("octocat"));
    assert_eq!(checked.scopes, Some(vec!["read:org".to_owned(), "repo".to_owned()]));
    let core = checked.limits.iter().find(|limit| limit.resource == "core").unwrap();
    assert_eq!((core.limit, core.remaining), (5000, 5000));
    assert_eq!(checked.server_time, Some(scene.clock.now()));

    let anonymous = scene.github(None, 2).check().await.unwrap();
    assert_eq!((anonymous.login, anonymous.scopes), (None, None));
    let core = anonymous.limits.iter().find(|limit| limit.resource == "core").unwrap();
    assert_eq!((core.limit, core.remaining), (60, 60), "asking costs nothing");

    let refused = scene.github(Some("ghp_unknown"), 3).check().await.unwrap_err();
    assert!(matches!(refused, FetchError::Refused { .. }), "{refused}");
}
