//! What PostgreSQL cannot keep, by its name. It says which index or which type is too small, and waiting does
//! not mend that; a person must be told what it is that does not fit. What sources and imports bring is within
//! bounds that `core` keeps for all stores; this is for whoever writes past them.

use larder_core::{Exported, ItemRef, Json, Write};

use crate::errors::Fault;

/// What an index holds of a row at most.
const INDEXED_MAX: usize = 2_600;

/// How many digits before or behind the point a number may have; more than anybody writes, and fewer than
/// `numeric` has.
const DIGITS_MAX: u64 = 16_000;

/// What one wanted to keep.
#[derive(Default)]
pub(crate) struct Load<'a> {
    items: Vec<(&'a ItemRef, Option<&'a Json>)>,
    tags: Vec<&'a str>,
    bodies: Vec<&'a Json>,
}

impl<'a> Load<'a> {
    pub(crate) fn of_write(write: &'a Write) -> Load<'a> {
        let brought = write.items.iter().map(|item| (&item.of, Some(&item.doc)));
        let tags = write.tags.iter().flatten().map(String::as_str);
        Load { items: brought.collect(), tags: tags.collect(), bodies: write.body.iter().collect() }
    }

    pub(crate) fn of_exported(entries: &'a [Exported]) -> Load<'a> {
        let mut load = Load::default();
        for exported in entries {
            for item in exported.members.iter().map(|member| &member.item) {
                load.items.push((&item.of, Some(&item.doc)));
                load.items.extend(item.derived.as_ref().map(|derived| (&item.of, Some(derived))));
            }
            load.tags.extend(exported.tags.iter().map(String::as_str));
            load.bodies.extend(&exported.entry.body);
        }
        load
    }

    /// The fault, in words that name what caused it, if that is something of this.
    pub(crate) fn named(&self, fault: Fault) -> Fault {
        let named = match fault.code() {
            Some("54000") => self.too_long(),
            Some("22003") => self.too_large(),
            _ => None,
        };
        named.map_or(fault, Fault::Wrong)
    }

    fn too_long(&self) -> Option<String> {
        let items = self.items.iter().map(|(of, _)| (&*of.kind, &*of.id));
        let tags = self.tags.iter().map(|tag| ("tag", *tag));
        let (what, name) = items.chain(tags).max_by_key(|(_, name)| name.len())?;
        (name.len() > INDEXED_MAX).then(|| {
            let (shown, bytes) = (short(name), name.len());
            format!(
                "{what} `{shown}` has a name of {bytes} bytes, which is more than PostgreSQL can find again"
            )
        })
    }

    fn too_large(&self) -> Option<String> {
        let docs = self.items.iter().filter_map(|(of, doc)| Some((Some(*of), (*doc)?)));
        let bodies = self.bodies.iter().map(|body| (None, *body));
        let (of, number) =
            docs.chain(bodies).find_map(|(of, doc)| Some((of, immense_number(doc.as_str())?)))?;
        let holder = of.map_or("the entry".to_owned(), |of| format!("{} `{}`", of.kind, short(&of.id)));
        Some(format!("{holder} holds the number {}, which PostgreSQL cannot keep", short(number)))
    }
}

/// Enough to recognise it by.
fn short(text: &str) -> String {
    const SHOWN_MAX: usize = 80;
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() { shown + "…" } else { shown }
}

/// The first number of a document that has too many digits.
fn immense_number(json: &str) -> Option<&str> {
    let (mut in_string, mut escaped, mut from) = (false, false, None);
    for (at, byte) in json.bytes().chain([b' ']).enumerate() {
        let is_of_number = !in_string && matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        match (from, is_of_number) {
            // `true` and `false` have an `e` too, but do not begin with it.
            (None, true) if !matches!(byte, b'e' | b'E') => from = Some(at),
            (Some(begin), false) => {
                let number = &json[begin..at];
                if is_immense(number) {
                    return Some(number);
                }
                from = None;
            }
            _ => {}
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
    None
}

fn is_immense(number: &str) -> bool {
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: u64 = exponent.trim_start_matches(['+', '-']).parse().unwrap_or(u64::MAX);
    exponent.saturating_add(digits.len() as u64) > DIGITS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_very_many_digits_is_found() {
        assert_eq!(immense_number(r#"{"a": [1, -2.5e3, true, "1e99999", "\\", null], "e": 0}"#), None);
        assert_eq!(immense_number(r#"{"a\"1e99999": [1,1e99999]}"#), Some("1e99999"));
        assert_eq!(immense_number("[-1.5E-20000]"), Some("-1.5E-20000"));
        assert_eq!(immense_number("1e99999"), Some("1e99999"));
        assert_eq!(immense_number(&"7".repeat(20_000)).map(str::len), Some(20_000));
    }
}
