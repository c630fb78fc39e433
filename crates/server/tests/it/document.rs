//! What the server says of itself.

use larder_server::openapi;

use crate::world::World;

#[test]
fn the_document_is_as_it_was_reviewed() {
    let mut document = serde_json::to_value(openapi()).unwrap();
    document["info"]["version"] = "[version]".into();
    insta::assert_json_snapshot!("openapi", document);
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
