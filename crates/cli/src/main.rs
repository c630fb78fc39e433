//! The one binary `larder`: reads the command line, runs the command, says how it ended.

#![allow(unreachable_pub, reason = "a binary exports nothing: `pub` marks what a module offers the others")]

mod archive;
mod args;
mod commands;
mod config;
mod detach;
mod kinds;
mod machine;
mod memo;
mod report;
mod token;
mod trace;
mod troubles;
mod ui;
mod watching;
mod wiring;

use std::process::ExitCode;

use crate::config::{Environment, EnvironmentError};
use crate::report::{Complaint, Exit};
use crate::ui::{ColorChoice, Screen};

fn main() -> ExitCode {
    let cli = args::Cli::of_this_process();
    let env = match Environment::of_this_process(cli.needs_a_place()) {
        Ok(env) => env,
        Err(error) => {
            let screen = Screen::of_this_process(ColorChoice::Auto, false, &Environment::default());
            screen.complain(&match error {
                EnvironmentError::Gone => {
                    Complaint::failed(error.to_string()).hint("go to one that is there: `cd ~`")
                }
                EnvironmentError::Other(error) => {
                    Complaint::failed("the environment could not be read").because(format!("{error:#}"))
                }
            });
            return Exit::Failed.into();
        }
    };
    let misread = trace::start(env.get("LARDER_LOG"), cli.who())
        .or_else(|| env.is_odd("LARDER_LOG").then(|| "it is not UTF-8".to_owned()));
    let (screen, ended) = commands::run(cli, env, misread);
    match ended {
        Ok(exit) => exit.into(),
        Err(complaints) => {
            let exit = complaints.first().map_or(Exit::Failed, |first| first.exit);
            for complaint in &complaints {
                screen.complain(complaint);
            }
            exit.into()
        }
    }
}
