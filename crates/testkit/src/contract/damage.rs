//! One row that cannot be understood. Each store has its own way to come by one, so each calls this for itself.

use std::sync::Arc;

use larder_core::{
    Configured, Definition, Exports, Fingerprint, Heads, Policy, Rows, Store, StoreError, Target,
    lookup_past_damage,
};

use super::build::{at, book, key, refresh};

/// Nobody is kept from the others, and each is told which one it is. `damage` spoils the row of that name, with
/// the store closed.
pub async fn one_damaged_row_keeps_nobody_from_the_others<S: Store>(
    open: impl AsyncFn() -> S,
    damage: impl AsyncFnOnce(&'static str),
) {
    let names: Vec<String> = (0..9).map(|n| format!("shelf/{n}")).collect();
    let store = open().await;
    for name in &names {
        refresh(&store, &key(name), vec![book("a", 1)], at(0)).await;
    }
    drop(store);
    damage("shelf/4").await;
    let store = &open().await;
    let torn = key("shelf/4");
    let others: Vec<_> = names.iter().map(|name| key(name)).filter(|key| *key != torn).collect();

    let strictly = Rows::of(store, None).next().await;
    assert!(matches!(strictly, Err(StoreError::BadRow { .. })), "whoever wants all or nothing gets that");
    for source in [None, Some("shelf")] {
        let (mut rows, mut met) = (Rows::of(store, source).past_damage(), Vec::new());
        while let Some(row) = rows.next().await.unwrap() {
            met.push(row.entry.key);
        }
        assert_eq!(met, others);
        let [told] = rows.damaged() else { panic!("{:?}", rows.damaged()) };
        assert_eq!(told.key, torn);
        assert!(told.error.to_string().contains("shelf/4"), "{}", told.error);
    }
    let (mut heads, mut counts) = (Heads::of(store, None).past_damage(), Vec::new());
    while let Some(head) = heads.next().await.unwrap() {
        counts.push(head.shown);
    }
    assert_eq!((counts, heads.damaged().len()), (vec![1; 8], 1));
    for most in [1, 4, 100] {
        let (mut exports, mut met) = (Exports::of(store, most), Vec::new());
        loop {
            let page = exports.next().await.unwrap();
            if page.is_empty() {
                break;
            }
            met.extend(page.into_iter().map(|exported| exported.entry.key));
        }
        assert_eq!(met, others, "{most} at once");
        let [told] = exports.damaged() else { panic!("{:?}", exports.damaged()) };
        assert_eq!(told.key, torn);
    }
    let asked = [key("shelf/3"), torn.clone(), key("shelf/5")];
    let (rows, damaged) = lookup_past_damage(store, &asked).await.unwrap();
    assert_eq!(rows.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(damaged.iter().map(|damaged| &damaged.key).collect::<Vec<_>>(), [&torn]);

    let edited = Definition::new(Fingerprint::trusted("edited"), Policy::default());
    let edited = |name: &String| Configured { key: key(name), definition: Arc::new(edited.clone()) };
    let edited: Vec<Configured> = names.iter().map(edited).collect();
    assert_eq!(store.reconcile("shelf", &edited, at(1)).await.unwrap().edited, 8);
    assert!(store.reconcile("shelf", &edited[..1], at(2)).await.unwrap().unconfigured >= 7);

    assert!(!store.verify().await.unwrap().is_empty());
    store.evict(&Target::Keys(vec![torn]), at(3)).await.unwrap();
    assert_eq!(store.verify().await.unwrap(), [], "`cache clear` heals it");
}
