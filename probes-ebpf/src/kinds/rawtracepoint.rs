//! `rawtracepoint`: the kernel's static tracepoints, with the arguments that its code hands over.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static RAWTRACEPOINT: KindSpec = KindSpec {
    kind: ProbeKind::RawTracepoint,
    name: "rawtracepoint",
    aliases: &["rt"],
    about: "a static tracepoint of the kernel, before its record is made",
    forms: &["rawtracepoint[:MODULE]:NAME"],
    program: ProgramType::RawTracepoint,
    section: "raw_tp",
    context: Context::Arguments,
    pointers: PointerSpace::Unknown,
    has_args: true,
    has_retval: false,
    has_task: true,
    // Linux 6.10 has cookies for them; a program for each probe does on all.
    has_cookie: false,
    verdicts: &[],
    default_return: 0,
};
