//! `larder registry`: clusters and single repositories as projects.

use larder_core::{Key, MemberState, Time};
use larder_domain::{HeldRepository, Holding, Project, Registry, Repository, registry};
use larder_sources::ClustersSource;
use serde::Serialize;

use super::entry::EntryView;
use super::repos::{check_configured, left_out, short_count};
use super::serve::{Wish, serve};
use super::warnings::Detail;
use super::{Context, Ended};
use crate::config::Config;
use crate::report::Complaint;
use crate::ui::{Cell, Column, Screen, Table, Tone, ago};
use crate::wiring::Rooms;

/// List clusters and single repositories as projects, each cluster merged into one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  larder registry --updated-since 2026-01-01\n  larder registry --limit 10\n\n\
                        A cluster without repositories has nothing to show and is left out."
)]
pub struct Args {
    /// Leave single repositories out that were last updated before; clusters stay
    #[arg(long, value_name = "DATE", value_parser = parse_time)]
    updated_since: Option<Time>,
    /// List single repositories that are forks too
    #[arg(long)]
    forks: bool,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Fetch anew first, and wait for it
    #[arg(long, conflicts_with = "offline")]
    refresh: bool,
    /// Never use the network
    #[arg(long)]
    offline: bool,
}

/// The whole answer of `--json`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    registry: &'a Registry,
    cache: &'a [EntryView],
}

fn parse_time(text: &str) -> Result<Time, String> {
    Time::parse(text).map_err(|error| error.to_string())
}

/// Lists.
pub fn run(args: &Args, context: &Context) -> Ended {
    let config = context.config()?;
    crate::wiring::block_on(list(args, context, &config))?
}

async fn list(args: &Args, context: &Context, config: &Config) -> Ended {
    check_configured(config)?;
    let rooms = context.rooms(config).await?;
    let keys = rooms.reader().keys_of(ClustersSource::NAME);
    let wish = match (args.refresh, args.offline) {
        (true, _) => Wish::Refresh,
        (_, true) => Wish::Offline,
        (false, false) => Wish::Normal,
    };
    let served = serve(&rooms, &keys, wish, &context.screen).await?;
    let held = holdings(&rooms, &keys, &context.screen).await?;
    let mut rules = config.registry_rules();
    rules.updated_since = args.updated_since.or(rules.updated_since);
    rules.forks |= args.forks;
    let now = rooms.now();
    let mut list = registry(&config.listed, &held, &rules, now);
    list.projects.truncate(args.limit.map_or(usize::MAX, |limit| limit as usize));
    if context.json() {
        context.screen.json(&Answer { registry: &list, cache: &served.entries })?;
    } else if served.has_data() {
        context.screen.answer(&table(&list.projects, &context.screen, now))?;
        if !list.empty.is_empty() {
            context.screen.note(&format!("without repositories: {}", list.empty.join(", ")));
        }
    }
    Ok(served.end(Detail::Few, &rooms, context, config))
}

/// What the store holds of the clusters, shown members alone, in the order of configuration.
async fn holdings(rooms: &Rooms<'_>, keys: &[Key], screen: &Screen) -> Result<Vec<Holding>, Complaint> {
    let stored = rooms.held(keys).await?;
    let mut held = Vec::with_capacity(keys.len());
    for (key, stored) in keys.iter().zip(stored) {
        let Some(stored) = stored.filter(|stored| stored.entry.has_data()) else { continue };
        let definition = rooms.reader().define(key);
        let mut repositories = Vec::with_capacity(stored.members.len());
        for member in &stored.members {
            let is_named = definition.as_ref().is_none_or(|definition| definition.names(&member.asked));
            if member.state == MemberState::Hidden || !is_named {
                continue;
            }
            match member.item.doc.decode::<Repository>() {
                Ok(repository) => {
                    repositories.push(HeldRepository { asked: member.asked.clone(), repository });
                }
                Err(error) => left_out(screen, &member.item, Some(key), &error),
            }
        }
        held.push(Holding { cluster: key.name().to_owned(), repositories });
    }
    Ok(held)
}

fn table(projects: &[Project], screen: &Screen, now: Time) -> String {
    let mut table = Table::new(vec![
        Column::new("PROJECT"),
        Column::number("REPOS"),
        Column::number("STARS"),
        Column::cut("LANGUAGES", 8),
        Column::new("UPDATED"),
        Column::cut("SIGNS", 8),
        Column::cut("DESCRIPTION", 16),
    ]);
    for project in projects {
        let exact = project.updated_at.map(|at| at.to_string()).unwrap_or_default();
        let updated = project.updated_at.map(|at| ago(at, now)).unwrap_or_default();
        table.row(vec![
            Cell::new(&*project.name).tone(Tone::Strong),
            Cell::new(project.members.len().to_string()),
            Cell::new(short_count(project.stars)).exact(project.stars.to_string()),
            Cell::new(project.languages.join(",")),
            Cell::new(updated).exact(exact).tone(Tone::Quiet),
            Cell::new(signs(project)).tone(Tone::Good),
            Cell::new(project.description.as_deref().unwrap_or_default()),
        ]);
    }
    if table.is_empty() && screen.is_terminal { String::new() } else { table.render(screen) }
}

fn signs(project: &Project) -> String {
    let all = [
        (project.featured, "featured"),
        (project.flagship, "flagship"),
        (project.experimental, "experimental"),
        (project.new, "new"),
        (project.trending, "trending"),
        (project.is_archived, "archived"),
        (project.is_private, "private"),
    ];
    let shown: Vec<&str> = all.into_iter().filter(|(has, _)| *has).map(|(_, word)| word).collect();
    shown.join(",")
}
