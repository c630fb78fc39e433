//! What a reader was told, held against what was true.

use std::sync::Arc;

use larder_core::{Definition, Key, MemberState, Mode, Status, Stored};
use larder_engine::{Hit, Reading, Refreshed};

use super::sim::{Sim, State};
use super::source::revision;
use super::world::is_private;

/// When a reader asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// The step.
    pub(crate) tick: u64,
    /// Milliseconds that had passed.
    pub(crate) passed: u64,
    pub(crate) mode: Mode,
}

/// Checks an answer to a reader.
pub(crate) fn check_reading(sim: &Sim, who: &str, asked: Asked, reading: &Reading) {
    sim.note(who, || {
        let members = reading.stored.members.iter();
        let shown: Vec<String> =
            members.map(|one| format!("{}:{:?}", one.asked, revision(&one.item.doc))).collect();
        format!("read {} ({:?}) {} {} {shown:?}", reading.key, asked.mode, reading.hit.word(), reading.status)
    });
    let mut state = sim.state();
    state.counts.reads += 1;
    let forced = asked.mode == Mode::Forced && reading.hit == Hit::Miss;
    if asked.mode == Mode::Forced && !forced && reading.error.is_none() {
        drop(state);
        return sim.violate(|| format!("{}: a hand got the old copy and no reason", reading.key));
    }
    let seen = if forced {
        true_since(&state, &reading.key, &reading.stored, &reading.definition, asked.tick)
    } else if reading.status == Status::Fresh {
        state.counts.fresh += 1;
        let since = state.invalidated_before(&reading.key, asked.tick);
        true_since(&state, &reading.key, &reading.stored, &reading.definition, since)
            .and_then(|()| young_enough(&state, reading, asked.passed))
    } else {
        true_once(&state, &reading.key, &reading.stored)
    };
    drop(state);
    if let Err(wrong) = seen {
        sim.violate(|| wrong);
    }
}

/// Checks what a refresh by hand brought.
pub(crate) fn check_refreshed(
    sim: &Sim,
    who: &str,
    asked: Asked,
    refreshed: &Refreshed,
    of: &Arc<Definition>,
) {
    sim.note(who, || format!("refreshed {}: {:?}", refreshed.key, refreshed.result));
    let (Ok(_), Some(stored)) = (&refreshed.result, &refreshed.stored) else { return };
    if !stored.entry.has_data() {
        return;
    }
    let seen = true_since(&sim.state(), &refreshed.key, stored, of, asked.tick);
    if let Err(wrong) = seen {
        sim.violate(|| wrong);
    }
}

/// All that is shown was true at some time not before the tick, and nothing that was there all the
/// time since is left out. What is not known is shown as it was.
fn true_since(state: &State, key: &Key, stored: &Stored, of: &Definition, since: u64) -> Result<(), String> {
    // It does not exist, for all we know: what is shown is what there was.
    if stored.entry.absent_at.is_some() || stored.entry.is_edited(of) {
        return true_once(state, key, stored);
    }
    let is_unknown = |name: &str| stored.entry.pending.iter().any(|pending| **pending == *name);
    for member in stored.members.iter().filter(|member| !is_unknown(&member.asked)) {
        let revision = revision(&member.item.doc);
        let name = &member.asked;
        let holds = match member.state {
            MemberState::Shown => state.world.was(name, revision, since),
            MemberState::Absent | MemberState::Hidden => state.world.was(name, None, since),
        };
        if !holds {
            return Err(format!(
                "{key}: `{name}` is shown as {:?} {revision:?}, which was not so after step {since}",
                member.state
            ));
        }
    }
    for name in of.names.as_deref().unwrap_or_default() {
        let shown = stored.members.iter().any(|member| member.asked == *name);
        if !shown && !is_unknown(name) && !state.world.was(name, None, since) {
            return Err(format!("{key}: `{name}` is not shown, though it was there ever since step {since}"));
        }
    }
    true_once(state, key, stored)
}

/// All that is shown was true at some time.
fn true_once(state: &State, key: &Key, stored: &Stored) -> Result<(), String> {
    for member in &stored.members {
        let (name, revision) = (&member.asked, revision(&member.item.doc));
        if revision.is_none() || !state.world.was(name, revision, 0) {
            return Err(format!("{key}: `{name}` was never {revision:?}"));
        }
        if is_private(name) == member.item.scope.is_public() {
            return Err(format!("{key}: `{name}` has the scope {}", member.item.scope));
        }
    }
    Ok(())
}

/// A copy marked fresh is not older than its lifetime; a wall clock that was set back makes it longer
/// by as much.
fn young_enough(state: &State, reading: &Reading, passed: u64) -> Result<(), String> {
    let began = reading.stored.entry.began;
    let Some(committed) = state.leases.committed_at(began) else {
        return Err(format!("{}: nothing was committed under {began}", reading.key));
    };
    let set_back: u64 = state.set_back.iter().filter(|(at, _)| *at >= committed).map(|(_, by)| by).sum();
    let policy = &reading.definition.policy;
    // An absence is remembered for a time of its own.
    let absent = reading.stored.entry.absent_at.is_some();
    let lifetime = if absent { policy.negative_ttl } else { policy.ttl };
    let ttl = lifetime.as_millis() as u64;
    let age = passed.saturating_sub(committed);
    if age > ttl + set_back {
        return Err(format!("{}: a copy of {age} ms is marked fresh, its lifetime is {ttl} ms", reading.key));
    }
    Ok(())
}
