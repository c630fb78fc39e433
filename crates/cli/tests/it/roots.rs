//! The folders that projects are looked for below: they go and come, cannot be read, and several machines
//! that share a store have the same.

use crate::folders::{asked, names};
use crate::postgres::Database;
use crate::serving::Serving;
use crate::world::{Ran, User};

#[test]
fn a_root_that_cannot_be_looked_at_is_complained_of_alike_whether_or_not_a_refresh_is_asked() {
    let user = User::new();
    user.write("larder.toml", "[projects]\nroots = [\"code\", \"gone\"]\n");
    user.write("code/site/.claude/commands/deploy.md", "Deploys\n");
    for refresh in [&[][..], &["--refresh"], &[], &["--refresh"]] {
        let listed = user.run(&[&["projects"], refresh].concat());
        assert_eq!(listed.code, 3, "{}", listed.all());
        assert!(listed.out.contains("site"), "{}", listed.all());
        assert!(listed.err.contains("the root /root/project/gone cannot be looked at"), "{}", listed.err);
    }
}

#[test]
fn a_usual_root_that_went_away_keeps_its_projects_and_is_told_of_until_it_is_back_or_forgotten() {
    let user = User::new();
    let skill = user.home().join("dev/site/.claude/commands/deploy.md");
    std::fs::create_dir_all(skill.parent().unwrap()).unwrap();
    std::fs::write(skill, "Deploys\n").unwrap();
    let listed = |flags: &[&str]| user.run(&[&["projects"], flags].concat());
    let seen = user.ok(&["projects"]);
    assert!(seen.out.contains("site\t") && seen.err.is_empty(), "{}", seen.all());
    let (there, away) = (user.home().join("dev"), user.home().join("elsewhere"));
    std::fs::rename(&there, &away).unwrap();
    for flags in [&[][..], &["--refresh"], &[]] {
        let kept = listed(flags);
        assert_eq!(kept.out, seen.out, "{}", kept.all());
        assert!(kept.err.contains("the root /root/home/dev cannot be looked at"), "{}", kept.err);
        assert!(kept.err.contains("`[projects] roots`") && !kept.err.contains("GitHub"), "{}", kept.err);
    }
    assert_eq!(listed(&["--offline"]).out, seen.out);
    let artifacts = user.run(&["artifacts"]);
    assert!(artifacts.out.contains("deploy\t"), "{}", artifacts.all());
    let serving = Serving::start(&user, &["serve"]);
    assert_eq!(names(&asked(&serving, "/api/v1/projects"), "projects"), ["site"]);
    assert!(serving.stop().success());
    std::fs::rename(&away, &there).unwrap();
    let back = listed(&["--refresh"]);
    assert!(back.code == 0 && back.err.is_empty() && back.out.contains("site\t"), "{}", back.all());

    std::fs::remove_dir_all(&there).unwrap();
    let entries = user.json(&["cache", "status", "--source", "projects"]);
    let keys = entries["entries"].as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap());
    let root = keys.filter(|key| key.contains("/roots/dev-")).collect::<Vec<_>>();
    user.ok(&["cache", "clear", root[0], "--yes"]);
    let forgotten = listed(&[]);
    assert!(forgotten.code == 0 && !forgotten.out.contains("site"), "{}", forgotten.all());
    assert!(!forgotten.err.contains("home/dev"), "{}", forgotten.err);
}

#[test]
fn who_named_no_root_or_one_that_is_not_there_is_told_so_and_not_of_the_usual_ones() {
    let user = User::new();
    user.write("larder.toml", "[projects]\nroots = []\n");
    user.ok(&["config", "trust"]);
    let file = user.project().join("larder.toml");
    let at_home = |args: &[&str]| {
        let mut command = user.command(&[&["--config", file.to_str().unwrap()], args].concat());
        Ran::of(&command.current_dir(user.home()).output().unwrap(), &user)
    };
    insta::assert_snapshot!(at_home(&["projects"]).all(), @r#"
    exit 2
    --- out
    --- err
    error: there is no folder to look for projects in
    cause: `[projects] roots` names none (/root/project/larder.toml:2)
    hint: stand in a project, or name folders in /root/project/larder.toml, such as
        [projects]
        roots = ["~/code"]
    "#);
    user.write("larder.toml", "[projects]\nroots = [\"nope\", \"neither\"]\n");
    user.ok(&["config", "trust"]);
    let nowhere = at_home(&["projects"]);
    for name in ["nope", "neither"] {
        let told = format!("the root /root/project/{name} cannot be looked at");
        assert!(nowhere.err.contains(&told), "{}", nowhere.all());
    }
    assert!(nowhere.err.contains("`[projects] roots`"), "{}", nowhere.all());
    let once_more = at_home(&["projects"]).err;
    assert!(once_more.contains("`[projects] roots`") && !once_more.contains("GitHub"), "{once_more}");
}

#[test]
fn a_damaged_root_is_told_of_and_what_lies_below_the_others_is_listed() {
    let user = User::new();
    user.write("larder.toml", "[projects]\nroots = [\"code\", \"more\"]\n");
    user.ok(&["config", "trust"]);
    user.write("code/site/.claude/commands/deploy.md", "Deploys\n");
    user.write("more/bot/.claude/commands/answer.md", "Answers\n");
    user.ok(&["projects"]);
    let place = user.json(&["cache", "status"])["store"]["place"].as_str().unwrap().to_owned();
    let root = user.home().parent().unwrap().canonicalize().unwrap();
    let file = rusqlite::Connection::open(place.replace("/root", root.to_str().unwrap())).unwrap();
    let sql = "UPDATE entries SET warnings = 'oops' WHERE key LIKE 'projects/roots/code-%'";
    assert_eq!(file.execute(sql, []).unwrap(), 1);
    for args in [&["projects"][..], &["artifacts", "--project", "bot"]] {
        let listed = user.run(args);
        assert!(listed.out.contains("bot"), "{}", listed.all());
        assert!(listed.err.contains("column `warnings` holds `oops`"), "{}", listed.all());
    }
    user.run(&["refresh", "--all"]);
    // What lies below it is there all the same, for all that is known.
    let gone = "SELECT count(*) FROM entries WHERE unconfigured_since IS NOT NULL";
    assert_eq!(file.query_row(gone, [], |row| row.get::<_, u32>(0)).unwrap(), 0);
}

/// Equal paths are usual: `/root/projects`, `/home/ubuntu/src`.
#[test]
fn machines_that_share_a_database_keep_their_projects_apart_though_their_paths_are_the_same() {
    let database = Database::new();
    let root = tempfile::tempdir().unwrap();
    let skill = |name: &str| {
        std::fs::remove_dir_all(root.path().join("site")).ok();
        let dir = root.path().join("site/.claude/skills").join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("SKILL.md"), format!("# {name}\n")).unwrap();
    };
    let config = format!("[projects]\nroots = [\"{}\"]\n", root.path().display());
    let machines = ["one", "two"].map(|name| User::new().var("LARDER_PROJECTS__MACHINE", name));
    let names = |user: &User, how: &str| -> Vec<String> {
        let listed = user.json(&["artifacts", how, "--store", &database.url()]);
        let listed = listed["artifacts"].as_array().unwrap().iter();
        listed.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    for (user, name) in machines.iter().zip(["theirs", "ours"]) {
        user.write("larder.toml", &config);
        user.ok(&["config", "trust"]);
        skill(name);
        assert_eq!(names(user, "--refresh"), [name]);
    }
    for (user, name) in machines.iter().zip(["theirs", "ours"]) {
        assert_eq!(names(user, "--offline"), [name]);
    }
    let unconfigured = |user: &User| -> Vec<bool> {
        let status = user.json(&["cache", "status", "--source", "projects", "--store", &database.url()]);
        let mut entries = status["entries"].as_array().unwrap().clone();
        entries.retain(|entry| !entry["fetched_at"].is_null());
        entries.iter().map(|entry| entry["unconfigured_since"].is_string()).collect()
    };
    let elsewhere = User::new();
    elsewhere.write("larder.toml", "[projects]\nroots = []\n");
    for user in machines.iter().chain([&elsewhere]) {
        user.ok(&["refresh", "--due", "--store", &database.url()]);
        assert_eq!(unconfigured(user), [false; 6], "two roots and a project each, of which no other tells");
    }
    machines[0].write("larder.toml", "[projects]\nroots = []\n");
    machines[0].ok(&["refresh", "--due", "--store", &database.url()]);
    let gone = unconfigured(&machines[0]).into_iter().filter(|gone| *gone).count();
    assert_eq!(gone, 2, "what went from its own configuration is its to tell of");
}

/// As jobs have one each, and containers: what each run leaves must not be a set of projects of its own.
#[test]
fn a_machine_with_a_fresh_home_each_time_is_one_machine() {
    let database = Database::new();
    let root = tempfile::tempdir().unwrap();
    let skill = root.path().join("site/.claude/skills/deploy");
    std::fs::create_dir_all(&skill).unwrap();
    std::fs::write(skill.join("SKILL.md"), "# deploy\n").unwrap();
    let config = format!("[projects]\nroots = [\"{}\"]\n", root.path().display());
    let held = |user: &User| -> Vec<String> {
        user.write("larder.toml", &config);
        user.ok(&["config", "trust"]);
        assert!(user.ok(&["projects", "--store", &database.url()]).out.contains("site"));
        let entries = user.json(&["cache", "status", "--source", "projects", "--store", &database.url()]);
        let keys = entries["entries"].as_array().unwrap().iter();
        let keys = keys.map(|entry| entry["key"].as_str().unwrap().to_owned());
        keys.filter(|key| !key.starts_with("projects/roots/")).collect()
    };
    // By what the system has to tell it by, or else by the name that it is given.
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let is_told = id.trim().len() == 32;
    let named = |name| User::new().var("LARDER_PROJECTS__MACHINE", name);
    let user = || if is_told { User::new() } else { named("build") };
    let first = held(&user());
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(held(&user()), first);
    assert_eq!(held(&named("other")).len(), 2);
    assert_eq!(held(&named("other")).len(), 2);
}

#[test]
fn a_refresh_goes_on_until_all_is_read_that_can_be_in_the_time_that_a_look_has() {
    let user = User::new();
    user.write(
        "larder.toml",
        "[projects]\nroots = [\"code\"]\n[engine]\nhard_timeout = \"1s\"\nsoft_timeout = \"1s\"\n",
    );
    for number in 0..12 {
        let skill = format!("code/site/.claude/skills/s{number}");
        user.write(&format!("{skill}/SKILL.md"), "# skill\n");
        user.write(&format!("{skill}/weights.bin"), "");
        // Nothing but a length, which is read all the same.
        let file = std::fs::File::options().write(true).open(user.project().join(&skill).join("weights.bin"));
        file.unwrap().set_len(80 << 20).unwrap();
    }
    let done = user.json(&["refresh", "--source", "projects"]);
    let outcomes: Vec<&str> =
        done["refreshed"].as_array().unwrap().iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert!(!outcomes.is_empty() && !outcomes.contains(&"partial"), "{done:#}");
    let artifacts = user.json(&["artifacts", "--offline"]);
    assert_eq!(artifacts["artifacts"].as_array().unwrap().len(), 12);
    assert!(!artifacts.to_string().contains("the next look"), "{artifacts:#}");
}
