//! Addresses of kernel and user variables, and ids of things that have names outside the script.

use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Target, UserFunction};

use crate::ast::BinaryOp;
use crate::diag::Diagnostic;
use crate::hir::{Builtin, Call, Expr, ExprKind, Int, Space, Type};

use super::super::convert::{cast, constant};
use super::super::place::Place;
use super::super::{Checker, Stop, Typed, Value};
use super::process::helper_call;
use super::{CallSite, Function};

pub(super) const TABLE: &[Function] = &[
    Function::new("percpu_kaddr", 1, 2, "percpu_kaddr(\"symbol\"[, cpu])", percpu_kaddr),
    Function::one("uaddr", "uaddr(\"symbol\")", uaddr).only(Place::IN_PROGRAMS),
    Function::one("cgroupid", "cgroupid(\"path\")", cgroup_id),
    Function::one("socket_cookie", "socket_cookie(socket)", socket_cookie)
        .only(Place::ON_TRAMPOLINES)
        .needing(&helpers::GET_SOCKET_COOKIE),
];

/// Where the kernel keeps what is to be added to the address of a variable for each CPU.
const OFFSETS: &str = "__per_cpu_offset";
/// Most probes of a block for which `uaddr` tells where each was placed.
const MOST_PLACES: usize = 64;

/// Address of a variable that each CPU has its own of.
fn percpu_kaddr(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    let name = checker.literal_text("percpu_kaddr", arg)?;
    let cpu = match call.args.get(1) {
        Some(cpu) => checker.uint64(cpu, "percpu_kaddr")?,
        None => {
            let cpu = ExprKind::Builtin(Builtin::Cpu);
            cast(Value::new(cpu, Type::U32, call.span).expr, &Type::U64)
        }
    };
    let catalog = checker.cx.catalog;
    let (variable, offsets) = (catalog.kernel_symbol(&name), catalog.kernel_symbol(OFFSETS));
    let (Some(variable), Some(offsets)) = (variable, offsets) else {
        let missing = if variable.is_none() { name.as_str() } else { OFFSETS };
        return Err(checker.error(
            Diagnostic::error(
                "unknown-symbol",
                arg.span,
                format!("there is no kernel symbol `{missing}`"),
            )
            .note("symbols are read from /proc/kallsyms, which shows addresses to root only"),
        ));
    };
    let kind = ExprKind::Call(Box::new(Call::PerCpuAddress { offsets, variable, cpu }));
    let address = Value::new(kind, Type::U64, call.span);
    let ty = Type::Ptr { to: Box::new(Type::U64), space: Space::Kernel };
    Ok(Value::from(cast(address.expr, &ty)))
}

/// Address of a variable of the program or library that the probe is in.
fn uaddr(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    let name = checker.literal_text("uaddr", arg)?;
    let places: Vec<(u32, UserFunction)> = checker.user_places();
    let Some((_, first)) = places.first() else { return Err(Stop::Reported) };
    let binary = first.binary.clone();
    if places.len() > MOST_PLACES || places.iter().any(|(_, p)| p.binary != binary) {
        return Err(checker.unsupported(call.span, "uaddr() in probes of several files"));
    }
    let catalog = checker.cx.catalog;
    let Some(symbol) = catalog.user_symbol(&binary, &name) else {
        return Err(checker.error(Diagnostic::error(
            "unknown-symbol",
            arg.span,
            format!("there is no symbol `{name}` in {binary}"),
        )));
    };
    let size = match symbol.size {
        size @ (1 | 2 | 4) => size as u8,
        _ => 8,
    };
    let to = Box::new(Type::Int(Int { size, signed: false }));
    let mut address = constant(symbol.address as i64, Type::U64, call.span);
    if !symbol.fixed {
        let loaded = load_address(checker, &places, call)?;
        let sum = checker.operate(
            BinaryOp::Add,
            Value::from(loaded),
            Value::new(address.kind, Type::U64, call.span),
            call.span,
        )?;
        address = sum.expr;
    }
    Ok(Value::from(cast(address, &Type::Ptr { to, space: Space::User })))
}

/// Where the file of a probe is in memory: the address of the instruction that was hit, less its
/// place in the file.
fn load_address(
    checker: &mut Checker<'_>,
    places: &[(u32, UserFunction)],
    call: &CallSite<'_>,
) -> Typed<Expr> {
    let span = call.span;
    if checker.at.kind != ProbeKind::Uprobe {
        return Err(checker.unsupported(span, "uaddr() of a shared object but in uprobes"));
    }
    let mut known: Option<Expr> = None;
    for (number, place) in places {
        let start = match &place.symbol {
            Some(symbol) => checker.cx.catalog.user_symbol(&place.binary, symbol),
            None => Some(crate::catalog::UserSymbol::default()),
        };
        let Some(start) = start else { return Err(Stop::Reported) };
        let address = start.address.wrapping_add(place.offset);
        let here = constant(address as i64, Type::U64, span);
        known = Some(match known {
            None => here,
            Some(before) => {
                let is = Expr { kind: ExprKind::ProbeIs(vec![*number]), ty: Type::Bool, span };
                let kind = ExprKind::Ternary {
                    cond: Box::new(is),
                    then: Box::new(here),
                    otherwise: Box::new(before),
                };
                Expr { kind, ty: Type::U64, span }
            }
        });
    }
    let Some(in_file) = known else { return Err(Stop::Reported) };
    let hit = ExprKind::Builtin(Builtin::InstructionPointer);
    let hit = Value::new(hit, Type::U64, span);
    Ok(checker.operate(BinaryOp::Sub, hit, Value::from(in_file), span)?.expr)
}

impl Checker<'_> {
    /// The user functions that the block's probes are on, with the numbers of the probes.
    fn user_places(&self) -> Vec<(u32, UserFunction)> {
        let places = self.at.probes.iter().filter_map(|(number, probe)| match &probe.target {
            Target::Uprobe(f) | Target::Uretprobe(f) => Some((*number, f.clone())),
            _ => None,
        });
        places.collect()
    }
}

/// The id of a cgroup.
fn cgroup_id(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    let path = checker.literal_text("cgroupid", arg)?;
    match checker.cx.catalog.cgroup_id(&path) {
        Some(id) => Ok(Value::from(constant(id as i64, Type::U64, call.span))),
        None => Err(checker.error(
            Diagnostic::error("unknown-cgroup", arg.span, format!("`{path}` is no cgroup")).note(
                "only cgroups of version 2 have ids; findmnt -t cgroup2 shows where they are",
            ),
        )),
    }
}

/// A number that the kernel gives a socket for its whole life.
fn socket_cookie(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    let value = checker.value(arg)?;
    let Type::Ptr { .. } = value.expr.ty else {
        let expected = "a pointer to a struct sock";
        return Err(checker.wrong_argument("socket_cookie", &value.expr, expected));
    };
    Ok(helper_call(&helpers::GET_SOCKET_COOKIE, vec![value.expr], call))
}
