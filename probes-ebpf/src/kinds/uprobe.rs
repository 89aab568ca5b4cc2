//! `uprobe` and `uretprobe`: functions and instructions of programs and libraries.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static UPROBE: KindSpec = KindSpec {
    kind: ProbeKind::Uprobe,
    name: "uprobe",
    aliases: &["u"],
    about: "entry of a user function, or an instruction in it",
    forms: &[
        "uprobe:BINARY:FUNCTION[+OFFSET]",
        "uprobe:BINARY:ADDRESS",
        "uprobe:BINARY@FILE:LINE",
        "uprobe:BINARY:cpp:\"CLASS::FUNCTION\"",
    ],
    program: ProgramType::Kprobe,
    section: "uprobe",
    context: Context::Registers,
    pointers: PointerSpace::User,
    has_args: true,
    has_retval: false,
    has_task: true,
    has_cookie: true,
    verdicts: &[],
    default_return: 0,
};

pub(super) static URETPROBE: KindSpec = KindSpec {
    kind: ProbeKind::Uretprobe,
    name: "uretprobe",
    aliases: &["ur"],
    about: "return of a user function",
    forms: &["uretprobe:BINARY:FUNCTION", "uretprobe:BINARY:cpp:\"CLASS::FUNCTION\""],
    section: "uretprobe",
    has_args: false,
    has_retval: true,
    ..UPROBE
};
