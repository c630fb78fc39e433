//! Stories of sheets: a list that was written down is answered while it still is the list, and never
//! after. A store may keep none; then nobody is ever answered.

use larder_core::{Key, Sheet, Store, Target};

use super::Place;
use super::build::{at, book, fail, find, key, lease, refresh};
use super::sweeps::lasting;

const FORM: &str = "books/1";

async fn sheet_of(store: &impl Store, key: &Key, text: &str) -> Sheet {
    let version = find(store, key).await.unwrap().entry.version;
    Sheet { form: FORM.to_owned(), version, text: text.to_owned() }
}

async fn whole(store: &impl Store, key: &Key) -> Option<String> {
    let sheet = store.sheet(key, FORM, usize::MAX).await.unwrap()?;
    assert!(sheet.is_whole);
    Some(sheet.text)
}

/// Keeps one of the entry as it is now; answers whether the store keeps any.
async fn keep(store: &impl Store, key: &Key, text: &str) -> bool {
    let sheet = sheet_of(store, key, text).await;
    let is_kept = store.keep_sheet(key, &sheet).await.unwrap();
    let meant = is_kept.then_some(text);
    assert_eq!(whole(store, key).await.as_deref(), meant);
    is_kept
}

/// A failure, a lease, a confirmation and an invalidation leave the members as they are; other items do
/// not. Every process sees it, and none a sheet of another form.
pub async fn a_sheet_holds_while_its_entry_looks_as_it_did<P: Place>() {
    let place = P::fresh();
    let (store, other) = (place.open().await, place.open().await);
    let cinder = key("shelf/cinder");
    assert_eq!(whole(&store, &cinder).await, None, "of an entry that is not there");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    assert_eq!(whole(&store, &cinder).await, None);
    let is_kept = keep(&store, &cinder, "a 1").await;
    let kept = || async { whole(&other, &cinder).await };
    let meant = is_kept.then(|| "a 1".to_owned());
    refresh(&store, &cinder, vec![book("a", 1)], at(1)).await;
    fail(&store, &cinder, at(2)).await;
    lease(&store, &cinder, at(3)).await;
    store.invalidate(&Target::All, at(4)).await.unwrap();
    store.sweep(&lasting(), at(5)).await.unwrap();
    assert_eq!(kept().await, meant);
    assert_eq!(store.sheet(&cinder, "books/2", usize::MAX).await.unwrap(), None);
    refresh(&other, &cinder, vec![book("a", 2)], at(30)).await;
    assert_eq!(whole(&store, &cinder).await, None, "it is of what was");
    keep(&other, &cinder, "a 2").await;
    keep(&store, &cinder, "a two").await;
    store.sweep(&lasting(), at(31)).await.unwrap();
    assert_eq!(kept().await, is_kept.then(|| "a two".to_owned()), "the later one stands");
}

/// Who wants a few lines gets whole ones, and is told whether there are more.
pub async fn the_beginning_of_a_sheet_is_read_by_itself<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    let text: String =
        (0..4_000).flat_map(|line| ["Ünal ".to_owned(), line.to_string(), "\n".to_owned()]).collect();
    if !keep(&store, &cinder, &text).await {
        return;
    }
    for bytes in [0, 1, 7, 8, 9, 16, 17, 4_096, text.len() - 1, text.len(), text.len() + 1] {
        let read = store.sheet(&cinder, FORM, bytes).await.unwrap().unwrap();
        let lines = text[..].match_indices('\n').map(|(end, _)| end + 1).take_while(|end| *end <= bytes);
        assert_eq!(read.text, text[..lines.last().unwrap_or(0)], "of the first {bytes} bytes");
        assert_eq!(read.is_whole, bytes >= text.len());
    }
    keep(&store, &cinder, "without an end").await;
    assert_eq!(store.sheet(&cinder, FORM, 7).await.unwrap().unwrap().text, "");
}

/// An item that two entries show is another on both of their lists.
pub async fn a_sheet_goes_with_what_another_entry_changes<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (one, other) = (key("shelf/one"), key("shelf/other"));
    refresh(&store, &one, vec![book("a", 1)], at(0)).await;
    refresh(&store, &other, vec![book("a", 1), book("b", 1)], at(1)).await;
    let is_kept = keep(&store, &one, "a 1").await;
    refresh(&store, &other, vec![book("a", 1), book("b", 2)], at(2)).await;
    assert_eq!(whole(&store, &one).await.is_some(), is_kept);
    refresh(&store, &other, vec![book("a", 2), book("b", 2)], at(3)).await;
    assert_eq!(whole(&store, &one).await, None);
}

/// And none of its successor's.
pub async fn a_sheet_of_an_evicted_entry_is_gone<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    keep(&store, &cinder, "a 1").await;
    store.evict(&Target::Keys(vec![cinder.clone()]), at(1)).await.unwrap();
    assert_eq!(whole(&store, &cinder).await, None);
    refresh(&store, &cinder, vec![book("a", 1)], at(2)).await;
    assert_eq!(whole(&store, &cinder).await, None);
    assert_eq!(store.verify().await.unwrap(), []);
}

/// A reader that was slow wrote down what is no more.
pub async fn only_what_the_entry_is_now_is_kept<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    let late = sheet_of(&store, &cinder, "a 1").await;
    refresh(&store, &cinder, vec![book("a", 2)], at(1)).await;
    assert!(!store.keep_sheet(&cinder, &late).await.unwrap());
    let is_kept = keep(&store, &cinder, "a 2").await;
    assert!(!store.keep_sheet(&cinder, &late).await.unwrap());
    let huge = "a".repeat(Sheet::BYTES_MAX + 1);
    let huge = sheet_of(&store, &cinder, &huge).await;
    assert!(!store.keep_sheet(&cinder, &huge).await.unwrap());
    let held = whole(&store, &cinder).await;
    assert_eq!(held, is_kept.then(|| "a 2".to_owned()));
    assert!(!store.keep_sheet(&key("shelf/none"), &late).await.unwrap());
}
