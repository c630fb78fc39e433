//! Which projects a text names. A project has its name from its files and its folder: so before one is said to be
//! called so, or none, all of them are looked at as they are now. An id names one without a look.

use larder_core::{Key, Stored};
use larder_domain::LocalProject;
use larder_sources::ProjectsSource;

use super::Context;
use super::local::{Failed, Wanted, find, is_project, look_anew};
use crate::config::nearest;
use crate::report::Complaint;
use crate::wiring::Rooms;

/// Projects that were chosen.
#[derive(Default)]
pub struct Chosen {
    /// Their keys, each once.
    pub keys: Vec<Key>,
    /// Those of them that could not be looked at, and why.
    pub failed: Failed,
}

/// The projects that were named, or all. The roots are looked at before.
pub async fn chosen(rooms: &Rooms<'_>, wanted: &Wanted<'_>, context: &Context) -> Result<Chosen, Complaint> {
    let known = rooms.reader().keys_of(ProjectsSource::NAME);
    if wanted.only.is_empty() {
        return Ok(Chosen { keys: known, failed: Failed::new() });
    }
    let mut failed = Failed::new();
    let is_id = |text: &String| known.iter().any(|key| is_its_id(key, text));
    if !wanted.offline && !wanted.only.iter().all(is_id) {
        find(rooms, &known, "looking for the project", context).await?;
        failed = look_anew(rooms, &known, context).await?;
    }
    let names = Names::of(rooms, known).await?;
    let mut keys = Vec::new();
    for text in wanted.only {
        let found = names.find(text);
        if found.is_empty() {
            return Err(names.complaint(text, wanted.offline));
        }
        for key in found {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
    }
    failed.retain(|(key, _)| keys.contains(key));
    Ok(Chosen { keys, failed })
}

fn is_its_id(key: &Key, text: &str) -> bool {
    key.name().eq_ignore_ascii_case(text.strip_prefix("projects/").unwrap_or(text))
}

/// What the projects that are known are called.
struct Names {
    /// Each with its name, if it was read.
    all: Vec<(Key, Option<String>)>,
}

impl Names {
    async fn of(rooms: &Rooms<'_>, known: Vec<Key>) -> Result<Names, Complaint> {
        let rows = rooms.held(&known).await?;
        let name = |stored: Stored| -> Option<String> {
            let item = stored.members.into_iter().map(|member| member.item).find(is_project)?;
            item.doc.decode().ok().map(|project: LocalProject| project.name)
        };
        Ok(Names { all: known.into_iter().zip(rows.into_iter().map(|row| row.and_then(name))).collect() })
    }

    /// The projects that a text names: by key, by id, or by name, which several may have. Those that are called
    /// exactly so come before those that are but for the case of letters.
    fn find(&self, text: &str) -> Vec<&Key> {
        if let Some((key, _)) = self.all.iter().find(|(key, _)| is_its_id(key, text)) {
            return vec![key];
        }
        let called = |is_so: &dyn Fn(&str) -> bool| -> Vec<&Key> {
            let all = self.all.iter().filter(|(_, name)| name.as_deref().is_some_and(is_so));
            all.map(|(key, _)| key).collect()
        };
        let exactly = called(&|name| name == text);
        if exactly.is_empty() { called(&|name| name.to_lowercase() == text.to_lowercase()) } else { exactly }
    }

    fn complaint(&self, text: &str, offline: bool) -> Complaint {
        let names = self.all.iter().filter_map(|(_, name)| name.as_deref());
        let near = nearest(text, names.chain(self.all.iter().map(|(key, _)| key.name())));
        let near = near.map(|near| format!("did you mean `{near}`?"));
        let hint = if offline {
            "`larder projects --refresh` looks anew"
        } else {
            "`larder projects` lists all that there are"
        };
        let hint = (near.is_none() || offline).then(|| hint.to_owned());
        Complaint::usage(format!("there is no project `{text}`")).hints(near).hints(hint)
    }
}
