//! Stories of what an artifact is, by what is on disk and what was recorded.

use serde_json::Value;

use super::*;

fn hash(digit: char) -> String {
    std::iter::repeat_n(digit, 64).collect()
}

fn placed() -> Placed {
    Placed {
        project: "kiln-1".to_owned(),
        project_name: "Kiln".to_owned(),
        profile: "claude_code".to_owned(),
        kind: ArtifactType::Skill,
        name: "pdf".to_owned(),
        path: ".claude/skills/pdf".to_owned(),
    }
}

fn record(content: Option<&str>, collection: Option<&str>) -> Record {
    Record {
        name: "pdf".to_owned(),
        kind: ArtifactType::Skill,
        profile: "claude_code".to_owned(),
        profile_root: ".claude".to_owned(),
        path: None,
        collection: Some("default".to_owned()),
        deployed_at: None,
        content_hash: content.map(str::to_owned),
        collection_sha: collection.map(str::to_owned),
    }
}

fn locked(hash: &str) -> Upstream {
    Upstream { content_hash: Some(hash.to_owned()), ..Upstream::default() }
}

/// `(outdated, modified, missing)` of what is on disk, was recorded and is upstream.
fn states(disk: Option<&str>, recorded: Option<&str>, upstream: Option<&str>) -> (bool, bool, bool) {
    let disk = disk.map(|hash| OnDisk { content_hash: Some(hash.to_owned()), ..OnDisk::default() });
    let record = recorded.map(|hash| record(Some(hash), None));
    let upstream = upstream.map(locked);
    let artifact = Artifact::of(placed(), disk, record.as_ref(), upstream.as_ref());
    (artifact.outdated, artifact.modified, artifact.missing)
}

#[test]
fn states_follow_from_what_is_there_now() {
    let (a, b, c) = (hash('a'), hash('b'), hash('c'));
    let (a, b, c) = (Some(a.as_str()), Some(b.as_str()), Some(c.as_str()));
    let upper = hash('A');
    assert_eq!(states(a, a, a), (false, false, false));
    assert_eq!(states(a, a, b), (true, false, false), "outdated: deployed and locked differ");
    assert_eq!(states(b, a, a), (false, true, false), "modified, whatever the record claims");
    assert_eq!(states(c, a, b), (true, true, false));
    assert_eq!(states(b, a, b), (false, true, false), "the newest is there, though not as recorded");
    assert_eq!(states(None, a, b), (true, false, true));
    assert_eq!(states(a, None, b), (false, false, false), "never recorded: nothing to compare");
    assert_eq!(states(a, a, None), (false, false, false), "unknown upstream is not outdated");
    assert_eq!(states(a, Some(&upper), a), (false, false, false), "hexadecimal has no case");
}

#[test]
fn a_record_with_the_collection_s_hash_alone_is_compared_by_it() {
    let old = record(None, Some(&hash('a')));
    let disk = OnDisk { content_hash: Some(hash('b')), ..OnDisk::default() };
    let artifact = Artifact::of(placed(), Some(disk.clone()), Some(&old), Some(&locked(&hash('c'))));
    assert!(artifact.modified && artifact.outdated);
    let commit = record(None, Some("0123456789abcdef0123456789abcdef01234567"));
    let upstream = Upstream { resolved_sha: Some("f".repeat(40)), ..locked(&hash('b')) };
    let artifact = Artifact::of(placed(), Some(disk), Some(&commit), Some(&upstream));
    assert!(artifact.outdated && !artifact.modified, "a commit is compared with a commit, never a content");
}

#[test]
fn a_version_is_shown_by_its_name_where_it_has_one() {
    let recorded = record(Some(&hash('a')), None);
    let named = Upstream { resolved_version: Some("v2".to_owned()), ..locked(&hash('a')) };
    let artifact = Artifact::of(placed(), Some(OnDisk::default()), Some(&recorded), Some(&named));
    assert_eq!(artifact.deployed_version.as_deref(), Some("v2"), "what is deployed is what v2 is");
    let newer = Upstream { resolved_version: Some("v3".to_owned()), ..locked(&hash('b')) };
    let artifact = Artifact::of(placed(), Some(OnDisk::default()), Some(&recorded), Some(&newer));
    assert_eq!(artifact.deployed_version.as_deref(), Some("aaaaaaa"));
    assert_eq!(artifact.upstream_version.as_deref(), Some("v3"));
}

#[test]
fn what_is_written_down_is_what_was_on_disk() {
    let front = FrontMatter {
        name: Some("pdf-tools".to_owned()),
        description: Some("Fills forms".to_owned()),
        tags: vec!["docs".to_owned()],
        ..FrontMatter::default()
    };
    let disk = OnDisk { content_hash: Some(hash('a')), updated_at: Some(Time::from_ms(5)), front };
    let first = Artifact::of(placed(), Some(disk), None, None);
    assert_eq!(first.aliases, ["pdf-tools"]);
    let doc = serde_json::to_string(&first).unwrap();
    assert_eq!(ARTIFACTS.found_by(&doc).words, "pdf-tools Fills forms docs");
    let again = Artifact::of(placed(), Some(first.on_disk()), None, None);
    assert_eq!(again, first);
}

#[test]
fn every_column_of_the_view_is_a_field_and_any_object_can_be_read() {
    let recorded = Record { deployed_at: Some(Time::from_ms(1)), ..record(Some(&hash('a')), None) };
    let upstream = Upstream { source: Some("github".to_owned()), ..locked(&hash('b')) };
    let front = FrontMatter {
        name: Some("other".to_owned()),
        description: Some("d".to_owned()),
        version: Some("1".to_owned()),
        tags: vec!["t".to_owned()],
        license: Some("MIT".to_owned()),
        aliases: Vec::new(),
        source: None,
    };
    let disk = OnDisk { content_hash: Some(hash('c')), updated_at: Some(Time::from_ms(2)), front };
    let artifact = Artifact {
        marketplace: Some("m".to_owned()),
        plugin: Some("p".to_owned()),
        url: Some("https://x.example".to_owned()),
        outdated: true,
        modified: true,
        missing: true,
        ..Artifact::of(placed(), Some(disk), Some(&recorded), Some(&upstream))
    };
    let Value::Object(fields) = serde_json::to_value(&artifact).unwrap() else { panic!("an object") };
    for column in ARTIFACTS.columns {
        assert!(fields.contains_key(column.name), "{}", column.name);
    }
    let nulls = serde_json::json!({"name": null, "type": null, "tags": null, "outdated": null, "new": 1});
    assert_eq!(serde_json::from_value::<Artifact>(nulls).unwrap(), Artifact::default());
}

#[test]
fn each_other_name_stands_there_once_and_is_another() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let front = |aliases: &[&str]| FrontMatter {
        name: Some("forms".to_owned()),
        aliases: words(aliases),
        ..FrontMatter::default()
    };
    let of = |aliases: &[&str], upstream: Option<&Upstream>| {
        let disk = OnDisk { front: front(aliases), ..OnDisk::default() };
        Artifact::of(placed(), Some(disk), None, upstream).aliases
    };
    assert_eq!(of(&["a", "pdf", "b", "a", "forms"], None), ["a", "b", "forms"]);
    let told = Upstream { said: front(&["x", "forms", "x"]), ..Upstream::default() };
    let silent = Artifact::of(placed(), Some(OnDisk::default()), None, Some(&told));
    assert_eq!(silent.aliases, ["forms", "x"], "what its collection says goes by the same rule");
}

fn saying(source: Option<&str>) -> OnDisk {
    let front = FrontMatter::read(
        source.map(|source| format!("---\nsource: {source}\n---\n")).unwrap_or_default().as_bytes(),
    );
    OnDisk { content_hash: Some(hash('a')), front: front.0, ..OnDisk::default() }
}

#[test]
fn where_it_is_from_it_says_itself_or_its_collection_or_its_record() {
    let theirs = Upstream { source: Some("https://octo.example/pdf".to_owned()), ..locked(&hash('a')) };
    let recorded = record(Some(&hash('a')), None);
    let nameless = Record { collection: None, ..recorded.clone() };
    let own = "https://example.org/x";
    for (said, record, upstream, source) in [
        (Some(own), Some(&recorded), Some(&theirs), Some(own)),
        (Some(own), None, None, Some(own)),
        (None, Some(&recorded), Some(&theirs), Some("https://octo.example/pdf")),
        (None, Some(&recorded), Some(&locked(&hash('a'))), Some("default")),
        (None, Some(&recorded), None, Some("default")),
        (None, Some(&nameless), None, None),
        (None, None, None, None),
    ] {
        let artifact = Artifact::of(placed(), Some(saying(said)), record, upstream);
        assert_eq!(artifact.source.as_deref(), source, "{said:?} {record:?} {upstream:?}");
    }
}

#[test]
fn where_others_say_that_it_is_from_is_not_taken_for_its_own_word_later() {
    let theirs = Upstream { source: Some("https://octo.example/pdf".to_owned()), ..locked(&hash('a')) };
    let recorded = record(Some(&hash('a')), None);
    let held = Artifact::of(placed(), Some(saying(None)), Some(&recorded), Some(&theirs));
    let alone = Artifact::of(placed(), Some(held.on_disk()), None, None);
    assert_eq!(alone.source, None, "neither a record nor a collection says so any more");
    let mut kept = Artifact::of(placed(), Some(held.on_disk()), Some(&recorded), None);
    assert_eq!(kept.source.as_deref(), Some("default"));
    kept.keep_upstream(&held);
    assert_eq!(kept.source, held.source, "what is known of a collection that cannot be read stays");
    assert!(!kept.source_is_own);
    let own = Artifact::of(placed(), Some(saying(Some("own"))), Some(&recorded), Some(&theirs));
    let mut gone = Artifact::of(placed(), None, Some(&recorded), Some(&theirs));
    assert_eq!(gone.source, theirs.source);
    gone.keep_description(&own);
    assert_eq!(
        gone.source.as_deref(),
        Some("own"),
        "what it said of itself stays when it is not there any more"
    );
    assert!(gone.source_is_own);
}
