//! An imaginary organisation, its friends and forty-odd repositories: what `larder demo` shows when nobody has
//! configured anything, and a world rich enough for tests that only need "some repositories".

use jiff::{Timestamp, ToSpan};

use super::{Block, Issue, License, Owner, Release, Repository, Token, World};

/// A group of the demo's repositories, ready to be written into a `larder.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoCluster {
    /// Its id.
    pub id: &'static str,
    /// Its display name.
    pub name: &'static str,
    /// `octo-org`'s by bare name, others in full.
    pub repos: &'static [&'static str],
}

impl World {
    /// The text of the demo's own token: it belongs to `octocat` and sees everything.
    pub const DEMO_TOKEN: &'static str = "larder-demo-token";

    /// The imaginary `octo-org` and friends as of 2026-09-01, the same in every run: private, archived, forked,
    /// blocked, empty and renamed (`octo-org/forge`, now `kiln`) repositories among them.
    pub fn demo() -> Self {
        Self::demo_at(Timestamp::constant(1_788_220_800, 0))
    }

    /// The demo with its times counted back from `now`, so that what is new looks new.
    pub fn demo_at(now: Timestamp) -> Self {
        let mut world = Self::new();
        for (owner, name) in [
            (Owner::organization("octo-org"), "Octo Org"),
            (Owner::organization("lighthouse-labs"), "Lighthouse Labs"),
            (Owner::user("hubber"), "Hub Hubber"),
            (Owner::user("octocat"), "The Octocat"),
        ] {
            world.add_owner(Owner { name: Some(name.to_owned()), ..owner });
        }
        for line in include_str!("demo.txt").lines().filter(|line| !line.starts_with('#')) {
            world.add(repository(line, now));
        }
        for (repository, tracked) in TRACKED {
            let plain = world.repository(repository).map_or(0, |one| one.open_issues);
            world.add_issues(repository, issues(tracked, plain, now));
        }
        world.rename("octo-org/forge", "octo-org/kiln");
        world.add_token(Self::DEMO_TOKEN, Token::of("octocat").seeing_everything());
        world
    }

    /// How the demo's repositories belong together: groups of one, of three and of six, one with a repository that
    /// is gone, one of experiments, an empty one. What is left out is `unclustered`.
    pub const fn demo_clusters() -> &'static [DemoCluster] {
        CLUSTERS
    }
}

const CLUSTERS: &[DemoCluster] = &[
    DemoCluster { id: "cinder", name: "Cinder", repos: &["cinder", "cinder-sv", "cinder-mcp"] },
    DemoCluster { id: "kiln", name: "Kiln", repos: &["forge"] },
    DemoCluster {
        id: "harbor",
        name: "Harbor",
        repos: &["harbor", "harbor-cli", "harbor-ui", "harbor-operator", "harbor-charts", "harbor-docs"],
    },
    DemoCluster {
        id: "atlas",
        name: "Atlas",
        repos: &["atlas", "atlas-tiles", "atlas-geocoder", "atlas-mobile"],
    },
    DemoCluster {
        id: "quill",
        name: "Quill",
        repos: &["quill", "quill-lsp", "quill-vscode", "lighthouse-labs/quill-themes"],
    },
    DemoCluster {
        id: "beacon",
        name: "Beacon",
        repos: &["lighthouse-labs/beacon", "lighthouse-labs/beacon-sdk", "lighthouse-labs/foghorn"],
    },
    DemoCluster {
        id: "tools",
        name: "Small tools",
        repos: &["pathfinder", "dotbench", "hubber/gitgarden", "hubber/tidylog", "gone-missing"],
    },
    DemoCluster { id: "photon", name: "Photon", repos: &["photon", "photon-wasm", "prism"] },
    DemoCluster { id: "learning", name: "Learning", repos: &["learn-systems", "learn-rust"] },
    DemoCluster { id: "attic", name: "Attic", repos: &["ember", "ember-drivers", "old-site", "mirrorball"] },
    DemoCluster { id: "soon", name: "Soon", repos: &[] },
];

/// What the demo's repositories track by issues: number, label, title, days since it was opened and since it
/// was closed.
type Tracked = (u64, &'static str, &'static str, u64, Option<u64>);

const TRACKED: &[(&str, &[Tracked])] = &[
    (
        "octo-org/harbor",
        &[
            (1031, "release", "Release: v2.13.0 (Quay)", 9, None),
            (988, "release", "Release: v2.12.0 (Mole)", 58, Some(9)),
            (961, "release", "Release: patch/v2.11.1", 75, Some(71)),
            (940, "release", "Release: v2.11.0 (Slip)", 121, Some(80)),
            (871, "release", "Release: v2.10.0 (Berth)", 190, Some(124)),
            (802, "release", "Release: release/v2.9.0", 262, Some(193)),
            (1040, "microsprint", "Microsprint: read-only-mirrors [v2.13.0]", 3, None),
            (1022, "microsprint", "Microsprint: quota-messages", 17, Some(10)),
            (1009, "microsprint", "Microsprint: faster-listing", 31, Some(24)),
            (1044, "release", "How do we sign releases?", 1, None),
        ],
    ),
    (
        "octo-org/quill",
        &[
            (412, "release", "Release: v1.31.0", 6, None),
            (398, "release", "Release: v1.30.0 (Serif)", 40, Some(2)),
            (377, "release", "Release: v1.29.0", 96, Some(44)),
            (415, "microsprint", "Microsprint: footnotes [v1.31.0]", 2, None),
        ],
    ),
];

/// The trackers, and as many others, of no label, as make up the count of open issues.
fn issues(tracked: &[Tracked], open: u64, now: Timestamp) -> Vec<Issue> {
    let mut all: Vec<Issue> = tracked.iter().map(|one| tracker(*one, now)).collect();
    let missing = open.saturating_sub(all.iter().filter(|issue| issue.is_open()).count() as u64);
    all.extend((1..=missing).map(|number| {
        let opened = days_before(now, 900 - number);
        Issue { created_at: opened, updated_at: opened, ..Issue::new(number, "It could be better here") }
    }));
    all
}

fn tracker((number, label, title, opened, closed): Tracked, now: Timestamp) -> Issue {
    let created_at = days_before(now, opened);
    let closed_at = closed.map(|days| days_before(now, days));
    Issue {
        labels: vec![label.to_owned()],
        created_at,
        updated_at: closed_at.unwrap_or(created_at),
        closed_at,
        ..Issue::new(number, title)
    }
}

/// Reads one line of the table; a field that is empty is a thing the repository lacks.
fn repository(line: &str, now: Timestamp) -> Repository {
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    let field = |place: usize| fields.get(place).copied().unwrap_or_default();
    let full_name = field(0);
    let stars = number(field(1));
    let sizes: Vec<(&str, u64)> = list(field(5))
        .filter_map(|pair| pair.split_once(':'))
        .map(|(name, size)| (name, number(size)))
        .collect();
    let pushed_at = (field(4) != "-").then(|| days_before(now, number(field(4))));
    let created_at = days_before(now, number(field(4)) + 200 + stars % 1_500);
    let plain = Repository::new(full_name).with_languages(&sizes);
    Repository {
        description: some(field(10)),
        homepage: (stars > 2_500).then(|| format!("https://{}.example", plain.name())),
        stars,
        forks: number(field(2)),
        open_issues: number(field(3)),
        open_pull_requests: number(field(3)) / 4,
        topics: list(field(6)).map(str::to_owned).collect(),
        license: some(field(7)).map(|id| License::spdx(&id)),
        is_fork: field(9) == "fork",
        is_archived: field(9) == "archived",
        is_private: field(9) == "private",
        blocked: (field(9) == "blocked").then_some(Block::Dmca),
        latest_release: field(8)
            .split_once('@')
            .map(|(tag, days)| release(tag, days_before(now, number(days)))),
        created_at,
        updated_at: pushed_at.unwrap_or(created_at),
        pushed_at,
        ..plain
    }
}

fn release(tag: &str, published_at: Timestamp) -> Release {
    Release {
        tag_name: tag.to_owned(),
        name: Some(tag.trim_start_matches('v').to_owned()),
        published_at: Some(published_at),
        is_prerelease: tag.contains("-rc."),
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|part| !part.is_empty())
}

fn days_before(now: Timestamp, days: u64) -> Timestamp {
    now.checked_sub((days as i64 * 24).hours()).unwrap_or(now)
}
