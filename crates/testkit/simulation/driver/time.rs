//! How time passes, and who goes on when.

use std::sync::PoisonError;

use super::super::process::Process;
use super::{Driver, HOUR, MINUTE, SECOND};

/// No wait of a reader or a hand is longer, whatever else goes wrong.
const WAIT_MAX: u64 = 20 * MINUTE;
impl Driver<'_> {
    /// How far things come before the next one happens.
    pub(super) fn pace(&mut self) {
        match self.sim.pick(20) {
            0..=4 => self.some_steps(),
            5..=10 => self.settle(),
            11..=14 => self.pass(1 + self.sim.pick(300)),
            15..=17 => self.pass(self.sim.pick(20 * SECOND)),
            18 => self.pass(self.sim.pick(10 * MINUTE)),
            _ => self.pass(self.sim.pick(8 * HOUR)),
        }
    }

    /// A few steps of whoever has something to do: the next thing happens in their midst.
    fn some_steps(&mut self) {
        for _ in 0..=self.sim.pick(12) {
            let busy = self.busy();
            let Some(place) = busy.get(self.sim.pick(busy.len() as u64) as usize) else { return };
            self.processes[*place].step(1);
            self.spread();
        }
    }

    /// Everybody goes on, in turns by chance, until nobody can before time passes.
    fn settle(&mut self) {
        loop {
            let busy = self.busy();
            let Some(place) = busy.get(self.sim.pick(busy.len() as u64) as usize) else { return };
            let place = *place;
            match self.sim.pick(4) {
                0 => self.processes[place].run_dry(),
                polls => self.processes[place].step(polls),
            }
            self.spread();
            if self.is_over() {
                return;
            }
        }
    }

    fn busy(&self) -> Vec<usize> {
        let places = 0..self.processes.len();
        places.filter(|place| !self.processes[*place].is_idle()).collect()
    }

    /// What was committed is heard of, by those who are not deaf.
    fn spread(&self) {
        if !std::mem::take(&mut self.sim.state().stirred) {
            return;
        }
        for process in &self.processes {
            let deaf = process.faults.lock().unwrap_or_else(PoisonError::into_inner).deaf;
            if !self.sim.happens(deaf) {
                process.hear();
            }
        }
    }

    pub(super) fn rouse_all(&self) {
        self.processes.iter().for_each(Process::rouse);
    }

    /// Lets time pass, with everything that is to happen in it.
    pub(super) fn pass(&mut self, span: u64) {
        let until = self.sim.clock.passed() + span;
        loop {
            self.settle();
            if self.is_over() {
                return;
            }
            let stops = self.processes.iter().filter_map(|process| process.stopped_until);
            let next = self.sim.clock.next_wake().into_iter().chain(stops).min().unwrap_or(u64::MAX);
            // A stopped process' sleepers are overdue; nobody waits for them.
            let next = next.max(self.sim.clock.passed() + 1);
            if next > until {
                self.sim.clock.advance_to(until);
                break;
            }
            self.sim.clock.advance_to(next);
            for process in &mut self.processes {
                process.stopped_until = process.stopped_until.filter(|at| *at > next);
                process.rouse();
            }
        }
        self.rouse_all();
        self.settle();
        self.check_waits();
    }

    fn check_waits(&self) {
        let passed = self.sim.clock.passed();
        let waits = self.sim.state().waiting.values().find(|(since, _)| passed - since > WAIT_MAX).cloned();
        if let Some((since, what)) = waits {
            self.sim.violate(|| format!("{what} has waited for {} ms", passed - since));
        }
    }
}
