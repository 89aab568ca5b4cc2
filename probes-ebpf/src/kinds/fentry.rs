//! `fentry` and `fexit`: functions of the kernel, by trampolines instead of breakpoints.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static FENTRY: KindSpec = KindSpec {
    kind: ProbeKind::Fentry,
    name: "fentry",
    aliases: &["f", "kfunc"],
    about: "entry of a kernel function, with its types",
    forms: &["fentry[:MODULE]:FUNCTION", "fentry:bpf[:PROGRAM]:FUNCTION"],
    program: ProgramType::Tracing,
    section: "fentry",
    context: Context::Arguments,
    pointers: PointerSpace::Unknown,
    has_args: true,
    has_retval: false,
    has_task: true,
    has_cookie: false,
    verdicts: &[],
    default_return: 0,
};

pub(super) static FEXIT: KindSpec = KindSpec {
    kind: ProbeKind::Fexit,
    name: "fexit",
    aliases: &["fr", "kretfunc"],
    about: "return of a kernel function, with its types",
    forms: &["fexit[:MODULE]:FUNCTION", "fexit:bpf[:PROGRAM]:FUNCTION"],
    section: "fexit",
    has_retval: true,
    ..FENTRY
};
