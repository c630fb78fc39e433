//! What readers and hands want of a process, by chance.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Definition, Mode, Request, Retention, Trigger};
use larder_engine::{Behind, ReadOptions};

use super::super::readings::{Asked, check_reading, check_refreshed};
use super::super::sim::State;
use super::Driver;
impl Driver<'_> {
    pub(super) fn read(&mut self) {
        let (process, keys) = (self.pick(), self.some_keys());
        let keys = if self.sim.happens(70) { vec![keys[0].clone()] } else { keys };
        let mode = match self.sim.pick(10) {
            0 | 1 => Mode::Forced,
            2 => Mode::Offline,
            _ => Mode::Normal,
        };
        let max_age = self.sim.happens(10).then(|| Duration::from_secs(self.sim.pick(900)));
        let behind = if self.sim.happens(20) { Behind::MarkDue } else { Behind::Refresh };
        let options = ReadOptions { request: Request { mode, max_age, max_stale: None }, behind };
        let (sim, who) = (self.sim.clone(), self.processes[process].who.clone());
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("a read of {}", State::names(&keys)), async move {
            let asked = Asked { tick: sim.tick(), passed: sim.clock.passed(), mode };
            sim.note(&who, || format!("reads {} ({mode:?})", State::names(&keys)));
            for reading in engine.load_many(&keys, &options).await {
                match reading {
                    Ok(reading) => check_reading(&sim, &who, asked, &reading),
                    Err(error) => sim.note(&who, || format!("no answer: {error}")),
                }
            }
        });
    }

    pub(super) fn refresh(&mut self) {
        let (process, keys) = (self.pick(), self.some_keys());
        let (sim, who) = (self.sim.clone(), self.processes[process].who.clone());
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("a refresh of {}", State::names(&keys)), async move {
            let asked = Asked { tick: sim.tick(), passed: sim.clock.passed(), mode: Mode::Forced };
            sim.note(&who, || format!("is told to refresh {}", State::names(&keys)));
            let defined: Vec<Option<Arc<Definition>>> = keys.iter().map(|key| engine.define(key)).collect();
            let refreshed = engine.refresh(&keys, Trigger::Manual, |_| {}).await;
            for (one, definition) in refreshed.iter().zip(defined) {
                if let Some(definition) = definition {
                    check_refreshed(&sim, &who, asked, one, &definition);
                }
            }
        });
    }

    pub(super) fn invalidate(&mut self) {
        let (process, target) = (self.pick(), self.target());
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("an invalidation of {target:?}"), async move {
            drop(engine.invalidate(&target).await);
        });
    }

    pub(super) fn evict(&mut self) {
        if !self.perils.evictions {
            return;
        }
        let (process, target) = (self.pick(), self.target());
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("an eviction of {target:?}"), async move {
            drop(engine.evict(&target).await);
        });
    }

    pub(super) fn mark(&mut self) {
        let (process, keys) = (self.pick(), self.some_keys());
        let trigger = [Trigger::Webhook, Trigger::Read, Trigger::Schedule][self.sim.pick(3) as usize];
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("a mark on {}", State::names(&keys)), async move {
            drop(engine.mark_due(&keys, trigger).await);
        });
    }

    pub(super) fn run_due(&mut self) {
        let (process, limit) = (self.pick(), 1 + self.sim.pick(4) as usize);
        let engine = self.processes[process].engine.clone();
        self.wish(process, "a turn of what is due", async move {
            drop(engine.refresh_due(limit, |_| {}).await);
        });
    }

    pub(super) fn replay(&mut self) {
        let (process, target) = (self.pick(), self.target());
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("a replay of {target:?}"), async move {
            drop(engine.replay(&target).await);
        });
    }

    pub(super) fn sweep(&mut self) {
        if !self.perils.sweeps {
            return;
        }
        let process = self.pick();
        let brief = Duration::from_secs(self.sim.pick(600));
        let retention = if self.sim.happens(50) {
            Retention::default()
        } else {
            Retention {
                failed: brief,
                log: brief,
                unconfigured: brief,
                unread: brief,
                feed: brief,
                feed_lines_max: 5 + self.sim.pick(50),
                log_lines_max: Retention::default().log_lines_max,
            }
        };
        let engine = self.processes[process].engine.clone();
        self.wish(process, "a sweep", async move {
            drop(engine.sweep(&retention).await);
        });
    }
}
