//! What runs instead of attaching: tests, benchmarks, blocks over a capture.

use rbtrace_probes_ebpf::kinds::ProbeKind;

use super::{Session, UnitId};
use crate::error::Error;
use crate::replay::Replay;
use crate::signals::StopFlag;
use crate::sink::Sink;

impl Session {
    /// Runs an object's `begin` blocks and its tests instead of attaching it. Returns whether all
    /// tests passed.
    pub fn run_tests(&mut self, unit: UnitId, sink: &mut dyn Sink) -> Result<bool, Error> {
        self.was_trial = true;
        let Some(unit) = self.units.get_mut(&unit) else { return Ok(true) };
        unit.run_all(ProbeKind::Begin)?;
        unit.run_tests(sink)
    }

    /// Runs an object's `begin` blocks and its benchmarks instead of attaching it. Returns
    /// whether none failed.
    pub fn run_benches(&mut self, unit: UnitId, sink: &mut dyn Sink) -> Result<bool, Error> {
        self.was_trial = true;
        let Some(unit) = self.units.get_mut(&unit) else { return Ok(true) };
        unit.run_all(ProbeKind::Begin)?;
        unit.run_benches(sink)
    }

    /// Runs an object's `begin` blocks, then its blocks for packets over those of a capture, instead of
    /// attaching it. It ends with the capture, where a block calls `exit`, or when the flag is set.
    /// What comes before an error has run, and [`Session::finish`] can still be called.
    pub fn replay(
        &mut self,
        unit: UnitId,
        replay: &mut Replay,
        sink: &mut dyn Sink,
        stop: &StopFlag,
    ) -> Result<(), Error> {
        let Some(unit) = self.units.get_mut(&unit) else { return Ok(()) };
        unit.run_all(ProbeKind::Begin)?;
        unit.drain_all(sink, &mut self.exit)?;
        unit.replay(replay, sink, &mut self.exit, stop)
    }
}
