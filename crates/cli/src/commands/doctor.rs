//! `larder doctor`: what is wrong, and what to do about it.

mod disk;
mod server;
mod upstream;

use std::fmt::Write as _;

use larder_core::{RefreshState, Rows};
use serde::Serialize;

use super::cache::amount;
use super::entry::EntryView;
use super::{Context, Ended};
use crate::config::{Config, How, Trust};
use crate::report::{Complaint, Exit};
use crate::ui::{Tone, counted, harmless, wrapped};
use crate::wiring::{Rooms, Stay};

/// Find out what is wrong, and what to do about it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  larder doctor --json | jq '.checks[] | select(.verdict != \"ok\")'")]
pub struct Args {
    /// Leave out what needs the network
    #[arg(long)]
    offline: bool,
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All is well.
    Ok,
    /// It works, and could be better.
    Warn,
    /// It does not work.
    Fail,
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub on: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Check {
    /// All is well.
    pub fn ok(on: &'static str, found: impl Into<String>) -> Self {
        Check { on, verdict: Verdict::Ok, found: found.into(), hint: None }
    }

    /// It could be better.
    pub fn warn(on: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Check { on, verdict: Verdict::Warn, found: found.into(), hint: Some(hint.into()) }
    }

    /// It does not work.
    pub fn fail(on: &'static str, found: impl Into<String>, hint: Option<String>) -> Self {
        Check { on, verdict: Verdict::Fail, found: found.into(), hint }
    }

    fn of_complaint(on: &'static str, complaint: &Complaint) -> Self {
        let found = std::iter::once(&complaint.error).chain(&complaint.causes);
        let found: Vec<&str> = found.map(String::as_str).collect();
        Check::fail(on, found.join(": "), complaint.hints.first().cloned())
    }
}

/// Looks at everything, and goes on where something is broken.
pub fn run(args: &Args, context: &Context) -> Ended {
    let mut checks = Vec::new();
    if let Err(error) = Trust::check(&context.env) {
        checks.push(Check::fail("trust", error.to_string(), Some(error.hint().to_owned())));
    }
    match Config::load(&context.flags(), &context.env) {
        Err(error) => {
            let complaints = Vec::<Complaint>::from(error);
            checks.extend(complaints.iter().map(|complaint| Check::of_complaint("config", complaint)));
        }
        Ok(config) => {
            checks.extend(configuration(&config));
            checks.extend(disk::check(config.store.url.value.file(), &config.dirs));
            crate::wiring::block_on(async {
                match Rooms::open(&config, Stay::Short).await {
                    Err(complaint) => {
                        checks.push(Check::of_complaint("database", &complaint));
                        checks.extend(server::check(&config, None));
                    }
                    Ok(rooms) => {
                        checks.extend(database(&rooms).await);
                        checks.extend(server::check(&config, Some(&rooms)));
                        checks.extend(upstream::check(&config, &rooms, args.offline).await);
                        checks.extend(entries(&rooms).await);
                    }
                }
            })?;
        }
    }
    answer(&checks, context)?;
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    Ok(if failed { Exit::Failed } else { Exit::Answered })
}

/// Where what was found begins, behind the verdict and what it is of.
const INDENT: usize = 17;

fn answer(checks: &[Check], context: &Context) -> Result<(), Complaint> {
    if context.json() {
        return context.screen.json(&serde_json::json!({ "checks": checks }));
    }
    // Writing to a text cannot fail.
    let mut text = String::new();
    for check in checks {
        let (word, tone) = match check.verdict {
            Verdict::Ok => ("ok  ", Tone::Good),
            Verdict::Warn => ("warn", Tone::Warn),
            Verdict::Fail => ("FAIL", Tone::Bad),
        };
        let word = context.screen.paint(word, tone);
        let found = wrapped(&harmless(&check.found), INDENT, context.screen.width);
        let _ = writeln!(text, "{word}  {:<9}  {found}", check.on);
        if let Some(hint) = &check.hint {
            let hint = hint.trim_end_matches("; see `larder doctor`");
            let hint = context.screen.paint(&wrapped(hint, INDENT, context.screen.width), Tone::Quiet);
            let _ = writeln!(text, "{:INDENT$}{hint}", "");
        }
    }
    context.screen.answer(&text)
}

fn configuration(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    let clusters = config.listed.clusters.len();
    match &config.file {
        None => checks.push(Check::warn("config", "there is no larder.toml", "`larder init` writes one")),
        Some(file) if config.is_empty() => checks.push(Check::warn(
            "config",
            format!("{} lists no cluster", file.path.display()),
            "add `[[cluster]]` with `id` and `repos`",
        )),
        Some(file) => {
            checks.push(Check::ok(
                "config",
                format!("{}: {}", file.path.display(), counted(clusters, "cluster", "clusters")),
            ));
        }
    }
    if let Some(file) =
        config.file.as_ref().filter(|file| file.how == How::Project && !file.ignored.is_empty())
    {
        checks.push(Check::warn(
            "config",
            format!("not trusted: {} ignored", file.ignored.join(", ")),
            "read it, then run `larder config trust`",
        ));
    }
    for note in &config.quiet_notes {
        checks.push(Check::ok("config", note));
    }
    checks
}

async fn database(rooms: &Rooms<'_>) -> Vec<Check> {
    let store = rooms.reader().store();
    let mut checks = Vec::new();
    if let Some(moved) = rooms.store().recovered() {
        checks.push(Check::warn(
            "database",
            format!("it was damaged, and moved to {}", moved.display()),
            "a new one was made and refills itself; look into the disk",
        ));
    }
    // A store that cannot be asked is told of below.
    if let Ok(Some(error)) = rooms.store().forbids_writing().await {
        let found = format!("{error}: it may only be read, and nothing is refreshed");
        checks.push(Check::warn("database", found, error.hints().join("; ")));
    }
    match store.info().await {
        Err(error) => checks.push(Check::of_complaint("database", &error.into())),
        Ok(info) => {
            let found = format!("{}: schema {}, {}", info.place, info.schema, amount(&info));
            checks.push(Check::ok("database", found));
        }
    }
    match store.verify().await {
        Err(error) => checks.push(Check::of_complaint("database", &error.into())),
        Ok(problems) => checks.extend(problems.iter().map(|problem| {
            let hint = "`larder cache verify` lists all; `larder cache clear KEY --yes` removes an entry";
            Check::fail("database", format!("{}: {}", problem.on, problem.message), Some(hint.to_owned()))
        })),
    }
    checks
}

async fn entries(rooms: &Rooms<'_>) -> Vec<Check> {
    let engine = rooms.reader();
    let now = rooms.now();
    let mut held = 0_usize;
    let mut retrying = 0;
    let mut dead = Vec::new();
    let mut rows = Rows::of(&**engine.store(), None).past_damage();
    // A store that cannot be read was told of already, and so were rows that cannot.
    while let Ok(Some(row)) = rows.next().await {
        held += 1;
        let key = &row.entry.key;
        let view = EntryView::new(key, Some(&row.entry), engine.define(key).as_deref(), now);
        match view.refresh {
            RefreshState::Dead => dead.push(key.to_string()),
            RefreshState::Retrying => retrying += 1,
            RefreshState::Idle | RefreshState::Running => {}
        }
    }
    let mut checks = Vec::new();
    if !dead.is_empty() {
        checks.push(Check::warn(
            "entries",
            format!("set aside after many failures: {}", dead.join(", ")),
            "mend what `larder cache status` says of them, then `larder cache replay KEY`",
        ));
    }
    if retrying > 0 {
        let found = format!(
            "{} after a failure",
            counted(retrying, "waits to be tried again", "wait to be tried again")
        );
        checks.push(Check::warn("entries", found, "`larder cache status` says why"));
    }
    if checks.is_empty() {
        checks.push(Check::ok("entries", format!("{held} held, none failing")));
    }
    checks
}
