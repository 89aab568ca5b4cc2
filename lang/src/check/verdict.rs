//! What a block returns, and what that means to the kernel.

use rbtrace_probes_ebpf::kinds::{ProbeKind, lsm};
use rbtrace_probes_ebpf::plan::Target;

use crate::ast;
use crate::catalog::ctypes::CType;
use crate::diag::Diagnostic;
use crate::expand::visit::{self, VisitMut};
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
        self.no_other_verdicts(expr)?;
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
        self.is_verdict(&value)?;
        into.push(Stmt { kind: StmtKind::Return(Some(value)), span });
        Ok(())
    }

    /// An error if a block about packets names a verdict of another kind of probe: by its number it may
    /// mean something here as well.
    fn no_other_verdicts(&mut self, expr: &ast::Expr) -> Typed<()> {
        let here = self.at.kind;
        if !here.is_about_packets() {
            return Ok(());
        }
        let mut names = Names(Vec::new());
        names.expr(&mut expr.clone());
        let has = |kind: ProbeKind, name: &str| kind.spec().verdicts.iter().any(|v| v.name == name);
        for (name, span) in names.0.into_iter().filter(|(name, _)| !has(here, name)) {
            let Some(other) = ProbeKind::ALL.into_iter().find(|kind| has(*kind, &name)) else {
                continue;
            };
            let note = format!("it is one of `{}` probes", other.spec().name);
            return Err(self.error(self.no_verdict(&name, span).note(note)));
        }
        Ok(())
    }

    /// An error unless a number that is known is one of the verdicts of the block's kind, if it has any.
    fn is_verdict(&mut self, value: &Expr) -> Typed<()> {
        let verdicts = self.at.spec().verdicts;
        match value.kind {
            ExprKind::Int(n) if !verdicts.is_empty() && verdicts.iter().all(|v| v.value != n) => {
                Err(self.error(self.no_verdict(&n.to_string(), value.span)))
            }
            _ => Ok(()),
        }
    }

    fn no_verdict(&self, what: &str, span: Span) -> Diagnostic {
        let spec = self.at.spec();
        let message = format!("{what} is no verdict of `{}` probes", spec.name);
        let error = Diagnostic::error("bad-return", span, message);
        match spec.verdicts {
            [] => error.label("they see copies of packets: nothing is decided"),
            verdicts => {
                let names: Vec<_> = verdicts.iter().map(|verdict| verdict.name).collect();
                error.label(format!("expected one of {}", names.join(", ")))
            }
        }
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

/// The names in an expression, and where they are.
struct Names(Vec<(String, Span)>);

impl VisitMut for Names {
    fn expr(&mut self, expr: &mut ast::Expr) {
        if let ast::ExprKind::Ident(name) = &expr.kind {
            self.0.push((name.clone(), expr.span));
        }
        visit::expr(self, expr);
    }
}
