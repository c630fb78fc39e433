//! `[engine]`: how long things may take, and how failures are retried.

use std::time::Duration;

use larder_core::Policy;

use super::layers::{Layers, Section};
use super::setting::Setting;

/// How long things may take, and how failures are retried: [`Policy`] with its origins.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineConfig {
    /// How long a refresh may stay silent before another takes over.
    pub lease: Setting<Duration>,
    /// How long a reader who could be served a stale copy waits for a fresh one.
    pub soft_timeout: Setting<Duration>,
    /// When a fetch is cancelled.
    pub hard_timeout: Setting<Duration>,
    /// How many failures of its own an entry may have before it is set aside.
    pub attempts: Setting<u64>,
    /// The wait after the first failure.
    pub backoff_base: Setting<Duration>,
    /// The longest such wait.
    pub backoff_cap: Setting<Duration>,
    /// How long the absence of a whole entry is remembered.
    pub negative_ttl: Setting<Duration>,
    /// How far past its lifetime a copy is served at once; `None` = for ever.
    pub stale_while_revalidate: Setting<Option<Duration>>,
    /// How far past its lifetime a copy is served when the source fails; `None` = for ever.
    pub stale_if_error: Setting<Option<Duration>>,
    /// The percentage of a lifetime that chance may take off it.
    pub jitter_percent: Setting<u64>,
}

const MS_100: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
/// No window is longer; "for ever" is said by leaving it out.
const YEARS_10: Duration = Duration::from_hours(24 * 3653);

impl EngineConfig {
    /// Reads the section.
    pub fn read(layers: &mut Layers<'_>) -> Self {
        let usual = Policy::default();
        let mut section = layers.section("engine");
        let span = |section: &mut Section<'_, '_>, key, least, most, usual| {
            section.span(key, least, most).unwrap_or(Setting::default(usual))
        };
        let window = |section: &mut Section<'_, '_>, key, usual| {
            let read = section.span(key, Duration::ZERO, YEARS_10);
            read.map_or(Setting::default(usual), |setting| setting.map(Some))
        };
        let config = EngineConfig {
            lease: span(&mut section, "lease", SECOND, HOUR, usual.lease),
            soft_timeout: span(&mut section, "soft_timeout", Duration::ZERO, HOUR, usual.soft_timeout),
            hard_timeout: span(&mut section, "hard_timeout", MS_100, HOUR, usual.hard_timeout),
            attempts: section
                .count("attempts", 1, 1000)
                .unwrap_or(Setting::default(u64::from(usual.attempts))),
            backoff_base: span(&mut section, "backoff_base", MS_100, HOUR, usual.backoff_base),
            backoff_cap: span(&mut section, "backoff_cap", MS_100, HOUR * 24, usual.backoff_cap),
            negative_ttl: span(&mut section, "negative_ttl", Duration::ZERO, HOUR * 24, usual.negative_ttl),
            stale_while_revalidate: window(
                &mut section,
                "stale_while_revalidate",
                usual.stale_while_revalidate,
            ),
            stale_if_error: window(&mut section, "stale_if_error", usual.stale_if_error),
            jitter_percent: section
                .count("jitter_percent", 0, 50)
                .unwrap_or(Setting::default((usual.jitter * 100.0).round() as u64)),
        };
        section.finish();
        config.validate(layers);
        config
    }

    /// What only shows when keys are compared.
    fn validate(&self, layers: &mut Layers<'_>) {
        if self.soft_timeout.value > self.hard_timeout.value {
            let at = if self.soft_timeout.is_set() { &self.soft_timeout } else { &self.hard_timeout };
            let message = "`soft_timeout` must not be longer than `hard_timeout`".to_owned();
            layers.problem_of(&at.origin, message, None);
        }
        if self.backoff_base.value > self.backoff_cap.value {
            let at = if self.backoff_base.is_set() { &self.backoff_base } else { &self.backoff_cap };
            let message = "`backoff_base` must not be longer than `backoff_cap`".to_owned();
            layers.problem_of(&at.origin, message, None);
        }
    }

    /// The policy that entries get, with a lifetime that their source replaces.
    pub fn policy(&self) -> Policy {
        Policy {
            lease: self.lease.value,
            soft_timeout: self.soft_timeout.value,
            hard_timeout: self.hard_timeout.value,
            attempts: self.attempts.value as u32,
            backoff_base: self.backoff_base.value,
            backoff_cap: self.backoff_cap.value,
            negative_ttl: self.negative_ttl.value,
            stale_while_revalidate: self.stale_while_revalidate.value,
            stale_if_error: self.stale_if_error.value,
            jitter: self.jitter_percent.value as f64 / 100.0,
            ..Policy::default()
        }
    }
}
