//! Implicit conversions: every one of them becomes a cast.

use rbtrace_probes_ebpf::kinds::ProbeKind;

use crate::diag::Diagnostic;
use crate::hir::{Builtin, Call, Expr, ExprKind, Int, Space, Stmt, StmtKind, Type, UnaryOp};
use crate::span::Span;

use super::types::{Flex, Ty, fits, literal_fits};
use super::{Checker, Stop, Typed, Value};

/// A conversion between scalars or strings, done at once for constants.
pub(super) fn cast(expr: Expr, ty: &Type) -> Expr {
    if expr.ty == *ty {
        return expr;
    }
    let span = expr.span;
    match (&expr.kind, ty) {
        (ExprKind::Int(n), Type::Int(int)) => {
            Expr { kind: ExprKind::Int(wrap(*n, *int)), ty: ty.clone(), span }
        }
        (ExprKind::Int(n), Type::Bool) => {
            Expr { kind: ExprKind::Int(i64::from(*n != 0)), ty: Type::Bool, span }
        }
        (ExprKind::Int(_), Type::Ptr { .. }) => Expr { ty: ty.clone(), ..expr },
        // Constants of enums have 8 bytes.
        (ExprKind::Int(_), Type::Enum(_)) if !matches!(expr.ty, Type::Enum(_)) => {
            Expr { ty: ty.clone(), ..expr }
        }
        // A string constant only has more room.
        (ExprKind::Str(text), Type::Str { size }) if text.len() < *size as usize => {
            Expr { ty: ty.clone(), ..expr }
        }
        _ => {
            let through = passes_through(&expr.ty, ty);
            let inner = match expr.kind {
                ExprKind::Cast(inner) if through => inner,
                kind => Box::new(Expr { kind, ..expr }),
            };
            if inner.ty == *ty {
                return *inner;
            }
            Expr { kind: ExprKind::Cast(inner), ty: ty.clone(), span }
        }
    }
}

/// Whether a conversion to `to` of what was converted to `from` can start at what was before:
/// between pointers only the type changes, and a number that is not widened keeps the low bits
/// that it had.
fn passes_through(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (Type::Ptr { .. }, Type::Ptr { .. }) => true,
        (Type::Int(from), Type::Int(to)) => to.size <= from.size,
        _ => false,
    }
}

/// A number cut to an integer type.
pub(super) fn wrap(n: i64, int: Int) -> i64 {
    let shift = 64 - 8 * u32::from(int.size);
    if int.signed { (n << shift) >> shift } else { (((n as u64) << shift) >> shift) as i64 }
}

/// The opposite of a truth value.
pub(super) fn not(expr: Expr) -> Expr {
    let span = expr.span;
    let kind = match expr.kind {
        ExprKind::Int(n) => ExprKind::Int(i64::from(n == 0)),
        kind => ExprKind::Unary {
            op: UnaryOp::Not,
            operand: Box::new(Expr { kind, ty: Type::Bool, span }),
        },
    };
    Expr { kind, ty: Type::Bool, span }
}

impl Checker<'_> {
    /// Converts a value to the type of what it is put into. `None`: it cannot be.
    ///
    /// Numbers that may change their value on the way are warned about.
    pub fn convert(&mut self, value: Value, to: &Type) -> Option<Expr> {
        if value.expr.ty == *to {
            return Some(value.expr);
        }
        match (&value.expr.ty, to) {
            (Type::Int(_), Type::Int(int)) => {
                if let (true, ExprKind::Int(n)) = (value.literal, &value.expr.kind) {
                    let unsigned = *n >= 0 || value.expr.ty == Type::U64;
                    if !literal_fits(*n, unsigned, *int) {
                        return None;
                    }
                } else if !fits(&value.ty(), to) {
                    self.warn_lossy(&value.expr, to);
                }
                Some(cast(value.expr, to))
            }
            (Type::Str { size: from }, Type::Str { size }) if from <= size => {
                Some(cast(value.expr, to))
            }
            (Type::Buf { size: from }, Type::Buf { size }) if from <= size => {
                Some(cast(value.expr, to))
            }
            (Type::Ptr { to: a, .. }, Type::Ptr { to: b, .. })
                if a == b
                    || matches!((&**a, &**b), (Type::Int(_), Type::Int(_)))
                    || matches!((&**a, &**b), (Type::Void, _) | (_, Type::Void)) =>
            {
                Some(cast(value.expr, to))
            }
            (from, Type::Inet) if from.is_inet() => Some(cast(value.expr, to)),
            (Type::Tuple(_), Type::Tuple(members)) => self.convert_tuple(value, members),
            (Type::Enum(_), Type::Int(_) | Type::Enum(_)) | (Type::Int(_), Type::Enum(_)) => {
                Some(cast(value.expr, to))
            }
            (Type::Func, Type::KSym)
                if self.at.kind == ProbeKind::Kprobe
                    && value.expr.kind == ExprKind::Builtin(Builtin::Func) =>
            {
                let span = value.expr.span;
                let kind = ExprKind::Builtin(Builtin::InstructionPointer);
                let address = Expr { kind, ty: Type::U64, span };
                let kind = ExprKind::Call(Box::new(Call::Mark(address)));
                Some(Expr { kind, ty: Type::KSym, span })
            }
            (Type::Probe, Type::Str { .. }) => {
                let text = self.probe_text(value.expr.span)?;
                self.convert(text, to)
            }
            _ => None,
        }
    }

    fn warn_lossy(&mut self, expr: &Expr, to: &Type) {
        let (from, into) = (self.show(&expr.ty), self.show(to));
        self.warn(
            Diagnostic::warning(
                "lossy-conversion",
                expr.span,
                format!("a value of type {from} becomes {into}, which cannot hold all of them"),
            )
            .help(format!("write ({into}) in front of it if that is meant")),
        );
    }

    /// Converts a tuple member by member.
    fn convert_tuple(&mut self, value: Value, to: &[(String, Type)]) -> Option<Expr> {
        let span = value.expr.span;
        let flex = value.flex.clone();
        let Type::Tuple(from) = value.expr.ty.clone() else { return None };
        if from.len() != to.len() {
            return None;
        }
        let (stmts, members) = match value.expr.kind {
            ExprKind::Tuple(members) => (Vec::new(), members),
            kind => self.take_apart(Expr { kind, ty: Type::Tuple(from.clone()), span }, &from),
        };
        // The members of a record literal may stand in another order; they are evaluated as
        // written only where that makes no difference, which is so for what can be in a key.
        let mut slots: Vec<Option<Expr>> = members.into_iter().map(Some).collect();
        let mut converted = Vec::with_capacity(to.len());
        for (i, (name, ty)) in to.iter().enumerate() {
            let at = if name.is_empty() { i } else { from.iter().position(|(n, _)| n == name)? };
            let expr = slots.get_mut(at)?.take()?;
            let literal = matches!(expr.kind, ExprKind::Int(_));
            let member = Value { expr, flex: flex.member(at), literal };
            converted.push(self.convert(member, ty)?);
        }
        let ty = Type::Tuple(to.to_vec());
        let tuple = Expr { kind: ExprKind::Tuple(converted), ty: ty.clone(), span };
        if stmts.is_empty() {
            return Some(tuple);
        }
        Some(Expr { kind: ExprKind::Block { stmts, value: Box::new(tuple) }, ty, span })
    }

    /// Keeps a tuple in a variable, so that its members can be read one by one.
    fn take_apart(&mut self, tuple: Expr, members: &[(String, Type)]) -> (Vec<Stmt>, Vec<Expr>) {
        let span = tuple.span;
        let ty = tuple.ty.clone();
        let (stmts, base) = match tuple.kind {
            ExprKind::Local(id) => (Vec::new(), id),
            _ => {
                let id = self.at.temporary(ty.clone());
                (vec![Stmt { kind: StmtKind::Set { local: id, value: tuple }, span }], id)
            }
        };
        let field = |(i, (_, member)): (usize, &(String, Type))| Expr {
            kind: ExprKind::Field {
                base: Box::new(Expr { kind: ExprKind::Local(base), ty: ty.clone(), span }),
                field: i as u32,
            },
            ty: member.clone(),
            span,
        };
        let fields = members.iter().enumerate().map(field).collect();
        (stmts, fields)
    }

    /// A truth value of a scalar.
    pub fn truth(&mut self, value: Value) -> Typed<Expr> {
        match &value.expr.ty {
            Type::Bool => Ok(value.expr),
            Type::Int(_) | Type::Ptr { .. } | Type::Enum(_) => Ok(cast(value.expr, &Type::Bool)),
            Type::Str { .. } if value.literal => {
                let empty = matches!(&value.expr.kind, ExprKind::Str(text) if text.is_empty());
                Ok(boolean(!empty, value.expr.span).expr)
            }
            ty => {
                let shown = self.show(ty);
                Err(self.error(
                    Diagnostic::error(
                        "bad-condition",
                        value.expr.span,
                        format!("a value of type {shown} is neither true nor false"),
                    )
                    .label("expected a number, a pointer or a comparison"),
                ))
            }
        }
    }

    /// The probe's name as text, if the block has but one probe.
    pub fn probe_text(&mut self, span: Span) -> Option<Value> {
        match self.at.probes.as_slice() {
            [(_, probe)] => Some(text(probe.name.clone().into_bytes(), span)),
            _ => None,
        }
    }

    /// An integer of 64 bits with the sign of the value.
    pub fn widen(&mut self, value: Value) -> Typed<Expr> {
        match &value.expr.ty {
            Type::Int(int) => {
                let to = if int.signed { Type::I64 } else { Type::U64 };
                Ok(cast(value.expr, &to))
            }
            Type::Bool | Type::Enum(_) => Ok(cast(value.expr, &Type::I64)),
            _ => Err(Stop::Reported),
        }
    }

    /// The address space that pointers in the context of this probe are of.
    pub fn pointer_space(&self) -> Space {
        use rbtrace_probes_ebpf::kinds::PointerSpace;
        match self.at.spec().pointers {
            PointerSpace::Kernel => Space::Kernel,
            PointerSpace::User => Space::User,
            PointerSpace::Unknown => Space::Unknown,
        }
    }
}

/// A string constant.
pub(super) fn text(bytes: Vec<u8>, span: Span) -> Value {
    let ty = Type::Str { size: bytes.len() as u32 + 1 };
    Value { literal: true, ..Value::new(ExprKind::Str(bytes), ty, span) }
}

/// A truth constant.
pub(super) fn boolean(value: bool, span: Span) -> Value {
    Value { literal: true, ..Value::new(ExprKind::Int(i64::from(value)), Type::Bool, span) }
}

/// An integer literal.
pub(super) fn number(value: u64, span: Span) -> Value {
    let Ty { ty, flex } = Ty::of_literal(value);
    Value { expr: Expr { kind: ExprKind::Int(value as i64), ty, span }, flex, literal: true }
}

/// A constant of a fixed type.
pub(super) fn constant(value: i64, ty: Type, span: Span) -> Expr {
    Expr { kind: ExprKind::Int(value), ty, span }
}

/// A negative integer literal.
pub(super) fn negative(value: i64, span: Span) -> Value {
    let ty = Type::Int(super::types::smallest_signed(value));
    Value { expr: Expr { kind: ExprKind::Int(value), ty, span }, flex: Flex::Fixed, literal: true }
}

/// An integer literal: of 64 bits with or without a sign, others are cut.
pub(super) fn literal(value: i128, span: Span) -> Value {
    match i64::try_from(value) {
        Ok(value) if value < 0 => negative(value, span),
        _ => number(value as u64, span),
    }
}
