//! `usdt`: static probes that a program's author put into it.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static USDT: KindSpec = KindSpec {
    kind: ProbeKind::Usdt,
    name: "usdt",
    aliases: &["U"],
    about: "a static probe of a program or library",
    forms: &["usdt:BINARY[:PROVIDER]:NAME"],
    program: ProgramType::Kprobe,
    // Its places are attached to as uprobes are.
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
