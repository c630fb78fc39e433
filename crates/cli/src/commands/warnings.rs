//! What readers should know of entries, in few lines: what is said of many alike is said once.

use std::collections::BTreeMap;

use larder_core::{Key, Warning};

use crate::report::named;
use crate::ui::Screen;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What many have in common is counted, and the rest ends after a few lines.
    Few,
    /// Everything: the reader asked about this one entry.
    All,
}

/// How many lines a list of many entries gets.
const LINES_MAX: usize = 5;
/// From how many on, those that are alike are counted and not named.
const ALIKE_MIN: usize = 4;

/// Tells the warnings of some entries.
pub fn tell<'a>(
    entries: impl IntoIterator<Item = (&'a Key, &'a [Warning])>,
    detail: Detail,
    screen: &Screen,
) {
    let all: Vec<(&Key, &Warning)> =
        entries.into_iter().flat_map(|(key, warnings)| warnings.iter().map(move |one| (key, one))).collect();
    let lines = match detail {
        Detail::All => all.iter().map(|(key, warning)| line(key, warning)).collect(),
        Detail::Few => grouped(&all),
    };
    let most = if detail == Detail::Few { LINES_MAX } else { usize::MAX };
    for line in lines.iter().take(most) {
        screen.warn(line);
    }
    if lines.len() > most {
        screen.warn(&format!("and {} more: `larder show KEY` names them", lines.len() - most));
    }
}

fn line(key: &Key, warning: &Warning) -> String {
    format!("`{key}`: {}", warning.message)
}

/// A line a warning, or one for all that differ in nothing but what they are about.
fn grouped(all: &[(&Key, &Warning)]) -> Vec<String> {
    let mut places: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut groups: Vec<Vec<(&Key, &Warning)>> = Vec::new();
    for (key, warning) in all {
        let said = warning.message.replacen(&format!("`{}`", warning.about), "", 1);
        let place = *places.entry((&warning.code, said)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push((key, warning));
    }
    groups.iter().flat_map(|group| lines_of(group)).collect()
}

fn lines_of(group: &[(&Key, &Warning)]) -> Vec<String> {
    let Some((first_key, first)) = group.first() else { return Vec::new() };
    let is_same = group.iter().all(|(_, warning)| warning.message == first.message);
    if group.len() < ALIKE_MIN && !is_same {
        return group.iter().map(|(key, warning)| line(key, warning)).collect();
    }
    let mut keys: Vec<&Key> = vec![first_key];
    keys.extend(group.windows(2).filter(|pair| pair[0].0 != pair[1].0).map(|pair| pair[1].0));
    let more = if is_same { String::new() } else { format!("; {} more alike", group.len() - 1) };
    vec![format!("{}: {}{more}", named(&keys), first.message)]
}
