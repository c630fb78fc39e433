//! `larder manifest`: the file that shares a repository's trackers with a team through git, and the
//! Actions workflow that keeps it fresh.

use std::path::{Path, PathBuf};

use larder_core::{ListQuery, Order};
use larder_domain::{Generated, Manifest, RepoName, TRACKERS, TrackerType, generate};
use larder_sources::{MANIFEST, Way};
use serde_json::json;

use super::serve::{Wish, serve};
use super::trackers::{Readable, keys, listed, repos};
use super::warnings::Detail;
use super::{Context, Ended};
use crate::config::Config;
use crate::report::{Complaint, Exit};
use crate::ui::{ago, harmless};

/// What is named in a file's place by whoever wants it printed.
const PRINTED: &str = "-";

/// The workflow's place in a repository.
const WORKFLOW: &str = ".github/workflows/larder-manifest.yml";

/// `larder manifest`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Fetch all trackers and write them into the manifest; an equal one keeps its bytes
    #[command(after_help = "Example:\n  larder manifest generate && git diff --stat .github/pmu-cache.json")]
    Generate(GenerateArgs),
    /// Say whether the manifest can be used, and what it holds
    #[command(after_help = "Example:\n  larder manifest check --repo octo-org/kiln .github/pmu-cache.json")]
    Check(CheckArgs),
    /// Write the Actions workflow that generates the manifest
    #[command(after_help = "Example:\n  larder manifest workflow --print")]
    Workflow(WorkflowArgs),
}

/// Options of `generate`.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// Of this repository; if not said, that of the clone one stands in
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Option<String>,
    /// Write there, `-` = print it; if not said, to .github/pmu-cache.json of the clone
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Of this repository; if not said, that of the clone one stands in
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Option<String>,
    /// The file; if not said, .github/pmu-cache.json of the clone
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Options of `workflow`.
#[derive(Debug, clap::Args)]
pub struct WorkflowArgs {
    /// Print it, and write nothing
    #[arg(long)]
    print: bool,
    /// Write over a workflow that says something else
    #[arg(long, conflicts_with = "print")]
    force: bool,
}

/// Runs the command.
pub fn run(command: &Command, context: &Context) -> Ended {
    let config = context.config()?;
    match command {
        Command::Generate(args) => crate::wiring::block_on(generated(args, context, &config))?,
        Command::Check(args) => check(args, context, &config),
        Command::Workflow(args) => workflow(args, context, &config),
    }
}

async fn generated(args: &GenerateArgs, context: &Context, config: &Config) -> Ended {
    let repo = the_repo(args.repo.as_deref(), config)?;
    let is_printed = args.output.as_deref() == Some(Path::new(PRINTED));
    let path = match &args.output {
        Some(path) => context.env.cwd.join(path),
        None => root(config, "run it in one, or name the file: `--output FILE`")?.join(MANIFEST),
    };
    let old = if is_printed { None } else { read(&path)? };
    let types: Vec<&TrackerType> = config.trackers.types.iter().collect();
    let keys = keys(std::slice::from_ref(&repo), &types)?;
    let rooms = context.rooms(config).await?;
    let served = serve(&rooms, &keys, Wish::Refresh, &context.screen).await?;
    if !served.complaints.is_empty() {
        // What could not be fetched is no trackers: nothing is written from it.
        served.end(Detail::Few, &rooms, context, config);
        return Err(
            Complaint::failed("the manifest was left as it is, since not all could be fetched").into()
        );
    }
    let stored = rooms.reader().store().lookup(&keys).await.map_err(Complaint::from)?;
    let as_of = |body: &larder_core::Json| body.decode::<Way>().ok().map(|way| way.as_of);
    // It is as old as the oldest of what it holds.
    let as_of = stored.iter().flatten().filter_map(|stored| stored.entry.body.as_ref().and_then(as_of)).min();
    let query = ListQuery {
        view: &TRACKERS,
        entries: keys,
        search: None,
        filters: Vec::new(),
        order: Some(Order::Descending("sort_key")),
        offset: 0,
        limit: usize::MAX,
    };
    let Readable { trackers, is_all } = listed(&rooms, query, &context.screen).await?;
    if !is_all {
        return Err(Complaint::failed("the manifest was left as it is, since not all could be read")
            .hint("`larder cache verify` names what cannot be read, `larder cache clear KEY` has it fetched anew")
            .into());
    }
    let name = trackers.first().map_or_else(|| repo.to_string(), |tracker| tracker.repo.clone());
    let as_of = as_of.unwrap_or_else(|| rooms.now());
    let said = match generate(old.as_deref(), &name, &config.trackers.types, &trackers, as_of) {
        Generated::Unchanged => "unchanged",
        Generated::Changed(text) if is_printed => {
            context.screen.answer(&text)?;
            return Ok(Exit::Answered);
        }
        Generated::Changed(text) => {
            write(&path, &text)?;
            "written"
        }
    };
    if context.json() {
        let body = json!({"path": path, "manifest": said, "trackers": trackers.len()});
        context.screen.json(&body)?;
    } else {
        let count = crate::ui::counted(trackers.len(), "tracker", "trackers");
        context.screen.answer(&format!("{}: {said}, {count} of {name}\n", shown(&path, context)))?;
    }
    Ok(Exit::Answered)
}

fn check(args: &CheckArgs, context: &Context, config: &Config) -> Ended {
    let repo = the_repo(args.repo.as_deref(), config)?;
    let path = match &args.file {
        Some(path) => context.env.cwd.join(path),
        None => root(config, "run it in one, or name the file")?.join(MANIFEST),
    };
    let place = shown(&path, context);
    let Some(bytes) = read(&path)? else {
        return Err(Complaint::failed(format!("there is no {place}"))
            .hint("`larder manifest generate` writes it, `larder manifest workflow` keeps it fresh")
            .into());
    };
    let manifest = Manifest::read(&bytes, &repo.to_string()).map_err(|error| {
        Complaint::failed(format!("{place} cannot be used"))
            .because(error)
            .hint("write it anew: `larder manifest generate`")
    })?;
    let count = |of: &TrackerType| manifest.trackers(of, |number| number.to_string()).len();
    let listed = config.trackers.types.iter().filter(|of| manifest.lists(of));
    let counts: Vec<(String, usize)> = listed.map(|of| (of.plural(), count(of))).collect();
    if context.json() {
        let lists: serde_json::Map<_, _> =
            counts.iter().map(|(name, count)| (name.clone(), json!(count))).collect();
        let body =
            json!({"path": path, "repo": manifest.repo, "updated_at": manifest.updated_at, "lists": lists});
        context.screen.json(&body)?;
        return Ok(Exit::Answered);
    }
    let now = larder_core::Clock::now(&larder_engine::SystemClock);
    let age = manifest
        .updated_at
        .map_or_else(|| "of no known age".to_owned(), |at| format!("from {}", ago(at, now)));
    let counts = config.trackers.types.iter().filter(|of| manifest.lists(of));
    let counts: Vec<String> =
        counts.map(|of| crate::ui::counted(count(of), &of.name, &of.plural())).collect();
    let counts = if counts.is_empty() { "no list that is known".to_owned() } else { counts.join(", ") };
    context.screen.answer(&format!("{place}: {counts} of {}, {age}\n", manifest.repo))?;
    Ok(Exit::Answered)
}

fn workflow(args: &WorkflowArgs, context: &Context, config: &Config) -> Ended {
    if args.print {
        context.screen.answer(&workflow_text(&config.trackers.types))?;
        return Ok(Exit::Answered);
    }
    let workflow = Workflow::plan(config, args.force, "run it in one, or print it: `--print`", context)?;
    workflow.write()?;
    if context.json() {
        context.screen.json(&json!({"path": workflow.path, "workflow": workflow.outcome()}))?;
    } else {
        context.screen.answer(&workflow.sentence(context))?;
    }
    Ok(Exit::Answered)
}

/// The workflow as it is to be in the clone one stands in. Whether it can be is known before anything is written.
pub struct Workflow {
    /// Where it goes.
    pub path: PathBuf,
    text: String,
    is_there: bool,
}

impl Workflow {
    /// Finds its place. Without `over`, one that says something else is left alone. `no_clone` is what to do
    /// where there is no clone.
    pub fn plan(config: &Config, over: bool, no_clone: &str, context: &Context) -> Result<Self, Complaint> {
        let path = root(config, no_clone)?.join(WORKFLOW);
        let text = workflow_text(&config.trackers.types);
        let old = read(&path)?;
        let is_there = old.as_deref() == Some(text.as_bytes());
        if old.is_some() && !is_there && !over {
            let place = shown(&path, context);
            return Err(Complaint::failed(format!("{place} is there already, and says something else"))
                .hint(
                    "compare it with `larder manifest workflow --print`, \
                 or write over it: `larder manifest workflow --force`",
                ));
        }
        Ok(Workflow { path, text, is_there })
    }

    /// Writes it, unless it is there as it is to be.
    pub fn write(&self) -> Result<(), Complaint> {
        if self.is_there { Ok(()) } else { write(&self.path, &self.text) }
    }

    /// What becomes of it, in a word for programs.
    pub fn outcome(&self) -> &'static str {
        if self.is_there { "unchanged" } else { "written" }
    }

    /// The same for people, in a line.
    pub fn sentence(&self, context: &Context) -> String {
        let said =
            if self.is_there { "is up to date" } else { "written: commit it to have the manifest generated" };
        format!("{} {said}\n", shown(&self.path, context))
    }
}

/// The workflow for these types: each label wakes it.
fn workflow_text(types: &[TrackerType]) -> String {
    let mut labels: Vec<&str> = types.iter().flat_map(|of| &of.labels).map(String::as_str).collect();
    labels.sort_unstable();
    labels.dedup();
    // A text of an expression stands in single quotes, which are doubled within.
    let quoted = labels.iter().map(|label| format!("'{}'", label.replace('\'', "''")));
    let wakes = quoted.map(|label| {
        format!(
            "github.event.label.name == {label}\n      || contains(github.event.issue.labels.*.name, {label})"
        )
    });
    let wakes: Vec<String> = wakes.collect();
    include_str!("manifest.workflow.yml").replace("LABELS", &wakes.join("\n      || "))
}

fn the_repo(named: Option<&str>, config: &Config) -> Result<RepoName, Complaint> {
    if let (None, Some((repo, _))) = (named, &config.trackers.clone) {
        return Ok(repo.clone());
    }
    let named: Vec<String> = named.map(str::to_owned).into_iter().collect();
    match repos(&named, config)?.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(Complaint::usage("a manifest is of one repository").hint("name it: `--repo OWNER/NAME`")),
    }
}

/// The root of the clone one stands in; `no_clone` is what to do where there is none.
fn root<'c>(config: &'c Config, no_clone: &str) -> Result<&'c Path, Complaint> {
    let clone = config.trackers.clone.as_ref().map(|(_, root)| root.as_path());
    clone.ok_or_else(|| {
        Complaint::usage(format!("this is not a clone of a repository on {}", config.github.clone_host()))
            .hint(no_clone)
    })
}

fn shown(path: &Path, context: &Context) -> String {
    path.strip_prefix(&context.env.cwd).unwrap_or(path).display().to_string()
}

/// No manifest is larger.
const BYTES_MAX: u64 = 16 << 20;

fn read(path: &Path) -> Result<Option<Vec<u8>>, Complaint> {
    let failed = || Complaint::failed(format!("{} cannot be read", harmless(&path.display().to_string())));
    // A clone may bring a link to whatever never ends.
    let about = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        about => about.map_err(|error| failed().because(error))?,
    };
    if !about.is_file() {
        return Err(failed().because("it is not a plain file"));
    }
    if about.len() > BYTES_MAX {
        return Err(failed().because(format!("it has more than {BYTES_MAX} bytes")));
    }
    std::fs::read(path).map(Some).map_err(|error| failed().because(error))
}

/// Written beside and moved, so that nobody reads half of it.
fn write(path: &Path, text: &str) -> Result<(), Complaint> {
    let failed = |error: std::io::Error| {
        Complaint::failed(format!("{} cannot be written", path.display())).because(error)
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    // Of a file that is not there yet nobody knows the name.
    let unmade = |error: std::io::Error| failed(error.kind().into());
    let mut beside = tempfile::NamedTempFile::new_in(folder).map_err(unmade)?;
    std::io::Write::write_all(&mut beside, text.as_bytes()).map_err(failed)?;
    #[cfg(unix)]
    {
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        beside.as_file().set_permissions(everybody).map_err(failed)?;
    }
    beside.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
