//! Tables for people (aligned, cut to the terminal's width, one line a row) and for pipes (tabs,
//! nothing cut). No table crate cuts by the columns' importance, so this one is Larder's own.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::screen::{Screen, Tone, harmless};
use super::tabs::Tabs;

/// Which side a column's text stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    align: Align,
    room: Room,
}

/// What becomes of a column where a line gets too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// It is shown whole.
    Whole,
    /// It is shown whole, or left out: before any that can be cut.
    Spare,
    /// It is shown whole, or left out where it says nothing (zeros, or nothing at all), or at the very last.
    Telling,
    /// It is shown whole, or cut to so many columns when nothing else can go.
    Squeezed(usize),
    /// It is cut to so many columns at the least, and left out at last.
    Cut(usize),
}

/// A cell: what a person reads, and what a program reads in its place.
#[derive(Debug, Clone, Default)]
pub struct Cell<'t> {
    text: Cow<'t, str>,
    exact: Option<Cow<'t, str>>,
    tone: Tone,
}

/// Rows under columns.
#[derive(Debug, Clone)]
pub struct Table<'t> {
    columns: Vec<Column>,
    /// All rows' cells, one row behind the other.
    cells: Vec<Cell<'t>>,
}

const GAP: usize = 2;

impl Room {
    /// How far a column is cut before any goes.
    fn least(self) -> Option<usize> {
        if let Room::Cut(least) = self { Some(least) } else { None }
    }

    /// How far one is cut when no other can go.
    fn least_squeezed(self) -> Option<usize> {
        if let Room::Squeezed(least) = self { Some(least) } else { None }
    }
}

impl Column {
    /// One that is always shown whole.
    pub const fn new(title: &'static str) -> Self {
        Column { title, align: Align::Left, room: Room::Whole }
    }

    /// One of numbers.
    pub const fn number(title: &'static str) -> Self {
        Column { title, align: Align::Right, room: Room::Whole }
    }

    /// One that is cut where a line gets too long, and left out when even `least` columns are too
    /// many.
    pub const fn cut(title: &'static str, least: usize) -> Self {
        Column { title, align: Align::Left, room: Room::Cut(least) }
    }

    /// What stands above it.
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// This one, left out where there is no room for it: programs and `show` tell it all the same.
    #[must_use]
    pub const fn spare(self) -> Self {
        Column { room: Room::Spare, ..self }
    }

    /// This one, left out where there is no room for it and it says nothing: zeros, or nothing at all.
    #[must_use]
    pub const fn telling(self) -> Self {
        Column { room: Room::Telling, ..self }
    }

    /// This one, cut to `least` columns where nothing else is left that could go.
    #[must_use]
    pub const fn squeezed(self, least: usize) -> Self {
        Column { room: Room::Squeezed(least), ..self }
    }
}

impl<'t> Cell<'t> {
    /// A text. Control characters, which could move a terminal's cursor, become blanks.
    pub fn new(text: impl Into<String>) -> Self {
        let text: String = text.into();
        Cell { text: Cow::Owned(harmless(&text).into_owned()), exact: None, tone: Tone::Plain }
    }

    /// The same of a text that outlives the table: ten thousand of them are not copied.
    pub fn lent(text: &'t str) -> Self {
        Cell { text: harmless(text), exact: None, tone: Tone::Plain }
    }

    /// In a tone.
    #[must_use]
    pub fn tone(self, tone: Tone) -> Self {
        Cell { tone, ..self }
    }

    /// With another text for programs.
    #[must_use]
    pub fn exact(self, exact: impl Into<String>) -> Self {
        let exact: String = exact.into();
        Cell { exact: Some(Cow::Owned(harmless(&exact).into_owned())), ..self }
    }
}

impl<'t> Table<'t> {
    /// An empty table.
    pub fn new(columns: Vec<Column>) -> Self {
        Table { columns, cells: Vec::new() }
    }

    /// Adds a row: one cell a column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell<'t>>) {
        self.cells.extend(cells);
        debug_assert_eq!(self.cells.len() % self.columns.len(), 0);
    }

    fn rows(&self) -> impl Iterator<Item = &[Cell<'t>]> {
        self.cells.chunks(self.columns.len())
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The table as this screen shows it.
    pub fn render(&self, screen: &Screen) -> String {
        if screen.is_terminal { self.aligned(screen) } else { self.tabbed(screen) }
    }

    /// For programs: a line of titles, then a line a row, with tabs between; in colour for whoever wants it.
    fn tabbed(&self, screen: &Screen) -> String {
        let mut tabs = Tabs::bare(self.columns.len());
        let mut push = |text: &str, tone| {
            if screen.is_plain() { tabs.push(text) } else { tabs.push(&screen.paint(text, tone)) }
        };
        self.columns.iter().for_each(|column| push(column.title, Tone::Quiet));
        for cell in &self.cells {
            push(cell.exact.as_ref().unwrap_or(&cell.text), cell.tone);
        }
        tabs.into_text()
    }

    fn aligned(&self, screen: &Screen) -> String {
        let widths = self.widths(screen.width);
        let mut text = String::new();
        let titles: Vec<Cell<'_>> =
            self.columns.iter().map(|column| Cell::new(column.title).tone(Tone::Quiet)).collect();
        self.line(&titles, &widths, screen, &mut text);
        for row in self.rows() {
            self.line(row, &widths, screen, &mut text);
        }
        text
    }

    fn line(&self, cells: &[Cell<'_>], widths: &[Option<usize>], screen: &Screen, text: &mut String) {
        // Blanks are written before the next cell, so that no line ends with any.
        let mut owed = 0;
        for ((cell, column), width) in cells.iter().zip(&self.columns).zip(widths) {
            let Some(width) = width else { continue };
            let shown = cut(&cell.text, *width);
            let space = width.saturating_sub(shown.width());
            let (before, after) = match column.align {
                Align::Left => (0, space),
                Align::Right => (space, 0),
            };
            if shown.is_empty() {
                owed += before + after + GAP;
            } else {
                text.extend(std::iter::repeat_n(' ', owed + before));
                text.push_str(&screen.paint(&shown, cell.tone));
                owed = after + GAP;
            }
        }
        text.push('\n');
    }

    /// The width of each column; `None` = left out. What says nothing goes first. Columns that may be cut
    /// share what the others leave, from the last to the first; where that is not enough, one after the
    /// other goes.
    fn widths(&self, total: usize) -> Vec<Option<usize>> {
        let wanted = |place: usize| {
            let cells = self.rows().map(|row| row[place].text.width());
            cells.chain([self.columns[place].title.width()]).max().unwrap_or(0)
        };
        let mut wanted: Vec<Option<usize>> =
            (0..self.columns.len()).map(|place| Some(wanted(place))).collect();
        for place in (0..wanted.len()).rev().filter(|place| self.says_nothing(*place)) {
            if used(&wanted) > total {
                wanted[place] = None;
            }
        }
        loop {
            let widths = self.cut_to_fit(&wanted, total, Room::least);
            if used(&widths) <= total {
                return widths;
            }
            let squeezed = self.cut_to_fit(&wanted, total, Room::least_squeezed);
            match self.next_to_go(&wanted, used(&squeezed) <= total) {
                Some(goes) => wanted[goes] = None,
                None => return squeezed,
            }
        }
    }

    /// Which column goes next: what can be spared, then what could be cut; of the others, the first that
    /// tells something, unless it is enough to squeeze.
    fn next_to_go(&self, wanted: &[Option<usize>], is_enough: bool) -> Option<usize> {
        let is = |place: &usize, is_meant: fn(Room) -> bool| {
            wanted[*place].is_some() && is_meant(self.columns[*place].room)
        };
        let mut places = 0..wanted.len();
        let last = |is_meant| places.clone().rev().find(|place| is(place, is_meant));
        last(|room| room == Room::Spare)
            .or_else(|| last(|room| matches!(room, Room::Cut(_))))
            .or_else(|| places.find(|place| !is_enough && is(place, |room| room == Room::Telling)))
    }

    /// Whether a column that may go has nothing but zeros and blanks in any row.
    fn says_nothing(&self, place: usize) -> bool {
        let may_go = !matches!(self.columns[place].room, Room::Whole | Room::Squeezed(_));
        may_go && self.rows().all(|row| matches!(&*row[place].text, "" | "0"))
    }

    fn cut_to_fit(
        &self,
        wanted: &[Option<usize>],
        total: usize,
        least_of: impl Fn(Room) -> Option<usize>,
    ) -> Vec<Option<usize>> {
        let mut widths = wanted.to_vec();
        for place in (0..widths.len()).rev() {
            let over = used(&widths).saturating_sub(total);
            if let (Some(least), Some(width)) = (least_of(self.columns[place].room), widths[place]) {
                widths[place] = Some(width.saturating_sub(over).max(least.min(width)));
            }
        }
        widths
    }
}

/// The columns that a line takes.
fn used(widths: &[Option<usize>]) -> usize {
    let shown: Vec<usize> = widths.iter().flatten().copied().collect();
    shown.iter().sum::<usize>() + GAP * shown.len().saturating_sub(1)
}

/// A text within a width, with a sign that it goes on.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let mut kept = String::new();
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        kept.push(c);
    }
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<'static> {
        let mut table =
            Table::new(vec![Column::new("NAME"), Column::number("STARS"), Column::cut("DESCRIPTION", 8)]);
        table.row(vec![
            Cell::new("octo/cinder"),
            Cell::new("7"),
            Cell::new("Parses\nthings that nobody else parses"),
        ]);
        table.row(vec![Cell::new("octo/ü"), Cell::new("1.2k").exact("1234"), Cell::new("")]);
        table
    }

    #[test]
    fn a_terminal_gets_aligned_lines_that_fit() {
        insta::assert_snapshot!(table().render(&Screen::of_width(Some(40))), @r"
        NAME         STARS  DESCRIPTION
        octo/cinder      7  Parses things that…
        octo/ü        1.2k
        ");
    }

    #[test]
    fn a_narrow_terminal_loses_what_matters_least() {
        insta::assert_snapshot!(table().render(&Screen::of_width(Some(20))), @r"
        NAME         STARS
        octo/cinder      7
        octo/ü        1.2k
        ");
    }

    #[test]
    fn what_can_be_spared_goes_before_anything_is_left_out_that_could_be_cut() {
        let columns =
            vec![Column::new("NAME"), Column::number("STARS").spare(), Column::cut("DESCRIPTION", 8)];
        let table = Table { columns, ..table() };
        insta::assert_snapshot!(table.render(&Screen::of_width(Some(24))), @r"
        NAME         DESCRIPTION
        octo/cinder  Parses thi…
        octo/ü
        ");
    }

    #[test]
    fn what_says_nothing_goes_first_and_what_matters_most_is_cut_last() {
        let columns = vec![
            Column::new("KEY").squeezed(6),
            Column::number("ODD").telling(),
            Column::number("LOST").telling(),
            Column::cut("FOLDER", 6),
        ];
        let mut table = Table::new(columns);
        table.row(["cluster/quill", "0", "2", "/home/me/quill"].map(Cell::new));
        insta::assert_snapshot!(table.render(&Screen::of_width(Some(36))), @r"
        KEY            LOST  FOLDER
        cluster/quill     2  /home/me/quill
        ");
        insta::assert_snapshot!(table.render(&Screen::of_width(Some(16))), @r"
        KEY         LOST
        cluster/q…     2
        ");
        insta::assert_snapshot!(table.render(&Screen::of_width(Some(8))), @r"
        KEY
        cluster…
        ");
    }

    #[test]
    fn whoever_wants_colour_in_a_pipe_gets_it() {
        let env = crate::config::Environment::default();
        let screen = Screen::of_this_process(crate::ui::ColorChoice::Always, false, &env);
        let mut table = Table::new(vec![Column::new("NAME"), Column::new("STATE")]);
        table.row([Cell::new("quill"), Cell::new("dead").tone(Tone::Bad)]);
        assert!(table.tabbed(&screen).contains("quill\t\u{1b}[31;1mdead"), "{:?}", table.tabbed(&screen));
    }

    #[test]
    fn a_pipe_gets_tabs_and_exact_values() {
        let text = table().render(&Screen::of_width(None));
        assert_eq!(
            text,
            "NAME\tSTARS\tDESCRIPTION\nocto/cinder\t7\tParses things that nobody else parses\nocto/ü\t1234\t\n"
        );
    }

    #[test]
    fn wide_characters_count_as_two() {
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字漢字", 8), "漢字漢字");
    }
}
