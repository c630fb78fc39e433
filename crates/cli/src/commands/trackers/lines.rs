//! A list of trackers on the screen. One repository's lies ready beside its entry, in the very lines that
//! a pipe gets, so that ten thousand are passed on without ten thousand documents.

use std::borrow::Cow;

use larder_core::{Sheet, SheetText};
use larder_domain::{Reads, Tracker, TrackerState, TrackerType};

use super::{ListArgs, StateArg, listed, query};
use crate::commands::entry::EntryView;
use crate::memo::Kept;
use crate::report::Complaint;
use crate::ui::{Cell, Column, Screen, Table, Tabs, Tone};
use crate::wiring::Rooms;

/// How much of a list is read at first for each line asked for: most lines are shorter by half, so that
/// some may be passed over.
const BYTES_A_LINE: usize = 96;

/// What lines say of an open tracker.
const OPEN: &str = "Active";

/// Prints a list that was kept; `false` = it is none of these lines.
pub(super) fn pass_on(
    of: &TrackerType,
    args: &ListArgs,
    kept: &Kept,
    screen: &Screen,
) -> Result<bool, Complaint> {
    let (file, begins, bytes) = kept.place();
    // No more lines than bytes: nothing need be counted, nor looked at.
    let is_all = args.state == StateArg::All && bytes <= args.most() as u64;
    if is_all && screen.is_plain() && screen.pass(file, begins, bytes)? {
        return Ok(true);
    }
    for bytes in enough(args) {
        let Some(sheet) = kept.beginning(bytes) else { break };
        if print_chosen(of, args, &sheet, screen)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Prints one repository's trackers from the list that lies ready beside their entry; where none does, it
/// is made from the trackers themselves, printed, and kept for the next reader. Answers all of it, if
/// `wants_all` or if it was read in any case.
pub(super) async fn print_kept(
    of: &TrackerType,
    args: &ListArgs,
    entry: &EntryView,
    rooms: &Rooms<'_>,
    screen: &Screen,
    wants_all: bool,
) -> Result<Option<String>, Complaint> {
    let store = rooms.reader().store();
    let of_entry = std::slice::from_ref(&entry.key);
    // The lines do not say when: the store does.
    if args.since.is_some() {
        let since = listed(rooms, query(of_entry, args), screen).await?;
        print(of, &since.trackers, Repo::Left, screen)?;
        return Ok(None);
    }
    let form = form(of);
    for bytes in enough(args) {
        let Some(sheet) = store.sheet(&entry.key, &form, bytes).await? else { break };
        if print_chosen(of, args, &sheet, screen)? {
            if sheet.is_whole || !wants_all {
                return Ok(Some(sheet.text).filter(|_| sheet.is_whole));
            }
            let whole = store.sheet(&entry.key, &form, usize::MAX).await?;
            return Ok(whole.map(|sheet| sheet.text));
        }
    }
    let all = listed(rooms, query(of_entry, &ListArgs::default()), screen).await?;
    let text = written(of, &all.trackers, Repo::Left);
    let asked = chosen(&text, true, args).unwrap_or_default();
    screen.answer(&shown(of, &asked, Repo::Left, screen).unwrap_or_default())?;
    if !all.is_all {
        // The next reader has to be told of those that are left out.
        return Ok(None);
    }
    let sheet = Sheet { form, version: entry.version, text };
    // The answer is out: a store that takes no more has it made again by the next reader.
    if let Err(error) = store.keep_sheet(&entry.key, &sheet).await {
        tracing::debug!(%error, "a list could not be kept");
    }
    Ok(Some(sheet.text))
}

/// How much of a list is read first, and what if that is not enough.
fn enough(args: &ListArgs) -> [usize; 2] {
    [args.most().saturating_add(1).saturating_mul(BYTES_A_LINE), usize::MAX]
}

/// Prints what is asked for of a list, if that is all there.
fn print_chosen(
    of: &TrackerType,
    args: &ListArgs,
    sheet: &SheetText,
    screen: &Screen,
) -> Result<bool, Complaint> {
    let Some(text) = chosen(&sheet.text, sheet.is_whole, args) else { return Ok(false) };
    let Some(text) = shown(of, &text, Repo::Left, screen) else { return Ok(false) };
    screen.answer(&text).map(|()| true)
}

/// Prints these trackers, in their order.
pub(super) fn print(
    of: &TrackerType,
    trackers: &[Tracker],
    repo: Repo,
    screen: &Screen,
) -> Result<(), Complaint> {
    screen.answer(&shown(of, &written(of, trackers, repo), repo, screen).unwrap_or_default())
}

/// Whether lines say whose a tracker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repo {
    Shown,
    Left,
}

/// What [`written`] writes of a type, in words for the store: another title or word is another form.
pub(super) fn form(of: &TrackerType) -> String {
    let titles: Vec<&str> = columns(of, Repo::Left).iter().map(Column::title).collect();
    format!("lines/1/{}/{}", titles.join("+"), over(of))
}

/// Trackers as programs get them: a line of titles, then a line each.
fn written(of: &TrackerType, trackers: &[Tracker], repo: Repo) -> String {
    let mut tabs = Tabs::new(&columns(of, repo));
    for tracker in trackers {
        tabs.cell(&tracker.name);
        if of.reads == Reads::Version {
            tabs.cell(tracker.codename.as_deref().unwrap_or("-"));
        }
        tabs.number('#', tracker.number);
        tabs.word(if tracker.state == TrackerState::Open { OPEN } else { over(of) });
        if repo == Repo::Shown {
            tabs.cell(&tracker.repo);
        }
    }
    tabs.into_text()
}

/// The line of titles and those of the lines that are asked for; `None` = these are not enough to tell.
fn chosen<'t>(text: &'t str, is_whole: bool, args: &ListArgs) -> Option<Cow<'t, str>> {
    if args.state == StateArg::All {
        // No more lines than bytes: nothing need be counted.
        if is_whole && text.len() <= args.most() {
            return Some(text.into());
        }
        return match memchr::memchr_iter(b'\n', text.as_bytes()).nth(args.most()) {
            Some(end) => Some(text[..=end].into()),
            None => is_whole.then_some(text.into()),
        };
    }
    let mut lines = text.split_inclusive('\n');
    let titles = lines.next()?;
    let mut left = args.most();
    let mut chosen = titles.to_owned();
    for line in lines {
        let is_open = line.trim_end().ends_with(OPEN);
        if left > 0 && is_open == (args.state == StateArg::Open) {
            chosen.push_str(line);
            left -= 1;
        }
    }
    (is_whole || left == 0).then_some(chosen.into())
}

/// Lines as this screen shows them; `None` = they are none of [`written`]'s.
fn shown<'t>(of: &TrackerType, text: &'t str, repo: Repo, screen: &Screen) -> Option<Cow<'t, str>> {
    let lines = &text[text.find('\n')? + 1..];
    if lines.is_empty() {
        return Some(format!("No {} found\n", of.plural()).into());
    }
    if screen.is_plain() {
        return Some(text.into());
    }
    let columns = columns(of, repo);
    let count = columns.len();
    let mut table = Table::new(columns);
    for line in lines.lines() {
        let cells: Vec<Cell<'_>> =
            line.split('\t').enumerate().map(|(at, text)| cell(at, text, of)).collect();
        if cells.len() != count {
            return None;
        }
        table.row(cells);
    }
    Some(table.render(screen).into())
}

fn cell<'t>(at: usize, text: &'t str, of: &TrackerType) -> Cell<'t> {
    let status = if of.reads == Reads::Version { 3 } else { 2 };
    let cell = Cell::lent(text);
    match at {
        0 => cell.tone(Tone::Strong),
        _ if at > status || (at == status && text != OPEN) => cell.tone(Tone::Quiet),
        _ => cell,
    }
}

/// What lines say of a tracker that is closed.
fn over(of: &TrackerType) -> &'static str {
    if of.name == "release" { "Released" } else { "Closed" }
}

fn columns(of: &TrackerType, repo: Repo) -> Vec<Column> {
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
    if repo == Repo::Shown {
        columns.push(Column::cut("REPO", 12));
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trackers() -> Vec<Tracker> {
        let tracker = |number: u64, name: &str, codename: Option<&str>, state| Tracker {
            number,
            name: name.to_owned(),
            codename: codename.map(str::to_owned),
            state,
            repo: "octo-org/kiln".to_owned(),
            ..Tracker::default()
        };
        vec![
            tracker(9, "v2.0.0", Some("Phoenix"), TrackerState::Open),
            tracker(7, "v1\n\tx", None, TrackerState::Closed),
            tracker(3, "v0.9.0", Some("Active"), TrackerState::Closed),
        ]
    }

    fn lines(args: &ListArgs) -> String {
        let of = TrackerType::release();
        chosen(&written(&of, &trackers(), Repo::Left), true, args).unwrap().into_owned()
    }

    #[test]
    fn a_title_with_tabs_and_newlines_stays_one_line() {
        insta::assert_snapshot!(lines(&ListArgs::default()).replace('\t', "|"), @r"
        VERSION|CODENAME|TRACKER|STATUS
        v2.0.0|Phoenix|#9|Active
        v1  x|-|#7|Released
        v0.9.0|Active|#3|Released
        ");
    }

    #[test]
    fn lines_are_chosen_by_their_status_and_number() {
        let of = |state, limit| lines(&ListArgs { state, limit, ..ListArgs::default() });
        assert_eq!(of(StateArg::Open, None).lines().count(), 2);
        assert_eq!(of(StateArg::Closed, None).lines().count(), 3);
        assert!(of(StateArg::Closed, Some(1)).ends_with("#7\tReleased\n"));
        assert_eq!(of(StateArg::All, Some(3)), of(StateArg::All, None));
        assert!(of(StateArg::All, Some(2)).ends_with("#7\tReleased\n"));
    }

    #[test]
    fn a_beginning_is_enough_where_it_has_all_that_is_wanted() {
        let text = written(&TrackerType::release(), &trackers(), Repo::Left);
        let part = &text[..text.find("v0.9").unwrap()];
        let enough = |state, limit| {
            let args = ListArgs { state, limit, ..ListArgs::default() };
            let is_the_same = |some: Cow<'_, str>| some == chosen(&text, true, &args).unwrap();
            chosen(part, false, &args).map(is_the_same)
        };
        assert_eq!(enough(StateArg::All, Some(2)), Some(true));
        assert_eq!(enough(StateArg::Closed, Some(1)), Some(true));
        assert_eq!(enough(StateArg::Open, Some(1)), Some(true));
        assert_eq!(enough(StateArg::All, Some(3)), None);
        assert_eq!(enough(StateArg::Closed, Some(2)), None);
        assert_eq!(enough(StateArg::All, None), None);
    }

    #[test]
    fn a_terminal_gets_them_aligned_and_what_is_no_list_is_made_anew() {
        let (of, screen) = (TrackerType::release(), Screen::of_width(Some(60)));
        let text = written(&of, &trackers(), Repo::Shown);
        insta::assert_snapshot!(shown(&of, &text, Repo::Shown, &screen).unwrap(), @r"
        VERSION  CODENAME  TRACKER  STATUS    REPO
        v2.0.0   Phoenix   #9       Active    octo-org/kiln
        v1  x    -         #7       Released  octo-org/kiln
        v0.9.0   Active    #3       Released  octo-org/kiln
        ");
        assert_eq!(shown(&of, &text, Repo::Left, &screen), None);
        assert_eq!(shown(&of, "no list", Repo::Left, &screen), None);
        assert_eq!(shown(&of, "VERSION\n", Repo::Left, &screen).unwrap(), "No releases found\n");
    }
}
