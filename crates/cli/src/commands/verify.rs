//! `larder cache verify`: damage that the store finds, and copies that this larder cannot read as what they are.

use std::collections::HashSet;

use larder_core::{Exported, ItemRef, Json, Problem, Store, StoreError, Target};
use serde_json::json;

use super::{Context, Ended};
use crate::kinds;
use crate::report::{CLEAR_DAMAGED, Complaint, Exit};
use crate::ui::{counted, harmless};
use crate::wiring::Rooms;

/// How many entries are held at once: one may have ten thousand items.
const PAGE: usize = 16;

/// Looks, and ends the command.
pub async fn verify(target: Option<Target>, rooms: &Rooms<'_>, context: &Context) -> Ended {
    let store = &**rooms.store().entries();
    let damage = store.verify().await.map_err(Complaint::from)?;
    let unread = match unread(store, target.as_ref()).await {
        Ok(unread) => unread,
        // Rows that nobody can read were found already.
        Err(error) if !damage.is_empty() => {
            context.screen.warn(&format!("not every document could be looked at: {error}"));
            Vec::new()
        }
        Err(error) => return Err(Complaint::from(error).into()),
    };
    let is_meant = |on: &str| match &target {
        None | Some(Target::All | Target::Tag(_)) => true,
        Some(Target::Source(source)) => on.contains(&format!("{source}/")),
        Some(Target::Keys(keys)) => keys.iter().any(|key| on.contains(key.as_str())),
    };
    let began_anew = rooms.store().recovered().map(|moved_to| Problem {
        on: "the database".to_owned(),
        message: format!("it was damaged: it is at {} now, and a new one was begun", moved_to.display()),
    });
    let is_new = began_anew.is_some();
    let mut problems: Vec<_> = began_anew.into_iter().collect();
    problems.extend(damage.into_iter().filter(|problem| is_meant(&problem.on)));
    problems.extend(unread);
    if context.json() {
        let list: Vec<_> =
            problems.iter().map(|problem| json!({"on": problem.on, "message": problem.message})).collect();
        context.screen.json(&json!({ "problems": list }))?;
    } else {
        let lines = problems
            .iter()
            .map(|problem| harmless(&format!("{}: {}", problem.on, problem.message)).into_owned() + "\n");
        let text: Vec<String> = lines.collect();
        let text = if text.is_empty() { "no damage found\n".to_owned() } else { text.concat() };
        context.screen.answer(&text)?;
    }
    if problems.is_empty() {
        return Ok(Exit::Answered);
    }
    let hint = if is_new { "`larder refresh --all` fetches everything anew" } else { CLEAR_DAMAGED };
    let found = counted(problems.len(), "fault", "faults");
    Err(Complaint::failed(format!("the database has {found}")).hint(hint).into())
}

/// The items that cannot be read as what they are, each in the first of the entries that are meant.
async fn unread(store: &dyn Store, target: Option<&Target>) -> Result<Vec<Problem>, StoreError> {
    let (mut last, mut problems, mut named) = (None, Vec::new(), HashSet::new());
    loop {
        let page = store.export(last.as_ref(), PAGE).await?;
        for entry in page.iter().filter(|entry| is_meant(entry, target)) {
            problems.extend(unread_of(entry, &mut named));
        }
        last = page.into_iter().next_back().map(|entry| entry.entry.key);
        if last.is_none() {
            return Ok(problems);
        }
    }
}

fn is_meant(entry: &Exported, target: Option<&Target>) -> bool {
    match target {
        None | Some(Target::All) => true,
        Some(Target::Source(source)) => entry.entry.key.source() == source,
        Some(Target::Tag(tag)) => entry.tags.contains(tag),
        Some(Target::Keys(keys)) => keys.contains(&entry.entry.key),
    }
}

fn unread_of(entry: &Exported, named: &mut HashSet<ItemRef>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for item in entry.members.iter().map(|member| &member.item) {
        let Err(error) = kinds::check(&item.of, &item.doc) else { continue };
        // What is no JSON at all is damage that the store has found.
        if Json::parse(item.doc.as_str()).is_ok() && named.insert(item.of.clone()) {
            let ItemRef { kind, id } = &item.of;
            let on = format!("{} {kind} {id}", entry.entry.key);
            problems.push(Problem { on, message: format!("it cannot be read: {error}") });
        }
    }
    problems
}
