//! `[registry]`: how the merged list looks.

use std::time::Duration;

use larder_core::Time;
use larder_domain::RegistryRules;

use super::layers::{Key, Layers};
use super::setting::Setting;

/// How the merged list looks.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryConfig {
    /// Single repositories that were last updated before are left out.
    pub updated_since: Option<Setting<Time>>,
    /// From how many stars on a project is `trending`.
    pub trending_stars: Setting<u64>,
    /// For how long after an update a project is `new`.
    pub new_within: Setting<Duration>,
    /// Whether single forks are listed.
    pub forks: Setting<bool>,
}

impl RegistryConfig {
    /// Reads the section.
    pub fn read(layers: &mut Layers<'_>) -> Self {
        let usual = RegistryRules::default();
        let mut section = layers.section("registry");
        let updated_since = section.read(Key::open("updated_since"), |raw| match raw {
            super::layers::Raw::Value(value) if value.as_datetime().is_some() => {
                let text = value.as_datetime().map(ToString::to_string).unwrap_or_default();
                Time::parse(&text).map_err(|error| error.to_string())
            }
            raw => Time::parse(raw.text("a date")?).map_err(|error| error.to_string()),
        });
        let most = Duration::from_hours(24 * 366);
        let config = RegistryConfig {
            updated_since,
            trending_stars: section
                .count("trending_stars", 0, u64::from(u32::MAX))
                .unwrap_or(Setting::default(usual.trending_stars)),
            new_within: section
                .span("new_within", Duration::ZERO, most)
                .unwrap_or(Setting::default(usual.new_within)),
            forks: section.flag("forks").unwrap_or(Setting::default(false)),
        };
        section.finish();
        config
    }
}
