//! The table of builtins: names without arguments. Each row says where the builtin makes sense
//! and what it becomes.

use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::kinds::{Context, KindSpec, ProbeKind, argument_offset};
use rbtrace_probes_ebpf::plan::Target;
use rbtrace_probes_ebpf::profile::Arch;
use rbtrace_probes_ebpf::types::Clock;

use crate::ast::BinaryOp;
use crate::catalog::Convention;
use crate::diag::Diagnostic;
use crate::hir::{self, Call, ExprKind, Int, Space, Type};
use crate::reference::{Docs, docs};
use crate::span::Span;

use super::convert::{boolean, cast, constant, text};
use super::functions::stack::Walk;
use super::place::Place;
use super::{Checker, Typed, Value};

/// A builtin.
pub(crate) struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// Which probes have it.
    pub place: Place,
    /// What it is.
    make: fn(&mut Checker<'_>, Span) -> Typed,
}

/// What the reference says of the builtins: a section `## NAME` for each that is no function, too.
pub(crate) const DOCS: Docs = docs!("src/check", "builtins.md");

/// How the reference calls the arguments by number.
pub(crate) const ARGUMENTS: (&str, Place) = ("argN", Place::WITH_ARGUMENTS);

/// Most arguments that `argN` reaches.
const MOST_ARGS: u32 = 10;

/// Bits of the code segment register that are the privilege level, and its value in user mode
/// (x86-64).
const USER_MODE: i64 = 3;
/// Offset of `cs` in `struct pt_regs` of x86-64.
const CS_OFFSET: u32 = 136;

/// A builtin that is one of the program's.
macro_rules! plain {
    ($name:literal, $place:ident, $builtin:expr, $ty:expr) => {
        Builtin {
            name: $name,
            place: Place::$place,
            make: |_, span| Ok(Value::new(ExprKind::Builtin($builtin), $ty, span)),
        }
    };
}

pub(crate) const TABLE: &[Builtin] = &[
    plain!("pid", WITH_TASK, hir::Builtin::Pid, Type::U32),
    plain!("tid", WITH_TASK, hir::Builtin::Tid, Type::U32),
    plain!("uid", WITH_TASK, hir::Builtin::Uid, Type::U64),
    plain!("gid", WITH_TASK, hir::Builtin::Gid, Type::U64),
    plain!("username", WITH_TASK, hir::Builtin::Username, Type::Username),
    plain!("comm", WITH_TASK, hir::Builtin::Comm, Type::Str { size: 16 }),
    plain!("nsecs", ANYWHERE, hir::Builtin::Nsecs(Clock::Boot), Type::U64),
    plain!("jiffies", ANYWHERE, hir::Builtin::Jiffies, Type::U64),
    plain!("numaid", ANYWHERE, hir::Builtin::NumaNode, Type::U32),
    plain!("elapsed", ANYWHERE, hir::Builtin::Elapsed, Type::U64),
    plain!("cpu", ANYWHERE, hir::Builtin::Cpu, Type::U32),
    plain!("ncpus", ANYWHERE, hir::Builtin::Ncpus, Type::U64),
    plain!("cgroup", WITH_TASK, hir::Builtin::Cgroup, Type::U64),
    plain!("rand", ANYWHERE, hir::Builtin::Rand, Type::U32),
    Builtin { name: "retval", place: Place::WITH_RESULT, make: result },
    plain!("probe", ANYWHERE, hir::Builtin::Probe, Type::Probe),
    plain!("func", ON_FUNCTIONS, hir::Builtin::Func, Type::Func),
    Builtin {
        name: "probetype",
        place: Place::ANYWHERE,
        make: |cx, span| {
            let spec = cx.at.spec();
            let name = match spec.kind {
                ProbeKind::Begin | ProbeKind::End => "special",
                _ => spec.name,
            };
            Ok(text(name.into(), span))
        },
    },
    Builtin {
        name: "curtask",
        place: Place::WITH_TASK,
        make: |cx, span| {
            let task = Value::new(ExprKind::Builtin(hir::Builtin::Curtask), Type::U64, span);
            let to = Box::new(cx.kernel_struct("task_struct"));
            let ty = Type::Ptr { to, space: Space::Kernel };
            Ok(Value::from(cast(task.expr, &ty)))
        },
    },
    Builtin {
        name: "ctx",
        place: Place::WITH_CONTEXT,
        make: |cx, span| {
            if cx.at.kind == ProbeKind::Iter {
                return cx.function_args(span);
            }
            let ty = Type::Ptr { to: Box::new(Type::Void), space: Space::Own };
            Ok(Value::new(ExprKind::Builtin(hir::Builtin::Context), ty, span))
        },
    },
    Builtin {
        name: "config",
        place: Place::ANYWHERE,
        make: |cx, span| Ok(Value::record(cx.config_members(span), span)),
    },
    Builtin { name: "args", place: Place::WITH_NAMED_ARGUMENTS, make: |cx, span| cx.args(span) },
    Builtin {
        name: "cpid",
        place: Place::ANYWHERE,
        make: |cx, span| {
            if let Some(pid) = cx.cx.catalog.cpid() {
                return Ok(Value::from(constant(i64::from(pid), Type::U32, span)));
            }
            cx.warn(
                Diagnostic::warning("no-command", span, "there is no command, so cpid is 0")
                    .help("start one with -c"),
            );
            Ok(Value::from(constant(0, Type::U32, span)))
        },
    },
    Builtin {
        name: "has_cpid",
        place: Place::ANYWHERE,
        make: |cx, span| Ok(boolean(cx.cx.catalog.cpid().is_some(), span)),
    },
    Builtin { name: "usermode", place: Place::ANYWHERE, make: user_mode },
    Builtin {
        name: "kstack",
        place: Place::IN_TASK,
        make: |cx, span| cx.stack(Walk::Kernel, &[], span),
    },
    Builtin {
        name: "ustack",
        place: Place::IN_TASK,
        make: |cx, span| cx.stack(Walk::FramePointers, &[], span),
    },
    Builtin {
        name: "dw_ustack",
        place: Place::IN_TASK,
        make: |cx, span| {
            cx.needs(&helpers::LOOP, "dw_ustack", span)?;
            cx.stack(Walk::UnwindData, &[], span)
        },
    },
];

/// What a name stands for, if it is a builtin.
pub(super) fn find(checker: &mut Checker<'_>, name: &str, span: Span) -> Option<Typed> {
    // What bpftrace calls the builtins under its own macros.
    let name = name.strip_prefix("__builtin_").unwrap_or(name);
    if let Some(number) = argument_number(name) {
        return Some(argument(checker, number, span));
    }
    let builtin = TABLE.iter().find(|b| b.name == name)?;
    let spec = checker.at.spec();
    Some(match (builtin.place.holds(spec), name) {
        (false, "retval") => Err(checker.error(no_retval(spec, span))),
        // What `args` is says better why there are none.
        (true, _) | (false, "args") => (builtin.make)(checker, span),
        (false, _) => Err(checker.error(builtin.place.error(name, spec, span))),
    })
}

/// Whether there is a builtin of this name.
pub(crate) fn exists(name: &str) -> bool {
    let name = name.strip_prefix("__builtin_").unwrap_or(name);
    argument_number(name).is_some() || TABLE.iter().any(|b| b.name == name)
}

/// The names of all builtins.
pub(super) fn names<'a>() -> impl Iterator<Item = &'a str> {
    TABLE.iter().map(|b| b.name).chain(["arg0", "arg1", "arg2", "arg3"])
}

/// The function that a target is on, as `func` prints it.
pub(super) fn function_of(target: &Target) -> Option<&str> {
    match target {
        Target::Kprobe(f) | Target::Kretprobe(f) => Some(&f.function),
        Target::Fentry(f) | Target::Fexit(f) => Some(&f.function),
        Target::ProgramEntry(f) | Target::ProgramExit(f) => Some(&f.function),
        Target::Lsm { hook } => Some(hook),
        Target::Uprobe(f) | Target::Uretprobe(f) => f.symbol.as_deref(),
        _ => None,
    }
}

/// The N of `argN`.
pub(crate) fn argument_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("arg")?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn argument(checker: &mut Checker<'_>, number: u32, span: Span) -> Typed {
    let spec = checker.at.spec();
    if !spec.has_args {
        let error = Diagnostic::error(
            "builtin-not-here",
            span,
            format!("`{}` probes have no arg{number}", spec.name),
        );
        let error = match (spec.context, spec.has_retval) {
            (Context::TracepointRecord, _) => error.help("its fields are args.NAME"),
            (Context::Objects, _) => error.help("what it has come to is ctx.NAME"),
            (_, true) => error.help("keep it in a map when the function is entered"),
            _ => error,
        };
        return Err(checker.error(error));
    }
    if spec.kind == ProbeKind::Usdt {
        return checker.usdt_argument(number, span);
    }
    if checker.at.convention == Convention::Go && number < MOST_ARGS {
        return Ok(Value::from(checker.go_argument(number, span)));
    }
    if number >= MOST_ARGS {
        return Err(checker.error(
            Diagnostic::error("builtin-not-here", span, format!("there is no arg{number}"))
                .label(format!("arg0 to arg{} are within reach", MOST_ARGS - 1)),
        ));
    }
    let arch = checker.cx.profile.arch;
    let in_registers = (0..MOST_ARGS).take_while(|n| argument_offset(arch, *n).is_some()).count();
    let builtin = match number.checked_sub(in_registers as u32) {
        // The kernel has put them in a row.
        _ if spec.context == Context::Arguments => hir::Builtin::Arg(number),
        None => hir::Builtin::Arg(number),
        Some(on_stack) => hir::Builtin::StackArg(on_stack),
    };
    Ok(Value::new(ExprKind::Builtin(builtin), Type::U64, span))
}

fn no_retval(spec: &KindSpec, span: Span) -> Diagnostic {
    let error = Diagnostic::error(
        "builtin-not-here",
        span,
        format!("`{}` probes have no retval", spec.name),
    );
    match (spec.context, spec.has_args) {
        (Context::TracepointRecord, _) => error.help("the result of a system call is args.ret"),
        (_, true) => error.help(format!(
            "use a {} probe",
            if spec.name == "kprobe" { "kretprobe" } else { "uretprobe" }
        )),
        _ => error,
    }
}

/// What a function returned.
fn result(checker: &mut Checker<'_>, span: Span) -> Typed {
    let target = checker.at.probes.first().map(|(_, probe)| &probe.target);
    let (function, found, source) = match target {
        Some(Target::Fexit(f)) => {
            let found = checker.cx.types.kernel_function(f.module.as_deref(), &f.function);
            (f.function.clone(), found, "the kernel's types, /sys/kernel/btf")
        }
        Some(Target::ProgramExit(f)) => {
            let found = checker.cx.types.program_function(f);
            (f.function.clone(), found, "the types that the program was loaded with")
        }
        _ => return Ok(Value::new(ExprKind::Builtin(hir::Builtin::Retval), Type::U64, span)),
    };
    match found {
        Some(signature) => checker.function_result(&signature, span),
        None => Err(checker.error(
            Diagnostic::error("no-format", span, format!("the type of {function} is not known"))
                .note(format!("it is read from {source}")),
        )),
    }
}

/// Whether the processor was in user mode: 1 or 0.
fn user_mode(checker: &mut Checker<'_>, span: Span) -> Typed {
    let byte = Type::Int(Int { size: 1, signed: false });
    let spec = checker.at.spec();
    if !matches!(spec.context, Context::Registers | Context::PerfEvent) {
        // Probes of user space's own run in user mode; the others are hit by the kernel.
        let user = matches!(spec.kind, ProbeKind::Begin | ProbeKind::End);
        return Ok(Value::from(constant(i64::from(user), byte, span)));
    }
    if checker.cx.profile.arch != Arch::X86_64 {
        return Err(checker.error(Diagnostic::error(
            "builtin-not-here",
            span,
            "usermode is known on x86-64 only",
        )));
    }
    let register = ExprKind::Call(Box::new(Call::Register { offset: CS_OFFSET }));
    let segment = Value::new(register, Type::U64, span);
    let mask = Value::from(constant(USER_MODE, Type::U64, span));
    let level = checker.operate(BinaryOp::BitAnd, segment, mask.clone(), span)?;
    let is_user = checker.operate(BinaryOp::Eq, level, mask, span)?;
    Ok(Value::from(cast(is_user.expr, &byte)))
}
