//! One section of the configuration: the keys that it asks for, each read from the environment or the file,
//! and the mistakes in their values.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::setting::{Origin, Setting};
use super::super::span;
use super::{Layers, unknown_hint};

/// Whether a key may be set by a file that nobody trusts yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// By any file.
    Open,
    /// By a trusted one alone: it decides where data or a token goes.
    Trusted,
}

/// A key of a section.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    name: &'static str,
    guard: Guard,
    shared: &'static [&'static str],
}

impl Key {
    /// One that any file may set.
    pub const fn open(name: &'static str) -> Self {
        Key { name, guard: Guard::Open, shared: &[] }
    }

    /// One that a trusted file alone may set.
    pub const fn guarded(name: &'static str) -> Self {
        Key { name, guard: Guard::Trusted, shared: &[] }
    }

    /// Variables that other programs know too, and that may stand in for Larder's own.
    pub const fn or_vars(self, shared: &'static [&'static str]) -> Self {
        Key { shared, ..self }
    }
}

impl From<&'static str> for Key {
    fn from(name: &'static str) -> Self {
        Key::open(name)
    }
}

/// One table of the file, with the environment's variables over it where it is a section.
pub struct Section<'l, 'a> {
    layers: &'l mut Layers<'a>,
    /// The section's name.
    name: &'static str,
    table: Option<&'a DeTable<'a>>,
    /// Whether the environment may set its keys: not for one table of many.
    in_env: bool,
    asked: Vec<&'static str>,
}

/// A value before it is understood.
#[derive(Clone, Copy)]
pub enum Raw<'v> {
    /// From a variable or an option.
    Text(&'v str),
    /// From a variable that other programs know too, and may write in another way.
    Shared(&'v str),
    /// From the file.
    Value(&'v DeValue<'v>),
}

impl<'l, 'a> Section<'l, 'a> {
    /// A table that stands alone, with the environment over it.
    pub(super) fn of(layers: &'l mut Layers<'a>, name: &'static str, table: Option<&'a DeTable<'a>>) -> Self {
        Section { layers, name, table, in_env: true, asked: Vec::new() }
    }

    /// One table of many.
    pub(super) fn of_many(layers: &'l mut Layers<'a>, name: &'static str, table: &'a DeTable<'a>) -> Self {
        Section { layers, name, table: Some(table), in_env: false, asked: Vec::new() }
    }

    /// Reads a key by `read`, whose error says what is wrong with the value.
    pub fn read<T>(&mut self, key: Key, read: impl Fn(Raw<'_>) -> Result<T, String>) -> Option<Setting<T>> {
        self.asked.push(key.name);
        let from_env = self.var(key);
        let from_file = self.table.and_then(|table| table.get(key.name));
        if key.guard == Guard::Trusted && !self.is_trusted() && from_file.is_some() {
            let ignored = format!("`{} {}`", self.frame(), key.name);
            if !self.layers.ignored.contains(&ignored) {
                self.layers.ignored.push(ignored);
            }
        }
        if let Some((origin, raw)) = from_env {
            return self.understood(key.name, read(raw), origin, None);
        }
        let value = from_file.filter(|_| key.guard == Guard::Open || self.is_trusted())?;
        let origin = self.origin(&value.span());
        self.understood(key.name, read(Raw::Value(value.get_ref())), origin, Some(value.span()))
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Option<Setting<String>> {
        self.read(Key::open(key), |raw| raw.text("a text in quotes").map(str::to_owned))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: impl Into<Key>) -> Option<Setting<bool>> {
        self.read(key.into(), |raw| match raw {
            Raw::Value(value) => {
                value.as_bool().ok_or_else(|| expected("`true` or `false`", value.type_str()))
            }
            Raw::Text(text) | Raw::Shared(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(format!("`{text}` is neither `true` nor `false`")),
            },
        })
    }

    /// A duration within limits.
    pub fn span(
        &mut self,
        key: impl Into<Key>,
        least: Duration,
        most: Duration,
    ) -> Option<Setting<Duration>> {
        self.read(key.into(), |raw| span::parse(raw.text("a duration such as \"6h\"")?, least, most))
    }

    /// A whole number within limits.
    pub fn count(&mut self, key: impl Into<Key>, least: u64, most: u64) -> Option<Setting<u64>> {
        self.read(key.into(), |raw| {
            let number: Option<i128> = match raw {
                Raw::Text(text) | Raw::Shared(text) => text.trim().parse().ok(),
                Raw::Value(value) => {
                    value.as_integer().and_then(|int| i128::from_str_radix(int.as_str(), int.radix()).ok())
                }
            };
            let number = number.ok_or_else(|| "expected a whole number".to_owned())?;
            let fitting = u64::try_from(number).ok().filter(|number| (least..=most).contains(number));
            fitting.ok_or_else(|| format!("`{number}` is not between {least} and {most}"))
        })
    }

    /// A list of texts, each with its place in the file.
    pub fn texts(&mut self, key: &'static str) -> Vec<(&'a str, Range<usize>)> {
        self.asked.push(key);
        let Some(value) = self.table.and_then(|table| table.get(key)) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            let message = format!("`{key}`: {}", expected("a list of texts", value.get_ref().type_str()));
            self.layers.problem_at(&value.span(), message, None);
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(array.len());
        for item in array {
            if let Some(text) = item.get_ref().as_str() {
                texts.push((text, item.span()));
                continue;
            }
            let found = item.get_ref().type_str();
            let message = format!("`{key}`: {}", expected("a text in quotes", found));
            self.layers.problem_at(&item.span(), message, None);
        }
        texts
    }

    /// Where a key's value stands in the file, for mistakes that show only when keys are compared.
    pub fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.table.and_then(|table| table.get(key)).map(Spanned::span)
    }

    /// All layers, to report to.
    pub fn layers(&mut self) -> &mut Layers<'a> {
        self.layers
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        let frame = self.frame();
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !self.asked.contains(&name) {
                let hint = unknown_hint(name, &self.asked, &format!("keys of `{frame}`"));
                let message = format!("unknown key `{name}` in `{frame}`");
                self.layers.problem_at(&key.span(), message, Some(hint));
            }
        }
    }

    /// As the file has it: a table, or one of many.
    fn frame(&self) -> String {
        if self.in_env { format!("[{}]", self.name) } else { format!("[[{}]]", self.name) }
    }

    /// What the environment says of a key, if it may.
    pub fn var(&mut self, key: Key) -> Option<(Origin, Raw<'a>)> {
        if !self.in_env {
            return None;
        }
        let own = format!("LARDER_{}__{}", self.name.to_uppercase(), key.name.to_uppercase());
        self.layers.asked_vars.insert(own.clone());
        let env = self.layers.env;
        let is_set = |name: &&str| env.get(name).is_some() || env.is_odd(name);
        let name = std::iter::once(own.as_str()).chain(key.shared.iter().copied()).find(is_set)?;
        let Some(text) = env.get(name) else {
            self.layers.odd_var(name);
            return None;
        };
        let raw = if name == own { Raw::Text(text) } else { Raw::Shared(text) };
        Some((Origin::Env(name.to_owned()), raw))
    }

    /// Whether the file may set what is guarded.
    pub fn is_trusted(&self) -> bool {
        self.layers.file.as_ref().is_some_and(|file| file.trusted)
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        let places = self.layers.file.as_ref().map(|file| &file.places);
        places.map_or(Origin::Default, |places| Origin::File {
            file: places.file().to_owned(),
            line: places.line(span.start),
        })
    }

    fn understood<T>(
        &mut self,
        key: &str,
        read: Result<T, String>,
        origin: Origin,
        span: Option<Range<usize>>,
    ) -> Option<Setting<T>> {
        match read {
            Ok(value) => Some(Setting { value, origin }),
            Err(message) => {
                let message = format!("`{key}`: {message}");
                match span {
                    Some(span) => self.layers.problem_at(&span, message, None),
                    None => self.layers.problem_of(&origin, message, None),
                }
                None
            }
        }
    }
}

impl<'v> Raw<'v> {
    /// The text, or what was expected instead of what stands there.
    pub fn text(self, what: &str) -> Result<&'v str, String> {
        match self {
            Raw::Text(text) | Raw::Shared(text) => Ok(text),
            Raw::Value(value) => value.as_str().ok_or_else(|| expected(what, value.type_str())),
        }
    }
}

fn expected(what: &str, found: &str) -> String {
    format!("expected {what}, found {} {found}", if found.starts_with(['a', 'i']) { "an" } else { "a" })
}
