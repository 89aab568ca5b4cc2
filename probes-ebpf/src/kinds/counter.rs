//! `software` and `hardware`: events that perf counts, of the kernel and of the processor.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static SOFTWARE: KindSpec = KindSpec {
    kind: ProbeKind::Software,
    name: "software",
    aliases: &["s"],
    about: "each time that the kernel has counted so many of its events",
    forms: &["software:EVENT[:COUNT]"],
    program: ProgramType::PerfEvent,
    section: "perf_event",
    context: Context::PerfEvent,
    pointers: PointerSpace::Unknown,
    has_args: false,
    has_retval: false,
    has_task: true,
    has_cookie: true,
    verdicts: &[],
    default_return: 0,
};

pub(super) static HARDWARE: KindSpec = KindSpec {
    kind: ProbeKind::Hardware,
    name: "hardware",
    aliases: &["h"],
    about: "each time that the processor has counted so many events",
    forms: &["hardware:EVENT[:COUNT]"],
    ..SOFTWARE
};

/// An event that perf counts (`enum perf_sw_ids`, `enum perf_hw_id` in linux/perf_event.h).
#[derive(Debug)]
pub struct Counter {
    /// Name in scripts and listings.
    pub name: &'static str,
    /// A shorter name.
    pub alias: Option<&'static str>,
    /// `perf_event_attr::config`.
    pub config: u64,
    /// How many events make the probe fire, where the script does not say.
    pub count: u64,
}

impl Counter {
    const fn new(
        name: &'static str,
        alias: Option<&'static str>,
        config: u64,
        count: u64,
    ) -> Counter {
        Counter { name, alias, config, count }
    }

    /// Its names, the full one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.alias)
    }

    /// The event of this name or alias that probes of a kind count; `None` for other kinds, too.
    pub fn find(kind: ProbeKind, name: &str) -> Option<&'static Counter> {
        Self::all(kind).iter().find(|counter| counter.names().any(|n| n == name))
    }

    /// All events that probes of a kind can count, by name.
    pub const fn all(kind: ProbeKind) -> &'static [Counter] {
        match kind {
            ProbeKind::Software => SOFTWARE_EVENTS,
            ProbeKind::Hardware => HARDWARE_EVENTS,
            _ => &[],
        }
    }
}

const SOFTWARE_EVENTS: &[Counter] = &[
    Counter::new("alignment-faults", None, 7, 1),
    Counter::new("bpf-output", None, 10, 1),
    Counter::new("context-switches", Some("cs"), 3, 1000),
    Counter::new("cpu-clock", Some("cpu"), 0, 1_000_000),
    Counter::new("cpu-migrations", None, 4, 1),
    Counter::new("dummy", None, 9, 1),
    Counter::new("emulation-faults", None, 8, 1),
    Counter::new("major-faults", None, 6, 1),
    Counter::new("minor-faults", None, 5, 100),
    Counter::new("page-faults", Some("faults"), 2, 100),
    Counter::new("task-clock", None, 1, 1),
];

const HARDWARE_EVENTS: &[Counter] = &[
    Counter::new("backend-stalls", None, 8, 1_000_000),
    Counter::new("branch-instructions", Some("branches"), 4, 100_000),
    Counter::new("branch-misses", None, 5, 100_000),
    Counter::new("bus-cycles", None, 6, 100_000),
    Counter::new("cache-misses", None, 3, 1_000_000),
    Counter::new("cache-references", None, 2, 1_000_000),
    Counter::new("cpu-cycles", Some("cycles"), 0, 1_000_000),
    Counter::new("frontend-stalls", None, 7, 1_000_000),
    Counter::new("instructions", None, 1, 1_000_000),
    Counter::new("ref-cycles", None, 9, 1_000_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_by_both_names() {
        for kind in [ProbeKind::Software, ProbeKind::Hardware] {
            let all = Counter::all(kind);
            assert!(all.is_sorted_by_key(|c| c.name));
            for name in all.iter().flat_map(Counter::names) {
                assert!(Counter::find(kind, name).is_some(), "{name}");
            }
        }
        let faults = Counter::find(ProbeKind::Software, "faults").map(|c| c.name);
        assert_eq!(faults, Some("page-faults"));
        assert!(Counter::find(ProbeKind::Hardware, "faults").is_none());
    }
}
