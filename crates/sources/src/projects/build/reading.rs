//! Reading what changed, and keeping in mind what could not be read in time.

use larder_domain::{Artifact, OnDisk};

use super::{Build, left};
use crate::projects::content::{Content, Cut};
use crate::projects::find::Spotted;
use crate::projects::stamp::Stamp;

impl Build<'_> {
    /// Whether an artifact that could not be read in the time there was is read now that there is more.
    pub(super) fn is_tried_again(&self, path: &str) -> bool {
        let (span, is_by_hand) = (self.scan.frame.patience.span, self.scan.is_by_hand);
        self.scan
            .before
            .is_some_and(|before| before.is_tried_again(span, is_by_hand) && left::was_too_slow(before, path))
    }

    /// Notes within how many milliseconds one cannot be read.
    pub(super) fn is_too_slow(&mut self, ms: Option<u64>) {
        self.known.too_short = [self.known.too_short, ms].into_iter().flatten().min();
    }

    /// Reads what changed. Its stamp is kept only if all of it could be read, or if it is of no use to try again; in
    /// any other case the hash that was known stays.
    pub(super) fn read(
        &mut self,
        spotted: &Spotted,
        content: &Content,
        stamp: Option<Stamp>,
        own: Option<&Artifact>,
    ) -> Option<OnDisk> {
        let patience = &self.scan.frame.patience;
        let read = content.read(&spotted.path, &mut self.buffer, patience);
        for warning in read.warnings {
            self.tell(&spotted.path, warning);
        }
        // One bad moment proves nothing: what was left the last time came first, and so had all of it twice.
        let was_left = self.scan.before.is_some_and(|before| before.left.contains(&spotted.path));
        let is_slow = read.cut == Some(Cut::Slow) && was_left;
        if is_slow {
            self.tell(&spotted.path, left::too_slow(&spotted.path, patience));
            self.is_too_slow(u64::try_from(patience.span.as_millis()).ok());
        } else if read.cut.is_some() {
            self.left.push(spotted.path.clone());
        }
        let is_done = !read.partly || is_slow;
        self.is_any_done |= is_done;
        let stamp = stamp.filter(|_| is_done).unwrap_or_else(Stamp::unproven);
        self.known.stamps.insert(spotted.path.clone(), Some(stamp));
        let mut disk = read.disk?;
        if !is_done {
            disk.content_hash = own.and_then(|own| own.content_hash.clone());
        }
        Some(disk)
    }

    /// Leaves an artifact for the next look, with all that was known of it.
    pub(super) fn leave(&mut self, path: &str, stamp: Option<Stamp>) {
        self.left.push(path.to_owned());
        self.known.stamps.insert(path.to_owned(), Some(stamp.unwrap_or_else(Stamp::unproven)));
        self.tell_again(path);
    }

    /// Tells what was told of it the last time.
    pub(super) fn tell_again(&mut self, path: &str) {
        let before = self.scan.before;
        for warning in before.and_then(|before| before.told.get(path)).into_iter().flatten() {
            self.tell(path, warning.clone());
        }
        if left::was_too_slow(&self.known, path) {
            self.is_too_slow(before.and_then(|before| before.too_short));
        }
    }
}
