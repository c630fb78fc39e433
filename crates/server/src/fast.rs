//! The short way of a hit: what is held in memory is answered before hyper has read the request.
//!
//! It decides nothing of its own: host, viewer, freshness and headers are asked of the same
//! functions as on the long way, and whatever is not plainly a hit takes that one.

use larder_core::{Status, Time};

use crate::api::Reader;
use crate::app::App;
use crate::habit::Request;
use crate::plain::After;
use crate::warm::Made;

/// Makes the answer, if the request is a plain read of what is held in memory; says whether it was.
pub(crate) fn hit(app: &App, request: &Request, after: After, now: Time, made: &mut Made) -> bool {
    let (Some(asker), Some((key, shape))) = (&request.asker, &request.entry) else { return false };
    let Some(got) = app.in_memory(key, *shape, Reader::plain(asker.viewer), now) else { return false };
    let form = got.held.document.form(&asker.taken);
    let status = made.make(&got, form, &request.plain, after, now);
    app.metrics.answered_at_once(status, got.status == Status::Fresh);
    true
}
