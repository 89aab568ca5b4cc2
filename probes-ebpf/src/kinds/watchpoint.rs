//! `watchpoint`: accesses to an address, by the processor's debug registers.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static WATCHPOINT: KindSpec = KindSpec {
    kind: ProbeKind::Watchpoint,
    name: "watchpoint",
    aliases: &["w"],
    about: "memory at an address is read, written or executed",
    forms: &["watchpoint:ADDRESS:LENGTH:MODE"],
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
