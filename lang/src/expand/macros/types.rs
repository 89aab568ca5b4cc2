//! Parameters of a macro where a type stands: `sizeof(t)`, `(t*)x`, `offsetof(struct t, f)`.

use crate::ast::{Expr, ExprKind, Ident, Type, TypeKind, TypeOrExpr};
use crate::diag::Diagnostic;

/// The type that an argument stands for: `typeof(T)`, or the bare name of one. `None`: it is a
/// value.
fn type_of(arg: &Expr) -> Option<TypeKind> {
    match &arg.kind {
        ExprKind::TypeArg(ty) => Some(plain(ty).kind.clone()),
        ExprKind::Ident(name) => Some(TypeKind::Name(name.clone())),
        _ => None,
    }
}

/// `typeof(T)` is `T`.
fn plain(ty: &Type) -> &Type {
    match &ty.kind {
        TypeKind::TypeOf(of) => match &**of {
            TypeOrExpr::Type(inner) => plain(inner),
            TypeOrExpr::Expr(_) => ty,
        },
        _ => ty,
    }
}

/// Puts an argument in place of the parameter that is the whole of a type or an expression, where
/// either may stand.
pub(super) fn in_place(of: &mut TypeOrExpr, arg: &Expr) {
    let TypeOrExpr::Type(ty) = of else { return };
    match type_of(arg) {
        Some(kind) => ty.kind = kind,
        None => *of = TypeOrExpr::Expr(Box::new(arg.clone())),
    }
}

/// Puts an argument in place of the parameter that a type names.
pub(super) fn in_type(ty: &mut Type, param: &str, arg: &Expr) -> Result<(), Diagnostic> {
    let new = match (&ty.kind, type_of(arg)) {
        (TypeKind::Name(_), Some(kind)) => Some(kind),
        (TypeKind::Struct(_), Some(TypeKind::Name(name))) => Some(TypeKind::Struct(name)),
        (TypeKind::Union(_), Some(TypeKind::Name(name))) => Some(TypeKind::Union(name)),
        (TypeKind::Enum(_), Some(TypeKind::Name(name))) => Some(TypeKind::Enum(name)),
        _ => None,
    };
    match new {
        Some(kind) => ty.kind = kind,
        None => {
            return Err(Diagnostic::error(
                "macro-type-argument",
                arg.span,
                format!("this cannot stand for `{param}`, which is part of a type"),
            )
            .also(ty.span, "here")
            .help("pass a type: `typeof(uint64)`; after `struct` its bare name"));
        }
    }
    Ok(())
}

/// The path that an argument is, if it is made of names alone: `a.b.c`.
pub(super) fn path(arg: &Expr) -> Option<Vec<Ident>> {
    match &arg.kind {
        ExprKind::Ident(name) => Some(vec![Ident { name: name.clone(), span: arg.span }]),
        ExprKind::Member { base, field, .. } => {
            let mut names = path(base)?;
            names.push(field.clone());
            Some(names)
        }
        _ => None,
    }
}
