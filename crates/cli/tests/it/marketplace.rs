//! Marketplaces from the command line: found beside what is installed, cached as all else, configured
//! with care.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};

use larder_github_sim::{Outage, Repository, Switches, Token, World};
use serde_json::Value;

use crate::postgres::Database;
use crate::world::{CLUSTERS, GitHub, User};

const REPO: &str = "octo-org/skills";

const CONFIG: &str = r#"
[projects]
roots = ["code"]

[[marketplace]]
name = "skills"
github = "octo-org/skills"

[[marketplace]]
name = "mine"
file = "index.json"
"#;

const INDEX: &str = r#"{"name": "mine", "plugins": [
    {"name": "forms", "description": "Forms for all", "source": {"source": "github", "repo": "octo-org/forms"},
     "version": "0.3", "agents": ["./agents/formulist.md"]}]}"#;

fn skill(name: &str, description: &str) -> String {
    format!("---\nname: {name}\ndescription: {description}\nversion: 1.10\ntags: [docs]\n---\n# {name}\n")
}

fn github() -> GitHub {
    let mut world = World::new();
    world.add(Repository::new(REPO));
    world.accept_any_token(Token::of("octocat"));
    let (pdf, xlsx) = (skill("pdf", "Fills forms"), skill("xlsx", "Adds up tables"));
    let files = [("skills/pdf/SKILL.md", Some(&*pdf)), ("skills/xlsx/SKILL.md", Some(&*xlsx))];
    assert!(world.push(REPO, files));
    GitHub::start(world)
}

/// A user with a project that has one skill, a repository with two, and an index of a plugin.
fn user(github: &GitHub) -> User {
    let user = User::of(github, CONFIG);
    user.write("index.json", INDEX);
    let folder = user.project().join("code/kiln/.claude/skills/pdf");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("SKILL.md"), skill("pdf", "Fills our own forms")).unwrap();
    user
}

/// An address on this machine that answers what it is told to.
struct Web {
    url: String,
    answer: Arc<Mutex<String>>,
}

impl Web {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/index.json", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(String::new()));
        let says = answer.clone();
        std::thread::spawn(move || {
            for caller in listener.incoming() {
                let mut caller = caller.unwrap();
                let _ = caller.read(&mut [0; 4096]);
                let _ = caller.write_all(says.lock().unwrap().as_bytes());
            }
        });
        Web { url, answer }
    }

    fn say(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap() = format!(
            "HTTP/1.1 {status} Said\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
    }

    /// A user whose only marketplace this is.
    fn user(&self) -> User {
        let user = User::new();
        let table = "[[marketplace]]\nname = \"web\"\nallow_private = true\n";
        user.write("larder.toml", &format!("{table}url = \"{}\"\n", self.url));
        user.ok(&["config", "trust"]);
        user
    }
}

fn named(list: &Value) -> Vec<String> {
    let text = |one: &Value, column: &str| one[column].as_str().unwrap_or("-").to_owned();
    let all = list["artifacts"].as_array().unwrap().iter();
    let mut named: Vec<String> = all
        .map(|one| {
            format!(
                "{} {} {} {}",
                text(one, "type"),
                text(one, "name"),
                text(one, "project_name"),
                text(one, "marketplace")
            )
        })
        .collect();
    named.sort();
    named
}

#[test]
fn a_search_finds_what_is_installed_and_what_is_to_be_had_and_says_which_is_which() {
    let github = github();
    let user = user(&github);
    assert_eq!(
        named(&user.json(&["artifacts", "--search", "form"])),
        ["agent formulist - mine", "plugin forms - mine", "skill pdf - skills", "skill pdf kiln -"]
    );
    assert_eq!(named(&user.json(&["artifacts", "--search", "form", "--installed"])), ["skill pdf kiln -"]);
    assert_eq!(named(&user.json(&["artifacts", "--search", "pdf", "--available"])), ["skill pdf - skills"]);
    assert_eq!(named(&user.json(&["artifacts"])), ["skill pdf kiln -"], "a list is of what is installed");
    assert_eq!(
        named(&user.json(&["artifacts", "--search", "pdf", "--project", "kiln"])),
        ["skill pdf kiln -"]
    );
    assert_eq!(named(&user.json(&["artifacts", "--search", "form", "--modified"])), Vec::<String>::new());
    assert_eq!(named(&user.json(&["artifacts", "--type", "plugin"])), ["plugin forms - mine"]);
    let available = user.ok(&["artifacts", "--available"]);
    insta::assert_snapshot!(available.out.replace('\t', " | "), @r#"
    NAME | TYPE | PROJECT | STATE | VERSION | UPDATED | DESCRIPTION
    forms | plugin | mine | available | 0.3 |  | Forms for all
    formulist | agent | mine | available | 0.3 |  | 
    pdf | skill | skills | available | 1.10 |  | Fills forms
    xlsx | skill | skills | available | 1.10 |  | Adds up tables
    "#);
}

#[test]
fn what_is_to_be_had_has_the_shape_of_what_is_installed() {
    let github = github();
    let user = user(&github);
    let list = user.json(&["artifacts", "--search", "pdf"]);
    let all = list["artifacts"].as_array().unwrap();
    let (offered, installed) = match all.as_slice() {
        [a, b] if a["project"].is_null() => (a, b),
        [a, b] => (b, a),
        _ => panic!("{list}"),
    };
    let names = |one: &Value| one.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(offered), names(installed));
    insta::assert_json_snapshot!(offered, @r#"
    {
      "name": "pdf",
      "type": "skill",
      "project": null,
      "project_name": null,
      "profile": null,
      "path": "skills/pdf",
      "description": "Fills forms",
      "version": "1.10",
      "tags": [
        "docs"
      ],
      "aliases": [],
      "license": null,
      "source": "github:octo-org/skills",
      "deployed_version": null,
      "upstream_version": null,
      "outdated": false,
      "modified": false,
      "missing": false,
      "deployed_at": null,
      "updated_at": null,
      "marketplace": "skills",
      "plugin": null,
      "url": "https://github.com/octo-org/skills/tree/HEAD/skills/pdf"
    }
    "#);
    assert!(installed["marketplace"].is_null() && installed["project"].is_string());
    let keys: Vec<&str> =
        list["cache"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!(keys[keys.len() - 2..], ["marketplace/skills", "marketplace/mine"], "{keys:?}");
}

#[test]
fn marketplaces_are_entries_like_all_others_on_every_store() {
    let github = github();
    let database = Database::new();
    for store in ["sqlite:cache.db", "redb:cache.redb", &database.url()] {
        let user = user(&github).var("LARDER_STORE__URL", store);
        github.take_requests();
        let first = user.ok(&["refresh", "--source", "marketplace"]).out;
        assert!(first.contains("marketplace/skills\tupdated\t2 artifacts\n"), "{store}: {first}");
        assert!(first.contains("marketplace/mine\tupdated\t2 artifacts\n"), "{store}: {first}");
        assert_eq!(github.take_requests().len(), 3, "{store}: the repository, its files, and both contents");
        let again = user.ok(&["refresh", "--source", "marketplace"]).out;
        assert!(again.contains("marketplace/skills\tunchanged\t2 artifacts\n"), "{store}: {again}");
        assert!(again.contains("marketplace/mine\tunchanged\t2 artifacts\n"), "{store}: {again}");
        let asked = github.take_requests();
        assert_eq!(asked.len(), 1, "{store}: an unchanged repository costs one request");
        assert_eq!((asked[0].status, asked[0].conditional, asked[0].cost), (Some(304), true, 0));
        assert_eq!(user.status("marketplace/skills")["status"], "fresh");
        let found = user.json(&["artifacts", "--search", "tab", "--available", "--offline"]);
        assert_eq!(named(&found), ["skill xlsx - skills"], "{store}");
        let shown = user.ok(&["show", "skills", "--offline"]).out;
        assert!(shown.contains("marketplace/skills") && shown.contains("Adds up tables"), "{store}: {shown}");
        assert!(github.take_requests().is_empty(), "{store}");
        user.ok(&["cache", "invalidate", "marketplace/skills"]);
        assert_eq!(user.status("marketplace/skills")["status"], "stale", "{store}");
        assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n", "{store}");
    }
}

#[test]
fn what_cannot_be_had_is_complained_of_beside_what_can() {
    let github = github();
    let user = user(&github);
    user.ok(&["refresh", "--source", "marketplace"]);
    user.write("index.json", "{\"plugins\": [");
    github.switch(Switches { outage: Outage::Unavailable, ..Switches::default() });
    let ran = user.run(&["artifacts", "--available", "--search", "pdf", "--refresh"]);
    assert_eq!(ran.code, 3, "{}", ran.all());
    assert!(ran.out.contains("Fills forms"), "the old copy is shown: {}", ran.out);
    assert!(ran.err.contains("`marketplace/skills`") && ran.err.contains("503"), "{}", ran.err);
    let of_file = "cause: /root/project/index.json cannot be used: it is not JSON: EOF while parsing a list at line 1 column 13";
    assert!(ran.err.contains(of_file), "{}", ran.err);
    assert!(ran.err.contains("hint: put it right and `larder refresh` it"), "{}", ran.err);
    github.switch(Switches::default());
    user.write("index.json", r#"[{"name": "new", "type": "skill"}, {"name": "forms", "type": "spell"}]"#);
    let ran = user.run(&["refresh", "marketplace/mine"]);
    assert_eq!((ran.code, &*ran.out), (0, "marketplace/mine\tupdated\t3 artifacts\n"));
    assert!(ran.err.contains("`forms` is left out: its type `\"spell\"` is not known"), "{}", ran.err);
}

#[test]
fn without_a_marketplace_one_is_told_how_to_have_one() {
    let user = User::new();
    let ran = user.run(&["artifacts", "--available"]);
    insta::assert_snapshot!(ran.all(), @r#"
    exit 2
    --- out
    --- err
    error: no marketplace is configured
    hint: add one to larder.toml, such as
        [[marketplace]]
        name = "skills"
        github = "anthropics/skills"
    "#);
}

#[test]
fn every_mistake_in_a_marketplace_is_told_with_its_place_and_a_hint() {
    let user = User::new();
    user.write(
        "larder.toml",
        r#"[[marketplace]]
url = "https://skills.example/index.json"
[[marketplace]]
name = "Our Skills"
github = "octo-org/skills"
[[marketplace]]
name = "nowhere"
[[marketplace]]
name = "both"
file = "a.json"
github = "octo-org/skills"
[[marketplace]]
name = "near"
url = "http://127.0.0.1:8000/index.json"
[[marketplace]]
name = "secret"
url = "https://me:hunter2@skills.example/"
[[marketplace]]
name = "file"
file = "a.json"
allow_private = true
[[marketplace]]
name = "file"
github = "skills"
tll = "1h"
"#,
    );
    let ran = user.run(&["artifacts", "--available", "--config", "larder.toml"]);
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    insta::assert_snapshot!(ran.all(), @r#"
    exit 2
    --- out
    --- err
    error: larder.toml:1:1: this `[[marketplace]]` has no `name`
    hint: such as `name = "team"`
    error: larder.toml:4:8: `name`: `Our Skills` is no name: up to 64 of a-z, 0-9, `-`, `_` and `.`
    error: larder.toml:6:1: this `[[marketplace]]` says not where it is
    hint: give it a `url` or a `file` of a JSON index, or `github = "owner/repo"`
    error: larder.toml:11:10: this `[[marketplace]]` has both `file` and `github`
    hint: one is one place: write a `[[marketplace]]` for each
    error: larder.toml:14:7: `url`: http://127.0.0.1:PORT/index.json is not asked: marketplaces are read by https://
    hint: one of this machine or of a private network wants `allow_private = true`
    error: larder.toml:17:7: `url`: skills.example is not asked: it has a name or password in it
    error: larder.toml:21:17: `allow_private` is about a `url` alone
    error: larder.toml:24:10: `github`: `skills` has no owner: write `owner/skills`, or set `[github] owner`
    error: larder.toml:25:1: unknown key `tll` in `[[marketplace]]`
    hint: did you mean `ttl`?
    "#);
}

#[test]
fn a_file_that_nobody_trusts_names_no_address_and_nothing_outside_of_its_folder() {
    let github = github();
    let user = user(&github);
    let outside = user.home().join("index.json");
    std::fs::write(&outside, INDEX).unwrap();
    let config = format!(
        "{CONFIG}[[marketplace]]\nname = \"far\"\nfile = \"{}\"\n[[marketplace]]\nname = \"web\"\nurl = \"https://127.0.0.1/\"\nallow_private = true\n",
        outside.display()
    );
    user.write("larder.toml", &config);
    let ran = user.run(&["artifacts", "--available", "--search", "form", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let list: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(named(&list), ["agent formulist - mine", "plugin forms - mine", "skill pdf - skills"]);
    let ignored =
        "its `[[marketplace]] file`, `[[marketplace]] url`, `[[marketplace]] allow_private` are ignored";
    assert!(ran.err.contains(ignored), "{}", ran.err);
    user.ok(&["config", "trust"]);
    let trusted = user.run(&["artifacts", "--available", "--search", "formulist", "--json"]);
    assert!(trusted.err.contains("`marketplace/web` could not be fetched"), "{}", trusted.err);
    let trusted: Value = serde_json::from_str(&trusted.out).unwrap();
    assert_eq!(named(&trusted), ["agent formulist - far", "agent formulist - mine"]);
}

#[test]
fn one_who_only_lists_what_is_installed_asks_no_marketplace() {
    let github = github();
    let user = user(&github);
    user.ok(&["artifacts"]);
    user.ok(&["projects"]);
    user.ok(&["artifacts", "--search", "pdf", "--installed"]);
    assert!(github.take_requests().is_empty());
    user.ok(&["refresh", "marketplace/mine"]);
    assert!(github.take_requests().is_empty(), "a file is nobody's but this machine's");
}

#[test]
fn one_whose_file_is_missing_is_complained_of_alike_whether_or_not_a_refresh_is_asked() {
    let user = User::new();
    let tables = "[[marketplace]]\nname = \"good\"\nfile = \"index.json\"\n[[marketplace]]\nname = \"bad\"\nfile = \"gone.json\"\n";
    user.write("larder.toml", tables);
    user.write("index.json", INDEX);
    let first = user.run(&["artifacts", "--available"]).all();
    insta::assert_snapshot!(first.replace('\t', " | "), @r"
    exit 3
    --- out
    NAME | TYPE | PROJECT | STATE | VERSION | UPDATED | DESCRIPTION
    forms | plugin | good | available | 0.3 |  | Forms for all
    formulist | agent | good | available | 0.3 |  | 
    --- err
    warning: `marketplace/bad`: there is no file /root/project/gone.json
    error: `marketplace/bad` does not exist
    hint: put the file there, or correct the `file` of its `[[marketplace]]`
    ");
    for refresh in [&["--refresh"][..], &[], &["--refresh"]] {
        assert_eq!(user.run(&[&["artifacts", "--available"], refresh].concat()).all(), first, "{refresh:?}");
    }
    for refresh in [&["--refresh"][..], &[]] {
        let shown = user.run(&[&["show", "marketplace/bad"], refresh].concat());
        assert!(shown.code == 1 && shown.err.contains("hint: put the file there"), "{}", shown.all());
    }
    for (args, code) in
        [(&["refresh", "marketplace/bad"][..], 1), (&["refresh", "--source", "marketplace"], 3)]
    {
        let refreshed = user.run(args);
        assert!(refreshed.err.contains("hint: put the file there"), "{}", refreshed.all());
        assert_eq!(refreshed.code, code, "{}", refreshed.all());
    }
}

#[test]
fn what_a_file_offered_stands_when_the_file_goes_and_that_is_told() {
    let user = User::new();
    user.write("larder.toml", "[[marketplace]]\nname = \"good\"\nfile = \"index.json\"\n");
    user.write("index.json", INDEX);
    let known = user.ok(&["artifacts", "--available"]).out;
    std::fs::remove_file(user.project().join("index.json")).unwrap();
    let told = "/root/project/index.json cannot be used: it is not there any more";
    for _ in 0..3 {
        let refreshed = user.run(&["artifacts", "--available", "--refresh"]);
        assert_eq!((refreshed.code, &refreshed.out), (3, &known), "{}", refreshed.err);
        assert!(refreshed.err.contains(told), "{}", refreshed.err);
    }
    user.write("index.json", INDEX);
    assert_eq!(user.ok(&["artifacts", "--available", "--refresh"]).out, known);
}

#[test]
fn a_source_of_which_nothing_is_configured_is_not_refreshed_in_silence() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let ran = user.run(&["refresh", "--source", "marketplace"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("nothing of the source `marketplace` is configured"), "{}", ran.err);
}

#[test]
fn what_an_address_of_one_s_own_network_offered_stands_when_it_once_says_that_it_is_gone() {
    let web = Web::start();
    let user = web.user();
    web.say(200, INDEX);
    let known = user.ok(&["artifacts", "--available"]).out;
    web.say(404, "");
    let ran = user.run(&["artifacts", "--available", "--refresh"]);
    assert_eq!((ran.code, &ran.out), (3, &known), "{}", ran.err);
    let told = ["has nothing there (HTTP 404)", "hint: check the `url`", "hint: the copy from"];
    assert!(told.iter().all(|told| ran.err.contains(told)), "{}", ran.err);
    assert_eq!(user.ok(&["artifacts", "--available"]).out, known, "nor is it gone for the next reader");
    assert_eq!(user.run(&["artifacts", "--available", "--refresh"]).out, known, "twice in a minute is once");
    web.say(200, INDEX);
    assert_eq!(user.ok(&["artifacts", "--available", "--refresh"]).out, known);
}

#[test]
fn of_a_private_repository_that_is_not_seen_any_more_nobody_is_told_that_a_copy_was_served() {
    let github = github();
    github.world(|world| {
        world.accept_any_token(Token::of("octocat").seeing_everything());
        world.edit(REPO, |repository| repository.is_private = true);
    });
    let user = User::of(&github, "[[marketplace]]\nname = \"skills\"\ngithub = \"octo-org/skills\"\n");
    assert!(user.ok(&["artifacts", "--available"]).out.contains("Fills forms"));
    github.world(|world| {
        world.accept_any_token(Token::of("octocat"));
    });
    let ran = user.run(&["artifacts", "--available", "--refresh"]);
    assert!(ran.err.contains("error: `marketplace/skills` does not exist"), "{}", ran.err);
    assert!(ran.err.contains("hint: check its name; what is private wants a token"), "{}", ran.err);
    assert!(!ran.err.contains("served"), "{}", ran.err);
    assert_eq!((ran.code, &*ran.out), (1, ""), "nothing old was printed");
    let shown = user.run(&["show", "marketplace/skills", "--refresh"]);
    assert!(!shown.err.contains("served") && shown.code == 1, "{}", shown.all());
    let read = user.ok(&["artifacts", "--available"]);
    assert!(read.err.contains("octo-org/skills") && !read.err.contains("offer nothing"), "{}", read.all());
}
