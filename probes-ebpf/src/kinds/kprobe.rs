//! `kprobe` and `kretprobe`: any function of the kernel, by a breakpoint or ftrace.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static KPROBE: KindSpec = KindSpec {
    kind: ProbeKind::Kprobe,
    name: "kprobe",
    aliases: &["k"],
    about: "entry of a kernel function, or an instruction in it",
    forms: &["kprobe[:MODULE]:FUNCTION[+OFFSET]", "kprobe:ADDRESS"],
    program: ProgramType::Kprobe,
    section: "kprobe",
    context: Context::Registers,
    // System calls and the functions under them take user pointers in the same registers.
    pointers: PointerSpace::Unknown,
    has_args: true,
    has_retval: false,
    has_task: true,
    has_cookie: true,
    verdicts: &[],
    default_return: 0,
};

pub(super) static KRETPROBE: KindSpec = KindSpec {
    kind: ProbeKind::Kretprobe,
    name: "kretprobe",
    aliases: &["kr"],
    about: "return of a kernel function",
    forms: &["kretprobe[:MODULE]:FUNCTION", "kretprobe:ADDRESS"],
    section: "kretprobe",
    has_args: false,
    has_retval: true,
    ..KPROBE
};
