//! What a block returns, and what that means to the kernel.

use crate::ast;
use crate::diag::Diagnostic;
use crate::hir::{Stmt, StmtKind, Type};
use crate::span::Span;

use super::convert::cast;
use super::{Checker, Typed};

impl Checker<'_> {
    /// `return value`, which ends the block.
    pub fn return_value(
        &mut self,
        expr: &ast::Expr,
        span: Span,
        into: &mut Vec<Stmt>,
    ) -> Typed<()> {
        let value = self.value(expr)?;
        let (Type::Int(_) | Type::Enum(_) | Type::Bool) = value.expr.ty else {
            let found = self.show(&value.expr.ty);
            return Err(self.error(
                Diagnostic::error("bad-return", expr.span, "a probe returns an integer")
                    .label(format!("found {found}")),
            ));
        };
        if self.at.kind.returns_nothing() {
            if value.has_effect() {
                into.extend(value.into_stmts());
            }
            into.push(Stmt { kind: StmtKind::Return(None), span });
            return Ok(());
        }
        let value = cast(value.expr, &Type::I64);
        into.push(Stmt { kind: StmtKind::Return(Some(value)), span });
        Ok(())
    }
}
