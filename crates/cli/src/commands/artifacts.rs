//! `larder artifacts`: the skills, commands, agents, hooks and MCP servers of local projects, and what
//! marketplaces offer.

use larder_core::{Filter, Key, ListQuery, Order, Test, Time};
use larder_domain::{ARTIFACTS, Artifact, ArtifactType};
use larder_server::ArtifactView;
use serde::Serialize;

use super::entry::EntryView;
use super::local::{From, Local, Wanted};
use super::{Context, Ended};
use crate::config::Config;
use crate::ui::{Cell, Column, Screen, Table, Tone, ago};

/// List the skills, commands, agents, hooks and MCP servers of local projects, and what marketplaces offer.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A search finds what projects have and what marketplaces offer; a list without one shows what \
                  projects have. Of several options that choose, all are met: `--missing --modified` lists what is \
                  both.\n\nExample:\n  larder artifacts --type skill --outdated\n  larder artifacts --search \"pdf form\" --limit 10\n  \
                  larder artifacts --available --type skill\n  \
                  larder artifacts --json | jq -r '.artifacts[] | select(.missing).path'\n\n\
                  In a pipe, columns are separated by tabs and times are exact."
)]
pub struct Args {
    /// Of this type alone
    #[arg(long = "type", value_name = "T", value_enum)]
    kind: Option<Kind>,
    /// Of this project alone, by id or name; may be given several times
    #[arg(long, value_name = "P")]
    project: Vec<String>,
    /// That their collections have another version of than was deployed
    #[arg(long)]
    outdated: bool,
    /// That are not what was deployed any more
    #[arg(long)]
    modified: bool,
    /// That were deployed and are not there
    #[arg(long)]
    missing: bool,
    /// With all these words in name, description or tags, each as the beginning of a word; best first
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true, value_parser = super::words)]
    search: Option<String>,
    /// What local projects have, and nothing else
    #[arg(long, conflicts_with = "available")]
    installed: bool,
    /// What marketplaces offer, and nothing else
    #[arg(long, conflicts_with_all = ["project", "outdated", "modified", "missing"])]
    available: bool,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Look at all folders, and ask all marketplaces that are meant, anew first
    #[arg(long, conflicts_with = "offline")]
    refresh: bool,
    /// Show what is known: look at no folder, ask no marketplace
    #[arg(long)]
    offline: bool,
}

/// What an artifact is.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    Skill,
    Command,
    Agent,
    Hook,
    #[value(alias = "mcp_server")]
    Mcp,
    Plugin,
}

impl std::convert::From<Kind> for ArtifactType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Skill => ArtifactType::Skill,
            Kind::Command => ArtifactType::Command,
            Kind::Agent => ArtifactType::Agent,
            Kind::Hook => ArtifactType::Hook,
            Kind::Mcp => ArtifactType::Mcp,
            Kind::Plugin => ArtifactType::Plugin,
        }
    }
}

/// No list is longer.
const LIST_MAX: usize = 1_000_000;

/// The whole answer of `--json`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    artifacts: Vec<ArtifactView<'a>>,
    cache: &'a [EntryView],
}

/// Lists.
pub fn run(args: &Args, context: &Context) -> Ended {
    let config = super::local::config(context)?;
    crate::wiring::block_on(list(args, context, &config))?
}

async fn list(args: &Args, context: &Context, config: &Config) -> Ended {
    let rooms = context.rooms(config).await?;
    let wanted =
        Wanted { refresh: args.refresh, offline: args.offline, only: &args.project, from: args.from() };
    let local = Local::serve(&rooms, &wanted, context, config).await?;
    let query = query(args, &local.keys);
    let listed = rooms.list(&query).await?;
    let artifacts: Vec<Artifact> = super::local::readable(&listed, &context.screen);
    if context.json() {
        let artifacts = artifacts.iter().map(ArtifactView::whole).collect();
        context.screen.json(&Answer { artifacts, cache: &local.entries })?;
    } else if local.has_data() {
        context.screen.answer(&table(&artifacts, &context.screen, rooms.now()))?;
        if listed.is_empty() && local.is_well() {
            context.screen.note(&nothing(args));
        }
    }
    Ok(local.end(&rooms, context, config))
}

impl Args {
    /// A search finds what is to be had as well, unless it is about what only projects know.
    fn from(&self) -> From {
        let is_about_projects =
            self.installed || self.outdated || self.modified || self.missing || !self.project.is_empty();
        match (self.available, is_about_projects) {
            (true, _) => From::Marketplaces,
            // No project has a plugin.
            (false, false) if self.search.is_some() || matches!(self.kind, Some(Kind::Plugin)) => From::Both,
            (false, _) => From::Projects,
        }
    }
}

fn nothing(args: &Args) -> String {
    let is_filtered =
        args.kind.is_some() || args.search.is_some() || args.outdated || args.modified || args.missing;
    let nothing = match args.from() {
        _ if is_filtered => "no artifact matches",
        From::Marketplaces => "these marketplaces offer nothing",
        From::Projects | From::Both => "these projects have no artifacts",
    };
    nothing.to_owned()
}

fn query(args: &Args, keys: &[Key]) -> ListQuery {
    let flag = |column, wanted: bool| wanted.then_some(Filter { column, test: Test::Flag(true) });
    let mut filters: Vec<Filter> =
        [flag("outdated", args.outdated), flag("modified", args.modified), flag("missing", args.missing)]
            .into_iter()
            .flatten()
            .collect();
    filters.extend(
        args.kind.map(|kind| Filter {
            column: "type",
            test: Test::Is(ArtifactType::from(kind).word().to_owned()),
        }),
    );
    let search = args.search.clone().filter(|words| !words.trim().is_empty());
    ListQuery {
        view: &ARTIFACTS,
        entries: keys.to_vec(),
        order: Some(if search.is_some() { Order::Rank } else { Order::Ascending("name") }),
        search,
        filters,
        offset: 0,
        limit: args.limit.map_or(LIST_MAX, |limit| limit as usize),
    }
}

/// What is wrong with an artifact, in words, or that it is to be had; nothing if neither.
pub fn marks(artifact: &Artifact) -> String {
    if artifact.is_offered() {
        return "available".to_owned();
    }
    let marks =
        [(artifact.missing, "missing"), (artifact.modified, "modified"), (artifact.outdated, "outdated")];
    marks.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect::<Vec<_>>().join(", ")
}

/// Artifacts in lines.
pub fn table(artifacts: &[Artifact], screen: &Screen, now: Time) -> String {
    let mut table = Table::new(vec![
        Column::new("NAME").squeezed(8),
        Column::new("TYPE"),
        Column::cut("PROJECT", 10),
        Column::new("STATE"),
        Column::new("VERSION").spare(),
        Column::new("UPDATED").spare(),
        Column::cut("DESCRIPTION", 16),
    ]);
    for artifact in artifacts {
        let tone = match artifact {
            one if one.missing => Tone::Bad,
            one if one.is_offered() => Tone::Quiet,
            _ => Tone::Warn,
        };
        let place = artifact.marketplace.as_ref().unwrap_or(&artifact.project_name);
        let updated = artifact.updated_at;
        let version =
            artifact.deployed_version.as_deref().or(artifact.version.as_deref()).unwrap_or_default();
        let version = match artifact.upstream_version.as_deref().filter(|_| artifact.outdated) {
            Some(newer) => format!("{version} → {newer}"),
            None => version.to_owned(),
        };
        table.row(vec![
            Cell::new(&*artifact.name).tone(Tone::Strong),
            Cell::new(artifact.kind.word()),
            Cell::new(&**place).tone(Tone::Quiet),
            Cell::new(marks(artifact)).tone(tone),
            Cell::new(version),
            Cell::new(updated.map(|at| ago(at, now)).unwrap_or_default())
                .exact(updated.map(|at| at.to_string()).unwrap_or_default())
                .tone(Tone::Quiet),
            Cell::new(artifact.description.as_deref().unwrap_or_default()),
        ]);
    }
    if table.is_empty() && screen.is_terminal { String::new() } else { table.render(screen) }
}
