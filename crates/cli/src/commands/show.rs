//! `larder show`: one entry with its data, its age and what is wrong with it.

use std::fmt::Write as _;

use larder_core::{Key, LogFilter, LogLine, MemberState, Stored, Time};
use serde::Serialize;
use serde_json::Value;

use super::entry::EntryView;
use super::members;
use super::serve::{Wish, serve};
use super::target::{find_key, may_name_project};
use super::warnings::Detail;
use super::{Context, Ended};
use crate::config::Config;
use crate::report::Complaint;
use crate::ui::{Cell, Column, Screen, Table, Tone, ago, counted, harmless, wrapped};

/// Show one entry: its data, its age, what is wrong with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  larder show cluster/tools\n  larder show tools --json")]
pub struct Args {
    /// Which, such as `cluster/tools`, or `tools` for short
    #[arg(value_name = "KEY")]
    key: String,
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
    entry: &'a EntryView,
    configured: bool,
    items: Vec<ItemView>,
    log: &'a [LogLine],
}

#[derive(Debug, Serialize)]
struct ItemView {
    asked: String,
    id: String,
    scope: String,
    state: &'static str,
    fetched_at: Time,
    doc: Value,
}

/// How many attempts are shown.
const LOG_LINES: usize = 5;

/// Shows.
pub fn run(args: &Args, context: &Context) -> Ended {
    let mut config = context.config()?;
    if may_name_project(&args.key) {
        config.projects.stand_in(&context.env);
    }
    crate::wiring::block_on(show(args, context, &config))?
}

async fn show(args: &Args, context: &Context, config: &Config) -> Ended {
    let rooms = context.rooms(config).await?;
    let known = rooms.known_keys().await?;
    let key = find_key(&args.key, &known)?;
    let wish = match (args.refresh, args.offline) {
        (true, _) => Wish::Refresh,
        (_, true) => Wish::Offline,
        (false, false) => Wish::Normal,
    };
    let served = serve(&rooms, std::slice::from_ref(&key), wish, &context.screen).await?.placed(config);
    let store = rooms.reader().store();
    let stored = store.lookup(std::slice::from_ref(&key)).await.map_err(Complaint::from)?.pop().flatten();
    let filter = LogFilter { key: Some(key.clone()), limit: LOG_LINES };
    let log = store.log(&filter).await.map_err(Complaint::from)?;
    let entry = &served.entries[0];
    let configured = rooms.reader().define(&key).is_some();
    if context.json() {
        let items = stored.iter().flat_map(|stored| &stored.members).map(item_view).collect();
        context.screen.json(&Answer { entry, configured, items, log: &log })?;
    } else {
        let text = page(&key, entry, configured, stored.as_ref(), &log, &context.screen, rooms.now());
        context.screen.answer(&text)?;
    }
    Ok(served.end(Detail::All, &rooms, context, config))
}

fn item_view(member: &larder_core::Member) -> ItemView {
    ItemView {
        asked: member.asked.to_string(),
        id: member.item.of.id.to_string(),
        scope: member.item.scope.to_string(),
        state: match member.state {
            MemberState::Shown => "shown",
            MemberState::Absent => "absent",
            MemberState::Hidden => "hidden",
        },
        fetched_at: member.item.fetched_at,
        doc: match member.state {
            MemberState::Hidden => Value::Null,
            MemberState::Shown | MemberState::Absent => member.item.doc.decode().unwrap_or_default(),
        },
    }
}

fn page(
    key: &Key,
    entry: &EntryView,
    configured: bool,
    stored: Option<&Stored>,
    log: &[LogLine],
    screen: &Screen,
    now: Time,
) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a text cannot fail.
        let value = wrapped(&value, 11, screen.width);
        let _ = writeln!(text, "{}  {value}", screen.paint(&format!("{name:<9}"), Tone::Quiet));
    };
    line("key", screen.paint(key.as_str(), Tone::Strong));
    let configured = if configured { "" } else { ", not configured any more" };
    line("state", format!("{}, refresh {}{configured}", entry.status, entry.refresh));
    if let Some(at) = entry.fetched_at {
        line("fetched", format!("{} ({at})", ago(at, now)));
        if let Some(when) = entry.expires(now) {
            let until = entry.fresh_until.filter(|_| entry.cut_short.is_none());
            line("expires", until.map_or(when.clone(), |until| format!("{when} ({until})")));
        }
        line("complete", if entry.complete { "yes" } else { "no: some could not be asked for" }.to_owned());
    }
    if let Some(failure) = &entry.last_error {
        let message = harmless(&failure.message);
        let attempts = counted(entry.attempts as usize, "attempt", "attempts");
        line("error", format!("{message} ({}, {attempts})", ago(failure.at, now)));
        line("next try", entry.next_try(now));
    }
    let members = stored.map(|stored| stored.members.as_slice()).unwrap_or_default();
    if !members.is_empty() {
        text.push('\n');
        text.push_str(&members::tables(members, now, screen));
    }
    if !log.is_empty() {
        text.push('\n');
        text.push_str(&log_table(log, now).render(screen));
    }
    text
}

fn log_table(log: &[LogLine], now: Time) -> Table<'static> {
    let mut table = Table::new(vec![
        Column::new("ATTEMPT"),
        Column::new("BY").spare(),
        Column::new("OUTCOME"),
        Column::number("TOOK").spare(),
        Column::number("SEEN").spare(),
        Column::number("CHANGED").spare(),
        Column::number("CALLS").spare(),
        Column::cut("ERROR", 16),
    ]);
    for line in log {
        let changed = line.items.added + line.items.changed + line.items.removed;
        table.row(vec![
            Cell::new(ago(line.started_at, now)).exact(line.started_at.to_string()),
            Cell::new(line.trigger.to_string()),
            Cell::new(&*line.outcome),
            Cell::new(format!("{} ms", line.duration_ms)).exact(line.duration_ms.to_string()),
            Cell::new(line.items.seen.to_string()),
            Cell::new(changed.to_string()),
            Cell::new(line.spent.calls.to_string()),
            Cell::new(line.error.as_deref().unwrap_or_default()).tone(Tone::Bad),
        ]);
    }
    table
}
