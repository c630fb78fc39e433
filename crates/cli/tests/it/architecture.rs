//! The rooms and the arrows between them, as Cargo sees them. Whoever adds an arrow changes the
//! design first, and then this table.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each room may lean on.
const ARROWS: &[(&str, &[&str])] = &[
    ("larder-core", &[]),
    ("larder-domain", &["larder-core"]),
    ("larder-engine", &["larder-core"]),
    ("larder-store-sqlite", &["larder-core"]),
    ("larder-store-postgres", &["larder-core"]),
    ("larder-store-redb", &["larder-core"]),
    ("larder-sources", &["larder-core", "larder-domain"]),
    ("larder-github-sim", &[]),
    ("larder-testkit", &["larder-core"]),
    ("larder-server", &["larder-core", "larder-domain", "larder-engine"]),
    (
        "larder",
        &[
            "larder-core",
            "larder-domain",
            "larder-engine",
            "larder-store-sqlite",
            "larder-store-postgres",
            "larder-store-redb",
            "larder-sources",
            "larder-github-sim",
            "larder-server",
        ],
    ),
];

/// What tests may lean on besides: helpers that are nobody's part.
const IN_TESTS: &[&str] = &["larder-testkit", "larder-github-sim"];

/// The engine's tests prove its face on the real default store too, and the server's on all of it. The
/// key-value store is measured beside the default one, and the testkit's tests live through simulations
/// of the engine on stores.
const IN_TESTS_OF: &[(&str, &str)] = &[
    ("larder-engine", "larder-store-sqlite"),
    ("larder-testkit", "larder-engine"),
    ("larder-testkit", "larder-store-sqlite"),
    ("larder-server", "larder-store-sqlite"),
    ("larder-store-redb", "larder-store-sqlite"),
    ("larder-server", "larder-sources"),
];

/// What must never reach a room, by any way: SQL, HTTP, pages.
const BANNED: &[(&str, &[&str])] = &[
    ("larder-core", &["tokio", "rusqlite", "tokio-postgres", "redb", "reqwest", "axum"]),
    ("larder-domain", &["tokio", "rusqlite", "tokio-postgres", "redb", "reqwest", "axum"]),
    ("larder-engine", &["rusqlite", "tokio-postgres", "redb", "reqwest", "axum"]),
    ("larder-store-sqlite", &["tokio-postgres", "redb", "reqwest", "axum"]),
    ("larder-store-postgres", &["rusqlite", "redb", "reqwest", "axum"]),
    ("larder-store-redb", &["rusqlite", "tokio-postgres", "reqwest", "axum"]),
    ("larder-sources", &["rusqlite", "tokio-postgres", "redb", "axum"]),
    ("larder-server", &["rusqlite", "tokio-postgres", "redb", "reqwest"]),
    ("larder", &["rusqlite", "tokio-postgres", "redb", "reqwest", "axum"]),
];

#[test]
fn no_room_leans_on_another_but_as_the_design_says() {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    let rooms: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    assert_eq!(rooms, known, "a room came or went: say in ARROWS what it may lean on");

    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let room = package.name.as_str();
        let (_, allowed) = ARROWS.iter().find(|(name, _)| *name == room).unwrap();
        let banned = BANNED.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, banned)| banned);
        for dependency in &package.dependencies {
            let to = dependency.name.as_str();
            let in_tests = dependency.kind == DependencyKind::Development;
            let of_tests = IN_TESTS.contains(&to) || IN_TESTS_OF.contains(&(room, to));
            if rooms.contains(to) && !allowed.contains(&to) && !(in_tests && of_tests) {
                wrong.push(format!("{room} → {to}"));
            }
            if banned.contains(&to) && !in_tests {
                wrong.push(format!("{room} → {to}, which is banned there"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
