//! Operators.
//!
//! Arithmetic is done in 64 bits: signed if one of the operands is, and always for `-`.
//! Comparisons are done in the smallest type that holds both.

use crate::ast::{self, BinaryOp, UnaryOp};
use crate::diag::Diagnostic;
use crate::hir::{self, ExprKind, Int, Type};
use crate::span::Span;

use super::convert::{boolean, cast, constant, not};
use super::expr::is_storable;
use super::types::{Flex, Ty, promote, size_of};
use super::{Checker, Stop, Typed, Value};

impl Checker<'_> {
    /// `op operand`
    pub fn unary(&mut self, op: UnaryOp, operand: &ast::Expr, span: Span) -> Typed {
        if op == UnaryOp::AddressOf {
            return self.address_of(operand, span);
        }
        let value = self.value(operand)?;
        match op {
            UnaryOp::Not => {
                let literal = value.literal;
                let mut expr = not(self.truth(value)?);
                expr.span = span;
                Ok(Value { literal, ..Value::from(expr) })
            }
            UnaryOp::Deref => self.deref(value, span),
            UnaryOp::Neg | UnaryOp::BitNot => {
                let int = match value.expr.ty {
                    Type::Int(int) => int,
                    Type::Enum(_) => Int::U64,
                    _ => return Err(self.bad_operand(op.symbol(), &value.expr, "a number")),
                };
                let value = Value { expr: cast(value.expr, &Type::Int(int)), ..value };
                // Unsigned in the operand's own width; the result is of 64 bits.
                let operand = if int.signed { self.widen(value)? } else { value.expr };
                let ty = operand.ty.clone();
                let op = if op == UnaryOp::Neg { hir::UnaryOp::Neg } else { hir::UnaryOp::BitNot };
                let kind = ExprKind::Unary { op, operand: Box::new(operand) };
                Ok(Value::from(self.widen(Value::new(kind, ty, span))?))
            }
            UnaryOp::AddressOf => Err(Stop::Reported),
        }
    }

    fn bad_operand(&mut self, symbol: &str, operand: &hir::Expr, expected: &str) -> Stop {
        let found = self.show(&operand.ty);
        self.error(
            Diagnostic::error(
                "bad-operand",
                operand.span,
                format!("{symbol} cannot be applied to this"),
            )
            .label(format!("expected {expected}, found {found}")),
        )
    }

    /// `left op right`
    pub fn binary(
        &mut self,
        op: BinaryOp,
        left: &ast::Expr,
        right: &ast::Expr,
        span: Span,
    ) -> Typed {
        if let BinaryOp::And | BinaryOp::Or = op {
            return self.logic(op == BinaryOp::And, left, right, span);
        }
        let (left, right) = (self.value(left), self.value(right));
        self.operate(op, left?, right?, span)
    }

    fn logic(&mut self, and: bool, left: &ast::Expr, right: &ast::Expr, span: Span) -> Typed {
        let left = self.value(left).and_then(|value| self.truth(value));
        let right = self.value(right).and_then(|value| self.truth(value));
        Ok(logic(and, left?, right?, span))
    }

    /// An operator other than `&&` and `||` on two typed operands.
    pub fn operate(&mut self, op: BinaryOp, left: Value, right: Value, span: Span) -> Typed {
        use Type::{Bool, Enum, Int as I, Ptr};
        match (&left.expr.ty, &right.expr.ty) {
            (Ptr { .. }, _) | (_, Ptr { .. }) => self.pointers(op, left, right, span),
            (Bool, Bool) => self.booleans(op, left, right, span),
            (I(_) | Bool | Enum(_), I(_) | Bool | Enum(_)) => self.integers(op, left, right, span),
            _ if matches!(op, BinaryOp::Eq | BinaryOp::Ne) => {
                self.memory(op == BinaryOp::Ne, left, right, span)
            }
            _ => Err(self.bad_operands(op, &left, &right, span)),
        }
    }

    fn bad_operands(&mut self, op: BinaryOp, left: &Value, right: &Value, span: Span) -> Stop {
        let (a, b) = (self.show(&left.expr.ty), self.show(&right.expr.ty));
        let symbol = op.symbol();
        let message = if op.is_comparison() && a != b {
            format!("{symbol} cannot compare values of different types")
        } else {
            format!("{symbol} cannot be applied to these")
        };
        self.error(
            Diagnostic::error("bad-operand", span, message)
                .also(left.expr.span, a)
                .also(right.expr.span, b),
        )
    }

    fn integers(&mut self, op: BinaryOp, left: Value, right: Value, span: Span) -> Typed {
        let (a, b) = (int_of(&left), int_of(&right));
        let Some(joined) = promote(&a, &b) else { return Err(Stop::Reported) };
        if op.is_comparison() {
            let ty = joined.ty;
            if let (true, true, ExprKind::Int(x), ExprKind::Int(y)) =
                (left.literal, right.literal, &left.expr.kind, &right.expr.kind)
            {
                let wide =
                    |n: i64| if ty == Type::U64 { i128::from(n as u64) } else { i128::from(n) };
                let known = super::fold::compare(op, &wide(*x), &wide(*y));
                return known.map(|known| boolean(known, span)).ok_or(Stop::Reported);
            }
            let (left, right) = (cast(left.expr, &ty), cast(right.expr, &ty));
            return Ok(binary(op, left, right, Type::Bool, span));
        }
        let signed = |ty: &Ty, other: &Ty| match (&ty.ty, &ty.flex, &other.ty, &other.flex) {
            // A literal takes the sign of the other operand, unless that is one too.
            (_, Flex::Sign, Type::Int(other), flex) if *flex != Flex::Sign => other.signed,
            (Type::Int(int), ..) => int.signed,
            _ => false,
        };
        let result = if op == BinaryOp::Sub || signed(&a, &b) || signed(&b, &a) {
            Type::I64
        } else {
            Type::U64
        };
        let left = cast(left.expr, &result);
        let right = match op {
            BinaryOp::Shl | BinaryOp::Shr => cast(right.expr, &Type::U64),
            _ => cast(right.expr, &result),
        };
        if let (BinaryOp::Div | BinaryOp::Rem, ExprKind::Int(0)) = (op, &right.kind) {
            return Err(self.error(Diagnostic::error(
                "division-by-zero",
                right.span,
                "the divisor is 0",
            )));
        }
        Ok(binary(op, left, right, result, span))
    }

    /// Two truth values: compared as they are; arithmetic yields a truth value again.
    fn booleans(&mut self, op: BinaryOp, left: Value, right: Value, span: Span) -> Typed {
        let byte = Type::Int(Int { size: 1, signed: false });
        if op.is_comparison() {
            let (left, right) = (cast(left.expr, &byte), cast(right.expr, &byte));
            return Ok(binary(op, left, right, Type::Bool, span));
        }
        let (left, right) = (cast(left.expr, &Type::U64), cast(right.expr, &Type::U64));
        let number = binary(op, left, right, Type::U64, span);
        Ok(Value::from(cast(number.expr, &Type::Bool)))
    }

    fn pointers(&mut self, op: BinaryOp, left: Value, right: Value, span: Span) -> Typed {
        use Type::{Bool, Int as I, Ptr};
        match (&left.expr.ty, &right.expr.ty) {
            (Ptr { .. } | I(_) | Bool, Ptr { .. } | I(_) | Bool) if op.is_comparison() => {
                let (left, right) = (cast(left.expr, &Type::U64), cast(right.expr, &Type::U64));
                Ok(binary(op, left, right, Type::Bool, span))
            }
            (Ptr { .. }, I(_)) if matches!(op, BinaryOp::Add | BinaryOp::Sub) => {
                Ok(self.offset(op, left, right, span))
            }
            (I(_), Ptr { .. }) if op == BinaryOp::Add => Ok(self.offset(op, right, left, span)),
            _ => Err(self.bad_operands(op, &left, &right, span)),
        }
    }

    /// `pointer ± number`: steps by the size of what the pointer points to.
    pub fn offset(&mut self, op: BinaryOp, pointer: Value, number: Value, span: Span) -> Value {
        let Type::Ptr { to, .. } = &pointer.expr.ty else { return pointer };
        let size = i64::from(size_of(to, &self.program).max(1));
        let ty = pointer.expr.ty.clone();
        let offset = scaled(cast(number.expr, &Type::I64), size);
        binary(op, pointer.expr, offset, ty, span)
    }

    /// `==` and `!=` of what lies in memory.
    fn memory(&mut self, negated: bool, left: Value, right: Value, span: Span) -> Typed {
        if let Some(value) = self.probe_is(negated, &left, &right, span) {
            return value;
        }
        let (left, right) = self.addresses(left, right)?;
        let same = |left: hir::Expr, right: hir::Expr| {
            let kind = ExprKind::Same { negated, left: Box::new(left), right: Box::new(right) };
            Ok(Value::new(kind, Type::Bool, span))
        };
        match (&left.expr.ty, &right.expr.ty) {
            (Type::Str { .. }, Type::Str { .. }) => match (&left.expr.kind, &right.expr.kind) {
                (ExprKind::Str(a), ExprKind::Str(b)) => Ok(boolean((a == b) != negated, span)),
                _ => same(left.expr, right.expr),
            },
            (Type::Tuple(_), Type::Tuple(_)) => {
                let Some(ty) = promote(&left.ty(), &right.ty()) else {
                    return Err(self.bad_operands(BinaryOp::Eq, &left, &right, span));
                };
                match (self.convert(left, &ty.ty), self.convert(right, &ty.ty)) {
                    (Some(left), Some(right)) => same(left, right),
                    _ => Err(Stop::Reported),
                }
            }
            (a, b) if a == b && is_storable(&left.expr) && is_storable(&right.expr) => {
                if a.is_scalar() {
                    let op = if negated { BinaryOp::Ne } else { BinaryOp::Eq };
                    let (left, right) = (cast(left.expr, &Type::U64), cast(right.expr, &Type::U64));
                    return Ok(binary(op, left, right, Type::Bool, span));
                }
                same(left.expr, right.expr)
            }
            _ => {
                let op = if negated { BinaryOp::Ne } else { BinaryOp::Eq };
                Err(self.bad_operands(op, &left, &right, span))
            }
        }
    }

    /// `probe == "..."` and `func == "..."`: which of the block's probes have that name is known
    /// here.
    fn probe_is(
        &mut self,
        negated: bool,
        left: &Value,
        right: &Value,
        span: Span,
    ) -> Option<Typed> {
        let (side, name) = match (&left.expr.kind, &right.expr.kind) {
            (_, ExprKind::Str(name)) => (&left.expr.ty, name),
            (ExprKind::Str(name), _) => (&right.expr.ty, name),
            _ => return None,
        };
        let name = String::from_utf8_lossy(name);
        let is = match side {
            Type::Probe => self.probes_where(|probe| probe.name == name, span),
            Type::Func => self.probes_where(
                |probe| super::builtins::function_of(&probe.target) == Some(&*name),
                span,
            ),
            _ => return None,
        };
        Some(Ok(Value::from(if negated { not(is.expr) } else { is.expr })))
    }

    /// Whether the current probe is one for which `test` holds.
    pub fn probes_where(
        &self,
        test: impl Fn(&rbtrace_probes_ebpf::plan::Probe) -> bool,
        span: Span,
    ) -> Value {
        let all = &self.at.probes;
        let those: Vec<u32> = all.iter().filter(|(_, p)| test(p)).map(|(i, _)| *i).collect();
        if those.is_empty() || those.len() == all.len() {
            return boolean(!those.is_empty(), span);
        }
        Value::new(ExprKind::ProbeIs(those), Type::Bool, span)
    }
}

/// The type that a number takes part in arithmetic with.
fn int_of(value: &Value) -> Ty {
    match value.expr.ty.as_int() {
        Some(int) => Ty { ty: Type::Int(int), flex: value.flex.clone() },
        None => Ty::fixed(Type::I64),
    }
}

/// `number * size`
fn scaled(number: hir::Expr, size: i64) -> hir::Expr {
    let span = number.span;
    match number.kind {
        ExprKind::Int(n) => constant(n.wrapping_mul(size), Type::I64, span),
        _ if size == 1 => number,
        _ => binary(BinaryOp::Mul, number, constant(size, Type::I64, span), Type::I64, span).expr,
    }
}

/// An operator on operands that have been converted.
fn binary(op: BinaryOp, left: hir::Expr, right: hir::Expr, ty: Type, span: Span) -> Value {
    let kind = ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) };
    Value::new(kind, ty, span)
}

/// `left && right` or `left || right` of two truth values.
pub(super) fn logic(and: bool, left: hir::Expr, right: hir::Expr, span: Span) -> Value {
    if let ExprKind::Int(n) = left.kind {
        // The left one decides, or the right one does.
        let decides = (n != 0) != and;
        let literal = decides || matches!(right.kind, ExprKind::Int(_));
        return Value { literal, ..Value::from(if decides { left } else { right }) };
    }
    let kind = ExprKind::Logic { and, left: Box::new(left), right: Box::new(right) };
    Value::new(kind, Type::Bool, span)
}
