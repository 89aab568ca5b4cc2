//! `lsm`: decisions of the kernel's security modules (Documentation/bpf/prog_lsm.rst).

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType, Results};

pub(super) static LSM: KindSpec = KindSpec {
    kind: ProbeKind::Lsm,
    name: "lsm",
    aliases: &[],
    about: "the kernel asks its security modules whether something may be done",
    forms: &["lsm:HOOK"],
    program: ProgramType::Lsm,
    section: "lsm",
    context: Context::Arguments,
    pointers: PointerSpace::Unknown,
    has_args: true,
    has_retval: false,
    has_task: true,
    has_cookie: false,
    verdicts: &[],
    // The other modules decide.
    default_return: 0,
};

/// What the names of the functions begin with that stand for the hooks.
pub const PREFIX: &str = "bpf_lsm_";

/// The kernel's union with a member for each hook; other functions have [`PREFIX`], too.
pub const HOOKS: &str = "security_list_options";

/// Largest error number (`MAX_ERRNO` in linux/err.h).
const MAX_ERRNO: i64 = 4095;
/// `EPERM` of asm-generic/errno-base.h.
const EPERM: i64 = 1;
/// Hooks that answer yes or no (`bool_lsm_hooks` in kernel/bpf/bpf_lsm.c).
const YES_OR_NO: [&str; 3] =
    ["audit_rule_known", "inode_xattr_skipcap", "xfrm_state_pol_flow_match"];

/// The kernel's function that stands for a hook.
pub fn function(hook: &str) -> String {
    format!("{PREFIX}{hook}")
}

/// What programs on a hook may return (`bpf_lsm_get_retval_range` in kernel/bpf/bpf_lsm.c); 0 leaves
/// the decision to the kernel. Kernels before 6.12 take anything.
pub fn results(hook: &str) -> Results {
    match YES_OR_NO.contains(&hook) {
        true => Results { range: 0..=1, otherwise: 1 },
        false => Results { range: -MAX_ERRNO..=0, otherwise: -EPERM },
    }
}
