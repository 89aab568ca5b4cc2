//! `tracepoint`: the kernel's static tracepoints, with the fields of their format files.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static TRACEPOINT: KindSpec = KindSpec {
    kind: ProbeKind::Tracepoint,
    name: "tracepoint",
    aliases: &["t"],
    about: "a static tracepoint of the kernel",
    forms: &["tracepoint:CATEGORY:NAME"],
    program: ProgramType::Tracepoint,
    section: "tracepoint",
    context: Context::TracepointRecord,
    pointers: PointerSpace::Unknown,
    has_args: false,
    has_retval: false,
    has_task: true,
    has_cookie: true,
    verdicts: &[],
    default_return: 0,
};
