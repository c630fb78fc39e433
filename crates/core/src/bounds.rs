//! What every store can keep, decided before any of them is asked. Some have limits that others have not:
//! left to them, the same answer would be kept here and fail there, and one item would take all of its entry
//! along.

use std::borrow::Cow;

use crate::{Entry, Exported, ExportedMember, ItemRef, Json, Key, NewItem, Validators, Warning};

/// The most bytes of an item's kind, of its identity, and of a tag. A row of an index of PostgreSQL's has
/// 2,704, which must hold an item's two.
const NAME_BYTES_MAX: usize = 1_024;

/// The most bytes of a document. PostgreSQL's `jsonb` has 256 MiB, in a form in which a list of small numbers
/// takes six times its text.
const DOC_BYTES_MAX: usize = 16 << 20;

/// How deep a document may be nested. Readers decode it with `serde_json`, which goes no deeper; SQLite's
/// functions go to 1,000.
const DEPTH_MAX: usize = 127;

/// The most digits of a number, those that its exponent adds as well. PostgreSQL's `numeric` has 16,383 behind
/// the point; nobody writes so many.
const DIGITS_MAX: u64 = 1_000;

/// Below so many bytes a number without an exponent is within all bounds.
const PLAIN_NUMBER_BYTES_MAX: usize = 300;

/// How many characters of a name are shown.
const SHOWN_MAX: usize = 200;

/// How many of a number that is out of bounds.
const NUMBER_SHOWN_MAX: usize = 40;

/// The code of a [`Warning`] about what is left out since it cannot be kept.
pub(crate) const UNFIT: &str = "unfit";

/// Why something cannot be kept. Its words follow the name of an item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A name that no index can hold.
    #[error("its {of} has {bytes} bytes, {NAME_BYTES_MAX} is the limit")]
    LongName {
        /// Whose: `id`, `kind`.
        of: &'static str,
        /// How many.
        bytes: usize,
    },
    /// A name with a character that PostgreSQL's texts cannot hold. In a document it is replaced; a name that
    /// is another is another's.
    #[error("its {0} holds the character U+0000")]
    NulInName(&'static str),
    /// A document that is too large.
    #[error("its document has {0} bytes, {DOC_BYTES_MAX} is the limit")]
    LargeDoc(usize),
    /// A document that nobody could decode.
    #[error("its document is nested deeper than {DEPTH_MAX} levels")]
    DeepDoc,
    /// Something that was written otherwise than Larder writes it.
    #[error("it cannot be understood: {0}")]
    Unread(String),
    /// A number beyond what 64 bits of floating point hold, or with too many digits.
    #[error("its document holds the number {0}, which is out of bounds")]
    Number(String),
}

impl Unfit {
    /// What is told of an item of that name that is left out.
    pub fn warning(&self, name: &str) -> Warning {
        warning(name, false, self)
    }
}

/// An item as all stores can keep it: texts are mended, see [`storable`].
pub(crate) fn admit(item: NewItem) -> Result<NewItem, Unfit> {
    check_name(&item.of)?;
    Ok(NewItem { doc: admit_doc(item.doc)?, ..item })
}

/// A document as all stores can keep it. It is gone over once, as text.
pub(crate) fn admit_doc(doc: Json) -> Result<Json, Unfit> {
    let text = doc.as_str();
    if text.len() > DOC_BYTES_MAX {
        return Err(Unfit::LargeDoc(text.len()));
    }
    if scan(text)? == Escapes::Unicode
        && let Cow::Owned(mended) = storable(text)
    {
        return Ok(Json::trusted(mended));
    }
    Ok(doc)
}

/// Whether stores can find what carries this tag.
pub(crate) fn is_fit_tag(tag: &str) -> bool {
    tag.len() <= NAME_BYTES_MAX
}

/// What is told of an item that is left out, or of which an older copy stays.
pub(crate) fn warning(name: &str, is_held: bool, unfit: &Unfit) -> Warning {
    let about = short(name);
    let stands = if is_held { "is shown as it was" } else { "is left out" };
    Warning { message: format!("`{about}` {stands}: {unfit}"), code: UNFIT.to_owned(), about }
}

/// What is told of a tag that is left out.
pub(crate) fn tag_warning(about: &Key, tag: &str) -> Warning {
    let message = format!(
        "the tag `{}` is left out: it has {} bytes, {NAME_BYTES_MAX} is the limit",
        short(tag),
        tag.len()
    );
    Warning { about: about.to_string(), code: UNFIT.to_owned(), message }
}

/// A name by which people recognise it.
pub(crate) fn short(name: &str) -> String {
    let shown = cut(name, SHOWN_MAX);
    if shown.contains('\0') { shown.replace('\0', "\u{fffd}") } else { shown }
}

fn cut(text: &str, most: usize) -> String {
    let shown: String = text.chars().take(most).collect();
    if shown.len() < text.len() { shown + "…" } else { shown }
}

impl Exported {
    /// The entry as all stores can keep it: items and tags that cannot be kept are left out, and what is
    /// answered besides are the warnings that the entry has of them now. Where its own document cannot be
    /// kept, nor can it.
    pub fn admit(mut self) -> Result<(Exported, Vec<Warning>), Unfit> {
        self.entry.body = self.entry.body.map(admit_doc).transpose()?;
        let mut told = Vec::new();
        let mut members = Vec::with_capacity(self.members.len());
        for member in self.members {
            let name = member.asked.clone();
            match admit_member(member) {
                Ok(member) => members.push(member),
                Err(unfit) => told.push(unfit.warning(&name)),
            }
        }
        if !told.is_empty() {
            self.entry.lack();
        }
        let key = &self.entry.key;
        self.tags.retain(|tag| {
            let is_fit = is_fit_tag(tag);
            told.extend((!is_fit).then(|| tag_warning(key, tag)));
            is_fit
        });
        note(&mut self.entry.warnings, &told);
        Ok((Exported { members, ..self }, told))
    }
}

impl Entry {
    /// Part of it is not there: no word of its source's about all of it holds any more, so that the next fetch
    /// asks for everything.
    pub fn lack(&mut self) {
        self.complete = false;
        self.validators = Validators::default();
        self.cursor = None;
    }
}

fn admit_member(mut member: ExportedMember) -> Result<ExportedMember, Unfit> {
    check_name(&member.item.of)?;
    member.item.doc = admit_doc(member.item.doc)?;
    member.item.derived = member.item.derived.map(admit_doc).transpose()?;
    Ok(member)
}

/// Adds the warnings that are not there yet.
pub(crate) fn note(warnings: &mut Vec<Warning>, more: &[Warning]) {
    for warning in more {
        if !warnings.contains(warning) {
            warnings.push(warning.clone());
        }
    }
}

fn check_name(of: &ItemRef) -> Result<(), Unfit> {
    for (what, name) in [("kind", &of.kind), ("id", &of.id)] {
        if name.len() > NAME_BYTES_MAX {
            return Err(Unfit::LongName { of: what, bytes: name.len() });
        }
        if name.contains('\0') {
            return Err(Unfit::NulInName(what));
        }
    }
    Ok(())
}

/// Whether a document has escapes that name characters by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Plain,
    Unicode,
}

/// Goes over a document for what is out of bounds in it.
fn scan(text: &str) -> Result<Escapes, Unfit> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut escapes) = (0, 0_usize, Escapes::Plain);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_text(bytes, at, &mut escapes),
            b'[' | b'{' if depth == DEPTH_MAX => return Err(Unfit::DeepDoc),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let begin = at - 1;
                while bytes.get(at).is_some_and(|byte| is_of_number(*byte)) {
                    at += 1;
                }
                let number = &text[begin..at];
                if !is_fit_number(number) {
                    return Err(Unfit::Number(cut(number, NUMBER_SHOWN_MAX)));
                }
            }
            _ => {}
        }
    }
    Ok(escapes)
}

/// Where the text that has begun before `at` is over.
fn end_of_text(bytes: &[u8], mut at: usize, escapes: &mut Escapes) -> usize {
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => return at,
            b'\\' => {
                if bytes.get(at) == Some(&b'u') {
                    *escapes = Escapes::Unicode;
                }
                at += 1;
            }
            _ => {}
        }
    }
    at
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

fn is_fit_number(number: &str) -> bool {
    let split = number.split_once(['e', 'E']);
    if split.is_none() && number.len() <= PLAIN_NUMBER_BYTES_MAX {
        return true;
    }
    let (digits, exponent) = split.unwrap_or((number, "0"));
    let exponent: u64 = exponent.trim_start_matches(['+', '-']).parse().unwrap_or(u64::MAX);
    let is_short = exponent.saturating_add(digits.len() as u64) <= DIGITS_MAX;
    is_short && number.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Puts U+FFFD where a document says what no text of PostgreSQL's can, nor a decoder's: the character 0, and
/// half of a surrogate pair. Everything else is kept to the letter.
pub fn storable(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = text[at..].find('\\') {
        let escape = at + found;
        let Some(unit) = code_unit(text, escape) else {
            // Another escape, of two characters; in a damaged document the second may be any.
            let second = text[escape + 1..].chars().next();
            at = escape + 1 + second.map_or(0, char::len_utf8);
            continue;
        };
        let is_pair = (0xd800..0xdc00).contains(&unit)
            && code_unit(text, escape + 6).is_some_and(|low| (0xdc00..0xe000).contains(&low));
        at = escape + if is_pair { 12 } else { 6 };
        if !is_pair && (unit == 0 || (0xd800..0xe000).contains(&unit)) {
            kept.push_str(&text[from..escape]);
            kept.push('\u{fffd}');
            from = at;
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[from..]);
    Cow::Owned(kept)
}

/// The number in `\u0000`, if that is what stands there.
fn code_unit(text: &str, at: usize) -> Option<u32> {
    let hex = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u32::from_str_radix(hex, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const NUMBER: &str = "its document holds the number ";

    fn doc(text: impl Into<String>) -> Json {
        Json::parse(text.into()).unwrap()
    }

    fn nested(depth: usize) -> Json {
        doc("[".repeat(depth) + &"]".repeat(depth))
    }

    #[test]
    fn what_is_within_bounds_can_be_decoded_and_what_is_beyond_says_why() {
        let long = "7".repeat(300);
        for fit in [nested(DEPTH_MAX), doc("-1.5e308"), doc(format!("[0.{long}, {long}]")), doc("1e-400")] {
            assert_eq!(admit_doc(fit.clone()), Ok(fit.clone()));
            fit.decode::<Value>().unwrap();
        }
        let in_text = format!(r#"{{"a\"1e999": "{}", "b": "\\", "c": [true, 1e2]}}"#, "[".repeat(500));
        assert_eq!(admit_doc(doc(in_text.clone())), Ok(doc(in_text)));
        let digits = "1".repeat(1_001);
        let beyond = [
            (nested(DEPTH_MAX + 1), "its document is nested deeper than 127 levels".to_owned()),
            (doc("[1, 1e309]"), "its document holds the number 1e309, which is out of bounds".to_owned()),
            (doc("-1E+99999999999999999999"), format!("{NUMBER}-1E+99999999999999999999, which")),
            (doc("1e-20000"), format!("{NUMBER}1e-20000, which")),
            (doc(format!("0.{digits}")), format!("{NUMBER}0.{}…, which", "1".repeat(38))),
            (doc(format!("\"{}\"", "x".repeat(DOC_BYTES_MAX))), "its document has 16777218 bytes".to_owned()),
        ];
        for (unfit, says) in beyond {
            let said = admit_doc(unfit).unwrap_err().to_string();
            assert!(said.starts_with(&says), "{said}");
        }
    }

    #[test]
    fn what_no_text_can_hold_is_replaced_and_nothing_else() {
        for same in [r#"{"a":"\u00e9\ud83e\udd80 \\u0000"}"#, r#""\n\"""#, "{}", r#""\\\\u0000""#] {
            assert!(matches!(storable(same), Cow::Borrowed(text) if text == same), "{same}");
        }
        assert_eq!(storable(r#""a\u0000b\\\u0000""#), "\"a\u{fffd}b\\\\\u{fffd}\"");
        assert_eq!(storable(r#""\ud83ex\udd80\ud83e""#), "\"\u{fffd}x\u{fffd}\u{fffd}\"");
        assert_eq!(storable(r#""\ud83e\ud83e\udd80""#), "\"\u{fffd}\\ud83e\\udd80\"");
        assert_eq!(admit_doc(doc(r#"{"\u0000":"\u0000"}"#)), Ok(doc("{\"\u{fffd}\":\"\u{fffd}\"}")));
    }

    #[test]
    fn a_name_is_shown_by_its_beginning() {
        assert_eq!(short("a\0b"), "a\u{fffd}b");
        assert_eq!(short(&"é".repeat(4_000)).chars().count(), SHOWN_MAX + 1);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_to_be_gone_over(text in "[\\[\\]{}\"\\\\u0-9eE.+\\-dé, ]{0,60}") {
            let _ = admit_doc(Json::trusted(text));
        }
    }
}
