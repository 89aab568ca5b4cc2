//! Macros of C in scripts: a name that `#define` gives a meaning is replaced by what it stands for
//! before anything is typed.

use crate::ast::{Expr, ExprKind, MapDecl, Probe, Type};
use crate::c::{Constant, ConstantValue, Declarations};
use crate::catalog::TypeSource;
use crate::check::builtins;
use crate::diag::Diagnostic;
use crate::expand::visit::{self, VisitMut};
use crate::parse::parse_expression;
use crate::span::{Sources, Span};

/// Replaces the macros in a probe block.
pub(in crate::check) fn replace(
    probe: &mut Probe,
    c: &Declarations,
    types: &dyn TypeSource,
    errors: &mut Vec<Diagnostic>,
) {
    let mut replacer = Replacer { c, types, errors };
    if let Some(predicate) = &mut probe.predicate {
        replacer.expr(predicate);
    }
    replacer.block(&mut probe.body);
}

/// Replaces the macros in the declaration of a map.
pub(in crate::check) fn replace_in_map(
    map: &mut MapDecl,
    c: &Declarations,
    types: &dyn TypeSource,
    errors: &mut Vec<Diagnostic>,
) {
    Replacer { c, types, errors }.expr(&mut map.max_entries);
}

struct Replacer<'a> {
    c: &'a Declarations,
    types: &'a dyn TypeSource,
    errors: &'a mut Vec<Diagnostic>,
}

impl VisitMut for Replacer<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        visit::expr(self, expr);
        let ExprKind::Ident(name) = &expr.kind else { return };
        let Some(constant) = self.c.constant(name, self.types) else { return };
        // A header knows nothing of the names that scripts take for granted.
        if constant.header && builtins::names().any(|builtin| builtin == name) {
            return;
        }
        let is_own = constant.value.is_none() && words(&constant.text).any(|word| word == name);
        let why = if is_own { "which is itself again" } else { "which is no expression" };
        expr.kind = match meaning(&constant, expr.span).filter(|_| !is_own) {
            Some(kind) => kind,
            None => {
                let message = format!("`{name}` stands for `{}`, {why}", constant.text);
                let place = if constant.header { "a header defines it" } else { "defined here" };
                let error = Diagnostic::error("c-constant", expr.span, message);
                self.errors.push(error.also(constant.span, place));
                ExprKind::Int(0)
            }
        };
    }
}

/// What a macro stands for in a script. Literals and what is made of them mean what they mean in
/// scripts, where integers have 64 bits; what names types or other constants means what it means in
/// C, if it is a constant there.
fn meaning(constant: &Constant, span: Span) -> Option<ExprKind> {
    let in_c = || {
        Some(match constant.value.clone()? {
            ConstantValue::Str(text) => ExprKind::Str(text),
            ConstantValue::Int(n) => match u64::try_from(n) {
                Ok(n) => ExprKind::Int(n),
                Err(_) => {
                    let n = ExprKind::Int(u64::try_from(n.unsigned_abs()).ok()?);
                    let operand = Box::new(Expr { kind: n, span });
                    ExprKind::Unary { op: crate::ast::UnaryOp::Neg, operand }
                }
            },
        })
    };
    let in_scripts = || {
        let mut sources = Sources::default();
        let file = sources.add("macro", constant.text.as_str());
        let mut expr = parse_expression(&sources, file).ok()?;
        Placed { span }.expr(&mut expr);
        Some(expr.kind)
    };
    if is_plain(&constant.text) { in_scripts().or_else(in_c) } else { in_c().or_else(in_scripts) }
}

/// Whether a text has no names in it, or is one.
fn is_plain(text: &str) -> bool {
    text.starts_with('"')
        || words(text).next() == Some(text)
        || words(text).all(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

/// The names and numbers in a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(move |c| !is_word(c)).filter(|word| !word.is_empty())
}

/// Puts all of an expression at one place: that of the macro's name.
struct Placed {
    span: Span,
}

impl VisitMut for Placed {
    fn expr(&mut self, expr: &mut Expr) {
        visit::expr(self, expr);
        expr.span = self.span;
        match &mut expr.kind {
            ExprKind::Call { name, .. } | ExprKind::Member { field: name, .. } => {
                name.span = self.span;
            }
            ExprKind::Record(fields) => {
                fields.iter_mut().for_each(|(name, _)| name.span = self.span);
            }
            ExprKind::OffsetOf { path, .. } => {
                path.iter_mut().for_each(|name| name.span = self.span);
            }
            ExprKind::Param(param) => param.span = self.span,
            _ => {}
        }
    }

    fn ty(&mut self, ty: &mut Type) {
        visit::ty(self, ty);
        ty.span = self.span;
    }
}
