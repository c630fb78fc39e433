//! What an entry holds, as people see it: a table a kind, with the columns that say most of it.

use larder_core::{Member, MemberState, Time};
use larder_domain::{
    ARTIFACT, Artifact, LocalProject, PROJECT, REPOSITORY, Repository, TRACKER, Tracker, TrackerState,
};

use super::artifacts::marks;
use super::repos::short_count;
use crate::ui::{Cell, Column, Screen, Table, Tone, ago};

/// The tables of all kinds that are there, hidden members left out.
pub fn tables(members: &[Member], now: Time, screen: &Screen) -> String {
    let visible: Vec<&Member> = members.iter().filter(|one| one.state != MemberState::Hidden).collect();
    let mut kinds: Vec<&str> = visible.iter().map(|member| &*member.item.of.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    // A project before its artifacts.
    kinds.sort_by_key(|kind| *kind != PROJECT);
    let table = |kind: &&str| {
        let of_kind = visible.iter().copied().filter(|member| &*member.item.of.kind == *kind);
        let of_kind: Vec<&Member> = of_kind.collect();
        match *kind {
            REPOSITORY => repositories(&of_kind, now),
            TRACKER => trackers(&of_kind, now),
            PROJECT => projects(&of_kind),
            ARTIFACT => artifacts(&of_kind),
            _ => others(&of_kind, now),
        }
        .render(screen)
    };
    kinds.iter().map(table).collect::<Vec<String>>().join("\n")
}

/// A name, with a mark where it was not there the last time.
fn name(name: &str, member: &Member) -> Cell<'static> {
    let gone = if member.state == MemberState::Absent { " (gone?)" } else { "" };
    Cell::new(format!("{name}{gone}")).tone(Tone::Strong)
}

fn time(at: Option<Time>, now: Time) -> Cell<'static> {
    Cell::new(at.map(|at| ago(at, now)).unwrap_or_default())
        .exact(at.map(|at| at.to_string()).unwrap_or_default())
        .tone(Tone::Quiet)
}

fn repositories(members: &[&Member], now: Time) -> Table<'static> {
    let mut table = Table::new(vec![
        Column::new("NAME").squeezed(8),
        Column::number("STARS"),
        Column::cut("LANGUAGE", 8),
        Column::new("UPDATED"),
        Column::new("FETCHED").spare(),
        Column::cut("DESCRIPTION", 16),
    ]);
    for member in members {
        let repository: Repository = member.item.doc.decode().unwrap_or_default();
        table.row(vec![
            name(&repository.full_name, member),
            Cell::new(short_count(repository.stars)).exact(repository.stars.to_string()),
            Cell::new(repository.language.unwrap_or_default()),
            time(repository.updated_at, now),
            time(Some(member.item.fetched_at), now),
            Cell::new(repository.description.unwrap_or_default()),
        ]);
    }
    table
}

fn trackers(members: &[&Member], now: Time) -> Table<'static> {
    let mut table = Table::new(vec![
        Column::new("NAME").squeezed(8),
        Column::new("TRACKER"),
        Column::new("STATE"),
        Column::new("OPENED"),
        Column::new("CLOSED"),
        Column::cut("TITLE", 16),
    ]);
    for member in members {
        let tracker: Tracker = member.item.doc.decode().unwrap_or_default();
        table.row(vec![
            name(&tracker.name, member),
            Cell::new(format!("#{}", tracker.number)),
            Cell::new(match tracker.state {
                TrackerState::Open => "open",
                TrackerState::Closed => "closed",
            }),
            time(tracker.created_at, now),
            time(tracker.closed_at, now),
            Cell::new(tracker.title),
        ]);
    }
    table
}

fn projects(members: &[&Member]) -> Table<'static> {
    let mut table = Table::new(vec![
        Column::new("PROJECT").squeezed(8),
        Column::number("ARTIFACTS"),
        Column::number("OUTDATED"),
        Column::number("MODIFIED"),
        Column::number("MISSING"),
        Column::cut("PATH", 16),
    ]);
    for member in members {
        let project: LocalProject = member.item.doc.decode().unwrap_or_default();
        let counts = [project.artifacts, project.outdated, project.modified, project.missing];
        let mut row = vec![name(&project.name, member)];
        row.extend(counts.map(|count| Cell::new(count.to_string())));
        row.push(Cell::new(project.path).tone(Tone::Quiet));
        table.row(row);
    }
    table
}

fn artifacts(members: &[&Member]) -> Table<'static> {
    let mut table = Table::new(vec![
        Column::new("NAME").squeezed(8),
        Column::new("TYPE"),
        Column::new("STATE"),
        Column::new("VERSION"),
        Column::cut("DESCRIPTION", 16),
    ]);
    for member in members {
        let artifact: Artifact = member.item.doc.decode().unwrap_or_default();
        table.row(vec![
            name(&artifact.name, member),
            Cell::new(artifact.kind.word()),
            Cell::new(marks(&artifact)),
            Cell::new(artifact.version.unwrap_or_default()),
            Cell::new(artifact.description.unwrap_or_default()),
        ]);
    }
    table
}

/// What this program has no columns for: who it is, and how old.
fn others(members: &[&Member], now: Time) -> Table<'static> {
    let mut table =
        Table::new(vec![Column::new("KIND"), Column::new("ID").squeezed(8), Column::new("FETCHED")]);
    for member in members {
        let of = &member.item.of;
        table.row(vec![
            Cell::new(of.kind.to_string()).tone(Tone::Quiet),
            name(&of.id, member),
            time(Some(member.item.fetched_at), now),
        ]);
    }
    table
}
