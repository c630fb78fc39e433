//! `larder refresh`: fetch entries anew, and wait for it. Hidden behind it: the turn that a
//! detached child takes after a reader was served a stale copy.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use larder_core::{Key, Outcome, Retention, StoreError, Stored, Target, Trigger};
use larder_engine::Refreshed;
use larder_sources::TrackersSource;
use serde::Serialize;

use super::entry::EntryView;
use super::repos::check_configured;
use super::serve::{not_brought, place};
use super::target::{TargetArgs, check_source, is_met, kind_of, may_name_project};
use super::trackers;
use super::warnings::{self, Detail};
use super::{Context, Ended};
use crate::config::Config;
use crate::report::{Complaint, Exit, grouped};
use crate::ui::{Progress, Screen, counted};
use crate::wiring::{Rooms, Stay, until_interrupted};

/// Fetch entries anew, and wait for it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "--all and --source mean what is configured. What is kept besides, such as the trackers of a \
                  repository that somebody asked for, is refreshed where KEY or --repo names it; else it goes 90 \
                  days after its last reader, or after it was imported.\n\n\
                  Example:\n  larder refresh cluster/tools\n  larder refresh --all --json"
)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Only what was marked due, or waits no longer after a failure
    #[arg(long, hide = true, conflicts_with_all = ["keys", "source", "all"])]
    due: bool,
    /// Started behind a reader: ends with the hard time-out, whatever happens
    #[arg(long, hide = true, requires = "due")]
    detached: bool,
}

impl Args {
    /// Whether local projects are meant: the folder that one stands in is a root for those.
    fn is_about_projects(&self) -> bool {
        self.target.source.as_deref() == Some("projects")
            || self.target.keys.iter().any(|text| may_name_project(text))
    }

    /// Whether this is the turn of a detached child.
    pub fn is_detached(&self) -> bool {
        self.detached
    }
}

/// One entry of `--json`.
#[derive(Debug, Serialize)]
struct Done {
    #[serde(flatten)]
    entry: EntryView,
    outcome: &'static str,
    error: Option<String>,
}

/// The most entries of one detached turn; what is left is due for the next one.
const TURN_MAX: usize = 1000;

/// What the tasks of a detached child get to come to an end.
const GRACE: Duration = Duration::from_secs(2);

/// Refreshes.
pub fn run(args: &Args, context: &Context) -> Ended {
    let mut config = context.config()?;
    if args.due || args.is_about_projects() {
        config.projects.stand_in(&context.env);
    }
    match (args.due, args.detached) {
        (true, true) => {
            let limit = config.engine.hard_timeout.value + GRACE;
            crate::detach::end_after(limit + GRACE);
            crate::wiring::block_on(due(&config, Some(limit)))?
        }
        (true, false) => crate::wiring::block_on(due(&config, None))?,
        (false, _) => crate::wiring::block_on(refresh(args, context, &config))?,
    }
}

async fn refresh(args: &Args, context: &Context, config: &Config) -> Ended {
    let rooms = context.rooms(config).await?;
    match rooms.reader().reconcile().await {
        // Of such a row is told with the keys.
        Ok(_) | Err(StoreError::BadRow { .. }) => {}
        Err(error) => return Err(Complaint::from(error).into()),
    }
    // What is held and nobody defines any more cannot be fetched.
    let mut known = rooms.known_keys().await?;
    rooms.tell_damage(&context.screen);
    known.retain(|key| rooms.reader().define(key).is_some());
    let of_trackers = args
        .target
        .source
        .as_deref()
        .map_or(!args.target.repo.is_empty(), |source| source == TrackersSource::NAME);
    let lists_none = rooms.reader().keys_of(TrackersSource::NAME).is_empty();
    let are_named = of_trackers && (!args.target.repo.is_empty() || lists_none);
    if let Some(source) = &args.target.source {
        check_source(source, &known)?;
    }
    if known.is_empty() && !are_named {
        check_configured(config)?;
    }
    let target = if are_named {
        // Those that are named, or of the clone one stands in, may be no part of what is configured, and are
        // meant all the same.
        let types: Vec<_> = config.trackers.types.iter().collect();
        Target::Keys(trackers::keys(&trackers::repos(&args.target.repo, config)?, &types)?)
    } else {
        args.target.named(&known, trackers::owner_of(config))?
    };
    let (indexes, others) = aimed(&rooms, &target);
    if let Some(source) = args.target.source.as_ref().filter(|_| indexes.is_empty() && others.is_empty()) {
        return Err(Complaint::usage(format!("nothing of the source `{source}` is configured"))
            .hint("`larder init` writes a larder.toml that says what may stand in it")
            .into());
    }
    // What is kept besides must not hide that the file is not where this runs.
    if indexes.is_empty() && others.is_empty() {
        check_configured(config)?;
    }
    let meant: HashSet<&Key> = indexes.iter().chain(&others).collect();
    let left: Vec<&Key> = known.iter().filter(|key| is_met(&target, key) && !meant.contains(key)).collect();
    let unwritten = OnceLock::new();
    let mut refreshed = together(&rooms, &indexes, context, &unwritten).await?;
    // Which others there are may be another question now.
    let others = if indexes.is_empty() { others } else { aimed(&rooms, &target).1 };
    refreshed.extend(together(&rooms, &others, context, &unwritten).await?);
    let ended = report(&refreshed, tells_lines(context), &rooms, context, config)?;
    if let Some(note) = unconfigured(&left) {
        context.screen.note(&note);
    }
    match unwritten.into_inner() {
        Some(complaint) => Err(complaint.into()),
        None => Ok(ended),
    }
}

/// What is said of entries that were left alone because nobody configured them.
fn unconfigured(left: &[&Key]) -> Option<String> {
    Some(match left {
        [] => return None,
        [key] => format!("`{key}` is kept and nobody configured it: name it to refresh it"),
        [key, ..] => {
            let entries = left.len();
            format!(
                "{entries} entries are kept that nobody configured, such as `{key}`: name them to refresh them"
            )
        }
    })
}

/// The entries that are meant: those that say which others there are, and the others.
fn aimed(rooms: &Rooms<'_>, target: &Target) -> (Vec<Key>, Vec<Key>) {
    let engine = rooms.reader();
    let keys = match target {
        Target::Keys(keys) => keys.clone(),
        other => engine.keys().into_iter().filter(|key| is_met(other, key)).collect::<Vec<Key>>(),
    };
    keys.into_iter().partition(|key| engine.indexes_of(key.source()).contains(key))
}

/// Whether each entry gets its line as it comes.
fn tells_lines(context: &Context) -> bool {
    !context.json() && !context.screen.shows_progress
}

/// Refreshes these. The first line that could not be written does not stop it, and is left in `unwritten`.
async fn together(
    rooms: &Rooms<'_>,
    keys: &[Key],
    context: &Context,
    unwritten: &OnceLock<Complaint>,
) -> Result<Vec<Refreshed>, Complaint> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let engine = rooms.fetcher_of(keys)?;
    let progress = Progress::start(&context.screen, "refreshing", kind_of(keys), keys.len());
    let lines = tells_lines(context);
    let longest = keys.iter().map(|key| key.as_str().len()).max().unwrap_or_default();
    let done = |one: &Refreshed| {
        if is_unfinished(one) {
            return;
        }
        progress.step();
        if lines && unwritten.get().is_none() {
            let told = context.screen.answer(&line(one, longest, &context.screen));
            told.unwrap_or_else(|complaint| drop(unwritten.set(complaint)));
        }
    };
    let work = async {
        let mut refreshed = engine.refresh(keys, Trigger::Manual, done).await;
        // What a look had no time for the next one goes on with: there is an end to it.
        loop {
            let left: Vec<Key> =
                refreshed.iter().filter(|one| is_unfinished(one)).map(|one| one.key.clone()).collect();
            if left.is_empty() {
                return refreshed;
            }
            refreshed.retain(|one| !is_unfinished(one));
            refreshed.extend(engine.refresh(&left, Trigger::Manual, done).await);
        }
    };
    let refreshed = until_interrupted(engine, &context.screen, work).await;
    progress.finish();
    refreshed
}

/// Whether its source had no time for all of it, and goes on with the rest.
fn is_unfinished(one: &Refreshed) -> bool {
    let has_rest = |stored: &Arc<Stored>| stored.entry.attempts == 0 && !stored.entry.pending.is_empty();
    matches!(one.result, Ok(Outcome::Partial)) && one.stored.as_ref().is_some_and(has_rest)
}

fn report(
    refreshed: &[Refreshed],
    lines_told: bool,
    rooms: &Rooms<'_>,
    context: &Context,
    config: &Config,
) -> Ended {
    let now = rooms.now();
    if context.json() {
        let done = |one: &Refreshed| Done {
            entry: EntryView::new(
                &one.key,
                one.stored.as_ref().map(|stored| &stored.entry),
                rooms.reader().define(&one.key).as_deref(),
                now,
            ),
            outcome: one.result.as_ref().map_or("failed", |outcome| outcome.word()),
            error: one.result.as_ref().err().map(ToString::to_string),
        };
        let all: Vec<Done> = refreshed.iter().map(done).collect();
        context.screen.json(&serde_json::json!({"refreshed": all}))?;
    } else if !lines_told {
        let longest = refreshed.iter().map(|one| one.key.as_str().len()).max().unwrap_or_default();
        let text: String = refreshed.iter().map(|one| line(one, longest, &context.screen)).collect();
        context.screen.answer(&text)?;
    }
    let stored = refreshed.iter().filter_map(|one| Some((&one.key, one.stored.as_ref()?)));
    let warnings = stored.map(|(key, stored)| (key, stored.entry.warnings.as_slice()));
    warnings::tell(warnings, Detail::Few, &context.screen);
    let failed = refreshed.iter().filter_map(|one| Some((one.key.clone(), not_brought(one, now)?)));
    let mut failed: Vec<(Key, Complaint)> = failed.collect();
    place(&mut failed, config);
    for complaint in grouped(&failed) {
        context.screen.complain(&complaint);
    }
    Ok(match failed.len() {
        0 => Exit::Answered,
        all if all == refreshed.len() => Exit::Failed,
        _ => Exit::Old,
    })
}

/// One entry in a line: what came of it. In columns on a terminal, with tabs between elsewhere.
fn line(one: &Refreshed, longest: usize, screen: &Screen) -> String {
    let shown = one.stored.as_ref().map_or(0, |stored| stored.members.len());
    let of = match one.key.source() {
        "projects" if one.key.name().starts_with("roots/") => String::new(),
        // One of them is the project itself.
        "projects" => counted(shown.saturating_sub(1), "artifact", "artifacts"),
        "trackers" => counted(shown, "tracker", "trackers"),
        "marketplace" => counted(shown, "artifact", "artifacts"),
        _ => counted(shown, "repository", "repositories"),
    };
    let (word, of) = match &one.result {
        Ok(Outcome::Updated) => ("updated", of),
        Ok(Outcome::Partial) => ("partial", of),
        Ok(Outcome::NotModified) => ("unchanged", of),
        Ok(Outcome::Absent) => ("absent", String::new()),
        Ok(Outcome::Failed) | Err(_) => ("failed", String::new()),
    };
    if screen.is_terminal {
        let line = format!("{:longest$}  {word:9}  {of}", one.key.as_str());
        return format!("{}\n", line.trim_end());
    }
    format!("{}\t{word}\t{of}\n", one.key)
}

/// Takes a turn of what is due, then sweeps. Within `limit`, what is not done is let go of and
/// stays due.
async fn due(config: &Config, limit: Option<Duration>) -> Ended {
    let rooms = Rooms::open(config, Stay::Short).await?;
    // What cannot be compared keeps nothing from its refresh.
    if let Err(error) = rooms.reader().reconcile().await {
        tracing::warn!(%error, "what is configured could not be noted");
    }
    let engine = rooms.fetcher()?;
    let turn = async {
        let refreshed = engine.refresh_due(TURN_MAX, |one| match &one.result {
            Ok(outcome) => tracing::info!(key = %one.key, outcome = outcome.word(), "refreshed"),
            Err(error) => tracing::warn!(key = %one.key, %error, "could not be refreshed"),
        });
        let refreshed = refreshed.await?;
        engine.sweep_in_turn(&Retention::default(), Retention::EVERY).await.map(|_| refreshed)
    };
    let done = match limit {
        None => Some(turn.await),
        Some(limit) => rooms.within(limit, turn).await,
    };
    engine.shutdown(Duration::ZERO).await;
    match done {
        Some(Ok(refreshed)) if refreshed.iter().all(|one| one.result.is_ok()) => Ok(Exit::Answered),
        Some(Ok(_)) => Ok(Exit::Old),
        Some(Err(error)) => Err(Complaint::from(error).into()),
        None => {
            tracing::warn!("the hard time-out has passed; the rest stays due");
            Ok(Exit::Old)
        }
    }
}
