//! Members, elements and what pointers point to.

use rbtrace_probes_ebpf::kinds::hidden;
use rbtrace_probes_ebpf::types as plan;

use crate::ast::{self, BinaryOp};
use crate::catalog::ctypes::Origin;
use crate::catalog::{TracepointField, TracepointFormat};
use crate::diag::Diagnostic;
use crate::hir::{Expr, ExprKind, Field, Int, Record, RecordId, Space, Type};
use crate::resolve::did_you_mean;
use crate::span::Span;

use super::{Checker, Stop, Typed, Value};

/// The first bytes of a tracepoint's record, which programs may not read.
const COMMON: u32 = 8;

impl Checker<'_> {
    /// `*pointer`. A number is taken for the address of a `uint64`.
    pub fn deref(&mut self, value: Value, span: Span) -> Typed {
        let pointer = match &value.expr.ty {
            Type::Ptr { .. } => value.expr,
            Type::Int(_) => {
                let ty = Type::Ptr { to: Box::new(Type::U64), space: self.pointer_space() };
                super::convert::cast(value.expr, &ty)
            }
            // `*args`, as older scripts write it.
            Type::Record(_) | Type::Tuple(_) => return Ok(value),
            ty => {
                let found = self.show(ty);
                return Err(self.error(
                    Diagnostic::error("bad-operand", span, "* reads what a pointer points to")
                        .label(format!("expected a pointer, found {found}")),
                ));
            }
        };
        let to = match &pointer.ty {
            // kptr() and uptr() of a number.
            Type::Ptr { to, .. } if **to == Type::Void => Type::U64,
            Type::Ptr { to, .. } => (**to).clone(),
            _ => Type::U64,
        };
        self.sized(&to, pointer.span)?;
        let space = space_of(&pointer.ty);
        let typed = Type::Ptr { to: Box::new(to.clone()), space };
        let pointer = super::convert::cast(pointer, &typed);
        Ok(Value::new(ExprKind::Load(Box::new(pointer)), to, span))
    }

    /// `base.field`. Pointers are followed to what has members.
    pub fn member(&mut self, base: &ast::Expr, field: &ast::Ident, span: Span) -> Typed {
        if let ast::ExprKind::TypeInfo(of) = &base.kind
            && let Some(known) = self.type_info_member(of, field, span)
        {
            return known;
        }
        if super::comptime::is_config(base)
            && let Some((_, known)) =
                self.config_members(span).into_iter().find(|(name, _)| *name == field.name)
        {
            return Ok(known);
        }
        if let Some(found) = self.packet_member(base, field, span) {
            return found;
        }
        if let Some(argument) = self.function_arg(base, field, span) {
            return argument;
        }
        let mut value = self.value(base)?;
        while let Type::Ptr { to, .. } = &value.expr.ty
            && let Type::Ptr { .. } | Type::Record(_) | Type::Tuple(_) = **to
        {
            value = self.deref(value, base.span)?;
        }
        match value.expr.ty.clone() {
            Type::Tuple(members) => self.tuple_member(value, &members, field, span),
            Type::Record(id) => self.record_member(value, id, field, span),
            ty => {
                let found = self.show(&ty);
                let error = Diagnostic::error(
                    "bad-member",
                    field.span,
                    format!("there is no `{}` in this", field.name),
                )
                .also(base.span, format!("a value of type {found} has no members"));
                Err(self.error(match ty {
                    Type::Ptr { .. } | Type::Int(_) => {
                        error.help("cast it to what it points to: ((struct NAME *)p).field")
                    }
                    _ => error,
                }))
            }
        }
    }

    fn tuple_member(
        &mut self,
        base: Value,
        members: &[(String, Type)],
        field: &ast::Ident,
        span: Span,
    ) -> Typed {
        let found = match field.name.parse::<usize>() {
            Ok(i) => Some(i).filter(|i| *i < members.len()),
            Err(_) => members.iter().position(|(name, _)| *name == field.name),
        };
        let Some((i, (_, ty))) = found.and_then(|i| members.get(i).map(|m| (i, m))) else {
            let shown = self.show(&base.expr.ty);
            let error = Diagnostic::error(
                "bad-member",
                field.span,
                format!("there is no member `{}` in {shown}", field.name),
            );
            let names = members.iter().map(|(name, _)| name.as_str()).filter(|n| !n.is_empty());
            return Err(self.error(did_you_mean(error, &field.name, names)));
        };
        let flex = base.flex.member(i);
        let kind = ExprKind::Field { base: Box::new(base.expr), field: i as u32 };
        Ok(Value { flex, ..Value::new(kind, ty.clone(), span) })
    }

    fn record_member(
        &mut self,
        base: Value,
        id: RecordId,
        field: &ast::Ident,
        span: Span,
    ) -> Typed {
        self.sized(&base.expr.ty, base.expr.span)?;
        let Some(record) = self.program.records.get(id.index()) else { return Err(Stop::Reported) };
        let Some(index) = record.fields.iter().position(|f| f.name == field.name) else {
            let shown = self.show(&base.expr.ty);
            let error = Diagnostic::error(
                "unknown-field",
                field.span,
                format!("there is no field `{}` in {shown}", field.name),
            )
            .note(field_list(record));
            let names = record.fields.iter().map(|f| f.name.as_str());
            let error = did_you_mean(error, &field.name, names);
            return Err(self.error(error));
        };
        let Some(found) = record.fields.get(index).cloned() else { return Err(Stop::Reported) };
        let in_context = matches!(base.expr.kind, ExprKind::TracepointRecord);
        if in_context && found.offset < COMMON {
            return Err(self.error(Diagnostic::error(
                "unreadable-field",
                field.span,
                "the kernel does not let programs read the common fields of a tracepoint",
            )));
        }
        let is_context =
            matches!(&base.expr.kind, ExprKind::Load(at) if space_of(&at.ty) == Space::Own);
        if is_context && hidden::is_hidden(self.at.kind, &record.name, &field.name) {
            let kind = self.at.spec().name;
            return Err(self.error(Diagnostic::error(
                "unreadable-field",
                field.span,
                format!("the kernel does not let `{kind}` programs read `{}`", field.name),
            )));
        }
        let ty = match self.member_type(id, index) {
            Some(ty) => {
                let space = self.space_in(&base.expr);
                pointing(self.value_type(&ty, space))
            }
            None => found.ty,
        };
        if ty == Type::Void {
            return Err(self.error(
                Diagnostic::error(
                    "unreadable-field",
                    field.span,
                    format!("`{}` is of a type that programs cannot hold", field.name),
                )
                .note("floating-point numbers and types that are only declared cannot be read"),
            ));
        }
        let kind = ExprKind::Field { base: Box::new(base.expr), field: index as u32 };
        let value = Value::new(kind, ty, span);
        Ok(if in_context { value } else { ended(value) })
    }

    /// Where the pointers in a value point.
    fn space_in(&self, expr: &Expr) -> Space {
        match &expr.kind {
            ExprKind::Load(pointer) => match space_of(&pointer.ty) {
                Space::Own => Space::Kernel,
                space => space,
            },
            ExprKind::Field { base, .. } | ExprKind::Index { base, .. } => self.space_in(base),
            _ => {
                let origin = match &expr.ty {
                    Type::Record(id) => self.program.records.get(id.index()).and_then(|r| r.origin),
                    _ => None,
                };
                match origin {
                    Some(Origin::Kernel) => Space::Kernel,
                    Some(Origin::User) => Space::User,
                    _ => self.pointer_space(),
                }
            }
        }
    }

    /// The value of an index, which is a number.
    pub fn index_number(&mut self, value: Value, span: Span) -> Typed {
        if matches!(value.expr.ty, Type::Int(_)) {
            return Ok(value);
        }
        let found = self.show(&value.expr.ty);
        Err(self.error(
            Diagnostic::error("bad-index", span, "an index is a number")
                .label(format!("found {found}")),
        ))
    }

    /// `base[index]`
    pub fn index(&mut self, base: &ast::Expr, index: &ast::Expr, span: Span) -> Typed {
        if let Some(payload) = self.payload(base) {
            return self.payload_byte(payload, index, span);
        }
        let (value, at) = (self.value(base), self.value(index));
        let (value, at) = (value?, at?);
        let at = self.index_number(at, index.span)?;
        let literal = if let (true, ExprKind::Int(n)) = (at.literal, &at.expr.kind) {
            Some(*n)
        } else {
            None
        };
        match value.expr.ty.clone() {
            Type::Ptr { to, .. } if *to == Type::Void => Err(self.error(
                Diagnostic::error(
                    "bad-index",
                    base.span,
                    "nothing is known of what this points to",
                )
                .help("cast it first: ((uint64 *)p)[0]"),
            )),
            Type::Ptr { .. } => {
                let element = self.offset(BinaryOp::Add, value, at, span);
                self.deref(element, span)
            }
            Type::Tuple(members) => {
                let Some(n) = literal else {
                    return Err(self.error(Diagnostic::error(
                        "not-a-literal",
                        index.span,
                        "the members of a tuple are of different types: the index must be a literal",
                    )));
                };
                let field = ast::Ident { name: n.to_string(), span: index.span };
                self.tuple_member(value, &members, &field, span)
            }
            Type::Array { elem, len } => {
                if let Some(n) = literal
                    && !(0..i64::from(len)).contains(&n)
                {
                    // An array at the end of a struct is as long as what follows it.
                    if n < 0 || len > 0 {
                        return Err(self.error(Diagnostic::error(
                            "bad-index",
                            index.span,
                            format!("there is no element {n} in an array of {len}"),
                        )));
                    }
                }
                if literal.is_none() && is_in_context(&value.expr) {
                    return Err(self.error(Diagnostic::error(
                        "not-a-literal",
                        index.span,
                        "what the kernel tells of a packet is read at fixed places: the index must be a literal",
                    )));
                }
                let index = super::convert::cast(at.expr, &Type::U64);
                let kind = ExprKind::Index { base: Box::new(value.expr), index: Box::new(index) };
                Ok(ended(Value::new(kind, *elem, span)))
            }
            Type::Str { size } => {
                if let Some(n) = literal
                    && !(0..i64::from(size)).contains(&n)
                {
                    return Err(self.error(Diagnostic::error(
                        "bad-index",
                        index.span,
                        format!("there is no byte {n} in a string of {size}"),
                    )));
                }
                let index = super::convert::cast(at.expr, &Type::U64);
                let base = Box::new(unended(value.expr));
                let kind = ExprKind::Index { base, index: Box::new(index) };
                Ok(Value::new(kind, Type::Int(Int { size: 1, signed: true }), span))
            }
            ty => {
                let found = self.show(&ty);
                Err(self.error(
                    Diagnostic::error("bad-index", base.span, "this has no elements")
                        .label(format!("expected an array, a pointer or a tuple, found {found}")),
                ))
            }
        }
    }

    /// `args`: the record of the tracepoint, or the parameters of the function.
    pub fn args(&mut self, span: Span) -> Typed {
        use rbtrace_probes_ebpf::kinds::ProbeKind;
        if let Some(id) = self.at.args {
            return Ok(Value::new(ExprKind::TracepointRecord, Type::Record(id), span));
        }
        let name = self.at.probes.first().map(|(_, p)| p.name.clone()).unwrap_or_default();
        match self.at.kind {
            ProbeKind::Tracepoint => Err(self.error(
                Diagnostic::error("no-format", span, format!("the fields of {name} are not known"))
                    .note("they are read from its format file in tracefs"),
            )),
            ProbeKind::Uprobe
            | ProbeKind::Fentry
            | ProbeKind::Fexit
            | ProbeKind::Lsm
            | ProbeKind::RawTracepoint => self.function_args(span),
            _ => {
                let kind = self.at.spec().name;
                let error = Diagnostic::error(
                    "builtin-not-here",
                    span,
                    format!("`{kind}` probes have no args"),
                );
                let error = match (self.at.spec().has_args, self.at.kind) {
                    (true, _) => error.help("its arguments are arg0, arg1 and so on"),
                    (false, ProbeKind::Iter) => error.help("what it has come to is ctx.NAME"),
                    (false, _) => error,
                };
                Err(self.error(error))
            }
        }
    }
}

/// A `char` array as a string: with room for a NUL where the array has none.
fn ended(value: Value) -> Value {
    let Type::Str { size } = value.expr.ty else { return value };
    Value::from(super::convert::cast(value.expr, &Type::Str { size: size + 1 }))
}

/// The `char` array that a string is made of, or the string itself.
pub(super) fn unended(expr: Expr) -> Expr {
    match expr.kind {
        ExprKind::Cast(inner)
            if matches!(inner.ty, Type::Str { .. })
                && matches!(inner.kind, ExprKind::Field { .. } | ExprKind::Index { .. }) =>
        {
            *inner
        }
        kind => Expr { kind, ..expr },
    }
}

/// What a pointer of the kernel points to is the kernel's if it is a struct; text and numbers may
/// be a process's.
pub(super) fn pointing(ty: Type) -> Type {
    match ty {
        Type::Ptr { to, space: Space::Kernel }
            if !matches!(*to, Type::Record(_) | Type::Ptr { .. }) =>
        {
            Type::Ptr { to, space: Space::Unknown }
        }
        ty => ty,
    }
}

fn space_of(ty: &Type) -> Space {
    match ty {
        Type::Ptr { space, .. } => *space,
        _ => Space::Unknown,
    }
}

/// Whether a value is a part of the context of a packet.
fn is_in_context(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Load(at) => space_of(&at.ty) == Space::Own,
        ExprKind::Field { base, .. } | ExprKind::Index { base, .. } => is_in_context(base),
        _ => false,
    }
}

fn field_list(record: &Record) -> String {
    const MOST: usize = 12;
    let first = if record.origin.is_none() { COMMON } else { 0 };
    let names: Vec<_> =
        record.fields.iter().filter(|f| f.offset >= first).map(|f| f.name.as_str()).collect();
    let shown: Vec<_> = names.iter().take(MOST).copied().collect();
    let more = if names.len() > MOST { ", ..." } else { "" };
    format!("its fields are {}{more}", shown.join(", "))
}

impl Checker<'_> {
    /// The record of a tracepoint. `user`: pointers in it are of user space.
    pub(super) fn tracepoint_record(
        &mut self,
        name: &str,
        format: &TracepointFormat,
        user: bool,
    ) -> Record {
        let space = if user { Space::User } else { Space::Unknown };
        let field = |f: &TracepointField| Field {
            name: f.field.name.clone(),
            offset: f.field.offset,
            // What such a field says is where its data is, in the record.
            ty: match f.data_loc {
                Some(_) => Type::Ptr { to: Box::new(element_of(&f.c_type)), space: Space::Kernel },
                None => self.field_type(&f.field.ty, &f.c_type, space),
            },
            bits: f.field.bits,
            data_loc: f.data_loc,
        };
        let fields = format.fields.iter().map(field).collect();
        let end = format.fields.iter().map(|f| f.field.offset + f.field.ty.size()).max();
        let category = name.split_once(':').map_or(name, |(_, rest)| rest);
        let size = end.unwrap_or_default();
        Record { name: category.to_owned(), union: false, size, fields, origin: None }
    }

    fn field_type(&mut self, ty: &plan::Type, c_type: &str, space: Space) -> Type {
        match ty {
            plan::Type::Int { size, signed } | plan::Type::Enum { size, signed, .. } => {
                Type::Int(Int { size: *size, signed: *signed })
            }
            plan::Type::Bool => Type::Bool,
            plan::Type::Str { size } => Type::Str { size: *size },
            plan::Type::Ptr => Type::Ptr { to: Box::new(self.pointee(c_type, space)), space },
            plan::Type::Array { elem, len } => {
                Type::Array { elem: Box::new(self.field_type(elem, c_type, space)), len: *len }
            }
            other => Type::Array {
                elem: Box::new(Type::Int(Int { size: 1, signed: false })),
                len: other.size(),
            },
        }
    }

    /// What a C pointer type points to: `const char *` to `int8`, `char **` to a pointer, `struct
    /// stat *` to the kernel's struct, which is only looked into when a member is asked for.
    fn pointee(&mut self, c_type: &str, space: Space) -> Type {
        let Some(inner) = c_type.trim_end().strip_suffix('*') else { return Type::Void };
        let inner = inner.trim().trim_end_matches("const").trim_end();
        if inner.ends_with('*') || inner.ends_with("*const") {
            return Type::Ptr { to: Box::new(self.pointee(inner, space)), space };
        }
        let inner = inner.trim_start_matches("const").trim_start();
        match inner.strip_prefix("struct ") {
            Some(name) => self.kernel_struct(name.trim()),
            None => super::cast::c_integer(inner).map_or(Type::Void, Type::Int),
        }
    }
}

/// The type of an element of a dynamic array: `__data_loc char[]`.
fn element_of(c_type: &str) -> Type {
    let name = c_type.replace("__data_loc", "").replace("__rel_loc", "");
    let name = name.trim().trim_end_matches("[]").trim();
    super::cast::c_integer(name).map_or(Type::Void, Type::Int)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dynamic_arrays() {
        let char_type = Type::Int(Int { size: 1, signed: true });
        assert_eq!(element_of("__data_loc char[]"), char_type);
    }
}
