//! What a server says on standard error while nobody looks at its pages.

use larder_github_sim::Switches;

use crate::serving::Serving;
use crate::world::{CLUSTERS, GitHub, User};

/// A server, and what it has said so far.
fn serving(user: &User, args: &[&str]) -> (Serving, impl Fn() -> String + use<>) {
    let path = user.home().join("server.log");
    let log = std::fs::File::create(&path).unwrap();
    let serving = Serving::start_to(user, &[&["serve"], args].concat(), log.into());
    (serving, move || std::fs::read_to_string(&path).unwrap())
}

/// A user whose failures wait no longer than they must, so that there are many attempts.
fn impatient(github: &GitHub) -> User {
    let user = User::of(github, CLUSTERS).var("GITHUB_TOKEN", "s3cret-t0ken");
    user.var("LARDER_ENGINE__BACKOFF_BASE", "100ms").var("LARDER_ENGINE__BACKOFF_CAP", "100ms")
}

#[test]
fn a_server_says_once_that_it_is_refused_and_once_that_it_is_not_any_more() {
    let github = GitHub::demo();
    let user = impatient(&github);
    github.switch(Switches { bad_credentials: true, ..Switches::default() });
    let (serving, log) = serving(&user, &[]);
    for path in ["/api/v1/clusters/cinder", "/api/v1/clusters/kiln", "/api/v1/clusters/cinder"] {
        serving.get(path);
    }
    crate::fire::until("it tries again", || {
        serving.get("/api/v1/clusters/cinder");
        (user.status("cluster/cinder")["attempts"].as_u64() > Some(2)).then_some(())
    });
    let said = crate::fire::until("it says so", || Some(log()).filter(|log| log.contains("WARN")));
    assert_eq!(said.matches("could not be refreshed").count(), 1, "{said}");
    assert!(said.to_lowercase().contains("bad credentials"), "{said}");

    github.switch(Switches::default());
    crate::fire::until("it is well again", || {
        let answers = ["cinder", "kiln"].map(|id| serving.get(&format!("/api/v1/clusters/{id}")).0);
        answers.iter().all(|head| head.starts_with("HTTP/1.1 200 ")).then_some(())
    });
    let said = crate::fire::until("it says so", || Some(log()).filter(|log| log.contains("refreshed again")));
    assert_eq!(said.matches("can be refreshed again").count(), 1, "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    assert!(serving.stop().success());
}

#[test]
fn a_server_says_nothing_of_a_project_that_moved_and_hears_of_the_next_trouble_all_the_same() {
    let user = User::new();
    user.write("larder.toml", "[projects]\nroots = [\"code\"]\ndebounce = \"10ms\"\n");
    user.ok(&["config", "trust"]);
    user.write("code/team/site-0/.claude/commands/deploy.md", "Deploys\n");
    user.write("code/team/other/.claude/commands/deploy.md", "Deploys\n");
    let (serving, log) = serving(&user, &[]);
    let lists = |name: &str| serving.get("/api/v1/projects").1.contains(&format!("\"{name}\""));
    crate::fire::until("it knows the project", || lists("site-0").then_some(()));
    for turn in 0..5 {
        let [from, to] = [turn, turn + 1].map(|turn| user.project().join(format!("code/team/site-{turn}")));
        std::fs::rename(from, to).unwrap();
        let (old, new) = (format!("site-{turn}"), format!("site-{}", turn + 1));
        crate::fire::until("it follows", || (lists(&new) && !lists(&old)).then_some(()));
    }
    assert!(!log().contains("WARN"), "{}", log());
    // It tells no more than once of what fails alike: what is gone is not that.
    std::fs::rename(user.project().join("code"), user.home().join("away")).unwrap();
    let said = crate::fire::until("it says so", || Some(log()).filter(|log| log.contains("WARN")));
    assert_eq!(said.matches("could not be refreshed").count(), 1, "{said}");
    std::fs::rename(user.home().join("away"), user.project().join("code")).unwrap();
    crate::fire::until("it says so", || Some(log()).filter(|log| log.contains("can be refreshed again")));
    assert!(serving.stop().success());
}

#[test]
fn a_server_is_as_talkative_as_it_is_asked_to_be() {
    let github = GitHub::demo();
    github.switch(Switches { bad_credentials: true, ..Switches::default() });
    for (args, level, talks) in
        [(&[][..], "off", false), (&["--quiet"], "", false), (&["--quiet"], "warn", true)]
    {
        let user = impatient(&github).var("LARDER_LOG", level);
        let (serving, log) = serving(&user, args);
        serving.get("/api/v1/clusters/cinder");
        assert!(serving.stop().success());
        assert_eq!(log().contains("could not be refreshed"), talks, "{args:?} {level}: {}", log());
    }
    // A level that cannot be understood is no reason to be silent, nor is a word that would name a target.
    for level in ["larder=loud", "warning", "info,infoo"] {
        let user = impatient(&github).var("LARDER_LOG", level);
        let (serving, log) = serving(&user, &[]);
        serving.get("/api/v1/clusters/cinder");
        assert!(serving.stop().success());
        assert!(log().contains("warning: LARDER_LOG is not understood"), "{level}: {}", log());
        assert!(log().contains("could not be refreshed"), "{level}: {}", log());
    }
    for level in ["WARN", "larder", "larder_engine", "off,larder_sources=debug", "2", "info,"] {
        let user = User::new().var("LARDER_LOG", level);
        let said = user.ok(&["completions", "bash"]).err;
        assert!(!said.contains("not understood"), "{level}: {said}");
    }
}
