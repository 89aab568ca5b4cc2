//! Functions that act on processes: all of them need `--unsafe`.

use rbtrace_probes_ebpf::helpers::{self, Helper};
use rbtrace_probes_ebpf::names;

use crate::ast::{self, BinaryOp, ExprKind as Ast};
use crate::diag::Diagnostic;
use crate::hir::{Action, Call, Expr, ExprKind, Space, Stmt, StmtKind, Type};
use crate::resolve::did_you_mean;

use super::super::convert::{cast, constant};
use super::super::place::Place;
use super::super::{Checker, Stop, Typed, Value};
use super::{CallSite, Function};

pub(super) const TABLE: &[Function] = &[
    Function::one("signal", "signal(\"KILL\"), signal(number)", |cx, call| {
        signal(cx, call, &helpers::SEND_SIGNAL)
    })
    .only(Place::WITH_SIGNALLED)
    .unsafe_for("sends signals to processes")
    .needing(&helpers::SEND_SIGNAL),
    Function::one("signal_thread", "signal_thread(\"KILL\"), signal_thread(number)", |cx, call| {
        signal(cx, call, &helpers::SEND_SIGNAL_THREAD)
    })
    .only(Place::WITH_SIGNALLED)
    .unsafe_for("sends signals to processes")
    .needing(&helpers::SEND_SIGNAL_THREAD),
    Function::one("override", "override(result)", override_return)
        .only(Place::BEFORE_KERNEL_FUNCTIONS)
        .unsafe_for("keeps kernel functions from running"),
    Function::new("write_user", 3, 3, "write_user(pointer, source, length)", write_user)
        .only(Place::IN_TASK)
        .unsafe_for("changes the memory of processes"),
];

/// Largest number of a signal.
const LAST_SIGNAL: u64 = 64;
/// Most bytes that `write_user` writes.
const MOST_WRITTEN: u64 = 1 << 16;

fn signal(checker: &mut Checker<'_>, call: &CallSite<'_>, helper: &'static Helper) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    let function = call.name.name.clone();
    let number = match &arg.kind {
        Ast::Str(name) => constant(signal_number(checker, arg, name)?, Type::U32, arg.span),
        _ if super::super::fold::int_literal(arg).is_some() => {
            let n = checker.literal_number(&function, arg)?;
            if !(1..=LAST_SIGNAL).contains(&n) {
                return Err(checker.error(
                    Diagnostic::error("argument-range", arg.span, "there is no such signal")
                        .label(format!("expected a number from 1 to {LAST_SIGNAL}")),
                ));
            }
            constant(n as i64, Type::U32, arg.span)
        }
        _ => {
            let n = checker.uint64(arg, &function)?;
            cast(n, &Type::U32)
        }
    };
    let call_helper = Call::Helper { helper, context: false, args: vec![number] };
    let sent = Value::new(ExprKind::Call(Box::new(call_helper)), Type::I64, call.span);
    let status = checker.at.temporary(Type::I64);
    let status = |span| Value::new(ExprKind::Local(status), Type::I64, span);
    let zero = Value::from(constant(0, Type::I64, call.span));
    let failed = checker.operate(BinaryOp::Ne, status(call.span), zero, call.span)?;
    let warn = Action::Errorf {
        format: "signal call failed with error %d".into(),
        args: vec![status(call.span).expr],
        warning: true,
    };
    let ExprKind::Local(local) = status(call.span).expr.kind else { return Err(Stop::Reported) };
    let span = call.span;
    let warn = vec![Stmt { kind: StmtKind::Action(warn), span }];
    let stmts = vec![
        Stmt { kind: StmtKind::Set { local, value: sent.expr }, span },
        Stmt { kind: StmtKind::If { cond: failed.expr, then: warn, otherwise: Vec::new() }, span },
    ];
    Ok(Value::stmt(StmtKind::Block(stmts), span))
}

/// The number of a signal by its name, with or without `SIG`.
fn signal_number(checker: &mut Checker<'_>, arg: &ast::Expr, name: &[u8]) -> Typed<i64> {
    let name = String::from_utf8_lossy(name);
    let short = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(number) = names::signal_number(short) {
        return Ok(number.into());
    }
    let error =
        Diagnostic::error("unknown-signal", arg.span, format!("there is no signal `{name}`"));
    Err(checker.error(did_you_mean(error, short, names::SIGNAL_NAMES.iter().map(|(n, _)| *n))))
}

fn override_return(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    let result = checker.uint64(arg, "override")?;
    let helper = &helpers::OVERRIDE_RETURN;
    let kind = ExprKind::Call(Box::new(Call::Helper { helper, context: true, args: vec![result] }));
    let value = Value::new(kind, Type::I64, call.span);
    Ok(Value::stmt(StmtKind::Expr(value.expr), call.span))
}

fn write_user(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [to, from, len] = call.args else { return Err(Stop::Reported) };
    let to = checker.value(to)?;
    let to = match &to.expr.ty {
        Type::Int(_) | Type::Ptr { .. } => cast(to.expr, &Type::U64),
        _ => return Err(checker.wrong_argument("write_user", &to.expr, "a pointer")),
    };
    let from = checker.value(from)?.expr;
    let has = match &from.ty {
        Type::Ptr { space: Space::Own, to } => {
            u64::from(super::super::types::size_of(to, &checker.program))
        }
        ty if !ty.is_scalar() && *ty != Type::Void => {
            u64::from(super::super::types::size_of(ty, &checker.program))
        }
        _ => {
            let expected = "a string, an array, a tuple or a struct";
            return Err(checker.wrong_argument("write_user", &from, expected));
        }
    };
    let n = checker.literal_number("write_user", len)?;
    if n > has.min(MOST_WRITTEN) {
        return Err(checker.error(
            Diagnostic::error("argument-range", len.span, "there are not so many bytes to write")
                .label(format!("the source has {has}")),
        ));
    }
    let write = Call::WriteUser { to, from, len: n as u32 };
    let status = Value::new(ExprKind::Call(Box::new(write)), Type::I64, call.span);
    let zero = Value::from(constant(0, Type::I64, call.span));
    checker.operate(BinaryOp::Eq, status, zero, call.span)
}

/// An address of a value that some helper wants.
pub(super) fn helper_call(helper: &'static Helper, args: Vec<Expr>, call: &CallSite<'_>) -> Value {
    let kind = ExprKind::Call(Box::new(Call::Helper { helper, context: false, args }));
    Value::new(kind, Type::U64, call.span)
}
