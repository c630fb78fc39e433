//! Whatever is refused, and whoever finds it so: it is a problem, with the headers of every answer.

use crate::visitor::{Visitor, csrf};
use crate::world::{World, header, problem};

#[tokio::test]
async fn a_form_that_cannot_be_read_is_refused_as_all_else_is() {
    let world = World::new().await;
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    let token = csrf(&visitor.page("/sign-in").await);
    let twice = format!("csrf={token}&csrf=2");
    let long = format!("csrf={token}&back={}", "x".repeat(70 * 1024));
    for path in
        ["/actions/refresh", "/actions/invalidate", "/actions/replay", "/sign-in", "/sign-out", "/theme"]
    {
        let json = served.post(path).header("content-type", "application/json").body("{}");
        problem(json.send().await.unwrap(), 415, "media_type").await;
        let form = visitor.form(path).body(twice.clone());
        problem(visitor.send(form).await, 400, "bad_input").await;
        let form = visitor.form(path).body(long.clone());
        problem(visitor.send(form).await, 413, "too_large").await;
        let form = visitor.form(path).header("accept", "text/html").body(twice.clone());
        let page = visitor.send(form).await;
        assert_eq!(
            (page.status().as_u16(), header(&page, "content-type").starts_with("text/html")),
            (400, true)
        );
        assert!(page.text().await.unwrap().contains("Nothing was changed."));
    }
    assert_eq!(world.calls(), 0);
}

#[tokio::test]
async fn an_asset_that_is_none_is_a_path_that_is_none() {
    let world = World::new().await;
    let served = world.serve().await;
    for path in ["/assets/x", "/assets/%ff", "/assets/site.css"] {
        problem(served.get(path).send().await.unwrap(), 404, "no_such_path").await;
    }
}
