//! Types as written.

use crate::ast::{Expr, ExprKind, Type, TypeKind, TypeOrExpr};

use super::{Builder, Node, Rule};

impl Builder {
    /// A `type` pair.
    pub(super) fn ty(&self, pair: Node) -> Type {
        let span = self.span(&pair);
        let unknown = || Type { kind: TypeKind::Name(String::new()), span };
        let levels = self.parts(pair.clone()).count() as u32;
        let build = || {
            let mut parts = self.parts(pair);
            let Some(base) = parts.next() else {
                self.missing(span);
                return unknown();
            };
            let mut ty = self.base_type(base);
            for suffix in parts {
                let span = ty.span.to(self.span(&suffix));
                let mut size = None;
                let mut is_pointer = false;
                for part in self.parts(suffix) {
                    match part.as_rule() {
                        Rule::pointer => is_pointer = true,
                        Rule::integer => {
                            let kind = ExprKind::Int(self.integer(&part));
                            size = Some(Box::new(Expr { kind, span: self.span(&part) }));
                        }
                        _ => {}
                    }
                }
                let inner = Box::new(ty);
                let kind = if is_pointer {
                    TypeKind::Pointer(inner)
                } else {
                    TypeKind::Array(inner, size)
                };
                ty = Type { kind, span };
            }
            ty
        };
        self.deeper(levels, span, build, unknown)
    }

    fn base_type(&self, pair: Node) -> Type {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::type_name => {
                TypeKind::Name(pair.as_str().split_whitespace().collect::<Vec<_>>().join(" "))
            }
            Rule::type_tagged => {
                let mut parts = self.parts(pair);
                let tag = parts.next().map_or("", |p| p.as_str());
                let name = parts.next().map_or("", |p| p.as_str()).to_owned();
                match tag {
                    "union" => TypeKind::Union(name),
                    "enum" => TypeKind::Enum(name),
                    _ => TypeKind::Struct(name),
                }
            }
            _ => match self.type_or_expr_in(pair) {
                Some(of) => TypeKind::TypeOf(Box::new(of)),
                None => {
                    self.missing(span);
                    TypeKind::Name(String::new())
                }
            },
        };
        Type { kind, span }
    }

    /// The `type_or_expr` among the parts of a pair.
    pub(super) fn type_or_expr_in(&self, pair: Node) -> Option<TypeOrExpr> {
        let operand = self.parts(pair).find(|p| p.as_rule() == Rule::type_or_expr)?;
        let part = self.parts(operand).next()?;
        Some(match part.as_rule() {
            Rule::expr => TypeOrExpr::Expr(Box::new(self.expr(part))),
            _ => TypeOrExpr::Type(self.ty(part)),
        })
    }
}
