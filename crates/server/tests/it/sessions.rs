//! Who has signed in stays so, whichever instance answers, until the token is another.

use larder_server::Settings;

use crate::visitor::{Visitor, csrf};
use crate::world::{Served, World, header};

fn settings(world: &World, read: &str, admin: Option<&str>) -> Settings {
    Settings { read_token: Some(read.into()), admin_token: admin.map(Into::into), ..world.open_settings() }
}

async fn holds_the_vault(visitor: &mut Visitor<'_>) -> bool {
    visitor.page("/").await.contains("vault")
}

async fn fill(served: &Served) {
    served.get("/api/v1/clusters").bearer_auth("reader").send().await.unwrap();
}

#[tokio::test]
async fn a_proxy_may_bring_a_visitor_to_any_of_several_instances() {
    let world = World::new().await;
    let one = world.serve_with(settings(&world, "reader", Some("admin"))).await;
    let two = world.serve_with(settings(&world, "reader", Some("admin"))).await;
    fill(&one).await;
    let mut visitor = Visitor::new(&one);
    let form = csrf(&visitor.page("/sign-in").await);
    let mut visitor = visitor.at(&two);
    let entered = visitor.post_with(&form, "/sign-in", &[("token", "reader")]).await;
    assert_eq!(entered.status(), 303, "a page of one, sent to the other");
    assert!(holds_the_vault(&mut visitor).await);
    assert!(holds_the_vault(&mut visitor.at(&one)).await, "signed in at two, read at one");
}

#[tokio::test]
async fn so_may_one_whose_visitors_have_no_token_to_enter() {
    let world = World::new().await;
    let one = world.serve_with(world.open_settings()).await;
    let two = world.serve_with(world.open_settings()).await;
    let mut visitor = Visitor::new(&one);
    let form = csrf(&visitor.page("/").await);
    let done = visitor.at(&two).post_with(&form, "/theme", &[("theme", "dark")]).await;
    assert_eq!(done.status(), 303);
}

#[tokio::test]
async fn a_restart_signs_nobody_out_and_another_token_does() {
    let world = World::new().await;
    let before = world.serve_with(settings(&world, "reader", None)).await;
    fill(&before).await;
    let mut visitor = Visitor::new(&before);
    visitor.post("/sign-in", &[("token", "reader")]).await;
    let after = world.serve_with(settings(&world, "reader", Some("admin"))).await;
    assert!(holds_the_vault(&mut visitor.at(&after)).await);
    let renewed = world.serve_with(settings(&world, "another", None)).await;
    assert!(!holds_the_vault(&mut visitor.at(&renewed)).await);
    let without = world.serve_with(world.open_settings()).await;
    assert!(!holds_the_vault(&mut visitor.at(&without)).await);
}

#[tokio::test]
async fn who_may_read_cannot_make_himself_an_admin() {
    let world = World::new().await;
    let served = world.serve_with(settings(&world, "reader", Some("admin"))).await;
    fill(&served).await;
    let entered = Visitor::new(&served).post("/sign-in", &[("token", "reader")]).await;
    let cookie = header(&entered, "set-cookie").split(';').next().unwrap().to_owned();
    let list = |cookie: String| served.get("/api/v1/repos?search=vault").header("cookie", cookie).send();
    let seen = async |cookie: String| list(cookie).await.unwrap().text().await.unwrap().contains("vault");
    assert!(seen(cookie.clone()).await);
    assert!(!seen(cookie.replace("session=read.", "session=admin.")).await);
}

/// The same name may answer without TLS, where everybody on the way can read what is sent.
#[tokio::test]
async fn a_session_begun_over_tls_stays_there() {
    let world = World::new().await;
    let served = world.serve_with(settings(&world, "reader", None)).await;
    for (name, value, secure) in [
        ("x-forwarded-proto", "https", true),
        ("x-forwarded-proto", "https, http", true),
        ("forwarded", "for=192.0.2.1;proto=https;by=10.0.0.2", true),
        ("forwarded", "for=192.0.2.1;proto=\"HTTPS\"", true),
        ("x-forwarded-proto", "http", false),
        ("accept", "text/html", false),
    ] {
        let mut visitor = Visitor::new(&served).saying(name, value);
        let entered = visitor.post("/sign-in", &[("token", "reader")]).await;
        assert_eq!(entered.status(), 303, "{name}: {value}");
        assert_eq!(header(&entered, "set-cookie").contains("; Secure"), secure, "{name}: {value}");
    }
}

#[tokio::test]
async fn the_page_offers_to_sign_out_only_who_is_in_and_to_sign_in_whom_it_would_gain_more() {
    let world = World::new().await;
    let served = world.serve_with(settings(&world, "reader", Some("admin"))).await;
    let mut visitor = Visitor::new(&served);
    let offers = async |visitor: &mut Visitor<'_>| {
        let page = visitor.page("/").await;
        (page.contains(r#"action="/sign-out""#), page.contains(r#"href="/sign-in""#))
    };
    assert_eq!(offers(&mut visitor).await, (false, true), "nobody");
    assert!(visitor.page("/sign-in").await.contains("for 30 days"));
    visitor.post("/sign-in", &[("token", "reader")]).await;
    assert_eq!(offers(&mut visitor).await, (true, true), "a reader");
    let renewed = world.serve_with(settings(&world, "another", Some("admin"))).await;
    assert_eq!(offers(&mut visitor.at(&renewed)).await, (false, true), "whose token was replaced");
    let for_reading = world.serve_with(settings(&world, "reader", None)).await;
    assert_eq!(
        offers(&mut visitor.at(&for_reading)).await,
        (true, false),
        "a reader where there is no admin"
    );
    visitor.post("/sign-in", &[("token", "admin")]).await;
    assert_eq!(offers(&mut visitor).await, (true, false), "an admin");
}
