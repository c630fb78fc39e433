//! A store with many entries: lists of them come in stretches, in every order, and what they are
//! counted as follows the store and the time.

use std::collections::BTreeSet;
use std::time::Duration;

use larder_core::{Clock, Exported, Key, Store};
use larder_testkit::contract::build::exported;

use crate::world::{HOUR, Served, World, problem};

/// So many are held, besides the three configured ones.
const HELD: usize = 730;

/// A world whose store holds entries that nobody has configured: of four ages, some failing.
async fn world() -> World {
    let world = World::new().await;
    let (store, _) = world.process();
    let now = world.clock.now();
    let entry = |place: usize| {
        let key: Key = format!("{}/name{place:04}", ["logo", "note"][place % 2]).parse().unwrap();
        let fetched_at = now.minus(Duration::from_mins(place as u64 % 4 * 30));
        let mut exported: Exported = exported(&key, &[], fetched_at);
        exported.entry.attempts = u32::try_from(place % 3).unwrap();
        exported
    };
    let entries: Vec<Exported> = (0..HELD).map(entry).collect();
    assert_eq!(store.import(&entries, now).await.unwrap(), HELD as u64);
    world
}

/// The keys on a page of the cache, in order, and the address of what follows.
async fn page(served: &Served, address: &str) -> (Vec<String>, Option<String>) {
    let text = served.get(address).send().await.unwrap().text().await.unwrap();
    let keys = text.split(r#"data-key=""#).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    let next = text.split_once(r#"<p class="more"><a class="button" href=""#);
    let next = next.map(|(_, rest)| rest.split('"').next().unwrap().replace("&#38;", "&"));
    (keys.collect(), next)
}

/// All keys that the page and those behind it show.
async fn walk(served: &Served, address: &str) -> Vec<String> {
    let (mut all, mut next) = (Vec::new(), Some(address.to_owned()));
    while let Some(address) = next {
        let (keys, behind) = page(served, &address).await;
        assert!(keys.len() <= 100 && (keys.len() == 100 || behind.is_none()), "{address}");
        all.extend(keys);
        next = behind;
    }
    all
}

#[tokio::test]
async fn the_caches_page_shows_each_entry_once_in_every_order() {
    let world = world().await;
    let served = world.serve().await;
    let by_key = walk(&served, "/cache").await;
    assert_eq!(by_key.len(), HELD + 3);
    assert!(by_key.is_sorted());
    let all: BTreeSet<&String> = by_key.iter().collect();
    for sort in
        ["-key", "state", "-state", "items", "age", "-age", "until", "-until", "attempts", "-attempts"]
    {
        let walked = walk(&served, &format!("/cache?sort={sort}")).await;
        assert_eq!(walked.len(), HELD + 3, "{sort}");
        assert_eq!(walked.iter().collect::<BTreeSet<_>>(), all, "{sort}");
        let turned = sort.strip_prefix('-').map_or_else(|| format!("-{sort}"), str::to_owned);
        let mut back = walk(&served, &format!("/cache?sort={turned}")).await;
        back.reverse();
        assert_eq!(back, walked, "{sort}");
    }
    let (oldest, _) = page(&served, "/cache?sort=age").await;
    assert_eq!(oldest[0], "note/name0003", "90 minutes old, the first by key");
}

#[tokio::test]
async fn entries_are_found_by_a_part_of_their_key_and_by_their_state() {
    let world = world().await;
    let served = world.serve().await;
    assert_eq!(walk(&served, "/cache?search=name072").await.len(), 10);
    let stale = walk(&served, "/cache?search=logo&show=stale").await;
    let is_stale = |place: &usize| place.is_multiple_of(2) && place % 4 >= 2;
    assert_eq!(stale.len(), (0..HELD).filter(is_stale).count());
    assert_eq!(walk(&served, "/cache?show=stale&sort=-age&search=logo").await.len(), stale.len());
    let text = served.get("/cache?search=logo&show=stale").send().await.unwrap().text().await.unwrap();
    assert!(text.contains(r#"<input type="hidden" name="show" value="stale">"#));
    assert!(text.contains("/cache?search=logo&#38;show=fresh"), "a tab keeps the search");
    assert!(text.contains("365 entries"), "what is counted is what was searched for");
    let none = served.get("/cache?search=%22%3E%3Ci%3E").send().await.unwrap().text().await.unwrap();
    assert!(none.contains("No such entries") && !none.contains("\"><i>"));
}

#[tokio::test]
async fn the_list_of_entries_goes_on_behind_a_key_whatever_becomes_of_it() {
    let world = world().await;
    let served = world.serve().await;
    let (mut path, mut keys) = ("/api/v1/entries?source=note&limit=100".to_owned(), Vec::new());
    loop {
        let body = served.json(&path).await;
        let page = body["entries"].as_array().unwrap().iter();
        keys.extend(page.map(|one| one["key"].as_str().unwrap().to_owned()));
        let Some(next) = body["next"].as_str() else { break };
        let (store, _) = world.process();
        let last: Key = keys.last().unwrap().parse().unwrap();
        store.evict(&larder_core::Target::Keys(vec![last]), world.clock.now()).await.unwrap();
        path = format!("/api/v1/entries?source=note&limit=100&cursor={next}");
    }
    let expected: Vec<String> = (0..HELD).skip(1).step_by(2).map(|n| format!("note/name{n:04}")).collect();
    assert_eq!(keys, expected);
    let cursor = path.rsplit_once('=').unwrap().1;
    let other = served.get(&format!("/api/v1/entries?cursor={cursor}")).send().await.unwrap();
    problem(other, 404, "unknown_cursor").await;
    for wrong in ["00.0123456789ab", "6c6f676f.0123456789ab"] {
        let wrong = served.get(&format!("/api/v1/entries?cursor={wrong}")).send().await.unwrap();
        problem(wrong, 404, "unknown_cursor").await;
    }
    for wrong in ["x", "6.0123456789ab", "zz.0123456789ab", "6c.xyz", ".0123456789ab"] {
        let wrong = served.get(&format!("/api/v1/entries?cursor={wrong}")).send().await.unwrap();
        problem(wrong, 400, "bad_input").await;
    }
}

#[tokio::test]
async fn counts_follow_the_store_and_the_time() {
    let world = world().await;
    let served = world.serve().await;
    let counts = async || {
        let entries = served.json("/api/v1/stats").await["entries"].clone();
        ["total", "missing", "fresh", "stale", "retrying"].map(|state| entries[state].as_u64().unwrap())
    };
    let of = |ages: &[usize]| (0..HELD).filter(|n| ages.contains(&(n % 4))).count() as u64;
    let retrying = (0..HELD).filter(|n| n % 3 > 0).count() as u64;
    let held = HELD as u64;
    let first = [held + 3, 3, of(&[0, 1]), of(&[2, 3]), retrying];
    assert_eq!(counts().await, first);
    assert_eq!(counts().await, first);
    world.clock.advance(Duration::from_mins(31));
    assert_eq!(counts().await, [held + 3, 3, of(&[0]), of(&[1, 2, 3]), retrying], "time makes some stale");
    world.clock.advance(HOUR);
    assert_eq!(counts().await, [held + 3, 3, 0, held, retrying]);
    let (store, _) = world.process();
    store.evict(&larder_core::Target::Source("logo".to_owned()), world.clock.now()).await.unwrap();
    assert_eq!(counts().await[0], held / 2 + 3, "another process removed some");
    served.json("/api/v1/clusters/tools").await;
    assert_eq!(counts().await[..3], [held / 2 + 3, 2, 1], "and this one fetched one");
}
