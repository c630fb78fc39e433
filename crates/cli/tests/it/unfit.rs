//! One entry or item that cannot be kept, or cannot be read, takes no other along: not into a store, and not
//! out of it.

use serde_json::{Value, json};

use crate::trackers::{developer, usual};
use crate::world::{CLUSTERS, GitHub, User};

/// A user whose two clusters are in `from.db`, and their export with these texts replaced by those.
fn exported(replaced: &[(&str, &str)]) -> (GitHub, User) {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos", "--store", "sqlite:from.db"]);
    edit(&user, replaced);
    (github, user)
}

/// Takes `from.db` in, and replaces a text in the documents that are held.
pub(crate) fn damaged(user: &User, from: &str, to: &str) {
    edit(user, &[]);
    user.ok(&IMPORT);
    let file = rusqlite::Connection::open(user.project().join("to.db")).unwrap();
    let changed =
        file.execute("UPDATE items SET doc = replace(doc, ?1, ?2) WHERE instr(doc, ?1) > 0", [from, to]);
    assert!(changed.unwrap() > 0, "{from}");
}

/// Exports `from.db`, and replaces texts in the export.
fn edit(user: &User, replaced: &[(&str, &str)]) {
    let mut text = user.ok(&["export", "--store", "sqlite:from.db"]).out;
    for (from, to) in replaced {
        assert!(text.contains(from), "{from}\nin {text}");
        text = text.replace(from, to);
    }
    user.write("cache.jsonl", &text);
}

const IMPORT: [&str; 4] = ["import", "cache.jsonl", "--store", "sqlite:to.db"];

#[test]
fn an_item_that_cannot_be_kept_is_left_out_of_an_import_and_named_with_its_line() {
    let (_github, user) = exported(&[("\"stars\":640", "\"stars\":1e999")]);
    let imported = user.run(&IMPORT);
    insta::assert_snapshot!(imported.all(), @r"
    exit 3
    --- out
    imported 2 entries
    --- err
    warning: line 2: of `cluster/cinder` `octo-org/cinder-sv` is left out: its document holds the number 1e999, which is out of bounds
    ");
    let listed = user.ok(&["repos", "--offline", "--store", "sqlite:to.db"]);
    assert!(
        listed.out.contains("octo-org/cinder-mcp") && !listed.out.contains("cinder-sv"),
        "{}",
        listed.out
    );
    assert!(listed.err.contains("`octo-org/cinder-sv` is left out"), "the entry says so: {}", listed.err);
    user.ok(&["refresh", "cluster/cinder", "--store", "sqlite:to.db"]);
    let listed = user.ok(&["repos", "--offline", "--store", "sqlite:to.db"]);
    assert!(
        listed.out.contains("octo-org/cinder-sv") && !listed.err.contains("left out"),
        "{}",
        listed.all()
    );
}

#[test]
fn an_item_that_is_none_is_left_out_as_well() {
    let (_github, user) = exported(&[(
        "\"scope\":\"public\",\"doc\":{\"name\":\"cinder-sv\"",
        "\"scope\":7,\"doc\":{\"name\":\"cinder-sv\"",
    )]);
    let json = user.run(&[&IMPORT[..], &["--json"]].concat());
    assert_eq!(json.code, 3, "{}", json.all());
    let answer: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&answer["imported"], &answer["kept"]), (&json!(2), &json!(0)));
    let left_out = &answer["left_out"];
    assert_eq!((&left_out[0]["line"], &left_out[1]), (&json!(2), &Value::Null));
    assert_eq!(left_out[0]["key"], "cluster/cinder");
    assert_eq!(left_out[0]["item"], "octo-org/cinder-sv");
    let why = left_out[0]["why"].as_str().unwrap();
    assert!(
        why.starts_with("`octo-org/cinder-sv` is left out: it cannot be understood: invalid type"),
        "{why}"
    );
}

#[test]
fn a_document_of_another_form_or_of_another_item_is_left_out_of_an_import() {
    let (_github, user) = exported(&[
        ("\"stars\":640", "\"stars\":\"640\""),
        ("\"doc\":{\"name\":\"cinder-mcp\"", "\"doc\":{\"name\":\"harbor\""),
    ]);
    let imported = user.run(&IMPORT);
    insta::assert_snapshot!(imported.all(), @r#"
    exit 3
    --- out
    imported 2 entries
    --- err
    warning: line 2: of `cluster/cinder` `octo-org/cinder-sv` is left out: it cannot be understood: invalid type: string "640", expected u64
    warning: line 2: of `cluster/cinder` `octo-org/cinder-mcp` is left out: it cannot be understood: its document is that of `127.0.0.1:PORT/octo-org/harbor`
    "#);
    let refreshed = user.ok(&["refresh", "cluster/cinder", "--store", "sqlite:to.db"]);
    let listed = user.ok(&["repos", "--offline", "--cluster", "cinder", "--store", "sqlite:to.db"]);
    assert!(listed.out.contains("cinder-sv") && listed.out.contains("cinder-mcp"), "{}", refreshed.all());
}

#[test]
fn an_entry_that_cannot_be_read_is_left_out_and_all_others_come_in() {
    let (_github, user) = exported(&[("\"key\":\"cluster/cinder\"", "\"key\":\"cluster/cin der\"")]);
    let imported = user.run(&IMPORT);
    insta::assert_snapshot!(imported.all(), @r"
    exit 3
    --- out
    imported 1 entry
    --- err
    warning: line 2: `cluster/cin der` is left out: this is no entry: `cluster/cin der` is not a key: ` ` must be percent-encoded
    ");
    let again = user.run(&IMPORT);
    assert_eq!(
        (again.code, again.out.as_str()),
        (3, "imported 0 entries; 1 more were held already, as young or younger\n")
    );
}

#[test]
fn an_import_of_which_nothing_comes_in_fails() {
    let (_github, user) = exported(&[("\"version\":1,\"began\"", "\"version\":-1,\"began\"")]);
    let imported = user.run(&[&IMPORT[..], &["--quiet"]].concat());
    assert_eq!((imported.code, imported.out.as_str()), (1, "imported 0 entries\n"), "{}", imported.all());
    assert!(imported.err.contains("line 2: `cluster/cinder` is left out"), "{}", imported.err);
    assert!(imported.err.contains("line 3: `cluster/kiln` is left out"), "{}", imported.err);
}

#[test]
fn verify_names_the_copies_that_cannot_be_read_and_their_entries() {
    let (_github, user) = exported(&[]);
    damaged(&user, "\"stars\":640", "\"stars\":\"640\"");
    let verified = user.run(&["cache", "verify", "--store", "sqlite:to.db"]);
    assert_eq!((verified.code, verified.out.lines().count()), (1, 1), "{}", verified.all());
    assert!(verified.out.starts_with("cluster/cinder repository "), "{}", verified.out);
    let says = "/octo-org/cinder-sv: it cannot be read: invalid type: string \"640\", expected u64";
    assert!(verified.out.contains(says), "{}", verified.out);
    insta::assert_snapshot!(verified.err, @r"
    error: the database has 1 fault
    hint: `larder cache clear KEY --yes` removes a damaged entry, which is fetched anew
    ");
    let other = user.ok(&["cache", "verify", "cluster/kiln", "--store", "sqlite:to.db"]);
    assert_eq!(other.out, "no damage found\n", "it is not among these");
    user.ok(&["refresh", "cluster/cinder", "--store", "sqlite:to.db"]);
    assert_eq!(user.ok(&["cache", "verify", "--store", "sqlite:to.db"]).out, "no damage found\n");
}

#[test]
fn a_tracker_that_cannot_be_read_is_left_out_of_every_list_and_told_of_each_time() {
    let github = usual();
    let user = developer(&github);
    user.ok(&["release", "list", "--store", "sqlite:from.db"]);
    damaged(&user, "\"number\":460", "\"number\":\"460\"");
    let list = ["release", "list", "--offline", "--store", "sqlite:to.db"];
    for flags in [&[][..], &[], &["--since", "2019-01-01"], &["--json"]] {
        let listed = user.ok(&[&list[..], flags].concat());
        assert!(listed.out.contains("v0.10.0") && !listed.out.contains("Phoenix"), "{}", listed.all());
        assert!(listed.err.contains("cannot be read and is left out: invalid type"), "{}", listed.all());
    }
    let stats = user.ok(&["tracker", "stats", "--type", "release", "--offline", "--store", "sqlite:to.db"]);
    assert!(stats.err.contains("is left out"), "{}", stats.all());
    let (_, says) = stats.err.split_once("; `larder cache clear ").unwrap();
    let (key, _) = says.split_once(" --yes` removes it").unwrap();
    user.ok(&["cache", "clear", key, "--yes", "--store", "sqlite:to.db"]);
    let healed = user.ok(&["release", "list", "--store", "sqlite:to.db"]);
    assert!(healed.out.contains("Phoenix") && healed.err.is_empty(), "{}", healed.all());
}

#[test]
fn a_project_and_an_artifact_that_cannot_be_read_are_left_out_of_lists() {
    let user = User::new();
    user.write("larder.toml", "[projects]\nroots = [\"code\"]\n");
    user.ok(&["config", "trust"]);
    for (project, command) in [("site", "deploy"), ("bot", "answer")] {
        let file = format!("code/{project}/.claude/commands/{command}.md");
        user.write(&file, &format!("---\ndescription: The {command} command\n---\n"));
    }
    user.ok(&["artifacts", "--store", "sqlite:from.db"]);
    let wrong = ("\"name\":\"deploy\",\"type\":\"command\"", "\"name\":\"deploy\",\"type\":\"spell\"");
    damaged(&user, wrong.0, wrong.1);
    let listed = user.ok(&["artifacts", "--offline", "--store", "sqlite:to.db"]);
    assert!(listed.out.contains("answer") && !listed.out.contains("deploy"), "{}", listed.all());
    assert!(
        listed.err.contains("` cannot be read and is left out: unknown variant `spell`"),
        "{}",
        listed.all()
    );
    let (_, says) = listed.err.split_once("; `larder cache clear ").unwrap();
    let (key, _) = says.split_once(" --yes` removes it").unwrap();
    let shown = user.ok(&["projects", "show", "site", "--offline", "--store", "sqlite:to.db"]);
    assert!(shown.out.contains("site") && shown.err.contains("is left out"), "{}", shown.all());
    user.ok(&["cache", "clear", key, "--yes", "--store", "sqlite:to.db"]);
    let healed = user.ok(&["artifacts", "--store", "sqlite:to.db"]);
    assert!(healed.out.contains("deploy") && !healed.err.contains("left out"), "{}", healed.all());
}
