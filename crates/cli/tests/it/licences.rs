//! What `deny.toml` says of licences and origins, held against every package that is built: `cargo deny
//! check` does that and more, but is not on every machine.

use std::iter::Peekable;

use cargo_metadata::MetadataCommand;

/// Packages that name no licence but bring its text, with what it is.
const BY_FILE: &[(&str, &str)] = &[("jsonpath-rust", "MIT")];

/// Whether a licence expression (SPDX, or the older way with `/`) can be met by what is allowed.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut words = words.into_iter().peekable();
    any(&mut words, allowed) && words.next().is_none()
}

fn any<'w>(words: &mut Peekable<impl Iterator<Item = &'w str>>, allowed: &[String]) -> bool {
    let mut met = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all(words, allowed);
    }
    met
}

fn all<'w>(words: &mut Peekable<impl Iterator<Item = &'w str>>, allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one<'w>(words: &mut Peekable<impl Iterator<Item = &'w str>>, allowed: &[String]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any(words, allowed);
        return words.next_if_eq(&")").is_some() && met;
    }
    let Some(name) = words.next() else { return false };
    let name = match words.next_if_eq(&"WITH").and_then(|_| words.next()) {
        Some(exception) => format!("{name} WITH {exception}"),
        None => name.to_owned(),
    };
    allowed.contains(&name)
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("GPL-3.0 OR MIT AND Zlib", false),
        ("Apache-2.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("MIT ISC", false),
        ("(MIT", false),
        ("", false),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}

#[test]
fn every_package_has_a_licence_that_deny_toml_allows_and_comes_from_the_public_registry() {
    let deny: toml::Table = toml::from_str(include_str!("../../../../deny.toml")).unwrap();
    let allowed: Vec<String> = deny["licenses"]["allow"].clone().try_into().unwrap();
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .other_options(["--locked".to_owned()])
        .exec()
        .unwrap();
    assert!(metadata.packages.len() > 100, "all that is built, not the rooms alone");
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let by_file = BY_FILE.iter().find(|(of, _)| *of == name).map(|(_, licence)| *licence);
        let licence = package.license.as_deref().or(by_file).unwrap_or("none");
        if !is_met(licence, &allowed) {
            wrong.push(format!("{name}: {licence}"));
        }
        if let Some(source) = package.source.as_ref().filter(|source| !source.is_crates_io()) {
            wrong.push(format!("{name} is from {source}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
