//! Lives through seeds of the simulation: `cargo run -p larder-testkit --example simulate -- --seed 7`
//! prints every step of one; `--seeds 10000` looks for one that fails, from a new seed each time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a simulation fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that prints")]

#[path = "../../simulation/mod.rs"]
mod simulation;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::process::ExitCode;

use simulation::{Setup, run};

const USAGE: &str = "\
usage: simulate --seed N [--on STORE]             lives through one seed and prints every step
       simulate --seeds N [--seed N] [--on STORE] lives through so many, and tells which failed

  --seed N    the seed, or the first of many; of many it is a new one each time unless it is given
  --seeds N   how many
  --on STORE  memory or sqlite; else the seed decides
  --help      this

Ends with 0 when nothing is wrong, 1 when a seed failed, 2 when it was asked wrongly.";

/// What was asked for.
#[derive(Debug, Default)]
struct Asked {
    seed: Option<u64>,
    seeds: Option<u64>,
    on: Option<&'static str>,
    help: bool,
}

fn main() -> ExitCode {
    let asked = match parse(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(what) => {
            eprintln!("simulate: {what}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if asked.help {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match (asked.seed, asked.seeds) {
        (Some(seed), None) => one(asked.setup()(seed)),
        (seed, Some(seeds)) => many(seed.unwrap_or_else(new_seed), seeds, &asked),
        (None, None) => {
            eprintln!("simulate: which seed, or how many?\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Reads the arguments: `--name value` and `--name=value`.
fn parse(arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value = || {
            let next = value.clone().or_else(|| arguments.next());
            next.ok_or_else(|| format!("`{name}` wants a value"))
        };
        match name {
            "--seed" => asked.seed = Some(number(name, &value()?)?),
            "--seeds" => asked.seeds = Some(number(name, &value()?)?.max(1)),
            "--on" => {
                asked.on = Some(match value()?.as_str() {
                    "memory" => "memory",
                    "sqlite" => "sqlite",
                    other => return Err(format!("`--on {other}`: memory or sqlite")),
                });
            }
            "--help" | "-h" => asked.help = true,
            other => return Err(format!("`{other}` is not known")),
        }
    }
    Ok(asked)
}

fn number(name: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("`{name} {value}`: a number is wanted"))
}

impl Asked {
    fn setup(&self) -> fn(u64) -> Setup {
        match self.on {
            Some("memory") => Setup::in_memory,
            Some(_) => Setup::on_sqlite,
            None => Setup::of,
        }
    }

    /// How a seed that failed is lived again, step by step.
    fn replay(&self, seed: u64) -> String {
        let on = self.on.map(|on| format!(" --on {on}")).unwrap_or_default();
        format!("cargo run -p larder-testkit --example simulate -- --seed {seed}{on}")
    }
}

/// One that nobody chose, short enough to be typed.
fn new_seed() -> u64 {
    RandomState::new().build_hasher().finish() >> 32
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

fn many(seed: u64, seeds: u64, asked: &Asked) -> ExitCode {
    let end = seed.saturating_add(seeds);
    println!("simulation: {seeds} seeds from {seed}");
    // What is cut short has told where it began.
    let _ = std::io::stdout().flush();
    let (counts, failed) = simulation::run_many(seed..end, asked.setup());
    for (seed, what) in &failed {
        println!("seed {seed}: {what}\n  {}", asked.replay(*seed));
    }
    println!("simulation: {} of {seeds} seeds from {seed} failed; {counts:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
