//! Three instances of the server on one PostgreSQL.

use std::fs::File;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_engine::SystemClock;
use larder_testkit::{Proxy, Way};
use rustix::process::Signal;
use serde_json::Value;

use super::clock::with_clock;
use super::{Carousel, Held, Running, chance, numbers, rounds, signal_to, until};
use crate::postgres::Database;
use crate::serving::{Serving, try_get, try_post};
use crate::world::User;

const INSTANCES: usize = 3;

/// What no command tells, asked of the database itself.
impl Database {
    /// The process that holds an entry's lease, and until when by the database's clock.
    pub(super) fn holder(&self, key: &str) -> Option<(u32, i64)> {
        let row = self.ask(&format!(
            "SELECT lease_owner, (extract(epoch FROM lease_until) * 1000)::bigint FROM larder.entries \
             WHERE key = '{key}' AND lease_owner IS NOT NULL"
        ));
        let (owner, until) = row.split_once('|')?;
        Some((owner.rsplit_once(' ')?.1.parse().ok()?, until.parse().ok()?))
    }

    /// How the attempts on an entry ended, oldest first.
    fn outcomes(&self, key: &str) -> Vec<String> {
        let all =
            self.ask(&format!("SELECT outcome FROM larder.refresh_log WHERE key = '{key}' ORDER BY nr"));
        all.lines().map(str::to_owned).collect()
    }
}

pub(super) fn on(database: &Database, world: &Carousel) -> User {
    world.user().var("LARDER_STORE__URL", &database.url())
}

pub(super) fn start(user: &User) -> Vec<Serving> {
    (0..INSTANCES).map(|_| Serving::start(user, &["serve"])).collect()
}

/// The number that a cluster says in an instance's answer; `None` = it gave none.
pub(super) fn number(address: &str, cluster: usize) -> Option<u64> {
    let (head, body) = try_get(address, &format!("/api/v1/clusters/k{cluster}")).ok()?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return None;
    }
    let answer: Value = serde_json::from_str(&body).unwrap();
    Some(numbers(&answer["repositories"])[&cluster])
}

/// Refreshes a cluster by an instance; whether that says that it is done.
pub(super) fn refresh(address: &str, cluster: usize) -> bool {
    let path = format!("/api/v1/entries/cluster/k{cluster}/refresh?wait=1");
    try_post(address, &path).is_ok_and(|(head, _)| head.starts_with("HTTP/1.1 200 "))
}

#[test]
fn a_cold_key_costs_one_call_and_one_more_when_the_instance_that_asks_is_killed() {
    let (world, database) = (Carousel::new(1), Database::new());
    let user = on(&database, &world);
    let mut instances = start(&user);
    world.hold(Held::Back);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..60)
            .map(|reader| {
                let address = instances[reader % INSTANCES].address.clone();
                scope.spawn(move || (reader % INSTANCES, number(&address, 0)))
            })
            .collect();
        let holder = || database.holder("cluster/k0").filter(|_| world.calls() == 1);
        let (pid, _) = until("one of them asks", holder);
        let killed = instances.iter().position(|instance| instance.pid() == pid).unwrap();
        signal_to(pid, Signal::KILL);
        let held = database.holder("cluster/k0").unwrap();
        let second = || world.github.requests().into_iter().filter(|one| one.repositories > 0).nth(1);
        let asked = until("another takes over", second).at_ms;
        // On a machine so busy that another has taken over before the row was looked at, its end is not
        // known any more.
        if let (holder, ends) = held
            && holder == pid
        {
            // The lease was 2 s long and can be taken from its end on, by the database's clock, which is
            // this machine's. Waiters look every 50 ms; a machine with more to do than processors is
            // given two seconds more.
            assert!((ends..ends + 2_000).contains(&asked), "taken over {} ms after the end", asked - ends);
        }
        world.hold(Held::Not);
        for reader in readers {
            let (instance, found) = reader.join().unwrap();
            // Twenty connections at once are more than a busy machine may make in time: such a reader is told
            // to come again, and does.
            let again = || until("it is answered", || number(&instances[instance].address, 0));
            let found = found.or_else(|| (instance != killed).then(again));
            assert!(instance == killed || found == Some(1), "a reader of a living instance got {found:?}");
        }
        drop(instances.remove(killed));
    });
    assert_eq!(world.calls(), 2, "one, and one more for the one that was killed");
}

#[test]
fn what_one_instance_has_fetched_the_others_show_within_a_second() {
    let (world, database) = (Carousel::new(1), Database::new());
    let user = on(&database, &world);
    let instances = start(&user);
    assert!(
        instances.iter().all(|instance| number(&instance.address, 0) == Some(1)),
        "all have it in memory"
    );
    let mut took: Vec<Duration> = (0..7)
        .map(|round| {
            let turned = world.turn(0);
            assert!(refresh(&instances[round % INSTANCES].address, 0));
            let (told, others) = (now(), instances.iter().map(|instance| &instance.address));
            for other in others {
                until("the others hear of it", || (number(other, 0) == Some(turned)).then_some(()));
            }
            now().saturating_sub(told)
        })
        .collect();
    took.sort();
    // The middle one of seven: a machine with other things to do may hold up any one of them.
    assert!(took[3] <= Duration::from_secs(1), "{took:?}");
}

/// A monotonic reading.
#[expect(clippy::disallowed_methods, reason = "the promise is about real time")]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

#[test]
fn an_instance_that_was_stopped_past_its_lease_cannot_undo_what_another_did_meanwhile() {
    let (world, database) = (Carousel::new(1), Database::new());
    let user = on(&database, &world);
    let instances = start(&user);
    world.hold(Held::Back);
    std::thread::scope(|scope| {
        let address = &instances[0].address;
        let sleeper = scope.spawn(move || refresh(address, 0));
        until("it asks", || (world.calls() == 1).then_some(()));
        // Its answer is of this world, and waits at its door.
        signal_to(instances[0].pid(), Signal::STOP);
        world.hold(Held::Not);
        let is_answered = || world.github.requests().iter().all(|one| one.status.is_some());
        until("GitHub has answered", || is_answered().then_some(()));
        world.turn(0);
        assert!(refresh(&instances[1].address, 0));
        signal_to(instances[0].pid(), Signal::CONT);
        // Whether its reader is told of the other's result or of a failure, it gets an answer.
        sleeper.join().unwrap();
    });
    let told = || database.outcomes("cluster/k0").contains(&"superseded".to_owned()).then_some(());
    until("the late one is refused", told);
    for instance in &instances {
        until("all show what is newer", || (number(&instance.address, 0) == Some(2)).then_some(()));
    }
}

/// An instance that is killed and started anew, again and again.
fn kill_and_start(user: &User, addresses: &Mutex<Vec<String>>, place: usize, chance: &mut fastrand::Rng) {
    let mut instance = Serving::start(user, &["serve"]);
    for _ in 0..rounds(4) {
        addresses.lock().unwrap()[place].clone_from(&instance.address);
        instance.kill_after_calls(chance.u64(20..600));
        instance = Serving::start(user, &["serve"]);
    }
    addresses.lock().unwrap()[place].clone_from(&instance.address);
    drop(instance);
}

#[test]
fn instances_that_are_killed_anywhere_lose_nothing_and_tear_nothing() {
    let (world, database) = (Carousel::new(3), Database::new());
    let user = on(&database, &world);
    user.ok(&["refresh", "--all"]);
    let mut chance = chance();
    let addresses = Mutex::new(vec!["127.0.0.1:1".to_owned(); INSTANCES]);
    let running = AtomicUsize::new(INSTANCES);
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for place in 0..INSTANCES {
            let (user, addresses, running, mut chance) = (&user, &addresses, &running, chance.fork());
            scope.spawn(move || {
                kill_and_start(user, addresses, place, &mut chance);
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for place in 0..INSTANCES {
            let (world, addresses, running, done, mut chance) =
                (&world, &addresses, &running, &done, chance.fork());
            scope.spawn(move || {
                while running.load(Ordering::SeqCst) > 0 {
                    let address = addresses.lock().unwrap()[place].clone();
                    let cluster = chance.usize(0..world.len());
                    let floor = world.floors()[cluster];
                    if chance.bool() {
                        let turned = world.turn(cluster);
                        if refresh(&address, cluster) {
                            world.committed(cluster, turned);
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                    } else if let Some(found) = number(&address, cluster) {
                        // What was committed elsewhere a moment ago may take a second to be seen here.
                        let is_seen =
                            || number(&address, cluster).is_none_or(|found| found >= floor).then_some(());
                        if found < floor {
                            until("what was committed is seen", is_seen);
                        }
                    }
                }
            });
        }
    });
    assert!(done.load(Ordering::SeqCst) > 0, "nothing was committed: nothing was tried");
    for (cluster, floor) in world.floors().into_iter().enumerate() {
        let found = numbers(&user.json(&["repos", "--offline"])["repositories"])[&cluster];
        assert!(found >= floor, "k{cluster}: {floor} was committed, and {found} is there");
    }
    user.ok(&["refresh", "--all"]);
    let last = numbers(&user.json(&["repos", "--offline"])["repositories"]);
    assert_eq!(last.into_values().collect::<Vec<u64>>(), world.now());
    assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
}

/// A network between the instances and the database, that breaks on demand.
struct Network {
    proxy: Arc<Proxy>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Network {
    fn before(database: &Database) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (sender, started) = std::sync::mpsc::channel();
        let server = database.server();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                sender.send(Arc::new(Proxy::start(&server).await.unwrap())).unwrap();
                let _ = stopped.await;
            });
        });
        Network { proxy: started.recv().unwrap(), _stop: stop }
    }

    fn url(&self, database: &Database) -> String {
        database.url().replace(&database.server(), &self.proxy.address().to_string())
    }
}

#[test]
fn while_the_database_cannot_be_reached_copies_are_served_and_all_recovers_by_itself() {
    let (world, database) = (Carousel::new(1), Database::new());
    let network = Network::before(&database);
    let user = world.user().var("LARDER_STORE__URL", &network.url(&database));
    // Before they start, so that what they hold is not about to be looked up again.
    user.ok(&["refresh", "--all"]);
    let log = user.home().join("server.log");
    let written = Stdio::from(File::create(&log).unwrap());
    let instances = [Serving::start_to(&user, &["serve"], written), Serving::start(&user, &["serve"])];
    for instance in &instances {
        assert_eq!(number(&instance.address, 0), Some(1));
    }
    network.proxy.refuse();
    network.proxy.cut();
    world.turn(0);
    let calls = world.calls();
    let ready = |instance: &Serving| try_get(&instance.address, "/readyz").unwrap();
    for instance in &instances {
        assert_eq!(number(&instance.address, 0), Some(1), "it is served from memory");
        assert!(!refresh(&instance.address, 0), "nothing can be refreshed");
        let says_so = || ready(instance).1.starts_with("degraded: the store cannot be reached").then_some(());
        until("it notices", says_so);
        // For a second after its last look memory is believed as before.
        let is_marked = || {
            let (head, _) = try_get(&instance.address, "/api/v1/clusters/k0").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            head.contains("\nx-cache-hit: stale").then_some(())
        };
        until("its copies are marked stale", is_marked);
        assert_eq!(number(&instance.address, 0), Some(1), "and whole");
    }
    assert_eq!(world.calls(), calls, "nothing is fetched that cannot be kept");
    network.proxy.accept();
    for instance in &instances {
        until("it is ready again", || (ready(instance).1 == "ready\n").then_some(()));
    }
    let log = std::fs::read_to_string(log).unwrap();
    for once in ["the store is out of reach", "the store can be reached again"] {
        assert_eq!(log.matches(once).count(), 1, "{log}");
    }
    assert!(refresh(&instances[0].address, 0));
    for instance in &instances {
        until("all show what is new", || (number(&instance.address, 0) == Some(2)).then_some(()));
    }
}

/// Which repositories a cluster shows at an instance, by the ends of their names, and whether they are marked stale;
/// `None` = it shows nothing.
fn shown(address: &str, cluster: usize) -> Option<(Vec<String>, bool)> {
    let (head, body) = try_get(address, &format!("/api/v1/clusters/k{cluster}")).unwrap();
    let answer: Value = serde_json::from_str(&body).unwrap();
    let end_of = |one: &Value| one["name"].as_str().unwrap().rsplit_once('-').unwrap().1.to_owned();
    let names = answer["repositories"].as_array()?.iter().map(end_of).collect();
    Some((names, head.contains("\nx-cache-hit: stale"))).filter(|_| head.starts_with("HTTP/1.1 200 "))
}

#[test]
fn while_the_database_cannot_be_reached_what_is_private_is_served_as_long_as_its_proof_is_recent() {
    let (world, database) = (Carousel::new(3), Database::new());
    let private = ["k1-0", "k1-2", "k2-0", "k2-1", "k2-2", "k2-3"];
    world.github.world(|world| {
        for name in private {
            world.edit(&format!("octo-org/{name}"), |repository| repository.is_private = true);
        }
    });
    let network = Network::before(&database);
    let user = world.user().var("LARDER_STORE__URL", &network.url(&database));
    user.ok(&["refresh", "--all"]);
    let clock = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(clock.path(), "+0s").unwrap();
    let user = with_clock(user, clock.path());
    let instance = Serving::start(&user, &["serve"]);
    let address = &instance.address;
    let all = || (0..world.len()).map(|cluster| shown(address, cluster)).collect::<Vec<_>>();
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let (whole, public) = (names(&["0", "1", "2", "3"]), names(&["1", "3"]));
    let fresh = |names: &Vec<String>| Some((names.clone(), false));
    let stale = |names: &Vec<String>| Some((names.clone(), true));
    // What was read before memory was looked after is forgotten as that begins.
    let from_memory = || {
        let (_, told) = try_get(address, "/metrics").unwrap();
        let line = told.lines().find_map(|line| line.strip_prefix("larder_reads_from_memory_total "));
        line.unwrap_or_else(|| panic!("{told}")).parse::<u64>().unwrap()
    };
    until("it shows all there is from memory", || {
        let before = from_memory();
        (all() == vec![fresh(&whole); 3] && from_memory() == before + 3).then_some(())
    });
    network.proxy.refuse();
    network.proxy.cut();
    let calls = world.calls();
    until("all is marked stale", || (all() == vec![stale(&whole); 3]).then_some(()));
    (0..world.len()).for_each(|cluster| assert!(!refresh(address, cluster), "nothing can be refreshed"));
    assert_eq!(all(), vec![stale(&whole); 3], "the proof is recent");
    // Nobody could ask for so long who may see it.
    std::fs::write(clock.path(), "+301s").unwrap();
    let expected = [stale(&whole), stale(&public), None];
    until("what is private is not shown any more", || (all() == expected).then_some(()));
    let (_, every) = try_get(address, "/api/v1/repos").unwrap();
    assert!(private.iter().all(|name| !every.contains(name)), "{every}");
    assert_eq!(world.calls(), calls, "nothing is fetched that cannot be kept");
    network.proxy.accept();
    until("it shows all there is again", || (all() == vec![fresh(&whole); 3]).then_some(()));
    world.turn(2);
    assert!(refresh(address, 2));
    until("it shows what is new", || (number(address, 2) == Some(2)).then_some(()));
}

#[test]
fn connections_that_are_cut_and_slow_lose_nothing_and_tear_nothing() {
    let (world, database) = (Carousel::new(2), Database::new());
    let network = Network::before(&database);
    let user = world.user().var("LARDER_STORE__URL", &network.url(&database));
    user.ok(&["refresh", "--all"]);
    let instances = start(&user);
    let mut chance = chance();
    let running = AtomicUsize::new(INSTANCES);
    std::thread::scope(|scope| {
        for instance in &instances {
            let (world, running, mut chance) = (&world, &running, chance.fork());
            scope.spawn(move || {
                for _ in 0..rounds(25) {
                    let cluster = chance.usize(0..world.len());
                    if chance.bool() {
                        let turned = world.turn(cluster);
                        if refresh(&instance.address, cluster) {
                            world.committed(cluster, turned);
                        }
                    } else {
                        // Torn answers fail in here.
                        number(&instance.address, cluster);
                    }
                }
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let mut seen = network.proxy.traffic().sent;
        while running.load(Ordering::SeqCst) > 0 {
            // A cut in the middle of whatever is being said.
            let next = seen + chance.u64(2_000..60_000);
            while network.proxy.traffic().sent < next && running.load(Ordering::SeqCst) > 0 {
                std::thread::yield_now();
                super::pause(Duration::from_millis(1));
            }
            let slow = Way::Slow(Duration::from_millis(chance.u64(1..10)), Arc::new(SystemClock));
            network.proxy.set(if chance.bool() { slow } else { Way::Open });
            network.proxy.cut();
            seen = network.proxy.traffic().sent;
        }
        network.proxy.set(Way::Open);
    });
    let direct = on(&database, &world);
    for (cluster, floor) in world.floors().into_iter().enumerate() {
        let found = numbers(&direct.json(&["repos", "--offline"])["repositories"])[&cluster];
        assert!(found >= floor, "k{cluster}: {floor} was committed, and {found} is there");
    }
    for (cluster, instance) in [(0, &instances[0]), (1, &instances[1])] {
        until("it recovers by itself", || refresh(&instance.address, cluster).then_some(()));
    }
    let last = numbers(&direct.json(&["repos", "--offline"])["repositories"]);
    assert_eq!(last.into_values().collect::<Vec<u64>>(), world.now());
    assert_eq!(direct.ok(&["cache", "verify"]).out, "no damage found\n");
}

#[test]
fn eight_command_lines_that_start_on_an_empty_database_migrate_it_once() {
    let (world, database) = (Carousel::new(1), Database::new());
    let user = on(&database, &world);
    let all: Vec<Running> = (0..8).map(|_| Running::start(&user, &["repos", "--json"])).collect();
    for process in all {
        let ran = process.ran();
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(numbers(&ran.json()["repositories"]), [(0, 1)].into());
    }
    assert_eq!(world.calls(), 1);
    let steps = database.ask("SELECT count(*), count(DISTINCT version) FROM larder.migrations");
    let (all, distinct) = steps.split_once('|').unwrap();
    assert_eq!(all, distinct);
}
