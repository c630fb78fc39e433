//! A cache on its way from one store to another: `export` and `import`.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::unfit::damaged;
use crate::world::{CLUSTERS, GitHub, Ran, User};

/// What a reader sees of a store, network or not.
fn seen(user: &User, store: &str) -> Value {
    let mut repos = user.json(&["repos", "--offline", "--store", store]);
    for entry in repos["cache"].as_array_mut().unwrap() {
        // How old it is differs from one second to the next.
        entry["age_seconds"] = Value::Null;
    }
    repos
}

fn filled() -> (GitHub, User) {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos", "--store", "sqlite:from.db"]);
    (github, user)
}

#[test]
fn what_is_exported_and_imported_is_the_same_cache_and_asks_nothing_of_github() {
    let (github, user) = filled();
    let exported = user.ok(&["export", "cache.jsonl", "--store", "sqlite:from.db"]);
    assert_eq!(exported.out, "exported 2 entries to /root/project/cache.jsonl\n");
    assert_eq!(exported.err, "", "all of it is public");
    github.take_requests();
    let imported = user.ok(&["import", "cache.jsonl", "--store", "sqlite:to.db"]);
    assert_eq!((imported.out.as_str(), imported.err.as_str()), ("imported 2 entries\n", ""));
    assert_eq!(seen(&user, "sqlite:to.db"), seen(&user, "sqlite:from.db"));
    let search = |store| {
        user.json(&["repos", "--offline", "--search", "cinder", "--store", store])["repositories"].clone()
    };
    assert_eq!(search("sqlite:to.db"), search("sqlite:from.db"), "it is found by the same words");
    user.ok(&["repos", "--store", "sqlite:to.db"]);
    assert!(github.requests().is_empty(), "what was fresh is fresh");
}

#[test]
fn one_copy_of_an_unknown_form_takes_no_list_along() {
    let (_github, user) = filled();
    damaged(&user, "\"stars\":640", "\"stars\":\"640\"");
    for command in ["repos", "registry"] {
        let listed = user.ok(&[command, "--offline", "--store", "sqlite:to.db"]);
        assert!(listed.out.contains("event store"), "{}", listed.all());
        assert!(
            listed.err.contains("/cinder-sv` cannot be read and is left out: invalid type"),
            "{}",
            listed.err
        );
        assert!(listed.err.contains("`larder refresh cluster/cinder` fetches it anew"), "{}", listed.err);
    }
    user.ok(&["refresh", "cluster/cinder", "--store", "sqlite:to.db"]);
    assert!(!user.ok(&["repos", "--offline", "--store", "sqlite:to.db"]).err.contains("left out"));
}

#[cfg(unix)]
#[test]
fn an_export_is_its_users_alone_and_takes_no_other_files_place() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_github, user) = filled();
    user.ok(&["export", "cache.jsonl", "--store", "sqlite:from.db"]);
    let path = user.project().join("cache.jsonl");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&path).unwrap();
    let again = user.run(&["export", "cache.jsonl", "--store", "sqlite:from.db"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("cause: it is there already"), "{}", again.err);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let left = std::fs::read_dir(user.project()).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(left.filter(|name| name.to_str().unwrap().starts_with(".tmp")).count(), 0);
}

#[test]
fn an_import_can_be_done_again_and_takes_nothing_twice() {
    let (github, user) = filled();
    user.ok(&["export", "old.jsonl", "--store", "sqlite:from.db"]);
    github.world(|world| world.edit("octo-org/cinder", |cinder| cinder.stars = 9999));
    user.ok(&["refresh", "cinder", "--store", "sqlite:from.db"]);
    user.ok(&["export", "new.jsonl", "--store", "sqlite:from.db"]);
    user.ok(&["import", "new.jsonl", "--store", "sqlite:to.db"]);
    let after = seen(&user, "sqlite:to.db");
    let again = user.ok(&["import", "new.jsonl", "--store", "sqlite:to.db"]);
    assert_eq!(again.out, "imported 0 entries; 2 more were held already, as young or younger\n");
    let older = user.json(&["import", "old.jsonl", "--store", "sqlite:to.db"]);
    assert_eq!(older, serde_json::json!({"imported": 0, "kept": 2, "left_out": []}));
    assert_eq!(seen(&user, "sqlite:to.db"), after, "nothing younger is replaced by an older one");
}

#[test]
fn what_was_stale_by_hand_or_failed_is_so_in_the_new_store() {
    let (_github, user) = filled();
    user.ok(&["cache", "invalidate", "cinder", "--store", "sqlite:from.db"]);
    user.ok(&["export", "cache.jsonl", "--store", "sqlite:from.db"]);
    user.ok(&["import", "cache.jsonl", "--store", "sqlite:to.db"]);
    let user = user.var("LARDER_STORE__URL", "sqlite:to.db");
    assert_eq!(user.status("cluster/cinder")["status"], "stale");
    assert_eq!(user.status("cluster/kiln")["status"], "fresh");
}

fn piped(user: &User, text: &[u8]) -> Ran {
    let mut command = user.command(&["import", "--store", "sqlite:to.db"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever refuses the first line reads no further.
    let _ = child.stdin.take().unwrap().write_all(text);
    Ran::of(&child.wait_with_output().unwrap(), user)
}

#[test]
fn one_larder_can_be_piped_into_another() {
    let (_github, user) = filled();
    let exported = user.ok(&["export", "--store", "sqlite:from.db"]);
    assert_eq!(exported.err, "", "all of it is public");
    let imported = piped(&user, exported.out.as_bytes());
    assert_eq!(imported.out, "imported 2 entries\n", "{}", imported.err);
    assert_eq!(seen(&user, "sqlite:to.db"), seen(&user, "sqlite:from.db"));
}

#[test]
fn an_export_says_that_it_holds_private_items_where_it_does() {
    let github = GitHub::demo();
    let user = User::of(&github, "[[cluster]]\nid = \"inner\"\nrepos = [\"octo-org/handbook\"]\n");
    user.ok(&["repos", "--store", "sqlite:from.db"]);
    let exported = user.ok(&["export", "cache.jsonl", "--store", "sqlite:from.db"]);
    assert_eq!(
        exported.err,
        "note: it holds private items too: it is written so that only you may read it\n"
    );
    let printed = user.ok(&["export", "--store", "sqlite:from.db"]);
    assert_eq!(printed.err, "note: what was printed holds private items too\n");
    let json = user.ok(&["export", "other.jsonl", "--json", "--store", "sqlite:from.db"]);
    assert_eq!(json.err, "");
}

#[test]
fn an_empty_cache_is_exported_as_one_and_nothing_private_is_said_to_be_in_it() {
    let user = User::new();
    user.write("larder.toml", CLUSTERS);
    let exported = user.ok(&["export", "cache.jsonl", "--store", "sqlite:from.db"]);
    assert_eq!(exported.out, "exported 0 entries to /root/project/cache.jsonl\n");
    assert_eq!(exported.err, "note: the cache is empty: nothing but a header was written\n");
    let printed = user.ok(&["export", "-", "--store", "sqlite:from.db"]);
    assert_eq!(printed.err, exported.err);
    assert_eq!(piped(&user, printed.out.as_bytes()).out, "imported 0 entries\n");
    let imported = user.ok(&["import", "cache.jsonl", "--store", "sqlite:to.db"]);
    assert_eq!((imported.out.as_str(), imported.err.as_str()), ("imported 0 entries\n", ""));
}

#[test]
fn a_file_that_was_cut_off_is_told_with_its_line_and_what_came_before_is_kept() {
    let (_github, user) = filled();
    let whole = user.ok(&["export", "-", "--store", "sqlite:from.db"]).out;
    let second = whole.match_indices('\n').nth(1).unwrap().0;
    let cut = piped(&user, &whole.as_bytes()[..second + 200]);
    insta::assert_snapshot!(cut.all(), @r"
    exit 1
    --- out
    --- err
    error: standard input could not be imported
    cause: line 3: the file ends here, in the middle: it was cut off
    hint: export it again, or copy it again
    hint: 1 entry came in before that; importing again takes nothing twice
    ");
    let imported = piped(&user, whole.as_bytes());
    assert_eq!(imported.out, "imported 1 entry; 1 more were held already, as young or younger\n");
    assert_eq!(seen(&user, "sqlite:to.db"), seen(&user, "sqlite:from.db"));
}

#[test]
fn what_is_no_export_is_said_so_and_makes_no_store() {
    let user = User::new();
    user.write("larder.toml", CLUSTERS);
    user.write("ranking.csv", "rank,item\n1,x\n");
    let ran = user.run(&["import", "ranking.csv", "--store", "sqlite:to.db"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 1
    --- out
    --- err
    error: /root/project/ranking.csv could not be imported
    cause: line 1: this is no export of Larder's: its first line does not say so
    hint: `larder export FILE` writes one
    ");
    assert!(!user.project().join("to.db").exists());
    let missing = user.run(&["import", "nowhere.jsonl"]);
    assert!(missing.err.contains("nowhere.jsonl could not be imported"), "{}", missing.err);
    assert!(missing.err.contains("hint: `larder export FILE` writes one"), "{}", missing.err);
    let untrusted = user.run(&["config", "trust", "nowhere.toml"]);
    assert!(untrusted.err.contains("nowhere.toml could not be read"), "{}", untrusted.err);
    assert!(untrusted.err.contains("hint: `larder config show`"), "{}", untrusted.err);
}
