//! A list of trackers on the screen: of one repository's it lies ready beside the entry, so that ten
//! thousand are printed without ten thousand documents.

use larder_core::Sheet;
use larder_domain::{Reads, TrackerLine, TrackerState, TrackerType};

use super::{LIST_MAX, ListArgs, SourceArgs, StateArg, listed, query};
use crate::commands::entry::EntryView;
use crate::report::Complaint;
use crate::ui::{Cell, Column, Screen, Table, Tabs, Tone};
use crate::wiring::Rooms;

/// How much of a list is read at first for each line asked for: most lines are shorter by half, so that
/// some may be passed over.
const BYTES_A_LINE: usize = 96;

/// Prints one repository's trackers from the list that lies ready beside their entry; where none does, it
/// is made from the trackers themselves, printed, and kept for the next reader.
pub(super) async fn print_kept(
    of: &TrackerType,
    args: &ListArgs,
    entry: &EntryView,
    rooms: &Rooms<'_>,
    screen: &Screen,
) -> Result<(), Complaint> {
    let store = rooms.reader().store();
    let limit = limit(args);
    for bytes in [limit.saturating_mul(BYTES_A_LINE), usize::MAX] {
        let Some(sheet) = store.sheet(&entry.key, TrackerLine::FORM, bytes).await? else { break };
        if !sheet.is_whole && chosen(args, TrackerLine::read(&sheet.text)).count() < limit {
            continue;
        }
        if let Some(text) = shown(of, chosen(args, TrackerLine::read(&sheet.text)), screen) {
            return screen.answer(&text);
        }
    }
    let all = ListArgs { state: StateArg::All, since: None, limit: None, source: SourceArgs::default() };
    let trackers = listed(rooms, query(std::slice::from_ref(&entry.key), &all)).await?;
    let lines = chosen(args, trackers.iter().map(|tracker| Some(TrackerLine::of(tracker))));
    screen.answer(&shown(of, lines, screen).unwrap_or_default())?;
    let text = TrackerLine::written(&trackers);
    let sheet = Sheet { form: TrackerLine::FORM.to_owned(), version: entry.version, text };
    // The answer is out: a store that takes no more has it made again by the next reader.
    if let Err(error) = store.keep_sheet(&entry.key, &sheet).await {
        tracing::debug!(%error, "a list could not be kept");
    }
    Ok(())
}

/// A tracker of a list, and its repository where lists show that; `None` = it cannot be read.
pub(super) type Shown<'t> = Option<(TrackerLine<'t>, Option<&'t str>)>;

/// Those of one repository's that are asked for.
fn chosen<'t>(
    args: &ListArgs,
    lines: impl Iterator<Item = Option<TrackerLine<'t>>>,
) -> impl Iterator<Item = Shown<'t>> {
    let is_meant = |line: &TrackerLine<'_>| {
        let of_state = match args.state {
            StateArg::All => true,
            StateArg::Open => line.state == TrackerState::Open,
            StateArg::Closed => line.state == TrackerState::Closed,
        };
        of_state && args.since.is_none_or(|since| line.created_at().is_some_and(|at| at >= since))
    };
    let meant = lines.filter(move |line| line.as_ref().is_none_or(is_meant));
    meant.take(limit(args)).map(|line| Some((line?, None)))
}

fn limit(args: &ListArgs) -> usize {
    args.limit.map_or(LIST_MAX, |limit| limit as usize)
}

/// Trackers as this screen shows them, each with its repository or all without; `None` = not all of
/// them can be read.
pub(super) fn shown<'t>(
    of: &TrackerType,
    lines: impl Iterator<Item = Shown<'t>>,
    screen: &Screen,
) -> Option<String> {
    let mut lines = lines.peekable();
    let Some(first) = lines.peek() else { return Some(format!("No {} found\n", of.plural())) };
    let columns = columns(of, first.as_ref()?.1.is_some());
    let over = if of.name == "release" { "Released" } else { "Closed" };
    let has_codename = of.reads == Reads::Version;
    if screen.is_terminal {
        let mut table = Table::new(columns);
        for line in lines {
            let (line, repo) = line?;
            table.row(cells(&line, repo, has_codename, over));
        }
        return Some(table.render(screen));
    }
    let mut tabs = Tabs::new(&columns);
    for line in lines {
        let (line, repo) = line?;
        tabs.cell(line.name);
        if has_codename {
            match line.codename {
                Some(codename) => tabs.cell(codename),
                None => tabs.word("-"),
            }
        }
        tabs.number('#', line.number);
        tabs.word(if line.state == TrackerState::Open { "Active" } else { over });
        if let Some(repo) = repo {
            tabs.cell(repo);
        }
    }
    Some(tabs.into_text())
}

fn cells<'t>(
    line: &TrackerLine<'t>,
    repo: Option<&'t str>,
    has_codename: bool,
    over: &'static str,
) -> impl Iterator<Item = Cell<'t>> {
    let status = match line.state {
        TrackerState::Open => Cell::lent("Active"),
        TrackerState::Closed => Cell::lent(over).tone(Tone::Quiet),
    };
    let cells = [
        Some(Cell::lent(line.name).tone(Tone::Strong)),
        has_codename.then(|| Cell::lent(line.codename.unwrap_or("-"))),
        Some(Cell::new(format!("#{}", line.number))),
        Some(status),
        repo.map(|repo| Cell::lent(repo).tone(Tone::Quiet)),
    ];
    cells.into_iter().flatten()
}

fn columns(of: &TrackerType, shows_repo: bool) -> Vec<Column> {
    let title = match (of.name.as_str(), of.reads) {
        ("microsprint", _) => "MICROSPRINT",
        (_, Reads::Version) => "VERSION",
        (_, Reads::Name) => "NAME",
    };
    let mut columns = vec![Column::new(title)];
    if of.reads == Reads::Version {
        columns.push(Column::new("CODENAME"));
    }
    columns.extend([Column::new("TRACKER"), Column::new("STATUS")]);
    if shows_repo {
        columns.push(Column::cut("REPO", 12));
    }
    columns
}
