//! What happens to the world and to processes without their doing: changes upstream, edits, weather,
//! deaths, stops, a clock that jumps.

use std::sync::Arc;
use std::time::Duration;

use super::super::world::{NAMES, Weather};
use super::{Driver, HOUR, MINUTE, SECOND};
impl Driver<'_> {
    /// Something is otherwise upstream from now on.
    pub(super) fn change(&mut self) {
        let (name, tick) = (self.name(), self.sim.tick());
        let mut state = self.sim.state();
        let what = state.chance.u8(..10);
        match what {
            0 => state.world.remove(name, tick),
            1 => drop(state.world.unknown.insert(name)),
            2 => state.world.unknown.clear(),
            3 => state.world.extra_tag = !state.world.extra_tag,
            _ => state.world.change(name, tick),
        }
        let there = state.world.now(name);
        drop(state);
        self.sim.note("up", || format!("{name} is {there:?} ({what})"));
        // Two fetches that begin within one millisecond cannot be told apart by their times.
        let then = self.sim.clock.passed() + 2;
        self.sim.clock.advance_to(then);
        self.rouse_all();
    }

    /// Somebody edits the names of an entry; every process knows at once.
    pub(super) fn edit(&mut self) {
        if !self.perils.edits {
            return;
        }
        let (key, process) = (self.key(), self.pick());
        let names: Vec<Arc<str>> =
            NAMES.iter().filter(|_| self.sim.happens(50)).map(|name| Arc::from(*name)).collect();
        if let Some(asked) = self.sim.state().world.entries.get_mut(&key) {
            asked.edition += 1;
            asked.names = names;
        }
        self.sim.note("up", || format!("{key} is edited"));
        let engine = self.processes[process].engine.clone();
        self.wish(process, "a comparison", async move {
            drop(engine.reconcile().await);
        });
    }

    pub(super) fn weather(&mut self) {
        if !self.perils.weather {
            return;
        }
        let (chance, key) = (self.sim.pick(8), self.key());
        let mut state = self.sim.state();
        let latency = [0, 20, 900, 8_000, 20_000][state.chance.usize(..5)];
        state.world.latency = latency;
        match chance {
            0 => state.world.weather = Weather::Failing(100),
            1 => state.world.weather = Weather::Failing(30),
            2 => state.world.weather = Weather::Hanging,
            3 => drop(state.world.absent.insert(key)),
            4 => state.world.absent.clear(),
            _ => state.world.weather = Weather::Fine,
        }
        let weather = state.world.weather;
        drop(state);
        self.sim.note("up", || format!("{weather:?}, {latency} ms"));
    }

    /// A process is killed, wherever it stands, and another comes.
    pub(super) fn kill(&mut self) {
        if !self.perils.kills {
            return;
        }
        let process = self.processes.remove(self.pick());
        self.sim.note(&process.who, || "is killed".to_owned());
        self.sim.state().counts.kills += 1;
        drop(process);
        self.start();
    }

    /// A process ends as it should, with more or less grace.
    pub(super) fn shut_down(&mut self) {
        let place = self.pick();
        let grace = Duration::from_secs([0, 3][self.sim.pick(2) as usize]);
        let process = &self.processes[place];
        let (engine, sim, who) = (process.engine.clone(), self.sim.clone(), process.who.clone());
        sim.note(&who, || "shuts down".to_owned());
        self.wish(place, "a shutdown", async move {
            engine.shutdown(grace).await;
            sim.note(&who, || "has shut down".to_owned());
        });
        self.pass(4 * SECOND);
        drop(self.processes.remove(place));
        self.start();
    }

    /// A process is stopped, and goes on later as if nothing had happened.
    pub(super) fn stop(&mut self) {
        if !self.perils.stops {
            return;
        }
        let span = [200, 3 * SECOND, 20 * SECOND, 2 * MINUTE][self.sim.pick(4) as usize];
        let until = self.sim.clock.passed() + span;
        let place = self.pick();
        let process = &mut self.processes[place];
        process.stopped_until = Some(until);
        self.sim.note(&process.who, || format!("is stopped for {span} ms"));
    }

    /// The wall clock is set on, or back, by seconds or by hours.
    pub(super) fn jump(&mut self) {
        if !self.perils.jumps {
            return;
        }
        let most = [5 * SECOND, 90 * SECOND, 2 * HOUR][self.sim.pick(3) as usize];
        let by = (1 + self.sim.pick(most)) as i64;
        let by = if self.sim.happens(50) { by } else { -by };
        self.sim.note("up", || format!("the clock jumps by {by} ms"));
        self.sim.clock.jump(by);
        if by < 0 {
            let passed = self.sim.clock.passed();
            self.sim.state().set_back.push((passed, by.unsigned_abs()));
        }
    }
}
