//! YAML as it was written: texts, lists and maps, from the parser's events and without asking what a text
//! might mean besides. `1.10` stays `1.10`, and `yes` stays `yes`; what people write in front matter is read
//! by people.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written<'a> {
    /// Quoted or plain.
    Text(Cow<'a, str>),
    /// In its order.
    List(Vec<Written<'a>>),
    /// In its order. What is named by a list or a map is left out: nobody looks for that.
    Map(Map<'a>),
    /// `null`, `~`, or simply nothing.
    Nothing,
}

/// Values by their names; no name stands there twice.
pub(crate) type Map<'a> = Vec<(Cow<'a, str>, Written<'a>)>;

/// No document unfolds to more values: an alias counts as all that it stands for.
const VALUES_MAX: usize = 10_000;
/// No value lies in more others.
const DEPTH_MAX: usize = 100;

/// Reads a document's map; one that says nothing is empty. Says in a phrase what is wrong with it.
pub(crate) fn read(text: &str) -> Result<Map<'_>, String> {
    let mut reader = Reader::default();
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| error.to_string())?;
        match event {
            Event::DocumentStart(..) => documents += 1,
            Event::Scalar(text, style, anchor, tag) => {
                reader.value(scalar(text, style, tag.as_deref()), anchor)?;
            }
            Event::SequenceStart(_, anchor, _) => reader.open(Open::List(Vec::new(), anchor))?,
            Event::MappingStart(_, anchor, _) => reader.open(Open::Map(Vec::new(), None, anchor))?,
            Event::SequenceEnd | Event::MappingEnd => reader.close()?,
            Event::Alias(anchor) => reader.alias(anchor)?,
            _ => {}
        }
    }
    match reader.whole {
        _ if documents > 1 => Err("it is more than one document".to_owned()),
        None | Some(Written::Nothing) => Ok(Vec::new()),
        Some(Written::Map(map)) => Ok(map),
        Some(Written::Text(_) | Written::List(_)) => Err("it names no values".to_owned()),
    }
}

/// By the tag, if it has one; else a plain text may mean nothing.
fn scalar<'a>(text: Cow<'a, str>, style: ScalarStyle, tag: Option<&Tag>) -> Written<'a> {
    let is_nothing = match tag {
        Some(tag) => tag.is_yaml_core_schema_tag("null"),
        None => style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL"),
    };
    if is_nothing { Written::Nothing } else { Written::Text(text) }
}

/// What is read so far.
#[derive(Default)]
struct Reader<'a> {
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Written<'a>>,
    values: usize,
    whole: Option<Written<'a>>,
}

/// A list or a map that has not ended, with its anchor; 0 = it has none.
enum Open<'a> {
    List(Vec<Written<'a>>, usize),
    /// A key waits for its value.
    Map(Map<'a>, Option<Written<'a>>, usize),
}

impl<'a> Reader<'a> {
    fn value(&mut self, value: Written<'a>, anchor: usize) -> Result<(), String> {
        self.weigh(1)?;
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        self.put(value)
    }

    fn alias(&mut self, anchor: usize) -> Result<(), String> {
        let value = self.anchors.get(&anchor).ok_or("an alias stands within what it means")?.clone();
        let (values, depth) = extent(&value);
        self.weigh(values)?;
        if self.open.len() + depth > DEPTH_MAX {
            return Err(too_deep());
        }
        self.put(value)
    }

    fn open(&mut self, open: Open<'a>) -> Result<(), String> {
        self.open.push(open);
        if self.open.len() > DEPTH_MAX { Err(too_deep()) } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), String> {
        match self.open.pop() {
            Some(Open::List(all, anchor)) => self.value(Written::List(all), anchor),
            Some(Open::Map(map, _, anchor)) => self.value(Written::Map(map), anchor),
            None => Ok(()),
        }
    }

    fn put(&mut self, value: Written<'a>) -> Result<(), String> {
        match self.open.last_mut() {
            None => self.whole = Some(value),
            Some(Open::List(all, _)) => all.push(value),
            Some(Open::Map(map, key, _)) => match key.take() {
                None => *key = Some(value),
                Some(Written::Text(name)) if map.iter().any(|(known, _)| *known == name) => {
                    return Err(format!("it says `{name}` twice"));
                }
                Some(Written::Text(name)) => map.push((name, value)),
                Some(_) => {}
            },
        }
        Ok(())
    }

    fn weigh(&mut self, values: usize) -> Result<(), String> {
        self.values += values;
        if self.values > VALUES_MAX { Err(format!("it says more than {VALUES_MAX} values")) } else { Ok(()) }
    }
}

fn too_deep() -> String {
    format!("its values lie more than {DEPTH_MAX} deep")
}

/// How many values one is, with all in it, and how deep they lie.
fn extent(value: &Written<'_>) -> (usize, usize) {
    let within = |all: &mut dyn Iterator<Item = &Written<'_>>| {
        let (values, depth) =
            all.map(extent).fold((0, 0), |(values, depth), (more, below)| (values + more, depth.max(below)));
        (values + 1, depth + 1)
    };
    match value {
        Written::Text(_) | Written::Nothing => (1, 0),
        Written::List(all) => within(&mut all.iter()),
        Written::Map(map) => within(&mut map.iter().map(|(_, value)| value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Written<'_> {
        Written::Text(text.into())
    }

    #[test]
    fn values_are_what_was_written() {
        let all = read(
            "a: 1.10\nb: yes\nc: ~\nd:\ne: 'null'\nf: [x, {g: 007}]\nh: >\n  two\n  lines\ni: !!str null\n# said\n",
        );
        let f = Written::List(vec![text("x"), Written::Map(vec![("g".into(), text("007"))])]);
        let expected = [
            ("a", text("1.10")),
            ("b", text("yes")),
            ("c", Written::Nothing),
            ("d", Written::Nothing),
            ("e", text("null")),
            ("f", f),
            ("h", text("two lines\n")),
            ("i", text("null")),
        ];
        assert_eq!(all.unwrap(), expected.map(|(name, value)| (name.into(), value)));
        assert_eq!(read(""), Ok(Vec::new()));
        assert_eq!(read("# nothing\n"), Ok(Vec::new()));
    }

    #[test]
    fn an_alias_is_what_it_stands_for() {
        let all = read("a: &it [x]\nb: *it\n? [a, list]\n: unnamed\n").unwrap();
        let it = Written::List(vec![text("x")]);
        assert_eq!(all, [("a".into(), it.clone()), ("b".into(), it)]);
    }

    #[test]
    fn what_is_no_map_of_one_document_is_told_why() {
        let nested = format!("a: {}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        let lines: Vec<String> = (0..VALUES_MAX).map(|n| format!("k{n}:\n")).collect();
        let lines = lines.concat();
        let chain: Vec<String> = (1..DEPTH_MAX).map(|n| format!("k{n}: &k{n} [*k{}]\n", n - 1)).collect();
        let chain = format!("k0: &k0 [[]]\n{}", chain.concat());
        for (yaml, why) in [
            ("- a", "it names no values"),
            ("a text", "it names no values"),
            ("a: 1\na: 2\n", "it says `a` twice"),
            ("a: 1\n---\nb: 2\n", "it is more than one document"),
            ("a: &it [*it]", "an alias stands within what it means"),
            (&nested, "its values lie more than 100 deep"),
            (&lines, "it says more than 10000 values"),
            (&chain, "its values lie more than 100 deep"),
        ] {
            assert_eq!(read(yaml), Err(why.to_owned()), "{}", &yaml[..yaml.len().min(40)]);
        }
        assert!(read("a: b: c").is_err());
        assert!(read("a: *unknown").is_err());
    }
}
