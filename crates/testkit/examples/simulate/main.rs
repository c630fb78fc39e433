//! Lives through seeds of the simulation: `cargo run -p larder-testkit --example simulate -- --seed 7`
//! prints every step of one; `--seed 1 --seeds 10000` looks for one that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a simulation fails by panicking")]
#![allow(clippy::print_stdout, reason = "it is a program that prints")]

#[path = "../../simulation/mod.rs"]
mod simulation;

use std::process::ExitCode;

use simulation::{Setup, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    let Some(seed) = number("--seed") else {
        println!("simulate --seed N [--seeds N] [--on=memory|--on=sqlite]");
        return ExitCode::FAILURE;
    };
    let setup = match arguments.iter().find_map(|argument| argument.strip_prefix("--on=")) {
        Some("memory") => Setup::in_memory,
        Some("sqlite") => Setup::on_sqlite,
        _ => Setup::of,
    };
    match number("--seeds") {
        None => one(setup(seed)),
        Some(seeds) => many(seed, seeds, setup),
    }
}

/// Prints every step.
fn one(setup: Setup) -> ExitCode {
    let seed = setup.seed;
    let lived = run(Setup { traced: true, ..setup });
    lived.trace.iter().for_each(|line| println!("{line}"));
    match lived.violation {
        None => {
            println!("seed {seed}: nothing is wrong, {:?}", lived.counts);
            ExitCode::SUCCESS
        }
        Some(what) => {
            println!("seed {seed}: {what}");
            ExitCode::FAILURE
        }
    }
}

fn many(seed: u64, seeds: u64, setup: fn(u64) -> Setup) -> ExitCode {
    let (counts, failed) = simulation::run_many(seed..seed + seeds, setup);
    for (seed, what) in &failed {
        println!("seed {seed}: {what}");
    }
    println!("{seeds} seeds, {} failed; {counts:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
