//! Named integers and texts.
//!
//! A name means, in this order: a macro of the script or a header it includes (`macros`), a verdict
//! of the block's kind of probe, a variant of an enum of the script, one of the kernel, a constant
//! of the kernel's headers (`table`).

mod macros;
mod table;

use rbtrace_probes_ebpf::names;
use rbtrace_probes_ebpf::profile::Arch;

use crate::ast::{Expr, ExprKind, MapDecl, UnaryOp};
use crate::c::Declarations;
use crate::catalog::ctypes::TypeRef;
use crate::resolve::Context;

use super::Checker;
pub(super) use macros::{replace, replace_in_map};

/// What a name stands for in the block at hand.
pub(super) enum Constant {
    /// A number.
    Value(i128),
    /// A variant of an enum of the script's or the kernel's.
    Variant {
        /// The enum.
        of: TypeRef,
        /// Value.
        value: i64,
    },
    /// A verdict of other kinds of probe, with one that has it.
    VerdictOf(&'static str),
}

/// Looks a name up.
pub(super) fn find(name: &str, checker: &Checker<'_>) -> Option<Constant> {
    let verdict = |kind: rbtrace_probes_ebpf::kinds::ProbeKind| {
        kind.spec().verdicts.iter().find(|v| v.name == name)
    };
    if let Some(verdict) = verdict(checker.at.kind) {
        return Some(Constant::Value(verdict.value.into()));
    }
    let variant = checker.c.enumerator(name);
    if let Some((of, value)) = variant.or_else(|| checker.cx.types.kernel_enumerator(name)) {
        return Some(Constant::Variant { of, value });
    }
    let arch = checker.cx.profile.arch;
    if let Some(value) = table::find(name, arch).or_else(|| system_call(name, arch)) {
        return Some(Constant::Value(value));
    }
    rbtrace_probes_ebpf::kinds::ProbeKind::ALL
        .into_iter()
        .find(|kind| verdict(*kind).is_some())
        .map(|kind| Constant::VerdictOf(kind.spec().name))
}

/// The number of a system call by what asm/unistd.h or sys/syscall.h calls it.
fn system_call(name: &str, arch: Arch) -> Option<i128> {
    let call = name.strip_prefix("__NR_").or_else(|| name.strip_prefix("SYS_"))?;
    names::syscall_number(arch, call).map(i128::from)
}

/// Replaces what the number of a map's entries is called.
pub(super) fn replace_names_in_map(map: &mut MapDecl, c: &Declarations, cx: &Context<'_>) {
    struct Names<'a>(&'a Declarations, &'a Context<'a>);
    impl crate::expand::visit::VisitMut for Names<'_> {
        fn expr(&mut self, expr: &mut Expr) {
            crate::expand::visit::expr(self, expr);
            let ExprKind::Ident(name) = &expr.kind else { return };
            let Self(c, cx) = self;
            let variant = c.enumerator(name).or_else(|| cx.types.kernel_enumerator(name));
            let value = variant.map(|(_, value)| value.into());
            let Some(value) = value.or_else(|| table::find(name, cx.profile.arch)) else { return };
            expr.kind = match u64::try_from(value) {
                Ok(value) => ExprKind::Int(value),
                Err(_) => {
                    let kind = ExprKind::Int(value.unsigned_abs() as u64);
                    let operand = Box::new(Expr { kind, span: expr.span });
                    ExprKind::Unary { op: UnaryOp::Neg, operand }
                }
            };
        }
    }
    crate::expand::visit::VisitMut::expr(&mut Names(c, cx), &mut map.max_entries);
}

/// Names known in the block at hand, for suggestions in place of `name`. The table's are many, and
/// all in capitals.
pub(super) fn names<'a>(checker: &'a Checker<'_>, name: &str) -> impl Iterator<Item = &'a str> {
    let capitals = name.contains(|c: char| c.is_ascii_uppercase());
    let verdicts = checker.at.spec().verdicts.iter().map(|v| v.name);
    let table = capitals.then(table::names).into_iter().flatten();
    checker.c.names().chain(verdicts).chain(table)
}
