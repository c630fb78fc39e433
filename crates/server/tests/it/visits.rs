//! A page that stays open goes on working: its visit is renewed, and a form that came too late is told how to
//! come again.

use larder_server::Settings;

use crate::visitor::{Visitor, csrf};
use crate::world::{World, header};

#[tokio::test]
async fn each_page_and_part_renews_the_visit_that_there_is() {
    let world = World::new().await;
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    visitor.page("/").await;
    let visit = visitor.cookies[0].clone();
    for path in ["/", "/cache", "/?part=list", "/sign-in"] {
        let page = visitor.send(served.get(path)).await;
        let set = header(&page, "set-cookie");
        assert!(set.starts_with(&format!("{visit}; ")), "{path}: {set}");
        let seconds = set.split("Max-Age=").nth(1).and_then(|rest| rest.split(';').next());
        assert!(seconds.unwrap().parse::<u64>().unwrap() >= 7 * 24 * 3600, "{path}: {set}");
    }
}

#[tokio::test]
async fn a_form_of_a_server_that_began_anew_is_told_the_token_that_will_do() {
    let world = World::new().await;
    let before = world.serve().await;
    let mut visitor = Visitor::new(&before);
    let old = csrf(&visitor.page("/").await);
    let after = world.serve().await;
    let mut visitor = visitor.at(&after);
    let refused = visitor.script("/actions/refresh", &format!("{old}&key=cluster/tools")).await;
    let new = refused["csrf"].as_str().unwrap_or_else(|| panic!("{refused}")).to_owned();
    let done = visitor.script("/actions/refresh", &format!("{new}&key=cluster/tools")).await;
    assert_eq!(done["message"], "1 entry refreshed.");
    assert!(done["csrf"].is_null());
}

#[tokio::test]
async fn a_form_without_a_visit_is_given_one_and_does_nothing() {
    let world = World::new().await;
    let served = world.serve().await;
    let form = csrf(&Visitor::new(&served).page("/?part=list").await);
    let mut visitor = Visitor::new(&served);
    let calls = world.calls();
    let refused = visitor.script("/actions/refresh", &format!("{form}&key=cluster/tools")).await;
    assert_eq!((refused["wrong"].as_bool(), world.calls()), (Some(true), calls));
    let new = refused["csrf"].as_str().unwrap_or_else(|| panic!("{refused}")).to_owned();
    assert_ne!(new, form);
    let done = visitor.script("/actions/refresh", &format!("{new}&key=cluster/tools")).await;
    assert_eq!(done["message"], "1 entry refreshed.");
}

#[tokio::test]
async fn who_has_no_script_is_led_back_to_the_page_with_the_form() {
    let world = World::new().await;
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    visitor.page("/cache").await;
    let refused = visitor
        .post_with("old", "/actions/refresh", &[("key", "cluster/tools"), ("back", "/cache?sort=age")])
        .await;
    assert_eq!(refused.status(), 403);
    let page = refused.text().await.unwrap();
    assert!(page.contains(r#"<a href="/cache?sort=age">Go back</a>"#), "{page}");
}

#[tokio::test]
async fn a_token_entered_without_a_visit_can_be_entered_once_more_on_the_spot() {
    let world = World::new().await;
    let settings = Settings { admin_token: Some("admin".into()), ..world.open_settings() };
    let served = world.serve_with(settings).await;
    let mut visitor = Visitor::new(&served);
    let refused = visitor.post_with("old", "/sign-in", &[("token", "admin"), ("back", "/cache")]).await;
    assert_eq!(refused.status(), 403);
    let page = refused.text().await.unwrap();
    assert!(page.contains(r#"type="password""#) && page.contains("once more"), "{page}");
    let form = csrf(&page);
    let entered = visitor.post_with(&form, "/sign-in", &[("token", "admin"), ("back", "/cache")]).await;
    assert_eq!(
        (entered.status().as_u16(), header(&entered, "location").as_str()),
        (303, "/cache?told=entered&count=0")
    );
}
