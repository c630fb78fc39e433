//! Whatever is refused, and whoever finds it so: it is a problem, with the headers of every answer.

use std::fmt::Write as _;

use crate::raw::Raw;
use crate::visitor::{Visitor, csrf};
use crate::world::{Served, World, header, problem};

const BATCH: &str = "POST /api/v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{\"keys\":[\"cluster/tools\"]}";

async fn refusals(served: &Served) -> u64 {
    let text = served.get("/metrics").send().await.unwrap().text().await.unwrap();
    let count =
        text.lines().find_map(|line| line.strip_prefix("larder_http_responses_total{class=\"4xx\"} "));
    count.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_head_that_nobody_can_read_is_refused_as_all_else_is() {
    let world = World::new().await;
    let served = world.serve().await;
    let with = |fields: &str| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n");
    let many = (0..200).fold(String::new(), |mut all, nr| {
        let _ = write!(all, "{}X-{nr}: y", if nr == 0 { "" } else { "\r\n" });
        all
    });
    let heads = [
        (with(&format!("X: {}", "x".repeat(100 * 1024))), "431", "too_large"),
        (with(&many), "431", "too_large"),
        (with("A: b\r\n c"), "400", "bad_input"),
        (with("A: b\0"), "400", "bad_input"),
        (with("Content-Length: nine"), "400", "bad_input"),
        (with("").replace("1.1", "2.0"), "400", "bad_input"),
        (with("").replace("/healthz", "/a<b"), "400", "bad_input"),
    ];
    let before = refusals(&served).await;
    for is_behind in [false, true] {
        for (head, status, code) in &heads {
            let mut raw = Raw::connect(served.running.address()).await;
            if is_behind {
                raw.write(BATCH.as_bytes()).await;
                assert_eq!(raw.answer(false).await.unwrap().status(), "200");
            }
            raw.write(head.as_bytes()).await;
            let answer = raw.answer(false).await.unwrap();
            assert_eq!(answer.status(), *status, "{head:.100}");
            for line in [
                "content-type: application/problem+json",
                "x-content-type-options: nosniff",
                "x-frame-options: DENY",
                "connection: close",
            ] {
                assert!(answer.head.contains(&format!("\r\n{line}\r\n")), "{line}: {answer:?}");
            }
            let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((said["code"].as_str(), said["status"].to_string().as_str()), (Some(*code), *status));
            assert_eq!(raw.end().await, b"");
        }
    }
    assert_eq!(refusals(&served).await, before + 2 * heads.len() as u64);
    let mut raw = Raw::connect(served.running.address()).await;
    raw.write(with("A: b\0").replace("GET", "HEAD").as_bytes()).await;
    assert_eq!(raw.answer(true).await.unwrap().status(), "400");
    assert_eq!(raw.end().await, b"", "a head is asked for alone");
}

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
