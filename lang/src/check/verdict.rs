//! What a block returns, and what that means to the kernel.

use rbtrace_probes_ebpf::kinds::lsm;
use rbtrace_probes_ebpf::plan::Target;

use crate::ast;
use crate::catalog::ctypes::CType;
use crate::diag::Diagnostic;
use crate::hir::{Expr, ExprKind, Stmt, StmtKind, Type};
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
        if let Some(Target::Lsm { hook }) = self.at.probes.first().map(|(_, probe)| &probe.target) {
            let hook = hook.clone();
            self.check_verdict(&hook, &value)?;
        }
        into.push(Stmt { kind: StmtKind::Return(Some(value)), span });
        Ok(())
    }

    /// Whether a value can be the verdict on a hook, and the user allows it.
    fn check_verdict(&mut self, hook: &str, value: &Expr) -> Typed<()> {
        let wrong = |message: String| Diagnostic::error("bad-return", value.span, message);
        let returns_nothing =
            self.at.signature.as_ref().is_some_and(|signature| signature.result == CType::Void);
        if returns_nothing {
            return Err(self.error(wrong(format!("on lsm:{hook} nothing is decided"))));
        }
        let range = lsm::results(hook).range;
        if let ExprKind::Int(n) = value.kind {
            if !range.contains(&n) {
                let error = wrong(format!("{n} is no verdict on lsm:{hook}")).label(format!(
                    "expected {} to {}",
                    range.start(),
                    range.end()
                ));
                return Err(self.error(match n > 0 && range.contains(&-n) {
                    true => error.help("errors are negative: -EPERM"),
                    false => error,
                }));
            }
            if n == 0 {
                return Ok(());
            }
        }
        if self.cx.options.allow_unsafe {
            return Ok(());
        }
        Err(self.error(
            Diagnostic::error(
                "unsafe-needed",
                value.span,
                "a verdict other than 0 changes what programs may do and needs --unsafe",
            )
            .note("0, or no `return` at all, leaves the decision to the kernel"),
        ))
    }
}
