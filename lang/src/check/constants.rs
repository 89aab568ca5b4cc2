//! Named integers.

use super::Checker;

/// Constants of the kernel that functions here take: name and value. Source: linux/socket.h.
const TABLE: &[(&str, u64)] = &[
    ("AF_UNSPEC", 0),
    ("AF_UNIX", 1),
    ("AF_INET", 2),
    ("AF_INET6", 10),
    ("AF_NETLINK", 16),
    ("AF_PACKET", 17),
];

/// What a name stands for in the block at hand.
pub(super) enum Constant {
    /// A number.
    Value(i64),
    /// A verdict of other kinds of probe, with one that has it.
    VerdictOf(&'static str),
}

/// Looks a name up: verdicts of the kind first.
pub(super) fn find(name: &str, checker: &Checker<'_>) -> Option<Constant> {
    let verdict = |kind: rbtrace_probes_ebpf::kinds::ProbeKind| {
        kind.spec().verdicts.iter().find(|v| v.name == name)
    };
    if let Some(verdict) = verdict(checker.at.kind) {
        return Some(Constant::Value(verdict.value));
    }
    if let Some((_, value)) = TABLE.iter().find(|(n, _)| *n == name) {
        return Some(Constant::Value(*value as i64));
    }
    rbtrace_probes_ebpf::kinds::ProbeKind::ALL
        .into_iter()
        .find(|kind| verdict(*kind).is_some())
        .map(|kind| Constant::VerdictOf(kind.spec().name))
}

/// Names known in the block at hand, for suggestions.
pub(super) fn names(checker: &Checker<'_>) -> impl Iterator<Item = &'static str> {
    let verdicts = checker.at.spec().verdicts.iter().map(|v| v.name);
    verdicts.chain(TABLE.iter().map(|(name, _)| *name))
}
