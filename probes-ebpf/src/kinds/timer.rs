//! `interval` and `profile`: software clock events, on one CPU or on all.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static INTERVAL: KindSpec = KindSpec {
    kind: ProbeKind::Interval,
    name: "interval",
    aliases: &["i"],
    about: "at a fixed interval, on one CPU",
    forms: &["interval:COUNT[ns|us|ms|s]", "interval:us|ms|s:COUNT", "interval:hz:RATE"],
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

pub(super) static PROFILE: KindSpec = KindSpec {
    kind: ProbeKind::Profile,
    name: "profile",
    aliases: &["p"],
    about: "at a fixed interval, on every CPU",
    forms: &["profile:COUNT[ns|us|ms|s]", "profile:us|ms|s:COUNT", "profile:hz:RATE"],
    ..INTERVAL
};
