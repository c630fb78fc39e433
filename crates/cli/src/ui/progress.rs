//! Progress on standard error, for a person who watches; nothing at all for anybody else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::Screen;

/// A bar that counts what is done, or nothing.
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Starts counting to `total`. `doing` says what is done (`refreshing`), `what` to what
    /// (`clusters`).
    pub fn start(screen: &Screen, doing: &'static str, what: &str, total: usize) -> Self {
        if !screen.shows_progress || total == 0 {
            return Progress(None);
        }
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
        let template = format!("{{spinner}} {doing} {{pos}} of {{len}} {what}{{left}}  {{bar:16}}");
        let left = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            // How long the others took is all there is to tell it by; before the first, nothing is.
            let seconds = state.eta().as_secs().max(1);
            if state.pos() > 0 {
                // Writing to a line of the bar's own cannot fail.
                let _ = write!(text, ", {seconds} s left");
            }
        };
        Progress::show(bar, &template, |style| style.with_key("left", left))
    }

    /// Shows that something goes on whose steps cannot be counted.
    pub fn spin(screen: &Screen, doing: &str) -> Self {
        if !screen.shows_progress {
            return Progress(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Progress::show(bar, &format!("{{spinner}} {doing}, {{elapsed}}"), |style| style)
    }

    /// Counts what is done, where nobody knows how much there is.
    pub fn count(screen: &Screen, doing: &str, what: &str) -> Self {
        if !screen.shows_progress {
            return Progress(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Progress::show(bar, &format!("{{spinner}} {doing}: {{pos}} {what}, {{elapsed}}"), |style| style)
    }

    fn show(bar: ProgressBar, template: &str, add: impl FnOnce(ProgressStyle) -> ProgressStyle) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(add(style));
        }
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
