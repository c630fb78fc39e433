//! The lists: what they hold, how they page.

use serde_json::Value;

use crate::world::World;

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["full_name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn repositories_are_searched_filtered_sorted_and_paged() {
    let world = World::new().await;
    let served = world.serve().await;
    let all = served.json("/api/v1/repos?sort=stars").await;
    assert_eq!(names(&all["repositories"]), ["octo-org/cinder", "octo-org/ember", "octo-org/vault"]);
    assert_eq!(all["next"], Value::Null);
    assert_eq!(all["repositories"][0]["clusters"], serde_json::json!(["tools", "mixed"]));
    for (query, found) in [
        ("search=event+sto", "octo-org/cinder"),
        ("language=rust", "octo-org/cinder"),
        ("topic=Vaulting", "octo-org/vault"),
        ("search=ember", "octo-org/ember"),
        // As a repository is written everywhere.
        ("search=octo-org/cinder", "octo-org/cinder"),
        ("search=Octo-Org/Emb", "octo-org/ember"),
    ] {
        let list = served.json(&format!("/api/v1/repos?{query}")).await;
        assert_eq!(names(&list["repositories"]), [found], "{query}");
    }
    assert_eq!(served.json("/api/v1/repos?search=nothing").await["repositories"], serde_json::json!([]));

    let mut walked = Vec::new();
    let mut path = "/api/v1/repos?sort=name&limit=1".to_owned();
    loop {
        let page = served.json(&path).await;
        walked.extend(names(&page["repositories"]).into_iter().map(str::to_owned));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/repos?sort=name&limit=1&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(walked, ["octo-org/cinder", "octo-org/ember", "octo-org/vault"]);
    let cursor = path.rsplit_once('=').unwrap().1;
    let other = served.get(&format!("/api/v1/repos?sort=stars&cursor={cursor}")).send().await.unwrap();
    crate::world::problem(other, 404, "unknown_cursor").await;
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn clusters_registry_entries_and_figures_agree() {
    let world = World::new().await;
    let served = world.serve().await;
    let clusters = served.json("/api/v1/clusters").await;
    let counts: Vec<(&str, u64)> = clusters["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["id"].as_str().unwrap(), one["repositories"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts, [("tools", 2), ("mixed", 2), ("bunker", 1)]);
    let registry = served.json("/api/v1/registry").await;
    let stars: Vec<u64> =
        registry["projects"].as_array().unwrap().iter().map(|one| one["stars"].as_u64().unwrap()).collect();
    assert_eq!(stars.iter().sum::<u64>(), 5801 + 4828 + 7);
    let entries = served.json("/api/v1/entries?source=cluster&status=fresh").await;
    assert_eq!(entries["entries"].as_array().unwrap().len(), 3);
    assert_eq!(entries["entries"][0]["age_seconds"], 0);
    let page = served.json("/api/v1/entries?limit=2").await;
    let rest =
        served.json(&format!("/api/v1/entries?limit=2&cursor={}", page["next"].as_str().unwrap())).await;
    assert_eq!(rest["entries"][0]["key"], "cluster/tools");
    assert_eq!(served.json("/api/v1/entries?status=dead").await["entries"], serde_json::json!([]));
    served.json("/api/v1/clusters/tools").await;
    let figures = served.json("/api/v1/stats").await;
    assert_eq!((&figures["entries"]["fresh"], &figures["reads"]["hits"]), (&3.into(), &1.into()));
    let metrics = served.get("/metrics").send().await.unwrap().text().await.unwrap();
    for sample in ["larder_entries{status=\"fresh\"} 3", "larder_reads_total{result=\"hit\"} 1"] {
        assert!(metrics.lines().any(|line| line == sample), "{sample}\n{metrics}");
    }
    assert_eq!(served.get("/readyz").send().await.unwrap().text().await.unwrap(), "ready\n");
}

#[tokio::test]
async fn a_repeated_read_is_sent_from_memory() {
    let world = World::new().await;
    let served = world.serve().await;
    for _ in 0..4 {
        served.json("/api/v1/clusters/tools").await;
    }
    let stats = served.json("/api/v1/stats").await;
    assert_eq!((&stats["reads"]["misses"], &stats["reads"]["hits"]), (&1.into(), &3.into()));
    assert!(stats["reads"]["from_memory"].as_u64().unwrap() >= 2, "{stats}");
}
