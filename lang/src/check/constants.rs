//! Named integers.

use crate::c::ConstantValue;
use crate::catalog::ctypes::TypeRef;

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
    Value(i128),
    /// A variant of an enum of the script's or the kernel's.
    Variant {
        /// The enum.
        #[expect(dead_code, reason = "values are plain integers until enums are typed")]
        of: TypeRef,
        /// Value.
        value: i64,
    },
    /// A text.
    Text(Vec<u8>),
    /// A verdict of other kinds of probe, with one that has it.
    VerdictOf(&'static str),
}

/// Looks a name up: verdicts of the kind first.
pub(super) fn find(name: &str, checker: &Checker<'_>) -> Option<Constant> {
    let verdict = |kind: rbtrace_probes_ebpf::kinds::ProbeKind| {
        kind.spec().verdicts.iter().find(|v| v.name == name)
    };
    if let Some(verdict) = verdict(checker.at.kind) {
        return Some(Constant::Value(verdict.value.into()));
    }
    match checker.c.constant(name, checker.cx.types).and_then(|constant| constant.value) {
        Some(ConstantValue::Int(value)) => return Some(Constant::Value(value)),
        Some(ConstantValue::Str(text)) => return Some(Constant::Text(text)),
        None => {}
    }
    let variant = checker.c.enumerator(name);
    if let Some((of, value)) = variant.or_else(|| checker.cx.types.kernel_enumerator(name)) {
        return Some(Constant::Variant { of, value });
    }
    if let Some((_, value)) = TABLE.iter().find(|(n, _)| *n == name) {
        return Some(Constant::Value((*value).into()));
    }
    rbtrace_probes_ebpf::kinds::ProbeKind::ALL
        .into_iter()
        .find(|kind| verdict(*kind).is_some())
        .map(|kind| Constant::VerdictOf(kind.spec().name))
}

/// Names known in the block at hand, for suggestions.
pub(super) fn names<'a>(checker: &'a Checker<'_>) -> impl Iterator<Item = &'a str> {
    let verdicts = checker.at.spec().verdicts.iter().map(|v| v.name);
    checker.c.names().chain(verdicts).chain(TABLE.iter().map(|(name, _)| *name))
}
