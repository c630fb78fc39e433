//! Many readers at once.

use larder_github_sim::Switches;

use crate::world::{World, header};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_a_cold_key_are_one_call_upstream() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.connections_max = 2000;
    let served = std::sync::Arc::new(world.serve_with(settings).await);
    world.switch(Switches { hold: true, ..Switches::default() });
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let served = served.clone();
        readers.spawn(async move {
            let answer = served.get("/api/v1/clusters/tools").send().await.unwrap();
            (answer.status().as_u16(), header(&answer, "x-cache-hit"))
        });
    }
    world.sim.arrived(1).await;
    world.switch(Switches::default());
    let answers = readers.join_all().await;
    assert_eq!(answers.len(), 1000);
    assert!(answers.iter().all(|(status, _)| *status == 200));
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn two_servers_on_one_store_share_a_flight() {
    let world = World::new().await;
    let (one, two) = (world.serve().await, world.serve().await);
    let readers = (0..20).map(async |place: usize| {
        let served = if place.is_multiple_of(2) { &one } else { &two };
        served.json("/api/v1/clusters/tools").await
    });
    let answers = futures::future::join_all(readers).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(world.calls(), 1);
}
