//! Stories about variables that are not UTF-8.

use super::*;

impl World {
    /// A variable whose value is Latin-1.
    fn odd_var(mut self, name: &str, value: &[u8]) -> Self {
        let value = std::os::unix::ffi::OsStringExt::from_vec(value.to_vec());
        self.env.odd.insert(name.to_owned(), value);
        self
    }
}

#[test]
fn a_variable_that_is_not_utf8_does_not_pass_for_one_that_nobody_set() {
    const SECRET: &[u8] = b"geheim-schl\xfcssel-1234";
    let alone = |name: &str| {
        let world = World::new().with_user_file("[store]\nurl = \"mine.db\"\n").odd_var(name, SECRET);
        world.mistakes().join("; ")
    };
    for name in [
        "LARDER_SERVER__READ_TOKEN",
        "LARDER_SERVER__ADMIN_TOKEN",
        "LARDER_STORE__URL",
        "LARDER_TRACKERS__REPOS",
        "GH_TOKEN",
        "GITHUB_TOKEN",
        "REPO_CACHE_TTL",
    ] {
        let hint = format!("set it anew in UTF-8, or leave it out: `unset {name}`");
        assert_eq!(alone(name), format!("env {name} its value is not UTF-8 | {hint}"));
    }
    assert!(alone("LARDER_SERVER_READ_TOKEN").contains("names no setting | did you mean"), "a slip");
    // Where the name is not UTF-8 either, it may still have been meant for one.
    assert!(alone("LARDER_STORE__URL\u{fffd}").contains("names no setting | did you mean"), "a slip");
}

#[test]
fn what_other_programs_share_is_a_mistake_only_where_it_would_count() {
    let odd = |world: World, name: &str| world.odd_var(name, b"postgres://me:p\xe4ss@db/x");
    let told = |world: World| world.mistakes().join("; ");
    assert!(told(odd(World::new(), "DATABASE_URL")).starts_with("env DATABASE_URL its value is not UTF-8"));
    let server = || World::new().var("LARDER_STORE__URL", "postgres://me@db/x");
    let wrong = told(odd(server(), "PGPASSWORD"));
    assert!(wrong.contains("LARDER_STORE__URL") && wrong.contains("PGPASSWORD is not UTF-8"), "{wrong}");
    assert!(told(odd(server(), "DB_POOL_SIZE")).starts_with("env DB_POOL_SIZE its value"));
    let shared = World::new().var("DATABASE_URL", "postgres://me@db/x");
    let wrong = told(odd(shared, "PGPASSWORD"));
    assert!(wrong.starts_with("env DATABASE_URL the variable PGPASSWORD is not UTF-8"), "{wrong}");
    // A job's token is a server's of its own where the job says that it runs there.
    let job = || World::new().var("LARDER_GITHUB__API_URL", "https://ghe.example/api/v3");
    let wrong = "env GITHUB_API_URL its value is not UTF-8";
    let of_file = || job().with_user_file("[github]\ntoken = \"of-the-file\"\n");
    for world in [job(), of_file()] {
        let told = told(odd(world.var("GITHUB_TOKEN", "t"), "GITHUB_API_URL"));
        assert!(told.starts_with(wrong), "{told}");
    }
    for name in ["LARDER_GITHUB__TOKEN", "GH_ENTERPRISE_TOKEN"] {
        let world = job().var("GITHUB_TOKEN", "t").var(name, "u");
        odd(world, "GITHUB_API_URL").load().unwrap();
    }
    odd(job(), "GITHUB_API_URL").load().unwrap();
    odd(World::new().var("GITHUB_TOKEN", "t"), "GITHUB_API_URL").load().unwrap();
    // Nobody asks for them here.
    let world = World::new().var("LARDER_STORE__URL", "x.db").var("LARDER_GITHUB__TOKEN", "t");
    let names = ["DATABASE_URL", "PGPASSWORD", "DB_POOL_SIZE", "GH_TOKEN", "LS_COLORS"];
    names.into_iter().fold(world, odd).load().unwrap();
    let config = odd(World::new(), "LARDER_FOO").load().unwrap();
    assert!(config.warnings[0].starts_with("the variable LARDER_FOO names no setting"));
}

#[test]
fn a_configuration_may_lie_at_a_path_that_is_not_utf8() {
    let world = World::new().with_user_file("[github]\nowner = \"user\"\n");
    let world = world.odd_var("LARDER_CONFIG", b"\xfc.toml");
    std::fs::write(world.env.cwd.join(&world.env.odd["LARDER_CONFIG"]), "[github]\nowner = \"mine\"\n")
        .unwrap();
    assert_eq!(world.load().unwrap().github.owner.unwrap().value, "mine");
}
