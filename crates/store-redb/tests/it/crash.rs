//! Processes that die, and disks that fill up, in the middle of commits.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use larder_core::{Key, Member, Store, StoreError, Target};
use larder_store_redb::{Hold, OpenOptions, RedbStore};
use larder_testkit::contract::Place;
use larder_testkit::contract::build::{
    NOW, at, book, commit_of, fetched, find, ids, key, lease, refresh, row,
};
use larder_testkit::{MOUNT_HINT, may_mount};

use crate::place::{TempPlace, block_on};

const SHELVES: usize = 5;

/// How many books a shelf has.
const BOOKS: usize = 200;

fn told(name: &str) -> OsString {
    #[expect(clippy::disallowed_methods, reason = "the story is told in a process of its own")]
    std::env::var_os(name).unwrap()
}

fn told_path() -> PathBuf {
    told("LARDER_TEST_CRASH").into()
}

fn open(path: &Path, hold: Hold) -> RedbStore {
    RedbStore::open(OpenOptions { hold, ..OpenOptions::new(path, NOW) }).unwrap()
}

#[test]
#[ignore = "told by others, who kill it"]
fn commits_until_it_is_killed_and_keeps_the_file() {
    commit_for_ever(&open(&told_path(), Hold::Throughout));
}

#[test]
#[ignore = "told by others, who kill it"]
fn commits_until_it_is_killed_by_turns() {
    commit_for_ever(&open(&told_path(), Hold::PerCall));
}

/// Goes round the shelves, and says of each when it is committed, and in which round.
fn commit_for_ever(store: &RedbStore) {
    let first: i64 = told("LARDER_TEST_ROUND").into_string().unwrap().parse().unwrap();
    block_on(async {
        for round in first.. {
            for shelf in 0..SHELVES {
                let books = (0..BOOKS).map(|n| book(&format!("{shelf}-{n:04}"), round)).collect();
                // Late enough that the lease of one that was killed has ended.
                refresh(store, &shelf_key(shelf), books, at(round as u64 * 100)).await;
                let mut out = std::io::stdout();
                writeln!(out, "\ncommitted {shelf} {round}").unwrap();
                out.flush().unwrap();
            }
        }
    });
}

fn shelf_key(shelf: usize) -> Key {
    key(&format!("shelf/{shelf}"))
}

/// Lets a child commit, kills it after so many commits, wherever the next one is by then, and notes
/// which rounds it had said to be committed.
fn kill_after(story: &str, place: &TempPlace, first: i64, commits: usize, said: &mut [i64; SHELVES]) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", story, "--ignored", "--nocapture"])
        .env("LARDER_TEST_CRASH", place.path())
        .env("LARDER_TEST_ROUND", first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut note = |line: &str| {
        let committed = line.strip_prefix("committed ").and_then(|line| line.split_once(' '));
        if let Some((shelf, round)) = committed {
            said[shelf.parse::<usize>().unwrap()] = round.parse().unwrap();
        }
        committed.is_some()
    };
    let mut seen = 0;
    while seen < commits {
        seen += usize::from(note(&lines.next().expect("it goes on until it is killed")));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines {
        note(&line);
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_committed_and_tears_nothing() {
    for (story, hold) in [
        ("crash::commits_until_it_is_killed_and_keeps_the_file", Hold::Throughout),
        ("crash::commits_until_it_is_killed_by_turns", Hold::PerCall),
    ] {
        let place = TempPlace::fresh();
        let mut said = [-1; SHELVES];
        for kill in 0..8 {
            kill_after(story, &place, kill * 1_000, 2 + kill as usize, &mut said);
            let store = open(&place.path(), hold);
            assert!(store.recovered().is_none(), "it is repaired, not damaged");
            block_on(async {
                for (shelf, said) in said.iter().enumerate() {
                    let found = find(&store, &shelf_key(shelf)).await;
                    let members = found.map_or(Vec::new(), |row| row.members);
                    if members.is_empty() {
                        assert_eq!(*said, -1, "kill {kill}: shelf {shelf} is lost");
                        continue;
                    }
                    let round = |member: &Member| {
                        member.item.doc.decode::<serde_json::Value>().unwrap()["stars"].as_i64().unwrap()
                    };
                    let rounds: BTreeSet<i64> = members.iter().map(round).collect();
                    assert_eq!(
                        (members.len(), rounds.len()),
                        (BOOKS, 1),
                        "kill {kill}: shelf {shelf} is torn"
                    );
                    assert!(rounds.first() >= Some(said), "kill {kill}: a round of shelf {shelf} is lost");
                }
                assert_eq!(store.verify().await.unwrap(), []);
            });
        }
    }
}

#[test]
fn a_full_disk_is_said_and_reads_go_on() {
    let place = TempPlace::fresh();
    let exe = std::env::current_exe().unwrap();
    // In blocks of 512 bytes: 4 MiB, and no signal for whoever wants more.
    let script = "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, exe.to_str().unwrap()])
        .args(["--exact", "crash::what_a_writer_on_a_full_disk_meets", "--ignored"])
        .env("LARDER_TEST_CRASH", place.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "told by `a_full_disk_is_said_and_reads_go_on`, where files have a limit"]
fn what_a_writer_on_a_full_disk_meets() {
    for hold in [Hold::PerCall, Hold::Throughout] {
        let path = told_path().with_extension(format!("{hold:?}"));
        let store = open(&path, hold);
        block_on(async {
            let (small, big) = (key("shelf/small"), key("shelf/big"));
            refresh(&store, &small, vec![book("a", 1)], at(0)).await;
            let (held, _) = lease(&store, &big, at(1)).await;
            let books = (0..5_000).map(|n| book(&format!("{n:0400}"), 1)).collect();
            let error = store.commit(commit_of(&held, fetched(books, at(1)), at(1))).await.unwrap_err();
            assert!(matches!(error, StoreError::Full { .. }), "{hold:?}: {error:?}");
            assert!(error.is_retryable());
            assert_eq!(ids(&row(&store, &small).await), ["a"]);
            assert!(!row(&store, &big).await.entry.has_data());
            assert_eq!(store.verify().await.unwrap(), []);
            let less = commit_of(&held, fetched(vec![book("b", 1)], at(2)), at(2));
            store.commit(less).await.unwrap();
            assert_eq!(ids(&row(&store, &big).await), ["b"], "what fits still goes in");
            assert!(store.recovered().is_none());
        });
    }
}

/// A disk of 8 MiB, in a namespace that ends with whoever is started on it.
const SMALL_DISK: &str =
    "mount -t tmpfs -o size=8m larder \"$LARDER_TEST_CRASH\" || exit 77; exec \"$0\" \"$@\"";

#[test]
fn a_commit_too_large_for_the_disk_leaves_room_for_others() {
    tell_on_a_small_disk("crash::what_comes_after_a_commit_too_large_for_the_disk");
}

#[test]
fn a_commit_too_large_for_the_disk_keeps_the_room_that_there_was() {
    tell_on_a_small_disk("crash::what_goes_on_beside_others_who_fill_the_disk");
}

fn tell_on_a_small_disk(story: &str) {
    if !may_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", SMALL_DISK, exe.to_str().unwrap()])
        .args(["--exact", story, "--ignored"])
        .env("LARDER_TEST_CRASH", directory.path())
        .output()
        .expect(MOUNT_HINT);
    let (said, warned) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let is_there = output.status.code() != Some(77) && !warned.starts_with("unshare:");
    assert!(is_there, "{MOUNT_HINT}: {warned}");
    assert!(output.status.success() && said.contains("1 passed"), "{said}{warned}");
}

#[test]
#[ignore = "told by `a_commit_too_large_for_the_disk_leaves_room_for_others`, on a disk of its own"]
fn what_comes_after_a_commit_too_large_for_the_disk() {
    for hold in [Hold::PerCall, Hold::Throughout] {
        let path = told_path().join("larder.redb");
        let shelf = |round: i64| (0..100).map(|n| book(&format!("{n:0600}"), round)).collect::<Vec<_>>();
        let store = open(&path, hold);
        block_on(refresh(&store, &shelf_key(0), shelf(1), at(0)));
        drop(store);
        fill_up(&path);
        let store = open(&path, hold);
        block_on(async {
            let all = Target::All;
            let error = store.invalidate(&all, at(1)).await.unwrap_err();
            assert!(matches!(error, StoreError::Full { .. }), "{hold:?}: {error:?}");
            refresh(&store, &shelf_key(1), shelf(2), at(2)).await;
            store.invalidate(&all, at(3)).await.unwrap();
            for n in 0..2 {
                assert_eq!(row(&store, &shelf_key(n)).await.members.len(), 100, "{hold:?} {n}");
            }
            assert_eq!(store.verify().await.unwrap(), []);
            assert!(store.recovered().is_none());
        });
        drop(store);
        std::fs::remove_file(&path).unwrap();
    }
}

/// Lets the file grow and take the disk to its last byte, from its end on, as a commit may that is refused in the
/// midst of writing: what lies in front is free, and nowhere on the disk.
fn fill_up(path: &Path) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let mut end = file.metadata().unwrap().len() + (32 << 20);
    file.set_len(end).unwrap();
    loop {
        end -= 4_096;
        if file.write_all_at(&[0xa5; 4_096], end).is_err() {
            return;
        }
    }
}

#[test]
#[ignore = "told by `a_commit_too_large_for_the_disk_keeps_the_room_that_there_was`, on a disk of its own"]
fn what_goes_on_beside_others_who_fill_the_disk() {
    for hold in [Hold::PerCall, Hold::Throughout] {
        let path = told_path().join("larder.redb");
        let shelf = |n: usize, books: usize| -> Vec<_> {
            (0..books).map(|book_of| book(&format!("{n}-{book_of:0600}"), 1)).collect()
        };
        let store = open(&path, hold);
        block_on(async {
            for n in 0..10 {
                refresh(&store, &shelf_key(n), shelf(n, 50), at(0)).await;
            }
            let cleared = (0..5).map(shelf_key).collect();
            store.evict(&Target::Keys(cleared), at(1)).await.unwrap();
        });
        drop(store);
        let mut others = std::fs::File::create(told_path().join("others")).unwrap();
        let mut take_all = || while others.write_all(&[0xa5; 512]).is_ok() {};
        take_all();
        let store = open(&path, hold);
        block_on(async {
            store.invalidate(&Target::All, at(2)).await.unwrap();
            let (held, _) = lease(&store, &shelf_key(0), at(3)).await;
            for round in 0..2 {
                let much = commit_of(&held, fetched(shelf(0, 1_500), at(3)), at(3));
                let error = store.commit(much).await.unwrap_err();
                assert!(matches!(error, StoreError::Full { .. }), "{hold:?} {round}: {error:?}");
                take_all();
                for small in 0..3 {
                    let did = store.invalidate(&Target::All, at(4 + small)).await;
                    assert!(did.is_ok(), "{hold:?} {round} {small}: {did:?}");
                }
            }
            assert_eq!(store.verify().await.unwrap(), []);
            assert!(store.recovered().is_none());
        });
        drop(store);
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(told_path().join("others")).unwrap();
    }
}
