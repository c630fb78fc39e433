//! What is said of repositories that the token may not read all of.

use std::collections::BTreeMap;

use larder_core::Warning;

use crate::github::Withheld;

/// Of one that was asked for by its name.
pub(super) fn of_member(asked: &str, withheld: &[Withheld]) -> Warning {
    Warning {
        about: asked.to_owned(),
        code: CODE.to_owned(),
        message: format!("`{asked}` is shown without {}", Withheld::told(withheld)),
    }
}

/// Of an owner's whole list. It is about the entry, so it names nobody: those who are meant are private.
pub(super) fn of_list<'a>(
    about: &str,
    withheld: impl Iterator<Item = &'a Withheld>,
    hidden: usize,
) -> Vec<Warning> {
    let mut counts: BTreeMap<&Withheld, usize> = BTreeMap::new();
    for one in withheld {
        *counts.entry(one).or_default() += 1;
    }
    let shown = counts.into_iter().map(|(one, count)| {
        let (are, their) = if count == 1 { ("y is", "its") } else { ("ies are", "their") };
        let (name, permission) = (one.name(), one.permission());
        format!(
            "{count} repositor{are} shown without {their} {name}, which the token may not read: give it \
             {permission}"
        )
    });
    let left_out = (hidden > 0).then(|| {
        let are = if hidden == 1 { "y is" } else { "ies are" };
        format!("{hidden} repositor{are} not for this token, and left out")
    });
    let told = |message| Warning { about: about.to_owned(), code: CODE.to_owned(), message };
    shown.chain(left_out).map(told).collect()
}

/// The word for all of these.
const CODE: &str = "needs_permission";
