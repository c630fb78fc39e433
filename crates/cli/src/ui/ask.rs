//! Asking a person before something is lost; a program must have said yes beforehand.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::report::Complaint;

/// Asks whether what `would` be done (`2 entries would be removed`) is meant, in the words of
/// `question` (`remove 2 entries from the cache?`). Where nobody can be asked, that is an error.
pub fn ask(question: &str, would: &str, can_ask: CanAsk) -> Result<(), Complaint> {
    if can_ask == CanAsk::Nobody || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Complaint::usage(format!("{would}, and nobody can be asked"))
            .hint("add `--yes` if that is meant"));
    }
    let mut err = std::io::stderr().lock();
    // A question that cannot be shown gets no answer, which means no.
    let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Complaint::failed("nothing was removed")),
    }
}

/// Whether a person may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanAsk {
    /// On a terminal.
    Maybe,
    /// A program reads the answer.
    Nobody,
}
