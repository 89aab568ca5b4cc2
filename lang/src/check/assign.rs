//! Assignments.

use crate::ast::{self, BinaryOp, ExprKind as Ast};
use crate::diag::Diagnostic;
use crate::hir::{Expr, ExprKind, LocalId, MapId, Stmt, StmtKind, Type};
use crate::span::Span;

use super::convert::cast;
use super::types::{Ty, promote};
use super::{Checker, Stop, Typed, Value};

impl Checker<'_> {
    /// `target op= value`
    pub fn assign(
        &mut self,
        target: &ast::Expr,
        op: Option<BinaryOp>,
        value: &ast::Expr,
        span: Span,
        into: &mut Vec<Stmt>,
    ) -> Typed<()> {
        match &target.kind {
            Ast::Var(name) => {
                let local = self.at.slots.get(name).copied().ok_or(Stop::Reported)?;
                self.assign_local(local, op, value, target.span, span, into)
            }
            Ast::Map { name, key } => {
                let map = self.map_use(name, key.is_some(), target.span)?;
                self.assign_map(map, key.as_deref(), op, value, span, into)
            }
            _ => {
                let _ = self.expr(value);
                Err(self.error(
                    Diagnostic::error(
                        "invalid-assignment",
                        target.span,
                        "nothing can be assigned to this",
                    )
                    .label("expected a variable or a map"),
                ))
            }
        }
    }

    /// `$x op= value`
    pub fn assign_local(
        &mut self,
        local: LocalId,
        op: Option<BinaryOp>,
        value: &ast::Expr,
        place: Span,
        span: Span,
        into: &mut Vec<Stmt>,
    ) -> Typed<()> {
        let done = self.assigned_local(local, op, value, place, span, into);
        if let (Err(Stop::Reported), Some(slot)) = (done, self.at.locals.get_mut(local.index())) {
            slot.wrong = true;
        }
        done
    }

    fn assigned_local(
        &mut self,
        local: LocalId,
        op: Option<BinaryOp>,
        value: &ast::Expr,
        place: Span,
        span: Span,
        into: &mut Vec<Stmt>,
    ) -> Typed<()> {
        self.refuse_aggregate(value, "a variable")?;
        let mut value = self.value(value)?;
        if let Some(op) = op {
            let now = self.at.locals.get(local.index()).and_then(|slot| slot.ty.clone());
            let Some(now) = now else {
                self.unknown = true;
                return Err(Stop::Unknown);
            };
            let old = Value { flex: now.flex, ..Value::new(ExprKind::Local(local), now.ty, place) };
            value = self.operate(op, old, value, span)?;
        }
        self.storable(&value)?;
        let ty = self.learn_local(local, &value.ty(), value.expr.span)?;
        let found = value.expr.clone();
        match self.convert(value, &ty) {
            Some(value) => {
                into.push(Stmt { kind: StmtKind::Set { local, value }, span });
                Ok(())
            }
            None => Err(self.local_mismatch(local, &found)),
        }
    }

    /// Values that live nowhere else than where they are: they cannot be kept.
    fn storable(&mut self, value: &Value) -> Typed<()> {
        if matches!(value.expr.kind, ExprKind::TracepointRecord) {
            return Err(self.unsupported(value.expr.span, "a whole record as a value"));
        }
        self.sized(&value.expr.ty, value.expr.span).map(|_| ())
    }

    /// Learns that a value of this type is assigned to a variable. Returns the variable's type.
    pub fn learn_local(&mut self, local: LocalId, ty: &Ty, span: Span) -> Typed<Type> {
        let Some(slot) = self.at.locals.get(local.index()) else { return Err(Stop::Reported) };
        let joined = match &slot.ty {
            Some(now) if slot.declared => return Ok(now.ty.clone()),
            Some(now) => promote(now, ty),
            None => {
                let kind = |ty: &Type| std::mem::discriminant(ty);
                let wanted = slot.unsized_kind.as_ref();
                Some(ty.clone()).filter(|ty| wanted.is_none_or(|w| kind(w) == kind(&ty.ty)))
            }
        };
        let Some(joined) = joined else {
            let found = Expr { kind: ExprKind::Int(0), ty: ty.ty.clone(), span };
            return Err(self.local_mismatch(local, &found));
        };
        let result = joined.ty.clone();
        self.set_local(local, joined, span);
        Ok(result)
    }

    fn local_mismatch(&mut self, local: LocalId, found: &Expr) -> Stop {
        let Some(slot) = self.at.locals.get(local.index()) else { return Stop::Reported };
        let declared = slot.declared || (slot.ty.is_none() && slot.unsized_kind.is_some());
        let (name, first) = (slot.name.clone(), slot.span);
        let wanted = slot.ty.as_ref().map(|ty| &ty.ty).or(slot.unsized_kind.as_ref());
        let is_number = matches!(wanted, Some(Type::Int(_)));
        let expected = wanted.map(|ty| self.show(ty)).unwrap_or_default();
        let name = name.split('#').next().unwrap_or_default().to_owned();
        let shown = self.show(&found.ty);
        let error = match (&found.kind, &found.ty) {
            (ExprKind::Int(n), Type::Int(_)) if declared && is_number => Diagnostic::error(
                "literal-range",
                found.span,
                format!("{n} is no value of type {expected}"),
            )
            .help(format!("write ({expected}) in front of it to cut it")),
            (_, Type::Str { .. }) if expected.starts_with("string") => Diagnostic::error(
                "string-too-long",
                found.span,
                format!("${name} has not room enough for this"),
            )
            .label(format!("at most {expected}, found {shown}")),
            _ => Diagnostic::error(
                "type-mismatch",
                found.span,
                format!("${name} is of another type"),
            )
            .label(format!("expected {expected}, found {shown}")),
        };
        let by = if declared { "declared here" } else { "first assigned here" };
        self.error(error.also(first, by))
    }

    fn assign_map(
        &mut self,
        map: MapId,
        key: Option<&ast::Expr>,
        op: Option<BinaryOp>,
        value: &ast::Expr,
        span: Span,
        into: &mut Vec<Stmt>,
    ) -> Typed<()> {
        let key = key.map(|key| self.map_key(map, key)).transpose();
        if let (None, Some((stmts, name, args))) = (op, Self::aggregate_call(value)) {
            self.stmts(stmts, into);
            let stmt = self.aggregate(map, key?, name, args, span)?;
            into.push(stmt);
            return Ok(());
        }
        self.refuse_aggregate(value, "anything but a map, by =")?;
        let typed = self.value(value);
        let (key, typed) = (key?, typed?);
        self.storable(&typed)?;
        match op {
            None => self.set_map(map, key, typed, span, into),
            Some(op) => self.modify_map(map, key, op, typed, span, into),
        }
    }

    /// `@x[k] = value`
    fn set_map(
        &mut self,
        map: MapId,
        key: Option<Expr>,
        value: Value,
        span: Span,
        into: &mut Vec<Stmt>,
    ) -> Typed<()> {
        let ty = self.learn_value(map, &value.ty(), value.expr.span)?;
        let found = value.expr.ty.clone();
        let place = value.expr.span;
        match self.convert(value, &ty) {
            Some(value) => {
                into.push(Stmt { kind: StmtKind::MapSet { map, key, value }, span });
                Ok(())
            }
            None => Err(self.value_mismatch(map, &found, place)),
        }
    }

    /// `@x[k] op= value`
    fn modify_map(
        &mut self,
        map: MapId,
        key: Option<Expr>,
        op: BinaryOp,
        value: Value,
        span: Span,
        into: &mut Vec<Stmt>,
    ) -> Typed<()> {
        let Some(now) = self.maps.value(map).cloned() else {
            return Err(self.unknown_map(map, span));
        };
        if let Type::Aggregate(_) = now.ty {
            return Err(self.value_mismatch(map, &value.expr.ty, value.expr.span));
        }
        let old = Value {
            flex: now.flex,
            ..Value::new(ExprKind::MapGet { map, key: key.clone().map(Box::new) }, now.ty, span)
        };
        let place = value.expr.span;
        let result = self.operate(op, old, value, span)?;
        let ty = self.learn_value(map, &result.ty(), place)?;
        // What the operator does to the entry, in the map's own type; comparisons of truth values
        // and the like become plain assignments.
        let right = match result.expr.kind {
            ExprKind::Binary { right, .. } if !op.is_comparison() => right,
            _ => return self.set_map(map, key, result, span, into),
        };
        let value = match (&ty, op) {
            (Type::Int(_), BinaryOp::Shl | BinaryOp::Shr) => cast(*right, &Type::U64),
            (Type::Int(_), _) => cast(*right, &ty),
            // The offset of a pointer, in bytes.
            _ => *right,
        };
        into.push(Stmt { kind: StmtKind::MapModify { map, key, op, value }, span });
        Ok(())
    }

    /// `$x = count()` and the like.
    fn refuse_aggregate(&mut self, value: &ast::Expr, what: &str) -> Typed<()> {
        let Some((_, name, _)) = Self::aggregate_call(value) else { return Ok(()) };
        Err(self.error(
            Diagnostic::error(
                "aggregate-not-assigned",
                value.span,
                format!("{}() cannot be assigned to {what}", name.name),
            )
            .help(format!("assign it to a map: @x = {}(...);", name.name)),
        ))
    }
}
