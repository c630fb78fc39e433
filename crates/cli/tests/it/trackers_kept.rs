//! Where trackers are kept, and what keeps them apart from the rest: each store, the other program's
//! configuration, clones and configured repositories.

use larder_github_sim::Repository;
use serde_json::Value;

use crate::postgres::Database;
use crate::trackers::{REPO, close, developer, git, github, issue, usual};
use crate::world::{GitHub, User};

fn count(answer: &Value) -> usize {
    answer["trackers"].as_array().unwrap().len()
}

/// All pages, offline after one sync, cleared and fetched anew: on every store the same.
#[test]
fn on_each_store_twelve_hundred_trackers_are_listed_without_a_call() {
    let github = github((1..=1200).map(|n| issue(n, &format!("Release: v{}.{}", n / 10, n % 10), "release")));
    close(&github, 7, "2026-02-01T00:00:00Z");
    let database = Database::new();
    let stores = ["sqlite:cache.db".to_owned(), "redb:cache.redb".to_owned(), database.url()];
    let mut user = developer(&github);
    let mut answers = Vec::new();
    for store in &stores {
        user = user.var("LARDER_STORE__URL", store);
        github.take_requests();
        let all = user.json(&["release", "list"]);
        assert_eq!(count(&all), 1200, "{store}");
        assert_eq!(github.take_requests().len(), 12, "{store}: all pages");
        assert_eq!(user.json(&["release", "list", "--offline"])["trackers"], all["trackers"], "{store}");
        let closed = user.json(&["release", "list", "--state", "closed"]);
        assert_eq!((count(&closed), &closed["trackers"][0]["number"]), (1, &7.into()), "{store}");
        let first = user.ok(&["release", "list", "--limit", "3"]).out;
        let counted = user.json(&["tracker", "stats", "--type", "release"])["stats"].clone();
        assert!(github.take_requests().is_empty(), "{store}: from the cache");
        let status = user.json(&["cache", "status", "--source", "trackers"]);
        assert_eq!(
            (&status["entries"][0]["items"], status["entries"].as_array().unwrap().len()),
            (&1200.into(), 1)
        );
        user.ok(&["refresh", "--source", "trackers"]);
        assert_eq!(
            user.ok(&["cache", "clear", "--source", "trackers", "--yes"]).out,
            "2 entries removed\n",
            "{store}"
        );
        assert_eq!(user.run(&["release", "list", "--offline"]).code, 4, "{store}: nothing is held");
        assert_eq!(count(&user.json(&["release", "list"])), 1200, "{store}");
        answers.push((all["trackers"].clone(), first, counted));
    }
    assert_eq!(
        answers[0].1,
        "VERSION\tCODENAME\tTRACKER\tSTATUS\nv120.0\t-\t#1200\tActive\nv119.9\t-\t#1199\tActive\nv119.8\t-\t#1198\tActive\n"
    );
    assert!(answers[1] == answers[0] && answers[2] == answers[0], "the stores differ");
    assert_eq!(database.ask("SELECT count(*) FROM larder.trackers WHERE state = 'closed'"), "1");
}

/// What the cache holds of one repository's trackers is looked at, taken from its manifest and removed without
/// a word on another's.
#[test]
fn the_cache_is_told_a_repository() {
    let github = usual();
    github.world(|world| {
        world.add(Repository::new("octo-org/quill"));
    });
    let user = developer(&github);
    let sync = |args: &[&str]| user.ok(&[&["cache", "sync"], args].concat()).out;
    assert!(sync(&[]).starts_with("there is no manifest yet: "));
    user.ok(&["manifest", "generate"]);
    let elsewhere = "there is no manifest here: this is no clone of a repository that is asked for\n";
    assert_eq!(sync(&["--repo", "octo-org/quill"]), elsewhere);
    assert_eq!(sync(&["--repo", REPO]), "the manifest says nothing newer than what is held\n");
    user.ok(&["release", "list", "--repo", "octo-org/quill"]);
    let status = |repo: &str| user.ok(&["cache", "status", "--repo", repo]).out;
    let keys = |out: &str| -> Vec<String> {
        let lines = out.lines().filter(|line| line.starts_with("trackers/"));
        lines.filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
    };
    assert_eq!(keys(&status("octo-org/quill")), ["trackers/octo-org/quill/release"]);
    assert_eq!(keys(&status(REPO)).len(), 2);
    let clear = ["cache", "clear", "--source", "trackers", "--repo", REPO, "--yes"];
    assert_eq!(user.ok(&clear).out, "2 entries removed\n");
    assert_eq!(sync(&[]), "2 entries taken from the manifest\n");
    github.take_requests();
    user.ok(&["refresh", "--source", "trackers", "--repo", "octo-org/quill"]);
    assert_eq!(keys(&status("octo-org/quill")).len(), 2);
    user.ok(&["refresh", "--repo", "octo-org/quill", "--repo", "octo-org/Quill"]);
    assert_eq!(github.take_requests().len(), 4, "two types, twice, of that repository alone");
    let wrong = user.run(&["cache", "clear", "--repo", "octo-org/qill", "--yes"]);
    assert!(wrong.code == 2 && wrong.err.contains("did you mean `octo-org/quill`?"), "{}", wrong.err);
}

/// `show`, `cache status` and `cache invalidate` know what somebody asked for by name, whoever is configured; so
/// does a refresh that names it. One of all that is configured keeps it for nobody.
#[test]
fn what_somebody_asked_for_is_refreshed_where_it_is_named_whoever_is_configured() {
    let github = GitHub::demo();
    let user = User::new().var("LARDER_GITHUB__API_URL", github.url()).var("GITHUB_TOKEN", "t0ken");
    user.write("larder.toml", "[trackers]\nrepos = [\"octo-org/kiln\"]\n");
    user.ok(&["release", "list", "--repo", "octo-org/quill"]);
    let key = "trackers/octo-org/quill/release";
    assert_eq!(user.ok(&["refresh", key]).out.lines().count(), 1);
    let refreshed = user.ok(&["refresh", "--repo", "octo-org/quill"]);
    assert!(refreshed.out.contains(key), "{}", refreshed.out);
    user.ok(&["cache", "clear", "trackers/octo-org/quill/microsprint", "--yes"]);
    let all = user.ok(&["refresh", "--all"]);
    assert!(!all.out.contains("quill"), "{}", all.out);
    assert!(
        all.err.contains(&format!("note: `{key}` is kept and nobody configured it: name it to refresh it")),
        "{}",
        all.err
    );
    // A timer in the wrong folder must not look as if it had done something.
    std::fs::remove_file(user.project().join("larder.toml")).unwrap();
    user.ok(&["release", "list", "--repo", "octo-org/quill"]);
    let nowhere = user.run(&["refresh", "--all"]);
    assert!(nowhere.code == 2 && nowhere.err.contains("there is no larder.toml"), "{}", nowhere.all());
    let wrong = user.run(&["refresh", "trackers/octo-org/quill/relase"]);
    assert!(wrong.code == 2 && wrong.err.contains(&format!("did you mean `{key}`?")), "{}", wrong.err);
}

/// The first list is made of the trackers, the next lies ready: both are what `--json` says, whatever is
/// asked of them, and what changed is in the next one.
#[test]
fn a_list_that_lies_ready_is_the_list() {
    let github = usual();
    for (store, number) in [("sqlite:cache.db", 441), ("redb:cache.redb", 440)] {
        let user = developer(&github).var("LARDER_STORE__URL", store);
        let check = |asked: &[&str]| {
            let args = [&["release", "list", "--offline"], asked].concat();
            let json = user.json(&args);
            let line = |tracker: &Value| {
                let text = |field: &str| tracker[field].as_str().unwrap_or("-").to_owned();
                let status = if tracker["state"] == "open" { "Active" } else { "Released" };
                format!("{}\t{}\t#{}\t{status}", text("name"), text("codename"), tracker["number"])
            };
            let lines: Vec<String> = json["trackers"].as_array().unwrap().iter().map(line).collect();
            let out = user.ok(&args).out;
            let shown: Vec<&str> = out.lines().skip(1).collect();
            assert_eq!(shown, lines, "{store}: {asked:?}");
        };
        user.ok(&["release", "list"]);
        let narrow = [
            &["--limit", "2"][..],
            &["--state", "closed"],
            &["--state", "open", "--limit", "1"],
            &["--since", "2019-01-01"],
            &["--since", "2020-01-01"],
        ];
        let all = [&[][..]].into_iter().chain(narrow);
        all.clone().for_each(check);
        // Later than whatever was asked for before: a refresh asks for what changed since.
        close(&github, number, "2099-01-01T00:00:00Z");
        let refreshed = user.ok(&["release", "list", "--refresh"]).out;
        assert!(refreshed.contains(&format!("#{number}\tReleased")), "{store}: {refreshed}");
        all.for_each(check);
    }
}

/// A list that nothing changed since is passed on as it was printed: whoever meddles with what is passed on
/// is believed, until the store, the manifest or the configuration is another.
#[test]
fn a_list_is_passed_on_until_something_it_was_made_from_changes() {
    let github = usual();
    for store in ["sqlite:cache.db", "redb:cache.redb"] {
        let user = developer(&github).var("LARDER_STORE__URL", store);
        let list = |user: &User, asked: &[&str]| user.ok(&[&["release", "list"], asked].concat()).out;
        let meddle = |user: &User| {
            let folder = user.home().join(".local/state/larder/lists");
            let _ = std::fs::remove_dir_all(&folder);
            // A file that has just changed may change again and look the same: it takes a while.
            let kept = std::iter::from_fn(|| {
                list(user, &["--limit", "1"]);
                Some(std::fs::read_dir(&folder).ok().and_then(|mut kept| kept.next()))
            });
            let kept = kept.take(10_000).flatten().next().expect("nothing is kept").unwrap().path();
            let text = std::fs::read_to_string(&kept).unwrap();
            std::fs::write(&kept, text.replace("Phoenix", "Meddled")).unwrap();
        };
        let is_passed_on = |user: &User| list(user, &[]).contains("Meddled");
        let all = list(&user, &[]);
        meddle(&user);
        assert!(is_passed_on(&user), "{store}");
        assert_eq!(list(&user, &[]), all.replace("Phoenix", "Meddled"), "{store}");
        assert!(
            list(&user, &["--limit", "1", "--state", "open", "--offline"]).contains("Meddled"),
            "{store}"
        );
        assert!(!list(&user, &["--since", "2019-01-01"]).contains("Meddled"), "{store}");
        assert!(user.json(&["release", "list"]).to_string().contains("Phoenix"), "{store}");
        assert!(!list(&user, &["--refresh"]).contains("Meddled"), "{store}: asked for");
        assert!(!is_passed_on(&user), "{store}: the store changed");

        meddle(&user);
        assert!(is_passed_on(&user), "{store}");
        let user = user.without("GITHUB_TOKEN");
        assert!(!is_passed_on(&user), "{store}: with a token more may be seen, or without one less");
        let user = user.var("GITHUB_TOKEN", "t0ken");
        assert!(is_passed_on(&user), "{store}");
        let user = user.var("LARDER_TRACKERS__TTL", "2h");
        assert!(!is_passed_on(&user), "{store}: the configuration is another");

        meddle(&user);
        assert!(is_passed_on(&user), "{store}");
        std::fs::create_dir_all(user.project().join(".github")).unwrap();
        std::fs::write(user.project().join(".github/pmu-cache.json"), "no manifest").unwrap();
        let told = user.ok(&["release", "list"]);
        assert!(
            !told.out.contains("Meddled") && told.err.contains("pmu-cache.json"),
            "{store}: {}",
            told.all()
        );
        let again = user.ok(&["release", "list"]);
        assert_eq!(again.err, told.err, "{store}: what is wrong is told each time");
        user.ok(&["cache", "clear", "--all", "--yes"]);
        assert!(!crate::world::is_anywhere(&user.home().join(".local/state"), "Meddled"), "{store}");
    }
}

#[test]
fn clusters_and_trackers_of_one_file_keep_to_their_own_commands() {
    let github = usual();
    let user = User::new().var("LARDER_GITHUB__API_URL", github.url()).var("GITHUB_TOKEN", "t0ken");
    user.write(
        "larder.toml",
        "[[cluster]]\nid = \"kiln\"\nrepos = [\"octo-org/kiln\"]\n\n[trackers]\nrepos = [\"octo-org/kiln\"]\n",
    );
    user.ok(&["refresh", "--all"]);
    github.take_requests();
    let repos = user.json(&["repos"]);
    let keys: Vec<&str> =
        repos["cache"].as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["cluster/kiln"]);
    assert_eq!(user.json(&["registry"])["cache"].as_array().unwrap().len(), 1);
    assert_eq!(user.ok(&["release", "list", "--limit", "1"]).out.lines().count(), 2);
    let status = |source: &str| {
        user.json(&["cache", "status", "--source", source])["entries"].as_array().unwrap().len()
    };
    assert_eq!((status("cluster"), status("trackers")), (1, 2));
    assert!(github.take_requests().is_empty());
    let refreshed = user.json(&["refresh", "--source", "trackers"]);
    assert!(refreshed.to_string().contains("trackers/octo-org/kiln/release"), "{refreshed}");
    assert!(!refreshed.to_string().contains("cluster/kiln"), "{refreshed}");
    user.ok(&["cache", "clear", "--source", "trackers", "--yes"]);
    assert_eq!(user.json(&["repos", "--offline"])["repositories"].as_array().unwrap().len(), 1);
}

#[test]
fn a_clone_is_told_by_its_remote_whatever_its_case() {
    let github = usual();
    let user = developer(&github);
    git(&user.project(), &["remote", "set-url", "origin", "https://github.com/Octo-Org/Kiln.git"]);
    user.ok(&["manifest", "generate"]);
    user.ok(&["cache", "clear", "--all", "--yes"]);
    github.take_requests();
    let listed = user.json(&["release", "list"]);
    assert_eq!((count(&listed), &listed["trackers"][0]["repo"]), (4, &REPO.into()));
    assert!(github.take_requests().is_empty(), "the manifest said it all");
    git(&user.project(), &["remote", "remove", "origin"]);
    let nowhere = user.run(&["release", "list"]);
    assert_eq!(nowhere.code, 2);
    assert!(
        nowhere.err.contains("no repository is named") && nowhere.err.contains("--repo OWNER/NAME"),
        "{}",
        nowhere.err
    );
    let wrong = user.run(&["release", "list", "--repo", REPO, "--state", "opne"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("'open'") || wrong.err.contains("`open`"), "{}", wrong.err);
}

#[test]
fn the_other_programs_backend_and_directory_are_ours_too_and_its_file_is_not() {
    let github = usual();
    let user = User::new().var("LARDER_GITHUB__API_URL", github.url()).var("GITHUB_TOKEN", "t0ken");
    let home = user.home();
    let theirs =
        "repositories:\n  - octo-org/kiln\ncache:\n  backend: bolt\n  path: ~/.config/gh-pmu/cache.bolt\n";
    user.write(".gh-pmu.yml", theirs);
    std::fs::create_dir_all(home.join(".config/gh-pmu")).unwrap();
    std::fs::write(home.join(".config/gh-pmu/cache.bolt"), "theirs").unwrap();
    let shown = user.ok(&["config", "show"]);
    assert!(shown.out.contains("larder.redb\t.gh-pmu.yml:4"), "{}", shown.out);
    assert!(shown.err.contains("`cache: path` is ignored"), "{}", shown.err);
    user.write(".gh-pmu.yml", &format!("{theirs}  auto_pull: true\n"));
    let both = user.ok(&["release", "list", "--quiet"]).err;
    assert!(both.contains("its `cache: path`, `cache: auto_pull` are ignored"), "{both}");
    assert_eq!(both.matches("not trusted").count(), 1, "{both}");
    user.write(".gh-pmu.yml", theirs);
    user.ok(&["config", "trust", ".gh-pmu.yml"]);
    let shown = user.ok(&["config", "show"]);
    assert!(shown.out.contains("/.config/gh-pmu/larder.redb\t.gh-pmu.yml:5"), "{}", shown.out);
    assert!(user.ok(&["release", "list"]).out.contains("Phoenix"));
    assert!(home.join(".config/gh-pmu/larder.redb").is_file());
    assert_eq!(std::fs::read_to_string(home.join(".config/gh-pmu/cache.bolt")).unwrap(), "theirs");
    let own = user.var("LARDER_STORE__URL", "sqlite:own.db");
    assert!(own.ok(&["config", "show"]).out.contains("own.db\tenv LARDER_STORE__URL"));
    own.write(".gh-pmu.yml", "cache:\n  backend: mysql\n");
    let own = own.without("LARDER_STORE__URL");
    let unknown = own.ok(&["config", "show"]);
    assert!(unknown.err.contains("neither `sqlite` nor `bolt`"), "{}", unknown.err);
}
