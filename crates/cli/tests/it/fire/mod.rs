//! Real processes under fire: killed, stopped, starved of disk and cut off from their store at
//! moments that a seed draws. What they commit must stay, what they read must be whole.
//!
//! The world is made so that a torn answer shows: all repositories of a cluster say the same number,
//! and change it together. Moments are told by what a process has done (its system calls, its
//! requests, its row in the store), never by how long it ran.

mod clock;
mod damage;
mod database;
mod file;
mod instances;
mod together;

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_github_sim::{Owner, Repository, Switches, Token, World};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::world::{GitHub, Ran, User};

/// How many repositories a cluster has.
const EACH: usize = 4;

/// A GitHub whose clusters turn like a carousel: at each turn all repositories of one say the next number.
pub(crate) struct Carousel {
    pub(crate) github: GitHub,
    turns: Vec<AtomicU64>,
    /// Below this no later reader may find a cluster.
    floors: Vec<AtomicU64>,
}

impl Carousel {
    pub(crate) fn new(clusters: usize) -> Self {
        let mut world = World::new();
        world.add_owner(Owner::organization("octo-org"));
        for name in (0..clusters).flat_map(names) {
            world.add(Repository { stars: 1, description: Some("1".to_owned()), ..Repository::new(&name) });
        }
        world.accept_any_token(Token::of("octocat").seeing_everything());
        let numbers = |first| (0..clusters).map(|_| AtomicU64::new(first)).collect();
        Carousel { github: GitHub::start(world), turns: numbers(1), floors: numbers(0) }
    }

    /// A larder.toml with all of them, and a short lease.
    pub(crate) fn config(&self) -> String {
        let cluster = |n: usize| {
            let names: Vec<String> = names(n).map(|name| format!("\"{name}\"")).collect();
            format!("[[cluster]]\nid = \"k{n}\"\nrepos = [{}]\n", names.join(", "))
        };
        let clusters: String = (0..self.turns.len()).map(cluster).collect();
        format!("[engine]\nlease = \"2s\"\n{clusters}")
    }

    /// A user of them.
    pub(crate) fn user(&self) -> User {
        User::of(&self.github, &self.config())
    }

    pub(crate) fn len(&self) -> usize {
        self.turns.len()
    }

    /// All repositories of a cluster say the next number; answers which.
    pub(crate) fn turn(&self, cluster: usize) -> u64 {
        self.github.world(|world| {
            let next = self.turns[cluster].fetch_add(1, Ordering::SeqCst) + 1;
            for name in names(cluster) {
                world.edit(&name, |repository| {
                    repository.stars = next;
                    repository.description = Some(next.to_string());
                });
            }
            next
        })
    }

    /// What the clusters say now.
    pub(crate) fn now(&self) -> Vec<u64> {
        self.turns.iter().map(|turn| turn.load(Ordering::SeqCst)).collect()
    }

    /// From now on nobody may find this cluster older than that.
    pub(crate) fn committed(&self, cluster: usize, number: u64) {
        self.floors[cluster].fetch_max(number, Ordering::SeqCst);
    }

    /// What a reader who begins now must at least find.
    pub(crate) fn floors(&self) -> Vec<u64> {
        self.floors.iter().map(|floor| floor.load(Ordering::SeqCst)).collect()
    }

    /// How often repositories were asked for.
    pub(crate) fn calls(&self) -> usize {
        self.github.requests().iter().filter(|request| request.repositories > 0).count()
    }

    /// Whether GitHub takes questions and keeps its answers back.
    pub(crate) fn hold(&self, held: Held) {
        self.github.switch(Switches { hold: held == Held::Back, ..Switches::default() });
    }
}

/// What GitHub does with its answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It keeps them back.
    Back,
    /// It gives them.
    Not,
}

fn names(cluster: usize) -> impl Iterator<Item = String> {
    (0..EACH).map(move |n| format!("octo-org/k{cluster}-{n}"))
}

/// The number that each cluster says in an answer. One that says two was torn.
pub(crate) fn numbers(repositories: &Value) -> BTreeMap<usize, u64> {
    let mut by_cluster: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for repository in repositories.as_array().unwrap() {
        let name = repository["full_name"].as_str().unwrap();
        let (cluster, _) = name.strip_prefix("octo-org/k").unwrap().split_once('-').unwrap();
        let stars = repository["stars"].as_u64().unwrap();
        assert_eq!(repository["description"], stars.to_string(), "one repository is of two worlds");
        by_cluster.entry(cluster.parse().unwrap()).or_default().push(stars);
    }
    let whole = |(cluster, all): (usize, Vec<u64>)| {
        assert!(all.len() == EACH && all.iter().all(|one| *one == all[0]), "k{cluster} is torn: {all:?}");
        (cluster, all[0])
    };
    by_cluster.into_iter().map(whole).collect()
}

/// A larder that runs, and what it says.
pub(crate) struct Running {
    child: Child,
    said: tempfile::TempDir,
}

impl Running {
    pub(crate) fn start(user: &User, args: &[&str]) -> Self {
        let said = tempfile::tempdir().unwrap();
        let file = |name: &str| Stdio::from(File::create(said.path().join(name)).unwrap());
        let child = user.command(args).stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Running { child, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        signal_to(self.pid(), signal);
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ends it at once, wherever it is. `false` = it had ended by itself.
    pub(crate) fn kill(&mut self) -> bool {
        let was_running = !self.has_ended();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        was_running
    }

    /// Ends it as soon as it has made so many system calls to read and write. `false` = it ended before.
    pub(crate) fn kill_after_calls(&mut self, calls: u64) -> bool {
        while !self.has_ended() {
            if calls_made(self.pid()).is_some_and(|made| made >= calls) {
                return self.kill();
            }
            pause(Duration::from_micros(300));
        }
        false
    }

    /// Waits for its end.
    pub(crate) fn ran(mut self) -> Ran {
        let status = self.child.wait().unwrap();
        let said = |name: &str| std::fs::read_to_string(self.said.path().join(name)).unwrap();
        Ran { code: status.code().unwrap_or(-1), out: said("out"), err: said("err") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many system calls to read and write a process has made.
pub(crate) fn calls_made(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let number =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(number("syscr:")? + number("syscw:")?)
}

pub(crate) fn signal_to(pid: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// Waits until something is so: looked for again and again, half a minute at the most.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    looked_for(what, 6_000, look)
}

fn looked_for<T>(what: &str, looks: usize, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..looks {
        if let Some(found) = look() {
            return found;
        }
        pause(Duration::from_millis(5));
    }
    panic!("in vain: {what}");
}

/// A rest between two looks, so that whoever is looked at has the processor.
pub(crate) fn pause(length: Duration) {
    static NEVER: Mutex<()> = Mutex::new(());
    let held = NEVER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Nobody wakes it.
    let _ = std::sync::Condvar::new().wait_timeout(held, length);
}

/// Chance, from a seed that is printed: a run that failed can be had again by `FIRE_SEED`.
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a test's own knob, and how to turn it")]
pub(crate) fn chance() -> fastrand::Rng {
    let given = std::env::var("FIRE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::Rng::new().get_seed());
    println!("FIRE_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// How many rounds of fire: a few, or more by `FIRE_ROUNDS`.
#[expect(clippy::disallowed_methods, reason = "a test's own knob")]
pub(crate) fn rounds(usual: usize) -> usize {
    std::env::var("FIRE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}
