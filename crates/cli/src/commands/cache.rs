//! `larder cache`: look at the cache, and change what it holds.

use std::collections::{BTreeMap, BTreeSet};

use larder_core::{Budget, EVERYBODY, Head, Heads, Key, SECONDARY, StoreInfo, Target, Time};
use larder_sources::{MarketplaceSource, ProjectsSource, TrackersSource};
use serde_json::json;

use super::entry::EntryView;
use super::target::{TargetArgs, is_met};
use super::verify::verify;
use super::{Context, Ended, trackers};
use crate::config::Config;
use crate::memo;
use crate::report::{Complaint, Exit};
use crate::ui::{CanAsk, Cell, Column, Table, Tone, ago, ask, counted, harmless, in_a_while};
use crate::wiring::Rooms;

/// Look at the cache, and change what it holds.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List entries with state, age, attempts and last error, and what may still be asked of GitHub
    #[command(after_help = "Example:\n  larder cache status --source cluster")]
    Status(TargetArgs),
    /// Mark entries stale and keep them: the next read shows them and refreshes behind
    #[command(after_help = "Example:\n  larder cache invalidate tools")]
    Invalidate(TargetArgs),
    /// Remove entries
    #[command(after_help = "Example:\n  larder cache clear cluster/tools --yes")]
    Clear(ClearArgs),
    /// Give entries that failed a new start
    #[command(after_help = "Example:\n  larder cache replay --all && larder refresh --all")]
    Replay(TargetArgs),
    /// Take in what the manifest of the clone one stands in says of its trackers
    #[command(after_help = "Example:\n  git pull && larder cache sync")]
    Sync(SyncArgs),
    /// Look for damage in the database, and for copies that cannot be read
    #[command(after_help = "Example:\n  larder cache verify")]
    Verify(TargetArgs),
}

/// Take in what the manifest says.
#[derive(Debug, clap::Args)]
pub struct SyncArgs {
    /// Of this repository; may be given several times. If not: the configured ones, or that of the clone
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Vec<String>,
}

/// Remove entries.
#[derive(Debug, clap::Args)]
pub struct ClearArgs {
    #[command(flatten)]
    target: TargetArgs,
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
    let rooms = context.rooms(config).await?;
    let known = rooms.known_keys().await?;
    // To verify is to list all damage.
    if !matches!(command, Command::Verify(_)) {
        rooms.tell_damage(&context.screen);
    }
    let (engine, owner) = (rooms.reader(), trackers::owner_of(config));
    match command {
        Command::Status(args) => status(args.target(&known, owner)?, &rooms, context).await,
        Command::Verify(args) => verify(args.target(&known, owner)?, &rooms, context).await,
        Command::Invalidate(args) => {
            let target = args.named(&known, owner)?;
            let met = engine.invalidate(&target).await.map_err(Complaint::from)?;
            told("invalidated", met.count, "marked stale", context)
        }
        Command::Sync(args) => sync(args, &rooms, config, context).await,
        Command::Replay(args) => {
            let target = args.named(&known, owner)?;
            let met = engine.replay(&target).await.map_err(Complaint::from)?;
            if met == 0 && !context.json() {
                context.screen.answer("nothing to replay: none of these failed\n")?;
                return Ok(Exit::Answered);
            }
            told("replayed", met, "given a new start; `larder refresh` takes it", context)
        }
        Command::Clear(args) => {
            let target = args.target.named(&known, owner)?;
            confirm(args, &target, &known, context)?;
            let met = engine.evict(&target).await.map_err(Complaint::from)?;
            // What was cleared shall lie nowhere; what was not is printed anew.
            if let Err(error) = memo::forget(config) {
                context.screen.warn(&format!("lists that were printed could not be removed: {error}"));
            }
            told("cleared", met, "removed", context)
        }
    }
}

async fn sync(args: &SyncArgs, rooms: &Rooms<'_>, config: &Config, context: &Context) -> Ended {
    let repos = trackers::repos(&args.repo, config)?;
    let keys = trackers::keys(&repos, &config.trackers.types.iter().collect::<Vec<_>>())?;
    let desk = rooms.desk().filter(|desk| repos.iter().any(|repo| repo.key() == desk.repo().key()));
    if let Some(desk) = desk {
        trackers::check_manifest(desk, rooms.now(), config)?;
    }
    let synced = trackers::sync(rooms, &keys, config).await?.newer;
    if !synced.is_empty() || context.json() {
        return told("synced", synced.len() as u64, "taken from the manifest", context);
    }
    let said = match desk {
        Some(desk) if desk.file().exists() => {
            "the manifest says nothing newer than what is held\n".to_owned()
        }
        Some(desk) => {
            format!("there is no manifest yet: {} is not there\n", harmless(&desk.file().to_string_lossy()))
        }
        None => "there is no manifest here: this is no clone of a repository that is asked for\n".to_owned(),
    };
    context.screen.answer(&said)?;
    Ok(Exit::Answered)
}

fn told(word: &str, met: u64, said: &str, context: &Context) -> Ended {
    if context.json() {
        context.screen.json(&json!({ word: met }))?;
    } else {
        let entries = counted(usize::try_from(met).unwrap_or(usize::MAX), "entry", "entries");
        context.screen.answer(&format!("{entries} {said}\n"))?;
    }
    Ok(Exit::Answered)
}

/// Asks a person; a program must have said `--yes`.
fn confirm(args: &ClearArgs, target: &Target, known: &[Key], context: &Context) -> Result<(), Complaint> {
    let met = known.iter().filter(|key| is_met(target, key)).count();
    if args.yes || met == 0 {
        return Ok(());
    }
    let what = match target {
        Target::Keys(keys) if keys.len() == 1 => format!("`{}`", keys[0]),
        _ => format!("{met} entries"),
    };
    let can_ask = if context.json() { CanAsk::Nobody } else { CanAsk::Maybe };
    ask(&format!("remove {what} from the cache?"), &format!("{what} would be removed"), can_ask)
}

async fn status(target: Option<Target>, rooms: &Rooms<'_>, context: &Context) -> Ended {
    let mut heads = BTreeMap::new();
    let mut all = Heads::of(&**rooms.reader().store(), None).past_damage();
    while let Some(mut head) = all.next().await.map_err(Complaint::from)? {
        // What is noted there may be the word of whoever has another larder.toml.
        head.unconfigured_since =
            head.unconfigured_since.filter(|_| rooms.reader().define(&head.entry.key).is_none());
        heads.insert(head.entry.key.clone(), head);
    }
    let mut budgets = rooms.store().budgets().budgets(rooms.now()).await.map_err(Complaint::from)?;
    budgets.retain(|budget| is_known(budget, rooms.now()));
    let info = rooms.reader().store().info().await.map_err(Complaint::from)?;
    let now = rooms.now();
    let target = target.unwrap_or(Target::All);
    let mut keys = rooms.reader().keys();
    keys.extend(heads.keys().cloned());
    let mut seen = BTreeSet::new();
    keys.retain(|key| is_met(&target, key) && seen.insert(key.clone()));
    let head = |key: &Key| heads.get(key);
    let view = |key: &Key| {
        let definition = rooms.reader().define(key);
        EntryView::new(key, head(key).map(|head| &head.entry), definition.as_deref(), now)
    };
    let entries: Vec<(EntryView, Option<&Head>)> = keys.iter().map(|key| (view(key), head(key))).collect();
    if context.json() {
        let entries: Vec<_> = entries
            .iter()
            .map(|(entry, head)| {
                let mut value = serde_json::to_value(entry).unwrap_or_default();
                value["items"] = json!(head.map_or(0, |head| head.shown));
                value["unconfigured_since"] = json!(head.and_then(|head| head.unconfigured_since));
                value
            })
            .collect();
        let store = json!({"place": info.place, "schema": info.schema, "entries": info.entries,
            "items": info.items, "bytes": info.bytes});
        context.screen.json(&json!({"entries": entries, "budgets": budgets, "store": store}))?;
        return Ok(Exit::Answered);
    }
    if entries.is_empty() {
        context.screen.note(&nothing_cached(&target));
    }
    let mut text = entries_table(&entries, now).render(&context.screen);
    if !budgets.is_empty() {
        text.push('\n');
        text.push_str(&budgets_table(&budgets, now).render(&context.screen));
    }
    context.screen.answer(&text)?;
    context.screen.note(&format!("{}: {}", info.place, amount(&info)));
    Ok(Exit::Answered)
}

/// That there is nothing, and what would bring something.
fn nothing_cached(target: &Target) -> String {
    let Target::Source(source) = target else {
        return "nothing is cached, and no cluster is configured: `larder init` writes a larder.toml"
            .to_owned();
    };
    let brings = match source.as_str() {
        ProjectsSource::NAME => "`larder projects` looks for some, below `[projects] roots`",
        TrackersSource::NAME => "`larder release list --repo OWNER/NAME` fetches some",
        MarketplaceSource::NAME => "`[[marketplace]]` in larder.toml names one",
        _ => "`larder init` writes a larder.toml with one",
    };
    format!("nothing of `{source}` is cached or configured: {brings}")
}

/// How much a store holds, in words.
pub fn amount(info: &StoreInfo) -> String {
    let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let entries = counted(count(info.entries), "entry", "entries");
    let items = counted(count(info.items), "item", "items");
    format!("{entries}, {items}, {} KiB", info.bytes / 1024)
}

/// Whether anything is known of a budget: some are there only because somebody was about to ask.
fn is_known(budget: &Budget, now: Time) -> bool {
    let is_blocked = budget.blocked_until.is_some_and(|until| now < until);
    budget.limit.is_some() || budget.remaining.is_some() || is_blocked || budget.reserved > 0
}

fn entries_table(entries: &[(EntryView, Option<&Head>)], now: Time) -> Table<'static> {
    let mut table = Table::new(vec![
        Column::new("KEY").squeezed(20),
        Column::new("STATE"),
        Column::number("ITEMS").spare(),
        Column::new("FETCHED").spare(),
        Column::new("FRESH UNTIL").spare(),
        Column::number("ATTEMPTS").spare(),
        Column::cut("LAST ERROR", 16),
    ]);
    for (entry, head) in entries {
        let exact = |at: Option<Time>| at.map(|at| at.to_string()).unwrap_or_default();
        let until = entry.expires(now);
        let unconfigured = head.is_some_and(|head| head.unconfigured_since.is_some());
        let key =
            if unconfigured { format!("{} (not configured)", entry.key) } else { entry.key.to_string() };
        let error = entry.last_error.as_ref().map(|failure| failure.message.as_str());
        table.row(vec![
            Cell::new(key).exact(entry.key.as_str()).tone(Tone::Strong),
            entry.badge(),
            Cell::new(head.map_or(0, |head| head.shown).to_string()),
            Cell::new(entry.fetched_at.map_or_else(|| "never".to_owned(), |at| ago(at, now)))
                .exact(exact(entry.fetched_at)),
            Cell::new(until.unwrap_or_default()).exact(exact(entry.fresh_until)),
            Cell::new(entry.attempts.to_string()),
            Cell::new(error.unwrap_or_default()).tone(Tone::Bad),
        ]);
    }
    table
}

fn budgets_table(budgets: &[Budget], now: Time) -> Table<'static> {
    let mut table = Table::new(vec![
        Column::new("BUDGET").squeezed(12),
        Column::new("OF").squeezed(8),
        Column::number("LEFT"),
        Column::number("LIMIT").spare(),
        Column::new("RESET").spare(),
        Column::new("BLOCKED").telling(),
    ]);
    for budget in budgets {
        let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        let when = |at: Option<Time>| {
            let at = at.filter(|at| *at > now);
            Cell::new(at.map(|at| in_a_while(at, now)).unwrap_or_default())
                .exact(at.map(|at| at.to_string()).unwrap_or_default())
        };
        let resource = if &*budget.resource == SECONDARY { "(all)" } else { &budget.resource };
        table.row(vec![
            Cell::new(format!("{} {resource}", budget.host)),
            Cell::new(if &*budget.actor == EVERYBODY { "(all)" } else { &budget.actor }),
            Cell::new(number(budget.remaining)),
            Cell::new(number(budget.limit)),
            when(budget.reset_at),
            when(budget.blocked_until).tone(Tone::Bad),
        ]);
    }
    table
}
