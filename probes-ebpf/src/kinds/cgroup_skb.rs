//! `cgroup_skb`: packets of the sockets of a cgroup (`enum sk_action` in linux/bpf.h).

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType, Results, Verdict};

pub(super) static CGROUP_SKB: KindSpec = KindSpec {
    kind: ProbeKind::CgroupSkb,
    name: "cgroup_skb",
    aliases: &[],
    about: "a packet for a socket of a cgroup, or from one",
    forms: &["cgroup_skb:PATH:ingress|egress"],
    program: ProgramType::CgroupSkb,
    section: "cgroup/skb",
    context: Context::Skb,
    pointers: PointerSpace::Kernel,
    has_args: false,
    has_retval: false,
    has_task: false,
    has_cookie: false,
    verdicts: &[Verdict { name: "SK_DROP", value: 0 }, Verdict { name: "SK_PASS", value: PASS }],
    default_return: PASS,
};

const PASS: i64 = 1;

/// What programs may return: the verifier takes nothing else (`check_return_code` in
/// kernel/bpf/verifier.c).
pub const RESULTS: Results = Results { range: 0..=1, otherwise: PASS };
