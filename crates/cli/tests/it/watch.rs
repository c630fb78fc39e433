//! `larder watch`, run as people run it: beside another one, and into a pipe that is closed.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use crate::folders::{back_up, restore};
use crate::serving::Serving;
use crate::world::User;

/// A watch that runs until it ends by itself, is stopped, or the test ends.
struct Watching {
    child: Child,
    /// What it said when it was watching.
    began: String,
    told: Lines<BufReader<ChildStdout>>,
    said: Lines<BufReader<ChildStderr>>,
}

impl Watching {
    /// Starts one, and waits until it is watching.
    fn start(user: &User, args: &[&str]) -> Self {
        let args = [&["watch"], args].concat();
        Watching::of(user.command(&args))
    }

    /// The same by a command of one's own.
    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let began = said.by_ref().map(Result::unwrap).find(|line| line.starts_with("note: watching "));
        let began = began.expect("it ended");
        let told = BufReader::new(child.stdout.take().unwrap()).lines();
        Watching { child, began, told, said }
    }

    /// The next change that it tells of: what, and of which artifact of which project.
    fn next(&mut self) -> String {
        let line = self.told.next().expect("it ended").unwrap();
        let parts: Vec<&str> = line.split('\t').collect();
        format!("{} {} of {}", parts[1], parts[3], parts[4])
    }

    /// Waits until it says on standard error what begins so.
    fn says(&mut self, beginning: &str) {
        let mut said = self.said.by_ref().map(Result::unwrap);
        assert!(said.any(|line| line.starts_with(beginning)), "it ended without saying `{beginning}`");
    }

    /// Asks it to stop; everything that it told besides.
    fn stop(mut self) -> Vec<String> {
        let stopped = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        assert!(stopped.unwrap().success());
        assert!(self.child.wait().unwrap().success());
        self.told.by_ref().map(Result::unwrap).collect()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A user with a project that has one skill, which is known.
fn user() -> User {
    let user = stranger();
    user.ok(&["projects"]);
    user
}

/// The same, and nobody has looked yet.
fn stranger() -> User {
    let user = User::new();
    user.write("larder.toml", "[projects]\nroots = [\"code\"]\ndebounce = \"10ms\"\n");
    skill(&user, "atlas", "mapping", "Draws maps");
    user
}

/// Puts a skill into a project, whole at once.
fn skill(user: &User, project: &str, name: &str, description: &str) {
    let beside = user.home().join("beside");
    std::fs::write(&beside, format!("---\nname: {name}\ndescription: {description}\n---\n# {name}\n"))
        .unwrap();
    let folder = user.project().join(format!("code/{project}/.claude/skills/{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::rename(beside, folder.join("SKILL.md")).unwrap();
}

#[test]
fn a_watch_ends_when_whoever_read_it_has_gone() {
    for args in [&[][..], &["--json"]] {
        let user = user();
        let mut idle = Watching::start(&user, args);
        let mut busy = Watching::start(&user, args);
        skill(&user, "atlas", "mapping", "Draws better maps");
        busy.told.next().unwrap().unwrap();
        // Of neither anything changes from now on.
        drop((std::mem::replace(&mut idle.told, nothing()), std::mem::replace(&mut busy.told, nothing())));
        assert_eq!(busy.child.wait().unwrap().code(), Some(0), "{args:?}");
        assert_eq!(idle.child.wait().unwrap().code(), Some(0), "{args:?}");
    }
}

/// What a process tells that has nothing to tell.
fn nothing() -> Lines<BufReader<ChildStdout>> {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    child.wait().unwrap();
    BufReader::new(child.stdout.take().unwrap()).lines()
}

#[test]
fn each_of_two_watches_tells_every_change_once_whoever_took_it_in() {
    let user = user();
    let mut watches = [Watching::start(&user, &[]), Watching::start(&user, &[])];
    let mut both = |expected: &str| {
        for watch in &mut watches {
            assert_eq!(watch.next(), expected);
        }
    };
    for turn in 0..3 {
        skill(&user, "atlas", "mapping", &format!("Draws maps, {turn}"));
        both("edited mapping of atlas");
        // Outside of the roots it is made, and there it goes.
        let (inside, outside) = (user.project().join("code/borealis"), user.home().join("borealis"));
        std::fs::create_dir_all(outside.join(".claude/agents")).unwrap();
        std::fs::write(outside.join(".claude/agents/lights.md"), "---\ndescription: Looks\n---\n").unwrap();
        std::fs::rename(&outside, &inside).unwrap();
        both("added lights of borealis");
        std::fs::rename(&inside, &outside).unwrap();
        both("removed lights of borealis");
        std::fs::remove_dir_all(outside).unwrap();
    }
    for watch in watches {
        assert_eq!(watch.stop(), Vec::<String>::new(), "none is told twice");
    }
}

#[test]
fn a_watch_tells_what_a_server_or_a_command_on_the_same_store_took_in() {
    let user = user();
    let serving = Serving::start(&user, &["serve"]);
    let mut watch = Watching::start(&user, &["--project", "atlas"]);
    skill(&user, "atlas", "surveying", "Measures the land");
    user.ok(&["refresh", "--source", "projects"]);
    assert_eq!(watch.next(), "added surveying of atlas");
    // What is cleared is not gone: it is there again when it was looked at.
    user.ok(&["cache", "clear", "--source", "projects", "--yes"]);
    user.ok(&["artifacts"]);
    skill(&user, "atlas", "mapping", "Draws better maps");
    user.ok(&["refresh", "--source", "projects"]);
    assert_eq!(watch.next(), "edited mapping of atlas");
    assert!(serving.stop().success());
}

#[test]
fn a_project_that_nobody_has_looked_at_yet_can_be_watched_by_its_name() {
    let user = stranger();
    let mut watch = Watching::start(&user, &["--project", "atlas"]);
    skill(&user, "borealis", "lights", "Looks");
    skill(&user, "atlas", "mapping", "Draws better maps");
    assert_eq!(watch.next(), "edited mapping of atlas");
}

#[test]
fn a_project_is_watched_by_the_name_that_it_has_now_and_what_changed_before_is_told() {
    let user = user();
    skill(&user, "atlas", "mapping", "Draws better maps");
    user.write("code/atlas/.claude/.skillmeat-project.toml", "[project]\nname = \"Gazetteer\"\n");
    let mut watch = Watching::start(&user, &["--project", "Gazetteer"]);
    assert_eq!(watch.next(), "edited mapping of Gazetteer");
    skill(&user, "atlas", "surveying", "Measures the land");
    assert_eq!(watch.next(), "added surveying of Gazetteer");
    assert_eq!(watch.stop(), Vec::<String>::new());
}

#[test]
fn a_usual_root_that_comes_later_is_watched_wherever_one_stands() {
    for is_at_home in [false, true] {
        let user = User::new().var("LARDER_PROJECTS__DEBOUNCE", "10ms");
        let mut command = user.command(&["watch"]);
        if is_at_home {
            command.current_dir(user.home());
        }
        let mut watch = Watching::of(command);
        let folder = user.home().join("dev/site/.claude/skills/deploy");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("SKILL.md"), "# deploy\n").unwrap();
        assert_eq!(watch.next(), "added deploy of site");
        std::fs::write(folder.join("SKILL.md"), "# deploy it\n").unwrap();
        assert_eq!(watch.next(), "edited deploy of site");
    }
}

#[test]
fn a_usual_root_that_went_away_is_waited_for_and_what_it_held_is_no_news() {
    let user = User::new().var("LARDER_PROJECTS__DEBOUNCE", "10ms");
    let (there, away) = (user.home().join("dev"), user.home().join("elsewhere"));
    let skill = |root: &std::path::Path, name: &str| {
        let folder = root.join("site/.claude/skills").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("SKILL.md"), format!("# {name}\n")).unwrap();
    };
    skill(&there, "deploy");
    user.ok(&["projects"]);
    std::fs::rename(&there, &away).unwrap();
    // The home folder is no root, as any other is where one stands in it.
    let mut command = user.command(&["watch"]);
    command.current_dir(user.home());
    let mut watch = Watching::of(command);
    assert!(!watch.began.contains("none is there"), "{}", watch.began);
    skill(&away, "build");
    std::fs::rename(&away, &there).unwrap();
    assert_eq!(watch.next(), "added build of site");
    assert_eq!(watch.stop(), Vec::<String>::new());
}

#[test]
fn one_project_whose_row_is_damaged_keeps_nobody_from_hearing_of_the_others() {
    let user = stranger();
    skill(&user, "borealis", "lights", "Looks");
    user.ok(&["projects"]);
    let place = user.json(&["cache", "status"])["store"]["place"].as_str().unwrap().to_owned();
    let root = user.home().parent().unwrap().canonicalize().unwrap();
    let file = rusqlite::Connection::open(place.replace("/root", root.to_str().unwrap())).unwrap();
    let sql = "UPDATE entries SET warnings = 'oops' WHERE key LIKE 'projects/borealis-%'";
    assert_eq!(file.execute(sql, []).unwrap(), 1);
    drop(file);
    let mut watch = Watching::start(&user, &[]);
    skill(&user, "atlas", "mapping", "Draws better maps");
    assert_eq!(watch.next(), "edited mapping of atlas");
}

#[test]
fn what_had_lain_there_when_a_watch_looked_for_the_first_time_is_no_change() {
    for half_known in [false, true] {
        let user = stranger();
        skill(&user, "borealis", "lights", "Looks");
        if half_known {
            // The root is known, and of its projects nothing.
            let known = user.json(&["projects"])["projects"].clone();
            for project in known.as_array().unwrap() {
                let key = format!("projects/{}", project["id"].as_str().unwrap());
                user.ok(&["cache", "clear", &key, "--yes"]);
            }
        }
        let mut watch = Watching::start(&user, &[]);
        skill(&user, "atlas", "mapping", "Draws better maps");
        assert_eq!(watch.next(), "edited mapping of atlas");
        skill(&user, "cosmos", "stars", "Counts stars");
        assert_eq!(watch.next(), "added stars of cosmos");
        assert_eq!(watch.stop(), Vec::<String>::new());
    }
}

#[test]
fn a_watch_outlives_its_store_being_away_and_tells_what_changed_meanwhile() {
    let user = user();
    let mut watch = Watching::start(&user, &[]);
    skill(&user, "atlas", "mapping", "Draws better maps");
    assert_eq!(watch.next(), "edited mapping of atlas");
    let data = user.home().join(".local/share/larder");
    for skills_name in ["surveying", "drawing"] {
        std::fs::rename(&data, user.home().join("away")).unwrap();
        skill(&user, "atlas", skills_name, "Measures the land");
        watch.says("warning: what changes meanwhile is told later: ");
        std::fs::rename(user.home().join("away"), &data).unwrap();
        watch.says("note: the store can be asked again");
        assert_eq!(watch.next(), format!("added {skills_name} of atlas"));
    }
    assert_eq!(watch.stop(), Vec::<String>::new());
}

#[test]
fn what_a_backup_says_that_is_restored_under_a_watch_is_no_change() {
    let user = user();
    let backup = back_up(&user);
    let mut watch = Watching::start(&user, &[]);
    skill(&user, "atlas", "mapping", "Draws better maps");
    assert_eq!(watch.next(), "edited mapping of atlas");
    skill(&user, "borealis", "lights", "Looks");
    assert_eq!(watch.next(), "added lights of borealis");
    restore(&user, &backup);
    skill(&user, "borealis", "lights", "Looks up");
    assert_eq!(watch.next(), "edited lights of borealis");
    skill(&user, "atlas", "mapping", "Draws the best maps");
    assert_eq!(watch.next(), "edited mapping of atlas");
    assert_eq!(watch.stop(), Vec::<String>::new());
}
