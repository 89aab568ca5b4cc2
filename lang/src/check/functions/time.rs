//! Time.

use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::types::Clock;

use crate::ast::ExprKind as Ast;
use crate::diag::Diagnostic;
use crate::hir::{Action, Builtin, Call, ExprKind, StmtKind, Type};
use crate::resolve::did_you_mean;

use super::super::convert::cast;
use super::super::{Checker, Stop, Typed, Value};
use super::{CallSite, Function};

pub(super) const TABLE: &[Function] = &[
    Function::new("nsecs", 0, 1, "nsecs([clock])", nsecs),
    Function::new("time", 0, 1, "time([format])", time),
    Function::new("strftime", 2, 2, "strftime(format, nanoseconds)", strftime),
    Function::new("pid", 0, 1, "pid([curr_ns|init])", id),
    Function::new("tid", 0, 1, "tid([curr_ns|init])", id),
];

/// What `time()` prints by itself.
const DEFAULT_FORMAT: &str = "%H:%M:%S\n";

fn nsecs(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let clock = match call.args.first() {
        None => Clock::Boot,
        Some(arg) => {
            let Ast::Ident(word) = &arg.kind else {
                return Err(checker.error(
                    Diagnostic::error(
                        "argument-type",
                        arg.span,
                        "nsecs() takes the name of a clock",
                    )
                    .label("expected monotonic, boot or tai"),
                ));
            };
            match word.as_str() {
                "boot" => Clock::Boot,
                "monotonic" => Clock::Monotonic,
                "tai" => Clock::Tai,
                "sw_tai" => {
                    let time = checker.series_time(call.span)?;
                    return Ok(Value::from(time));
                }
                _ => {
                    let error = Diagnostic::error(
                        "unknown-clock",
                        arg.span,
                        format!("there is no clock `{word}`"),
                    )
                    .note("the clocks are monotonic, boot, tai and sw_tai");
                    return Err(checker.error(did_you_mean(
                        error,
                        word,
                        ["monotonic", "boot", "tai", "sw_tai"],
                    )));
                }
            }
        }
    };
    if clock == Clock::Tai {
        checker.needs(&helpers::KTIME_GET_TAI_NS, "nsecs(tai)", call.span)?;
    }
    Ok(Value::new(ExprKind::Builtin(Builtin::Nsecs(clock)), Type::U64, call.span))
}

fn time(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let format = match call.args.first() {
        Some(arg) => checker.literal_text("time", arg)?,
        None => DEFAULT_FORMAT.to_owned(),
    };
    Ok(Value::stmt(StmtKind::Action(Action::Time(format)), call.span))
}

fn strftime(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [format, time] = call.args else { return Err(Stop::Reported) };
    let format = checker.literal_text("strftime", format)?;
    let value = checker.value(time)?;
    let Type::Int(_) = value.expr.ty else {
        return Err(checker.wrong_argument("strftime", &value.expr, "a number of nanoseconds"));
    };
    if let (true, ExprKind::Int(..0)) = (value.literal, &value.expr.kind) {
        return Err(checker.error(Diagnostic::error(
            "argument-range",
            time.span,
            "strftime() takes no negative number",
        )));
    }
    let clock = match &value.expr.kind {
        ExprKind::Builtin(Builtin::Nsecs(Clock::Monotonic)) => {
            return Err(checker.error(
                Diagnostic::error(
                    "argument-range",
                    time.span,
                    "the monotonic clock does not say what time of day it is",
                )
                .help("use nsecs, which counts from boot, or nsecs(tai)"),
            ));
        }
        ExprKind::Builtin(Builtin::Nsecs(clock)) => *clock,
        ExprKind::Builtin(Builtin::SwTai) => Clock::Tai,
        _ => Clock::Boot,
    };
    let operand = cast(value.expr, &Type::U64);
    let kind = ExprKind::Call(Box::new(Call::Strftime(operand)));
    Ok(Value::new(kind, Type::Timestamp { format, clock }, call.span))
}

/// `pid(namespace)`, `tid(namespace)`: an id in the PID namespace of rbtrace or in the first one.
fn id(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let name = call.name.name.as_str();
    let value = super::super::builtins::find(checker, name, call.span).ok_or(Stop::Reported)??;
    let Some(arg) = call.args.first() else { return Ok(value) };
    let word = match &arg.kind {
        Ast::Ident(word) => word.as_str(),
        _ => "",
    };
    let builtin = match (word, name) {
        ("curr_ns", _) => return Ok(value),
        ("init", "pid") => Builtin::InitPid,
        ("init", _) => Builtin::InitTid,
        _ => {
            return Err(checker.error(
                Diagnostic::error(
                    "argument-type",
                    arg.span,
                    format!("{name}() takes the name of a namespace"),
                )
                .label("expected init or curr_ns"),
            ));
        }
    };
    Ok(Value::new(ExprKind::Builtin(builtin), Type::U32, call.span))
}
