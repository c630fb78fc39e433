//! Configuration as people meet it.

use crate::world::{CLUSTERS, GitHub, Ran, User};

#[test]
fn a_stranger_is_led_from_nothing_to_a_list() {
    let github = GitHub::demo();
    let user = User::new().var("LARDER_GITHUB__API_URL", github.url()).var("GITHUB_TOKEN", "t0ken");
    let ran = user.run(&["repos"]);
    insta::assert_snapshot!(ran.all(), @r#"
    exit 2
    --- out
    --- err
    error: there is no larder.toml
    hint: `larder init` writes one to start from; or write it yourself, such as
        [[cluster]]
        id = "tools"
        repos = ["owner/name"]
    "#);
    assert!(!user.home().join(".local/share").exists(), "nothing is made for nothing");
    user.ok(&["init", "--owner", "octo-org"]);
    let again = user.run(&["init"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("larder init FILE"), "{}", again.err);
    let list = user.ok(&["repos", "--limit", "2"]);
    assert_eq!(list.out.lines().count(), 3);
    assert_eq!(list.err, "");
}

#[test]
fn every_mistake_is_an_error_with_its_place_and_a_hint() {
    let user = User::new();
    user.write("larder.toml", "[github]\nonwer = \"o\"\n[clusters]\nttl = \"soon\"\n");
    let ran = user.run(&["repos"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 2
    --- out
    --- err
    error: larder.toml:2:1: unknown key `onwer` in `[github]`
    hint: did you mean `owner`?
    error: larder.toml:4:7: `ttl`: `soon` is not a duration such as `6h`, `30s` or `1h 30m`
    ");
}

#[test]
fn a_variable_that_was_meant_for_a_setting_stops_a_server_and_a_strange_one_is_told_of() {
    let user = User::new().var("LARDER_STORE_URL", "postgres://me:s3cret@db/x");
    let ran = user.run(&["serve"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 2
    --- out
    --- err
    error: env LARDER_STORE_URL: this variable names no setting
    hint: did you mean `LARDER_STORE__URL`?
    ");
    let user = User::new().var("LARDER_ADMIN_TOKEN", "0123456789abcdef").var("LARDER_TEST_POSTGRES", "x");
    let ran = user.ok(&["cache", "status"]);
    let told = "warning: the variable LARDER_ADMIN_TOKEN names no setting; did you mean `LARDER_SERVER__ADMIN_TOKEN`?\n";
    assert!(ran.err.starts_with(told) && !ran.err.contains("LARDER_TEST"), "{}", ran.err);
    assert_eq!(user.ok(&["cache", "status", "--quiet"]).err, "");
}

#[test]
#[cfg(unix)]
fn a_variable_that_is_not_utf8_is_a_mistake_and_not_passed_over() {
    let user = User::new();
    let with = |name: &str, value: &[u8], args: &[&str]| {
        let value: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(value.to_vec());
        Ran::of(&user.command(args).env(name, value).output().unwrap(), &user)
    };
    let ran = with("LARDER_SERVER__READ_TOKEN", b"geheim-schl\xfcssel-1234", &["config", "show"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 2
    --- out
    --- err
    error: env LARDER_SERVER__READ_TOKEN: its value is not UTF-8
    hint: set it anew in UTF-8, or leave it out: `unset LARDER_SERVER__READ_TOKEN`
    ");
    let ran = with("LARDER_STORE__URL", b"b\xfccher.db", &["cache", "clear", "--all", "--yes"]);
    assert!(ran.code == 2 && ran.err.starts_with("error: env LARDER_STORE__URL: "), "{}", ran.all());
    let ran = with("LARDER_CONFIG", b"\xfc.toml", &["config", "trust"]);
    assert!(ran.code == 1 && ran.err.contains("\u{fffd}.toml could not be read"), "{}", ran.all());
    let ran = with("LARDER_LOG", b"\xfc", &["cache", "status"]);
    assert!(ran.code == 0 && ran.err.starts_with("warning: LARDER_LOG is not understood (it is not UTF-8)"));
}

#[test]
fn a_store_that_was_meant_to_be_a_server_makes_no_file() {
    let user = User::new();
    for store in ["postgres//larder:s3cret@h/d", "host=x password=s3cret"] {
        let user = User::new().var("LARDER_STORE__URL", store);
        for args in [&["config", "show"][..], &["cache", "status"]] {
            let ran = user.run(args);
            assert_eq!(ran.code, 2, "{}", ran.all());
            assert!(ran.err.contains("write `postgres://USER@HOST/DATABASE`"), "{}", ran.err);
            assert!(!ran.all().contains("s3cret"), "{}", ran.all());
        }
    }
    assert_eq!(user.run(&["cache", "status", "--store", "postgres//h/d"]).code, 2);
    assert_eq!(std::fs::read_dir(user.project()).unwrap().count(), 0);
}

#[test]
fn no_folder_is_made_that_is_called_as_the_home_folder_is_written() {
    let user = User::new();
    let run = |args: &[&str], home: bool| {
        let mut command = user.command(args);
        if !home {
            command.env_remove("HOME").env("XDG_DATA_HOME", user.home()).env("XDG_CONFIG_HOME", user.home());
        }
        Ran::of(&command.output().unwrap(), &user)
    };
    for (store, home, says) in [
        ("~/x.db", false, "error: flag --store: `~/x.db`: there is no home folder\n"),
        ("~", true, "error: flag --store: `~` is the home folder: write `~/NAME` for a file in it\n"),
        (
            "~root/x.db",
            true,
            "error: flag --store: `~root/x.db`: write the folder in full, or `./~root/x.db`",
        ),
    ] {
        let ran = run(&["cache", "status", "--store", store], home);
        assert!(ran.code == 2 && ran.err.starts_with(says), "{}", ran.all());
    }
    assert_eq!(std::fs::read_dir(user.project()).unwrap().count(), 0);
    let pmu = |path: &str| {
        user.write(".gh-pmu.yml", &format!("cache: {{path: \"{path}\"}}\n"));
        user.ok(&["config", "trust", ".gh-pmu.yml"]);
        user.run(&["config", "show"])
    };
    assert!(pmu("~").out.contains("store.url\tsqlite:/root/home/larder.db\t.gh-pmu.yml:1\n"));
    let other = pmu("~root/x.db").err;
    assert!(
        other.starts_with("error: .gh-pmu.yml:1: `cache: path`: `~root/x.db`: write the folder"),
        "{other}"
    );
}

#[test]
fn show_tells_where_each_value_came_from_and_hides_the_token() {
    let github = GitHub::demo();
    let user =
        User::of(&github, CLUSTERS).var("REPO_CACHE_TTL", "12").var("DATABASE_URL", "postgres://app/db");
    let ran = user.ok(&["config", "show", "--store", "sqlite:mine.db"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 0
    --- out
    SETTING	VALUE	FROM
    store.url	sqlite:/root/project/mine.db	flag --store
    store.pool_size	10	default
    store.max_overflow	10	default
    store.prepared	false	default
    store.listen_url	-	default
    store.pool_timeout	5s	default
    store.connect_timeout	5s	default
    store.statement_timeout	30s	default
    github.api_url	http://127.0.0.1:PORT	env LARDER_GITHUB__API_URL
    github.owner	octo-org	larder.toml:3
    github.token	(hidden, from GITHUB_TOKEN)	env GITHUB_TOKEN
    engine.lease	15s	default
    engine.soft_timeout	1s	default
    engine.hard_timeout	30s	default
    engine.attempts	8	default
    engine.backoff_base	1s	default
    engine.backoff_cap	15m	default
    engine.negative_ttl	1m	default
    engine.stale_while_revalidate	for ever	default
    engine.stale_if_error	for ever	default
    engine.jitter_percent	10	default
    clusters.ttl	12h	env REPO_CACHE_TTL
    clusters.active_ttl	2h	default
    clusters.unclustered	false	default
    registry.updated_since	-	default
    registry.trending_stars	100	default
    registry.new_within	14d	default
    registry.forks	false	default
    projects.roots	-	default
    projects.depth	3	default
    projects.prune	node_modules, .git, venv, .venv, target, dist, build, vendor, __pycache__	default
    projects.watch	true	default
    projects.debounce	100ms	default
    projects.poll	5s	default
    projects.allow_links	-	default
    projects.collections	/root/home/.skillmeat/collections, /root/home/.skillmeat/collection	default
    projects.ttl	6h	default
    projects.machine	-	default
    server.listen	127.0.0.1:PORT	default
    server.read_token	-	default
    server.admin_token	-	default
    server.allowed_hosts	-	default
    server.trusted_proxies	-	default
    server.memory_mib	128	default
    trackers.repos	-	default
    trackers.ttl	1h	default
    trackers.enabled	true	default
    trackers.auto_sync	true	default
    trackers.auto_pull	false	default
    trackers.auto_pull_interval	5m	default
    cluster.cinder	3 repositories	larder.toml:6
    cluster.kiln	3 repositories	larder.toml:12
    tracker.release	labels release	default
    tracker.microsprint	labels microsprint	default
    --- err
    note: /root/project/larder.toml, not trusted: `larder config trust`
    ");
    let shown = user.json(&["config", "show"]);
    let token = shown["settings"].as_array().unwrap().iter().find(|setting| setting["key"] == "github.token");
    assert_eq!(token.unwrap()["secret"], true);
    assert_eq!(token.unwrap()["value"], serde_json::Value::Null);
}

#[test]
fn a_mistyped_cluster_gets_the_nearest_one() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let ran = user.run(&["repos", "--cluster", "cindre"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 2
    --- out
    --- err
    error: there is no cluster `cindre`
    hint: did you mean `cinder`?
    ");
}

#[test]
fn neither_everything_nor_the_home_folder_may_be_a_root() {
    let user = User::new();
    for root in ["/", "~", "~/dev/..", "~/.."] {
        user.write("own.toml", &format!("[projects]\nroots = [\"code\", \"{root}\"]\n"));
        let refused = user.run(&["--config", "own.toml", "projects"]);
        let is_said = refused.err.contains("own.toml:2") && refused.err.contains("never searched");
        assert!(refused.code != 0 && is_said, "{root}: {}", refused.all());
    }
}

#[test]
fn show_keeps_to_itself_what_may_be_secret_in_an_address() {
    let user = User::new();
    let file = "[[marketplace]]\nname = \"team\"\nurl = \"https://h.example/i.json?token=s3cr3t\"\n";
    user.write("own.toml", file);
    for json in [&[][..], &["--json"]] {
        let shown = user.ok(&[&["--config", "own.toml", "config", "show"], json].concat()).out;
        assert!(shown.contains("url https://h.example/i.json") && !shown.contains("s3cr3t"), "{shown}");
    }
}

#[test]
fn show_lists_every_cluster_tracker_and_marketplace_with_its_place() {
    let user = User::new();
    let text = "[[cluster]]\nid = \"tools\"\nrepos = [\"octo-org/cinder\"]\n\n[[tracker]]\ntype = \"epic\"\n\
                labels = [\"epic\", \"big\"]\n\n[[marketplace]]\nname = \"team\"\ngithub = \"octo-org/skills\"\n\n\
                [[tracker]]\ntype = \"release\"\n";
    user.write("larder.toml", text);
    let shown = user.ok(&["config", "show"]).out;
    let listed = |line: &&str| ["cluster.", "tracker.", "marketplace."].iter().any(|of| line.starts_with(of));
    let lines: Vec<&str> = shown.lines().filter(listed).collect();
    assert_eq!(
        lines,
        [
            "cluster.tools\t1 repository\tlarder.toml:2",
            "tracker.release\tlabels release\tlarder.toml:14",
            "tracker.microsprint\tlabels microsprint\tdefault",
            "tracker.epic\tlabels epic, big\tlarder.toml:6",
            "marketplace.team\tgithub octo-org/skills\tlarder.toml:10",
        ]
    );
    let shown = user.json(&["config", "show"]);
    let settings = shown["settings"].as_array().unwrap();
    let team = settings.iter().find(|one| one["key"] == "marketplace.team").unwrap();
    assert_eq!(
        (&team["value"], &team["origin"]),
        (&"github octo-org/skills".into(), &"larder.toml:10".into())
    );
}

#[test]
fn a_list_in_the_plural_is_told_its_name() {
    let user = User::new();
    for (wrong, right) in [
        ("clusters", "cluster"),
        ("trackers", "tracker"),
        ("marketplaces", "marketplace"),
        ("repos", "repo"),
        ("marketplce", "marketplace"),
    ] {
        user.write("larder.toml", &format!("[[{wrong}]]\nid = \"tools\"\n"));
        let ran = user.run(&["config", "show"]);
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains(&format!("hint: did you mean `[[{right}]]`?\n")), "{}", ran.err);
        assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
    }
    // A table stays one.
    user.write("larder.toml", "[server]\n[[github]]\n");
    assert!(user.run(&["config", "show"]).err.contains("`github` must be a table: `[github]`"));
}
