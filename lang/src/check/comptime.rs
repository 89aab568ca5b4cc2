//! What is known of types when a script is compiled: `typeinfo`, the questions that functions ask
//! of types, `comptime`.

use crate::ast::{self, ExprKind as Ast, TypeOrExpr};
use crate::diag::Diagnostic;
use crate::expand::visit::{self, VisitMut};
use crate::hir::Type;
use crate::reference::{Docs, docs};
use crate::resolve::settings::Shown;
use crate::span::Span;

use super::convert::{boolean, number, text};
use super::functions::{CallSite, Function};
use super::{Checker, Stop, Typed, Value, fold};

/// A question about the type of an expression.
type Question = fn(&Type) -> bool;

/// The functions that ask one.
const QUESTIONS: &[(&str, Question)] = &[
    ("is_array", |ty| matches!(ty, Type::Array { .. })),
    ("is_integer", |ty| matches!(ty, Type::Int(_))),
    ("is_ptr", |ty| matches!(ty, Type::Ptr { .. })),
    ("is_str", |ty| matches!(ty, Type::Str { .. })),
    ("is_unsigned_integer", |ty| matches!(ty, Type::Int(int) if !int.signed)),
];

/// What the reference says of them.
pub(crate) const DOCS: Docs = docs!("src/check", "comptime.md");

/// Words that are no functions, since what they take need be no value.
pub(crate) const FORMS: &[(&str, &str)] = &[
    ("sizeof", "sizeof(type), sizeof(value)"),
    ("offsetof", "offsetof(type, member), offsetof(value, member)"),
    ("typeof", "typeof(type), typeof(value)"),
    ("typeinfo", "typeinfo(type), typeinfo(value)"),
    ("comptime", "comptime value"),
];

/// What the reference says of those.
pub(crate) const FORMS_DOCS: Docs = docs!("src/check", "forms.md");

pub(super) const TABLE: &[Function] = &[
    Function::one("is_array", "is_array(value)", ask),
    Function::one("is_integer", "is_integer(value)", ask),
    Function::one("is_ptr", "is_ptr(value)", ask),
    Function::one("is_str", "is_str(value)", ask),
    Function::one("is_unsigned_integer", "is_unsigned_integer(value)", ask),
    Function::one("is_literal", "is_literal(value)", is_literal),
    Function::one("kfunc_exist", "kfunc_exist(\"name\")", |cx, call| {
        let name = kfunc(cx, call)?;
        Ok(boolean(cx.cx.types.kernel_function(None, &name).is_some(), call.span))
    }),
    Function::one("kfunc_allowed", "kfunc_allowed(\"name\")", |cx, call| {
        let name = kfunc(cx, call)?;
        let program = cx.at.spec().program;
        Ok(boolean(cx.cx.catalog.kfunc_allowed(&name, program), call.span))
    }),
    Function::new("default_str_length", 0, 0, "default_str_length()", |cx, call| {
        Ok(number(u64::from(cx.settings.max_strlen), call.span))
    }),
];

fn ask(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let (Some(arg), Some((_, holds))) =
        (call.args.first(), QUESTIONS.iter().find(|(name, _)| *name == call.name.name))
    else {
        return Err(Stop::Reported);
    };
    let ty = checker.value(arg)?.expr.ty;
    Ok(boolean(holds(&ty), call.span))
}

/// The kernel function that `kfunc_exist` and `kfunc_allowed` ask about.
fn kfunc(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed<String> {
    let arg = call.args.first().ok_or(Stop::Reported)?;
    checker.literal_text(&call.name.name, arg)
}

fn is_literal(_: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let literal = call.args.first().is_some_and(|arg| match &arg.kind {
        Ast::Str(_) | Ast::Bool(_) => true,
        _ => fold::int_literal(arg).is_some(),
    });
    Ok(boolean(literal, call.span))
}

/// The kind of a type, as bpftrace calls it.
fn base_name(ty: &Type) -> &'static str {
    match ty {
        Type::Void => "none",
        Type::Int(_) => "int",
        Type::Bool => "bool",
        Type::Ptr { .. } => "pointer",
        Type::Str { .. } => "string",
        Type::Array { .. } => "array",
        Type::Tuple(members) if members.iter().any(|(name, _)| !name.is_empty()) => "record",
        Type::Tuple(_) => "tuple",
        Type::Record(_) => "c_struct",
        Type::Enum(_) => "enum",
        Type::Buf { .. } => "buffer",
        Type::KStack(_) => "kstack",
        Type::UStack(_) => "ustack",
        _ => "value",
    }
}

impl Checker<'_> {
    /// Kind and name of a type, for `typeinfo`.
    fn type_info(&mut self, of: &TypeOrExpr) -> Typed<(&'static str, String)> {
        let ty = match of {
            TypeOrExpr::Type(ty) => self.written_type(ty)?,
            TypeOrExpr::Expr(expr) => self.type_of(expr)?,
        };
        Ok((base_name(&ty), self.show(&ty)))
    }

    /// Every setting and its value, for `config`.
    pub fn config_members(&self, span: Span) -> Vec<(String, Value)> {
        let value = |shown: &Shown| match shown {
            Shown::Bool(b) => boolean(*b, span),
            Shown::Int(n) => number(*n, span),
            Shown::Text(t) => text(t.clone().into_bytes(), span),
        };
        let all = self.settings.shown.iter();
        all.map(|(name, shown)| ((*name).to_owned(), value(shown))).collect()
    }

    /// `typeinfo(x)`: a record. rbtrace has no numbers for types.
    pub fn type_info_record(&mut self, of: &TypeOrExpr, span: Span) -> Typed {
        let (base, full) = self.type_info(of)?;
        let members = [
            ("btf_id", number(0, span)),
            ("base_type", text(base.into(), span)),
            ("full_type", text(full.into_bytes(), span)),
        ];
        Ok(Value::record(members.map(|(name, value)| (name.to_owned(), value)).into(), span))
    }

    /// `typeinfo(x).base_type` and the like, which are literals.
    pub fn type_info_member(
        &mut self,
        of: &TypeOrExpr,
        field: &ast::Ident,
        span: Span,
    ) -> Option<Typed> {
        let pick = |(base, full): (&str, String)| match field.name.as_str() {
            "base_type" | "base_ty" => text(base.into(), span),
            _ => text(full.into_bytes(), span),
        };
        match field.name.as_str() {
            "base_type" | "base_ty" | "full_type" | "full_ty" => Some(self.type_info(of).map(pick)),
            "btf_id" => Some(Ok(number(0, span))),
            _ => None,
        }
    }

    /// The value of an expression that must be known when the script is compiled.
    pub fn comptime(&mut self, inner: &ast::Expr) -> Typed {
        let mut known = inner.clone();
        let mut leaves = Leaves { checker: self, stop: None };
        leaves.expr(&mut known);
        if let Some(stop) = leaves.stop {
            return Err(stop);
        }
        fold::fold_expr(&mut known, &mut self.diagnostics);
        let value = self.expr(&known)?;
        if value.literal {
            return Ok(value);
        }
        Err(self.error(Diagnostic::error(
            "not-a-literal",
            inner.span,
            "this is not known when the script is compiled",
        )))
    }
}

/// Replaces what is known of types by literals.
struct Leaves<'c, 'a> {
    checker: &'c mut Checker<'a>,
    stop: Option<Stop>,
}

impl VisitMut for Leaves<'_, '_> {
    fn expr(&mut self, expr: &mut ast::Expr) {
        let known = match &expr.kind {
            Ast::Member { base, field, .. } if is_config(base) => {
                let members = self.checker.config_members(expr.span);
                let found = members.into_iter().find(|(name, _)| *name == field.name);
                Ok(found.and_then(|(_, value)| value.as_literal()))
            }
            // Types that are compared as a whole.
            Ast::TypeInfo(of) => {
                let info = self.checker.type_info(of);
                info.map(|(base, full)| Some(Ast::Str(format!("{base} {full}").into_bytes())))
            }
            Ast::Member { base, .. } if matches!(base.kind, Ast::TypeInfo(_)) => self.literal(expr),
            Ast::SizeOf(_) | Ast::OffsetOf { .. } | Ast::Ident(_) => self.literal(expr),
            Ast::Call { name, .. }
                if QUESTIONS.iter().any(|(question, _)| *question == name.name)
                    || matches!(
                        name.name.as_str(),
                        "is_literal" | "is_scalar" | "kfunc_exist" | "kfunc_allowed" | "probetype"
                    ) =>
            {
                self.literal(expr)
            }
            _ => return visit::expr(self, expr),
        };
        match known {
            Ok(Some(kind)) => expr.kind = kind,
            Ok(None) => {}
            Err(stop) => self.stop = Some(stop),
        }
    }
}

impl Leaves<'_, '_> {
    fn literal(&mut self, expr: &ast::Expr) -> Typed<Option<Ast>> {
        let value = self.checker.expr(expr)?;
        Ok(value.literal.then(|| value.as_literal()).flatten())
    }
}

/// `config` or `config()`
pub(super) fn is_config(expr: &ast::Expr) -> bool {
    match &expr.kind {
        Ast::Ident(name) => name == "config" || name == "__builtin_config",
        Ast::Call { name, args } => name.name == "config" && args.is_empty(),
        _ => false,
    }
}
