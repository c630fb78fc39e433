//! `larder config`: what is in effect and from where; trusting a project's file.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Context, Ended};
use crate::config::{Config, How, PMU_FILE, Shown, Trust, check_pmu};
use crate::report::{Complaint, Exit};
use crate::ui::{Cell, Column, Table, Tone, harmless};

/// Show the configuration in effect, or trust a project's.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print every setting in effect, and where it came from
    #[command(after_help = "Example:\n  larder config show --json | jq -r '.file.path'")]
    Show,
    /// Let the larder.toml of this directory say where data and tokens go, and more
    #[command(after_help = "A larder.toml that lies in or above the working directory came with whatever \
                      repository that is. Until it is trusted, all that it sets of `[store]` and `[server]` \
                      is ignored, and so are `[github] api_url` and `token`, `[projects] allow_links`, \
                      `collections`, `machine` and `roots` outside of its folder, `[[marketplace]] url` and files \
                      outside of it, and `[trackers] auto_pull`; every command names what it ignores. Trust holds \
                      for its present content.\n\n\
                      Example:\n  larder config trust")]
    Trust(TrustArgs),
}

/// Let the larder.toml of this directory say where data and tokens go, and more.
#[derive(Debug, clap::Args)]
pub struct TrustArgs {
    /// The file; the one that applies here if not said
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Trust it no more
    #[arg(long)]
    revoke: bool,
}

/// Runs the command.
pub fn run(command: &Command, context: &Context) -> Ended {
    match command {
        Command::Show => show(context),
        Command::Trust(args) => trust(args, context),
    }
}

fn show(context: &Context) -> Ended {
    let config = context.config()?;
    let file = config.file.as_ref();
    if context.json() {
        let file =
            file.map(|file| json!({"path": file.path, "trusted": file.trusted, "ignored": file.ignored}));
        let notes: Vec<&String> = config
            .untrusted
            .iter()
            .chain(&config.warnings)
            .chain(&config.notes)
            .chain(&config.quiet_notes)
            .collect();
        context.screen.json(&json!({
            "file": file,
            "settings": config.shown(),
            "clusters": config.listed.clusters.len(),
            "notes": notes,
        }))?;
        return Ok(Exit::Answered);
    }
    let file = file.map_or_else(
        || "no larder.toml: defaults and environment alone; `larder init` writes one".to_owned(),
        |file| {
            let trusted = match (file.how, file.trusted) {
                (How::Project, true) => ", trusted",
                (How::Project, false) => ", not trusted: `larder config trust`",
                (How::Flag | How::Env | How::User, _) => "",
            };
            format!("{}{trusted}", harmless(&file.path.display().to_string()))
        },
    );
    context.screen.note(&file);
    for note in &config.quiet_notes {
        context.screen.note(note);
    }
    context.screen.answer(&settings_table(&config, context.screen.width).render(&context.screen))?;
    Ok(Exit::Answered)
}

/// Where there is room for a name and a value alone, and not for all of each.
const NARROW: usize = 42;

fn settings_table(config: &Config, width: usize) -> Table<'static> {
    // Columns are cut from the last to the first, and what is cut to its least goes: so a name is cut before its
    // value goes.
    let (setting, value) = if width < NARROW { (8, 10) } else { (16, 24) };
    let columns = vec![Column::cut("SETTING", setting), Column::cut("VALUE", value), Column::cut("FROM", 8)];
    let mut table = Table::new(columns);
    for Shown { key, value, origin, secret } in config.shown() {
        let value = if secret {
            Cell::new(format!("(hidden, from {})", origin.trim_start_matches("env ")))
        } else {
            match value {
                Some(value) => Cell::new(value),
                None => Cell::new("-").tone(Tone::Quiet),
            }
        };
        let tone = if origin == "default" { Tone::Quiet } else { Tone::Plain };
        table.row(vec![Cell::new(&*key), value, Cell::new(origin).tone(tone)]);
    }
    table
}

/// Whether a file is a configuration at all: what cannot be used is not trusted.
fn check(path: &Path, text: &str, context: &Context) -> Result<(), Vec<Complaint>> {
    let wrong = if path.file_name().is_some_and(|name| name == PMU_FILE) {
        check_pmu(text).err().map(|why| vec![Complaint::usage(why)])
    } else {
        Config::as_if(path, text, &context.flags(), &context.env).err().map(Vec::from)
    };
    let Some(wrong) = wrong else { return Ok(()) };
    let place = harmless(&path.display().to_string()).into_owned();
    let first = Complaint::usage(format!("{place} was not trusted, since it cannot be used"));
    Err(std::iter::once(first).chain(wrong).collect())
}

fn trust(args: &TrustArgs, context: &Context) -> Ended {
    let path = match &args.file {
        Some(file) => context.env.cwd.join(file),
        None => Config::applying_file(&context.flags(), &context.env).ok_or_else(|| {
            Complaint::usage("there is no larder.toml in or above this directory")
                .hint("`larder init` writes one")
        })?,
    };
    let failed = |what: &str| {
        Complaint::failed(format!("{} could not be {what}", harmless(&path.display().to_string())))
    };
    let mut trust = Trust::load(&context.env);
    let trusted = !args.revoke;
    let said = if args.revoke {
        let forgotten = trust.remove(&path);
        let was = forgotten.map_err(|error| failed("forgotten").because(&error).hint(error.hint()))?;
        if was { "is trusted no more" } else { "was not trusted" }
    } else {
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let is_missing = error.kind() == std::io::ErrorKind::NotFound;
            let hint = "`larder config show` says which files it reads from here".to_owned();
            failed("read").because(error).hints(is_missing.then_some(hint))
        })?;
        check(&path, &text, context)?;
        let noted = trust.add(&path, &text);
        noted.map_err(|error| failed("noted as trusted").because(&error).hint(error.hint()))?;
        "is trusted, until its content changes"
    };
    if context.json() {
        context.screen.json(&json!({"path": path, "trusted": trusted}))?;
    } else {
        context.screen.answer(&format!("{} {said}\n", harmless(&path.display().to_string())))?;
    }
    Ok(Exit::Answered)
}
