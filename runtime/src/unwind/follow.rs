//! Whose stacks the objects of a session unwind, and that the tables for it keep up with them.

use std::io;
use std::sync::Arc;

use rbtrace_probes_ebpf::plan::Plan;

use super::Unwinder;
use crate::error::Error;
use crate::machine::Machine;
use crate::maps::LoadedMap;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Following {
    /// Processes that run already.
    running: Vec<u32>,
    /// The process of a command that has not started.
    starting: Option<u32>,
    /// None before an object needs it.
    unwinder: Option<Unwinder>,
}

impl Following {
    /// Of processes that run already and of one that will start a program.
    pub fn new(running: Vec<u32>, starting: Option<u32>) -> Self {
        Self { running, starting, unwinder: None }
    }

    /// Confirms that there are processes to unwind the stacks of, if a plan is about that.
    pub fn check(&self, plan: &Plan) -> Result<(), Error> {
        let any = !self.running.is_empty() || self.starting.is_some();
        if any || !plan.unwinds() { Ok(()) } else { Err(Error::NothingToUnwind) }
    }

    /// Keeps the tables of an object that has these maps; objects of a session share them.
    pub fn adopt(&mut self, maps: &[Arc<LoadedMap>]) {
        if self.unwinder.is_none() {
            self.unwinder = Unwinder::new(maps);
        }
    }

    /// Whether any object unwinds stacks.
    pub fn is_needed(&self) -> bool {
        self.unwinder.is_some()
    }

    /// Reads what the processes have mapped, and what they map from now on.
    pub fn begin(&mut self, machine: &Machine) -> io::Result<()> {
        machine.watch([]);
        machine.follow(&self.running);
        if let Some(pid) = self.starting {
            machine.follow_start(pid);
        }
        self.update(machine)
    }

    /// Brings the tables up to date with what `machine` has taken note of.
    pub fn update(&mut self, machine: &Machine) -> io::Result<()> {
        let Some(unwinder) = &mut self.unwinder else { return Ok(()) };
        let changed = machine.take_changed();
        if changed.is_empty() { Ok(()) } else { unwinder.update(&changed) }
    }
}

#[cfg(test)]
mod tests {
    use rbtrace_probes_ebpf::plan::{Map, MapKind, MapRole};
    use rbtrace_probes_ebpf::unwind::{key_type, place_type};

    use super::*;
    use crate::empty_plan;

    #[test]
    fn unwinding_needs_a_process() {
        let places = Map {
            name: "places".into(),
            symbol: "places".into(),
            role: MapRole::UnwindPlaces,
            kind: MapKind::LpmTrie,
            key: key_type(),
            value: place_type(),
            max_entries: 1,
        };
        let unwinds = Plan { maps: vec![places], ..empty_plan() };
        let nobody = Following::default();
        let error = nobody.check(&unwinds).expect_err("of nobody");
        assert!(error.to_string().contains("-p, -c or --dwarf-pid"), "{error}");
        assert!(nobody.check(&empty_plan()).is_ok());
        assert!(Following::new(vec![1], None).check(&unwinds).is_ok());
        assert!(Following::new(Vec::new(), Some(1)).check(&unwinds).is_ok());
    }
}
