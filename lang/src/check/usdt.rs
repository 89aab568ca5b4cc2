//! Arguments of USDT probes: where they are differs from place to place of a probe.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Target, UsdtProbe};
use rbtrace_probes_ebpf::usdt::{self, Argument, Extend, Memory, Place};

use crate::ast::{self, BinaryOp};
use crate::diag::Diagnostic;
use crate::hir::{Call, Expr, ExprKind, Int, Space, Type};
use crate::resolve::{Attachment, Block, Context};
use crate::span::Span;

use super::convert::{cast, constant};
use super::{Checker, Typed, Value, builtins, instance};

/// Makes an attach point of each set of arguments that the places of a USDT probe have, in blocks
/// that read any.
pub(super) fn split(block: &mut Block, cx: &Context<'_>) {
    let is_usdt = |point: &Attachment| point.kind == ProbeKind::Usdt;
    if !block.points.iter().any(is_usdt) || !reads_arguments(&mut block.probe) {
        return;
    }
    let points = std::mem::take(&mut block.points);
    block.points = points.into_iter().flat_map(|point| by_arguments(point, cx)).collect();
}

fn reads_arguments(probe: &mut ast::Probe) -> bool {
    instance::mentions(probe, |name| builtins::argument_number(name).is_some())
}

fn by_arguments(point: Attachment, cx: &Context<'_>) -> Vec<Attachment> {
    let Target::Usdt(wanted) = &point.probe.target else { return vec![point] };
    let all = cx.catalog.usdt_probes(&wanted.binary).unwrap_or_default();
    let known = all.into_iter().find(|p| p.provider == wanted.provider && p.name == wanted.name);
    let each = known.map(|probe| probe.arguments).unwrap_or_default().into_iter().enumerate();
    let points: Vec<Attachment> = each
        .map(|(index, arguments)| {
            let mut point = point.clone();
            let arguments = Some(arguments);
            let probe = UsdtProbe { arguments, continues: index > 0, ..wanted.clone() };
            point.probe.target = Target::Usdt(probe);
            point
        })
        .collect();
    if points.is_empty() { vec![point] } else { points }
}

/// Whether two targets can share a program: what it reads is at the same places.
pub(super) fn agree(one: &Target, other: &Target) -> bool {
    match (one, other) {
        (Target::Usdt(one), Target::Usdt(other)) => one.arguments == other.arguments,
        _ => true,
    }
}

const NATIVE: Int = Int { size: 8, signed: false };

impl Checker<'_> {
    /// `argN` in a USDT probe: 64 bits, extended from the argument's own size.
    pub fn usdt_argument(&mut self, number: u32, span: Span) -> Typed {
        let (name, arguments) = match self.at.probes.first() {
            Some((_, probe)) => match &probe.target {
                Target::Usdt(target) => (probe.name.clone(), target.arguments.clone()),
                _ => (probe.name.clone(), None),
            },
            None => Default::default(),
        };
        let arguments = arguments.unwrap_or_default();
        let all = usdt::split(&arguments);
        let Some(text) = all.get(number as usize) else {
            let message = match all.len() {
                0 => format!("{name} has no arguments, so arg{number} is 0"),
                1 => format!("{name} has one argument, so arg{number} is 0"),
                n => format!("{name} has {n} arguments, so arg{number} is 0"),
            };
            self.warn(Diagnostic::warning("usdt-argument", span, message));
            return Ok(Value::from(constant(0, Type::U64, span)));
        };
        match usdt::parse(text, self.cx.profile.arch) {
            Ok(argument) => self.place(&argument, span),
            Err(error) => Err(self.error(
                Diagnostic::error("usdt-argument", span, format!("arg{number} cannot be read"))
                    .note(format!("{name} describes it as {error}")),
            )),
        }
    }

    fn place(&mut self, argument: &Argument, span: Span) -> Typed {
        let ty = Type::Int(Int { size: argument.size, signed: argument.signed });
        let value = match &argument.place {
            Place::Constant(value) => constant(*value, Type::I64, span),
            Place::Register { offset, shift } => {
                let register = register(*offset, NATIVE, span);
                let shift = i64::from(*shift);
                self.combine(BinaryOp::Shr, register, shift, 0, span)?
            }
            Place::Memory(memory) => {
                let address = self.argument_address(memory, span)?;
                let pointer = Type::Ptr { to: Box::new(ty.clone()), space: Space::User };
                let address = Box::new(cast(address, &pointer));
                Expr { kind: ExprKind::Load(address), ty: ty.clone(), span }
            }
        };
        Ok(Value::from(cast(cast(value, &ty), &Type::U64)))
    }

    /// The sum of the parts of an address.
    fn argument_address(&mut self, memory: &Memory, span: Span) -> Typed<Expr> {
        if let Some(symbol) = &memory.symbol {
            return Err(self.error(Diagnostic::error(
                "usdt-argument",
                span,
                format!("the argument is at the symbol `{symbol}`, which the file does not have"),
            )));
        }
        let base = match memory.base {
            Some(offset) => register(offset, NATIVE, span),
            None => constant(0, Type::U64, span),
        };
        let moved = self.combine(BinaryOp::Add, base, memory.displacement, 0, span)?;
        let Some(index) = memory.index else { return Ok(moved) };
        let part = match index.extend {
            Extend::Whole => NATIVE,
            Extend::Unsigned32 => Int { size: 4, signed: false },
            Extend::Signed32 => Int { size: 4, signed: true },
        };
        let scaled = register(index.register, part, span);
        let scaled = self.combine(BinaryOp::Mul, scaled, i64::from(index.scale), 1, span)?;
        let sum = self.operate(BinaryOp::Add, Value::from(moved), Value::from(scaled), span)?;
        Ok(sum.expr)
    }

    /// `expr OP operand`, unless `operand` is neutral.
    fn combine(
        &mut self,
        op: BinaryOp,
        expr: Expr,
        operand: i64,
        neutral: i64,
        span: Span,
    ) -> Typed<Expr> {
        if operand == neutral {
            return Ok(expr);
        }
        let operand = Value::from(constant(operand, Type::U64, span));
        Ok(self.operate(op, Value::from(expr), operand, span)?.expr)
    }
}

/// A register, or a part of it, extended to 64 bits.
fn register(offset: u32, part: Int, span: Span) -> Expr {
    let kind = ExprKind::Call(Box::new(Call::Register { offset }));
    let whole = Expr { kind, ty: Type::U64, span };
    cast(cast(whole, &Type::Int(part)), &Type::U64)
}
