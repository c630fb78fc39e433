//! What the time did not last for.

use std::sync::Arc;

use larder_core::Warning;

use crate::projects::content::warning;
use crate::projects::patience::Patience;
use crate::projects::stamp::Known;

/// No more are named.
pub(super) const NAMED_MAX: usize = 50;

/// So many looks in a row bring nothing nearer to its end, and there is no other at once.
const STALLED_MAX: u8 = 3;

/// The code of a warning of an artifact that cannot be read in all the time there is.
const TOO_SLOW: &str = "too_slow";

/// That of one artifact it is not known whether it is modified.
pub(super) fn too_slow(path: &str, patience: &Patience<'_>) -> Warning {
    let time = patience.in_words();
    let message = format!(
        "`{path}` cannot be read within {time}, so that it is not known whether it is modified; a longer `[engine] \
         hard_timeout` gives more time"
    );
    warning(path, TOO_SLOW, message)
}

/// Whether an artifact could not be read in all the time there was.
pub(super) fn was_too_slow(known: &Known, path: &str) -> bool {
    known.told.get(path).is_some_and(|told| told.iter().any(|warning| warning.code == TOO_SLOW))
}

/// What to tell of artifacts that are `left`, and which of them the next look, which comes at once, goes on with: as
/// long as each look brings it nearer to its end.
pub(super) fn told(
    left: &[String],
    stalled: u8,
    patience: &Patience<'_>,
) -> Option<(Warning, Vec<Arc<str>>)> {
    let (first, others) = left.split_first()?;
    let time = patience.in_words();
    let which = match others.len() {
        0 => format!("`{first}`"),
        more => format!("`{first}` and {more} more"),
    };
    if stalled >= STALLED_MAX {
        let message = format!(
            "{which} cannot be looked at within {time}; a longer `[engine] hard_timeout` gives more time"
        );
        return Some((warning(first, TOO_SLOW, message), Vec::new()));
    }
    let message = format!("{which} could not be read within {time}; the next look goes on with that");
    let pending = left.iter().take(NAMED_MAX).map(|path| Arc::from(path.as_str()));
    Some((warning(first, "unfinished", message), pending.collect()))
}
