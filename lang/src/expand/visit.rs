//! Walking over a tree and changing it.

use crate::ast::{
    Block, Expr, ExprKind, Ident, Item, Script, Stmt, StmtKind, Type, TypeKind, TypeOrExpr,
};
use crate::span::Span;

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

    /// A type or an expression for its type.
    fn type_or_expr(&mut self, it: &mut TypeOrExpr) {
        type_or_expr(self, it);
    }

    /// The place of a node or of a name in one. Nothing is further down.
    fn span(&mut self, _it: &mut Span) {}
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
    visitor.span(&mut block.span);
    for stmt in &mut block.stmts {
        visitor.stmt(stmt);
    }
    if let Some(value) = &mut block.value {
        visitor.expr(value);
    }
}

/// Visits what is in a statement.
pub fn stmt<V: VisitMut + ?Sized>(visitor: &mut V, stmt: &mut Stmt) {
    visitor.span(&mut stmt.span);
    match &mut stmt.kind {
        StmtKind::Expr(e) | StmtKind::Discard(e) => visitor.expr(e),
        StmtKind::Assign { target, value, .. } => {
            visitor.expr(target);
            visitor.expr(value);
        }
        StmtKind::Let { name, ty, value } => {
            visitor.span(&mut name.span);
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
        StmtKind::ForMap { var, map, body } => {
            visitor.span(&mut var.span);
            visitor.span(&mut map.span);
            visitor.block(body);
        }
        StmtKind::ForRange { var, start, end, body } => {
            visitor.span(&mut var.span);
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
    visitor.span(&mut expr.span);
    match &mut expr.kind {
        ExprKind::Map { key: Some(key), .. } => visitor.expr(key),
        ExprKind::Call { name, args } => {
            visitor.span(&mut name.span);
            exprs(visitor, args);
        }
        ExprKind::Tuple(values) => exprs(visitor, values),
        ExprKind::Unary { operand, .. }
        | ExprKind::IncDec { target: operand, .. }
        | ExprKind::Comptime(operand) => visitor.expr(operand),
        ExprKind::Member { base, field, .. } => {
            visitor.expr(base);
            visitor.span(&mut field.span);
        }
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
            for (Ident { span, .. }, value) in fields {
                visitor.span(span);
                visitor.expr(value);
            }
        }
        ExprKind::Cast { ty, operand } => {
            visitor.ty(ty);
            visitor.expr(operand);
        }
        ExprKind::SizeOf(of) | ExprKind::TypeInfo(of) => visitor.type_or_expr(of),
        ExprKind::OffsetOf { of, path } => {
            visitor.type_or_expr(of);
            for name in path {
                visitor.span(&mut name.span);
            }
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
    visitor.span(&mut ty.span);
    match &mut ty.kind {
        TypeKind::Array(of, size) => {
            visitor.ty(of);
            if let Some(size) = size {
                visitor.expr(size);
            }
        }
        TypeKind::Pointer(to) => visitor.ty(to),
        TypeKind::TypeOf(of) => visitor.type_or_expr(of),
        TypeKind::Name(_) | TypeKind::Struct(_) | TypeKind::Union(_) | TypeKind::Enum(_) => {}
    }
}

fn exprs<V: VisitMut + ?Sized>(visitor: &mut V, exprs: &mut [Expr]) {
    for expr in exprs {
        visitor.expr(expr);
    }
}

/// Visits what is in a type or an expression in its place.
pub fn type_or_expr<V: VisitMut + ?Sized>(visitor: &mut V, of: &mut TypeOrExpr) {
    match of {
        TypeOrExpr::Type(ty) => visitor.ty(ty),
        TypeOrExpr::Expr(e) => visitor.expr(e),
    }
}
