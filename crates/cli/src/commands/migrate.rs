//! `larder migrate`: the schema of the store, and its way up and down.

use serde_json::json;

use super::cache::amount;
use super::{Context, Ended};
use crate::config::Config;
use crate::report::{Complaint, Exit};
use crate::ui::{CanAsk, Cell, Column, Table, Tone, ask};
use crate::wiring::schema::{self, Step};
use crate::wiring::{AnyStore, Stay};

/// Look at the schema of the store, bring it up, or take it back.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the steps of the schema, and which of them the store has taken
    #[command(
        after_help = "Changes nothing.\n\nExample:\n  larder migrate status --store postgres://larder@db/larder"
    )]
    Status,
    /// Bring the schema up to what this larder knows
    #[command(after_help = "Every command does so by itself. Many instances may: one of them does it.\n\n\
                      Example:\n  larder migrate up")]
    Up,
    /// Take the schema back, for an older larder: what the newer steps hold is lost
    #[command(
        after_help = "Stop every larder that uses the store first: the next command of this one brings the \
                      schema up again. `larder export` beforehand keeps what is worth keeping.\n\n\
                      Example:\n  larder migrate down --to 1 --yes"
    )]
    Down(DownArgs),
}

/// Take the schema back, for an older larder.
#[derive(Debug, clap::Args)]
pub struct DownArgs {
    /// To this schema, 0 = no tables; one step if not said
    #[arg(long, value_name = "N")]
    to: Option<u32>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs the command.
pub fn run(command: &Command, context: &Context) -> Ended {
    let config = context.config()?;
    crate::wiring::block_on(act(command, context, &config))?
}

async fn act(command: &Command, context: &Context, config: &Config) -> Ended {
    let steps = match command {
        Command::Status => schema::status(config).await?,
        Command::Up => schema::up(config).await?,
        Command::Down(args) => down(args, context, config).await?,
    };
    tell(&steps, config, context)?;
    if matches!(command, Command::Status) && steps.iter().any(|step| !step.is_applied) {
        context
            .screen
            .note("`larder migrate up` takes the steps that are left, and so does any other command");
    }
    Ok(Exit::Answered)
}

/// The schema that the steps have brought a store to.
fn version(steps: &[Step]) -> u32 {
    steps.iter().filter(|step| step.is_applied).map(|step| step.version).max().unwrap_or(0)
}

async fn down(args: &DownArgs, context: &Context, config: &Config) -> Result<Vec<Step>, Complaint> {
    schema::has_way_down(config)?;
    let steps = schema::status(config).await?;
    let now = version(&steps);
    let to = args.to.unwrap_or(now.saturating_sub(1));
    if to >= now {
        let complaint = Complaint::usage(format!("the schema is at {now}: {to} is not below it"));
        return Err(complaint.hint("`larder migrate status` lists the steps"));
    }
    if !args.yes {
        let lost = lost(&steps, to, config).await?;
        let can_ask = if context.json() { CanAsk::Nobody } else { CanAsk::Maybe };
        let question =
            format!("take the schema of {} back from {now} to {to}? {lost} lost.", config.store.url.value);
        ask(&question, &format!("{lost} lost"), can_ask)?;
    }
    schema::down(config, to).await
}

/// What goes with the steps above `to`, in words that end before "lost".
async fn lost(steps: &[Step], to: u32, config: &Config) -> Result<String, Complaint> {
    if to > 0 {
        let gone: Vec<String> = steps
            .iter()
            .filter(|step| step.is_applied && step.version > to)
            .map(|step| format!("`{}`", step.name))
            .collect();
        return Ok(format!("what {} added would be", gone.join(", ")));
    }
    // Counting opens the store, which would bring an older one up.
    if steps.iter().any(|step| !step.is_applied) {
        return Ok("all that it holds would be".to_owned());
    }
    let store = AnyStore::open(config, Stay::Short).await?;
    let info = store.entries().info().await?;
    Ok(format!("all that it holds ({}), the log and the budgets would be", amount(&info)))
}

fn tell(steps: &[Step], config: &Config, context: &Context) -> Result<(), Complaint> {
    if context.json() {
        let all: Vec<_> = steps
            .iter()
            .map(|step| {
                json!({"version": step.version, "name": step.name, "applied": step.is_applied,
                    "applied_at": step.applied_at})
            })
            .collect();
        let store = config.store.url.value.to_string();
        return context.screen.json(&json!({"store": store, "schema": version(steps), "migrations": all}));
    }
    let mut table = Table::new(vec![Column::number("SCHEMA"), Column::new("STEP"), Column::new("APPLIED")]);
    for step in steps {
        let applied = match (step.applied_at, step.is_applied) {
            (Some(at), _) => Cell::new(at.to_string()),
            (None, true) => Cell::new("yes"),
            (None, false) => Cell::new("not yet").tone(Tone::Warn),
        };
        table.row(vec![Cell::new(step.version.to_string()), Cell::new(&step.name), applied]);
    }
    context.screen.answer(&table.render(&context.screen))?;
    context.screen.note(&format!("{} is at schema {}", config.store.url.value, version(steps)));
    Ok(())
}
