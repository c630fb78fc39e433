//! Stories about configuration, with the environment as data.

use std::path::{Path, PathBuf};

use super::github::API_URL;
use super::*;

#[cfg(unix)]
mod odd_vars;

/// A user with a home, and a project to stand in.
struct World {
    _dir: tempfile::TempDir,
    env: Environment,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let dirs = Dirs { config: root.join("config"), data: root.join("data"), state: root.join("state") };
        let cwd = root.join("project/deep");
        std::fs::create_dir_all(&cwd).unwrap();
        std::fs::create_dir_all(&dirs.config).unwrap();
        World { _dir: dir, env: Environment { dirs, cwd, ..Environment::default() } }
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.env.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    fn project_file(&self) -> PathBuf {
        self.env.cwd.parent().unwrap().join(FILE_NAME)
    }

    fn with_project(self, text: &str) -> Self {
        std::fs::write(self.project_file(), text).unwrap();
        self
    }

    fn with_user_file(self, text: &str) -> Self {
        std::fs::write(self.env.dirs.config.join(FILE_NAME), text).unwrap();
        self
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&Flags::default(), &self.env)
    }

    /// The mistakes, as `line:column message | hint`.
    fn mistakes(&self) -> Vec<String> {
        match self.load() {
            Err(ConfigError::Wrong(problems)) => problems
                .0
                .iter()
                .map(|problem| {
                    let place =
                        problem.place.rsplit_once("larder.toml:").map_or(&*problem.place, |(_, at)| at);
                    let hint = problem.hint.as_deref().map(|hint| format!(" | {hint}")).unwrap_or_default();
                    format!("{place} {}{hint}", problem.message)
                })
                .collect(),
            other => panic!("expected mistakes, got {other:?}"),
        }
    }
}

fn origin_of(config: &Config, key: &str) -> String {
    config.settings().into_iter().find(|setting| setting.key == key).unwrap().origin
}

#[test]
fn the_environment_stands_over_the_file_and_flags_over_both() {
    let world = World::new()
        .with_user_file(
            "[github]\nowner = \"file\"\n[store]\nurl = \"sqlite:of-file.db\"\n[clusters]\nttl = \"1h\"\n",
        )
        .var("LARDER_GITHUB__OWNER", "env")
        .var("LARDER_STORE__URL", "sqlite:/env.db");
    let flags = Flags { store: Some("sqlite:/flag.db".to_owned()), ..Flags::default() };
    let config = Config::load(&flags, &world.env).unwrap();
    assert_eq!(config.github.owner.as_ref().unwrap().value, "env");
    assert_eq!(config.store.url.value, StoreUrl::Sqlite("/flag.db".into()));
    assert_eq!(origin_of(&config, "store.url"), "flag --store");
    assert_eq!(origin_of(&config, "github.owner"), "env LARDER_GITHUB__OWNER");
    assert!(origin_of(&config, "clusters.ttl").ends_with("larder.toml:6"));
    assert_eq!(origin_of(&config, "engine.lease"), "default");
}

#[test]
fn a_relative_store_counts_from_the_file_that_names_it() {
    let world = World::new().with_user_file("[store]\nurl = \"sqlite:of-file.db\"\n");
    let config = world.load().unwrap();
    assert_eq!(config.store.url.value, StoreUrl::Sqlite(world.env.dirs.config.join("of-file.db")));
}

#[test]
fn the_file_is_looked_for_in_the_order_that_people_expect() {
    let world = World::new().with_user_file("[github]\nowner = \"user\"\n");
    let owner = |world: &World, flags: &Flags| {
        Config::load(flags, &world.env).unwrap().github.owner.map(|owner| owner.value)
    };
    let none = Flags::default();
    assert_eq!(owner(&world, &none).as_deref(), Some("user"));
    let world = world.with_project("[github]\nowner = \"project\"\n");
    assert_eq!(owner(&world, &none).as_deref(), Some("project"));
    let named = world.env.cwd.join("named.toml");
    std::fs::write(&named, "[github]\nowner = \"env\"\n").unwrap();
    let world = world.var("LARDER_CONFIG", "named.toml");
    assert_eq!(owner(&world, &none).as_deref(), Some("env"));
    let flag = world.env.cwd.join("flag.toml");
    std::fs::write(&flag, "[github]\nowner = \"flag\"\n").unwrap();
    let flags = Flags { config: Some("flag.toml".into()), ..Flags::default() };
    assert_eq!(owner(&world, &flags).as_deref(), Some("flag"));
    // No shell has expanded it in a unit's file, or behind an `=`.
    let home = world.env.cwd.join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("mine.toml"), "[github]\nowner = \"home\"\n").unwrap();
    let world = world.var("HOME", home.to_str().unwrap()).var("LARDER_CONFIG", "~/mine.toml");
    assert_eq!(owner(&world, &none).as_deref(), Some("home"));
    let flags = Flags { config: Some("~/mine.toml".into()), ..Flags::default() };
    assert_eq!(owner(&world, &flags).as_deref(), Some("home"));
}

#[test]
fn a_named_file_that_is_not_there_is_an_error_and_not_the_next_one() {
    let world = World::new().with_user_file("").var("LARDER_CONFIG", "gone.toml");
    assert!(matches!(world.load(), Err(ConfigError::Unreadable { path, .. }) if path.ends_with("gone.toml")));
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_the_nearest_key() {
    let world = World::new().with_user_file(concat!(
        "[githb]\nowner = \"x\"\n",
        "[github]\nonwer = \"octo\"\napi_url = \"http://example.com\"\n",
        "[clusters]\nttl = \"soon\"\nunclustered = \"yes\"\n",
        "[engine]\nattempts = 0\nlease = \"10ms\"\n",
    ));
    insta::assert_snapshot!(world.mistakes().join("\n"), @r"
    1:2 unknown section `githb` | did you mean `github`?
    4:1 unknown key `onwer` in `[github]` | did you mean `owner`?
    5:11 `api_url`: `http://example.com` would send the token unencrypted: write `https://…`
    7:7 `ttl`: `soon` is not a duration such as `6h`, `30s` or `1h 30m`
    8:15 `unclustered`: expected `true` or `false`, found a string
    10:12 `attempts`: `0` is not between 1 and 1000
    11:9 `lease`: `10ms` is too short: 1s is the least
    ");
}

#[test]
fn mistakes_in_clusters_are_told_with_their_lines() {
    let world = World::new().with_user_file(concat!(
        "[[cluster]]\nid = \"tools\"\nrepos = [\"a/x\", \"A/X\", \"bare\"]\n",
        "[[cluster]]\nid = \"tools\"\n",
        "[[cluster]]\nid = \"My Tools\"\n",
        "[[cluster]]\nid = \"unclustered\"\n",
        "[[cluster]]\nname = \"nameless\"\nflagshp = true\n",
    ));
    insta::assert_snapshot!(world.mistakes().join("\n"), @r#"
    3:17 `A/X` is in cluster `tools` twice, first on line 3
    3:24 `bare` has no owner: write `owner/bare`, or set `[github] owner`
    5:6 cluster `tools` is there twice, first on line 2
    7:6 `id`: `My Tools` cannot be an id: a-z, 0-9, `.`, `_` and `-`, at most 100, such as `my-tools`
    9:6 `id`: `unclustered` is the name of the owner's other repositories: choose another
    10:1 this `[[cluster]]` has no `id` | such as `id = "tools"`
    12:1 unknown key `flagshp` in `[[cluster]]` | did you mean `flagship`?
    "#);
}

#[test]
fn an_override_of_a_repository_that_no_cluster_has_is_a_warning() {
    let text = "[github]\nowner = \"o\"\n[[cluster]]\nid = \"t\"\nrepos = [\"x\"]\n[[repo]]\nname = \"y\"\nfeatured = true\n";
    let config = World::new().with_user_file(text).load().unwrap();
    assert_eq!(config.notes.len(), 1);
    assert!(config.notes[0].ends_with("larder.toml:7:8: `o/y` is in no cluster"), "{:?}", config.notes);
    let with_all = format!("{text}[clusters]\nunclustered = true\n");
    assert!(World::new().with_user_file(&with_all).load().unwrap().notes.is_empty());
}

#[test]
fn text_that_is_not_toml_is_told_with_its_place() {
    let mistakes = World::new().with_user_file("[github\nowner = 1").mistakes();
    assert!(mistakes[0].starts_with("1:8 this is not TOML"), "{mistakes:?}");
}

#[test]
fn a_variable_that_names_no_setting_is_told_with_the_nearest_one() {
    let world = World::new().var("LARDER_GITHUB__ONWER", "x").var("LARDER_LOG", "debug");
    assert_eq!(
        world.mistakes(),
        ["env LARDER_GITHUB__ONWER this variable names no setting | did you mean `LARDER_GITHUB__OWNER`?"]
    );
}

#[test]
fn a_variable_with_an_underscore_too_few_is_a_mistake_and_another_programs_is_told_of() {
    let world = World::new().var("LARDER_STORE_URL", "postgres://x/y").var("LARDER_SERVER_ADMIN_TOKEN", "t");
    assert_eq!(
        world.mistakes(),
        [
            "env LARDER_SERVER_ADMIN_TOKEN this variable names no setting | did you mean `LARDER_SERVER__ADMIN_TOKEN`?",
            "env LARDER_STORE_URL this variable names no setting | did you mean `LARDER_STORE__URL`?",
        ]
    );
    let world = World::new().var("LARDER_FOO", "1").var("LARDER_OWNER", "").var("LARDER_TEST_POSTGRES", "x");
    let config = world.load().unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].starts_with("the variable LARDER_FOO names no setting"));
}

#[test]
fn the_trackers_of_repositories_can_be_asked_for_by_the_environment() {
    let world = World::new().with_user_file("[trackers]\nrepos = [\"a/b\"]\n");
    let world = world.var("LARDER_TRACKERS__REPOS", "octo-org/harbor, octo-org/quill");
    let config = world.load().unwrap();
    let names: Vec<String> = config.trackers.repos.value.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["octo-org/harbor", "octo-org/quill"]);
    assert_eq!(origin_of(&config, "trackers.repos"), "env LARDER_TRACKERS__REPOS");
    let mistakes = world.var("LARDER_TRACKERS__REPOS", "harbor").mistakes();
    assert!(mistakes[0].starts_with("env LARDER_TRACKERS__REPOS `repos`: "), "{mistakes:?}");
}

#[test]
fn a_machines_name_is_for_its_user_to_say_and_no_business_of_a_cloned_repository() {
    let world = World::new().with_project("[projects]\nmachine = \"theirs\"\n");
    let config = world.load().unwrap();
    assert!(config.projects.machine.is_none());
    assert!(config.untrusted[0].contains("`[projects] machine` is ignored"), "{:?}", config.untrusted);
    let world = world.var("LARDER_PROJECTS__MACHINE", " build ");
    let config = world.load().unwrap();
    assert_eq!(config.projects.config().machine.as_deref(), Some("build"));
    assert_eq!(origin_of(&config, "projects.machine"), "env LARDER_PROJECTS__MACHINE");
    for odd in [" ", "a\0b", "a\nb"] {
        let mistakes = World::new().var("LARDER_PROJECTS__MACHINE", odd).mistakes();
        assert!(mistakes[0].contains("a machine's name is a word or some, such as `build`"), "{mistakes:?}");
    }
}

#[test]
fn what_config_show_lists_can_come_from_the_environment_as_the_template_says() {
    let settings = World::new().load().unwrap().settings();
    for setting in settings {
        let name = format!("LARDER_{}", setting.key.replace('.', "__").to_uppercase());
        let world = World::new().var(&name, "1");
        if let Err(ConfigError::Wrong(problems)) = world.load() {
            assert!(problems.0.iter().all(|problem| !problem.message.contains("names no setting")), "{name}");
        }
    }
}

#[test]
fn a_cloned_repositorys_file_sets_neither_host_nor_token_nor_store_until_it_is_trusted() {
    let text = concat!(
        "[github]\napi_url = \"https://evil.example\"\ntoken = \"theirs\"\nowner = \"octo\"\n",
        "[store]\nurl = \"sqlite:/etc/passwd\"\n",
        "[[cluster]]\nid = \"tools\"\nrepos = [\"cinder\"]\n",
    );
    let world = World::new().with_project(text).var("GITHUB_TOKEN", "mine");
    let config = world.load().unwrap();
    assert_eq!(config.github.api_url.value, API_URL);
    assert_eq!(origin_of(&config, "github.token"), "env GITHUB_TOKEN");
    let path = config.store.url.value.file().unwrap();
    assert!(path.starts_with(world.env.dirs.data.join("projects")), "{}", path.display());
    assert_eq!(config.listed.clusters.len(), 1);
    assert!(config.untrusted[0].contains("`[store] url`, `[github] api_url`, `[github] token` are ignored"));
    assert!(config.untrusted[0].contains("larder config trust"));

    Trust::load(&world.env).add(&world.project_file(), text).unwrap();
    let config = world.load().unwrap();
    assert_eq!(config.github.api_url.value, "https://evil.example");
    assert!(config.untrusted.is_empty());

    // What was trusted was this content: a pull that changes it asks again.
    let world = world.with_project(&text.replace("evil", "worse"));
    assert_eq!(world.load().unwrap().github.api_url.value, API_URL);
}

#[test]
fn two_projects_and_the_user_have_databases_of_their_own() {
    let database = |world: &World| world.load().unwrap().store.url.value.file().unwrap().to_owned();
    let world = World::new().with_user_file("");
    assert_eq!(database(&world), world.env.dirs.data.join("larder.db"));
    let world = world.with_project("");
    let of_project = database(&world);
    let name = of_project.file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with("project-") && Path::new(name).extension().is_some_and(|ext| ext == "db"),
        "{name}"
    );
}

#[test]
fn the_database_url_of_the_environment_is_taken_where_nothing_else_is_said() {
    let world = World::new().var("DATABASE_URL", "postgresql+asyncpg://app:s3cret@db:5432/oss");
    let shown = |world: &World| {
        let config = world.load().unwrap();
        let text = format!("{config:?} {:?}", config.settings());
        assert!(!text.contains("s3cret"), "{text}");
        (config.store.url.value.to_string(), origin_of(&config, "store.url"))
    };
    assert_eq!(shown(&world), ("postgres://app@db:5432/oss".to_owned(), "env DATABASE_URL".to_owned()));
    let world = world.with_user_file("[store]\nurl = \"redb:cache.redb\"\n");
    let (url, origin) = shown(&world);
    assert!(url.ends_with("config/cache.redb") && origin.ends_with("larder.toml:2"), "{url} {origin}");
    let world = world.var("LARDER_STORE__URL", "/srv/own.db");
    assert_eq!(shown(&world), ("sqlite:/srv/own.db".to_owned(), "env LARDER_STORE__URL".to_owned()));
}

#[test]
fn a_mistyped_database_url_is_told_of() {
    let config = World::new().var("DATABASE_URL", "postgre://app:s3cret@db/oss").load().unwrap();
    assert_eq!(
        config.notes,
        ["DATABASE_URL is left alone: it names no PostgreSQL database; did you mean `postgres://`?"]
    );
}

#[test]
fn a_database_url_of_another_kind_breaks_nothing() {
    for url in ["mysql://x", "sqlite:///tmp/app.db", "file:./dev.db", "postgres:"] {
        let config = World::new().var("DATABASE_URL", url).load().unwrap();
        assert_eq!(origin_of(&config, "store.url"), "default", "{url}");
        assert_eq!(config.quiet_notes.len(), 1, "{url}");
        assert!(config.notes.is_empty(), "{url}");
    }
}

#[test]
fn how_a_server_is_spoken_to_can_be_said_in_the_words_that_others_use() {
    let world = World::new()
        .with_user_file("[store]\nprepared = true\nconnect_timeout = \"2s\"\nmax_overflow = 3\n")
        .var("DB_POOL_SIZE", "20")
        .var("DB_MAX_OVERFLOW", "10")
        .var("DB_POOL_TIMEOUT", "30");
    // Without a server, what other programs' variables say is nobody's concern.
    let server = world.load().unwrap().store.server;
    assert_eq!((server.pool_size.is_set(), server.max_overflow.value), (false, 3));
    let world = world.var("DATABASE_URL", "postgres://db/x");
    let config = world.load().unwrap();
    let server = &config.store.server;
    assert_eq!((server.pool_size.value, server.max_overflow.value, server.prepared.value), (20, 10, true));
    assert_eq!((server.connect_timeout.value.as_secs(), server.pool_timeout.value.as_secs()), (2, 30));
    assert_eq!(origin_of(&config, "store.pool_size"), "env DB_POOL_SIZE");
    let world = world.var("LARDER_STORE__POOL_SIZE", "4").var("DB_MAX_OVERFLOW", "-1");
    assert_eq!(world.mistakes(), ["env DB_MAX_OVERFLOW `max_overflow`: `-1` is not between 0 and 1000"]);
}

#[test]
fn how_long_connecting_may_take_is_shown_as_the_address_says_it_where_it_is_not_set() {
    let shown = |world: &World| {
        let all = world.load().unwrap().shown();
        let one = all.into_iter().find(|one| one.key == "store.connect_timeout").unwrap();
        (one.value.unwrap(), one.origin)
    };
    let own = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    let said = || World::new().var("DATABASE_URL", "postgres://u@db.example/x?connect_timeout=9");
    assert_eq!(shown(&said()), own("9s", "store.url"));
    let set = said().var("LARDER_STORE__CONNECT_TIMEOUT", "2s");
    assert_eq!(shown(&set), own("2s", "env LARDER_STORE__CONNECT_TIMEOUT"));
    for url in ["postgres://u@db.example/x", "postgres://u@db.example/x?connect_timeout=0"] {
        assert_eq!(shown(&World::new().var("DATABASE_URL", url)), own("5s", "default"), "{url}");
    }
}

#[test]
fn an_address_to_listen_at_that_cannot_be_read_is_told_as_what_it_is() {
    let world = World::new()
        .var("LARDER_STORE__URL", "postgres://db/x")
        .var("LARDER_STORE__LISTEN_URL", "postgres://me:s3cret@db/x?sslmod=require");
    let [mistake] = &world.mistakes()[..] else { panic!("{:?}", world.mistakes()) };
    let begins =
        "env LARDER_STORE__LISTEN_URL `listen_url`: this address cannot be read: it has a parameter that";
    assert!(mistake.starts_with(begins), "{mistake}");
    assert!(mistake.ends_with("; did you mean `sslmode`?") && !mistake.contains("s3cret"), "{mistake}");
    let good = "postgres://me:s3cret@db/x?sslmode=require";
    assert!(world.var("LARDER_STORE__LISTEN_URL", good).load().unwrap().store.server.listen_url.is_some());
}

#[test]
fn a_password_on_the_command_line_is_warned_of() {
    let world = World::new();
    let load = |store: &str| {
        let flags = Flags { store: Some(store.to_owned()), ..Flags::default() };
        Config::load(&flags, &world.env).unwrap().notes
    };
    let notes = load("postgres://me:s3cret@db/x");
    assert!(notes[0].contains("LARDER_STORE__URL") && !notes[0].contains("s3cret"), "{notes:?}");
    assert!(load("postgres://me@db/x").is_empty());
}

#[test]
fn the_lifetimes_of_the_seed_are_hours() {
    let world = World::new()
        .with_user_file("[clusters]\nttl = \"1h\"\n")
        .var("REPO_CACHE_TTL", "12")
        .var("REPO_CACHE_ACTIVE_TTL", "0.5");
    let config = world.load().unwrap();
    assert_eq!(config.listed.ttl.as_secs(), 12 * 3600);
    assert_eq!(config.listed.active_ttl.as_secs(), 1800);
    assert_eq!(origin_of(&config, "clusters.ttl"), "env REPO_CACHE_TTL");
}

#[test]
fn a_token_of_githubs_own_is_sent_to_no_enterprise_server_but_by_a_job_of_its_own() {
    const HERE: &str = "https://ghe.example/api/v3";
    let all = ["GITHUB_TOKEN", "GH_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GH_ENTERPRISE_TOKEN"];
    let from = |url: &str, vars: &[&str], runs_at: &str| {
        let world = World::new()
            .with_user_file("[github]\ntoken = \"of-the-file\"\n")
            .var("LARDER_GITHUB__API_URL", url);
        let world = vars.iter().fold(world, |world, name| world.var(name, name));
        origin_of(&world.var("GITHUB_API_URL", runs_at).load().unwrap(), "github.token")
    };
    for url in [API_URL, "https://api.octo.ghe.com", "http://127.0.0.1:4010"] {
        assert_eq!(from(url, &all, ""), "env GH_TOKEN", "{url}");
        assert_eq!(from(url, &["GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN"], HERE), "env GITHUB_TOKEN", "{url}");
        assert!(from(url, &all[2..], "").ends_with("larder.toml:2"), "{url}");
    }
    for url in [HERE, "https://api.github.com.evil.example", "https://ghe.com", "https://xghe.com"] {
        assert_eq!(from(url, &all, ""), "env GH_ENTERPRISE_TOKEN", "{url}");
        assert_eq!(from(url, &all[..3], ""), "env GITHUB_ENTERPRISE_TOKEN", "{url}");
        assert!(from(url, &all[..2], API_URL).ends_with("larder.toml:2"), "{url}");
    }
    assert_eq!(from(HERE, &all[..2], HERE), "env GITHUB_TOKEN");
    assert!(from(HERE, &all[..2], "https://ghe.example:8443/api/v3").ends_with("larder.toml:2"));
    let world = World::new().var("LARDER_GITHUB__API_URL", HERE).var("GITHUB_TOKEN", "x");
    let notes = world.load().unwrap().quiet_notes;
    assert!(notes[0].contains("not sent to ghe.example: GH_ENTERPRISE_TOKEN"), "{notes:?}");
}

#[test]
fn a_host_with_a_port_has_its_pages_there() {
    for (url, pages) in [
        (API_URL, "github.com"),
        ("https://ghe.example:8443/api/v3", "ghe.example:8443"),
        ("https://ghe.example:443/api/v3", "ghe.example"),
        ("http://127.0.0.1:4010", "github.com"),
    ] {
        let config = World::new().var("LARDER_GITHUB__API_URL", url).load().unwrap();
        assert_eq!(config.github.page_host(), pages, "{url}");
    }
}

#[test]
fn a_token_is_never_shown_even_when_it_is_wrong() {
    let world = World::new().var("GITHUB_TOKEN", "secret one");
    let mistakes = world.mistakes();
    assert!(mistakes[0].starts_with("env GITHUB_TOKEN") && !mistakes[0].contains("secret"), "{mistakes:?}");
    let config = World::new().var("GITHUB_TOKEN", "s3cret").load().unwrap();
    assert!(!format!("{config:?} {:?}", config.settings()).contains("s3cret"));
}

#[test]
fn an_address_that_cannot_be_read_is_told_without_what_may_be_a_token() {
    for url in ["https://me:ghp_secret@ghe host/api", "http://ghp_secret@ghe.example/api", "ghp_secret@ghe"] {
        let world = World::new().var("LARDER_GITHUB__API_URL", url);
        let told = world.mistakes().join("\n");
        assert!(!told.is_empty() && !told.contains("ghp_secret"), "{told}");
    }
}

#[test]
fn what_can_be_no_folder_s_name_is_refused_where_names_are_expected() {
    for prune in ["/abs/path", "a/pkg", "n*", "?", "/", ""] {
        let world = World::new().with_project(&format!("[projects]\nprune = [\"venv\", \"{prune}\"]\n"));
        let mistakes = world.mistakes();
        assert_eq!(mistakes.len(), 1, "{prune}: {mistakes:?}");
        assert!(mistakes[0].contains(&format!("`{prune}` is not a folder's name alone")), "{mistakes:?}");
        assert!(mistakes[0].contains(".gitignore"), "{mistakes:?}");
    }
    let world = World::new().with_project("[projects]\nprune = [\"pkg/\", \"venv\"]\n");
    assert_eq!(
        world.load().unwrap().projects.prune.value,
        ["pkg", "venv"],
        "a folder, as a shell completes it"
    );
    let world = World::new().var("LARDER_PROJECTS__PRUNE", "a/pkg, venv");
    assert!(world.mistakes()[0].contains("`a/pkg` is not a folder's name alone"));
}
