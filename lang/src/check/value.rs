//! A typed expression on its way into the program.

use crate::ast;
use crate::hir::{Expr, ExprKind, Stmt, StmtKind, Type};
use crate::span::Span;

use super::types::{Flex, Ty};

/// An expression with what is known of it beyond its type.
#[derive(Clone, Debug)]
pub(super) struct Value {
    /// The expression. Of type [`Type::Void`] if it has no value; see [`Value::into_stmts`].
    pub expr: Expr,
    /// Which integers of its type may still change their sign.
    pub flex: Flex,
    /// A literal: it must fit where it is put.
    pub literal: bool,
}

impl Value {
    /// An expression of a fixed type.
    pub fn new(kind: ExprKind, ty: Type, span: Span) -> Self {
        Self { expr: Expr { kind, ty, span }, flex: Flex::Fixed, literal: false }
    }

    /// Statements without a value.
    pub fn void(stmts: Vec<Stmt>, span: Span) -> Self {
        let value = Expr { kind: ExprKind::Int(0), ty: Type::Void, span };
        Self::new(ExprKind::Block { stmts, value: Box::new(value) }, Type::Void, span)
    }

    /// One statement without a value.
    pub fn stmt(kind: StmtKind, span: Span) -> Self {
        Self::void(vec![Stmt { kind, span }], span)
    }

    /// Its type.
    pub fn ty(&self) -> Ty {
        Ty { ty: self.expr.ty.clone(), flex: self.flex.clone() }
    }

    /// A record of literals.
    pub fn record(members: Vec<(String, Value)>, span: Span) -> Self {
        let types = members.iter().map(|(name, v)| (name.clone(), v.expr.ty.clone())).collect();
        let flex = Flex::of_members(members.iter().map(|(_, v)| v.flex.clone()).collect());
        let values = members.into_iter().map(|(_, value)| value.expr).collect();
        Self { flex, ..Self::new(ExprKind::Tuple(values), Type::Tuple(types), span) }
    }

    /// The literal that it is, as the script would write it.
    pub fn as_literal(&self) -> Option<ast::ExprKind> {
        match (&self.expr.kind, &self.expr.ty) {
            (ExprKind::Int(n), Type::Bool) => Some(ast::ExprKind::Bool(*n != 0)),
            (ExprKind::Int(n), Type::Int(int)) if int.signed && *n < 0 => {
                let kind = ast::ExprKind::Int(n.unsigned_abs());
                let operand = Box::new(ast::Expr { kind, span: self.expr.span });
                Some(ast::ExprKind::Unary { op: ast::UnaryOp::Neg, operand })
            }
            (ExprKind::Int(n), Type::Int(_)) => Some(ast::ExprKind::Int(*n as u64)),
            (ExprKind::Str(bytes), _) => Some(ast::ExprKind::Str(bytes.clone())),
            _ => None,
        }
    }

    /// It is the constant 0, or false.
    pub fn is_zero(&self) -> bool {
        matches!(self.expr.kind, ExprKind::Int(0))
    }

    /// It has no value.
    pub fn is_void(&self) -> bool {
        self.expr.ty == Type::Void
    }

    /// Its effects as statements; the value is dropped.
    pub fn into_stmts(self) -> Vec<Stmt> {
        let Expr { kind, ty, span } = self.expr;
        match kind {
            ExprKind::Block { stmts, .. } if ty == Type::Void => stmts,
            kind => vec![Stmt { kind: StmtKind::Expr(Expr { kind, ty, span }), span }],
        }
    }

    /// Its effects if they are to be there at all: a constant has none.
    pub fn has_effect(&self) -> bool {
        !matches!(
            self.expr.kind,
            ExprKind::Int(_)
                | ExprKind::Zero
                | ExprKind::Str(_)
                | ExprKind::Local(_)
                | ExprKind::AddressOf(_)
                | ExprKind::Builtin(_)
        )
    }
}

impl From<Expr> for Value {
    fn from(expr: Expr) -> Self {
        Self { expr, flex: Flex::Fixed, literal: false }
    }
}
