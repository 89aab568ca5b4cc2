//! `begin` and `end`: raw tracepoint programs that user space runs itself, by
//! `BPF_PROG_TEST_RUN`, so that they need nothing in the kernel to attach to.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static BEGIN: KindSpec = KindSpec {
    kind: ProbeKind::Begin,
    name: "begin",
    aliases: &["BEGIN"],
    about: "once, before any other probe is attached",
    forms: &["begin"],
    program: ProgramType::RawTracepoint,
    section: "raw_tp/begin",
    context: Context::Opaque,
    pointers: PointerSpace::Unknown,
    has_args: false,
    has_retval: false,
    has_task: true,
    has_cookie: false,
    verdicts: &[],
    default_return: 0,
};

pub(super) static END: KindSpec = KindSpec {
    kind: ProbeKind::End,
    name: "end",
    aliases: &["END"],
    about: "once, after every other probe was detached",
    forms: &["end"],
    section: "raw_tp/end",
    ..BEGIN
};
