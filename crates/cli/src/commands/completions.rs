//! `larder completions`: a script that completes commands in a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;

use super::{Context, Ended};
use crate::args::Cli;
use crate::report::Exit;

/// Print a script that completes commands in a shell.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  larder completions bash > ~/.local/share/bash-completion/completions/larder"
)]
pub struct Args {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, context: &Context) -> Ended {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "larder", &mut script);
    let script = String::from_utf8_lossy(&script);
    if context.json() {
        context.screen.json(&json!({"shell": args.shell.to_string(), "script": script}))?;
    } else {
        context.screen.answer(&script)?;
    }
    Ok(Exit::Answered)
}
