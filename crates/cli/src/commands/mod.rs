//! The commands, a file each, and what they share.

pub mod artifacts;
pub mod cache;
pub mod completions;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod entry;
pub mod export;
pub mod github_sim;
pub mod import;
pub mod init;
pub mod local;
pub mod manifest;
pub mod members;
pub mod migrate;
pub mod names;
pub mod projects;
pub mod refresh;
pub mod registry;
pub mod repos;
pub mod serve;
pub mod server;
pub mod show;
pub mod target;
pub mod trackers;
pub mod verify;
mod warnings;
pub mod watch;

use larder_core::{Clock as _, Time};
use larder_engine::SystemClock;

use crate::args::{Cli, Command, Global};
use crate::config::{Config, Environment, Flags};
use crate::report::{Complaint, Exit};
use crate::ui::Screen;
use crate::wiring::{Rooms, Stay};

/// What every command gets.
pub struct Context {
    /// The process's environment.
    pub env: Environment,
    /// Options of all commands.
    pub global: Global,
    /// Where output goes.
    pub screen: Screen,
    /// When this process began.
    pub began: Time,
}

/// What a command comes to: an exit code, or every reason why it failed.
pub type Ended = Result<Exit, Vec<Complaint>>;

impl Context {
    /// Reads the configuration, and says what a person should know of it.
    pub fn config(&self) -> Result<Config, Vec<Complaint>> {
        let config = Config::load(&self.flags(), &self.env).map_err(Vec::<Complaint>::from)?;
        for ignored in &config.untrusted {
            self.screen.insist(ignored);
        }
        for warning in &config.warnings {
            self.screen.warn(warning);
        }
        for note in &config.notes {
            self.screen.note(note);
        }
        Ok(config)
    }

    /// Opens what a command works with, and says so if a damaged database had to be replaced.
    pub async fn rooms<'c>(&self, config: &'c Config) -> Result<Rooms<'c>, Complaint> {
        self.rooms_to(Stay::Short, config).await
    }

    /// The same, for so long.
    pub async fn rooms_to<'c>(&self, stay: Stay, config: &'c Config) -> Result<Rooms<'c>, Complaint> {
        let rooms = Rooms::open(config, stay).await?;
        if let Some(moved) = rooms.store().recovered() {
            let moved = moved.display();
            self.screen
                .warn(&format!("the database was damaged and moved to {moved}; a new one refills itself"));
        }
        Ok(rooms)
    }

    /// What the command line says of configuration.
    pub fn flags(&self) -> Flags {
        Flags { config: self.global.config.clone(), store: self.global.store.clone() }
    }

    /// Refuses what would be ignored by a command that has a store and a configuration of its own.
    pub fn takes_no_settings(&self, command: &str) -> Result<(), Complaint> {
        let given = [("--store", self.global.store.is_some()), ("--config", self.global.config.is_some())];
        let Some((option, _)) = given.into_iter().find(|(_, is_given)| *is_given) else { return Ok(()) };
        let error =
            format!("`{command}` takes no `{option}`: nothing that you have is read or changed by it");
        Err(Complaint::usage(error).hint("`larder serve` serves what you have"))
    }

    /// Whether programs read the answer.
    pub fn json(&self) -> bool {
        self.global.json
    }
}

impl From<Complaint> for Vec<Complaint> {
    fn from(complaint: Complaint) -> Self {
        vec![complaint]
    }
}

/// What is searched for: words, of which one may begin with a dash. Two dashes are an option's, before which the
/// words were forgotten; the error says so.
fn words(text: &str) -> Result<String, String> {
    if text.starts_with("--") {
        return Err("this looks like an option; marks are not searched, so leave out its dashes".to_owned());
    }
    Ok(text.to_owned())
}

/// Runs a command. `misread` is what of `LARDER_LOG` could not be understood.
pub fn run(cli: Cli, env: Environment, misread: Option<String>) -> (Screen, Ended) {
    let screen = Screen::of_this_process(cli.global.color, cli.global.quiet, &env);
    if let Some(why) = misread {
        screen.warn(&format!("LARDER_LOG is not understood ({why}): write a level such as `info`"));
    }
    let context = Context { env, global: cli.global, screen: screen.clone(), began: SystemClock.now() };
    let ended = match cli.command {
        Command::Init(args) => init::run(&args, &context),
        Command::Repos(args) => repos::run(&args, &context),
        Command::Projects(args) => projects::run(&args, &context),
        Command::Artifacts(args) => artifacts::run(&args, &context),
        Command::Watch(args) => watch::run(&args, &context),
        Command::Registry(args) => registry::run(&args, &context),
        Command::Show(args) => show::run(&args, &context),
        Command::Refresh(args) => refresh::run(&args, &context),
        Command::Cache(command) => cache::run(&command, &context),
        Command::Migrate(command) => migrate::run(&command, &context),
        Command::Export(args) => export::run(&args, &context),
        Command::Import(args) => import::run(&args, &context),
        Command::Doctor(args) => doctor::run(&args, &context),
        Command::Config(command) => config::run(&command, &context),
        Command::Completions(args) => completions::run(&args, &context),
        Command::Serve(args) => server::run(&args, &context),
        Command::Demo(args) => demo::run(&args, &context),
        Command::GithubSim(args) => github_sim::run(&args, &context),
        Command::Release(command) => trackers::releases(&command, &context),
        Command::Microsprint(command) => trackers::microsprints(&command, &context),
        Command::Tracker(command) => trackers::run(&command, &context),
        Command::Manifest(command) => manifest::run(&command, &context),
    };
    (screen, ended)
}
