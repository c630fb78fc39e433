//! One item that no store can keep takes nothing else along, and is told of for as long as it is not there.

use larder_core::{
    Answer, Attempt, Coverage, Delta, Entry, Fetched, Finding, ItemRef, Json, Listing, MemberState, NewItem,
    Others, Outcome, Scope, Stored, Warning, Write, absorb,
};

use crate::build::{NOW, definition, doc, holding, key, present};

fn take(before: &Stored, result: Fetched) -> Write {
    absorb(Attempt {
        before,
        definition: &definition("1"),
        subset: false,
        result: Ok(result),
        now: NOW,
        chance: 0.5,
    })
}

fn nothing() -> Stored {
    Stored { entry: Entry::empty(key(), NOW), members: Vec::new() }
}

fn unfit(id: &str, scope: Scope) -> NewItem {
    let doc = Json::parse("[1e999]").unwrap();
    NewItem { of: ItemRef::new("thing", id), scope, doc, coverage: Coverage::Whole }
}

fn answered(name: &str, item: NewItem) -> Answer {
    Answer { asked: name.into(), finding: Finding::Present(item) }
}

fn fit(name: &str, rev: u64) -> NewItem {
    let Finding::Present(item) = present(name, rev).finding else { unreachable!() };
    item
}

fn listing(answers: Vec<Answer>) -> Fetched {
    Fetched::Items(Listing { answers, whole: true, ..Listing::default() })
}

fn delta(upserts: Vec<NewItem>, others: Others) -> Fetched {
    Fetched::Delta(Delta { upserts, others, ..Delta::default() })
}

fn asked(write: &Write) -> Vec<&str> {
    write.members.as_ref().unwrap().iter().map(|member| &*member.asked).collect()
}

fn told(write: &Write) -> Vec<&str> {
    write.warnings.iter().map(|warning| warning.message.as_str()).collect()
}

/// The row after a write, for the next fetch.
fn after(write: &Write, before: Stored) -> Stored {
    let entry = Entry { warnings: write.warnings.clone(), fetched_at: Some(NOW), ..before.entry };
    Stored { entry, ..before }
}

const LEFT_OUT: &str = "`b` is left out: its document holds the number 1e999, which is out of bounds";
const KEPT: &str = "`b` is shown as it was: its document holds the number 1e999, which is out of bounds";

#[test]
fn an_unfit_item_is_left_out_of_a_complete_answer() {
    let answers = || vec![present("a", 1), answered("b", unfit("b", Scope::Public)), present("c", 1)];
    for fetched in
        [listing(answers()), delta(vec![fit("a", 1), unfit("b", Scope::Public), fit("c", 1)], Others::Go)]
    {
        let write = take(&nothing(), fetched);
        assert_eq!((asked(&write), told(&write)), (vec!["a", "c"], vec![LEFT_OUT]));
        assert_eq!(write.items.len(), 2);
        assert_eq!((write.outcome, write.complete, write.attempts), (Outcome::Updated, true, 0));
        let warning = &write.warnings[0];
        assert_eq!((warning.about.as_str(), warning.code.as_str()), ("b", "unfit"));
    }
}

#[test]
fn an_older_copy_of_an_unfit_item_stays_where_still_the_same_may_see_it() {
    for (scope, names, says) in
        [(Scope::Public, vec!["a", "b"], KEPT), (Scope::Repo("example.com/b".into()), vec!["a"], LEFT_OUT)]
    {
        let of_listing = listing(vec![present("a", 2), answered("b", unfit("b", scope.clone()))]);
        let of_whole = delta(vec![fit("a", 2), unfit("b", scope.clone())], Others::Go);
        let of_delta = delta(vec![unfit("b", scope.clone())], Others::Stay);
        for fetched in [of_listing, of_whole, of_delta] {
            let write = take(&holding(&["a", "b"]), fetched);
            assert_eq!((asked(&write), told(&write)), (names.clone(), vec![says]), "{scope}");
            assert!(write.members.unwrap().iter().all(|member| member.state == MemberState::Shown));
            assert!(write.items.iter().all(|item| &*item.of.id != "b"));
        }
    }
}

#[test]
fn changes_that_do_not_name_it_leave_its_warning_and_those_that_do_take_it_away() {
    let first = take(&holding(&["a"]), delta(vec![unfit("b", Scope::Public)], Others::Stay));
    let before = after(&first, holding(&["a"]));
    let other = take(&before, delta(vec![fit("c", 1)], Others::Stay));
    assert_eq!(told(&other), [LEFT_OUT]);
    let same = take(&before, Fetched::NotModified { ttl: None, cursor: None });
    assert_eq!(told(&same), [LEFT_OUT]);
    let again = take(&before, delta(vec![unfit("b", Scope::Public)], Others::Stay));
    assert_eq!(told(&again), [LEFT_OUT], "once");
    let gone = Delta { removals: vec![ItemRef::new("thing", "b")], ..Delta::default() };
    let mended =
        [delta(vec![fit("b", 1)], Others::Stay), Fetched::Delta(gone), delta(vec![fit("a", 1)], Others::Go)];
    for fetched in mended {
        assert_eq!(told(&take(&before, fetched)), [""; 0]);
    }
}

#[test]
fn many_unfit_items_are_no_lost_access() {
    let answers = ["a", "b", "c"].map(|name| answered(name, unfit(name, Scope::Public)));
    let write = take(&holding(&["a", "b", "c"]), listing(answers.to_vec()));
    assert_eq!(asked(&write), ["a", "b", "c"]);
    assert!(write.complete && write.warnings.iter().all(|warning| warning.code == "unfit"));
}

#[test]
fn a_document_of_the_entrys_own_stays_as_it_was_where_the_new_one_cannot_be_kept() {
    let mut before = holding(&["a"]);
    before.entry.body = Some(doc(7));
    let body = || Some(Json::parse("[1e999]").unwrap());
    let of_listing =
        Fetched::Items(Listing { answers: vec![present("a", 2)], body: body(), ..Listing::default() });
    let of_delta = Fetched::Delta(Delta { body: body(), ..Delta::default() });
    for fetched in [of_listing, of_delta] {
        let write = take(&before, fetched);
        assert_eq!((write.body.as_ref(), asked(&write)), (before.entry.body.as_ref(), vec!["a"]));
        assert!(told(&write)[0].starts_with("`thing/a` is shown as it was: its document"), "{write:?}");
        let next = Fetched::Delta(Delta { body: Some(doc(8)), ..Delta::default() });
        assert_eq!(told(&take(&after(&write, before.clone()), next)), [""; 0]);
    }
    let alone = take(&before, Fetched::body(body().unwrap()));
    assert_eq!((alone.outcome, alone.body), (Outcome::Failed, before.entry.body));
    assert_eq!(alone.last_error.unwrap().code, "unusable");
}

#[test]
fn a_tag_that_no_index_holds_is_left_out() {
    let tags = vec!["red".to_owned(), "x".repeat(1_025), "y".repeat(1_024)];
    let write = take(&nothing(), Fetched::Items(Listing { tags: tags.clone(), ..Listing::default() }));
    assert_eq!(write.tags.unwrap(), [&*tags[0], &*tags[2]]);
    let Warning { about, code, message } = &write.warnings[0];
    assert_eq!((about.as_str(), code.as_str()), ("thing/a", "unfit"));
    assert!(message.contains("1025 bytes") && message.len() < 400, "{message}");
}
