//! What the time did not last for.

use std::sync::Arc;

use larder_core::Warning;

use crate::projects::content::warning;
use crate::projects::scan::Scan;

/// No more are named.
const NAMED_MAX: usize = 50;

/// What to tell of artifacts that are `left`, and which of them the next look, which comes at once, goes on with:
/// only where this one brought it nearer to its end, since some were read that need not be read again. Else they
/// wait for the look that comes anyway.
pub(super) fn told(left: &[String], is_any_read: bool, scan: &Scan<'_>) -> Option<(Warning, Vec<Arc<str>>)> {
    let (first, others) = left.split_first()?;
    let patience = &scan.frame.patience;
    let time = patience.in_words();
    let which = match others.len() {
        0 => format!("`{first}`"),
        more => format!("`{first}` and {more} more"),
    };
    if !is_any_read && patience.had_its_share(scan.began) {
        let message = format!(
            "{which} cannot be read within {time}, so that it is not known what is modified; a longer `[engine] \
             hard_timeout` gives more time"
        );
        return Some((warning(first, "too_slow", message), Vec::new()));
    }
    let message = format!("{which} could not be read within {time}; the next look goes on with that");
    let pending = left.iter().take(NAMED_MAX).map(|path| Arc::from(path.as_str()));
    Some((warning(first, "unfinished", message), pending.collect()))
}
