//! What a search costs over 100,000 items of one kind, spread over 100 entries, beside what FTS5 takes
//! to rank the same words by itself. Prints p50 and p99.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::hint::black_box;
use std::time::Duration;

use larder_core::{
    Column, ColumnType, Entry, Exported, ExportedMember, Filter, Fingerprint, Item, ItemRef, Json, Key,
    ListQuery, MemberState, Order, Scope, Store, Test, Time, ViewSpec,
};
use larder_store_sqlite::{OpenOptions, SqliteStore};
use rusqlite::{Connection, OpenFlags};

const ENTRIES: usize = 100;
const ITEMS: usize = 1_000;
const CALLS: usize = 300;
const PAGE: usize = 50;
const TYPES: [&str; 5] = ["skill", "command", "agent", "hook", "mcp"];
const NOW: Time = Time::from_ms(1_767_225_600_000);

static VIEW: ViewSpec = ViewSpec {
    kind: "artifact",
    view: "artifacts",
    columns: &[
        Column { name: "title", holds: ColumnType::Text, indexed: true },
        Column { name: "updated_at", holds: ColumnType::Time, indexed: true },
        Column { name: "size", holds: ColumnType::Integer, indexed: false },
        Column { name: "type", holds: ColumnType::Text, indexed: false },
        Column { name: "missing", holds: ColumnType::Boolean, indexed: true },
    ],
    title: "title",
    words: &["description"],
};

const SYLLABLES: [&str; 44] = [
    "ca", "re", "to", "mi", "na", "lo", "ve", "st", "in", "or", "ba", "de", "fu", "gi", "ho", "ja", "ke",
    "li", "mo", "nu", "pa", "qua", "ri", "sa", "te", "u", "vo", "wi", "xe", "ya", "zo", "ar", "en", "il",
    "on", "um", "spe", "che", "pro", "con", "trans", "form", "gra", "ph",
];

/// The same words each time, without a library of chance.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    /// Few words are common and most are rare, as in any language: the `n`th is met about once in `n`.
    fn rank(&mut self, words: usize) -> usize {
        let uniform = (self.next(1 << 30) as f64 + 1.0) / f64::from(1 << 30);
        ((words as f64).powf(uniform) as usize).min(words) - 1
    }
}

fn vocabulary(chance: &mut Chance) -> Vec<String> {
    let word = |chance: &mut Chance| {
        let syllables = 2 + chance.next(3);
        (0..syllables).map(|_| SYLLABLES[chance.next(SYLLABLES.len())]).collect::<String>()
    };
    let mut words: Vec<String> = (0..20_000).map(|_| word(chance)).collect();
    words.sort();
    words.dedup();
    for last in (1..words.len()).rev() {
        words.swap(last, chance.next(last + 1));
    }
    words
}

fn entry(nr: usize, words: &[String], chance: &mut Chance) -> Exported {
    let key: Key = format!("project/{nr}").parse().unwrap();
    let mut some = |count: usize| {
        let some: Vec<&str> = (0..count).map(|_| words[chance.rank(words.len())].as_str()).collect();
        some.join(" ")
    };
    let members = (0..ITEMS).map(|n| {
        let title = some(1 + n % 5);
        let doc = serde_json::json!({
            "title": title, "description": some(14), "path": format!("docs/{nr}/{n}.md"), "size": n * 37 % 9_000,
            "updated_at": format!("2026-01-{:02}T00:00:00Z", n % 28 + 1), "excerpt": some(6),
            "type": TYPES[n % TYPES.len()], "missing": n % 300 == 0,
        });
        let id = format!("{nr}/{n}");
        let of = ItemRef::new("artifact", id.as_str());
        let item = Item { of, scope: Scope::Public, doc: Json::from(doc), derived: None, fetched_at: NOW };
        ExportedMember { asked: id.as_str().into(), state: MemberState::Shown, item }
    });
    let members = members.collect();
    let one = Fingerprint::of(&["bench"]);
    let entry = Entry {
        definition: one.clone(),
        tried: one,
        complete: true,
        version: 1,
        began: 1,
        fetched_at: Some(NOW),
        fresh_until: Some(NOW.plus(Duration::from_hours(1))),
        ..Entry::empty(key, NOW)
    };
    Exported { entry, tags: vec!["bench".to_owned()], unconfigured_since: None, members }
}

/// A monotonic reading.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

/// Of three times the best: what the search takes, not what else the machine does.
fn best(mut call: impl FnMut()) -> Duration {
    let time = |()| {
        let started = now();
        call();
        now().saturating_sub(started)
    };
    [(), (), ()].map(time).into_iter().min().unwrap()
}

fn percentiles(mut all: Vec<Duration>) -> (f64, f64) {
    all.sort_unstable();
    let at = |part: f64| all[((all.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    (at(0.5), at(0.99))
}

/// What people type: the beginnings of words in use, common ones more often.
fn typed(sort: &str, words: &[String], chance: &mut Chance) -> String {
    let mut word = || words[chance.rank(words.len())].as_str();
    let beginning = |word: &str, letters: usize| word.chars().take(letters).collect::<String>();
    match sort {
        "one letter" => beginning(word(), 1),
        "two letters" => beginning(word(), 2),
        "three letters" => beginning(word(), 3),
        "a word" => word().to_owned(),
        "two words" => format!("{} {}", word(), word()),
        _ => format!("{} {}", word(), beginning(word(), 2)),
    }
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("larder.db");
    let store =
        SqliteStore::open(OpenOptions { views: vec![VIEW], ..OpenOptions::new(path.clone(), NOW) }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut chance = Chance(7);
    let words = vocabulary(&mut chance);
    let mut entries = Vec::new();
    for nr in 0..ENTRIES {
        let exported = entry(nr, &words, &mut chance);
        entries.push(exported.entry.key.clone());
        runtime.block_on(store.import(&[exported], NOW)).unwrap();
    }
    let raw = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut by_rank =
        raw.prepare("SELECT rowid FROM items_fts WHERE items_fts MATCH ?1 ORDER BY rank LIMIT 50").unwrap();
    let query = |search: String, order, offset| ListQuery {
        view: &VIEW,
        entries: entries.clone(),
        search: Some(search),
        filters: Vec::new(),
        order: Some(order),
        offset,
        limit: PAGE,
    };
    for sort in
        ["one letter", "two letters", "three letters", "a word", "two words", "a word and two letters"]
    {
        let (mut ours, mut deep, mut sorted, mut counted, mut plain) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for call in 0..CALLS {
            let typed = typed(sort, &words, &mut chance);
            let time = |asked: ListQuery, times: &mut Vec<Duration>| {
                times.push(best(|| drop(black_box(runtime.block_on(store.list(&asked)).unwrap()))));
            };
            time(query(typed.clone(), Order::Rank, 0), &mut ours);
            time(query(typed.clone(), Order::Rank, 500), &mut deep);
            if call < CALLS / 4 {
                time(query(typed.clone(), Order::Descending("updated_at"), 0), &mut sorted);
                let asked = query(typed.clone(), Order::Rank, 0);
                counted.push(best(|| {
                    black_box(runtime.block_on(store.count(&asked)).unwrap());
                }));
                let quoted: Vec<String> = typed.split(' ').map(|word| format!("\"{word}\"*")).collect();
                plain.push(best(|| {
                    let rows = by_rank.query_map([quoted.join(" ")], |row| row.get::<_, i64>(0)).unwrap();
                    black_box(rows.count());
                }));
            }
        }
        let ((p50, p99), (deep50, deep99)) = (percentiles(ours), percentiles(deep));
        let ((_, sorted99), (_, counted99), (_, plain99)) =
            (percentiles(sorted), percentiles(counted), percentiles(plain));
        println!(
            "| search, {sort:<22} | p50 {p50:>6.2} ms | p99 {p99:>6.2} ms | goal ≤ 5 ms | \
             behind 500: {deep50:>6.2}, {deep99:>6.2} | by date {sorted99:>6.2} | count {counted99:>6.2} | \
             plain FTS5 by rank {plain99:>6.2} |"
        );
    }
    for (sort, column, test) in [
        ("of one type in five", "type", Test::Is("hook".into())),
        ("of one in 300 by a flag", "missing", Test::Flag(true)),
    ] {
        let mut times = Vec::new();
        for _ in 0..CALLS / 4 {
            let typed = typed("two letters", &words, &mut chance);
            let filters = vec![Filter { column, test: test.clone() }];
            let asked = ListQuery { filters, ..query(typed, Order::Rank, 0) };
            times.push(best(|| drop(black_box(runtime.block_on(store.list(&asked)).unwrap()))));
        }
        let (p50, p99) = percentiles(times);
        println!("| search, two letters, {sort:<23} | p50 {p50:>6.2} ms | p99 {p99:>6.2} ms |");
    }
}
