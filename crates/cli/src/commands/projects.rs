//! `larder projects`: the folders on this machine that have skills, commands, agents, hooks or MCP
//! servers, and how many of them want a look.

use std::fmt::Write as _;

use larder_core::{Filter, Key, ListQuery, Listed, Order, Test, Time};
use larder_domain::{ARTIFACTS, Artifact, LocalProject, PROJECTS};
use larder_server::{ArtifactView, LocalProjectView};
use serde::Serialize;

use super::artifacts;
use super::entry::EntryView;
use super::local::{self, From, Local, Wanted};
use super::{Context, Ended};
use crate::config::Config;
use crate::report::Complaint;
use crate::ui::{Cell, Column, Screen, Table, Tone, ago, harmless};

/// List local projects, and how many of their artifacts want a look.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Projects are looked for below `[projects] roots` and the folder that one stands in. Of \
                  several options that choose, all are met: `--missing --modified` lists those with some of \
                  both.\n\n\
                  Example:\n  larder projects --outdated\n  larder projects show my-app"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

/// What to do with local projects.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List them, and how many of their artifacts want a look
    #[command(after_help = "Of several options that choose, all are met.\n\n\
                            Example:\n  larder projects list --missing")]
    List(ListArgs),
    /// Show one with its artifacts, and what is wrong with it
    #[command(after_help = "Example:\n  larder projects show my-app --json | jq -r '.artifacts[].name'")]
    Show(ShowArgs),
}

/// List local projects.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
#[derive(Debug, Default, clap::Args)]
struct ListArgs {
    /// That have outdated artifacts
    #[arg(long)]
    outdated: bool,
    /// That have modified artifacts
    #[arg(long)]
    modified: bool,
    /// That lack artifacts which were deployed
    #[arg(long)]
    missing: bool,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Look at all folders anew first
    #[arg(long, conflicts_with = "offline")]
    refresh: bool,
    /// Show what is known, and look at no folder
    #[arg(long)]
    offline: bool,
}

/// Show one project.
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Which, by id or name
    #[arg(value_name = "PROJECT")]
    project: String,
    /// Look at its folder anew first
    #[arg(long, conflicts_with = "offline")]
    refresh: bool,
    /// Show what is known, and look at no folder
    #[arg(long)]
    offline: bool,
}

/// No list is longer.
const LIST_MAX: usize = 1_000_000;

/// The whole answer of `--json`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    projects: Vec<LocalProjectView<'a>>,
    cache: &'a [EntryView],
}

/// The whole answer of `show --json`.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    project: LocalProjectView<'a>,
    artifacts: Vec<ArtifactView<'a>>,
    cache: &'a [EntryView],
}

/// Lists, or shows one.
pub fn run(args: &Args, context: &Context) -> Ended {
    let config = local::config(context)?;
    match &args.command {
        None => crate::wiring::block_on(list(&args.list, context, &config))?,
        Some(Command::List(args)) => crate::wiring::block_on(list(args, context, &config))?,
        Some(Command::Show(args)) => crate::wiring::block_on(show(args, context, &config))?,
    }
}

async fn list(args: &ListArgs, context: &Context, config: &Config) -> Ended {
    let rooms = context.rooms(config).await?;
    let wanted = Wanted { refresh: args.refresh, offline: args.offline, only: &[], from: From::Projects };
    let local = Local::serve(&rooms, &wanted, context, config).await?;
    let filter =
        |column, wanted: bool| wanted.then(|| Filter { column, test: Test::AtLeast("1".to_owned()) });
    let filters = [
        filter("outdated", args.outdated),
        filter("modified", args.modified),
        filter("missing", args.missing),
    ];
    let filters: Vec<Filter> = filters.into_iter().flatten().collect();
    let is_filtered = !filters.is_empty();
    let limit = args.limit.map_or(LIST_MAX, |limit| limit as usize);
    let listed = projects(&rooms, &local.keys, filters, limit).await?;
    let projects: Vec<LocalProject> = local::readable(&listed, &context.screen);
    if context.json() {
        let projects = projects.iter().map(LocalProjectView::whole).collect();
        context.screen.json(&Answer { projects, cache: &local.entries })?;
    } else if local.has_data() {
        context.screen.answer(&table(&projects, &context.screen, rooms.now()))?;
        if listed.is_empty() && local.is_well() {
            context.screen.note(&if is_filtered {
                "no project matches".to_owned()
            } else {
                nothing_found(config)
            });
        }
    }
    Ok(local.end(&rooms, context, config))
}

/// Where was looked in vain, and what would be found.
fn nothing_found(config: &Config) -> String {
    let roots = &config.projects;
    let places: Vec<String> =
        roots.roots.value.iter().chain(&roots.cwd).map(|path| path.display().to_string()).collect();
    format!(
        "no project was found below {}: a project is a folder whose .claude, .codex, .gemini or .cursor holds \
         skills, commands, agents, hooks or mcp",
        places.join(", ")
    )
}

async fn projects(
    rooms: &crate::wiring::Rooms<'_>,
    keys: &[Key],
    filters: Vec<Filter>,
    limit: usize,
) -> Result<Vec<Listed>, Complaint> {
    let query = ListQuery {
        view: &PROJECTS,
        entries: keys.to_vec(),
        search: None,
        filters,
        order: Some(Order::Ascending("name")),
        offset: 0,
        limit,
    };
    rooms.list(&query).await
}

async fn show(args: &ShowArgs, context: &Context, config: &Config) -> Ended {
    let rooms = context.rooms(config).await?;
    let only = std::slice::from_ref(&args.project);
    let wanted = Wanted { refresh: args.refresh, offline: args.offline, only, from: From::Projects };
    let local = Local::serve(&rooms, &wanted, context, config).await?;
    let keys = match local.keys.as_slice() {
        [] | [_] => &local.keys,
        many => return Err(several(&args.project, many).into()),
    };
    let projects = projects(&rooms, keys, Vec::new(), LIST_MAX).await?;
    let project = projects.first().map(the_one).transpose()?;
    let query = ListQuery {
        view: &ARTIFACTS,
        entries: keys.clone(),
        search: None,
        filters: Vec::new(),
        order: Some(Order::Ascending("name")),
        offset: 0,
        limit: LIST_MAX,
    };
    let listed = rooms.list(&query).await?;
    let found: Vec<Artifact> = local::readable(&listed, &context.screen);
    if let Some(project) = &project {
        if context.json() {
            let artifacts = found.iter().map(ArtifactView::whole).collect();
            let project = LocalProjectView::whole(project);
            context.screen.json(&Shown { project, artifacts, cache: &local.entries })?;
        } else {
            context.screen.answer(&page(project, &found, &context.screen, rooms.now()))?;
        }
    }
    Ok(local.end(&rooms, context, config))
}

/// The project that is asked for: without it there is nothing to show.
fn the_one(listed: &Listed) -> Result<LocalProject, Complaint> {
    listed.item.doc.decode().map_err(|error| {
        let anew = |key: &Key| format!("`larder cache clear {key} --yes` removes it, to be looked at anew");
        Complaint::failed(format!("the copy of `{}` cannot be read", listed.item.of.id))
            .because(error)
            .hints(listed.entries.first().map(anew))
    })
}

fn several(name: &str, keys: &[Key]) -> Complaint {
    let ids: Vec<String> = keys.iter().map(|key| format!("`{}`", key.name())).collect();
    Complaint::usage(format!("there are {} projects called `{name}`", keys.len()))
        .hint(format!("name one by its id: {}", ids.join(", ")))
}

fn page(project: &LocalProject, found: &[Artifact], screen: &Screen, now: Time) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{}  {}", screen.paint(&format!("{name:<9}"), Tone::Quiet), harmless(value));
    };
    line("project", &project.name);
    line("id", &project.id);
    line("folder", &project.path);
    line("tools", &project.profiles.join(", "));
    line("artifacts", &counts(project));
    if !found.is_empty() {
        text.push('\n');
        text.push_str(&artifacts::table(found, screen, now));
    }
    text
}

fn counts(project: &LocalProject) -> String {
    let parts =
        [(project.outdated, "outdated"), (project.modified, "modified"), (project.missing, "missing")];
    let wrong: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if wrong.is_empty() {
        return project.artifacts.to_string();
    }
    format!("{}: {}", project.artifacts, wrong.join(", "))
}

fn table(projects: &[LocalProject], screen: &Screen, now: Time) -> String {
    let mut table = Table::new(vec![
        Column::new("NAME").squeezed(8),
        Column::new("ID").spare(),
        Column::number("ARTIFACTS").telling(),
        Column::number("OUTDATED").telling(),
        Column::number("MODIFIED").telling(),
        Column::number("MISSING").telling(),
        Column::number("WARNINGS").spare(),
        Column::new("UPDATED").spare(),
        Column::cut("FOLDER", 12),
    ]);
    for project in projects {
        let updated = project.updated_at;
        let count = |count: u64, tone: Tone| {
            let cell = Cell::new(count.to_string());
            if count > 0 { cell.tone(tone) } else { cell.tone(Tone::Quiet) }
        };
        table.row(vec![
            Cell::new(&*project.name).tone(Tone::Strong),
            Cell::new(&*project.id).tone(Tone::Quiet),
            Cell::new(project.artifacts.to_string()),
            count(project.outdated, Tone::Warn),
            count(project.modified, Tone::Warn),
            count(project.missing, Tone::Bad),
            count(project.warnings, Tone::Warn),
            Cell::new(updated.map(|at| ago(at, now)).unwrap_or_default())
                .exact(updated.map(|at| at.to_string()).unwrap_or_default())
                .tone(Tone::Quiet),
            Cell::new(&*project.path).tone(Tone::Quiet),
        ]);
    }
    if table.is_empty() && screen.is_terminal { String::new() } else { table.render(screen) }
}
