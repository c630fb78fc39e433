//! Local projects on their way from a store that is one machine's into one that several share, or back: there
//! what each has bears its mark, and alone it bears none.

use larder_core::{Exported, Json, Key};
use serde_json::Value;

use super::PROJECTS_SOURCE;
use super::catalogue::Index;
use super::place::moved_id;

/// Names what one entry holds as this machine names it in the store that it comes into: `there` is what it is
/// called in that one, nothing where it is alone. What another machine has, and what is of another source, is as
/// it was.
pub fn move_project(exported: &mut Exported, here: &str, there: &str) {
    let entry = &mut exported.entry;
    let Some(key) = moved_key(&entry.key, here, there) else { return };
    entry.key = key;
    if let Some(body) = &entry.body {
        entry.body = Some(moved_index(body, here, there));
    }
    for member in &mut exported.members {
        member.asked = moved_path(&member.asked, here, there).into();
        member.item.of.id = moved_path(&member.item.of.id, here, there).into();
        member.item.doc = moved_doc(&member.item.doc, here, there);
    }
}

/// `projects/ID` and `projects/roots/ID`; `None` = nothing of it is called otherwise.
fn moved_key(key: &Key, here: &str, there: &str) -> Option<Key> {
    let (source, path) = key.as_str().split_once('/').filter(|(source, _)| *source == PROJECTS_SOURCE)?;
    let (before, id) = path.rsplit_once('/').map_or(("", path), |(before, id)| (before, id));
    let id = moved_id(id, here, there)?;
    let parts: Vec<&str> = [before, &id].into_iter().filter(|part| !part.is_empty()).collect();
    Key::new(source, &parts).ok()
}

/// An id, or what begins with one.
fn moved_path(path: &str, here: &str, there: &str) -> String {
    let (id, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    moved_id(id, here, there).map_or_else(|| path.to_owned(), |id| id + rest)
}

/// What a root says is below it.
fn moved_index(body: &Json, here: &str, there: &str) -> Json {
    let Ok(mut index) = body.decode::<Index>() else { return body.clone() };
    for listed in &mut index.projects {
        listed.id = moved_path(&listed.id, here, there);
    }
    Json::encode(&index).unwrap_or_else(|_| body.clone())
}

/// A project's document says its own id, an artifact's that of its project.
fn moved_doc(doc: &Json, here: &str, there: &str) -> Json {
    let Ok(Value::Object(mut fields)) = doc.decode() else { return doc.clone() };
    for name in ["id", "project"] {
        if let Some(Value::String(id)) = fields.get_mut(name) {
            *id = moved_path(id, here, there);
        }
    }
    Json::from(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::place::id_of;
    use super::*;

    #[test]
    fn this_machines_projects_come_and_go_and_anothers_stay_what_they_are() {
        let path = Path::new("/home/a/dev/site");
        let [alone, one, two] = ["", "one", "two"].map(|machine| id_of(path, machine));
        let key = |text: &str| -> Key { text.parse().unwrap() };
        for (from, there, to) in
            [(&alone, "one", &one), (&one, "", &alone), (&one, "one", &one), (&two, "", &two)]
        {
            for before in ["projects", "projects/roots"] {
                let (from, to) = (key(&format!("{before}/{from}")), key(&format!("{before}/{to}")));
                assert_eq!(moved_key(&from, "one", there).unwrap_or_else(|| from.clone()), to);
            }
            assert_eq!(moved_path(&format!("{from}/x-9"), "one", there), format!("{to}/x-9"));
        }
        assert_eq!(moved_key(&key(&format!("cluster/{alone}")), "one", "one"), None);
    }
}
