//! `larder release list`, `larder microsprint list`, `larder tracker …`: trackers, from the cache.

mod lines;
mod sync;

use larder_core::{Clock as _, Filter, Key, ListQuery, Order, Sheet, Test, Time};
use larder_domain::{RepoName, TRACKERS, Tracker, TrackerStats, TrackerType};
use larder_engine::SystemClock;
use larder_sources::{MANIFEST, TrackersSource};
use serde::Serialize;

use super::entry::EntryView;
use super::local::readable;
use super::serve::{Served, Wish, serve};
use super::warnings::Detail;
use super::{Context, Ended};
use crate::config::{Config, nearest};
use crate::memo::Memo;
use crate::report::{Complaint, Exit};
use crate::ui::{Cell, Column, Screen, Table, Tone};
use crate::wiring::Rooms;

pub use sync::{Synced, check_manifest, sync};

/// `larder release`.
#[derive(Debug, clap::Subcommand)]
pub enum ReleaseCommand {
    /// List releases, the newest version first
    #[command(after_help = "Example:\n  larder release list --state open\n  \
                            larder release list --repo octo-org/kiln --json | jq -r '.trackers[].version'")]
    List(ListArgs),
}

/// `larder microsprint`.
#[derive(Debug, clap::Subcommand)]
pub enum MicrosprintCommand {
    /// List microsprints, the last name first
    #[command(after_help = "Example:\n  larder microsprint list --limit 5")]
    List(ListArgs),
}

/// `larder tracker`.
#[derive(Debug, clap::Subcommand)]
pub enum TrackerCommand {
    /// List trackers of any configured type
    #[command(after_help = "Example:\n  larder tracker list --type release --since 2026-01-01")]
    List {
        /// The type, such as `release`
        #[arg(long = "type", value_name = "T")]
        of: String,
        #[command(flatten)]
        args: ListArgs,
    },
    /// Count trackers by state, and by the month in which they were opened and closed
    #[command(after_help = "Example:\n  larder tracker stats --type release")]
    Stats {
        /// Of this type alone
        #[arg(long = "type", value_name = "T")]
        of: Option<String>,
        #[command(flatten)]
        args: SourceArgs,
    },
}

/// Whose trackers, and how fresh.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SourceArgs {
    /// Of this repository; may be given several times. If not: the configured ones, or that of the
    /// clone one stands in
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Vec<String>,
    /// Ask GitHub first, and wait for it
    #[arg(long, conflicts_with = "offline")]
    refresh: bool,
    /// Never use the network
    #[arg(long)]
    offline: bool,
}

/// Which trackers.
#[derive(Debug, Default, clap::Args)]
pub struct ListArgs {
    /// Of this state
    #[arg(long, value_enum, default_value = "all")]
    state: StateArg,
    /// Opened on or after this day
    #[arg(long, value_name = "DATE", value_parser = |text: &str| Time::parse(text))]
    since: Option<Time>,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Which states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum StateArg {
    /// Active ones.
    Open,
    /// Released ones, or over.
    Closed,
    /// Both.
    #[default]
    All,
}

impl ListArgs {
    /// The most trackers that are wanted.
    fn most(&self) -> usize {
        self.limit.map_or(LIST_MAX, |limit| limit as usize)
    }
}

/// No list is longer.
const LIST_MAX: usize = 1_000_000;

/// The whole answer of `--json`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    trackers: &'a [Tracker],
    cache: &'a [EntryView],
}

/// `larder release …`.
pub fn releases(command: &ReleaseCommand, context: &Context) -> Ended {
    let ReleaseCommand::List(args) = command;
    list_of("release", args, context)
}

/// `larder microsprint …`.
pub fn microsprints(command: &MicrosprintCommand, context: &Context) -> Ended {
    let MicrosprintCommand::List(args) = command;
    list_of("microsprint", args, context)
}

/// `larder tracker …`.
pub fn run(command: &TrackerCommand, context: &Context) -> Ended {
    match command {
        TrackerCommand::List { of, args } => list_of(of, args, context),
        TrackerCommand::Stats { of, args } => {
            let config = context.config()?;
            crate::wiring::block_on(stats(of.as_deref(), args, context, &config))?
        }
    }
}

fn list_of(of: &str, args: &ListArgs, context: &Context) -> Ended {
    let config = context.config()?;
    let of = type_of(of, &config)?;
    let keys = keys(&repos(&args.source.repo, &config)?, &[of])?;
    let memo = memo(of, args, &keys, context, &config);
    if let Some(kept) = memo.as_ref().and_then(|memo| memo.kept(SystemClock.now()))
        && lines::pass_on(of, args, &kept, &context.screen)?
    {
        tracing::debug!("nothing changed since this list was last printed");
        return Ok(Exit::Answered);
    }
    crate::wiring::block_on(list(of, args, &keys, memo, context, &config))?
}

/// Where the lines of one repository's trackers are kept while nothing changes, for whoever asks for
/// no more than that.
fn memo(of: &TrackerType, args: &ListArgs, keys: &[Key], context: &Context, config: &Config) -> Option<Memo> {
    let trackers = &config.trackers;
    let [only] = keys else { return None };
    let asks_github = args.source.refresh || !(trackers.enabled.value || args.source.offline);
    if asks_github || context.json() || args.since.is_some() {
        return None;
    }
    let manifest = trackers.clone.as_ref().map(|(_, root)| root.join(MANIFEST));
    // How an entry is defined (with a token it is another: more may be seen), and what of the clone is
    // looked at.
    let (github, has_token) = (&config.github.api_url.value, config.github.token.is_some());
    let said = format!("{trackers:?} {:?} {github} {has_token}", config.engine);
    let terms = [only.as_str(), &lines::form(of), &said];
    Memo::of(config, manifest.as_deref(), &terms, SystemClock.now())
}

async fn list(
    of: &TrackerType,
    args: &ListArgs,
    keys: &[Key],
    memo: Option<Memo>,
    context: &Context,
    config: &Config,
) -> Ended {
    let rooms = context.rooms(config).await?;
    let (served, is_seen) = bring(&rooms, keys, &args.source, context, config).await?;
    if let (false, true, [only]) = (context.json(), served.has_data(), served.entries.as_slice()) {
        let memo = memo.filter(|memo| memo.may_keep() && is_seen && !rooms.met_damage());
        let text = lines::print_kept(of, args, only, &rooms, &context.screen, memo.is_some()).await?;
        if let (Some(memo), Some(text)) = (memo, text) {
            remember(&memo, &text, &served, only);
        }
        return Ok(ended(&served, &rooms, context, config));
    }
    let trackers = listed(&rooms, query(keys, args), &context.screen).await?.trackers;
    if context.json() {
        context.screen.json(&Answer { trackers: &trackers, cache: &served.entries })?;
    } else if served.has_data() {
        lines::print(of, &trackers, lines::Repo::Shown, &context.screen)?;
    }
    Ok(ended(&served, &rooms, context, config))
}

/// Keeps the lines for the next who asks, if there is nothing else to be said of their entry until its
/// time is over.
fn remember(memo: &Memo, text: &str, served: &Served, entry: &EntryView) {
    let is_plain = served.is_plain() && entry.is_plain();
    let (Some(from), Some(until), true) = (entry.fetched_at, entry.fresh_until, is_plain) else { return };
    // Without a line it is told in words.
    if text.lines().nth(1).is_none() || text.len() > Sheet::BYTES_MAX {
        return;
    }
    if let Err(error) = memo.keep(text, from, until) {
        tracing::debug!(%error, "a list could not be kept for the next reader");
    }
}

async fn stats(of: Option<&str>, args: &SourceArgs, context: &Context, config: &Config) -> Ended {
    let types: Vec<&TrackerType> = match of {
        Some(of) => vec![type_of(of, config)?],
        None => config.trackers.types.iter().collect(),
    };
    let repos = repos(&args.repo, config)?;
    let rooms = context.rooms(config).await?;
    let keys = keys(&repos, &types)?;
    let (served, _) = bring(&rooms, &keys, args, context, config).await?;
    let all = query(&keys, &ListArgs::default());
    let trackers = listed(&rooms, all, &context.screen).await?.trackers;
    let counted: Vec<TrackerStats> =
        types.iter().map(|of| TrackerStats::count(&of.name, &trackers)).collect();
    if context.json() {
        context.screen.json(&serde_json::json!({"stats": counted, "cache": served.entries}))?;
    } else if served.has_data() {
        context.screen.answer(&stats_table(&counted).render(&context.screen))?;
    }
    Ok(ended(&served, &rooms, context, config))
}

fn ended(served: &Served, rooms: &Rooms<'_>, context: &Context, config: &Config) -> Exit {
    served.end(Detail::Few, rooms, context, config)
}

/// Brings the entries up to what is wanted of them: by the manifest, if it says something new, then
/// as all reading commands do. Answers besides whether the manifest is as it was when they came in.
async fn bring(
    rooms: &Rooms<'_>,
    keys: &[Key],
    args: &SourceArgs,
    context: &Context,
    config: &Config,
) -> Result<(Served, bool), Complaint> {
    let synced = if config.trackers.auto_sync.value && !args.refresh {
        sync(rooms, keys, config).await?
    } else {
        Synced::default()
    };
    let wish = match (args.refresh || !config.trackers.enabled.value, args.offline) {
        (_, true) => Wish::Offline,
        (true, false) => Wish::Refresh,
        (false, false) => Wish::Normal,
    };
    let served = serve(rooms, keys, wish, &context.screen).await?;
    // An entry that came in meanwhile says the same of the manifest.
    if let Some(warning) = synced.unusable.filter(|warning| !served.warns_of(warning)) {
        context.screen.warn(&warning.message);
    }
    Ok((served, synced.is_seen))
}

/// The configured type of that name.
fn type_of<'c>(of: &str, config: &'c Config) -> Result<&'c TrackerType, Complaint> {
    let types = &config.trackers.types;
    types.iter().find(|known| known.name == of).ok_or_else(|| {
        let names = || types.iter().map(|known| known.name.as_str());
        let complaint = Complaint::usage(format!("there is no tracker type `{of}`"));
        complaint.hint(nearest(of, names()).map_or_else(
            || format!("the types are {}; a `[[tracker]]` adds one", names().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}`?"),
        ))
    })
}

/// The repositories that are meant.
pub fn repos(named: &[String], config: &Config) -> Result<Vec<RepoName>, Complaint> {
    let mut repos = named_repos(named, owner_of(config))?;
    if repos.is_empty() {
        repos.clone_from(&config.trackers.repos.value);
    }
    if repos.is_empty() {
        let host = config.github.clone_host();
        return Err(Complaint::usage("no repository is named")
            .hint(format!("say `--repo OWNER/NAME`, or run it in a clone whose `origin` is on {host}"))
            .hint("or list them in larder.toml: `[trackers] repos = [\"OWNER/NAME\"]`"));
    }
    Ok(repos)
}

/// Whose repositories bare names mean.
pub fn owner_of(config: &Config) -> Option<&str> {
    config.github.owner.as_ref().map(|owner| owner.value.as_str())
}

/// The named repositories, each once; a bare name is the owner's.
pub fn named_repos(named: &[String], owner: Option<&str>) -> Result<Vec<RepoName>, Complaint> {
    let mut repos: Vec<RepoName> = Vec::new();
    for text in named {
        let repo = RepoName::parse(text, owner).map_err(|error| Complaint::usage(error.to_string()))?;
        if !repos.iter().any(|known| known.key() == repo.key()) {
            repos.push(repo);
        }
    }
    Ok(repos)
}

/// The entries of these repositories' trackers.
pub fn keys(repos: &[RepoName], types: &[&TrackerType]) -> Result<Vec<Key>, Complaint> {
    let pairs = repos.iter().flat_map(|repo| types.iter().map(move |of| (repo, of)));
    let key = |(repo, of): (&RepoName, &&TrackerType)| {
        TrackersSource::key(repo, &of.name).map_err(|error| Complaint::usage(error.to_string()))
    };
    pairs.map(key).collect()
}

fn query(keys: &[Key], args: &ListArgs) -> ListQuery {
    let mut filters = Vec::new();
    match args.state {
        StateArg::All => {}
        StateArg::Open => filters.push(Filter { column: "state", test: Test::Is("open".to_owned()) }),
        StateArg::Closed => filters.push(Filter { column: "state", test: Test::Is("closed".to_owned()) }),
    }
    if let Some(since) = args.since {
        filters.push(Filter { column: "created_at", test: Test::AtLeast(since.to_string()) });
    }
    ListQuery {
        view: &TRACKERS,
        entries: keys.to_vec(),
        search: None,
        filters,
        order: Some(Order::Descending("sort_key")),
        offset: 0,
        limit: args.most(),
    }
}

/// Trackers of a list.
pub struct Readable {
    /// Those that can be read, in its order: the newest version first, those of one by number.
    pub trackers: Vec<Tracker>,
    /// Whether that is all of them.
    pub is_all: bool,
}

/// The trackers of a list. One that cannot be read is told of and left out.
pub async fn listed(rooms: &Rooms<'_>, query: ListQuery, screen: &Screen) -> Result<Readable, Complaint> {
    let listed = rooms.list(&query).await?;
    let trackers: Vec<Tracker> = readable(&listed, screen);
    Ok(Readable { is_all: trackers.len() == listed.len(), trackers })
}

fn stats_table(counted: &[TrackerStats]) -> Table<'static> {
    let mut table = Table::new(vec![
        Column::new("TYPE"),
        Column::new("MONTH"),
        Column::number("OPENED"),
        Column::number("CLOSED"),
        Column::number("OPEN"),
    ]);
    let number = |count: u64| Cell::new(count.to_string());
    for stats in counted {
        let (open, closed) = (number(stats.open), number(stats.closed));
        let all = number(stats.open + stats.closed);
        table.row(vec![
            Cell::new(stats.kind.as_str()).tone(Tone::Strong),
            Cell::new("all"),
            all,
            closed,
            open,
        ]);
        for (name, month) in stats.months.iter().rev() {
            table.row(vec![
                Cell::new(stats.kind.as_str()).tone(Tone::Quiet),
                Cell::new(name.as_str()),
                number(month.opened),
                number(month.closed),
                Cell::new(""),
            ]);
        }
    }
    table
}
