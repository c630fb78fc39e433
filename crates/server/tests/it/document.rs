//! What the server says of itself.

use larder_server::openapi;
use larder_testkit::{Fault, Step};
use serde_json::Value;

use crate::outage::cut;
use crate::world::{World, header};

#[test]
fn the_document_is_as_it_was_reviewed() {
    let mut document = serde_json::to_value(openapi()).unwrap();
    document["info"]["version"] = "[version]".into();
    insta::assert_json_snapshot!("openapi", document);
}

#[tokio::test]
async fn whatever_is_answered_while_the_store_cannot_be_asked_is_in_it() {
    let world = World::with_markets().await;
    let mut settings = world.settings();
    settings.admin_token = Some("all-is-allowed".into());
    let (served, store) = world.serve_faulty(settings).await;
    let document = served.json("/openapi.json").await;
    let ask = async |method: &str, path: &str, operation: &Value, token: Option<&str>| {
        let id = if path.contains("projects") { "kiln-3f9c0a17b2de" } else { "tools" };
        let path = path.replace("{key}", "cluster/tools").replace("{id}", id);
        let request = if method == "get" { served.get(&path) } else { served.post(&path) };
        let body = match operation["operationId"].as_str().unwrap() {
            "readBatch" => r#"{"keys": ["cluster/tools"]}"#,
            "invalidate" => r#"{"all": true}"#,
            _ => "",
        };
        let request = request.header("content-type", "application/json").body(body);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let listed = operation["responses"].as_object().unwrap();
        assert!(listed.contains_key(&status.to_string()), "{method} {path} answers {status}");
        assert!(status != 503 || !header(&answer, "retry-after").is_empty(), "{method} {path}");
        status
    };
    cut(&world, &store, &served).await;
    for fault in [Fault::Unreachable, Fault::Full] {
        store.inflict(fault, &Step::ALL);
        let mut refused = 0;
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                for token in [None, Some("all-is-allowed")] {
                    refused += usize::from(ask(method, path, operation, token).await == 503);
                }
            }
        }
        assert!(refused > 20, "{fault:?}: {refused} answers are 503");
    }
}

#[tokio::test]
async fn it_is_served_with_a_page_that_loads_nothing_from_elsewhere() {
    let world = World::new().await;
    let served = world.serve().await;
    let document = served.json("/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let page = served.get("/docs").send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let page = page.text().await.unwrap();
    assert!(page.contains("/api/v1/entries/{key}/refresh") && page.contains("id=\"problem-limited\""));
    for attribute in ["src=\"", "href=\""] {
        for link in page.split(attribute).skip(1) {
            assert!(link.starts_with('/') || link.starts_with('#'), "{}", &link[..40]);
        }
    }
    assert!(!page.contains("<script"));
}
