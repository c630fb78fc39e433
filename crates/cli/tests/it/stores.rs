//! Every store behind the same commands, and caches on their way between them.

use larder_github_sim::Switches;
use serde_json::Value;

use crate::postgres::Database;
use crate::world::{CLUSTERS, GitHub, User};

/// A store of each kind, and the database that the last one is in.
fn all() -> (Vec<String>, Database) {
    let database = Database::new();
    (vec!["sqlite:cache.db".to_owned(), "redb:cache.redb".to_owned(), database.url()], database)
}

/// What a reader sees of a store, network or not.
fn seen(user: &User) -> Value {
    let mut repos = user.json(&["repos", "--offline"]);
    for entry in repos["cache"].as_array_mut().unwrap() {
        // How old it is differs from one second to the next.
        entry["age_seconds"] = Value::Null;
    }
    repos
}

fn with(user: User, store: &str) -> User {
    user.var("LARDER_STORE__URL", store)
}

#[test]
fn each_store_serves_the_same_cache_by_the_same_commands() {
    let github = GitHub::demo();
    let (stores, _database) = all();
    let mut user = User::of(&github, CLUSTERS);
    let mut answers = Vec::new();
    for store in &stores {
        user = with(user, store);
        let first = user.ok(&["repos", "--sort", "stars"]);
        github.take_requests();
        assert_eq!(user.ok(&["repos", "--sort", "stars"]).out, first.out);
        assert!(github.requests().is_empty(), "{store}: what is fresh is served");
        assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
        let found = user.ok(&["repos", "--search", "cinder", "--language", "rust"]).out;
        let doctor = user.json(&["doctor", "--offline"]);
        let checks = doctor["checks"].as_array().unwrap();
        let wrong: Vec<&Value> = checks.iter().filter(|check| check["verdict"] != "ok").collect();
        assert!(wrong.is_empty(), "{store}: {wrong:?}");
        assert!(checks.iter().any(|check| check["on"] == "database"), "{doctor}");
        user.ok(&["cache", "invalidate", "cinder"]);
        assert_eq!(user.status("cluster/cinder")["status"], "stale");
        user.ok(&["cache", "clear", "cinder", "--yes"]);
        assert_eq!(user.status("cluster/cinder")["status"], "missing");
        answers.push((first.out, found));
    }
    assert_eq!(answers[1], answers[0], "redb");
    assert_eq!(answers[2], answers[0], "PostgreSQL");
}

#[test]
fn one_damaged_entry_is_told_of_by_name_and_all_others_are_shown_and_changed() {
    let github = GitHub::demo();
    let database = Database::new();
    for store in ["sqlite:cache.db".to_owned(), database.url()] {
        let user = with(User::of(&github, CLUSTERS), &store);
        user.ok(&["repos"]);
        let broken = if store.starts_with("sqlite") {
            let file = rusqlite::Connection::open(user.project().join("cache.db")).unwrap();
            file.execute("UPDATE entries SET warnings = 'oops' WHERE key = 'cluster/kiln'", []).unwrap();
            "warning: entries cluster/kiln: column `warnings` holds `oops`\n"
        } else {
            database.ask("UPDATE larder.entries SET warnings = '\"oops\"' WHERE key = 'cluster/kiln'");
            "warning: entries cluster/kiln: column `warnings` holds `\"oops\"`\n"
        };
        let hint = "note: `larder cache clear KEY --yes` removes a damaged entry, which is fetched anew\n";
        let told = |args: &[&str]| {
            let ran = user.ok(args);
            assert!(ran.err.starts_with(&format!("{broken}{hint}")), "{store} {args:?}: {}", ran.all());
            assert_eq!(ran.err.matches("oops").count(), 1, "{store} {args:?}: {}", ran.err);
            ran.out
        };
        assert!(told(&["repos", "--cluster", "cinder"]).contains("cinder-mcp"), "{store}");
        assert!(told(&["cache", "status"]).contains("cluster/cinder\tfresh"), "{store}");
        assert_eq!(told(&["cache", "invalidate", "cinder"]), "1 entry marked stale\n", "{store}");
        assert!(told(&["refresh", "cinder"]).contains("cluster/cinder\t"), "{store}");
        // One of its repositories is asked for by a former name.
        for args in [&["repos"][..], &["repos", "--json"], &["repos", "--json", "--offline"]] {
            let all = user.run(args);
            assert!(all.code == 3 && all.out.contains("cinder-mcp"), "{store} {args:?}: {}", all.all());
        }
        let verified = user.run(&["cache", "verify"]);
        assert_eq!(verified.out, broken.replace("warning: ", "entries: "), "{store}");
        assert!(!verified.err.contains("warning: entries"), "{store}: {}", verified.err);
        told(&["cache", "clear", "kiln", "--yes"]);
        assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
    }
}

#[test]
fn one_damaged_item_is_told_of_and_keeps_nobody_from_a_lists_others() {
    let github = GitHub::demo();
    let database = Database::new();
    let config = format!("[projects]\nroots = [\"code\"]\n{CLUSTERS}");
    for store in ["sqlite:cache.db".to_owned(), database.url()] {
        let user = with(User::of(&github, &config), &store);
        for (project, command) in [("site", "deploy"), ("bot", "ask")] {
            user.write(&format!("code/{project}/.claude/commands/{command}.md"), "Does it\n");
        }
        user.ok(&["repos"]);
        user.ok(&["projects"]);
        for damaged in [
            "kind = 'repository' AND id LIKE '%/cinder-mcp'",
            "kind = 'artifact' AND id LIKE 'bot-%'",
            "kind = 'project' AND id LIKE 'bot-%'",
        ] {
            let sql = format!("UPDATE items SET scope = 'oops' WHERE {damaged}");
            if store.starts_with("sqlite") {
                let file = rusqlite::Connection::open(user.project().join("cache.db")).unwrap();
                assert_eq!(file.execute(&sql, []).unwrap(), 1);
            } else {
                database.ask(&sql.replace("items", "larder.items"));
            }
        }
        for (args, shown) in [
            (&["repos"][..], "kiln"),
            (&["repos", "--search", "kiln"], "kiln"),
            (&["artifacts"], "deploy"),
            (&["artifacts", "--search", "de"], "deploy"),
            (&["projects"], "site"),
        ] {
            let ran = user.run(args);
            assert!(ran.out.contains(shown) && [0, 3].contains(&ran.code), "{store} {args:?}: {}", ran.all());
            let is_told = ran.err.contains("column `scope` holds");
            assert!(is_told || args.contains(&"--search"), "{store} {args:?}: {}", ran.all());
        }
        let exported = user.run(&["export", "rest.jsonl"]);
        assert_eq!(exported.code, 3, "{store}: {}", exported.all());
        for left_out in ["warning: `cluster/cinder` is left out: ", "warning: `projects/bot-"] {
            assert!(exported.err.contains(left_out), "{store}: {}", exported.err);
        }
        let rest = std::fs::read_to_string(user.project().join("rest.jsonl")).unwrap();
        assert!(rest.contains("cluster/kiln") && rest.contains("projects/site-"), "{store}");
        user.ok(&["import", "rest.jsonl", "--store", "sqlite:rest.db"]);
    }
}

#[test]
fn a_cache_goes_round_all_stores_and_comes_back_as_it_was() {
    let github = GitHub::demo();
    let (stores, _database) = all();
    let mut user = with(User::of(&github, CLUSTERS), &stores[0]);
    user.ok(&["repos"]);
    user.ok(&["cache", "invalidate", "kiln"]);
    let before = seen(&user);
    github.take_requests();
    let mut round = stores.clone();
    round.extend(["redb:second.redb".to_owned(), "sqlite:last.db".to_owned()]);
    for (number, pair) in round.windows(2).enumerate() {
        let file = format!("{number}.jsonl");
        user = with(user, &pair[0]);
        user.ok(&["export", &file]);
        user = with(user, &pair[1]);
        assert_eq!(user.ok(&["import", &file]).out, "imported 2 entries\n", "into {}", pair[1]);
        assert_eq!(seen(&user), before, "from {} to {}", pair[0], pair[1]);
        assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
        let again = user.ok(&["import", &file]).out;
        assert_eq!(again, "imported 0 entries; 2 more were held already, as young or younger\n");
    }
    assert!(github.requests().is_empty(), "nothing was fetched on the way");
}

/// In a database that several machines share their keys bear a mark, and alone they bear none. That the folder
/// went away meanwhile, as a disk does, makes them no less this machine's.
#[test]
fn local_projects_that_were_moved_into_another_store_are_this_machines_there() {
    let github = GitHub::demo();
    let (stores, _database) = all();
    let mut user = with(User::of(&github, "[projects]\nroots = [\"code\"]\n"), &stores[0]);
    user.write("code/site/.claude/commands/deploy.md", "Deploys\n");
    let list = |user: &User, args: &[&str]| user.run(args).out.lines().skip(1).count();
    assert_eq!(list(&user, &["projects"]), 1);
    std::fs::rename(user.project().join("code"), user.home().join("away")).unwrap();
    let mut round = stores.clone();
    round.extend(["redb:second.redb".to_owned(), "sqlite:last.db".to_owned()]);
    for (number, pair) in round.windows(2).enumerate() {
        let file = format!("{number}.jsonl");
        user = with(user, &pair[0]);
        user.ok(&["export", &file]);
        user = with(user, &pair[1]);
        user.ok(&["import", &file]);
        for args in [&["projects"][..], &["projects", "--offline"], &["artifacts", "--project", "site"]] {
            assert_eq!(list(&user, args), 1, "{args:?} in {}: {}", pair[1], user.run(args).all());
        }
    }
    std::fs::rename(user.home().join("away"), user.project().join("code")).unwrap();
    for store in &round {
        user = with(user, store);
        user.ok(&["projects", "--refresh"]);
        let held = user.json(&["cache", "status", "--source", "projects"]);
        assert_eq!(held["entries"].as_array().unwrap().len(), 3, "two roots and a project: {held}");
        assert_eq!(user.json(&["artifacts"])["artifacts"].as_array().unwrap().len(), 1, "{store}");
    }
}

/// Its folders may lie at the same paths.
#[test]
fn what_another_machine_exported_stays_that_machines() {
    let github = GitHub::demo();
    let database = Database::new();
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("code");
    let config = format!("[projects]\nroots = [\"{}\"]\n", path.display());
    let user = |store: &str| {
        let user = with(User::of(&github, &config), store);
        user.ok(&["config", "trust"]);
        user
    };
    let command = path.join("site/.claude/commands");
    std::fs::create_dir_all(&command).unwrap();
    std::fs::write(command.join("deploy.md"), "Deploys\n").unwrap();
    let listed = |user: &User| user.run(&["projects", "--offline"]).out.lines().skip(1).count();
    let theirs = user("sqlite:cache.db");
    theirs.ok(&["projects"]);
    let file = root.path().join("theirs.jsonl");
    theirs.ok(&["export", file.to_str().unwrap()]);
    let exported = std::fs::read_to_string(&file).unwrap();
    let mark = exported.split("\"machine\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    std::fs::remove_dir_all(&path).unwrap();
    for (written, count) in [(mark.as_str(), 1), ("0ddba1", 0)] {
        std::fs::write(&file, exported.replace(&mark, written)).unwrap();
        for store in [format!("sqlite:{written}.db"), format!("redb:{written}.redb")] {
            let ours = user(&store);
            ours.ok(&["import", file.to_str().unwrap()]);
            assert_eq!(listed(&ours), count, "{store}");
        }
    }
    let shared = user(&database.url());
    std::fs::write(&file, exported.replace(&mark, "0ddba1")).unwrap();
    shared.ok(&["import", file.to_str().unwrap()]);
    assert_eq!(listed(&shared), 0);
    std::fs::write(&file, &exported).unwrap();
    shared.ok(&["import", file.to_str().unwrap()]);
    assert_eq!(listed(&shared), 1, "beside the other's");
}

#[test]
fn on_each_store_a_stale_read_is_refreshed_by_one_child_behind_it() {
    let github = GitHub::demo();
    let (stores, _database) = all();
    let mut user = User::of(&github, CLUSTERS);
    for store in &stores {
        user = with(user, store);
        user.ok(&["repos", "--cluster", "cinder"]);
        user.ok(&["cache", "invalidate", "cinder"]);
        github.take_requests();
        github.switch(Switches { hold: true, ..Switches::default() });
        for _ in 0..3 {
            // A store that has one user at a time is not held while GitHub is waited for.
            assert_eq!(
                user.json(&["repos", "--cluster", "cinder"])["cache"][0]["status"],
                "stale",
                "{store}"
            );
        }
        github.switch(Switches::default());
        user.wait_for_child();
        assert_eq!(user.status("cluster/cinder")["status"], "fresh", "{store}");
        assert_eq!(github.requests().iter().filter(|request| request.repositories > 0).count(), 1, "{store}");
    }
}

#[test]
fn a_database_is_taken_from_the_environment_and_its_password_is_shown_nowhere() {
    let github = GitHub::demo();
    let database = Database::new();
    let user = User::of(&github, CLUSTERS).var("DATABASE_URL", &database.url());
    let shown = user.ok(&["config", "show"]);
    let server = database.server();
    assert!(shown.out.contains(&format!("store.url\tpostgres://larder@{server}/")), "{}", shown.out);
    assert!(shown.out.contains("env DATABASE_URL"), "{}", shown.out);
    user.ok(&["repos"]);
    assert_eq!(database.ask("SELECT count(*) FROM larder.entries"), "2");
    let commands: [&[&str]; 6] = [
        &["config", "show"],
        &["doctor", "--offline"],
        &["cache", "status"],
        &["migrate", "status"],
        &["cache", "verify"],
        &["show", "cinder"],
    ];
    for command in commands {
        for more in [&[][..], &["--json"]] {
            let ran = user.ok(&[command, more].concat());
            assert!(!ran.all().contains(&database.password()), "{command:?}\n{}", ran.all());
        }
    }
    // Also where it cannot be reached.
    let (before, _) =
        database.url().split_once('@').map(|(before, after)| (before.to_owned(), after.to_owned())).unwrap();
    let user = user.var("DATABASE_URL", &format!("{before}@127.0.0.1:1/nowhere")).var("LARDER_LOG", "trace");
    for command in [&["repos"][..], &["doctor", "--offline"], &["migrate", "status"], &["config", "show"]] {
        let ran = user.run(command);
        assert!(!ran.all().contains(&database.password()), "{command:?}\n{}", ran.all());
    }
    let ran = user.without("LARDER_LOG").run(&["repos"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("cannot be reached"), "{}", ran.err);
    assert!(ran.err.contains("see whether the database runs"), "{}", ran.err);
}

#[test]
fn who_gives_no_password_is_told_where_and_that_of_the_environment_is_taken() {
    let github = GitHub::demo();
    let database = Database::new();
    let bare = database.url().replace(&format!(":{}@", database.password()), "@");
    let user = User::of(&github, CLUSTERS).var("LARDER_STORE__URL", &bare);
    for command in [&["repos"][..], &["migrate", "status"], &["doctor", "--offline"]] {
        let ran = user.run(command);
        assert_eq!(ran.code, 1, "{}", ran.all());
        let said = ran.all();
        assert!(said.contains("password missing") && said.contains("set PGPASSWORD, or write"), "{said}");
    }
    let user = user.var("PGPASSWORD", &database.password());
    user.ok(&["repos"]);
    assert_eq!(database.ask("SELECT count(*) FROM larder.entries"), "2");
    for command in [&["config", "show"][..], &["migrate", "status"], &["cache", "status", "--json"]] {
        let ran = user.ok(command);
        assert!(!ran.all().contains(&database.password()), "{}", ran.all());
    }
    let by_option = user.without("LARDER_STORE__URL").ok(&["repos", "--store", &bare]);
    assert!(!by_option.err.contains("others on this machine may read"), "{}", by_option.err);
}

#[test]
fn what_is_wrong_with_a_servers_address_or_certificate_is_told_with_what_to_write() {
    let database = Database::new();
    let by_name = database.url().replace("127.0.0.1", "localhost");
    let user = User::new();
    let wrong = user.run(&["cache", "status", "--store", &format!("{by_name}?sslmod=verify-full")]);
    assert_eq!(wrong.code, 2, "{}", wrong.err);
    assert!(wrong.err.contains("error: flag --store: the store's address cannot be read\n"), "{}", wrong.err);
    assert!(wrong.err.contains("hint: did you mean `sslmode`?\n"), "{}", wrong.err);
    let strange = user.var("LARDER_STORE__URL", &format!("{by_name}?sslmode=verify-full"));
    for command in [&["cache", "status"][..], &["migrate", "up"]] {
        let ran = strange.run(command);
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.err.contains("sslrootcert=/PATH/ca.pem"), "{}", ran.err);
    }
    #[expect(clippy::disallowed_methods, reason = "`./test` says where its certificates are by a variable")]
    let ca = std::env::var("LARDER_TEST_POSTGRES_CA").unwrap();
    let query = format!("?sslmode=verify-full&sslrootcert={ca}");
    let other = User::new().var("LARDER_STORE__URL", &format!("{}{query}", database.url()));
    let ran = other.run(&["cache", "status"]);
    assert!(ran.err.contains("?sslmode=verify-ca"), "{}", ran.err);
    let user = User::new().var("LARDER_STORE__URL", &format!("{by_name}{query}"));
    user.ok(&["cache", "status"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_password_given_on_the_command_line_is_not_handed_on_by_it() {
    let github = GitHub::demo();
    let database = Database::new();
    let user = User::of(&github, CLUSTERS);
    let store = ["--store", &database.url()];
    user.ok(&[&["repos"][..], &store].concat());
    user.ok(&[&["cache", "invalidate", "--all"][..], &store].concat());
    github.take_requests();
    github.switch(Switches { hold: true, ..Switches::default() });
    let stale = user.ok(&[&["repos"][..], &store].concat());
    assert!(stale.err.contains("refreshing behind"), "{}", stale.err);
    assert!(stale.err.contains("others on this machine may read the password"), "{}", stale.err);
    // The child is at work: it asks GitHub, on the same store.
    crate::fire::until("the child asks", || (!github.requests().is_empty()).then_some(()));
    let lines = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|process| std::fs::read_to_string(process.unwrap().path().join("cmdline")).ok());
    let ours: Vec<String> = lines.filter(|line| line.contains("--detached")).collect();
    assert!(!ours.is_empty() && ours.iter().all(|line| !line.contains(&database.password())), "{ours:?}");
    github.switch(Switches::default());
    user.wait_for_child();
    let entries = user.json(&[&["cache", "status"][..], &store].concat())["entries"].clone();
    assert!(entries.as_array().unwrap().iter().all(|entry| entry["status"] == "fresh"), "{entries}");
}

#[test]
fn the_schema_of_each_store_says_where_it_stands_and_is_taken_back_only_on_a_yes() {
    let github = GitHub::demo();
    let (stores, database) = all();
    let mut user = User::of(&github, CLUSTERS);
    for store in [&stores[0], &stores[2]] {
        user = with(user, store);
        let schema = |user: &User| user.json(&["migrate", "status"])["schema"].as_u64().unwrap();
        assert_eq!(schema(&user), 0, "looking makes nothing");
        user.ok(&["repos"]);
        let newest = schema(&user);
        assert!(newest > 0);
        let refused = user.run(&["migrate", "down", "--to", "0"]);
        assert_eq!(refused.code, 2, "{}", refused.err);
        assert!(refused.err.contains("all that it holds (2 entries, "), "{}", refused.err);
        assert!(refused.err.contains("lost, and nobody can be asked"), "{}", refused.err);
        assert_eq!(schema(&user), newest, "nothing happened");
        let down = user.json(&["migrate", "down", "--to", "0", "--yes"]);
        assert_eq!(down["schema"], 0);
        assert_eq!(schema(&user), 0);
        let wrong = user.run(&["migrate", "down", "--to", "7", "--yes"]);
        assert_eq!(wrong.code, 2, "{}", wrong.err);
        assert_eq!(user.json(&["migrate", "up"])["schema"].as_u64(), Some(newest));
        assert_eq!(
            user.json(&["repos"])["repositories"].as_array().unwrap().len(),
            4,
            "and it fills itself again"
        );
    }
    assert_eq!(
        database.ask("SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'larder'"),
        "1"
    );
    user = with(user, &stores[1]);
    assert_eq!(user.json(&["migrate", "status"])["schema"], 0);
    user.ok(&["repos"]);
    assert_eq!(user.json(&["migrate", "status"])["schema"], 1);
    // Nobody is asked whether they want what cannot be.
    for yes in [&[][..], &["--yes"]] {
        let refused = user.run(&[&["migrate", "down", "--to", "0"], yes].concat());
        assert_eq!(refused.code, 2);
        assert!(
            refused.err.contains("no way down") && refused.err.contains("larder export"),
            "{}",
            refused.err
        );
    }
}

#[test]
fn a_redb_file_that_a_server_holds_is_said_to_be_so() {
    let github = GitHub::demo();
    let user = with(User::of(&github, CLUSTERS), "redb:cache.redb");
    let serving = crate::serving::Serving::start(&user, &["serve"]);
    for command in [&["repos"][..], &["cache", "status"], &["serve", "--listen", "127.0.0.1:0"]] {
        let ran = user.run(command);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("is held by another process"), "{}", ran.err);
        let hint = format!("hint: ask the `larder serve` at http://{}, which holds it", serving.address);
        assert!(ran.err.contains(&hint), "{}", ran.err);
    }
    let (head, body) = serving.get("/api/v1/clusters/cinder");
    assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("cinder-mcp"), "{head}");
    assert!(serving.stop().success());
    assert_eq!(user.ok(&["repos", "--offline", "--cluster", "cinder"]).out.lines().count(), 4);
}

/// As another command does while it commits.
#[test]
#[cfg(target_os = "linux")]
fn a_redb_file_that_another_holds_is_waited_for_and_in_the_end_said_to_be_held() {
    let github = GitHub::demo();
    let user = with(User::of(&github, CLUSTERS), "redb:cache.redb");
    user.ok(&["repos"]);
    let file = std::fs::File::open(user.project().join("cache.redb")).unwrap();
    for command in [&["repos", "--offline"][..], &["cache", "status"], &["refresh", "cinder"]] {
        file.lock().unwrap();
        let mut waits = user.command(command).stdout(std::process::Stdio::null()).spawn().unwrap();
        for _ in 0..20 {
            crate::fire::pause(std::time::Duration::from_millis(5));
            assert_eq!(waits.try_wait().unwrap(), None, "{command:?} waits");
        }
        file.unlock().unwrap();
        assert!(waits.wait().unwrap().success(), "{command:?} goes on");
    }
    file.lock().unwrap();
    for command in
        [&["repos", "--offline"][..], &["refresh", "cinder"], &["serve", "--listen", "127.0.0.1:0"]]
    {
        let ran = user.run(command);
        let said = "error: /root/project/cache.redb is held by another process, and has one user at a time: waited in vain \
            to open it\n\
            hint: ask the `larder serve` that holds it, over HTTP, or stop it; many at once can use a SQLite store: \
            `[store] url`\n";
        assert_eq!((ran.code, &*ran.out, &*ran.err), (1, "", said), "{command:?}");
    }
}

/// As a child does that refreshes behind the command before: it is over in a moment.
#[test]
#[cfg(target_os = "linux")]
fn a_schema_is_taken_back_as_soon_as_nobody_else_uses_the_file() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS).var("LARDER_STORE__URL", "sqlite:cache.db");
    user.ok(&["repos"]);
    let held = std::fs::File::open(user.project().join("cache.db.lock")).unwrap();
    held.lock_shared().unwrap();
    let mut down = user.command(&["migrate", "down", "--to", "0", "--yes"]).spawn().unwrap();
    for _ in 0..40 {
        crate::fire::pause(std::time::Duration::from_millis(5));
        assert_eq!(down.try_wait().unwrap(), None, "it waits");
    }
    drop(held);
    assert!(down.wait().unwrap().success());
    assert_eq!(user.json(&["migrate", "status"])["schema"], 0);
    user.ok(&["repos"]);
    let serving = crate::serving::Serving::start(&user, &["serve"]);
    let ran = user.run(&["migrate", "down", "--yes"]);
    assert_eq!(ran.code, 1);
    let hint = format!("hint: stop the `larder serve` at http://{}, which uses it", serving.address);
    assert!(ran.err.contains(&hint), "{}", ran.err);
}
