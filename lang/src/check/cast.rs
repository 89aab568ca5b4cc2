//! Written types, and conversions that the script asks for.

use crate::ast::{self, TypeKind, TypeOrExpr};
use crate::catalog::ctypes::Tag;
use crate::diag::Diagnostic;
use crate::hir::{Call, ExprKind, Int, Space, Type};
use crate::span::Span;

use super::convert::cast;
use super::functions::text::{bytes_of_size, text_of_size};
use super::types::size_of;
use super::{Checker, Typed, Value};

/// Names of integer types and what they are.
pub(crate) const INTEGERS: &[(&str, u8, bool)] = &[
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

/// Names of types that are no integers, for those who look for one.
const OTHERS: &[&str] = &["bool", "string", "buffer", "inet", "macaddr_t"];
/// And names that are known besides.
const HIDDEN: &[&str] = &["_Bool", "username_t", "void"];

/// Names of the types that every script has.
pub(super) fn names<'a>() -> impl Iterator<Item = &'a str> {
    INTEGERS.iter().map(|(name, ..)| *name).chain(OTHERS.iter().copied())
}

/// Whether every script has a type of this name.
pub(super) fn is_builtin_type(name: &str) -> bool {
    OTHERS.contains(&name) || HIDDEN.contains(&name) || c_integer(name).is_some()
}

impl Checker<'_> {
    /// The type that is written.
    pub fn written_type(&mut self, ty: &ast::Type) -> Typed<Type> {
        match &ty.kind {
            TypeKind::Name(name) => self.named_type(name, ty.span),
            TypeKind::Array(elem, len) => self.array_type(elem, len.as_deref(), ty.span),
            TypeKind::Pointer(to) => {
                let to = self.written_type(to)?;
                Ok(Type::Ptr { to: Box::new(to), space: self.pointer_space() })
            }
            TypeKind::Struct(name) => self.tagged_type(Tag::Struct, name, ty.span),
            TypeKind::Union(name) => self.tagged_type(Tag::Union, name, ty.span),
            TypeKind::Enum(name) => {
                let at = self.find_type(Tag::Enum, name);
                match at.and_then(|at| self.enum_of_constants(at)) {
                    Some(found) => Ok(found),
                    None => Err(self.unknown_type(Tag::Enum, name, ty.span)),
                }
            }
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
            "buffer" => Ok(Type::Buf { size: 0 }),
            "inet" => Ok(Type::Inet),
            "macaddr_t" => Ok(Type::Mac),
            "username_t" => Ok(Type::Username),
            "void" => Ok(Type::Void),
            _ => self.tagged_type(Tag::Name, name, span),
        }
    }

    fn tagged_type(&mut self, tag: Tag, name: &str, span: Span) -> Typed<Type> {
        match self.named(tag, name) {
            Some(ty) => Ok(ty),
            None => Err(self.unknown_type(tag, name, span)),
        }
    }

    fn array_type(&mut self, elem: &ast::Type, len: Option<&ast::Expr>, span: Span) -> Typed<Type> {
        let elem_type = self.written_type(elem)?;
        if elem_type == Type::Void {
            return Err(self.error(
                Diagnostic::error("unknown-type", span, "there are no arrays of this")
                    .help("an array of pointers is void *[n]"),
            ));
        }
        // Of the value that is converted to it.
        let Some(len) = len else {
            return Ok(Type::Array { elem: Box::new(elem_type), len: 0 });
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
            Type::Buf { size: 0 } => Type::Buf { size: n },
            // Of either family, whatever the number says.
            Type::Inet => Type::Inet,
            elem => Type::Array { elem: Box::new(elem), len: n },
        })
    }

    /// `(T)operand`
    pub fn cast_expr(&mut self, ty: &ast::Type, operand: &ast::Expr, span: Span) -> Typed {
        let (to, value) = (self.written_type(ty), self.value(operand));
        let (to, value) = (to?, value?);
        self.variant_exists(&value, &to, span)?;
        let to = self.array_length(to, &value, span)?;
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
            (Type::Int(_) | Type::Ptr { .. }, Type::Ptr { .. }) => {
                // A pointer stays in its space.
                let space = match &value.expr.ty {
                    Type::Ptr { space, .. } => *space,
                    _ => self.pointer_space(),
                };
                // The context of a packet is made up by the kernel: only the program itself can read it.
                let is_made_up =
                    matches!(value.expr.ty, Type::Ptr { .. }) && self.at.kind.is_about_packets();
                let space = match space {
                    Space::Own if !is_made_up => Space::Kernel,
                    space => space,
                };
                let to = in_space(&to, space);
                // An address has no sign: it is filled up with zeros.
                let value = match value.expr.ty {
                    Type::Int(int) if int.signed && int.size < 8 => {
                        let bits = Type::Int(Int { signed: false, ..int });
                        self.explicit(value, bits, span)?
                    }
                    _ => value,
                };
                self.explicit(value, to, span)
            }
            (Type::Str { size }, Type::Str { size: 0 }) => {
                let to = Type::Str { size: *size };
                self.explicit(value, to, span)
            }
            (Type::Str { size: from }, Type::Str { size }) if from <= size => {
                self.explicit(value, to, span)
            }
            (Type::Int(_) | Type::Ptr { .. }, Type::Str { size: size @ 1.. }) => {
                Ok(text_of_size(self, value.expr, *size, span))
            }
            (Type::Int(_) | Type::Ptr { .. }, Type::Buf { size: size @ 1.. }) => {
                Ok(bytes_of_size(self, value.expr, *size, span))
            }
            (Type::Buf { size: from }, Type::Buf { size }) if from <= size || *size == 0 => {
                let to = Type::Buf { size: *from.max(size) };
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
            (Type::Int(_) | Type::Bool | Type::Enum(_), Type::Array { elem, .. })
                if matches!(**elem, Type::Int(_) | Type::Bool) =>
            {
                self.bytes_of_number(value, to, span)
            }
            (Type::Array { .. } | Type::Str { .. }, Type::Array { elem, .. })
                if matches!(**elem, Type::Int(_) | Type::Bool) =>
            {
                self.same_bytes(value, to, span)
            }
            (Type::Array { elem, .. }, Type::Int(_))
                if matches!(**elem, Type::Int(_) | Type::Bool) =>
            {
                self.same_bytes(value, to, span)
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

    /// A constant that is cast to an enum must be one of its values.
    fn variant_exists(&mut self, value: &Value, to: &Type, span: Span) -> Typed<()> {
        let (ExprKind::Int(n), Type::Enum(id), true) = (&value.expr.kind, to, value.literal) else {
            return Ok(());
        };
        let Some(found) = self.program.enums.get(id.index()) else { return Ok(()) };
        if found.variants.iter().any(|(value, _)| value == n) {
            return Ok(());
        }
        let names: Vec<_> = found.variants.iter().take(12).map(|(_, name)| name.as_str()).collect();
        let error = Diagnostic::error(
            "bad-cast",
            span,
            format!("{} has no variant of value {n}", self.show(to)),
        )
        .note(format!("its variants are {}", names.join(", ")));
        Err(self.error(error))
    }

    /// An array without a length takes that of the value that becomes it.
    fn array_length(&mut self, to: Type, value: &Value, span: Span) -> Typed<Type> {
        let Type::Array { elem, len: 0 } = to else { return Ok(to) };
        let (bytes, each) = (self.sized(&value.expr.ty, span)?, self.sized(&elem, span)?.max(1));
        if bytes == 0 || bytes % each != 0 {
            let found = self.show(&value.expr.ty);
            return Err(self.error(Diagnostic::error(
                "bad-cast",
                span,
                format!("the {bytes} bytes of {found} are no multiple of an element's {each}"),
            )));
        }
        Ok(Type::Array { elem, len: bytes / each })
    }

    /// `(uint8[8])number`: its bytes, with more of them if the array is larger.
    fn bytes_of_number(&mut self, value: Value, to: Type, span: Span) -> Typed {
        let (has, size) = (self.sized(&value.expr.ty, span)?, self.sized(&to, span)?);
        if size < has || size > 8 {
            return Err(self.other_size(&value, &to, span));
        }
        let signed = matches!(value.expr.ty, Type::Int(int) if int.signed);
        let int = Int { size: size.next_power_of_two() as u8, signed };
        let number = Value::from(cast(value.expr, &Type::Int(int)));
        self.explicit(number, to, span)
    }

    /// Bytes as what has as many of them.
    fn same_bytes(&mut self, value: Value, to: Type, span: Span) -> Typed {
        if self.sized(&value.expr.ty, span)? != self.sized(&to, span)? {
            return Err(self.other_size(&value, &to, span));
        }
        self.explicit(value, to, span)
    }

    fn other_size(&mut self, value: &Value, to: &Type, span: Span) -> super::Stop {
        let (from, into) = (self.show(&value.expr.ty), self.show(to));
        let (a, b) = (size_of(&value.expr.ty, &self.program), size_of(to, &self.program));
        self.error(
            Diagnostic::error(
                "bad-cast",
                span,
                format!("a value of type {from} cannot become {into}"),
            )
            .note(format!("one has {a} bytes, the other {b}")),
        )
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

/// A pointer, and the pointers that it leads to, into one space.
fn in_space(ty: &Type, space: Space) -> Type {
    match ty {
        Type::Ptr { to, .. } => Type::Ptr { to: Box::new(in_space(to, space)), space },
        ty => ty.clone(),
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
