//! Walking over a tree and changing it.

use crate::ast::{Block, Expr, ExprKind, Item, Script, Stmt, StmtKind, Type, TypeKind, TypeOrExpr};

/// Visits expressions and types. What a method overrides must call the function of the same name
/// in this module to go further down.
pub trait VisitMut {
    /// A whole script.
    fn script(&mut self, it: &mut Script) {
        script(self, it);
    }

    /// A block.
    fn block(&mut self, it: &mut Block) {
        block(self, it);
    }

    /// A statement.
    fn stmt(&mut self, it: &mut Stmt) {
        stmt(self, it);
    }

    /// An expression.
    fn expr(&mut self, it: &mut Expr) {
        expr(self, it);
    }

    /// A type.
    fn ty(&mut self, it: &mut Type) {
        ty(self, it);
    }
}

/// Visits what is in a script.
pub fn script<V: VisitMut + ?Sized>(visitor: &mut V, script: &mut Script) {
    for item in &mut script.items {
        match item {
            Item::Probe(probe) => {
                if let Some(predicate) = &mut probe.predicate {
                    visitor.expr(predicate);
                }
                visitor.block(&mut probe.body);
            }
            Item::Macro(m) => visitor.block(&mut m.body),
            Item::MapDecl(decl) => visitor.expr(&mut decl.max_entries),
            Item::Function(function) => {
                for (_, ty) in &mut function.params {
                    visitor.ty(ty);
                }
                if let Some(ty) = &mut function.result {
                    visitor.ty(ty);
                }
                visitor.block(&mut function.body);
            }
        }
    }
}

/// Visits what is in a block.
pub fn block<V: VisitMut + ?Sized>(visitor: &mut V, block: &mut Block) {
    for stmt in &mut block.stmts {
        visitor.stmt(stmt);
    }
    if let Some(value) = &mut block.value {
        visitor.expr(value);
    }
}

/// Visits what is in a statement.
pub fn stmt<V: VisitMut + ?Sized>(visitor: &mut V, stmt: &mut Stmt) {
    match &mut stmt.kind {
        StmtKind::Expr(e) | StmtKind::Discard(e) => visitor.expr(e),
        StmtKind::Assign { target, value, .. } => {
            visitor.expr(target);
            visitor.expr(value);
        }
        StmtKind::Let { ty, value, .. } => {
            if let Some(ty) = ty {
                visitor.ty(ty);
            }
            if let Some(value) = value {
                visitor.expr(value);
            }
        }
        StmtKind::If { cond, then, otherwise } => {
            visitor.expr(cond);
            visitor.block(then);
            if let Some(otherwise) = otherwise {
                visitor.block(otherwise);
            }
        }
        StmtKind::Unroll { count: head, body } | StmtKind::While { cond: head, body } => {
            visitor.expr(head);
            visitor.block(body);
        }
        StmtKind::ForMap { body, .. } => visitor.block(body),
        StmtKind::ForRange { start, end, body, .. } => {
            visitor.expr(start);
            visitor.expr(end);
            visitor.block(body);
        }
        StmtKind::Return(Some(value)) => visitor.expr(value),
        StmtKind::Block(inner) => visitor.block(inner),
        StmtKind::Return(None) | StmtKind::Break | StmtKind::Continue | StmtKind::Import(_) => {}
    }
}

/// Visits what is in an expression.
pub fn expr<V: VisitMut + ?Sized>(visitor: &mut V, expr: &mut Expr) {
    match &mut expr.kind {
        ExprKind::Map { key: Some(key), .. } => visitor.expr(key),
        ExprKind::Call { args: values, .. } | ExprKind::Tuple(values) => {
            for value in values {
                visitor.expr(value);
            }
        }
        ExprKind::Unary { operand, .. }
        | ExprKind::IncDec { target: operand, .. }
        | ExprKind::Member { base: operand, .. }
        | ExprKind::Comptime(operand) => visitor.expr(operand),
        ExprKind::Binary { left, right, .. } | ExprKind::Index { base: left, index: right } => {
            visitor.expr(left);
            visitor.expr(right);
        }
        ExprKind::Ternary { cond, then, otherwise } => {
            visitor.expr(cond);
            visitor.expr(then);
            visitor.expr(otherwise);
        }
        ExprKind::Record(fields) => {
            for (_, value) in fields {
                visitor.expr(value);
            }
        }
        ExprKind::Cast { ty, operand } => {
            visitor.ty(ty);
            visitor.expr(operand);
        }
        ExprKind::SizeOf(of) | ExprKind::TypeInfo(of) | ExprKind::OffsetOf { of, .. } => {
            type_or_expr(visitor, of);
        }
        ExprKind::Block(inner) => visitor.block(inner),
        ExprKind::TypeArg(ty) => visitor.ty(ty),
        ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Bool(_)
        | ExprKind::Ident(_)
        | ExprKind::Var(_)
        | ExprKind::Map { key: None, .. }
        | ExprKind::Param(_)
        | ExprKind::ParamCount => {}
    }
}

/// Visits what is in a type.
pub fn ty<V: VisitMut + ?Sized>(visitor: &mut V, ty: &mut Type) {
    match &mut ty.kind {
        TypeKind::Array(of, size) => {
            visitor.ty(of);
            if let Some(size) = size {
                visitor.expr(size);
            }
        }
        TypeKind::Pointer(to) => visitor.ty(to),
        TypeKind::TypeOf(of) => type_or_expr(visitor, of),
        TypeKind::Name(_) | TypeKind::Struct(_) | TypeKind::Union(_) | TypeKind::Enum(_) => {}
    }
}

fn type_or_expr<V: VisitMut + ?Sized>(visitor: &mut V, of: &mut TypeOrExpr) {
    match of {
        TypeOrExpr::Type(ty) => visitor.ty(ty),
        TypeOrExpr::Expr(e) => visitor.expr(e),
    }
}
