//! Types.

use crate::ast::{Expr, ExprKind, Type, TypeKind, TypeOrExpr};

use super::Printer;
use super::lines::Lines;

impl Printer<'_> {
    pub(super) fn ty(&mut self, ty: &Type, width: usize) -> Lines {
        match &ty.kind {
            TypeKind::Name(name) => Lines::of(name),
            TypeKind::Struct(name) => Lines::of(format!("struct {name}")),
            TypeKind::Union(name) => Lines::of(format!("union {name}")),
            TypeKind::Enum(name) => Lines::of(format!("enum {name}")),
            TypeKind::Pointer(to) => self.ty(to, width).text("*"),
            TypeKind::Array(of, size) => {
                let of = self.ty(of, width).text("[");
                let size = size.as_ref().map_or("", |size| self.source.token(size.span.start));
                of.text(size).text("]")
            }
            TypeKind::TypeOf(of) => self.type_or_expr("typeof(", of, width).text(")"),
        }
    }

    /// What stands in brackets after `sizeof` and the like, after the word and the bracket.
    pub(super) fn type_or_expr(&mut self, word: &str, of: &TypeOrExpr, width: usize) -> Lines {
        let width = width.saturating_sub(word.len() + 1);
        let of = match of {
            TypeOrExpr::Type(ty) => self.ty(ty, width),
            // Without its brackets it would be a type.
            TypeOrExpr::Expr(e) if self.is_bracketed(e) && reads_as_type(e) => {
                Lines::of("(").beside(self.expr(e, width, true)).text(")")
            }
            TypeOrExpr::Expr(e) => self.expr(e, width, true),
        };
        Lines::of(word).beside(of)
    }

    fn is_bracketed(&self, e: &Expr) -> bool {
        self.source.from(e.span.start).starts_with('(')
    }
}

/// Whether an expression can be taken for a type: `name`, `name[4]`.
fn reads_as_type(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Ident(_) => true,
        ExprKind::Index { base, .. } => reads_as_type(base),
        _ => false,
    }
}
