//! The short way of a hit: what is held in memory is answered before hyper has read the request.
//!
//! It decides nothing of its own: host, viewer, freshness and headers are asked of the same
//! functions as on the long way, and whatever is not plainly a hit takes that one.

use std::sync::Weak;

use larder_core::{Key, Status, Time};

use crate::access::Viewer;
use crate::api::{Got, Reader};
use crate::app::{App, Shared};
use crate::habit::Request;
use crate::plain::After;
use crate::tier::Shape;
use crate::warm::Made;

/// What a thread found in memory at one instant. Who asks for the same at the same instant, by the
/// clock's millisecond, and before anything changed, is given the same without another look: of a
/// busy server that is nearly everybody.
pub(crate) struct Found {
    /// Whose it is: a process may have several servers.
    app: Weak<Shared>,
    key: Key,
    shape: Shape,
    viewer: Viewer,
    /// What memory was at before it was looked into.
    edition: u64,
    now: Time,
    got: Got,
}

/// Makes the answer, if the request is a plain read of what is held in memory; says whether it was.
pub(crate) fn hit(app: &App, request: &Request, after: After, now: Time, made: &mut Made) -> bool {
    let (Some(asker), Some((key, shape))) = (&request.asker, &request.entry) else { return false };
    let (shape, viewer) = (*shape, asker.viewer);
    let edition = app.engine.edition();
    let last = made.found.take();
    let is_same = |last: &&Found| {
        last.now == now
            && Some(last.edition) == edition
            && (last.shape, last.viewer) == (shape, viewer)
            && last.key == *key
            && app.is(&last.app)
    };
    let answer = |got: &Got, made: &mut Made| {
        let form = got.held.document.form(&asker.taken);
        let status = made.make(got, form, &request.plain, after, now);
        app.metrics.answered_at_once(status, got.status == Status::Fresh);
    };
    if let Some(same) = last.as_ref().filter(is_same) {
        answer(&same.got, made);
        made.found = last;
        return true;
    }
    let Some(got) = app.in_memory(key, shape, Reader::plain(viewer), now) else {
        made.found = last;
        return false;
    };
    answer(&got, made);
    made.found = match edition {
        // The first of an instant is likely what many ask for; the others are not worth a note.
        Some(edition) if last.as_ref().is_none_or(|last| (last.now, last.edition) != (now, edition)) => {
            Some(Found { app: app.mark(), key: key.clone(), shape, viewer, edition, now, got })
        }
        _ => last,
    };
    true
}
