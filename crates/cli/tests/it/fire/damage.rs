//! Disks that are full, files that may not be written, pages that hold rubbish.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use larder_testkit::{MOUNT_HINT, may_mount};

use super::{Carousel, Running, numbers, until};
use crate::serving::Serving;
use crate::world::{Ran, User};

/// A small disk of the test's own: a file system in memory, in a namespace that ends with this.
struct Disk {
    shell: Child,
    says: ChildStdin,
    hears: BufReader<ChildStdout>,
    dir: tempfile::TempDir,
}

impl Disk {
    /// `None` = whoever runs this has said that nothing can be mounted.
    fn of_kib(kib: usize) -> Option<Self> {
        if !may_mount() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut shell = Command::new("unshare")
            .args(["--mount", "--map-root-user", "--kill-child", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect(MOUNT_HINT);
        let says = shell.stdin.take().unwrap();
        let hears = BufReader::new(shell.stdout.take().unwrap());
        let mut disk = Disk { shell, says, hears, dir };
        let place = disk.dir.path().display().to_string();
        let is_there = disk.run(&format!("mount -t tmpfs -o size={kib}k,mode=777 larder {place}"));
        assert!(is_there, "{MOUNT_HINT}");
        Some(disk)
    }

    fn run(&mut self, line: &str) -> bool {
        let mut said = String::new();
        let told = writeln!(self.says, "{line} && echo yes || echo no");
        told.and_then(|()| self.hears.read_line(&mut said)).is_ok() && said == "yes\n"
    }

    /// A process that sees it.
    fn inside(&self) -> u32 {
        let id = self.shell.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children.trim().parse().unwrap_or(id)
    }

    /// Where it is for those outside of the namespace.
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.inside(), self.dir.path().display()))
    }

    /// A user whose database is on it.
    fn with(&self, user: User) -> User {
        let project = user.project().display().to_string();
        let target = format!("--target={}", self.inside());
        let enter = ["/usr/bin/nsenter", &target, "--user", "--preserve-credentials", "--mount"];
        let cd = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", &project];
        on(user, self.dir.path()).started_by(&[&enter[..], &cd].concat())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The namespace goes with its last process.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn on(user: User, dir: &Path) -> User {
    user.var("LARDER_STORE__URL", dir.join("larder.db").to_str().unwrap())
}

fn held(user: &User) -> Vec<u64> {
    numbers(&user.json(&["repos", "--offline"])["repositories"]).into_values().collect()
}

/// Refreshes that find no room say so; what is held is served; with room again all goes on.
fn check_without_room(world: &Carousel, user: &User, all: Vec<Running>, before: &[u64], said: &str) {
    let refused: Vec<Ran> = all.into_iter().map(Running::ran).filter(|ran| ran.code != 0).collect();
    assert!(!refused.is_empty(), "there was room");
    for ran in &refused {
        assert!(ran.err.contains(said), "{}{}", ran.out, ran.err);
    }
    check_held(world, user, before);
}

/// Each cluster is as it was before, or as it is now.
fn check_held(world: &Carousel, user: &User, before: &[u64]) {
    for ((held, before), now) in held(user).into_iter().zip(before).zip(world.now()) {
        assert!(held == *before || held == now, "{before} was held and {now} is so: {held}");
    }
}

/// With room again, all goes on.
fn check_after(world: &Carousel, user: &User) {
    user.ok(&["refresh", "--all"]);
    assert_eq!(held(user), world.now());
    assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
}

fn turn_all(world: &Carousel) {
    for cluster in 0..world.len() {
        world.turn(cluster);
    }
}

fn refresh_all(world: &Carousel, start: impl Fn(&[&str]) -> Running) -> Vec<Running> {
    (0..world.len()).map(|cluster| start(&["refresh", &format!("k{cluster}")])).collect()
}

#[test]
fn a_full_disk_refuses_what_is_new_and_keeps_what_is_old() {
    let world = Carousel::new(4);
    let Some(disk) = Disk::of_kib(4096) else { return };
    let user = disk.with(world.user());
    user.ok(&["refresh", "--all"]);
    let before = held(&user);
    turn_all(&world);
    let ballast = fill(&disk);
    let all = refresh_all(&world, |args| Running::start(&user, args));
    check_without_room(&world, &user, all, &before, "free some room");
    std::fs::remove_file(&ballast).unwrap();
    check_after(&world, &user);
}

/// Takes all the room there is; whoever removes the file gives it back.
fn fill(disk: &Disk) -> PathBuf {
    let ballast = disk.path().join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    ballast
}

#[test]
fn who_looks_for_what_is_wrong_leaves_nothing_on_a_full_disk() {
    let world = Carousel::new(1);
    let Some(disk) = Disk::of_kib(4096) else { return };
    let user = disk.with(world.user());
    user.ok(&["refresh", "--all"]);
    fill(&disk);
    let ran = user.run(&["doctor", "--json"]);
    let checks = ran.json()["checks"].as_array().unwrap().clone();
    let data = checks.iter().find(|check| check["on"] == "data").unwrap();
    assert_eq!(data["verdict"], "fail", "{data}");
    let left = std::fs::read_dir(disk.path()).unwrap().map(|file| file.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with(".larder-doctor")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_limit_on_the_size_of_files_refuses_what_is_new_and_keeps_what_is_old() {
    let world = Carousel::new(4);
    let user = world.user();
    user.ok(&["refresh", "--all"]);
    let before = held(&user);
    turn_all(&world);
    // Blocks of 512 bytes.
    let limit = "ulimit -f 80; exec \"$@\"";
    let user = user.started_by(&["/bin/sh", "-c", limit, "sh"]);
    let all = refresh_all(&world, |args| Running::start(&user, args));
    let user = user.started_by(&[]);
    check_without_room(&world, &user, all, &before, "disk I/O error");
    check_after(&world, &user);
}

#[test]
fn a_limit_that_is_met_in_mid_write_kills_nobody_and_leaves_a_whole_database() {
    let world = Carousel::new(4);
    let mut user = world.user();
    user.ok(&["refresh", "--all"]);
    let mut refused = 0;
    for blocks in [2, 10, 18, 26, 34, 66] {
        let before = held(&user);
        turn_all(&world);
        // The system ends whoever writes beyond its limit and has not said that it wants to be told.
        let limit = format!("ulimit -f {blocks}; exec \"$@\"");
        user = user.started_by(&["/bin/sh", "-c", &limit, "sh"]);
        let ran = Running::start(&user, &["refresh", "--all"]).ran();
        user = user.started_by(&[]);
        assert_ne!(ran.code, -1, "{}", ran.err);
        refused += usize::from(ran.code != 0);
        check_held(&world, &user, &before);
    }
    assert!(refused > 0, "no limit was met");
    check_after(&world, &user);
}

#[test]
fn a_disk_that_may_only_be_read_serves_what_it_has() {
    let world = Carousel::new(2);
    let Some(mut disk) = Disk::of_kib(4096) else { return };
    let user = disk.with(world.user());
    user.ok(&["refresh", "--all"]);
    world.turn(0);
    let place = disk.dir.path().display().to_string();
    assert!(disk.run(&format!("mount -o remount,ro {place}")));
    for _ in 0..2 {
        let ran = user.run(&["repos", "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(numbers(&ran.json()["repositories"]), [(0, 1), (1, 1)].into());
    }
    let ran = user.run(&["refresh", "k0"]);
    assert_ne!(ran.code, 0);
    assert!(ran.err.contains("cannot be written"), "{}", ran.err);
    assert!(ran.err.contains("make the file and its directory writable"), "{}", ran.err);
    assert!(disk.run(&format!("mount -o remount,rw {place}")));
    user.ok(&["refresh", "k0"]);
    assert_eq!(held(&user), [2, 1]);
}

/// Fills all pages but the first with rubbish.
fn spoil(database: &Path) {
    let mut file = std::fs::OpenOptions::new().write(true).open(database).unwrap();
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0xa5; usize::try_from(length - 4096).unwrap()]).unwrap();
}

fn set_aside(dir: &Path) -> usize {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files
        .filter(|name| name.contains(".corrupt-") && !name.ends_with("-wal") && !name.ends_with("-shm"))
        .count()
}

#[test]
fn eight_that_meet_a_spoilt_database_replace_it_once_and_none_believes_it() {
    let world = Carousel::new(3);
    let dir = tempfile::tempdir().unwrap();
    let user = on(world.user(), dir.path());
    user.ok(&["refresh", "--all"]);
    spoil(&dir.path().join("larder.db"));
    let all: Vec<Running> = (0..8).map(|_| Running::start(&user, &["repos", "--json"])).collect();
    for process in all {
        let ran = process.ran();
        if ran.code == 0 {
            assert_eq!(numbers(&ran.json()["repositories"]), [(0, 1), (1, 1), (2, 1)].into());
        } else {
            assert!(ran.err.contains("damaged"), "{}{}", ran.out, ran.err);
        }
    }
    user.ok(&["repos"]);
    assert_eq!(held(&user), [1, 1, 1]);
    assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
    assert_eq!(set_aside(dir.path()), 1, "what was there is kept for people to look at");
}

#[test]
fn who_looks_for_damage_is_told_of_what_was_moved_aside_for_it() {
    let world = Carousel::new(1);
    let dir = tempfile::tempdir().unwrap();
    let user = on(world.user(), dir.path());
    user.ok(&["refresh", "--all"]);
    spoil(&dir.path().join("larder.db"));
    let looked = user.run(&["cache", "verify"]);
    assert_eq!(looked.code, 1, "{}{}", looked.out, looked.err);
    assert!(looked.out.starts_with("the database: it was damaged: it is at "), "{}", looked.out);
    assert!(looked.err.contains("hint: `larder refresh --all` fetches everything anew\n"), "{}", looked.err);
    assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
}

#[test]
fn a_database_that_spoils_under_a_server_is_left_to_it_and_replaced_when_it_has_gone() {
    let world = Carousel::new(3);
    let dir = tempfile::tempdir().unwrap();
    let user = on(world.user(), dir.path());
    user.ok(&["refresh", "--all"]);
    let serving = Serving::start(&user, &["serve"]);
    spoil(&dir.path().join("larder.db"));
    let ran = user.run(&["repos", "--json"]);
    if ran.code != 0 {
        assert!(ran.err.contains("damaged"), "{}", ran.err);
        assert!(ran.err.contains("stop every larder that uses it"), "{}", ran.err);
    }
    assert!(serving.stop().success());
    until("it is replaced", || (user.run(&["repos"]).code == 0).then_some(()));
    assert_eq!(held(&user), [1, 1, 1]);
    assert_eq!(set_aside(dir.path()), 1);
}
