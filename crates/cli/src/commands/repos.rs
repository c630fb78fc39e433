//! `larder repos`: the repositories of all clusters, each once.

use std::collections::HashMap;
use std::sync::Arc;

use larder_core::{Filter, Item, Key, ListQuery, Listed, Order, Test, Time};
use larder_domain::{ClustersConfig, REPOSITORIES, Repository};
use larder_server::{RepositoryView, asked_names};
use larder_sources::ClustersSource;
use serde::Serialize;

use super::entry::EntryView;
use super::serve::{Wish, serve};
use super::target::find_key;
use super::warnings::Detail;
use super::{Context, Ended};
use crate::config::Config;
use crate::report::Complaint;
use crate::ui::{Cell, Column, Screen, Table, Tone, ago};
use crate::wiring::Rooms;

/// List the repositories of all clusters, each once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  larder repos --language rust --sort stars --limit 10\n  \
                  larder repos --json | jq -r '.repositories[].full_name'\n\n\
                  In a pipe, columns are separated by tabs and times are exact.")]
pub struct Args {
    /// Of this cluster alone; may be given several times
    #[arg(long, value_name = "ID")]
    cluster: Vec<String>,
    /// Written mostly in this language
    #[arg(long, value_name = "L")]
    language: Option<String>,
    /// With this topic
    #[arg(long, value_name = "T")]
    topic: Option<String>,
    /// With all these words in name, description or topics, each as the beginning of a word
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true, value_parser = super::words)]
    search: Option<String>,
    /// In this order
    #[arg(long, value_enum, default_value = "updated")]
    sort: Sort,
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

/// The order of the list.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Sort {
    /// Most stars first.
    Stars,
    /// Updated last first.
    Updated,
    /// By name.
    Name,
}

/// No list is longer; a config of so many repositories is refused.
const LIST_MAX: usize = 1_000_000;

/// The whole answer of `--json`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    repositories: Vec<RepositoryView<'a>>,
    cache: &'a [EntryView],
}

/// A listed repository with what configuration says of it.
struct Row {
    repository: Repository,
    /// Those of the entries asked for that show it.
    entries: Vec<Key>,
    /// A former name that a cluster asks for, where that was looked up.
    asked: Option<Arc<str>>,
    name: String,
    clusters: Vec<String>,
    fetched_at: Time,
}

/// Lists.
pub fn run(args: &Args, context: &Context) -> Ended {
    let config = context.config()?;
    crate::wiring::block_on(list(args, context, &config))?
}

async fn list(args: &Args, context: &Context, config: &Config) -> Ended {
    check_configured(config)?;
    let rooms = context.rooms(config).await?;
    let keys = asked_keys(args, &rooms)?;
    let wish = match (args.refresh, args.offline) {
        (true, _) => Wish::Refresh,
        (_, true) => Wish::Offline,
        (false, false) => Wish::Normal,
    };
    let served = serve(&rooms, &keys, wish, &context.screen).await?;
    let listed = rooms.list(&query(args, &keys)).await?;
    let mut rows = rows(listed, &keys, config, &context.screen);
    if context.json() {
        let shown: Vec<(&Repository, &[Key])> =
            rows.iter().map(|row| (&row.repository, &*row.entries)).collect();
        let asked = asked_names(&**rooms.reader().store(), &config.listed, &shown).await;
        for (row, asked) in rows.iter_mut().zip(asked.map_err(Complaint::from)?) {
            row.name = config.listed.name_of(&row.repository, asked.as_deref());
            row.asked = asked;
        }
        let repositories = rows.iter().map(view).collect();
        context.screen.json(&Answer { repositories, cache: &served.entries })?;
    } else if served.has_data() {
        context.screen.answer(&table(&rows, &context.screen, rooms.now()))?;
        if rows.is_empty() && served.complaints.is_empty() {
            context.screen.note("no repository matches");
        }
    }
    Ok(served.end(Detail::Few, &rooms, context, config))
}

fn asked_keys(args: &Args, rooms: &Rooms<'_>) -> Result<Vec<Key>, Complaint> {
    let known = rooms.reader().keys_of(ClustersSource::NAME);
    if args.cluster.is_empty() {
        return Ok(known);
    }
    let mut keys = Vec::new();
    for id in &args.cluster {
        let key = find_key(id, &known).map_err(|complaint| Complaint {
            error: format!("there is no cluster `{id}`"),
            hints: complaint.hints.into_iter().map(|hint| hint.replace("`cluster/", "`")).collect(),
            ..complaint
        })?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Says what to do where there is nothing to cache, before a database is made for it.
pub fn check_configured(config: &Config) -> Result<(), Complaint> {
    if !config.is_empty() {
        return Ok(());
    }
    let complaint = match &config.file {
        None => Complaint::usage("there is no larder.toml")
            .hint("`larder init` writes one to start from; or write it yourself, such as"),
        Some(file) => {
            Complaint::usage(format!("{} lists no cluster", file.shown)).hint("add some to it, such as")
        }
    };
    Err(Complaint { paste: &["[[cluster]]", "id = \"tools\"", "repos = [\"owner/name\"]"], ..complaint })
}

fn query(args: &Args, keys: &[Key]) -> ListQuery {
    let mut filters = Vec::new();
    if let Some(language) = &args.language {
        filters.push(Filter { column: "language", test: Test::Is(language.clone()) });
    }
    if let Some(topic) = &args.topic {
        filters.push(Filter { column: "topics", test: Test::Has(topic.clone()) });
    }
    ListQuery {
        view: &REPOSITORIES,
        entries: keys.to_vec(),
        search: args.search.clone().filter(|words| !words.trim().is_empty()),
        filters,
        order: Some(match args.sort {
            Sort::Stars => Order::Descending("stars"),
            Sort::Updated => Order::Descending("updated_at"),
            Sort::Name => Order::Ascending("name"),
        }),
        offset: 0,
        limit: args.limit.map_or(LIST_MAX, |limit| limit as usize),
    }
}

/// The rows, with all clusters that list each: also those that were not asked for.
fn rows(listed: Vec<Listed>, keys: &[Key], config: &Config, screen: &Screen) -> Vec<Row> {
    let mut rows = Vec::with_capacity(listed.len());
    for listed in listed {
        let repository: Repository = match listed.item.doc.decode() {
            Ok(repository) => repository,
            Err(error) => {
                left_out(screen, &listed.item, listed.entries.first(), &error);
                continue;
            }
        };
        let clusters = listed.entries.iter().map(|key| key.name().to_owned()).collect();
        let name = config.listed.name_of(&repository, None);
        let (entries, fetched_at) = (listed.entries, listed.item.fetched_at);
        rows.push(Row { repository, entries, asked: None, name, clusters, fetched_at });
    }
    if keys.len() < config.listed.clusters.len() + usize::from(config.listed.has_unclustered()) {
        add_clusters_not_asked_for(&mut rows, &config.listed);
    }
    for row in &mut rows {
        // A repository that was renamed may be listed as in no cluster though one asks for it.
        if row.clusters.len() > 1 {
            row.clusters.retain(|id| id != ClustersConfig::UNCLUSTERED);
        }
    }
    rows
}

/// Says that a copy is of a form that this larder does not know, as one that another version of it made
/// may be: one such takes no list along.
pub fn left_out(screen: &Screen, item: &Item, entry: Option<&Key>, error: &serde_json::Error) {
    let anew = entry.map(|key| format!("; `larder refresh {key}` fetches it anew")).unwrap_or_default();
    screen.warn(&left_out_line(item, error, &anew));
}

/// The same, of a source that does not read again what is as it was: it has to forget it first.
pub fn left_out_for_long(screen: &Screen, item: &Item, entry: Option<&Key>, error: &serde_json::Error) {
    let anew = |key: &Key| format!("; `larder cache clear {key} --yes` removes it, to be fetched anew");
    screen.warn(&left_out_line(item, error, &entry.map(anew).unwrap_or_default()));
}

fn left_out_line(item: &Item, error: &serde_json::Error, anew: &str) -> String {
    format!("the copy of `{}` cannot be read and is left out: {error}{anew}", item.of.id)
}

fn add_clusters_not_asked_for(rows: &mut [Row], config: &ClustersConfig) {
    let place = |(place, row): (usize, &Row)| (row.repository.full_name.to_lowercase(), place);
    let places: HashMap<String, usize> = rows.iter().enumerate().map(place).collect();
    let mut listed: Vec<Vec<&str>> = vec![Vec::new(); rows.len()];
    for cluster in &config.clusters {
        for repo in &cluster.repos {
            if let Some(place) = places.get(repo.key().as_ref()) {
                listed[*place].push(&cluster.id);
            }
        }
    }
    for (row, listed) in rows.iter_mut().zip(listed) {
        let mut clusters: Vec<String> = listed.into_iter().map(str::to_owned).collect();
        let also = row.clusters.drain(..).filter(|id| !clusters.contains(id)).collect::<Vec<_>>();
        clusters.extend(also);
        row.clusters = clusters;
    }
}

fn view(row: &Row) -> RepositoryView<'_> {
    let (asked, name) = (row.asked.clone(), row.name.clone());
    RepositoryView::new(&row.repository, asked, name, row.clusters.clone(), row.fetched_at)
}

fn table(rows: &[Row], screen: &Screen, now: Time) -> String {
    let mut table = Table::new(vec![
        Column::new("NAME").squeezed(8),
        Column::number("STARS"),
        Column::cut("LANGUAGE", 8),
        Column::new("UPDATED"),
        Column::cut("CLUSTER", 8),
        Column::cut("DESCRIPTION", 16),
    ]);
    for row in rows {
        let repository = &row.repository;
        let updated = repository.updated_at;
        let exact = updated.map(|at| at.to_string()).unwrap_or_default();
        let name = match (repository.is_archived, repository.is_private) {
            (true, _) => format!("{} (archived)", repository.full_name),
            (false, true) => format!("{} (private)", repository.full_name),
            (false, false) => repository.full_name.clone(),
        };
        table.row(vec![
            Cell::new(name).exact(&*repository.full_name).tone(Tone::Strong),
            Cell::new(short_count(repository.stars)).exact(repository.stars.to_string()),
            Cell::new(repository.language.as_deref().unwrap_or_default()),
            Cell::new(updated.map(|at| ago(at, now)).unwrap_or_default()).exact(exact).tone(Tone::Quiet),
            Cell::new(first_of(&row.clusters)).exact(row.clusters.join(",")).tone(Tone::Quiet),
            Cell::new(repository.description.as_deref().unwrap_or_default()),
        ]);
    }
    if table.is_empty() && screen.is_terminal { String::new() } else { table.render(screen) }
}

/// The first of a few names, and how many more there are.
fn first_of(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first, more @ ..] => format!("{first} +{}", more.len()),
    }
}

/// `950`, `1.2k`, `541k`, `1.3M`.
pub fn short_count(count: u64) -> String {
    let tenth = |unit: u64| {
        let tenths = count / (unit / 10);
        if tenths < 100 { format!("{}.{}", tenths / 10, tenths % 10) } else { (count / unit).to_string() }
    };
    match count {
        0..1000 => count.to_string(),
        1000..1_000_000 => format!("{}k", tenth(1000)),
        _ => format!("{}M", tenth(1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_one_line_a_repository_with_relative_ages() {
        let row = |full_name: &str, stars, clusters: &[&str], is_archived| Row {
            repository: Repository {
                full_name: full_name.to_owned(),
                stars,
                language: Some("Rust".to_owned()),
                description: Some("An embedded event store that starts in a millisecond".to_owned()),
                updated_at: Some(Time::parse("2026-06-01T10:00:00Z").unwrap()),
                is_archived,
                ..Repository::default()
            },
            entries: Vec::new(),
            asked: None,
            name: String::new(),
            clusters: clusters.iter().map(|&id| id.to_owned()).collect(),
            fetched_at: Time::default(),
        };
        let rows = [
            row("octo-org/cinder", 4821, &["cinder", "kiln"], false),
            row("octo-org/ember", 980, &["kiln"], true),
        ];
        let now = Time::parse("2026-06-01T12:00:00Z").unwrap();
        insta::assert_snapshot!(table(&rows, &Screen::of_width(Some(80)), now), @r"
    NAME                       STARS  LANGUAGE  UPDATED  CLUSTER    DESCRIPTION
    octo-org/cinder             4.8k  Rust      2h ago   cinder +1  An embedded eve…
    octo-org/ember (archived)    980  Rust      2h ago   kiln       An embedded eve…
    ");
        insta::assert_snapshot!(table(&rows, &Screen::of_width(Some(50)), now), @r"
    NAME                       STARS  UPDATED
    octo-org/cinder             4.8k  2h ago
    octo-org/ember (archived)    980  2h ago
    ");
    }

    #[test]
    fn large_counts_are_short() {
        let table =
            [(0, "0"), (999, "999"), (1000, "1.0k"), (9999, "9.9k"), (541_915, "541k"), (1_260_000, "1.2M")];
        for (count, says) in table {
            assert_eq!(short_count(count), says);
        }
    }
}
