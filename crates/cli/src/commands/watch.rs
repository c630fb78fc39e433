//! `larder watch`: prints what changes in local projects, as it changes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use larder_core::{Key, Time};
use larder_domain::{ARTIFACT, Artifact};
use larder_engine::Engine;
use larder_sources::ProjectsSource;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::artifacts::marks;
use super::local::{self, From, Local, Wanted};
use super::{Context, Ended};
use crate::config::Config;
use crate::report::{Complaint, Exit};
use crate::ui::{Screen, Tone, counted, harmless};
use crate::wiring::asked_to_stop;

/// Print what changes in local projects, as it changes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A line a change: when, what, which artifact of which project. With --json, an object a line.\n\n\
                  Example:\n  larder watch\n  larder watch --json | jq -r .name"
)]
pub struct Args {
    /// Of this project alone, by id or name; may be given several times
    #[arg(long, value_name = "P")]
    project: Vec<String>,
}

/// How often what is due is looked for besides.
const TURN: Duration = Duration::from_secs(1);

/// A change as `--json` shows it, one a line.
#[derive(Debug, PartialEq, Serialize)]
struct Change<'a> {
    at: Time,
    what: &'static str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    project: &'a str,
    project_name: &'a str,
    path: &'a str,
    outdated: bool,
    modified: bool,
    missing: bool,
}

/// The artifacts of each project, as last told.
type Known = HashMap<Key, BTreeMap<String, Artifact>>;

/// Watches until it is interrupted.
pub fn run(args: &Args, context: &Context) -> Ended {
    let config = local::config(context)?;
    crate::wiring::block_on_many(watch(args, context, &config))?
}

async fn watch(args: &Args, context: &Context, config: &Config) -> Ended {
    let options = crate::watching::options(&config.projects).unwrap_or_default();
    let rooms = context.rooms(config).await?;
    let wanted = Wanted { refresh: false, offline: true, only: &[], from: From::Projects };
    // Roots that nobody has looked at yet are the first thing that the watch asks for.
    let local = Local::serve(&rooms, &wanted, context, config).await?;
    let engine = rooms.reader().clone();
    let mut announced = engine.subscribe();
    let mut known = Known::new();
    learn(&engine, &local.keys, &mut known).await?;
    let only = chosen(&rooms, args).await?;
    let running = tokio::spawn({
        let engine = engine.clone();
        async move { engine.run(TURN).await }
    });
    let screen = context.screen.clone();
    let watching = crate::watching::watch(engine.clone(), rooms.projects().clone(), options, move |watch| {
        let count = counted(watch.folders(), "folder", "folders");
        screen.note(&format!("watching {count}; Ctrl-C ends it"));
        if let Some(trouble) = watch.trouble() {
            screen.warn(&trouble);
        }
    });
    let stop = asked_to_stop();
    let watching = tokio::spawn(watching);
    tokio::pin!(stop);
    loop {
        let heard = tokio::select! {
            biased;
            () = &mut stop => break,
            heard = announced.recv() => heard,
        };
        match heard {
            Ok(heard) if heard.key.source() == ProjectsSource::NAME => {
                let all = engine.keys_of(ProjectsSource::NAME);
                forget(&all, &only, &mut known, context, rooms.now())?;
                if all.contains(&heard.key) && is_chosen(&heard.key, &only) {
                    tell(&engine, &heard.key, &mut known, context, rooms.now()).await?;
                }
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => {
                for key in engine.keys_of(ProjectsSource::NAME).iter().filter(|key| is_chosen(key, &only)) {
                    tell(&engine, key, &mut known, context, rooms.now()).await?;
                }
            }
            Err(RecvError::Closed) => break,
        }
    }
    watching.abort();
    engine.interrupt().await;
    // It ends with the engine.
    let _ = running.await;
    Ok(Exit::Answered)
}

async fn chosen(rooms: &crate::wiring::Rooms<'_>, args: &Args) -> Result<Vec<Key>, Complaint> {
    let known = rooms.reader().keys_of(ProjectsSource::NAME);
    let mut chosen = Vec::new();
    for text in &args.project {
        chosen.extend(local::project_key(rooms, text, &known).await?);
    }
    Ok(chosen)
}

fn is_chosen(key: &Key, only: &[Key]) -> bool {
    only.is_empty() || only.contains(key)
}

/// Takes in what is known already, so that only changes are told.
async fn learn(engine: &Engine, keys: &[Key], known: &mut Known) -> Result<(), Complaint> {
    for (key, artifacts) in keys.iter().zip(artifacts(engine, keys).await?) {
        if let Some(artifacts) = artifacts {
            known.insert(key.clone(), artifacts);
        }
    }
    Ok(())
}

async fn artifacts(
    engine: &Engine,
    keys: &[Key],
) -> Result<Vec<Option<BTreeMap<String, Artifact>>>, Complaint> {
    let rows = engine.store().lookup(keys).await?;
    let of = |stored: larder_core::Stored| {
        let items = stored.members.into_iter().map(|member| member.item);
        let artifacts = items.filter(|item| &*item.of.kind == ARTIFACT);
        artifacts.filter_map(|item| Some((item.of.id.to_string(), item.doc.decode().ok()?))).collect()
    };
    Ok(rows.into_iter().map(|row| row.filter(|row| row.entry.has_data()).map(of)).collect())
}

/// Tells what is other than before in one project.
async fn tell(
    engine: &Engine,
    key: &Key,
    known: &mut Known,
    context: &Context,
    now: Time,
) -> Result<(), Complaint> {
    let found = artifacts(engine, std::slice::from_ref(key)).await?.pop().flatten().unwrap_or_default();
    let before = known.insert(key.clone(), found).unwrap_or_default();
    let found = &known[key];
    for (id, artifact) in found {
        match before.get(id) {
            None => print("added", artifact, context, now)?,
            Some(old) if old != artifact => print(word(old, artifact), artifact, context, now)?,
            Some(_) => {}
        }
    }
    for (_, gone) in before.iter().filter(|(id, _)| !found.contains_key(*id)) {
        print("removed", gone, context, now)?;
    }
    Ok(())
}

/// Tells of projects that are no more.
fn forget(
    all: &[Key],
    only: &[Key],
    known: &mut Known,
    context: &Context,
    now: Time,
) -> Result<(), Complaint> {
    let gone: Vec<Key> = known.keys().filter(|key| !all.contains(key)).cloned().collect();
    for key in gone {
        for artifact in known.remove(&key).unwrap_or_default().values().filter(|_| is_chosen(&key, only)) {
            print("removed", artifact, context, now)?;
        }
    }
    Ok(())
}

/// The most telling word for a change.
fn word(old: &Artifact, new: &Artifact) -> &'static str {
    match () {
        () if new.missing && !old.missing => "missing",
        () if old.missing && !new.missing => "returned",
        () if new.modified && !old.modified => "modified",
        () if new.outdated && !old.outdated => "outdated",
        () if new.content_hash != old.content_hash => "edited",
        () => "changed",
    }
}

fn print(what: &'static str, artifact: &Artifact, context: &Context, at: Time) -> Result<(), Complaint> {
    if context.json() {
        let change = Change {
            at,
            what,
            name: &artifact.name,
            kind: artifact.kind.word(),
            project: &artifact.project,
            project_name: &artifact.project_name,
            path: &artifact.path,
            outdated: artifact.outdated,
            modified: artifact.modified,
            missing: artifact.missing,
        };
        let line = serde_json::to_string(&change).map_err(|error| Complaint::failed(error.to_string()))?;
        return context.screen.answer(&format!("{line}\n"));
    }
    context.screen.answer(&line(what, artifact, &context.screen, at))
}

fn line(what: &str, artifact: &Artifact, screen: &Screen, at: Time) -> String {
    let name = harmless(&artifact.name);
    let project = harmless(&artifact.project_name);
    let kind = artifact.kind;
    if !screen.is_terminal {
        return format!("{at}\t{what}\t{kind}\t{name}\t{project}\t{}\n", harmless(&artifact.path));
    }
    let tone = match what {
        "added" | "returned" => Tone::Good,
        "removed" | "missing" => Tone::Bad,
        _ => Tone::Warn,
    };
    let marks = marks(artifact);
    let marks = if marks.is_empty() || marks == what { String::new() } else { format!("  ({marks})") };
    let what = screen.paint(&format!("{what:8}"), tone);
    format!("{what}  {kind:7}  {}  {project}{marks}\n", screen.paint(&name, Tone::Strong))
}
