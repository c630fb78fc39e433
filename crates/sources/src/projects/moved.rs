//! Local projects on their way from a store that is one machine's into one that several share, or back: there
//! what each has bears its mark, and alone it bears none.

use larder_core::{Exported, Json, Key};
use serde_json::Value;

use super::PROJECTS_SOURCE;
use super::catalogue::Index;
use super::place::Machines;

impl Machines {
    /// Names what an entry holds as it is named in the store that it comes into. What is of another source is as
    /// it was.
    pub fn move_project(&self, exported: &mut Exported) {
        let entry = &mut exported.entry;
        let Some(key) = self.moved_key(&entry.key) else { return };
        entry.key = key;
        if let Some(body) = &entry.body {
            entry.body = Some(self.moved_index(body));
        }
        for member in &mut exported.members {
            member.asked = self.moved_path(&member.asked).into();
            member.item.of.id = self.moved_path(&member.item.of.id).into();
            member.item.doc = self.moved_doc(&member.item.doc);
        }
    }

    /// `projects/ID` and `projects/roots/ID`; `None` = nothing of it is called otherwise.
    fn moved_key(&self, key: &Key) -> Option<Key> {
        let (source, path) = key.as_str().split_once('/').filter(|(source, _)| *source == PROJECTS_SOURCE)?;
        let (before, id) = path.rsplit_once('/').map_or(("", path), |(before, id)| (before, id));
        let id = self.moved_id(id)?;
        let parts: Vec<&str> = [before, &id].into_iter().filter(|part| !part.is_empty()).collect();
        Key::new(source, &parts).ok()
    }

    /// An id, or what begins with one.
    fn moved_path(&self, path: &str) -> String {
        let (id, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
        self.moved_id(id).map_or_else(|| path.to_owned(), |id| id + rest)
    }

    /// What a root says is below it.
    fn moved_index(&self, body: &Json) -> Json {
        let Ok(mut index) = body.decode::<Index>() else { return body.clone() };
        for listed in &mut index.projects {
            listed.id = self.moved_path(&listed.id);
        }
        Json::encode(&index).unwrap_or_else(|_| body.clone())
    }

    /// A project's document says its own id, an artifact's that of its project.
    fn moved_doc(&self, doc: &Json) -> Json {
        let Ok(Value::Object(mut fields)) = doc.decode() else { return doc.clone() };
        for name in ["id", "project"] {
            if let Some(Value::String(id)) = fields.get_mut(name) {
                *id = self.moved_path(id);
            }
        }
        Json::from(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::place::{id_of, machine_mark};
    use super::*;

    #[test]
    fn this_machines_projects_come_and_go_and_anothers_stay_that_machines() {
        let path = Path::new("/home/a/dev/site");
        let [alone, one, two] = ["", "one", "two"].map(|machine| id_of(path, machine));
        let key = |text: &str| -> Key { text.parse().unwrap() };
        for (from, id, there, to) in [
            (None, &alone, "one", &one),
            (None, &one, "", &alone),
            (None, &one, "one", &one),
            (None, &two, "", &two),
            (Some("two"), &alone, "one", &two),
            (Some("two"), &alone, "", &two),
            (Some("two"), &one, "one", &one),
        ] {
            let from = from.map(machine_mark);
            let machines = Machines { from, here: machine_mark("one"), there: machine_mark(there) };
            for before in ["projects", "projects/roots"] {
                let (before, after) = (key(&format!("{before}/{id}")), key(&format!("{before}/{to}")));
                assert_eq!(machines.moved_key(&before).unwrap_or(before), after);
            }
            assert_eq!(machines.moved_path(&format!("{id}/x-9")), format!("{to}/x-9"));
            assert_eq!(machines.moved_key(&key(&format!("cluster/{id}"))), None);
        }
    }
}
