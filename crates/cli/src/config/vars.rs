//! Variables whose name begins as Larder's do and that name nothing. A slip of the pen must not be passed
//! over: a server would start on another store, or without its tokens. Another program's is only told of.

use std::collections::BTreeSet;

use super::problem::nearest;

/// What the names of Larder's variables begin with.
const PREFIX: &str = "LARDER_";

/// Variables that are no settings.
const OTHERS: [&str; 2] = ["LARDER_CONFIG", "LARDER_LOG"];

/// What Larder's own build, tests and benches say to each other.
const WORKSHOP: [&str; 6] = [
    "LARDER_BIN",
    "LARDER_PIE",
    "LARDER_GITHUB_SCHEMA",
    "LARDER_TEST_",
    "LARDER_TWO_WRITERS_SECONDS",
    "LARDER_YEARS_",
];

/// A variable that names nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum Stray {
    /// It was meant to name a setting.
    Mistyped(Option<String>),
    /// It may be another program's.
    Strange(Option<String>),
}

/// What a variable is that is set to something; `None` = it has a meaning, or is none of Larder's.
pub fn stray(name: &str, settings: &BTreeSet<String>) -> Option<Stray> {
    let rest = name.strip_prefix(PREFIX)?;
    let is_workshop = WORKSHOP.iter().any(|one| name == *one || one.ends_with('_') && name.starts_with(one));
    if settings.contains(name) || OTHERS.contains(&name) || is_workshop {
        return None;
    }
    let known = || settings.iter().map(String::as_str).chain(OTHERS).map(bare);
    let slip = known().find(|known| is_slip(rest, known));
    let near = slip.or_else(|| only_key(rest, known())).or_else(|| nearest(rest, known()));
    let hint = near.map(|near| format!("did you mean `{PREFIX}{near}`?"));
    let is_mistyped = slip.is_some() || rest.contains("__");
    Some(if is_mistyped { Stray::Mistyped(hint) } else { Stray::Strange(hint) })
}

fn bare(known: &str) -> &str {
    known.strip_prefix(PREFIX).unwrap_or(known)
}

/// The one setting whose key this is, without its section.
fn only_key<'k>(rest: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let mut its = known.filter(|known| known.split_once("__").is_some_and(|(_, key)| key == rest));
    its.next().filter(|_| its.next().is_none())
}

/// Whether a name differs from a known one in nothing but case, underscores and few letters, the fewer
/// the shorter it is.
fn is_slip(rest: &str, known: &str) -> bool {
    let letters = |text: &str| text.replace('_', "").to_ascii_uppercase();
    let (ours, theirs) = (letters(rest), letters(known));
    ours == theirs || strsim::osa_distance(&ours, &theirs) <= theirs.len() / LETTERS_A_SLIP
}

/// One slip in so many letters is none of another word.
const LETTERS_A_SLIP: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_programs_variable() {
        let settings: BTreeSet<String> =
            ["STORE__URL", "STORE__LISTEN_URL", "GITHUB__OWNER", "SERVER__ADMIN_TOKEN"]
                .map(|name| format!("LARDER_{name}"))
                .into();
        let meant = |name: &str| Some(format!("did you mean `LARDER_{name}`?"));
        for (name, is) in [
            ("LARDER_STORE__URL", None),
            ("LARDER_LOG", None),
            ("LARDER_TEST_POSTGRES", None),
            ("STORE_URL", None),
            ("LARDER_STORE_URL", Some(Stray::Mistyped(meant("STORE__URL")))),
            ("LARDER_STOREURL", Some(Stray::Mistyped(meant("STORE__URL")))),
            ("LARDER_STORE__URl", Some(Stray::Mistyped(meant("STORE__URL")))),
            ("LARDER_GITHUB_ONWER", Some(Stray::Mistyped(meant("GITHUB__OWNER")))),
            ("LARDER_SERVER_ADMIN_TOKEN", Some(Stray::Mistyped(meant("SERVER__ADMIN_TOKEN")))),
            ("LARDER_CONFG", Some(Stray::Mistyped(meant("CONFIG")))),
            ("LARDER_ZEBRA__X", Some(Stray::Mistyped(None))),
            ("LARDER_ADMIN_TOKEN", Some(Stray::Strange(meant("SERVER__ADMIN_TOKEN")))),
        ] {
            assert_eq!(stray(name, &settings), is, "{name}");
        }
        assert_eq!(stray("LARDER_PIG", &settings), Some(Stray::Strange(None)));
    }
}
