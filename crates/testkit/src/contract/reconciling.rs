//! Stories of configuration that changed: edited entries, entries gone and come back.

use std::sync::Arc;

use larder_core::{
    Configured, Definition, Fingerprint, Outcome, Policy, Reconciled, Status, Store, Target, Trigger,
    Warning, Write,
};

use super::Place;
use super::build::{
    at, book, commit_of, failed, fetched, heads, ids, key, lease, refresh, row, words, write,
};

fn configured(text: &str, fingerprint: &str, names: Option<&[&str]>) -> Configured {
    let names = names.map(|names| names.iter().map(|name| Arc::from(*name)).collect());
    let plain = Definition::new(Fingerprint::trusted(fingerprint), Policy::default());
    Configured { key: key(text), definition: Arc::new(Definition { names, ..plain }) }
}

/// The unchanged members of an edited entry are served meanwhile.
pub async fn edited_entries_are_due_and_lose_what_they_no_longer_name<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let warning = |about: &str| Warning {
        about: about.to_owned(),
        code: "unknown".to_owned(),
        message: "no answer".to_owned(),
    };
    let half = Write {
        pending: vec!["c".into(), "d".into()],
        warnings: vec![warning("c"), warning("d")],
        ..fetched(vec![book("a", 1), book("b", 1)], at(0))
    };
    write(&store, &cinder, half, at(0)).await;
    let same = [configured("shelf/cinder", "one", Some(&["a", "b", "c", "d"]))];
    assert_eq!(store.reconcile("shelf", &same, at(1)).await.unwrap(), Reconciled::default());
    assert_eq!(row(&store, &cinder).await.entry.version, 1);

    let edited =
        [configured("shelf/cinder", "two", Some(&["a", "c", "new"])), configured("shelf/x", "x", None)];
    let reconciled = store.reconcile("shelf", &edited, at(2)).await.unwrap();
    assert_eq!(reconciled, Reconciled { edited: 1, unconfigured: 0, returned: 0 });
    let held = row(&store, &cinder).await;
    assert_eq!(ids(&held), ["a"]);
    assert_eq!((held.entry.due_at, held.entry.version), (at(2), 2));
    assert_eq!(held.entry.pending, [Arc::from("c")]);
    assert_eq!(held.entry.warnings, [warning("c")]);
    assert_eq!(words(&store, &cinder).await, ["updated", "updated"]);

    let whole = Write {
        definition: Fingerprint::trusted("two"),
        tried: Fingerprint::trusted("two"),
        ..fetched(vec![book("a", 1)], at(3))
    };
    write(&store, &cinder, whole, at(3)).await;
    assert_eq!(store.reconcile("shelf", &edited, at(4)).await.unwrap(), Reconciled::default());
}

/// Of one source alone; what comes back is forgiven.
pub async fn unconfigured_entries_are_remembered_and_forgiven<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (a, b, other) = (key("shelf/a"), key("shelf/b"), key("other/c"));
    for entry in [&a, &b, &other] {
        refresh(&store, entry, vec![], at(0)).await;
    }
    let only_a = [configured("shelf/a", "one", None)];
    let gone = Reconciled { edited: 0, unconfigured: 1, returned: 0 };
    assert_eq!(store.reconcile("shelf", &only_a, at(1)).await.unwrap(), gone);
    assert_eq!(store.reconcile("shelf", &only_a, at(2)).await.unwrap(), Reconciled::default());
    let since = async || -> Vec<_> {
        let heads = heads(&store, None).await;
        heads.into_iter().map(|head| (head.entry.key.to_string(), head.unconfigured_since)).collect()
    };
    let expected =
        |b| [("other/c".to_owned(), None), ("shelf/a".to_owned(), None), ("shelf/b".to_owned(), b)];
    assert_eq!(since().await, expected(Some(at(1))), "the first time counts");
    let both = [configured("shelf/a", "one", None), configured("shelf/b", "one", None)];
    let back = Reconciled { edited: 0, unconfigured: 0, returned: 1 };
    assert_eq!(store.reconcile("shelf", &both, at(3)).await.unwrap(), back);
    assert_eq!(since().await, expected(None));
}

/// Two processes may have two configurations: what one of them does not know, the other goes on with.
pub async fn who_works_on_an_entry_has_it_configured<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let a = key("shelf/a");
    let is_left = async || heads(&store, None).await.remove(0).unconfigured_since.is_some();
    refresh(&store, &a, vec![], at(0)).await;
    for trigger in [Trigger::Watch, Trigger::Read] {
        assert_eq!(store.reconcile("shelf", &[], at(1)).await.unwrap().unconfigured, 1);
        assert!(is_left().await);
        store.mark_due(std::slice::from_ref(&a), trigger, at(2)).await.unwrap();
        assert!(!is_left().await);
        assert_eq!(store.due(at(3), 10).await.unwrap(), std::slice::from_ref(&a), "{trigger}");
        refresh(&store, &a, vec![], at(3)).await;
    }
    store.reconcile("shelf", &[], at(4)).await.unwrap();
    refresh(&store, &a, vec![], at(5)).await;
    assert!(!is_left().await, "whoever refreshes it wants it");
}

/// The process that has it configured hears only here that its wait is over; the lease comes after that.
pub async fn another_configuration_silences_no_retry<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (dead, half) = (key("shelf/dead"), key("shelf/half"));
    let (held, before) = lease(&store, &dead, at(0)).await;
    store.commit(commit_of(&held, failed(&before, at(0)), at(0))).await.unwrap();
    let partial = Write { pending: vec!["b".into()], ..fetched(vec![book("a", 1)], at(0)) };
    write(&store, &half, partial, at(0)).await;
    let both = store.due(at(100_000), 10).await.unwrap();
    assert_eq!(both.len(), 2);
    assert_eq!(store.reconcile("shelf", &[], at(1)).await.unwrap().unconfigured, 2);
    assert_eq!(store.due(at(100_000), 10).await.unwrap(), both);

    assert_eq!(store.replay(&Target::Keys(vec![dead.clone()]), at(2)).await.unwrap(), 1);
    assert_eq!(store.due(at(2), 1).await.unwrap(), [dead]);
    let heads = heads(&store, None).await;
    let left: Vec<_> = heads.into_iter().filter(|head| head.unconfigured_since.is_some()).collect();
    assert_eq!(left.into_iter().map(|head| head.entry.key).collect::<Vec<_>>(), [half]);
}

/// Two processes may have two configurations: what the new one takes away, the old one must not pass
/// for all there is.
pub async fn what_an_edit_took_away_is_missed_by_the_old_definition<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let old = configured("shelf/cinder", "one", Some(&["a", "b"]));
    let new = configured("shelf/cinder", "two", Some(&["a"]));
    let status = async || row(&store, &cinder).await.entry.status(Some(&old.definition), at(9));
    refresh(&store, &cinder, vec![book("a", 1), book("b", 1)], at(0)).await;
    assert_eq!(status().await, Status::Fresh);
    assert_eq!(store.reconcile("shelf", std::slice::from_ref(&new), at(1)).await.unwrap().edited, 1);
    assert_eq!(ids(&row(&store, &cinder).await), ["a"]);
    assert_eq!(status().await, Status::Stale, "`b` is not there, and was not asked for");
    refresh(&store, &cinder, vec![book("a", 1), book("b", 1)], at(2)).await;
    assert_eq!(status().await, Status::Fresh);

    // A fetch under way compared what was held then.
    for outcome in [Outcome::NotModified, Outcome::Failed] {
        let (held, before) = lease(&store, &cinder, at(3)).await;
        store.reconcile("shelf", std::slice::from_ref(&new), at(4)).await.unwrap();
        let unchanged = match outcome {
            Outcome::Failed => failed(&before, at(5)),
            _ => Write { outcome, members: None, tags: None, ..fetched(Vec::new(), at(5)) },
        };
        store.commit(commit_of(&held, unchanged, at(5))).await.unwrap();
        assert_eq!(status().await, Status::Stale, "{outcome:?}");
        refresh(&store, &cinder, vec![book("a", 1), book("b", 1)], at(6)).await;
        assert_eq!(status().await, Status::Fresh);
    }
}
