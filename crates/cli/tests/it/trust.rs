//! Which files are trusted, and what one that is not may not say.

use crate::world::{Ran, User};

#[test]
fn trust_can_be_given_for_a_file_and_taken_back() {
    let user = User::new();
    user.write("larder.toml", "[github]\ntoken = \"x\"\n");
    let shown = |user: &User| user.json(&["config", "show"])["file"]["trusted"].clone();
    assert_eq!(shown(&user), false);
    user.ok(&["config", "trust"]);
    assert_eq!(shown(&user), true);
    user.ok(&["config", "trust", "--revoke"]);
    assert_eq!(shown(&user), false);
}

#[test]
#[cfg(unix)]
fn a_users_own_file_is_trusted_whatever_links_lead_to_it() {
    let user = User::new();
    let (home, linked) = (user.home(), user.home().with_file_name("linked"));
    let (own, dot) = (home.join(".config/larder"), home.join("dot/larder"));
    for folder in [&own, &dot] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::os::unix::fs::symlink(&home, &linked).unwrap();
    let user = user.var("HOME", linked.to_str().unwrap());
    let shown = |from: &std::path::Path| {
        let mut command = user.command(&["config", "show", "--json"]);
        let shown = Ran::of(&command.current_dir(from).output().unwrap(), &user).json();
        let store = &shown["settings"].as_array().unwrap()[0];
        assert_eq!(store["value"], "sqlite:/root/linked/.local/share/larder/larder.db");
        shown["file"].clone()
    };
    std::fs::write(own.join("larder.toml"), "[github]\ntoken = \"x\"\n").unwrap();
    assert_eq!((&shown(&own)["trusted"], &shown(&own)["ignored"]), (&true.into(), &serde_json::json!([])));
    // As it is where the user's files are kept in one folder, and linked to from their places.
    std::fs::rename(own.join("larder.toml"), dot.join("larder.toml")).unwrap();
    std::os::unix::fs::symlink(dot.join("larder.toml"), own.join("larder.toml")).unwrap();
    assert_eq!((&shown(&dot)["trusted"], &shown(&dot)["ignored"]), (&true.into(), &serde_json::json!([])));
    // Another file is a stranger still.
    std::fs::write(user.project().join("larder.toml"), "[github]\ntoken = \"x\"\n").unwrap();
    assert_eq!(user.json(&["config", "show"])["file"]["trusted"], false);
}

#[test]
fn a_file_that_was_edited_after_it_was_trusted_is_told_from_a_strangers() {
    let user = User::new();
    user.write("larder.toml", "[github]\ntoken = \"x\"\n");
    assert!(user.ok(&["cache", "status"]).err.contains("came with this directory and is not trusted"));
    user.ok(&["config", "trust"]);
    user.write("larder.toml", "[github]\ntoken = \"y\"\n");
    let edited = user.ok(&["cache", "status"]);
    assert!(edited.err.contains("larder.toml has changed since it was trusted"), "{}", edited.err);
}

#[test]
fn where_a_strangers_roots_are_ignored_the_usual_ones_are_searched() {
    let user = User::new();
    let skill = user.home().join("dev/site/.claude/skills/deploy");
    std::fs::create_dir_all(&skill).unwrap();
    std::fs::write(skill.join("SKILL.md"), "# deploy\n").unwrap();
    let roots = |user: &User| -> Vec<String> {
        let shown = user.ok(&["config", "show"]).out;
        let line = shown.lines().find(|line| line.starts_with("projects.roots")).unwrap();
        line.split('\t').skip(1).map(str::to_owned).collect()
    };
    user.write("larder.toml", "[projects]\nroots = [\"/opt\"]\n");
    assert_eq!(roots(&user), ["/root/home/dev", "default"]);
    let listed = user.ok(&["projects"]);
    assert!(listed.out.contains("site"), "{}", listed.all());
    assert!(listed.err.contains("its `[projects] roots` is ignored"), "{}", listed.err);
    // What lies in its own folder it may name, and that there is none.
    user.write("larder.toml", "[projects]\nroots = [\"/opt\", \"code\"]\n");
    assert_eq!(roots(&user), ["/root/project/code", "larder.toml:2"]);
    user.write("larder.toml", "[projects]\nroots = []\n");
    assert_eq!(roots(&user), ["-", "larder.toml:2"]);
}

#[test]
fn what_is_no_configuration_is_not_trusted() {
    let user = User::new();
    user.write("hostname", "larder\n");
    user.write("other.toml", "[githb]\n");
    for file in ["hostname", "other.toml"] {
        let ran = user.run(&["config", "trust", file]);
        assert_eq!(ran.code, 2, "{}", ran.all());
        let named = format!("/root/project/{file} was not trusted, since it cannot be used");
        assert!(ran.err.starts_with(&format!("error: {named}\nerror: {file}:1:")), "{}", ran.err);
    }
    let list = user.home().join(".local/state/larder/trusted.json");
    assert!(!list.exists());
    user.write("other.toml", "[github]\ntoken = \"x\"\n");
    user.ok(&["config", "trust", "other.toml"]);
    // That of the other program is another language.
    user.write(".gh-pmu.yml", "repositories: [octo-org/cinder]\n");
    user.ok(&["config", "trust", ".gh-pmu.yml"]);
    user.write(".gh-pmu.yml", "repositories: {\n");
    let ran = user.run(&["config", "trust", ".gh-pmu.yml"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert_eq!(ran.err.matches("error: ").count(), 2, "{}", ran.err);
}

#[test]
fn trust_that_cannot_be_noted_names_the_file_that_it_is_noted_in() {
    let user = User::new();
    user.write("larder.toml", "[github]\ntoken = \"x\"\n");
    std::fs::write(user.home().join("state"), "a file").unwrap();
    let state = user.home().join("state");
    let user = user.var("XDG_STATE_HOME", state.to_str().unwrap());
    let ran = user.run(&["config", "trust"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.err.contains("/root/home/state/larder/trusted.json could not be written: "), "{}", ran.err);
    assert!(ran.err.contains("hint: ") && ran.err.contains("XDG_STATE_HOME"), "{}", ran.err);
    let checks = user.run(&["doctor", "--offline", "--json"]).json()["checks"].clone();
    let checks = checks.as_array().unwrap();
    let state = checks.iter().find(|check| check["on"] == "state").unwrap();
    assert!(state["hint"].as_str().unwrap().contains("XDG_STATE_HOME"), "{state}");
}

#[test]
fn a_list_of_trust_that_is_damaged_is_told_with_the_way_out() {
    let user = User::new();
    user.write("larder.toml", "[github]\ntoken = \"x\"\n");
    user.ok(&["config", "trust"]);
    let list = user.home().join(".local/state/larder/trusted.json");
    std::fs::write(&list, "{").unwrap();
    let wrong = "trusted.json could not be read: it cannot be understood: ";
    let out = "remove it or restore it, then trust your files again\n";
    let ran = user.ok(&["cache", "status", "--quiet"]);
    let told = |told: &str| told.contains(wrong) && told.ends_with(out);
    assert!(told(&ran.err), "{}", ran.err);
    for args in [&["config", "trust"][..], &["config", "trust", "--revoke"]] {
        let ran = user.run(args);
        assert!(ran.code == 1 && told(&ran.err), "{}", ran.all());
    }
    let checks = user.run(&["doctor", "--offline", "--json"]).json()["checks"].clone();
    let trust = checks.as_array().unwrap().iter().find(|check| check["on"] == "trust").unwrap();
    assert!(trust["verdict"] == "fail" && trust["found"].as_str().unwrap().contains(wrong), "{trust}");
    std::fs::remove_file(&list).unwrap();
    user.ok(&["config", "trust"]);
    assert!(!user.ok(&["cache", "status"]).err.contains("trust"));
}

#[test]
fn what_an_untrusted_file_may_not_set_is_told_in_full() {
    let user = User::new();
    let text = "[server]\nlisten = \"127.0.0.1:1\"\n[projects]\ncollections = [\"/opt\"]\n\
                [trackers]\nauto_pull = true\n[github]\ntoken = \"x\"\n";
    user.write("larder.toml", text);
    let help = user.ok(&["config", "trust", "--help"]).out.split_whitespace().collect::<Vec<_>>().join(" ");
    for held_back in [
        "`[store]`",
        "`[server]`",
        "`[github] api_url` and `token`",
        "`[projects] allow_links`, `collections`, `machine` and `roots` outside of its folder",
        "`[[marketplace]] url`",
        "`[trackers] auto_pull`",
    ] {
        assert!(help.contains(held_back), "{held_back}: {help}");
    }
}
