//! What a manifest says, and what is wrong with one.

use super::*;

const REPO: &str = "rubrical-studios/gh-pmu";

fn time(text: &str) -> Time {
    Time::parse(text).unwrap()
}

fn manifest(rest: &str) -> String {
    format!(r#"{{"repo": "{REPO}", {rest}}}"#)
}

fn page(number: u64) -> String {
    format!("https://github.com/{REPO}/issues/{number}")
}

#[test]
fn the_seeds_manifest_is_read_and_its_other_spellings_too() {
    let seed = manifest(
        r#""version": 1, "updated_at": "2024-12-24T10:00:00Z",
        "releases": [{"number": 430, "title": "Release: v0.9.0", "state": "OPEN",
                      "createdAt": "2024-12-20T08:00:00Z", "closedAt": null}],
        "microsprints": [{"number": 425, "title": "Microsprint: cache-impl", "state": "closed",
                      "created_at": "2024-12-23T09:00:00Z", "closed_at": "2024-12-24T15:00:00Z"},
                     {"number": 426, "title": "Not one"}]"#,
    );
    let read = Manifest::read(seed.as_bytes(), "Rubrical-Studios/GH-pmu").unwrap();
    assert_eq!(read.updated_at, Some(time("2024-12-24T10:00:00Z")));
    let releases = read.trackers(&TrackerType::release(), page);
    assert_eq!((releases[0].number, releases[0].url.as_str()), (430, page(430).as_str()));
    let sprints = read.trackers(&TrackerType::microsprint(), page);
    assert_eq!(sprints.len(), 1, "a title without the prefix is no tracker");
    assert_eq!(sprints[0].state, TrackerState::Closed);
    assert_eq!(sprints[0].closed_at, Some(time("2024-12-24T15:00:00Z")));
    let bare = Manifest::read(manifest(r#""releases": []"#).as_bytes(), REPO).unwrap();
    assert!(bare.lists(&TrackerType::release()) && !bare.lists(&TrackerType::microsprint()));
}

#[test]
fn what_is_open_was_closed_at_no_time() {
    let text = manifest(
        r#""releases": [{"number": 1, "title": "Release: v1", "state": "OPEN",
                         "closedAt": "0001-01-01T00:00:00Z"}]"#,
    );
    let read = Manifest::read(text.as_bytes(), REPO).unwrap();
    assert_eq!(read.trackers(&TrackerType::release(), page)[0].closed_at, None);
}

#[test]
fn what_cannot_be_trusted_is_refused_in_words() {
    let read = |text: &str| Manifest::read(text.as_bytes(), REPO).map(drop).unwrap_err();
    assert!(matches!(read("<<<<<<< HEAD"), ManifestError::Malformed(_)));
    assert!(matches!(read("[]"), ManifestError::Malformed(_)));
    assert_eq!(read(&manifest(r#""version": 2"#)), ManifestError::Version("2".into()));
    assert_eq!(read(&manifest(r#""version": "x""#)), ManifestError::Version("\"x\"".into()));
    assert!(matches!(read(r#"{"repo": "o/other"}"#), ManifestError::Repo { .. }));
    let bad = read(&manifest(r#""releases": [{"number": 1, "title": "Release: v1", "state": "MERGED"}]"#));
    assert!(bad.to_string().contains("`releases`: a state is open or closed"), "{bad}");
}

#[test]
fn a_list_that_cannot_be_read_hides_no_other() {
    let (release, sprint) = (TrackerType::release(), TrackerType::microsprint());
    let text = manifest(
        r#""labels": ["x"], "releases": [{"number": 1, "title": "Release: v1"}], "microsprints": [{}]"#,
    );
    let read = Manifest::read_leniently(text.as_bytes(), REPO).unwrap();
    assert_eq!(read.trackers(&release, page).len(), 1);
    assert_eq!(read.problem(&release), None);
    assert!(!read.lists(&sprint), "half of a list is no list");
    assert!(read.problem(&sprint).unwrap().to_string().contains("`microsprints`"));
    assert_eq!(read.problems().count(), 2);
    assert!(matches!(Manifest::read(text.as_bytes(), REPO), Err(ManifestError::Malformed(_))));
}

#[test]
fn a_list_that_go_wrote_as_null_is_an_empty_one() {
    let text = manifest(r#""releases": null, "microsprints": [], "notes": null"#);
    let read = Manifest::read(text.as_bytes(), REPO).unwrap();
    assert!(read.lists(&TrackerType::release()) && read.lists(&TrackerType::microsprint()));
    assert!(read.trackers(&TrackerType::release(), page).is_empty());
}

#[test]
fn a_mark_of_the_order_of_bytes_is_no_part_of_a_manifest() {
    let text = format!("\u{feff}{}", manifest(r#""releases": []"#));
    assert!(Manifest::read(text.as_bytes(), REPO).unwrap().lists(&TrackerType::release()));
    let types = [TrackerType::release()];
    let Generated::Changed(first) = generate(None, REPO, &types, &[], time("2026-01-01T00:00:00Z")) else {
        panic!("there was no file")
    };
    let marked = format!("\u{feff}{first}");
    let later = time("2026-02-01T00:00:00Z");
    assert_eq!(generate(Some(marked.as_bytes()), REPO, &types, &[], later), Generated::Unchanged);
}

#[test]
fn both_spellings_of_a_time_may_stand_in_one_issue_and_an_empty_time_is_none() {
    let text = manifest(
        r#""updated_at": "", "updatedAt": "2026-01-03T00:00:00Z",
           "releases": [{"number": 1, "title": "Release: v1", "state": "CLOSED",
                         "createdAt": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z",
                         "closedAt": "", "closed_at": "2026-01-02T00:00:00Z"},
                        {"number": 2, "title": "Release: v2", "state": "OPEN", "closedAt": " "}]"#,
    );
    let read = Manifest::read(text.as_bytes(), REPO).unwrap();
    assert_eq!(read.updated_at, Some(time("2026-01-03T00:00:00Z")));
    let releases = read.trackers(&TrackerType::release(), page);
    assert_eq!((releases[0].number, releases[0].closed_at), (2, None));
    assert_eq!(releases[1].created_at, Some(time("2026-01-01T00:00:00Z")));
    assert_eq!(releases[1].closed_at, Some(time("2026-01-02T00:00:00Z")));
    let odd = manifest(r#""releases": [{"number": 1, "title": "Release: v1", "closedAt": "soon"}]"#);
    assert!(Manifest::read(odd.as_bytes(), REPO).is_err(), "what is no time is no time");
}

#[test]
fn the_newer_word_stands() {
    let now = time("2026-01-02T00:00:00Z");
    let (early, late) = (time("2026-01-01T10:00:00Z"), time("2026-01-01T11:00:00Z"));
    let (same, other) = (payload(&[]), payload(&[Tracker::default()]));
    let bare = Manifest::read(manifest(r#""releases": []"#).as_bytes(), REPO).unwrap();
    let of = |updated_at: Option<Time>| Manifest { updated_at, ..bare.clone() };
    let held = |as_of, payload| Some(Held { as_of, payload });
    assert_eq!(of(Some(late)).judge(&same, held(early, &other), now), Verdict::Apply { as_of: late });
    assert_eq!(of(Some(late)).judge(&same, held(early, &same), now), Verdict::Confirm { as_of: late });
    assert_eq!(
        of(Some(late)).judge(&same, held(late, &other), now),
        Verdict::Older,
        "no later than the fetch"
    );
    assert_eq!(of(Some(early)).judge(&same, held(late, &other), now), Verdict::Older);
    assert_eq!(
        of(None).judge(&same, held(early, &other), now),
        Verdict::Older,
        "it fills an empty cache alone"
    );
    assert_eq!(of(None).judge(&same, None, now), Verdict::Apply { as_of: now });
    let ahead = time("2027-01-01T00:00:00Z");
    assert_eq!(of(Some(ahead)).judge(&same, None, now), Verdict::Apply { as_of: now });
}

#[test]
fn an_equal_payload_keeps_the_old_bytes() {
    let types = [TrackerType::release(), TrackerType::microsprint()];
    let tracker = |number, title: &str| Tracker {
        number,
        kind: "release".into(),
        title: title.into(),
        created_at: Some(time("2026-01-01T00:00:00Z")),
        ..Tracker::default()
    };
    let (one, two) = (tracker(4, "Release: v1"), tracker(9, "Release: v1"));
    let now = Time::from_ms(time("2026-02-01T00:00:00Z").ms() + 999);
    let Generated::Changed(first) = generate(None, REPO, &types, &[one.clone(), two.clone()], now) else {
        panic!("there was no file")
    };
    assert!(
        first.starts_with("{\n  \"version\": 1,\n  \"updated_at\": \"2026-02-01T00:00:00Z\",\n"),
        "{first}"
    );
    assert!(first.find("\"number\": 9") < first.find("\"number\": 4"), "sorted: {first}");
    assert!(first.contains("\"microsprints\": []"), "zero is an answer");
    let later = time("2026-03-01T00:00:00Z");
    let again = generate(Some(first.as_bytes()), REPO, &types, &[two.clone(), one.clone()], later);
    assert_eq!(again, Generated::Unchanged, "whatever order they come in");
    let closed = Tracker { state: TrackerState::Closed, ..one };
    let changed = generate(Some(first.as_bytes()), REPO, &types, &[two, closed], later);
    assert!(
        matches!(changed, Generated::Changed(text) if text.contains("2026-03-01") && text.contains("CLOSED"))
    );
    let read = Manifest::read(first.as_bytes(), REPO).unwrap();
    assert_eq!(read.trackers(&types[0], page).len(), 2);
}
