//! `xdp`: packets as they arrive on an interface (`enum xdp_action` in linux/bpf.h).

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType, Verdict};

pub(super) static XDP: KindSpec = KindSpec {
    kind: ProbeKind::Xdp,
    name: "xdp",
    aliases: &[],
    about: "a packet that arrives on an interface",
    forms: &["xdp:INTERFACE[:native|:generic|:offload]"],
    program: ProgramType::Xdp,
    section: "xdp",
    context: Context::Xdp,
    pointers: PointerSpace::Kernel,
    has_args: false,
    has_retval: false,
    has_task: false,
    has_cookie: false,
    verdicts: &[
        Verdict { name: "XDP_ABORTED", value: 0 },
        Verdict { name: "XDP_DROP", value: 1 },
        Verdict { name: "XDP_PASS", value: 2 },
        Verdict { name: "XDP_TX", value: 3 },
        Verdict { name: "XDP_REDIRECT", value: 4 },
    ],
    default_return: 2,
};
