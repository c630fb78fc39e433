//! A file to start from.

use crate::world::User;

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
