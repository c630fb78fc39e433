//! Local projects and their artifacts, from the command line and a server on one store.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_testkit::{Grown, Lot, Tree, write_long_ago};
use serde_json::Value;

use crate::serving::Serving;
use crate::world::User;

/// As an environment variable, so many seconds are the two at it; without it, a few rounds.
const SECONDS: &str = "LARDER_TWO_WRITERS_SECONDS";
const ROUNDS: usize = 12;

fn grown(tree: Tree) -> (User, Grown) {
    let user = User::new();
    let grown = tree.grow(&user.home()).unwrap();
    let (roots, collections) = (grown.root.display(), grown.collections.display());
    let config = format!(
        "[projects]\nroots = [\"{roots}\"]\ncollections = [\"{collections}\"]\ndebounce = \"10ms\"\n"
    );
    user.write("larder.toml", &config);
    user.ok(&["config", "trust"]);
    (user, grown)
}

#[test]
fn what_lies_on_disk_is_listed_counted_filtered_and_found() {
    let (user, grown) = grown(Tree { projects: 10, artifacts: 300, seed: 5 });
    let projects = user.json(&["projects"]);
    let count = |column: &str| -> u64 {
        projects["projects"].as_array().unwrap().iter().map(|one| one[column].as_u64().unwrap()).sum()
    };
    assert_eq!(projects["projects"].as_array().unwrap().len(), 10);
    assert_eq!((count("artifacts"), count("warnings")), (300, 0));
    for (word, lot) in [("outdated", Lot::Outdated), ("modified", Lot::Modified), ("missing", Lot::Missing)] {
        assert_eq!(count(word), grown.of_lot(lot) as u64, "{word}");
        let listed = user.json(&["artifacts", &format!("--{word}")]);
        assert_eq!(listed["artifacts"].as_array().unwrap().len(), grown.of_lot(lot), "{word}");
    }
    let lacking = user.json(&["projects", "--missing"]);
    let lacking = lacking["projects"].as_array().unwrap();
    let all = projects["projects"].as_array().unwrap().iter();
    assert_eq!(lacking.len(), all.filter(|one| one["missing"] != 0).count());
    assert!(!lacking.is_empty() && lacking.iter().all(|one| one["missing"] != 0));
    let first = user.json(&["projects", "--limit", "3"]);
    assert_eq!(first["projects"].as_array().unwrap()[..], projects["projects"].as_array().unwrap()[..3]);
    let skill = grown.projects[4].artifacts.iter().find(|one| !one.files.is_empty()).unwrap();
    let found = user.json(&["artifacts", "--search", &skill.name]);
    assert_eq!(found["artifacts"][0]["name"], *skill.name);
    std::fs::remove_dir_all(&grown.projects[4].path).unwrap();
    let found = user.json(&["artifacts", "--refresh", "--search", &skill.name]);
    assert_eq!(found["artifacts"].as_array().unwrap().len(), 0, "gone with its project");
}

/// Where a user's database is.
fn database(user: &User) -> PathBuf {
    let place = user.json(&["cache", "status"])["store"]["place"].as_str().unwrap().to_owned();
    let root = user.home().parent().unwrap().canonicalize().unwrap();
    place.replace("/root", root.to_str().unwrap()).into()
}

/// What is held was fetched an hour earlier than it was.
fn an_hour_passes(user: &User) {
    let file = rusqlite::Connection::open(database(user)).unwrap();
    file.execute("UPDATE entries SET fetched_at = fetched_at - 3600000", []).unwrap();
}

#[test]
fn what_changed_between_two_commands_is_there_without_being_asked_for() {
    let user = User::new();
    let skill = |name: &str, said: &str| {
        user.write(
            &format!("code/site/.claude/commands/{name}.md"),
            &format!("---\ndescription: {said}\n---\n"),
        );
    };
    user.write("larder.toml", "[projects]\nroots = [\"code\"]\n");
    user.ok(&["config", "trust"]);
    skill("deploy", "Deploys");
    skill("greet", "Greets");
    let listed = |flags: &[&str]| -> Vec<String> {
        let found = user.json(&[&["artifacts"], flags].concat());
        let all = found["artifacts"].as_array().unwrap().iter();
        all.map(|one| one["description"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&[]), ["Deploys", "Greets"]);
    an_hour_passes(&user);
    skill("deploy", "Deploys anywhere");
    std::fs::remove_file(user.project().join("code/site/.claude/commands/greet.md")).unwrap();
    user.write("code/bot/.claude/commands/answer.md", "---\ndescription: Answers\n---\n");
    assert_eq!(listed(&["--offline"]), ["Deploys", "Greets"]);
    assert_eq!(listed(&[]), ["Answers", "Deploys anywhere"]);
}

#[test]
fn what_a_script_writes_is_in_the_list_that_it_prints_next() {
    let user = User::new();
    user.write("larder.toml", "[projects]\nroots = [\"code\"]\n");
    user.ok(&["config", "trust"]);
    user.write("code/site/.claude/commands/none.md", "---\ndescription: None\n---\n");
    user.ok(&["artifacts"]);
    for round in 0..5 {
        let text = format!("---\ndescription: Round {round}\n---\n");
        user.write(&format!("code/site/.claude/commands/c{round}.md"), &text);
        let listed = user.ok(&["artifacts"]).out;
        assert!(listed.contains(&format!("Round {round}")), "{listed}");
        user.write(&format!("code/p{round}/.claude/commands/c.md"), &text);
        let listed = user.ok(&["projects"]).out;
        assert!(listed.contains(&format!("p{round}\t")), "{listed}");
    }
}

/// The descriptions that are known, by path within the project and the project's name.
fn known(artifacts: &Value) -> BTreeMap<(String, String), String> {
    let text = |one: &Value, column: &str| one[column].as_str().unwrap_or_default().to_owned();
    let all = artifacts["artifacts"].as_array().unwrap().iter();
    all.map(|one| ((text(one, "project_name"), text(one, "path")), text(one, "description"))).collect()
}

/// Everything that a server knows, page by page.
fn served(serving: &Serving) -> BTreeMap<(String, String), String> {
    let (mut all, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let (head, body) = serving.get(&format!("/api/v1/artifacts?limit=1000{cursor}"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{body}");
        let page: Value = serde_json::from_str(&body).unwrap();
        all.extend(known(&page));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long the two are at it may be asked for, in real time")]
fn a_server_and_a_command_line_that_write_to_one_store_at_once_lose_nothing() {
    let (user, grown) = grown(Tree { projects: 8, artifacts: 160, seed: 3 });
    user.ok(&["projects"]);
    let serving = Serving::start(&user, &["serve"]);
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let began = std::time::Instant::now();
    let is_over = |round: usize| seconds.map_or(round >= ROUNDS, |span| began.elapsed() >= span);
    let ended = AtomicBool::new(false);
    let files: Vec<_> = grown
        .projects
        .iter()
        .flat_map(|project| project.artifacts.iter().map(move |one| (project, one)))
        .filter(|(_, one)| one.kind == "agent" && !one.files.is_empty())
        .collect();
    let mut expected = BTreeMap::new();
    std::thread::scope(|scope| {
        // The server writes what its watch hears of; two command lines write what they are told to look at.
        let refreshing = || {
            let mut runs = 0;
            while !ended.load(Ordering::Acquire) {
                user.ok(&["projects", "--refresh", "--json"]);
                runs += 1;
            }
            runs
        };
        let others = [scope.spawn(refreshing), scope.spawn(refreshing)];
        let mut round = 0;
        while !is_over(round) {
            for (nr, (project, one)) in files.iter().enumerate() {
                let said = format!("round {round} of number {nr}");
                let text = format!("---\ndescription: {said}\n---\n# {}\n", one.name);
                // Beside and renamed, as editors do, or it could be read half written.
                let beside = one.files[0].with_extension("swp");
                std::fs::write(&beside, text).unwrap();
                std::fs::rename(&beside, &one.files[0]).unwrap();
                let name = project.path.file_name().unwrap().to_string_lossy().into_owned();
                expected.insert((name, one.path.clone()), said);
            }
            // Something of it is always under way: nobody waits for all of it.
            let (nr, round_now) = (round % files.len(), format!("round {round} of"));
            let place = (
                files[nr].0.path.file_name().unwrap().to_string_lossy().into_owned(),
                files[nr].1.path.clone(),
            );
            while !served(&serving).get(&place).is_some_and(|said| said.starts_with(&round_now)) {}
            round += 1;
        }
        ended.store(true, Ordering::Release);
        assert!(others.into_iter().all(|other| other.join().unwrap() > 0));
    });
    // A project that is made now is the server's alone to find, and all before it must be there too.
    let late = grown.root.join("late/.claude/agents/late.md");
    write_long_ago(&late, b"---\ndescription: late\n---\n").unwrap();
    expected.insert(("late".to_owned(), ".claude/agents/late.md".to_owned()), "late".to_owned());
    let is_there = |known: &BTreeMap<(String, String), String>| {
        expected.iter().all(|(place, said)| known.get(place) == Some(said))
    };
    while !is_there(&served(&serving)) {}
    assert_eq!(served(&serving).len(), 161, "none twice, and none gone");
    let listed = user.json(&["artifacts", "--offline"]);
    assert!(is_there(&known(&listed)), "the command line reads the same");
    user.ok(&["cache", "verify"]);
    assert_eq!(serving.stop().code(), Some(0));
}

/// The changes that a server tells of, one key after another, from now on.
fn changes(serving: &Serving) -> impl Iterator<Item = String> + use<> {
    let mut events = TcpStream::connect(&serving.address).unwrap();
    write!(events, "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", serving.address).unwrap();
    let mut lines = BufReader::new(events).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "event: ready"));
    std::iter::from_fn(move || {
        assert!(lines.any(|line| line == "event: change"), "the stream ended");
        let data = lines.find_map(|line| line.strip_prefix("data:").map(str::to_owned)).unwrap();
        let told: Value = serde_json::from_str(&data).unwrap();
        Some(told["key"].as_str().unwrap().to_owned())
    })
}

/// A server's answer in JSON.
pub(crate) fn asked(serving: &Serving, path: &str) -> Value {
    let (head, body) = serving.get(path);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{body}");
    serde_json::from_str(&body).unwrap()
}

/// The names in a list of an answer, sorted.
pub(crate) fn names(answer: &Value, list: &str) -> Vec<String> {
    let all = answer[list].as_array().unwrap().iter();
    let mut names: Vec<String> = all.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_server_follows_what_is_written_below_its_roots_and_tells_of_it() {
    let user = User::new();
    let root = user.home().join("dev");
    let skill = |project: &str, name: &str, description: &str| {
        let path = root.join(format!("{project}/.claude/skills/{name}/SKILL.md"));
        let text = format!("---\nname: {name}\ndescription: {description}\n---\n# {name}\n");
        write_long_ago(&path, text.as_bytes()).unwrap();
    };
    skill("atlas", "mapping", "Draws maps");
    skill("borealis", "lights", "Looks at the sky");
    let config = format!("[projects]\nroots = [\"{}\"]\ndebounce = \"10ms\"\n", root.display());
    user.write("larder.toml", &config);
    user.ok(&["config", "trust"]);
    let serving = Serving::start(&user, &["serve"]);

    let projects = asked(&serving, "/api/v1/projects");
    assert_eq!(names(&projects, "projects"), ["atlas", "borealis"]);
    let id = |name: &str| {
        let all = asked(&serving, "/api/v1/projects");
        let found = all["projects"].as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
        found.map(|one| one["id"].as_str().unwrap().to_owned())
    };
    let atlas = id("atlas").unwrap();
    // Both have been looked at before anything is changed.
    assert_eq!(names(&asked(&serving, "/api/v1/artifacts"), "artifacts"), ["lights", "mapping"]);

    let mut changes = changes(&serving);
    skill("atlas", "surveying", "Measures the land");
    // What was found at the start may still be told of; nothing else is.
    let found = || names(&asked(&serving, "/api/v1/artifacts?search=measures"), "artifacts");
    assert!(changes.any(|key| key == format!("projects/{atlas}") && found() == ["surveying"]));
    assert_eq!(
        names(&asked(&serving, &format!("/api/v1/projects/{atlas}")), "artifacts"),
        ["mapping", "surveying"]
    );

    skill("cinnabar", "mining", "Digs deep");
    assert!(changes.any(|_| !asked(&serving, "/api/v1/artifacts?search=digs")["artifacts"][0].is_null()));
    assert_eq!(names(&asked(&serving, "/api/v1/projects"), "projects"), ["atlas", "borealis", "cinnabar"]);

    std::fs::remove_dir_all(root.join("borealis")).unwrap();
    assert!(changes.any(|_| id("borealis").is_none()));
    assert_eq!(
        names(&asked(&serving, "/api/v1/artifacts"), "artifacts"),
        ["mapping", "mining", "surveying"],
        "its artifacts went with it"
    );
    assert!(serving.stop().success());
}

#[test]
fn the_command_line_and_a_server_say_the_same_of_a_project_and_its_artifacts_byte_by_byte() {
    let (user, _grown) = grown(Tree { projects: 2, artifacts: 12, seed: 7 });
    let (projects, artifacts) = (user.json(&["projects"]), user.json(&["artifacts"]));
    let serving = Serving::start(&user, &["serve"]);
    let id = projects["projects"][0]["id"].as_str().unwrap();
    // Values keep the order in which their fields came. What a command says has the user's folder as /root.
    let own = user.home().parent().unwrap().display().to_string();
    let text = |answer: &Value, list: &str| -> Vec<String> {
        let all = answer[list].as_array().unwrap().iter();
        all.map(|one| one.to_string().replace(&own, "/root")).collect()
    };
    let said = text(&projects, "projects");
    assert_eq!(said, text(&asked(&serving, "/api/v1/projects"), "projects"));
    assert!(said[0].contains("\"path\":\"/root/home/dev/"), "the whole path: {}", said[0]);
    let said = text(&artifacts, "artifacts");
    assert_eq!(said.len(), 12);
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    assert_eq!(sorted(said), sorted(text(&asked(&serving, "/api/v1/artifacts"), "artifacts")));
    let shown = user.json(&["projects", "show", id]);
    let served = asked(&serving, &format!("/api/v1/projects/{id}"));
    assert_eq!(sorted(text(&shown, "artifacts")), sorted(text(&served, "artifacts")));
}

#[test]
fn a_server_follows_the_file_of_a_marketplace_and_says_what_is_wrong_with_it() {
    let user = User::new();
    user.write(
        "larder.toml",
        "[projects]\nroots = []\ndebounce = \"10ms\"\n[[marketplace]]\nname = \"mine\"\nfile = \"market/index.json\"\nttl = \"1h\"\n",
    );
    let file = user.project().join("market/index.json");
    let index = |name: &str| format!("[{{\"name\": \"{name}\", \"type\": \"skill\"}}]");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, index("first")).unwrap();
    let serving = Serving::start(&user, &["serve"]);
    let offered = || names(&asked(&serving, "/api/v1/marketplace"), "artifacts");
    assert_eq!(offered(), ["first"]);

    let mut changes = changes(&serving);
    let mut told = |is_so: &dyn Fn() -> bool| changes.any(|key| key == "marketplace/mine" && is_so());
    // In place, as `echo` does.
    std::fs::write(&file, index("second")).unwrap();
    assert!(told(&|| offered() == ["second"]));
    // Beside and renamed, as editors do.
    let beside = file.with_extension("json.swp");
    std::fs::write(&beside, index("third")).unwrap();
    std::fs::rename(&beside, &file).unwrap();
    assert!(told(&|| offered() == ["third"]));
    // With its folder, as another branch of a repository.
    std::fs::rename(file.parent().unwrap(), user.project().join("old")).unwrap();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, index("fourth")).unwrap();
    assert!(told(&|| offered() == ["fourth"]));

    std::fs::write(&file, "[\n{]").unwrap();
    let wrong = || asked(&serving, "/api/v1/marketplace")["cache"][0]["last_error"]["message"].clone();
    assert!(told(&|| wrong().as_str().is_some_and(|why| why.ends_with("at line 2 column 2"))));
    assert!(wrong().as_str().unwrap().starts_with(&format!("{} cannot be used: ", file.display())));
    assert_eq!(offered(), ["fourth"], "what was known stays");
    std::fs::write(&file, index("fifth")).unwrap();
    assert!(told(&|| offered() == ["fifth"] && wrong().is_null()));
    assert!(serving.stop().success());
}

/// Files that take minutes to read and no room.
#[cfg(target_os = "linux")]
#[test]
fn who_has_had_enough_of_a_scan_does_not_wait_for_its_files() {
    let user = User::new();
    let hooks = user.home().join("projects/kiln/.claude/hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    for number in 0..300 {
        std::fs::File::create(hooks.join(format!("{number}.sh"))).unwrap().set_len(1 << 30).unwrap();
    }
    let mut child = user.command(&["projects", "--refresh"]);
    let child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = child.spawn().unwrap();
    let files = format!("/proc/{}/fd", child.id());
    let reads = |file: std::io::Result<std::fs::DirEntry>| {
        file.and_then(|file| std::fs::read_link(file.path())).is_ok_and(|path| path.parent() == Some(&*hooks))
    };
    while !std::fs::read_dir(&files).unwrap().any(reads) {
        std::thread::yield_now();
    }
    crate::fire::signal_to(child.id(), rustix::process::Signal::INT);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("interrupted"));
}

/// By then nothing is under way any more that could be let go of.
#[cfg(unix)]
#[test]
fn who_has_had_enough_of_a_list_ends_it_while_it_is_written() {
    use std::io::Read as _;
    use std::os::unix::process::ExitStatusExt as _;

    let user = User::new();
    let commands = user.home().join("projects/kiln/.claude/commands");
    std::fs::create_dir_all(&commands).unwrap();
    for number in 0..1500 {
        std::fs::write(commands.join(format!("deploy-number-{number:04}.md")), "Deploys all of it\n")
            .unwrap();
    }
    let mut child = user.command(&["artifacts", "--refresh"]);
    let mut child = child.stdout(std::process::Stdio::piped()).spawn().unwrap();
    // It holds more than a pipe does, and nobody reads on.
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0]).unwrap();
    crate::fire::signal_to(child.id(), rustix::process::Signal::INT);
    assert_eq!(child.wait().unwrap().signal(), Some(rustix::process::Signal::INT.as_raw()));
}

#[test]
fn a_project_is_found_by_its_name_before_anything_was_read_and_when_it_came_since() {
    let command = |name: &str| -> User {
        let user = User::new();
        user.write("larder.toml", "[projects]\nroots = [\"code\"]\n");
        user.write(&format!("code/{name}/.claude/commands/deploy.md"), "Deploys\n");
        user
    };
    let user = command("site");
    let shown = user.ok(&["projects", "show", "site"]).out;
    assert!(shown.contains("project    site\n") && shown.contains("deploy\tcommand"), "{shown}");
    let user = command("site");
    let listed = user.json(&["artifacts", "--project", "site"]);
    assert_eq!(names(&listed, "artifacts"), ["deploy"]);

    user.write("code/bot/.claude/commands/greet.md", "Greets\n");
    let offline = user.run(&["artifacts", "--project", "bot", "--offline"]);
    insta::assert_snapshot!(offline.all(), @r"
    exit 2
    --- out
    --- err
    error: there is no project `bot`
    hint: `larder projects --refresh` looks anew
    ");
    let listed = user.json(&["artifacts", "--project", "bot", "--project", "site"]);
    assert_eq!(names(&listed, "artifacts"), ["deploy", "greet"]);
    let nowhere = user.run(&["projects", "show", "sit"]);
    insta::assert_snapshot!(nowhere.all(), @r"
    exit 2
    --- out
    --- err
    error: there is no project `sit`
    hint: did you mean `site`?
    ");
}

#[test]
fn a_project_of_the_folder_that_one_stands_in_is_known_by_its_id_to_whatever_takes_a_key() {
    let user = User::new();
    user.write("larder.toml", "[projects]\nroots = []\n");
    user.ok(&["config", "trust"]);
    user.write("here/.claude/commands/go.md", "---\ndescription: Goes\n---\n");
    let listed = user.json(&["projects"]);
    let id = listed["projects"][0]["id"].as_str().unwrap().to_owned();
    for key in [id.clone(), format!("projects/{id}")] {
        let shown = user.json(&["show", &key]);
        assert_eq!(shown["configured"], true, "{key}: {shown}");
        assert!(!user.ok(&["show", &key]).out.contains("not configured any more"), "{key}");
        user.ok(&["refresh", &key]);
        user.ok(&["show", &key, "--refresh"]);
    }
}

/// Copies a user's database, as whoever makes a backup does; where the copy is.
pub(crate) fn back_up(user: &User) -> PathBuf {
    user.wait_for_child();
    let backup = user.home().join("backup.db");
    let file = rusqlite::Connection::open(database(user)).unwrap();
    file.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    backup
}

/// Puts the copy in the database's place, whoever uses it.
pub(crate) fn restore(user: &User, backup: &Path) {
    let database = database(user);
    for end in ["-wal", "-shm"] {
        // Whoever closed it last may have removed it.
        let _ = std::fs::remove_file(format!("{}{end}", database.display()));
    }
    std::fs::rename(backup, &database).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn what_changed_since_a_backup_was_made_is_looked_at_again_when_it_is_restored_under_a_server() {
    let user = User::new();
    let skill = |said: &str| {
        user.write("code/site/.claude/commands/deploy.md", &format!("---\ndescription: {said}\n---\n"));
    };
    let index = |said: &str| {
        let plugin = format!(r#"{{"name": "tools", "source": "./tools", "description": "{said}"}}"#);
        user.write("index.json", &format!(r#"{{"name": "own", "plugins": [{plugin}]}}"#));
    };
    user.write(
        "larder.toml",
        "[projects]\nroots = [\"code\"]\ndebounce = \"10ms\"\n\n\
         [[marketplace]]\nname = \"own\"\nfile = \"index.json\"\n",
    );
    user.ok(&["config", "trust"]);
    skill("first");
    index("first");
    let listed = |more: &[&str]| {
        let lists = [&["artifacts"][..], &["artifacts", "--available"]];
        lists.map(|list| user.json(&[list, more].concat())["artifacts"].to_string()).concat()
    };
    let held = || listed(&["--offline"]);
    listed(&[]);
    let backup = back_up(&user);
    let serving = Serving::start(&user, &["serve"]);
    skill("second");
    index("second");
    let is_new = || {
        let held = held();
        (held.matches("second").count() == 2 && !held.contains("first")).then_some(())
    };
    crate::fire::until("what was written is held", is_new);
    restore(&user, &backup);
    crate::fire::until("what the disk says is held again", is_new);
    assert!(serving.stop().success());
}
