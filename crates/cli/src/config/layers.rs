//! The layers a setting may come from: the environment over the file. A section asks for the keys
//! it knows; what nobody asked for is a mistake, and is reported with the nearest key that exists.

mod section;

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::env::Environment;
use super::problem::{Places, Problem, nearest};
use super::setting::Origin;
use super::shown::Shown;
use super::vars::{Stray, stray};

pub use section::{Key, Raw, Section};

/// The file's text, its tables, and whether it is trusted.
#[derive(Debug)]
pub struct File<'a> {
    /// Where things stand in it.
    pub places: Places<'a>,
    /// Its tables.
    pub root: &'a DeTable<'a>,
    /// Whether it may set what is guarded.
    pub trusted: bool,
}

/// All layers, and what was found wrong with them so far.
pub struct Layers<'a> {
    file: Option<File<'a>>,
    env: &'a Environment,
    asked_sections: Vec<&'static str>,
    asked_vars: BTreeSet<String>,
    /// Mistakes.
    pub problems: Vec<Problem>,
    /// Things a person should know that are no mistakes.
    pub notes: Vec<String>,
    /// What an untrusted file of the other program's tried to set.
    pub pmu_ignored: Vec<&'static str>,
    /// Variables that may be another program's.
    pub strays: Vec<String>,
    /// Things to say only when a person asks how it is configured.
    pub quiet_notes: Vec<String>,
    /// What an untrusted file tried to set, as `[section] key`.
    pub ignored: Vec<String>,
    /// The tables of lists, each in a line with its place, for whoever asks how it is configured.
    pub listed: Vec<Shown>,
}

/// The lists of tables that a file may have: people write them in the plural too.
const LISTS: [&str; 4] = ["cluster", "marketplace", "repo", "tracker"];

impl<'a> Layers<'a> {
    /// Of a file, if there is one, and the environment.
    pub fn new(file: Option<File<'a>>, env: &'a Environment) -> Self {
        Layers {
            file,
            env,
            asked_sections: Vec::new(),
            asked_vars: BTreeSet::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            pmu_ignored: Vec::new(),
            strays: Vec::new(),
            quiet_notes: Vec::new(),
            ignored: Vec::new(),
            listed: Vec::new(),
        }
    }

    /// The environment.
    pub fn env(&self) -> &'a Environment {
        self.env
    }

    /// `[name]`, with the environment over it.
    pub fn section(&mut self, name: &'static str) -> Section<'_, 'a> {
        let value = self.value(name);
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            let list = name.strip_suffix('s').filter(|one| LISTS.contains(one));
            match list.filter(|_| value.get_ref().is_array()) {
                Some(one) => {
                    let hint = Some(format!("did you mean `[[{one}]]`?"));
                    self.problem_at(&value.span(), format!("there is no list `[[{name}]]`"), hint);
                }
                None => {
                    self.problem_at(&value.span(), format!("`{name}` must be a table: `[{name}]`"), None);
                }
            }
        }
        Section::of(self, name, table)
    }

    /// The tables of `[[name]]`, each with its place in the file.
    pub fn tables(&mut self, name: &'static str) -> Vec<(&'a DeTable<'a>, Range<usize>)> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let tables: Option<Vec<_>> = value.get_ref().as_array().and_then(|array| {
            array.iter().map(|item| item.get_ref().as_table().map(|table| (table, item.span()))).collect()
        });
        tables.unwrap_or_else(|| {
            self.problem_at(&value.span(), format!("`{name}` must be a list of tables: `[[{name}]]`"), None);
            Vec::new()
        })
    }

    /// One table of a list.
    pub fn table(&mut self, name: &'static str, table: &'a DeTable<'a>) -> Section<'_, 'a> {
        Section::of_many(self, name, table)
    }

    /// Reports a mistake at a place of the file.
    pub fn problem_at(&mut self, span: &Range<usize>, message: String, hint: Option<String>) {
        let places = self.file.as_ref().map(|file| &file.places);
        self.problems.extend(places.map(|places| places.problem(span, message, hint)));
    }

    /// Reports a mistake where a setting came from.
    pub fn problem_of(&mut self, origin: &Origin, message: String, hint: Option<String>) {
        let order = match origin {
            Origin::File { line, .. } => (*line, 0),
            Origin::Default | Origin::Env(_) | Origin::Flag(_) => (usize::MAX, 0),
        };
        self.problems.push(Problem { place: origin.to_string(), message, hint, order });
    }

    /// Reports a variable whose value is not UTF-8, and never the value.
    pub fn odd_var(&mut self, name: &str) {
        let origin = Origin::Env(name.to_owned());
        if self.problems.iter().all(|problem| problem.place != origin.to_string()) {
            let hint = format!("set it anew in UTF-8, or leave it out: `unset {name}`");
            self.problem_of(&origin, "its value is not UTF-8".to_owned(), Some(hint));
        }
    }

    /// Notes one table of a list, for whoever asks how it is configured.
    pub fn list(&mut self, key: String, value: String, place: &Range<usize>) {
        let origin = Origin::File { file: self.file_name(), line: self.line(place.start) }.to_string();
        self.listed.push(Shown { key: key.into(), value: Some(value), origin, secret: false });
    }

    /// The line of a place in the file.
    pub fn line(&self, at: usize) -> usize {
        self.file.as_ref().map_or(0, |file| file.places.line(at))
    }

    /// The file's name, as found.
    pub fn file_name(&self) -> String {
        self.file.as_ref().map_or_else(String::new, |file| file.places.file().to_owned())
    }

    /// `file:line:column` of a place in the file.
    pub fn place(&self, span: &Range<usize>) -> String {
        self.file.as_ref().map_or_else(String::new, |file| file.places.place(span))
    }

    /// Reports the sections and variables that nobody asked for.
    pub fn finish(&mut self) {
        let known = self.asked_sections.clone();
        let root = self.file.as_ref().map(|file| file.root);
        for (key, _) in root.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let hint = match nearest(name, known.iter().copied()).filter(|near| LISTS.contains(near)) {
                    Some(list) => format!("did you mean `[[{list}]]`?"),
                    None => unknown_hint(name, &known, "sections"),
                };
                self.problem_at(&key.span(), format!("unknown section `{name}`"), Some(hint));
            }
        }
        self.finish_vars();
        self.problems.sort_by_key(|problem| problem.order);
    }

    fn finish_vars(&mut self) {
        let env = self.env;
        let is_set = |(_, value): &(&String, &String)| !value.is_empty();
        let set = env.vars.iter().filter(is_set).map(|(name, _)| name);
        for name in set.chain(env.odd.keys()) {
            match stray(name, &self.asked_vars) {
                None => {}
                Some(Stray::Mistyped(hint)) => {
                    let message = "this variable names no setting".to_owned();
                    self.problem_of(&Origin::Env(name.clone()), message, hint);
                }
                Some(Stray::Strange(hint)) => {
                    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                    self.strays.push(format!("the variable {name} names no setting{hint}"));
                }
            }
        }
    }

    fn value(&mut self, name: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked_sections.push(name);
        self.file.as_ref().and_then(|file| file.root.get(name))
    }
}

fn unknown_hint(name: &str, known: &[&'static str], what: &str) -> String {
    let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    near.unwrap_or_else(|| {
        let known: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
        format!("the {what} are {}", known.join(", "))
    })
}
