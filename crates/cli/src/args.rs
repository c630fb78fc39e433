//! The command line: what may be written there, and what `--help` says of it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::{
    artifacts, cache, completions, config, demo, doctor, export, github_sim, import, init, manifest, migrate,
    projects, refresh, registry, repos, server, show, trackers, watch,
};
use crate::trace::Who;
use crate::ui::ColorChoice;

/// Keeps a fast, durable, self-refreshing copy of slow things: clusters of GitHub repositories.
#[derive(Debug, Parser)]
#[command(
    name = "larder",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 answered; 1 failed; 2 wrong command line or configuration; \
                  3 the old copy was printed though a refresh was asked and failed, or part failed; \
                  4 not in the cache, and offline.\n\n\
                  Variables: LARDER_CONFIG names the configuration, LARDER_SECTION__KEY is one of its settings \
                  (LARDER_GITHUB__OWNER), and LARDER_LOG=info (or warn, debug, larder_engine=trace) logs to \
                  standard error.\n\n\
                  Start with `larder demo` to see it work, or with `larder init` and `larder repos`."
)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the process's command line, or ends the process with help or what is wrong with it.
    pub fn of_this_process() -> Self {
        let color = color_of(std::env::args_os().skip(1));
        let matches = Cli::command().color(color).get_matches();
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Whether it matters where the process stands.
    pub fn needs_a_place(&self) -> bool {
        !matches!(self.command, Command::Completions(_) | Command::GithubSim(_) | Command::Demo(_))
    }

    /// As whom this process logs.
    pub fn who(&self) -> Who {
        match &self.command {
            Command::Refresh(args) if args.is_detached() => Who::Detached,
            Command::Serve(args) if args.is_serving() => Who::Server { quiet: self.global.quiet },
            _ => Who::Command,
        }
    }
}

/// What `--color` says, before the command line is read: help and what is wrong with it come first.
fn color_of(words: impl Iterator<Item = OsString>) -> clap::ColorChoice {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let behind = |at: usize| words.get(at + 1).map(String::as_str);
    let said = words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix("--color")? {
        "" => behind(at),
        rest => rest.strip_prefix('='),
    });
    match said {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}

/// Options of all commands.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Read this configuration and no other
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Keep the cache there: a path, `sqlite:PATH`, `redb:PATH` or `postgres://USER@HOST/DATABASE`
    #[arg(long, value_name = "URL", global = true)]
    pub store: Option<String>,
    /// When to use colour; auto also obeys `NO_COLOR`
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: ColorChoice,
    /// Say nothing but the answer, errors, and what an untrusted file may not do
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do. What each command takes is put together for the one that is named.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Write a commented larder.toml to start from
    Init(init::Args),
    /// List the repositories of all clusters, each once
    Repos(repos::Args),
    /// List clusters and single repositories as projects, each cluster merged into one
    Registry(registry::Args),
    /// List local projects, and how many of their artifacts want a look
    Projects(projects::Args),
    /// List the skills, commands, agents, hooks and MCP servers of local projects
    Artifacts(artifacts::Args),
    /// Print what changes in local projects, as it changes
    Watch(watch::Args),
    /// Show one entry: its data, its age, what is wrong with it
    Show(show::Args),
    /// Fetch entries anew, and wait for it
    Refresh(refresh::Args),
    /// Releases that GitHub issues track: list them
    #[command(subcommand)]
    Release(trackers::ReleaseCommand),
    /// Microsprints that GitHub issues track: list them
    #[command(subcommand)]
    Microsprint(trackers::MicrosprintCommand),
    /// Trackers of any type: list and count them
    #[command(subcommand)]
    Tracker(trackers::TrackerCommand),
    /// The file that shares a repository's trackers with a team: write it, check it, keep it fresh
    #[command(subcommand)]
    Manifest(manifest::Command),
    /// Look at the cache, and change what it holds
    #[command(subcommand)]
    Cache(cache::Command),
    /// Look at the schema of the store, bring it up, or take it back
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Write the cache to a file that `larder import` reads
    Export(export::Args),
    /// Take in a file that `larder export` wrote
    Import(import::Args),
    /// Find out what is wrong, and what to do about it
    Doctor(doctor::Args),
    /// Show the configuration in effect, or trust a project's
    #[command(subcommand)]
    Config(config::Command),
    /// Print a script that completes commands in a shell
    Completions(completions::Args),
    /// Serve pages and an HTTP API on the cache, and refresh what is read
    Serve(server::Args),
    /// Show what Larder does: pages on a simulated GitHub, and switches to break it
    Demo(demo::Args),
    /// Run a simulated GitHub on this machine, to try things out
    GithubSim(github_sim::Args),
}
