//! What the time did not last for.

use std::time::Duration;

use larder_core::Warning;

use crate::projects::content::warning;
use crate::projects::scan::Scan;

/// When the next look goes on where the time did not last.
const GO_ON: Duration = Duration::from_secs(1);

/// What to tell of artifacts that are `left`, and when the next look goes on with them: soon if this one brought it
/// nearer to its end, since some were read that need not be read again; else when there is a look anyway.
pub(super) fn told(
    left: &[String],
    is_any_read: bool,
    scan: &Scan<'_>,
) -> Option<(Warning, Option<Duration>)> {
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
        return Some((warning(first, "too_slow", message), None));
    }
    let message = format!(
        "{which} could not be read within {time}: the next look, which comes at once, goes on with that"
    );
    Some((warning(first, "unfinished", message), Some(GO_ON)))
}
