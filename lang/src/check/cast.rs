//! Written types, and conversions that the script asks for.

use crate::ast::{self, TypeKind, TypeOrExpr};
use crate::diag::Diagnostic;
use crate::hir::{Call, ExprKind, Int, Space, Type};
use crate::resolve::did_you_mean;
use crate::span::Span;

use super::convert::cast;
use super::{Checker, Typed, Value};

/// Names of integer types and what they are.
const INTEGERS: &[(&str, u8, bool)] = &[
    ("int8", 1, true),
    ("int16", 2, true),
    ("int32", 4, true),
    ("int64", 8, true),
    ("uint8", 1, false),
    ("uint16", 2, false),
    ("uint32", 4, false),
    ("uint64", 8, false),
    ("char", 1, true),
    ("signed char", 1, true),
    ("unsigned char", 1, false),
    ("short", 2, true),
    ("unsigned short", 2, false),
    ("int", 4, true),
    ("unsigned", 4, false),
    ("unsigned int", 4, false),
    ("long", 8, true),
    ("unsigned long", 8, false),
    ("long long", 8, true),
    ("unsigned long long", 8, false),
    ("size_t", 8, false),
    ("ssize_t", 8, true),
    ("loff_t", 8, true),
    ("off_t", 8, true),
    ("pid_t", 4, true),
    ("uid_t", 4, false),
    ("gid_t", 4, false),
    ("umode_t", 2, false),
    ("dev_t", 4, false),
    ("uintptr_t", 8, false),
    ("intptr_t", 8, true),
    ("uint8_t", 1, false),
    ("uint16_t", 2, false),
    ("uint32_t", 4, false),
    ("uint64_t", 8, false),
    ("int8_t", 1, true),
    ("int16_t", 2, true),
    ("int32_t", 4, true),
    ("int64_t", 8, true),
    ("u8", 1, false),
    ("u16", 2, false),
    ("u32", 4, false),
    ("u64", 8, false),
    ("s8", 1, true),
    ("s16", 2, true),
    ("s32", 4, true),
    ("s64", 8, true),
    ("__u8", 1, false),
    ("__u16", 2, false),
    ("__u32", 4, false),
    ("__u64", 8, false),
    ("__s8", 1, true),
    ("__s16", 2, true),
    ("__s32", 4, true),
    ("__s64", 8, true),
    ("__be16", 2, false),
    ("__be32", 4, false),
    ("__be64", 8, false),
    ("__le16", 2, false),
    ("__le32", 4, false),
    ("__le64", 8, false),
];

/// The integer type of a C name, `const` ignored.
pub(super) fn c_integer(name: &str) -> Option<Int> {
    let words: Vec<&str> =
        name.split_whitespace().filter(|w| !matches!(*w, "const" | "volatile")).collect();
    let name = words.join(" ");
    let name = name.strip_suffix(" int").filter(|n| *n != "unsigned").unwrap_or(&name);
    INTEGERS
        .iter()
        .find(|(n, ..)| *n == name)
        .map(|(_, size, signed)| Int { size: *size, signed: *signed })
}

impl Checker<'_> {
    /// The type that is written.
    pub fn written_type(&mut self, ty: &ast::Type) -> Typed<Type> {
        match &ty.kind {
            TypeKind::Name(name) => self.named_type(name, ty.span),
            TypeKind::Array(elem, len) => self.array_type(elem, len.as_deref(), ty.span),
            TypeKind::Pointer(to) => {
                let to = match &to.kind {
                    TypeKind::Name(name) if name == "void" => Type::Void,
                    _ => self.written_type(to)?,
                };
                Ok(Type::Ptr { to: Box::new(to), space: self.pointer_space() })
            }
            TypeKind::Struct(name) => Err(self.unsupported(ty.span, format!("struct {name}"))),
            TypeKind::Union(name) => Err(self.unsupported(ty.span, format!("union {name}"))),
            TypeKind::Enum(name) => Err(self.unsupported(ty.span, format!("enum {name}"))),
            TypeKind::TypeOf(of) => match &**of {
                TypeOrExpr::Type(ty) => self.written_type(ty),
                TypeOrExpr::Expr(expr) => self.type_of(expr),
            },
        }
    }

    /// `typeof(e)`; of a map with keys, the type of its keys.
    pub fn type_of(&mut self, expr: &ast::Expr) -> Typed<Type> {
        if let ast::ExprKind::Map { name, key: None } = &expr.kind {
            let map = self.whole_map(name, expr.span)?;
            let entry = self.maps.get(map).filter(|e| e.keyed == Some(true));
            if let Some(entry) = entry {
                let key = entry.key.clone();
                return key.map(|k| k.ty).ok_or_else(|| self.unknown_map(map, expr.span));
            }
        }
        Ok(self.value(expr)?.expr.ty)
    }

    fn named_type(&mut self, name: &str, span: Span) -> Typed<Type> {
        if let Some(int) = c_integer(name) {
            return Ok(Type::Int(int));
        }
        match name {
            "bool" | "_Bool" => Ok(Type::Bool),
            // Without a size: of the value that is put into it.
            "string" => Ok(Type::Str { size: 0 }),
            "username_t" => Ok(Type::Username),
            "void" => Ok(Type::Void),
            _ => {
                let error =
                    Diagnostic::error("unknown-type", span, format!("there is no type `{name}`"));
                let names = INTEGERS.iter().map(|(n, ..)| *n).chain(["bool", "string"]);
                Err(self.error(did_you_mean(error, name, names)))
            }
        }
    }

    fn array_type(&mut self, elem: &ast::Type, len: Option<&ast::Expr>, span: Span) -> Typed<Type> {
        let elem_type = self.written_type(elem)?;
        let Some(len) = len else {
            return Err(self.unsupported(span, "arrays without a length"));
        };
        let n =
            super::fold::int_literal(len).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        let Some(n) = n else {
            return Err(self.error(Diagnostic::error(
                "not-a-literal",
                len.span,
                "a length is a literal above 0",
            )));
        };
        Ok(match elem_type {
            Type::Str { size: 0 } => Type::Str { size: n },
            elem => Type::Array { elem: Box::new(elem), len: n },
        })
    }

    /// `(T)operand`
    pub fn cast_expr(&mut self, ty: &ast::Type, operand: &ast::Expr, span: Span) -> Typed {
        let (to, value) = (self.written_type(ty), self.value(operand));
        let (to, value) = (to?, value?);
        match (&value.expr.ty, &to) {
            (from, to) if from == to => {
                Ok(Value { literal: false, flex: Default::default(), ..value })
            }
            (
                Type::Int(_) | Type::Bool | Type::Ptr { .. } | Type::Enum(_),
                Type::Int(_) | Type::Bool | Type::Enum(_),
            ) => self.explicit(value, to, span),
            // Their numbers, for calculating with.
            (Type::KSym | Type::Username, Type::Int(_)) => self.explicit(value, to, span),
            (Type::Int(_) | Type::Ptr { .. }, Type::Ptr { to: pointee, .. }) => {
                // A pointer stays in its space.
                let space = match &value.expr.ty {
                    Type::Ptr { space, .. } => *space,
                    _ => self.pointer_space(),
                };
                let space = if space == Space::Own { Space::Kernel } else { space };
                let to = Type::Ptr { to: pointee.clone(), space };
                self.explicit(value, to, span)
            }
            (Type::Str { size }, Type::Str { size: 0 }) => {
                let to = Type::Str { size: *size };
                self.explicit(value, to, span)
            }
            (Type::Str { size: from }, Type::Str { size }) if from <= size => {
                self.explicit(value, to, span)
            }
            // Whether there is any text.
            (Type::Str { .. }, Type::Bool) => {
                let empty = super::convert::text(Vec::new(), span);
                self.operate(ast::BinaryOp::Ne, value, empty, span)
            }
            (Type::Int(_), Type::Username) => {
                let id = cast(value.expr, &Type::U64);
                Ok(Value::new(ExprKind::Call(Box::new(Call::Mark(id))), Type::Username, span))
            }
            (Type::Array { .. } | Type::Str { .. }, Type::Int(_) | Type::Array { .. })
            | (Type::Int(_) | Type::Bool, Type::Array { .. }) => {
                Err(self.unsupported(span, "casts from and to arrays"))
            }
            (from, to) => {
                let (from, to) = (self.show(from), self.show(to));
                Err(self.error(Diagnostic::error(
                    "bad-cast",
                    span,
                    format!("a value of type {from} cannot become {to}"),
                )))
            }
        }
    }

    fn explicit(&mut self, value: Value, to: Type, span: Span) -> Typed {
        let mut expr = cast(value.expr, &to);
        expr.span = span;
        Ok(Value::from(expr))
    }

    /// A type as scripts write it.
    pub fn show(&self, ty: &Type) -> String {
        crate::dump::hir::type_name(ty, &self.program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_c_integers() {
        assert_eq!(c_integer("unsigned long int"), Some(Int::U64));
        assert_eq!(c_integer("const char"), Some(Int { size: 1, signed: true }));
        assert_eq!(c_integer("unsigned int"), Some(Int::U32));
        assert_eq!(c_integer("struct x"), None);
    }
}
