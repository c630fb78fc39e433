//! What people are told where a PostgreSQL database is not to be had, or not Larder's: what was
//! found, and what they can do, by every command alike.

use crate::postgres::Database;
use crate::world::{CLUSTERS, GitHub, User};

/// Asks as people do, and checks that all they are told is that, with something to do.
fn check(user: &User, found: &str, hint: &str) {
    for command in [&["repos"][..], &["cache", "status"], &["refresh", "--all"], &["serve"]] {
        let ran = user.run(command);
        assert_eq!(ran.code, 1, "{command:?}\n{}", ran.all());
        assert_eq!(ran.out, "", "{command:?}");
        let lines: Vec<&str> = ran.err.lines().collect();
        assert!(lines[0].starts_with("error: ") && lines[0].contains(found), "{command:?}\n{}", ran.err);
        assert!(lines[1].starts_with("hint: ") && lines[1].contains(hint), "{command:?}\n{}", ran.err);
        assert_eq!(lines.len(), 2, "{command:?}\n{}", ran.err);
    }
    let ran = user.run(&["doctor", "--offline", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    let checks = ran.json()["checks"].clone();
    let database = checks.as_array().unwrap().iter().find(|check| check["on"] == "database").unwrap();
    assert_eq!(database["verdict"], "fail");
    assert!(database["found"].as_str().unwrap().contains(found), "{database}");
    assert!(database["hint"].as_str().unwrap().contains(hint), "{database}");
}

/// A user of a database.
fn user_of(github: &GitHub, url: &str) -> User {
    User::of(github, CLUSTERS).var("LARDER_STORE__URL", url)
}

/// Its address with another password.
fn with_password(database: &Database, password: &str) -> String {
    database.url().replace(&database.password(), password)
}

#[test]
fn a_wrong_password_and_a_database_that_is_not_there_are_said_to_be_so() {
    let (github, database) = (GitHub::demo(), Database::new());
    let user = user_of(&github, &with_password(&database, "wr0ng"));
    check(&user, "password authentication failed for user \"larder\"", "see user and password in the");
    assert!(!user.run(&["repos"]).all().contains("wr0ng"));
    let user = user_of(&github, &format!("{}_not_there", database.url()));
    check(&user, "_not_there\" does not exist", "make it (`createdb`)");
}

#[test]
fn a_database_that_nobody_answers_for_is_said_to_be_so() {
    let github = GitHub::demo();
    let user = user_of(&github, "postgres://larder@127.0.0.1:1/larder");
    check(&user, "cannot be reached", "see whether the database runs");
}

#[test]
fn a_schema_that_is_somebody_elses_is_left_alone_and_a_newer_one_wants_a_newer_larder() {
    let (github, database) = (GitHub::demo(), Database::new());
    let user = user_of(&github, &database.url());
    database.ask("CREATE SCHEMA larder; CREATE TABLE larder.jars (jam text)");
    check(&user, "its schema `larder` is somebody else's", "set `[store] url` to another database");
    database.ask("DROP SCHEMA larder CASCADE");
    user.ok(&["migrate", "up"]);
    database.ask("INSERT INTO larder.migrations VALUES (99, 'of tomorrow', '', now())");
    check(&user, "has schema 99, this larder knows up to ", "set `[store] url` to another database");
}

#[test]
fn a_user_without_rights_is_told_which_and_one_who_may_only_read_reads() {
    let (github, database) = (GitHub::demo(), Database::new());
    let guest = database.url().split_once("it_").map(|(_, name)| format!("guest_{name}")).unwrap();
    database.ask(&format!("CREATE ROLE {guest} LOGIN PASSWORD 'guest'"));
    let url = with_password(&database, "guest").replace("//larder:", &format!("//{guest}:"));
    let (larder, user) = (user_of(&github, &database.url()), user_of(&github, &url));
    check(&user, "permission denied for database", "`GRANT CREATE ON DATABASE");
    larder.ok(&["repos"]);
    check(&user, "permission denied for schema larder", "grant this user its use");
    database.ask(&format!(
        "GRANT USAGE ON SCHEMA larder TO {guest}; GRANT SELECT ON ALL TABLES IN SCHEMA larder TO {guest}"
    ));
    assert_eq!(user.ok(&["repos", "--offline"]).out, larder.ok(&["repos", "--offline"]).out);
    database.ask(&format!("GRANT SELECT ON ALL SEQUENCES IN SCHEMA larder TO {guest}"));
    user.ok(&["cache", "verify"]);
    let ran = user.run(&["refresh", "cinder"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(
        ran.err.contains("permission denied") && ran.err.contains("grant this user its use"),
        "{}",
        ran.err
    );
    database.ask(&format!("DROP OWNED BY {guest}; DROP ROLE {guest}"));
}

/// What the doctor says of a database that may be read alone, and that it says so first.
fn doctor_warns(user: &User, found: &str, hint: &str) {
    let checks = user.json(&["doctor", "--offline"])["checks"].clone();
    let database = checks.as_array().unwrap().iter().find(|check| check["on"] == "database").unwrap();
    assert_eq!(database["verdict"], "warn", "{checks}");
    let said = database["found"].as_str().unwrap();
    assert!(said.contains(found) && said.contains("nothing is refreshed"), "{said}");
    assert!(database["hint"].as_str().unwrap().contains(hint), "{database}");
}

#[test]
fn the_doctor_says_of_a_database_that_may_only_be_read_that_nothing_is_refreshed() {
    let (github, database) = (GitHub::demo(), Database::new());
    let reader = database.url().split_once("it_").map(|(_, name)| format!("reader_{name}")).unwrap();
    let larder = user_of(&github, &database.url());
    larder.ok(&["repos"]);
    database.ask(&format!(
        "CREATE ROLE {reader} LOGIN PASSWORD 'reader'; GRANT USAGE ON SCHEMA larder TO {reader}; \
         GRANT SELECT ON ALL TABLES IN SCHEMA larder TO {reader}; \
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA larder TO {reader}"
    ));
    let url = with_password(&database, "reader").replace("//larder:", &format!("//{reader}:"));
    let user = user_of(&github, &url);
    doctor_warns(&user, &format!("{reader} may not write the table "), "grant this user its use");
    let all = format!("GRANT ALL ON ALL TABLES IN SCHEMA larder TO {reader}");
    database.ask(&all);
    doctor_warns(&user, &format!("{reader} may not use the sequence "), "grant this user its use");
    // As much as it takes, and a table that is none of Larder's.
    database.ask(&format!("GRANT UPDATE ON ALL SEQUENCES IN SCHEMA larder TO {reader}"));
    database.ask("CREATE TABLE larder.entries_backup AS SELECT * FROM larder.entries");
    let is_well = |user: &User| !user.ok(&["doctor", "--offline"]).out.contains("nothing is refreshed");
    assert!(is_well(&user) && is_well(&larder));
    database.ask(
        "ALTER TABLE larder.entries ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY reading ON larder.entries FOR SELECT USING (true)",
    );
    doctor_warns(&user, "row-level security decides", "BYPASSRLS");
    database.ask("ALTER TABLE larder.entries DISABLE ROW LEVEL SECURITY");
    assert!(is_well(&user));
    database.ask(&format!("ALTER ROLE {reader} SET default_transaction_read_only = on"));
    doctor_warns(&user, "`default_transaction_read_only` is on", "let it be written again");
    database.ask(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}"));
}

#[test]
fn a_database_that_takes_no_more_connections_says_so_itself() {
    let (github, database) = (GitHub::demo(), Database::new());
    let crowd = database.url().split_once("it_").map(|(_, name)| format!("crowd_{name}")).unwrap();
    database.ask(&format!("CREATE ROLE {crowd} LOGIN PASSWORD 'crowd' CONNECTION LIMIT 0"));
    let url = with_password(&database, "crowd").replace("//larder:", &format!("//{crowd}:"));
    check(&user_of(&github, &url), "too many connections for role", "lower `[store] pool_size`, or let the");
    database.ask(&format!("DROP ROLE {crowd}"));
}

#[test]
fn a_schema_that_was_made_for_a_user_is_all_that_the_user_needs() {
    let (github, database) = (GitHub::demo(), Database::new());
    let tenant = database.url().split_once("it_").map(|(_, name)| format!("tenant_{name}")).unwrap();
    database.ask(&format!("CREATE ROLE {tenant} LOGIN PASSWORD 'tenant'"));
    database.ask(&format!("CREATE SCHEMA larder AUTHORIZATION {tenant}"));
    let url = with_password(&database, "tenant").replace("//larder:", &format!("//{tenant}:"));
    let user = user_of(&github, &url);
    user.ok(&["migrate", "up"]);
    user.ok(&["repos"]);
    database.ask(&format!("DROP OWNED BY {tenant}; DROP ROLE {tenant}"));
}
