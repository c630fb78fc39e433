//! The terminal, or the pipe that stands in its place.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use owo_colors::{OwoColorize as _, Style};

use super::words::wrapped;
use crate::config::Environment;
use crate::report::Complaint;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Also in a pipe.
    Always,
    /// Nowhere.
    Never,
}

/// What a piece of text is, which decides its colour. Colour is never the only sign of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Just text.
    #[default]
    Plain,
    /// The name of the thing a line is about.
    Strong,
    /// Of less interest.
    Quiet,
    /// All is well.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
}

/// Where output goes, and how it may look there.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each stream has its own manners")]
pub struct Screen {
    /// Whether answers are read by a person on a terminal.
    pub is_terminal: bool,
    /// Whether a person sees standard error as it comes.
    pub shows_progress: bool,
    /// How many columns a line has; unlimited in a pipe.
    pub width: usize,
    /// The same of standard error.
    err_width: usize,
    paint_out: bool,
    paint_err: bool,
    quiet: bool,
    /// Whether whoever read the answers has gone.
    is_left: Arc<AtomicBool>,
}

/// Narrower terminals are written to as if they had this many columns.
const WIDTH_MIN: usize = 20;

impl Screen {
    /// The process's own.
    pub fn of_this_process(color: ColorChoice, quiet: bool, env: &Environment) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let sees_errors = io::stderr().is_terminal();
        let plain =
            env.get("NO_COLOR").is_some() || env.is_odd("NO_COLOR") || env.get("TERM") == Some("dumb");
        let paint = |on_terminal: bool| match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => on_terminal && !plain,
        };
        let columns = || {
            let said = env.get("COLUMNS").and_then(|text| text.parse().ok());
            said.or_else(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)))
        };
        let width = |on_terminal: bool| {
            if on_terminal { columns().unwrap_or(80).max(WIDTH_MIN) } else { usize::MAX }
        };
        Screen {
            is_terminal,
            shows_progress: sees_errors && !quiet,
            width: width(is_terminal),
            err_width: width(sees_errors),
            paint_out: paint(is_terminal),
            paint_err: paint(sees_errors),
            quiet,
            is_left: Arc::default(),
        }
    }

    /// A screen of a test's own, with no colour.
    #[cfg(test)]
    pub fn of_width(width: Option<usize>) -> Self {
        Screen {
            is_terminal: width.is_some(),
            shows_progress: false,
            width: width.unwrap_or(usize::MAX),
            err_width: width.unwrap_or(usize::MAX),
            paint_out: false,
            paint_err: false,
            quiet: false,
            is_left: Arc::default(),
        }
    }

    /// Prints an answer. A reader that has gone away (`… | head`) has had enough, which is no
    /// failure; whoever would go on for ever asks whether there is [one](Screen::has_reader).
    pub fn answer(&self, text: &str) -> Result<(), Complaint> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_left.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(Complaint::failed("the answer could not be written").because(error)),
            Ok(()) => Ok(()),
        }
    }

    /// Whether answers are as programs get them, without colour.
    pub fn is_plain(&self) -> bool {
        !self.is_terminal && !self.paint_out
    }

    /// Whether nobody was found to have gone away so far.
    pub fn has_reader(&self) -> bool {
        !self.is_left.load(Ordering::Relaxed)
    }

    /// Prints as an answer a part of a file that nobody ever changes, where it begins and how long it is: without
    /// reading it, where the system can do without. `false` = it cannot.
    #[cfg(target_os = "linux")]
    #[expect(clippy::unused_self, reason = "answers go through the screen, wherever that is")]
    pub fn pass(&self, file: &File, begins: u64, bytes: u64) -> Result<bool, Complaint> {
        let failed = |error: io::Error| Complaint::failed("the answer could not be written").because(error);
        let mut out = io::stdout().lock();
        out.flush().map_err(failed)?;
        let (mut at, end) = (begins, begins + bytes);
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            match rustix::fs::sendfile(&out, file, Some(&mut at), left) {
                Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE) => return Ok(true),
                // Not every kind of file takes it; one that took some takes all.
                Err(_) if at == begins => return Ok(false),
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(true)
    }

    /// Elsewhere what is passed on is read.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "it is as where the system can")]
    pub fn pass(&self, _: &File, _: u64, _: u64) -> Result<bool, Complaint> {
        Ok(false)
    }

    /// Prints an answer as JSON.
    pub fn json<T: serde::Serialize>(&self, value: &T) -> Result<(), Complaint> {
        let text =
            if self.is_terminal { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        let text = text.map_err(|error| Complaint::failed("the answer is no JSON").because(error))?;
        self.answer(&(text + "\n"))
    }

    /// Says something worth knowing, unless asked to be quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.tell("note", Tone::Quiet, text);
        }
    }

    /// Says what is wrong though there is an answer, unless asked to be quiet.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// Says what is wrong though there is an answer, and must be known by all who read that.
    pub fn insist(&self, text: &str) {
        self.tell("warning", Tone::Warn, text);
    }

    /// Says why there is no answer.
    pub fn complain(&self, complaint: &Complaint) {
        self.tell("error", Tone::Bad, &complaint.error);
        for cause in &complaint.causes {
            self.tell("cause", Tone::Quiet, cause);
        }
        for hint in &complaint.hints {
            self.tell("hint", Tone::Good, hint);
        }
        for line in complaint.paste {
            // As it stands, so that it can be copied. Nobody is left to hear that this failed.
            let _ = writeln!(io::stderr().lock(), "    {line}");
        }
    }

    /// A piece of an answer in its tone.
    pub fn paint(&self, text: &str, tone: Tone) -> String {
        painted(text, tone, self.paint_out)
    }

    fn tell(&self, label: &str, tone: Tone, text: &str) {
        let text = wrapped(&harmless(text), label.len() + 2, self.err_width);
        let label = painted(label, tone, self.paint_err);
        // In one piece, so that what other programs write beside it stays outside the line. Nobody
        // is left to hear that standard error is gone.
        let _ = io::stderr().lock().write_all(format!("{label}: {text}\n").as_bytes());
    }
}

/// A text that others wrote, such as an upstream's error, without the characters that could move
/// a terminal's cursor, change its colours, or turn the order in which the rest of a line is shown.
pub fn harmless(text: &str) -> Cow<'_, str> {
    // Nearly all texts have none of the bytes that such a character begins with.
    let may_begin_one = |byte: u8| {
        u8::from(byte < b' ') | u8::from(byte == 0x7f) | u8::from(byte == 0xc2) | u8::from(byte == 0xe2)
    };
    if text.bytes().fold(0, |some, byte| some | may_begin_one(byte)) != 0 && text.contains(is_harmful) {
        text.replace(is_harmful, " ").into()
    } else {
        text.into()
    }
}

/// A control character, or one of those by which Unicode turns a text's direction (UAX #9) until another
/// ends it, which may be never.
fn is_harmful(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn painted(text: &str, tone: Tone, paint: bool) -> String {
    let style = match tone {
        _ if !paint || text.is_empty() => return text.to_owned(),
        Tone::Plain => return text.to_owned(),
        Tone::Strong => Style::new().bold(),
        Tone::Quiet => Style::new().dimmed(),
        Tone::Good => Style::new().green(),
        Tone::Warn => Style::new().yellow(),
        Tone::Bad => Style::new().red().bold(),
    };
    text.style(style).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_neither_moves_the_cursor_nor_turns_a_line_around() {
        assert_eq!(harmless("a\u{1b}[2Jb\u{9b}c\r"), "a [2Jb c ");
        assert_eq!(harmless("safe\u{202e}gpj.exe\u{2066}"), "safe gpj.exe ");
        for plain in ["", "plain", "– é 日本 עברית 👩‍💻"] {
            assert!(matches!(harmless(plain), Cow::Borrowed(same) if same == plain));
        }
    }
}
