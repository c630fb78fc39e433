//! What a request wishes of a copy: RFC 9111 and 5861 request directives, and `?refresh=true`.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use larder_core::{Mode, Request};

/// A reader's wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wishes {
    /// What the engine is told.
    pub(crate) request: Request,
    /// The furthest past its lifetime that will do when the source fails (RFC 5861).
    pub(crate) stale_if_error: Option<Duration>,
}

impl Wishes {
    /// Reads the request's `Cache-Control`; what is not understood is passed over, as HTTP has it.
    /// `Pragma: no-cache` counts where there is no `Cache-Control`.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut wishes = Wishes::default();
        let mut offline = false;
        let mut named = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        let is_silent = !headers.contains_key(header::CACHE_CONTROL);
        if is_silent && headers.get(header::PRAGMA).is_some_and(|value| value == "no-cache") {
            wishes.request.mode = Mode::Forced;
        }
        for directive in named.by_ref().flat_map(|value| value.split(',')) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = value.trim().trim_matches('"').parse::<u64>().ok().map(Duration::from_secs);
            match name.trim().to_ascii_lowercase().as_str() {
                "no-cache" => wishes.request.mode = Mode::Forced,
                "only-if-cached" => offline = true,
                "max-age" => wishes.request.max_age = seconds,
                // Without a value any staleness will do, which is the policy's word.
                "max-stale" => wishes.request.max_stale = seconds,
                "stale-if-error" => wishes.stale_if_error = seconds,
                _ => {}
            }
        }
        if offline {
            wishes.request.mode = Mode::Offline;
        }
        wishes
    }

    /// Whether the copy that is held must not be used.
    pub(crate) fn is_forced(&self) -> bool {
        self.request.mode == Mode::Forced
    }

    /// What is left of them where none is heard: nobody is made to ask upstream who would not.
    pub(crate) fn unheard(self) -> Self {
        let is_offline = self.request.mode == Mode::Offline;
        let mode = if is_offline { Mode::Offline } else { Mode::Normal };
        Wishes { request: Request { mode, ..Request::default() }, stale_if_error: None }
    }

    /// The same without insisting.
    pub(crate) fn patient(mut self) -> Self {
        if self.is_forced() {
            self.request.mode = Mode::Normal;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Wishes {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, text.parse().unwrap());
        Wishes::of(&headers)
    }

    #[test]
    fn directives_are_read_whatever_stands_around_them() {
        assert!(read("No-Cache").is_forced());
        assert_eq!(read("only-if-cached, no-cache").request.mode, Mode::Offline);
        assert_eq!(read("max-age=60, x=1").request.max_age, Some(Duration::from_mins(1)));
        assert_eq!(read("max-stale=\"5\"").request.max_stale, Some(Duration::from_secs(5)));
        assert_eq!(read("max-stale, max-age=soon"), Wishes::default());
        assert_eq!(read("stale-if-error=9").stale_if_error, Some(Duration::from_secs(9)));
        assert!(!read("no-cache").patient().is_forced());
    }
}
