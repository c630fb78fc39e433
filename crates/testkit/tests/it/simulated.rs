//! A thousand lives of several processes on one store; and lives on stores that break a rule, which
//! are found out.

use crate::simulation::{Broken, Setup, run, run_many};

/// How a life that failed is lived again, step by step.
fn replay(seed: u64) -> String {
    format!("cargo run -p larder-testkit --example simulate -- --seed {seed}")
}

#[test]
fn a_thousand_lives_break_no_rule() {
    let (counts, failed) = run_many(1..1_001, Setup::of);
    let lines = failed.iter().map(|(seed, what)| format!("{what}\n  {}", replay(*seed)));
    assert!(failed.is_empty(), "{} of 1,000 seeds:\n{}", failed.len(), lines.collect::<Vec<_>>().join("\n"));
    // Lives in which nothing happens prove nothing.
    let enough = [
        ("fetches", counts.fetches, 20_000),
        ("fresh reads", counts.fresh, 5_000),
        ("kills", counts.kills, 2_000),
        ("takeovers", counts.takeovers, 1_000),
        ("late commits", counts.superseded, 500),
        ("store errors", counts.store_errors, 2_000),
    ];
    for (what, many, least) in enough {
        assert!(many >= least, "only {many} {what}: {counts:?}");
    }
}

#[test]
fn the_same_seed_takes_the_same_steps() {
    for setup in [Setup::in_memory(3), Setup::on_sqlite(4), Setup::on_sqlite(5), Setup::in_memory(6)] {
        let traced = Setup { traced: true, ..setup };
        let (once, again) = (run(traced), run(traced));
        assert!(once.trace.len() > 50, "{setup:?}");
        let differs = once.trace.iter().zip(&again.trace).find(|(one, other)| one != other);
        assert_eq!(differs, None, "{setup:?}");
        assert_eq!((once.trace.len(), once.counts), (again.trace.len(), again.counts));
        assert_ne!(once.trace, run(Setup { seed: setup.seed + 100, ..traced }).trace);
    }
}

#[test]
fn a_seed_that_fails_fails_again_by_the_same_steps() {
    for rule in [Broken::Fencing, Broken::Commits] {
        let setups =
            (1..=200).map(|seed| Setup { broken: Some(rule), traced: true, ..Setup::in_memory(seed) });
        let mut failed = setups.map(|setup| (setup, run(setup))).filter(|(_, life)| life.violation.is_some());
        let (setup, once) = failed.next().unwrap();
        let again = run(setup);
        assert_eq!((&again.violation, &again.trace), (&once.violation, &once.trace), "{setup:?}");
        let last = once.trace.last().map_or("", String::as_str);
        assert!(!last.is_empty(), "the steps lead to it");
    }
}

/// Lives on a store that breaks a rule until one shows it. Answers what it showed.
fn found_out(rule: Broken) -> String {
    let mut lives = (1..=200).map(|seed| run(Setup { broken: Some(rule), ..Setup::in_memory(seed) }));
    let found = lives.find_map(|life| life.violation);
    found.unwrap_or_else(|| panic!("200 lives and nobody saw {rule:?}"))
}

#[test]
fn a_store_that_breaks_a_rule_is_found_out() {
    let rules: [(Broken, &[&str]); 8] = [
        (Broken::Fencing, &["under the lost token", "past its lease's end"]),
        (Broken::Exclusion, &["is not above"]),
        (Broken::Invalidations, &["was not so after step"]),
        (Broken::InvalidationsInFlight, &["was not so after step"]),
        (Broken::Commits, &["is read as of"]),
        (Broken::Marks, &["is wanted, and nobody fetched it"]),
        (Broken::Reads, &["is read as of"]),
        (Broken::Feed, &["the feed told of"]),
    ];
    for (rule, expected) in rules {
        let what = found_out(rule);
        assert!(
            expected.iter().any(|words| what.contains(words)),
            "{rule:?} was found out by another mistake: {what}"
        );
    }
}
