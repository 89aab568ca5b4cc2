//! Operators and conversions between scalars.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::hir::{BinaryOp, Expr, ExprKind, Int, Type, UnaryOp};

use super::func::FnBuilder;
use crate::error::Error;

/// The condition that a comparison tests; `None` for other operators.
pub(super) fn condition_code(op: BinaryOp, signed: bool) -> Option<IntCC> {
    Some(match (op, signed) {
        (BinaryOp::Eq, _) => IntCC::Equal,
        (BinaryOp::Ne, _) => IntCC::NotEqual,
        (BinaryOp::Lt, true) => IntCC::SignedLessThan,
        (BinaryOp::Lt, false) => IntCC::UnsignedLessThan,
        (BinaryOp::Le, true) => IntCC::SignedLessThanOrEqual,
        (BinaryOp::Le, false) => IntCC::UnsignedLessThanOrEqual,
        (BinaryOp::Gt, true) => IntCC::SignedGreaterThan,
        (BinaryOp::Gt, false) => IntCC::UnsignedGreaterThan,
        (BinaryOp::Ge, true) => IntCC::SignedGreaterThanOrEqual,
        (BinaryOp::Ge, false) => IntCC::UnsignedGreaterThanOrEqual,
        _ => return None,
    })
}

impl FnBuilder<'_, '_, '_> {
    /// Cuts a value to an integer's width and extends it again.
    pub(super) fn fit(&mut self, value: Value, int: Int) -> Value {
        let narrow = match int.size {
            1 => I8,
            2 => I16,
            4 => I32,
            _ => return value,
        };
        let cut = self.b.ins().ireduce(narrow, value);
        if int.signed { self.b.ins().sextend(I64, cut) } else { self.b.ins().uextend(I64, cut) }
    }

    pub(super) fn unary(&mut self, op: UnaryOp, operand: &Expr, ty: &Type) -> Result<Value, Error> {
        if op == UnaryOp::Not {
            let value = self.condition(operand)?;
            let not = self.b.ins().icmp_imm_s(IntCC::Equal, value, 0);
            return Ok(self.b.ins().uextend(I64, not));
        }
        let value = self.scalar(operand)?;
        let result = match op {
            UnaryOp::Neg => self.b.ins().ineg(value),
            _ => self.b.ins().bnot(value),
        };
        let int = self.int_of(ty)?;
        Ok(self.fit(result, int))
    }

    pub(super) fn binary(
        &mut self,
        op: BinaryOp,
        left: &Expr,
        right: &Expr,
        ty: &Type,
    ) -> Result<Value, Error> {
        let int = self.int_of(&left.ty)?;
        let result = self.int_of(ty)?;
        if op.is_comparison() {
            let l = self.forgetting(true, |f| f.compared(left))?;
            let r = self.forgetting(true, |f| f.compared(right))?;
            let is = self.apply(op, l, r, int, result)?;
            return Ok(self.settled(is));
        }
        let l = self.scalar(left)?;
        let r = self.right_operand(op, right)?;
        let value = self.apply(op, l, r, int, result)?;
        Ok(self.divided(op, right, r, value))
    }

    /// The right operand of an operator.
    pub(super) fn right_operand(&mut self, op: BinaryOp, right: &Expr) -> Result<Value, Error> {
        match (op, &right.kind) {
            // The optimizer would turn a constant divisor into a long multiplication.
            (BinaryOp::Div | BinaryOp::Rem, ExprKind::Int(n)) if !is_power_of_two(*n) => {
                Ok(self.opaque(*n))
            }
            _ => self.scalar(right),
        }
    }

    /// `value`, or 1 if it comes from a division by `right`, which has turned out to be 0: so
    /// bpftrace has it.
    pub(super) fn divided(&mut self, op: BinaryOp, right: &Expr, r: Value, value: Value) -> Value {
        let divides = matches!(op, BinaryOp::Div | BinaryOp::Rem);
        if !divides || matches!(right.kind, ExprKind::Int(_)) {
            return value;
        }
        let by_zero = self.b.ins().icmp_imm_s(IntCC::Equal, r, 0);
        let one = self.iconst(1);
        self.b.ins().select(by_zero, one, value)
    }

    /// Applies an operator to two operands of type `int`; the result fits `result`.
    pub(super) fn apply(
        &mut self,
        op: BinaryOp,
        l: Value,
        r: Value,
        int: Int,
        result: Int,
    ) -> Result<Value, Error> {
        if let Some(code) = condition_code(op, int.signed) {
            let is = self.b.ins().icmp(code, l, r);
            return Ok(self.b.ins().uextend(I64, is));
        }
        let ins = self.b.ins();
        let value = match op {
            BinaryOp::Add => ins.iadd(l, r),
            BinaryOp::Sub => ins.isub(l, r),
            BinaryOp::Mul => ins.imul(l, r),
            BinaryOp::Div if int.signed => ins.sdiv(l, r),
            BinaryOp::Div => ins.udiv(l, r),
            BinaryOp::Rem if int.signed => ins.srem(l, r),
            BinaryOp::Rem => ins.urem(l, r),
            BinaryOp::BitAnd => return Ok(ins.band(l, r)),
            BinaryOp::BitOr => return Ok(ins.bor(l, r)),
            BinaryOp::BitXor => return Ok(ins.bxor(l, r)),
            BinaryOp::Shl => ins.ishl(l, r),
            // Zeros come in from the left for signed numbers too, as in bpftrace.
            BinaryOp::Shr => ins.ushr(l, r),
            _ => return Err(self.bug("a logical operator where both operands are evaluated")),
        };
        Ok(self.fit(value, result))
    }

    /// Converts between scalars.
    pub(super) fn cast(&mut self, operand: &Expr, to: &Type) -> Result<Value, Error> {
        if *to == Type::Bool {
            if operand.ty == Type::Bool {
                return self.scalar(operand);
            }
            let value = self.scalar(operand)?;
            let is = self.b.ins().icmp_imm_s(IntCC::NotEqual, value, 0);
            return Ok(self.b.ins().uextend(I64, is));
        }
        if !operand.ty.is_scalar() {
            let place = self.memory_of(operand)?;
            return self.load_typed(place, to);
        }
        let from = self.int_of(&operand.ty)?;
        let value = self.scalar(operand)?;
        let int = self.int_of(to)?;
        // Widening keeps the value, which is extended by its own type already.
        let keeps =
            int.size == 8 || (int.size > from.size && (int.signed || !from.signed)) || int == from;
        Ok(if keeps { value } else { self.fit(value, int) })
    }
}

fn is_power_of_two(n: i64) -> bool {
    n > 0 && (n as u64).is_power_of_two()
}
