//! Which projects a text names. A project has its name from what was read of it: one that was only
//! found is read before it is said that there is none of that name, and the roots are looked at anew.

use larder_core::{Key, Stored};
use larder_domain::LocalProject;
use larder_engine::{Behind, ReadOptions};
use larder_sources::ProjectsSource;

use super::Context;
use super::local::{Wanted, find, is_project};
use crate::config::nearest;
use crate::report::Complaint;
use crate::ui::Progress;
use crate::wiring::{Rooms, until_interrupted};

/// The keys of the projects that were named, each once, or of all.
pub async fn chosen(
    rooms: &Rooms<'_>,
    wanted: &Wanted<'_>,
    context: &Context,
) -> Result<Vec<Key>, Complaint> {
    let engine = rooms.reader();
    if wanted.only.is_empty() {
        return Ok(engine.keys_of(ProjectsSource::NAME));
    }
    let mut names = Names::of(rooms).await?;
    // One that nobody has read yet may be called exactly so.
    if !wanted.offline && !names.has_exactly(wanted.only) {
        names = names.read_on(rooms, context).await?;
        if !wanted.refresh && names.lacks(wanted.only) {
            // It may have come since.
            find(rooms, &engine.indexes_of(ProjectsSource::NAME), true, context).await?;
            names = Names::of(rooms).await?.read_on(rooms, context).await?;
        }
    }
    let mut chosen = Vec::new();
    for text in wanted.only {
        let found = names.find(text);
        if found.is_empty() {
            return Err(names.complaint(text, wanted.offline));
        }
        for key in found {
            if !chosen.contains(key) {
                chosen.push(key.clone());
            }
        }
    }
    Ok(chosen)
}

/// What the projects that are known are called.
struct Names {
    /// Each with its name, if it was read.
    all: Vec<(Key, Option<String>)>,
}

impl Names {
    async fn of(rooms: &Rooms<'_>) -> Result<Names, Complaint> {
        let known = rooms.reader().keys_of(ProjectsSource::NAME);
        let rows = rooms.held(&known).await?;
        let name = |stored: Stored| -> Option<String> {
            let item = stored.members.into_iter().map(|member| member.item).find(is_project)?;
            item.doc.decode().ok().map(|project: LocalProject| project.name)
        };
        Ok(Names { all: known.into_iter().zip(rows.into_iter().map(|row| row.and_then(name))).collect() })
    }

    /// Reads those that nobody has read yet.
    async fn read_on(self, rooms: &Rooms<'_>, context: &Context) -> Result<Names, Complaint> {
        let unread: Vec<Key> =
            self.all.iter().filter(|(_, name)| name.is_none()).map(|(key, _)| key.clone()).collect();
        if unread.is_empty() {
            return Ok(self);
        }
        rooms.note_fetch();
        let progress = Progress::spin(&context.screen, "looking for the project");
        let options = ReadOptions { behind: Behind::MarkDue, ..ReadOptions::default() };
        let read =
            until_interrupted(rooms.reader(), &context.screen, rooms.reader().load_many(&unread, &options))
                .await;
        progress.finish();
        // One that cannot be read has no name.
        read?;
        Names::of(rooms).await
    }

    /// Whether each text is an id, or a name in the very same letters.
    fn has_exactly(&self, texts: &[String]) -> bool {
        let is_named = |text: &String| {
            let id = text.strip_prefix("projects/").unwrap_or(text);
            self.all.iter().any(|(key, name)| key.name() == id || name.as_ref() == Some(text))
        };
        texts.iter().all(is_named)
    }

    /// Whether some text names none.
    fn lacks(&self, texts: &[String]) -> bool {
        texts.iter().any(|text| self.find(text).is_empty())
    }

    /// The projects that a text names: by key, by id, or by name, which several may have. Those that are called
    /// exactly so come before those that are but for the case of letters.
    fn find(&self, text: &str) -> Vec<&Key> {
        let id = text.strip_prefix("projects/").unwrap_or(text);
        if let Some((key, _)) = self.all.iter().find(|(key, _)| key.name().eq_ignore_ascii_case(id)) {
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
