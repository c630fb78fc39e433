//! Progress on standard error, for a person who watches; nothing at all for anybody else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Screen;

/// A bar that counts what is done, or nothing.
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Starts counting to `total`. `doing` says what: `refreshing`, `fetching`.
    pub fn start(screen: &Screen, doing: &'static str, total: usize) -> Self {
        if !screen.shows_progress || total == 0 {
            return Progress(None);
        }
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
        let template = format!("{{spinner}} {doing} {{pos}} of {{len}} {{bar:24}} {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress(Some(bar))
    }

    /// Shows that something goes on whose steps cannot be counted.
    pub fn spin(screen: &Screen, doing: &'static str, total: usize) -> Self {
        if !screen.shows_progress || total == 0 {
            return Progress(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let what = if total == 1 { "one entry".to_owned() } else { format!("{total} entries") };
        bar.set_message(format!("{doing} {what}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress(Some(bar))
    }

    /// One more is done.
    pub fn step(&self) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}
