//! The orders of the clusters' page, and of the repositories on each card.

use std::cmp::Reverse;

use larder_core::Member;
use larder_domain::{ClustersConfig, Repository};

use super::card::Picked;
use super::query::word;

/// An order; the first is what a page has that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// As configuration has it, featured clusters first.
    Configured,
    /// What was pushed to last first.
    Pushed,
    /// What has the most stars first.
    Stars,
    /// By name.
    Name,
}

pub(crate) const SORTS: [Sort; 4] = [Sort::Configured, Sort::Pushed, Sort::Stars, Sort::Name];

impl Sort {
    /// Whether an address asks for one of them, or for none.
    pub(crate) fn check(asked: &str) -> Result<(), String> {
        word("sort", asked, &SORTS.map(Sort::word))
    }

    /// Reads its word; none is the usual order.
    pub(crate) fn parse(word: &str) -> Self {
        SORTS.into_iter().find(|sort| sort.word() == word).unwrap_or(Sort::Configured)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Sort::Configured => "configured",
            Sort::Pushed => "pushed",
            Sort::Stars => "stars",
            Sort::Name => "name",
        }
    }

    /// Its word in an address; none for the order that a page has anyway.
    pub(crate) fn asked(self) -> &'static str {
        if self == Sort::Configured { "" } else { self.word() }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Sort::Configured => "own order",
            Sort::Pushed => "last push",
            Sort::Stars => "stars",
            Sort::Name => "name",
        }
    }

    /// Orders a card's repositories.
    pub(crate) fn order(self, shown: &mut [(Repository, Member)], config: &ClustersConfig) {
        match self {
            Sort::Configured => {}
            Sort::Pushed => shown.sort_by_key(|(repository, _)| Reverse(repository.pushed_at)),
            Sort::Stars => shown.sort_by_key(|(repository, _)| Reverse(repository.stars)),
            Sort::Name => {
                shown.sort_by_cached_key(|(repository, member)| {
                    config.name_of(repository, Some(&member.asked)).to_lowercase()
                });
            }
        }
    }

    /// Orders the cards.
    pub(crate) fn order_cards(self, cards: &mut [Picked]) {
        let stars = |picked: &Picked| {
            picked.shown.iter().fold(0_u64, |sum, (repository, _)| sum.saturating_add(repository.stars))
        };
        let pushed =
            |picked: &Picked| picked.shown.iter().filter_map(|(repository, _)| repository.pushed_at).max();
        match self {
            Sort::Configured => cards.sort_by_key(|picked| !picked.cluster.config.featured),
            Sort::Pushed => cards.sort_by_cached_key(|picked| Reverse(pushed(picked))),
            Sort::Stars => cards.sort_by_cached_key(|picked| Reverse(stars(picked))),
            Sort::Name => cards.sort_by_cached_key(|picked| picked.cluster.name().to_lowercase()),
        }
    }
}
