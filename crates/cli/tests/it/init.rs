//! A file to start from.

use crate::world::{Ran, User};

#[test]
fn with_an_owner_there_is_nothing_left_to_do_and_init_says_so() {
    let user = User::new();
    let ran = user.ok(&["init", "--owner", "octo-org"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 0
    --- out
    wrote /root/project/larder.toml
    `larder repos` works right away and lists all of octo-org's; group them by `[[cluster]]`
    it is trusted as it stands; when you have edited it, run `larder config trust`
    --- err
    ");
}

#[test]
fn in_a_clone_of_githubs_the_owner_is_read_from_its_origin() {
    for (url, owner) in [
        ("git@github.com:octo-org/cinder.git", Some("octo-org")),
        ("https://github.com/octo-org/cinder", Some("octo-org")),
        ("ssh://git@github.com/hubber/gitgarden.git", Some("hubber")),
        ("https://gitlab.com/octo-org/cinder", None),
        ("../cinder", None),
    ] {
        let user = User::new();
        std::fs::create_dir_all(user.project().join(".git")).unwrap();
        let other = "[remote \"fork\"]\n\turl = git@github.com:someone/else.git\n";
        user.write(".git/config", &format!("{other}[remote \"origin\"]\n\turl = {url}\n\tfetch = x\n"));
        let ran = user.ok(&["init"]);
        let file = std::fs::read_to_string(user.project().join("larder.toml")).unwrap();
        let said = owner.map(|owner| format!("owner = \"{owner}\""));
        let written = file.lines().find(|line| line.starts_with("owner = "));
        assert_eq!(written, said.as_deref(), "{url}");
        assert_eq!(ran.out.contains(".git/config"), owner.is_some(), "{}", ran.out);
    }
}

#[test]
fn a_file_that_is_there_already_and_an_owner_that_cannot_be_are_said_in_plain_words() {
    let user = User::new();
    user.ok(&["init"]);
    let there = user.run(&["init"]);
    assert!(there.err.contains("cause: it is there already\n"), "{}", there.err);
    let owner = user.run(&["init", "--owner", "a b"]);
    assert_eq!(owner.code, 2);
    assert!(owner.err.starts_with("error: `a b` cannot be an owner"), "{}", owner.err);
}

/// A user who stands in a clone of a repository on GitHub.
fn in_a_clone() -> User {
    let user = User::new();
    user.write(".git/config", "[remote \"origin\"]\n\turl = git@github.com:octo-org/cinder.git\n");
    user
}

/// What lies in the project, by name.
fn files(user: &User) -> Vec<String> {
    let files = std::fs::read_dir(user.project()).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().file_name().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_workflow_that_has_no_place_is_told_before_anything_is_written() {
    let user = User::new();
    let ran = user.run(&["init", "--workflow", "mine.toml"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 2
    --- out
    --- err
    error: this is not a clone of a repository on github.com
    hint: run it in one, or leave `--workflow` out
    ");
    assert_eq!(files(&user), Vec::<String>::new());
    let user = in_a_clone();
    user.write(".github/workflows/larder-manifest.yml", "# mine\n");
    let ran = user.run(&["init", "--workflow"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.err.contains("or write over it: `larder manifest workflow --force`"), "{}", ran.err);
    assert_eq!(files(&user), [".git", ".github"]);
    // The same of one that is there already.
    user.write("larder.toml", "# mine\n");
    std::fs::remove_dir_all(user.project().join(".github")).unwrap();
    assert_eq!(user.run(&["init", "--workflow"]).code, 1);
    assert_eq!(files(&user), [".git", "larder.toml"]);
}

#[test]
fn programs_are_told_of_both_files_in_one_answer() {
    let user = in_a_clone();
    let told = user.json(&["init", "--workflow"]);
    assert_eq!(told["owner"], "octo-org");
    assert!(told["path"].as_str().unwrap().ends_with("larder.toml"), "{told}");
    let workflow = ".github/workflows/larder-manifest.yml";
    assert_eq!(told["workflow"]["outcome"], "written");
    assert!(told["workflow"]["path"].as_str().unwrap().ends_with(workflow), "{told}");
    let told = user.json(&["init", "--workflow", "mine.toml"]);
    assert_eq!(told["workflow"]["outcome"], "unchanged");
    assert!(user.json(&["init", "other.toml"])["workflow"].is_null());
    assert_eq!(user.json(&["manifest", "workflow"])["workflow"], "unchanged");
    let said = user.ok(&["init", "--workflow", "third.toml"]).out;
    assert!(
        said.contains("/third.toml\n") && said.contains(&format!("{workflow} is up to date\n")),
        "{said}"
    );
}

#[test]
fn a_file_of_another_name_is_named_in_what_there_is_to_do() {
    let user = User::new();
    let ran = user.ok(&["init", "--owner", "octo-org", "mine.toml"]);
    assert!(ran.out.contains("`larder --config mine.toml repos` works right away"), "{}", ran.out);
    let ran = user.ok(&["init", "--config", "ours.toml"]);
    assert!(ran.out.contains("then run `larder --config ours.toml repos`"), "{}", ran.out);
    // One that applies wherever one stands needs no name.
    let user = user.var("LARDER_CONFIG", "theirs.toml");
    let ran = user.ok(&["init", "--owner", "octo-org", "theirs.toml"]);
    assert!(ran.out.contains("`larder repos` works right away"), "{}", ran.out);
}

#[test]
#[cfg(unix)]
fn a_file_that_there_is_no_room_for_is_not_there_in_part() {
    let user = User::new();
    for command in ["init", "github-sim --write-config larder.toml"] {
        // A disk that is full, as far as this process can tell.
        let script = format!("trap '' XFSZ; ulimit -f 0; exec larder {command}");
        let ran = Ran::of(&user.bash(&script).output().unwrap(), &user);
        assert_eq!(ran.code, 1, "{}", ran.all());
        assert!(
            ran.err.starts_with("error: /root/project/larder.toml could not be written\ncause: "),
            "{}",
            ran.err
        );
        assert_eq!(files(&user), Vec::<String>::new());
    }
    let ran = user.run(&["init", "gone/larder.toml"]);
    assert!(ran.err.contains("cause: there is no folder /root/project/gone\n"), "{}", ran.err);
}

#[test]
#[cfg(unix)]
fn a_file_that_could_not_be_trusted_is_not_said_to_be() {
    let user = User::new();
    let name: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(b"d\xff".to_vec());
    let odd = user.project().join(name);
    std::fs::create_dir_all(&odd).unwrap();
    let ran = Ran::of(&user.command(&["init"]).current_dir(&odd).output().unwrap(), &user);
    insta::assert_snapshot!(ran.all(), @r"
    exit 0
    --- out
    wrote /root/project/d�/larder.toml
    set `owner` in it, or list repositories in a `[[cluster]]`; then run `larder --config larder.toml repos`
    it is not trusted: what it says of hosts, tokens and places counts only where it is named like that
    --- err
    note: it could not be noted as trusted: its path is not UTF-8
    ");
    let trust = Ran::of(&user.command(&["config", "trust"]).current_dir(&odd).output().unwrap(), &user);
    assert!(trust.err.ends_with("hint: name it each time: `larder --config FILE`\n"), "{}", trust.err);
    // What is the user's own needs no trust.
    let own = user.home().join(".config/larder");
    std::fs::create_dir_all(&own).unwrap();
    let ran = Ran::of(&user.command(&["init"]).current_dir(&own).output().unwrap(), &user);
    assert!(ran.code == 0 && !ran.all().contains("trust"), "{}", ran.all());
}

#[test]
fn a_dash_is_no_file() {
    let user = User::new();
    for args in [&["init", "-"][..], &["init", "--config", "-"], &["github-sim", "--write-config", "-"]] {
        let ran = user.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.all());
        assert!(ran.err.starts_with("error: `-` is no file"), "{}", ran.err);
        assert!(ran.err.contains("hint: "), "{}", ran.err);
    }
    assert_eq!(files(&user), Vec::<String>::new());
}
