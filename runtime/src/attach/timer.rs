//! `interval` and `profile`: the software clock of perf, on one CPU or on all.

use rbtrace_probes_ebpf::plan::Period;

use super::{Attachment, Site};
use crate::error::Error;
use crate::features::{self, Need};
use crate::sys::perf;

/// On one CPU, each `period` nanoseconds.
pub(super) fn interval(site: &Site<'_>, period: u64) -> Result<Attachment, Error> {
    let cpu = features::online_cpus().first().copied().unwrap_or(0);
    on_cpu(site, period, cpu, None)
}

/// On every CPU; with a process given, only while that runs.
pub(super) fn profile(site: &Site<'_>, period: Period) -> Result<Attachment, Error> {
    let period = match period {
        Period::Nanoseconds(ns) => ns,
        Period::Hertz(hz) => 1_000_000_000 / hz.max(1),
    };
    let mut all = Attachment::default();
    for cpu in features::online_cpus() {
        let one = on_cpu(site, period, cpu, site.context.pid)?;
        all.links.extend(one.links);
        all.events.extend(one.events);
    }
    Ok(all)
}

fn on_cpu(site: &Site<'_>, period: u64, cpu: u32, pid: Option<u32>) -> Result<Attachment, Error> {
    // The kernel takes 63 bits, and 0 would mean a counter that never fires.
    let period = period.clamp(1, i64::MAX as u64);
    let clock = perf::CounterSpec { hardware: false, config: perf::CPU_CLOCK, period, cpu, pid };
    let event = perf::open_counter(&clock)
        .map_err(|e| Error::privileged("open a clock event", Need::Tracing, e))?;
    site.attach_event(event)
}
