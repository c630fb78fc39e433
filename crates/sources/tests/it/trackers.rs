//! Trackers: all pages, what changed since, and the manifest that spares the call.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Ask, Delta, Fetched, Item, Json, Key, Member, MemberState, Others, Policy, Priority, Scope, Source, Time,
    Trigger, Validators,
};
use larder_domain::{Generated, RepoName, Tracker, TrackerState, TrackerType, generate};
use larder_github_sim::{Issue, Repository as SimRepository, Switches, When};
use larder_sources::{Desk, GitHub, MANIFEST, News, Pull, TrackersSource, Way, WayIn};
use larder_testkit::VirtualClock;

use crate::scene::{SEEING, Scene, TOKEN};

pub(crate) const REPO: &str = "octo-org/kiln";
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// What an engine keeps of one entry between its fetches.
pub(crate) struct Held {
    key: Key,
    body: Option<Json>,
    cursor: Option<String>,
    members: Vec<Member>,
}

impl Held {
    pub(crate) fn nothing(of: &str) -> Self {
        let key = TrackersSource::key(&repo(), of).unwrap();
        Held { key, body: None, cursor: None, members: Vec::new() }
    }

    pub(crate) fn ask(&self, scene: &Scene, source: &TrackersSource, trigger: Trigger) -> Ask {
        Ask {
            key: self.key.clone(),
            definition: source.define(&self.key).unwrap(),
            subset: None,
            validators: Validators::default(),
            cursor: self.cursor.clone(),
            body: self.body.clone(),
            held: self.members.clone().into(),
            trigger,
            priority: Priority::StaleRead,
            deadline: larder_core::Clock::now(&scene.clock).plus(3 * HOUR),
        }
    }

    /// Fetches and takes what came in, as the engine would.
    pub(crate) async fn refresh(
        &mut self,
        scene: &Scene,
        source: &TrackersSource,
        trigger: Trigger,
    ) -> Delta {
        let answer = source.fetch(&self.ask(scene, source, trigger)).await;
        let Ok(Fetched::Delta(delta)) = answer else { panic!("changes were expected, not {answer:?}") };
        let named = |member: &Member| delta.upserts.iter().any(|item| item.of == member.item.of);
        self.members.retain(|member| match delta.others {
            Others::Stay => !delta.removals.contains(&member.item.of),
            Others::Go => named(member),
        });
        for new in delta.upserts.clone() {
            let item = Item {
                of: new.of.clone(),
                scope: new.scope,
                doc: new.doc,
                derived: None,
                fetched_at: Time::default(),
            };
            match self.members.iter_mut().find(|member| member.item.of == new.of) {
                Some(member) => member.item = item,
                None => self.members.push(Member { asked: "x".into(), state: MemberState::Shown, item }),
            }
        }
        self.body = delta.body.clone().or(self.body.take());
        self.cursor.clone_from(&delta.cursor);
        delta
    }

    pub(crate) fn trackers(&self) -> BTreeMap<u64, Tracker> {
        let each = self.members.iter().map(|member| member.item.doc.decode::<Tracker>().unwrap());
        each.map(|tracker| (tracker.number, tracker)).collect()
    }

    pub(crate) fn way(&self) -> Way {
        self.body.as_ref().unwrap().decode().unwrap()
    }
}

fn repo() -> RepoName {
    RepoName::parse(REPO, None).unwrap()
}

pub(crate) async fn scene(issues: impl IntoIterator<Item = Issue>) -> Scene {
    let scene = Scene::with(vec![SimRepository::new("octo-org/Kiln")]).await;
    scene.sim.world(|world| assert!(world.add_issues(REPO, issues)));
    scene
}

pub(crate) fn source(scene: &Scene, token: Option<&str>) -> TrackersSource {
    source_of(scene.github(token, 1))
}

pub(crate) fn source_of(github: Arc<GitHub>) -> TrackersSource {
    let types = vec![TrackerType::release(), TrackerType::microsprint()];
    TrackersSource::new(github, &[repo()], types, Policy::with_ttl(HOUR)).unwrap()
}

pub(crate) fn release(number: u64, title: &str) -> Issue {
    let long_ago = "2019-01-01T00:00:00Z".parse().unwrap();
    Issue {
        labels: vec!["release".to_owned()],
        created_at: long_ago,
        updated_at: long_ago,
        ..Issue::new(number, title)
    }
}

pub(crate) fn now(scene: &Scene) -> Time {
    larder_core::Clock::now(&scene.clock)
}

fn stamp(time: Time) -> String {
    time.to_string()
}

/// Changes an issue now.
pub(crate) fn edit(scene: &Scene, number: u64, change: impl FnOnce(&mut Issue)) {
    let at = now(scene);
    scene.sim.world(|world| {
        world.edit_issue(REPO, number, |issue| {
            change(issue);
            issue.updated_at = stamp(at).parse().unwrap();
        })
    });
}

#[tokio::test]
async fn all_pages_are_read_and_titles_without_the_prefix_are_no_trackers() {
    let trackers = (1..=1_200).map(|number| release(number, &format!("Release: v1.{number}.0")));
    let scene = scene(trackers.chain([release(5_000, "Plan the next release")])).await;
    for token in [Some(TOKEN), None] {
        let source = source(&scene, token);
        let mut held = Held::nothing("release");
        let delta = held.refresh(&scene, &source, Trigger::Read).await;
        assert_eq!((delta.others, held.trackers().len()), (Others::Go, 1_200));
        assert_eq!(held.trackers()[&7].repo, "octo-org/Kiln", "as it is written upstream");
        assert_eq!(scene.requests(), 13, "1,201 issues are thirteen pages");
    }
}

#[tokio::test]
async fn what_changed_since_comes_in_one_call() {
    for token in [Some(TOKEN), None] {
        let scene = scene((1..=150).map(|number| release(number, &format!("Release: v0.{number}")))).await;
        let source = source(&scene, token);
        let mut held = Held::nothing("release");
        held.refresh(&scene, &source, Trigger::Read).await;
        scene.requests();
        scene.clock.advance(HOUR);
        edit(&scene, 3, |issue| issue.closed_at = Some(issue.created_at));
        edit(&scene, 4, |issue| issue.title = "Not a release after all".to_owned());
        let at = now(&scene);
        let new = Issue { updated_at: stamp(at).parse().unwrap(), ..release(151, "Release: v9 (Late)") };
        scene.sim.world(|world| world.add_issues(REPO, [new]));
        let delta = held.refresh(&scene, &source, Trigger::Read).await;
        assert_eq!((delta.others, delta.upserts.len(), delta.removals.len()), (Others::Stay, 2, 1));
        let trackers = held.trackers();
        assert_eq!(trackers[&3].state, TrackerState::Closed);
        assert!(!trackers.contains_key(&4));
        assert_eq!(trackers[&151].codename.as_deref(), Some("Late"));
        assert_eq!(scene.requests(), 1);
    }
}

#[tokio::test]
async fn trackers_of_a_renamed_repository_are_there_once_under_its_new_name() {
    for token in [Some(TOKEN), None] {
        let scene = scene((1..=150).map(|number| release(number, &format!("Release: v{number}")))).await;
        let source = source(&scene, token);
        let mut held = Held::nothing("release");
        held.refresh(&scene, &source, Trigger::Read).await;
        scene.clock.advance(HOUR);
        edit(&scene, 2, |issue| issue.closed_at = Some(issue.created_at));
        assert!(scene.sim.world(|world| world.rename(REPO, "octo-org/Oven")));
        scene.requests();
        held.refresh(&scene, &source, Trigger::Read).await;
        let names: Vec<String> = held.members.iter().map(|member| member.item.of.id.to_string()).collect();
        assert_eq!(names.len(), 150, "each is listed once: {names:?}");
        assert!(held.trackers().values().all(|tracker| tracker.repo == "octo-org/Oven"), "{names:?}");
        assert_eq!(held.trackers()[&2].state, TrackerState::Closed);

        // From then on it is what changed again, though the former name is asked for.
        scene.clock.advance(HOUR);
        scene.requests();
        let delta = held.refresh(&scene, &source, Trigger::Read).await;
        assert_eq!(delta.others, Others::Stay);
        scene.clock.advance(HOUR);
        let at = now(&scene);
        scene.sim.world(|world| {
            world.edit_issue("octo-org/Oven", 3, |issue| {
                issue.title = "Release: v3.1".to_owned();
                issue.updated_at = stamp(at).parse().unwrap();
            })
        });
        let delta = held.refresh(&scene, &source, Trigger::Read).await;
        assert_eq!((delta.others, delta.upserts.len()), (Others::Stay, 1));
    }
}

#[tokio::test]
async fn by_a_clock_that_is_wrong_no_change_is_missed_and_no_more_is_asked_for() {
    for (off, is_ahead) in [(HOUR, true), (HOUR, false)] {
        let scene = scene((1..=150).map(|number| release(number, &format!("Release: v0.{number}")))).await;
        let right = now(&scene);
        let clock = VirtualClock::at(if is_ahead { right.plus(off) } else { right.minus(off) });
        let mut held = Held::nothing("release");
        for (process, title) in [(1, "Release: v7"), (2, "Release: v8")] {
            // Each command is a process of its own.
            let source = source_of(scene.github_by(&clock, Some(TOKEN), process));
            held.refresh(&scene, &source, Trigger::Read).await;
            scene.requests();
            for part in [&scene.clock, &clock] {
                part.advance(HOUR / 4);
            }
            edit(&scene, 3, |issue| issue.title = title.to_owned());
            let source = source_of(scene.github_by(&clock, Some(TOKEN), process + 10));
            let delta = held.refresh(&scene, &source, Trigger::Read).await;
            assert_eq!((delta.others, delta.upserts.len()), (Others::Stay, 1), "{title}, ahead: {is_ahead}");
            assert_eq!(scene.requests(), 1);
        }
    }
}

#[tokio::test]
async fn what_since_cannot_see_is_seen_by_the_total_and_once_a_day() {
    let scene = scene((1..=3).map(|number| release(number, "Release: v1"))).await;
    let source = source(&scene, Some(TOKEN));
    let mut held = Held::nothing("release");
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!(held.trackers().len(), 3, "titles are not unique");
    scene.clock.advance(HOUR);
    scene.sim.world(|world| world.remove_issue(REPO, 2));
    let delta = held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!(delta.others, Others::Go);
    assert_eq!(held.trackers().into_keys().collect::<Vec<_>>(), [1, 3]);
    scene.requests();
    // One goes and another comes by a relabelling that left no time: the total is the same.
    scene.clock.advance(HOUR);
    scene.sim.world(|world| world.remove_issue(REPO, 3));
    scene.sim.world(|world| world.add_issues(REPO, [release(4, "Release: v2")]));
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!(held.trackers().into_keys().collect::<Vec<_>>(), [1, 3], "nothing could be seen yet");
    scene.clock.advance(24 * HOUR);
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!(held.trackers().into_keys().collect::<Vec<_>>(), [1, 4], "everything is listed once a day");
}

#[tokio::test]
async fn no_trackers_is_an_answer_and_no_repository_another() {
    let scene = scene([]).await;
    let source = source(&scene, Some(TOKEN));
    let delta = Held::nothing("microsprint").refresh(&scene, &source, Trigger::Read).await;
    assert_eq!((delta.upserts.len(), delta.others), (0, Others::Go));
    let missing = TrackersSource::key(&RepoName::parse("octo-org/gone", None).unwrap(), "release").unwrap();
    let held = Held { key: missing, ..Held::nothing("release") };
    let answer = source.fetch(&held.ask(&scene, &source, Trigger::Read)).await;
    assert!(matches!(answer, Ok(Fetched::Absent(absence)) if absence.code == "not_found"));
    let wrong: Key = "trackers/octo-org/kiln/sprint".parse().unwrap();
    assert!(source.define(&wrong).is_none(), "a type that is not configured");
}

#[tokio::test]
async fn a_page_that_took_too_long_leaves_no_issue_out() {
    let scene = scene((1..=1_250).map(|number| release(number, "Release: v1"))).await;
    scene.sim.switch(Switches { bad_gateway: When::Next(1), ..Switches::default() });
    let source = source(&scene, Some(TOKEN));
    let answer = source.fetch(&Held::nothing("release").ask(&scene, &source, Trigger::Read)).await;
    let Ok(Fetched::Delta(delta)) = answer else { panic!("{:?}", answer.err()) };
    assert_eq!(delta.upserts.len(), 1_250);
    assert_eq!(scene.requests(), 1 + 10 + 8, "the pages are as large as before by and by");
}

#[tokio::test]
async fn trackers_of_a_private_repository_are_for_its_readers() {
    let private = SimRepository { is_private: true, ..SimRepository::new("octo-org/kiln") };
    let scene = Scene::with(vec![private]).await;
    scene.sim.world(|world| world.add_issues(REPO, [release(1, "Release: v1")]));
    let mut held = Held::nothing("release");
    held.refresh(&scene, &source(&scene, Some(SEEING)), Trigger::Read).await;
    let host = scene.github(None, 1).host().to_owned();
    assert_eq!(held.members[0].item.scope, Scope::Repo(format!("{host}/octo-org/kiln").into()));
}

/// A manifest's text, with these releases.
pub(crate) fn manifest(releases: &[Tracker], updated_at: Time) -> String {
    match generate(None, REPO, &[TrackerType::release()], releases, updated_at) {
        Generated::Changed(text) => text,
        Generated::Unchanged => unreachable!("there was none"),
    }
}

pub(crate) fn tracker(number: u64, title: &str) -> Tracker {
    Tracker { number, kind: "release".to_owned(), title: title.to_owned(), ..Tracker::default() }
}

pub(crate) fn write_manifest(root: &Path, text: &str) {
    std::fs::create_dir_all(root.join(".github")).unwrap();
    std::fs::write(root.join(MANIFEST), text).unwrap();
}

pub(crate) fn with_desk(scene: &Scene, root: &Path, pull: Option<Pull>) -> TrackersSource {
    let desk = Desk::new(repo(), "github.com", root, Arc::new(scene.clock.clone()));
    let desk = match pull {
        Some(pull) => desk.pulling(pull),
        None => desk,
    };
    source(scene, Some(TOKEN)).with_desk(desk)
}

#[tokio::test]
async fn a_manifest_spares_the_call_and_its_age_is_told() {
    let scene = scene([release(1, "Release: v1"), release(2, "Release: v2")]).await;
    let root = tempfile::tempdir().unwrap();
    let source = with_desk(&scene, root.path(), None);
    let written_at = now(&scene);
    write_manifest(root.path(), &manifest(&[tracker(1, "Release: v1")], written_at));
    scene.clock.advance(HOUR);
    let mut held = Held::nothing("release");
    let delta = held.refresh(&scene, &source, Trigger::Read).await;
    let whole_second = Time::from_ms(written_at.ms() / 1000 * 1000);
    assert_eq!((delta.as_of, held.way().way), (Some(whole_second), WayIn::Manifest));
    assert_eq!((held.trackers().len(), scene.requests()), (1, 0));
    assert_eq!(held.trackers()[&1].url, "https://github.com/octo-org/kiln/issues/1");
    assert!(!held.members[0].item.scope.is_public(), "nobody said that everybody may see it");

    // The same file again is no news: GitHub is asked, and knows better.
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!((held.trackers().len(), held.way().way), (2, WayIn::Api));
    assert!(held.members[0].item.scope.is_public());
    scene.requests();

    // A manifest from before that asking is not applied, one from after it is, and keeps the scope.
    write_manifest(root.path(), &manifest(&[], written_at));
    assert_eq!(held.refresh(&scene, &source, Trigger::Watch).await.upserts, []);
    assert_eq!((held.trackers().len(), scene.requests()), (2, 0), "an event about the file asks nobody else");
    scene.clock.advance(HOUR);
    write_manifest(root.path(), &manifest(&[tracker(2, "Release: v2.1")], now(&scene)));
    held.refresh(&scene, &source, Trigger::Watch).await;
    assert_eq!(held.trackers()[&2].title, "Release: v2.1");
    assert!(held.members[0].item.scope.is_public());
    assert_eq!((held.trackers().len(), scene.requests()), (1, 0));

    // A person who wants GitHub's word gets it.
    scene.clock.advance(HOUR);
    write_manifest(root.path(), &manifest(&[], now(&scene)));
    held.refresh(&scene, &source, Trigger::Manual).await;
    assert_eq!((held.trackers().len(), held.way().way), (2, WayIn::Api));
}

#[tokio::test]
async fn a_manifest_that_cannot_be_used_is_a_warning_and_the_next_way() {
    let scene = scene([release(1, "Release: v1")]).await;
    let root = tempfile::tempdir().unwrap();
    let source = with_desk(&scene, root.path(), None);
    for (text, said) in [
        ("<<<<<<< HEAD\n", "cannot be read"),
        (r#"{"version": 1, "repo": "octo-org/other", "releases": []}"#, "it is of `octo-org/other`"),
        (r#"{"version": 7, "repo": "octo-org/kiln", "releases": []}"#, "it has version 7"),
        (r#"{"repo": "octo-org/kiln", "releases": [{}]}"#, "passed over: it cannot be read: `releases`: "),
    ] {
        write_manifest(root.path(), text);
        let mut held = Held::nothing("release");
        let delta = held.refresh(&scene, &source, Trigger::Read).await;
        assert!(delta.warnings[0].message.contains(said), "{:?}", delta.warnings);
        assert_eq!((held.trackers().len(), held.way().way), (1, WayIn::Api));
    }
    // Without a time it fills an empty cache, and changes no full one.
    write_manifest(
        root.path(),
        r#"{"repo": "octo-org/kiln", "releases": [{"number": 9, "title": "Release: v9"}]}"#,
    );
    let mut held = Held::nothing("release");
    held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!(held.trackers().into_keys().collect::<Vec<_>>(), [9]);
    write_manifest(root.path(), r#"{"repo": "octo-org/kiln", "releases": []}"#);
    held.refresh(&scene, &source, Trigger::Watch).await;
    assert_eq!(held.trackers().len(), 1);
}

#[tokio::test]
async fn a_list_of_a_manifest_that_cannot_be_read_takes_no_other_with_it() {
    let scene = scene([]).await;
    let root = tempfile::tempdir().unwrap();
    let source = with_desk(&scene, root.path(), None);
    write_manifest(
        root.path(),
        r#"{"repo": "octo-org/kiln", "labels": ["x"], "releases": [{"number": 9, "title": "Release: v9"}]}"#,
    );
    let of = TrackerType::release();
    let desk = source.desk(&repo()).unwrap();
    assert_eq!(desk.news(&of, None, now(&scene)), News::Newer);
    let mut held = Held::nothing("release");
    let delta = held.refresh(&scene, &source, Trigger::Read).await;
    assert_eq!(held.trackers().into_keys().collect::<Vec<_>>(), [9]);
    let [warning] = delta.warnings.as_slice() else { panic!("{:?}", delta.warnings) };
    assert!(warning.message.contains("`labels`"), "{}", warning.message);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_manifest_that_is_a_link_to_what_never_ends_is_a_warning_and_the_next_way() {
    let scene = scene([release(1, "Release: v1")]).await;
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join(".github")).unwrap();
    let file = root.path().join(MANIFEST);
    for device in ["/dev/null", "/dev/zero"] {
        std::os::unix::fs::symlink(device, &file).unwrap();
        let source = with_desk(&scene, root.path(), None);
        let mut held = Held::nothing("release");
        let delta = held.refresh(&scene, &source, Trigger::Read).await;
        assert!(delta.warnings[0].message.contains("not a file"), "{:?}", delta.warnings);
        assert_eq!((held.trackers().len(), held.way().way), (1, WayIn::Api));
        std::fs::remove_file(&file).unwrap();
    }
}

#[tokio::test]
async fn nobody_without_a_token_is_told_of_one() {
    let scene = scene([]).await;
    let source = source(&scene, None);
    let missing = TrackersSource::key(&RepoName::parse("octo-org/gone", None).unwrap(), "release").unwrap();
    let held = Held { key: missing, ..Held::nothing("release") };
    let answer = source.fetch(&held.ask(&scene, &source, Trigger::Read)).await;
    let Ok(Fetched::Absent(absence)) = answer else { panic!("an absence was expected, not {answer:?}") };
    assert_eq!(absence.message, "`octo-org/gone` was not found: deleted, or private, which needs a token");
}
