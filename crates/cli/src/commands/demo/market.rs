//! The demo's marketplace: one of the imaginary owner's repositories offers skills and agents beside
//! its code.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Clock, KeyError, Policy};
use larder_domain::RepoName;
use larder_github_sim::World;
use larder_sources::{GitHub, MarketplaceConfig, MarketplaceFrom, MarketplaceSource};

/// The repository that offers them.
const REPOSITORY: &str = "octo-org/atlas";

const OFFERED: [(&str, &str); 6] = [
    (
        "skills/pdf/SKILL.md",
        "---\nname: pdf\ndescription: Fills forms, reads tables and takes PDF files apart\nversion: 2.1.0\n\
         tags: [documents, forms]\nlicense: MIT\n---\n",
    ),
    (
        "skills/maps/SKILL.md",
        "---\nname: maps\ndescription: Draws maps from coordinates and names places on them\nversion: 0.4.0\n\
         tags: [pictures, geography]\n---\n",
    ),
    (
        "skills/postgres/SKILL.md",
        "---\nname: postgres\ndescription: Explains slow queries and proposes indexes\nversion: 1.3.0\n\
         tags: [databases]\n---\n",
    ),
    (
        "agents/reviewer.md",
        "---\nname: reviewer\ndescription: Reads changes as a patient colleague would\ntags: [review]\n---\n",
    ),
    ("commands/changelog.md", "---\ndescription: Writes down what changed since the last release\n---\n"),
    (
        ".claude-plugin/marketplace.json",
        r#"{"name": "atlas", "owner": {"name": "Octo Org"}, "plugins": [
            {"name": "atlas-office", "description": "Documents of all kinds, read and written", "version": "1.2.0",
             "source": "./", "skills": ["./skills/pdf"], "keywords": ["documents"]},
            {"name": "almanac", "description": "Holidays, tides and the moon's phases", "version": "0.9.0",
             "source": {"source": "github", "repo": "octo-org/almanac"}}]}"#,
    ),
];

/// Pushes what is offered, if the world has the repository.
pub(super) fn push(world: &mut World) -> bool {
    world.push(REPOSITORY, OFFERED.map(|(path, content)| (path, Some(content))))
}

/// The marketplace, where the world has it.
pub(super) fn source(
    is_there: bool,
    github: Arc<GitHub>,
    clock: Arc<dyn Clock>,
    ttl: Duration,
) -> Result<MarketplaceSource, KeyError> {
    let repository = RepoName::parse(REPOSITORY, None).ok().filter(|_| is_there);
    let market =
        |repo| MarketplaceConfig { name: "atlas".to_owned(), from: MarketplaceFrom::Repository(repo), ttl };
    let markets: Vec<MarketplaceConfig> = repository.map(market).into_iter().collect();
    MarketplaceSource::new(&markets, github, clock, &Policy::default())
}
