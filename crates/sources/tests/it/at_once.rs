//! However much is wanted, one client has no more calls under way than GitHub likes to see.

use std::time::Duration;

use larder_core::{Ask, Clock, Fetched, Held, Key, Policy, Priority, Source, Trigger, Validators};
use larder_domain::{RepoName, TrackerType};
use larder_github_sim::{Limits, Repository as SimRepository, Switches};
use larder_sources::TrackersSource;

use crate::scene::{Scene, TOKEN, many};

fn ask(scene: &Scene, source: &TrackersSource, key: &Key) -> Ask {
    Ask {
        key: key.clone(),
        definition: source.define(key).unwrap(),
        subset: None,
        validators: Validators::default(),
        cursor: None,
        body: None,
        held: Held::default(),
        trigger: Trigger::Read,
        priority: Priority::Schedule,
        deadline: scene.clock.now().plus(Duration::from_secs(30)),
    }
}

fn repo(repository: &SimRepository) -> RepoName {
    RepoName::parse(&repository.full_name, None).unwrap()
}

#[tokio::test]
async fn a_hundred_fetches_at_once_do_not_meet_the_limit_of_what_goes_on_at_once() {
    let repositories = many("octo-org", 100);
    let names: Vec<RepoName> = repositories.iter().map(repo).collect();
    let scene = Scene::with(repositories).await;
    scene.sim.set_limits(Limits { concurrent: 24, ..Limits::default() });
    let types = vec![TrackerType::release()];
    let source = TrackersSource::new(scene.github(Some(TOKEN), 1), &names, types, Policy::default()).unwrap();
    scene.sim.switch(Switches { hold: true, ..Switches::default() });
    let asks: Vec<Ask> = source.keys().iter().map(|key| ask(&scene, &source, key)).collect();
    let fetching = tokio::spawn(async move {
        let each = asks.iter().map(|ask| source.fetch(ask));
        futures::future::join_all(each).await
    });
    scene.sim.arrived(24).await;
    scene.sim.switch(Switches::default());
    let answers = fetching.await.unwrap();
    assert_eq!(answers.len(), 100);
    for answer in answers {
        assert!(matches!(answer, Ok(Fetched::Delta(_))), "{answer:?}");
    }
}
