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

/// No document unfolds to more values: an alias counts as all that it stands for, and so does what is kept
/// for aliases …
const VALUES_MAX: usize = 10_000;
/// … to more bytes of text …
const BYTES_MAX: usize = 256 << 10;
/// … or to values that lie in more others.
const DEPTH_MAX: usize = 100;
/// A name in a message is cut here.
const NAME_CHARS_MAX: usize = 60;

/// Reads a document's map; one that says nothing is empty. Says in a phrase what is wrong with it, and in
/// which line of the file, of which so many lines stand above it.
pub(crate) fn read(text: &str, above: usize) -> Result<Map<'_>, String> {
    let in_line = |why: &str, line: usize| format!("{why}, in line {}", above + line);
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| in_line(&error.info(), error.marker().line()))?;
        reader.take(event).map_err(|why| in_line(&why, span.start.line()))?;
    }
    match reader.whole {
        None | Some(Written::Nothing) => Ok(Vec::new()),
        Some(Written::Map(map)) => Ok(map),
        Some(Written::Text(_) | Written::List(_)) => Err("it names no values".to_owned()),
    }
}

/// What is read so far.
#[derive(Default)]
struct Reader<'a> {
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Written<'a>>,
    documents: usize,
    values: usize,
    bytes: usize,
    whole: Option<Written<'a>>,
}

/// A list or a map that has not ended, with its anchor; 0 = it has none.
enum Open<'a> {
    List(Vec<Written<'a>>, usize),
    Map(Opened<'a>, usize),
}

#[derive(Default)]
struct Opened<'a> {
    map: Map<'a>,
    /// Waits for its value.
    key: Option<Written<'a>>,
    /// What `<<` brings, for names that the map does not have itself.
    merged: Map<'a>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, event: Event<'a>) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 { Err("another document begins".to_owned()) } else { Ok(()) }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.value(scalar(text, style, tag.as_deref()), anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open::List(Vec::new(), anchor)),
            Event::MappingStart(_, anchor, _) => self.open(Open::Map(Opened::default(), anchor)),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor),
            _ => Ok(()),
        }
    }

    fn value(&mut self, value: Written<'a>, anchor: usize) -> Result<(), String> {
        let text = if let Written::Text(text) = &value { text.len() } else { 0 };
        self.weigh(1, text)?;
        if anchor != 0 {
            let all = Extent::of(&value);
            self.weigh(all.values, all.bytes)?;
            self.anchors.insert(anchor, value.clone());
        }
        self.put(value)
    }

    fn alias(&mut self, anchor: usize) -> Result<(), String> {
        let known = self.anchors.get(&anchor).ok_or("an alias stands within what it means")?;
        let all = Extent::of(known);
        self.weigh(all.values, all.bytes)?;
        if self.open.len() + all.depth > DEPTH_MAX {
            return Err(too_deep());
        }
        let value = self.anchors.get(&anchor).cloned().unwrap_or(Written::Nothing);
        self.put(value)
    }

    fn open(&mut self, open: Open<'a>) -> Result<(), String> {
        self.open.push(open);
        if self.open.len() > DEPTH_MAX { Err(too_deep()) } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), String> {
        match self.open.pop() {
            Some(Open::List(all, anchor)) => self.value(Written::List(all), anchor),
            Some(Open::Map(opened, anchor)) => self.value(Written::Map(opened.closed()), anchor),
            None => Ok(()),
        }
    }

    fn put(&mut self, value: Written<'a>) -> Result<(), String> {
        match self.open.last_mut() {
            None => self.whole = Some(value),
            Some(Open::List(all, _)) => all.push(value),
            Some(Open::Map(opened, _)) => return opened.put(value),
        }
        Ok(())
    }

    fn weigh(&mut self, values: usize, bytes: usize) -> Result<(), String> {
        self.values += values;
        self.bytes += bytes;
        if self.values > VALUES_MAX || self.bytes > BYTES_MAX {
            return Err(format!("it unfolds to more than {VALUES_MAX} values or {BYTES_MAX} bytes"));
        }
        Ok(())
    }
}

impl<'a> Opened<'a> {
    /// A key, or its value.
    fn put(&mut self, value: Written<'a>) -> Result<(), String> {
        match self.key.take() {
            None => self.key = Some(value),
            Some(Written::Text(name)) if name == "<<" => self.merge(value),
            Some(Written::Text(name)) if self.map.iter().any(|(known, _)| *known == name) => {
                let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
                return Err(format!("`{}` stands there twice", shown.escape_debug()));
            }
            Some(Written::Text(name)) => self.map.push((name, value)),
            Some(_) => {}
        }
        Ok(())
    }

    /// Takes in a map, or a list of maps of which the earlier count more.
    fn merge(&mut self, value: Written<'a>) {
        match value {
            Written::Map(map) => self.merged.extend(map),
            Written::List(all) => {
                for one in all {
                    if let Written::Map(map) = one {
                        self.merged.extend(map);
                    }
                }
            }
            Written::Text(_) | Written::Nothing => {}
        }
    }

    fn closed(self) -> Map<'a> {
        let mut map = self.map;
        for (name, value) in self.merged {
            if map.iter().all(|(known, _)| *known != name) {
                map.push((name, value));
            }
        }
        map
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

fn too_deep() -> String {
    format!("its values lie more than {DEPTH_MAX} deep")
}

/// A value with all in it.
#[derive(Default)]
struct Extent {
    values: usize,
    bytes: usize,
    depth: usize,
}

impl Extent {
    fn of(value: &Written<'_>) -> Extent {
        match value {
            Written::Text(text) => Extent { values: 1, bytes: text.len(), depth: 0 },
            Written::Nothing => Extent { values: 1, ..Extent::default() },
            Written::List(all) => Extent::within(all.iter().map(|value| (0, value))),
            Written::Map(map) => Extent::within(map.iter().map(|(name, value)| (name.len(), value))),
        }
    }

    /// Of something that has values, each with so many bytes of a name.
    fn within<'v, 'a: 'v>(all: impl Iterator<Item = (usize, &'v Written<'a>)>) -> Extent {
        let mut sum = Extent { values: 1, ..Extent::default() };
        for (name, value) in all {
            let one = Extent::of(value);
            sum.values += one.values;
            sum.bytes += name + one.bytes;
            sum.depth = sum.depth.max(one.depth);
        }
        Extent { depth: sum.depth + 1, ..sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Map<'_>, String> {
        super::read(text, 0)
    }

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
    fn what_is_merged_stands_behind_what_a_map_says_itself() {
        let all = read("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {y: 3, <<: [*a, *b], <<: *b}\n<<: *a\n")
            .unwrap();
        let c = [("y", "3"), ("x", "1"), ("z", "2")].map(|(name, said)| (name.into(), text(said)));
        assert_eq!(all[2], ("c".into(), Written::Map(c.to_vec())));
        assert_eq!(all[3..], [("x".into(), text("1")), ("y".into(), text("1"))]);
    }

    #[test]
    fn what_is_no_map_of_one_document_is_told_why() {
        let long = "x".repeat(30_000);
        let texts = format!("x: &a \"\\t{long}\"\nq: [{}*a]\n", "*a, ".repeat(8));
        let anchors: String = (0..90).map(|n| format!("&b{n} [")).collect::<Vec<_>>().concat();
        let anchors = format!("x: &a text\nq: {anchors}{}*a{}\n", "*a, ".repeat(299), "]".repeat(90));
        let within = |what: &str, depth: usize| format!("{}{what}{}", "[".repeat(depth), "]".repeat(depth));
        let nested = format!("a: {}", within("", DEPTH_MAX));
        let lines: Vec<String> = (0..VALUES_MAX).map(|n| format!("k{n}:\n")).collect();
        let lines = lines.concat();
        let chain = format!("a: &a {}\nb: {}\n", within("", 60), within("*a", 50));
        for (yaml, why) in [
            ("- a", "it names no values"),
            ("a text", "it names no values"),
            ("b: 0\na: 1\na: 2\n", "`a` stands there twice, in line 3"),
            ("\"a\\e\": 1\n\"a\\e\": 2\n", "`a\\u{1b}` stands there twice, in line 2"),
            ("a: 1\n---\nb: 2\n", "another document begins, in line 2"),
            ("a: &it [*it]", "an alias stands within what it means, in line 1"),
            ("a: [b", "unclosed bracket '[', in line 1"),
            (&nested, "its values lie more than 100 deep, in line 1"),
            (&chain, "its values lie more than 100 deep, in line 2"),
            (&lines, "it unfolds to more than 10000 values or 262144 bytes, in line 5001"),
            (&texts, "it unfolds to more than 10000 values or 262144 bytes, in line 2"),
            (&anchors, "it unfolds to more than 10000 values or 262144 bytes, in line 2"),
        ] {
            assert_eq!(read(yaml), Err(why.to_owned()), "{}", &yaml[..yaml.len().min(40)]);
        }
        assert!(read("a: b: c").is_err());
        assert!(read("a: *unknown").is_err());
        assert_eq!(super::read("a: 0\na: 1\n", 7), Err("`a` stands there twice, in line 9".to_owned()));
    }
}
