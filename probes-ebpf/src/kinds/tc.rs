//! `tc`: packets between an interface and the kernel's stack (`TC_ACT_*` in linux/pkt_cls.h).

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType, Verdict};

pub(super) static TC: KindSpec = KindSpec {
    kind: ProbeKind::Tc,
    name: "tc",
    aliases: &[],
    about: "a packet that an interface hands to the kernel's stack, or gets from it",
    forms: &["tc:INTERFACE:ingress|egress"],
    program: ProgramType::SchedCls,
    section: "classifier",
    context: Context::Skb,
    pointers: PointerSpace::Kernel,
    has_args: false,
    has_retval: false,
    has_task: false,
    has_cookie: false,
    verdicts: &[
        Verdict { name: "TC_ACT_UNSPEC", value: UNSPEC },
        Verdict { name: "TC_ACT_OK", value: 0 },
        Verdict { name: "TC_ACT_RECLASSIFY", value: 1 },
        Verdict { name: "TC_ACT_SHOT", value: SHOT },
        Verdict { name: "TC_ACT_PIPE", value: 3 },
        Verdict { name: "TC_ACT_STOLEN", value: STOLEN },
        Verdict { name: "TC_ACT_QUEUED", value: 5 },
        Verdict { name: "TC_ACT_REPEAT", value: 6 },
        Verdict { name: "TC_ACT_REDIRECT", value: 7 },
        Verdict { name: "TC_ACT_TRAP", value: TRAP },
    ],
    // Whoever is next decides: another program on the interface, else the kernel lets it pass.
    default_return: UNSPEC,
};

const UNSPEC: i64 = -1;
/// What the other verdicts are for that let a packet vanish where the kernel does not know them.
pub const SHOT: i64 = 2;
const STOLEN: i64 = 4;
const TRAP: i64 = 8;

/// Verdicts that let a packet vanish, and that programs behind a link do not have: there, the kernel takes
/// them for `TC_ACT_UNSPEC` (`tcx_action_code` in include/net/tcx.h).
pub const NOT_BEHIND_LINKS: [i64; 2] = [STOLEN, TRAP];
