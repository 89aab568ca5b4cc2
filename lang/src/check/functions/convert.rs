//! Functions that turn a number or an address into something else.

use std::net::IpAddr;

use rbtrace_probes_ebpf::names::Names;
use rbtrace_probes_ebpf::profile::Arch;

use crate::ast;
use crate::diag::Diagnostic;
use crate::hir::{Call, Expr, ExprKind, Int, Space, Type};
use crate::resolve::did_you_mean;

use super::super::access::unended;
use super::super::convert::{cast, constant};
use super::super::place::Place;
use super::super::{Checker, Stop, Typed, Value};
use super::{CallSite, Function};

pub(super) const TABLE: &[Function] = &[
    Function::one("kptr", "kptr(pointer)", |cx, call| in_space(cx, call, Space::Kernel)),
    Function::one("uptr", "uptr(pointer)", |cx, call| in_space(cx, call, Space::User)),
    Function::one("ksym", "ksym(address)", |cx, call| address(cx, call, Type::KSym)),
    Function::one("usym", "usym(address)", |cx, call| address(cx, call, Type::USym)),
    Function::one("kaddr", "kaddr(\"symbol\")", kaddr),
    Function::one("reg", "reg(\"register\")", register).only(Place::WITH_REGISTERS),
    Function::one("bswap", "bswap(number)", bswap),
    Function::one("macaddr", "macaddr(address)", macaddr),
    Function::one("pton", "pton(\"address\")", pton),
    Function::one("strerror", "strerror(errno)", |cx, call| text_of(cx, call, Names::Errors)),
    Function::one("signal_name", "signal_name(number)", |cx, call| {
        text_of(cx, call, Names::Signals)
    }),
    Function::one("syscall_name", "syscall_name(number)", |cx, call| {
        text_of(cx, call, Names::Syscalls(cx.cx.profile.arch))
    }),
    Function::one("is_err", "is_err(pointer)", is_err),
    Function::new("ntop", 1, 2, "ntop([family, ]address)", ntop),
    Function::new("cgroup_path", 1, 2, "cgroup_path(id[, filter])", cgroup_path),
];

fn first<'e>(call: &CallSite<'e>) -> Typed<&'e ast::Expr> {
    call.args.first().ok_or(Stop::Reported)
}

fn mark(operand: Expr, ty: Type, call: &CallSite<'_>) -> Value {
    Value::new(ExprKind::Call(Box::new(Call::Mark(operand))), ty, call.span)
}

/// Says where a pointer points.
fn in_space(checker: &mut Checker<'_>, call: &CallSite<'_>, space: Space) -> Typed {
    let value = checker.value(first(call)?)?;
    let to = match &value.expr.ty {
        Type::Ptr { to, .. } => to.clone(),
        Type::Int(_) => Box::new(Type::Void),
        _ => {
            return Err(checker.wrong_argument(
                &call.name.name,
                &value.expr,
                "a number or a pointer",
            ));
        }
    };
    Ok(Value::from(cast(value.expr, &Type::Ptr { to, space })))
}

/// A number or pointer that prints as what it is the address of.
fn address(checker: &mut Checker<'_>, call: &CallSite<'_>, ty: Type) -> Typed {
    let value = checker.value(first(call)?)?;
    match &value.expr.ty {
        Type::Int(_) | Type::Ptr { .. } => Ok(mark(cast(value.expr, &Type::U64), ty, call)),
        _ => Err(checker.wrong_argument(&call.name.name, &value.expr, "a number or a pointer")),
    }
}

/// A number that prints as text.
fn number(checker: &mut Checker<'_>, call: &CallSite<'_>, ty: Type) -> Typed {
    let n = checker.uint64(first(call)?, &call.name.name)?;
    Ok(mark(n, ty, call))
}

/// Bytes of the text of a number, as in bpftrace.
const NAME_SIZE: u32 = 64;

/// The text of a number.
fn text_of(checker: &mut Checker<'_>, call: &CallSite<'_>, names: Names) -> Typed {
    let value = checker.value(first(call)?)?;
    let Type::Int(_) = value.expr.ty else {
        return Err(checker.wrong_argument(&call.name.name, &value.expr, "a number"));
    };
    let int = Type::Int(Int { size: 4, signed: true });
    let number = cast(value.expr, &int);
    let kind = ExprKind::Call(Box::new(Call::TextOf { number, names }));
    Ok(Value::new(kind, Type::Str { size: NAME_SIZE }, call.span))
}

/// The bytes of an address in network order.
fn pton(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let arg = first(call)?;
    let text = checker.literal_text("pton", arg)?;
    let bytes = match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => v4.octets().to_vec(),
        Ok(IpAddr::V6(v6)) => v6.octets().to_vec(),
        Err(_) => {
            let error = Diagnostic::error(
                "bad-address",
                arg.span,
                format!("`{text}` is neither an IPv4 nor an IPv6 address"),
            )
            .help("write pton(\"192.0.2.1\") or pton(\"2001:db8::1\")");
            return Err(checker.error(error));
        }
    };
    let byte = Type::Int(Int { size: 1, signed: false });
    let ty = Type::Array { elem: Box::new(byte), len: bytes.len() as u32 };
    Ok(Value::new(ExprKind::Str(bytes), ty, call.span))
}

fn cgroup_path(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let filter = match call.args.get(1) {
        Some(arg) => checker.literal_text("cgroup_path", arg)?,
        None => String::new(),
    };
    number(checker, call, Type::CgroupPath { filter })
}

fn kaddr(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let arg = first(call)?;
    let name = checker.literal_text("kaddr", arg)?;
    match checker.cx.catalog.kernel_symbol(&name) {
        Some(address) => Ok(Value::from(constant(address as i64, Type::U64, call.span))),
        None => Err(checker.error(
            Diagnostic::error(
                "unknown-symbol",
                arg.span,
                format!("there is no kernel symbol `{name}`"),
            )
            .note("symbols are read from /proc/kallsyms, which shows addresses to root only"),
        )),
    }
}

/// Registers of `struct pt_regs` and their offsets in bytes (arch/*/include/asm/ptrace.h).
const X86_64: &[(&str, u32)] = &[
    ("r15", 0),
    ("r14", 8),
    ("r13", 16),
    ("r12", 24),
    ("bp", 32),
    ("bx", 40),
    ("r11", 48),
    ("r10", 56),
    ("r9", 64),
    ("r8", 72),
    ("ax", 80),
    ("cx", 88),
    ("dx", 96),
    ("si", 104),
    ("di", 112),
    ("orig_ax", 120),
    ("ip", 128),
    // The same on every architecture.
    ("pc", 128),
    ("cs", 136),
    ("flags", 144),
    ("sp", 152),
    ("ss", 160),
];

fn register_offset(arch: Arch, name: &str) -> Option<u32> {
    match arch {
        Arch::X86_64 => X86_64.iter().find(|(n, _)| *n == name).map(|(_, offset)| *offset),
        Arch::Aarch64 => match name {
            "sp" => Some(248),
            "pc" => Some(256),
            "pstate" => Some(264),
            _ => {
                let n: u32 = name.strip_prefix('r')?.parse().ok()?;
                (n <= 30).then_some(n * 8)
            }
        },
    }
}

fn register(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let arg = first(call)?;
    let name = checker.literal_text("reg", arg)?;
    match register_offset(checker.cx.profile.arch, &name) {
        Some(offset) => {
            let kind = ExprKind::Call(Box::new(Call::Register { offset }));
            Ok(Value::new(kind, Type::U64, call.span))
        }
        None => {
            let error = Diagnostic::error(
                "unknown-register",
                arg.span,
                format!("there is no register `{name}` on this architecture"),
            );
            let names = X86_64.iter().map(|(n, _)| *n);
            let error = match checker.cx.profile.arch {
                Arch::X86_64 => did_you_mean(error, &name, names),
                Arch::Aarch64 => error.note("registers are r0 to r30, sp, pc and pstate"),
            };
            Err(checker.error(error))
        }
    }
}

fn bswap(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let value = checker.value(first(call)?)?;
    let Type::Int(int) = value.expr.ty else {
        return Err(checker.wrong_argument("bswap", &value.expr, "a number"));
    };
    let ty = Type::Int(Int { signed: false, ..int });
    let operand = cast(value.expr, &ty);
    let kind = ExprKind::Call(Box::new(Call::Bswap(operand)));
    Ok(Value::new(kind, ty, call.span))
}

/// An Ethernet address: 6 bytes in memory.
const MAC_SIZE: u32 = 6;

fn macaddr(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let value = unended(checker.value(first(call)?)?.expr);
    let operand = match &value.ty {
        Type::Ptr { .. } => value,
        Type::Int(_) => {
            let ty = Type::Ptr { to: Box::new(Type::Void), space: checker.pointer_space() };
            cast(value, &ty)
        }
        Type::Array { elem, len } if **elem == bytes(elem) && *len >= MAC_SIZE => value,
        // An array of `char`.
        Type::Str { size } if *size >= MAC_SIZE => value,
        _ => {
            return Err(checker.wrong_argument("macaddr", &value, "6 bytes or a pointer to them"));
        }
    };
    let kind = ExprKind::Call(Box::new(Call::MacAddr(operand)));
    Ok(Value::new(kind, Type::Mac, call.span))
}

/// The same type if it is a byte, else one that it is not.
fn bytes(ty: &Type) -> Type {
    match ty {
        Type::Int(Int { size: 1, .. }) => ty.clone(),
        _ => Type::Void,
    }
}

fn ntop(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let (family, addr) = match call.args {
        [addr] => (None, addr),
        [family, addr] => (Some(checker.uint64(family, "ntop")?), addr),
        _ => return Err(Stop::Reported),
    };
    let value = unended(checker.value(addr)?.expr);
    let addr = match &value.ty {
        // An IPv4 address.
        Type::Int(_) => cast(value, &Type::U32),
        Type::Array { elem, len: 4 | 16 } if **elem == bytes(elem) => value,
        Type::Str { size: 4 | 16 } => value,
        ty if ty.is_inet() && family.is_none() => return Ok(Value::from(value)),
        _ => {
            return Err(checker.wrong_argument("ntop", &value, "a number, or 4 or 16 bytes"));
        }
    };
    let kind = ExprKind::Call(Box::new(Call::Ntop { family, addr }));
    Ok(Value::new(kind, Type::Inet, call.span))
}

/// Whether a pointer is an error number of the kernel (`IS_ERR`).
fn is_err(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    /// `MAX_ERRNO` of linux/err.h.
    const MAX_ERRNO: i64 = 4095;
    let value = checker.value(first(call)?)?;
    let (Type::Int(_) | Type::Ptr { .. }) = value.expr.ty else {
        return Err(checker.wrong_argument("is_err", &value.expr, "a pointer"));
    };
    let number = Value::from(cast(value.expr, &Type::U64));
    let least = Value::from(constant(-MAX_ERRNO, Type::U64, call.span));
    checker.operate(ast::BinaryOp::Ge, number, least, call.span)
}
