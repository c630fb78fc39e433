//! All is well again: what must hold then.

use std::sync::PoisonError;
use std::time::Duration;

use larder_core::{Key, Status, Target};
use larder_engine::{Engine, ReadOptions};

use super::super::sim::State;
use super::super::source::revision;
use super::super::store::{Faults, now};
use super::super::world::{NAMES, Weather, is_private};
use super::{Driver, HOUR, MINUTE};
impl Driver<'_> {
    pub(super) fn heal(&mut self) {
        self.sim.note("up", || "all is well again".to_owned());
        {
            let mut state = self.sim.state();
            state.world.weather = Weather::Fine;
            state.world.latency = 20;
            state.world.forgetful = false;
            state.world.unknown.clear();
            state.world.absent.clear();
            for name in NAMES {
                state.tick += 1;
                let tick = state.tick;
                state.world.change(name, tick);
            }
        }
        for process in &mut self.processes {
            process.stopped_until = None;
            *process.faults.lock().unwrap_or_else(PoisonError::into_inner) = Faults::default();
        }
        self.rouse_all();
        self.pass(2 * MINUTE);
        if self.is_over() {
            return;
        }
        let waiting = self.sim.state().waiting.values().next().cloned();
        if let Some((_, what)) = waiting {
            return self.sim.violate(|| format!("{what} still waits, though all is well"));
        }
        self.heal_by_itself();
        if !self.is_over() {
            self.converge();
        }
        if !self.is_over() {
            self.rest();
        }
    }

    /// What failed, or was marked, is refreshed with no reader asking, and no hand but for the dead.
    fn heal_by_itself(&mut self) {
        let engine = self.processes[0].engine.clone();
        self.do_now("a replay", async move { drop(engine.replay(&Target::All).await) });
        let engine = self.processes[0].engine.clone();
        self.processes[0].spawn(async move { engine.run(Duration::from_mins(1)).await });
        self.pass(40 * MINUTE);
        let due = now(self.plain.due(self.sim.now(), 100)).unwrap_or_default();
        if !due.is_empty() {
            return self.sim.violate(|| format!("{} stays due, though all is well", State::names(&due)));
        }
        let neglected = self.sim.state().leases.neglected();
        if !neglected.is_empty() {
            return self
                .sim
                .violate(|| format!("{} is wanted, and nobody fetched it", State::names(&neglected)));
        }
        let rows = now(self.plain.rows(None, None, 100)).unwrap_or_default();
        for row in rows.iter().filter(|row| row.unconfigured_since.is_none()) {
            let entry = &row.entry;
            if entry.attempts > 0 || entry.marked || !entry.pending.is_empty() {
                return self.sim.violate(|| format!("it did not heal by itself: {entry:?}"));
            }
        }
    }

    /// After an invalidation of everything, a read of everything shows the world as it is.
    fn converge(&mut self) {
        let engine = self.processes[self.pick()].engine.clone();
        self.do_now("an invalidation", async move { drop(engine.invalidate(&Target::All).await) });
        let keys = self.sim.state().keys();
        let engine = self.processes[self.pick()].engine.clone();
        let asked = keys.clone();
        self.do_now("a read of all", async move {
            drop(engine.load_many(&asked, &ReadOptions::default()).await);
        });
        self.pass(MINUTE);
        let at = self.sim.now();
        for key in keys {
            let row = now(self.plain.lookup(std::slice::from_ref(&key)))
                .ok()
                .and_then(|mut rows| rows.pop().flatten());
            let engine = self.processes[0].engine.clone();
            let (Some(row), Some(definition)) = (row, engine.define(&key)) else {
                return self.sim.violate(|| format!("{key} has no row after it was read"));
            };
            let just_now = row.entry.fetched_at.unwrap_or(at);
            let status = row.entry.status(Some(&definition), just_now);
            if (status, row.entry.complete) != (Status::Fresh, true) {
                return self.sim.violate(|| format!("{key} is not fresh after it was read: {:?}", row.entry));
            }
            self.compare_with_world(&engine, &key, &row);
        }
    }

    fn compare_with_world(&self, engine: &Engine, key: &Key, row: &larder_core::Stored) {
        let definition = engine.define(key);
        let mut expected: Vec<(String, Option<u64>)> = Vec::new();
        for name in definition.iter().filter_map(|found| found.names.as_deref()).flatten() {
            expected.push((name.to_string(), self.sim.state().world.now(name)));
        }
        let shown = row.members.iter().map(|one| (one.asked.to_string(), revision(&one.item.doc)));
        let mut shown: Vec<_> = shown.collect();
        expected.sort();
        shown.sort();
        if shown != expected {
            self.sim.violate(|| format!("{key} shows {shown:?}, the world has {expected:?}"));
        }
        if row.members.iter().any(|one| is_private(&one.asked) == one.item.scope.is_public()) {
            self.sim.violate(|| format!("{key} has a wrong scope"));
        }
    }

    /// Nothing more is to be done, and nothing is.
    fn rest(&mut self) {
        // What expires is left alone; what the reads above started has ended.
        self.pass(2 * MINUTE);
        let before = self.sim.counts().fetches;
        self.pass(2 * HOUR);
        let after = self.sim.counts().fetches;
        if after != before {
            self.sim.violate(|| format!("{} fetches that nobody wanted", after - before));
        }
        self.follower.compare(self.sim, &*self.plain);
        let problems = now(self.plain.verify());
        if !matches!(&problems, Ok(problems) if problems.is_empty()) {
            self.sim.violate(|| format!("{problems:?}"));
        }
        let oracle = self.sim.state().oracle.take();
        if let Some(Err(wrong)) = oracle.map(|oracle| oracle.feed(&*self.plain)) {
            self.sim.violate(|| wrong);
        }
    }

    /// Does something in the first process, to its end.
    fn do_now(&mut self, what: &str, work: impl Future<Output = ()> + Send + 'static) {
        self.wish(0, what, work);
        self.pass(2 * MINUTE);
        let waits = self.sim.state().waiting.values().next().cloned();
        if let Some((_, what)) = waits {
            self.sim.violate(|| format!("{what} does not come to an end"));
        }
    }
}
