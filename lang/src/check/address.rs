//! Addresses of variables, of maps' values and of what pointers lead to; sizes and offsets.

use crate::ast::{self, ExprKind as Ast};
use crate::catalog::ctypes::Tag;
use crate::diag::Diagnostic;
use crate::hir::{self, BinaryOp, Expr, ExprKind, RecordId, Space, Type};
use crate::resolve::did_you_mean;
use crate::span::Span;

use super::access::unended;
use super::constants::{self, Constant};
use super::convert::{cast, constant, number};
use super::records::Missing;
use super::types::size_of;
use super::{Checker, Stop, Typed, Value};

impl Checker<'_> {
    /// `&operand`
    pub fn address_of(&mut self, operand: &ast::Expr, span: Span) -> Typed {
        match &operand.kind {
            Ast::Map { name, key } => self.map_address(name, key.as_deref(), operand.span, span),
            _ => {
                let value = self.value(operand)?;
                self.settled()?;
                let to = value.expr.ty.clone();
                self.address(unended(value.expr), to, span)
            }
        }
    }

    /// The type of what an address is taken of must not change any more: a pointer to it would.
    fn settled(&mut self) -> Typed<()> {
        if self.changed && !self.last {
            self.unknown = true;
            return Err(Stop::Unknown);
        }
        Ok(())
    }

    /// The address of the value of an entry.
    fn map_address(
        &mut self,
        name: &str,
        key: Option<&ast::Expr>,
        place: Span,
        span: Span,
    ) -> Typed {
        let map = self.map_use(name, key.is_some(), place)?;
        let key = key.map(|key| self.map_key(map, key)).transpose()?;
        let Some(ty) = self.maps.value(map).cloned() else {
            return Err(self.unknown_map(map, place));
        };
        if let Type::Aggregate(_) = ty.ty {
            let shown = self.show(&ty.ty);
            return Err(self.error(Diagnostic::error(
                "no-address",
                span,
                format!("@{name} keeps a {shown} for each CPU, which has no one address"),
            )));
        }
        self.settled()?;
        let kind = ExprKind::MapAddress { map, key: key.map(Box::new) };
        let to = Box::new(ty.ty);
        Ok(Value::new(kind, Type::Ptr { to, space: Space::Kernel }, span))
    }

    /// The address of a value of type `to` that is somewhere.
    pub fn address(&mut self, expr: Expr, to: Type, span: Span) -> Typed {
        let place = expr.span;
        match expr.kind {
            ExprKind::Load(pointer) => {
                let space = match &pointer.ty {
                    Type::Ptr { space, .. } => *space,
                    _ => Space::Unknown,
                };
                Ok(Value::from(cast(*pointer, &Type::Ptr { to: Box::new(to), space })))
            }
            ExprKind::Local(local) => {
                if let Some(slot) = self.at.locals.get_mut(local.index()) {
                    slot.addressed = true;
                }
                let ty = Type::Ptr { to: Box::new(to), space: Space::Kernel };
                Ok(Value::new(ExprKind::AddressOf(local), ty, span))
            }
            ExprKind::Field { base, field } if !matches!(base.ty, Type::Tuple(_)) => {
                let found = match &base.ty {
                    Type::Record(id) => self.program.records.get(id.index()),
                    _ => None,
                };
                let found = found.and_then(|r| r.fields.get(field as usize)).cloned();
                let Some(found) = found else { return Err(Stop::Reported) };
                if found.bits.is_some() || found.data_loc.is_some() {
                    return Err(self.error(
                        Diagnostic::error(
                            "no-address",
                            span,
                            format!("`{}` has no address", found.name),
                        )
                        .note("it is a bitfield: only whole bytes have addresses"),
                    ));
                }
                let base_type = base.ty.clone();
                let start = self.address(*base, base_type, span)?;
                Ok(moved(start, constant(i64::from(found.offset), Type::I64, place), to, span))
            }
            ExprKind::Index { base, index } => {
                let elem = match &base.ty {
                    Type::Array { elem, .. } => size_of(elem, &self.program),
                    _ => 1,
                };
                let base_type = base.ty.clone();
                let start = self.address(*base, base_type, span)?;
                let index = Value::from(cast(*index, &Type::I64));
                let elem = Value::from(constant(i64::from(elem), Type::I64, place));
                let distance = self.operate(BinaryOp::Mul, index, elem, place)?;
                Ok(moved(start, cast(distance.expr, &Type::I64), to, span))
            }
            _ => Err(self.error(
                Diagnostic::error("no-address", span, "this has no address")
                    .label("expected a variable, a map's value or what a pointer leads to"),
            )),
        }
    }

    /// Bytes that values of a type take; reads the members of the records in it.
    pub fn sized(&mut self, ty: &Type, span: Span) -> Typed<u32> {
        match ty {
            Type::Record(id) => {
                if let Err(missing) = self.complete(*id) {
                    return Err(self.missing_members(*id, missing, span));
                }
            }
            Type::Array { elem, .. } => {
                self.sized(elem, span)?;
            }
            Type::Tuple(members) => {
                for (_, member) in members {
                    self.sized(member, span)?;
                }
            }
            _ => {}
        }
        Ok(size_of(ty, &self.program))
    }

    fn missing_members(&mut self, id: RecordId, missing: Missing, span: Span) -> Stop {
        let shown = self.show(&Type::Record(id));
        let error = Diagnostic::error(
            "incomplete-type",
            span,
            format!("the members of {shown} are not known"),
        );
        self.error(match missing {
            Missing::Incomplete => error
                .note("it is declared, but its definition is nowhere")
                .help(format!("write it at the start of the script: {shown} {{ ... }};")),
            Missing::Unknown => error
                .note("the kernel says nothing of it: /sys/kernel/btf/vmlinux has its types")
                .help(format!("write it at the start of the script: {shown} {{ ... }};")),
        })
    }

    /// An error about a name of a type that is nowhere.
    pub fn unknown_type(&mut self, tag: Tag, name: &str, span: Span) -> Stop {
        let (code, kind) = match tag {
            Tag::Struct => ("unknown-type", "struct "),
            Tag::Union => ("unknown-type", "union "),
            Tag::Enum => ("unknown-type", "enum "),
            Tag::Name => ("unknown-type", "type "),
        };
        let mut error = Diagnostic::error(code, span, format!("there is no {kind}`{name}`"));
        let declared = self.c.type_names(tag);
        error = match tag {
            Tag::Name => did_you_mean(error, name, declared.chain(super::cast::names())),
            _ => did_you_mean(error, name, declared),
        };
        if let Some(header) = self.c.missing_headers().first() {
            error = error.also(header.span, format!("{} is not there to be read", header.name));
        }
        self.error(error)
    }

    /// `sizeof(...)`
    pub fn size_of(&mut self, of: &ast::TypeOrExpr, span: Span) -> Typed {
        let ty = match of {
            ast::TypeOrExpr::Type(ty) => self.type_or_value(ty)?,
            ast::TypeOrExpr::Expr(expr) => self.type_of(expr)?,
        };
        let size = self.sized(&ty, span)?;
        Ok(number(u64::from(size), span))
    }

    /// A written type; a name that is none of a type is one of a value.
    fn type_or_value(&mut self, ty: &ast::Type) -> Typed<Type> {
        if let ast::TypeKind::Name(name) = &ty.kind
            && !super::cast::is_builtin_type(name)
            && self.find_type(Tag::Name, name).is_none()
            && let Some(Constant::Variant { of, .. }) = constants::find(name, self)
            && let Some(found) = self.enum_of_constants(of)
        {
            return Ok(found);
        }
        self.written_type(ty)
    }

    /// `offsetof(of, path)`
    pub fn offset_of(&mut self, of: &ast::TypeOrExpr, path: &[ast::Ident], span: Span) -> Typed {
        let mut ty = match of {
            ast::TypeOrExpr::Type(ty) => self.written_type(ty)?,
            ast::TypeOrExpr::Expr(expr) => self.type_of(expr)?,
        };
        let mut offset = 0u32;
        for name in path {
            self.sized(&ty, span)?;
            let (field, shown) = (self.field_named(&ty, &name.name), self.show(&ty));
            let Some(field) = field else {
                let error = Diagnostic::error(
                    "unknown-field",
                    name.span,
                    format!("there is no field `{}` in {shown}", name.name),
                );
                let names = match &ty {
                    Type::Record(id) => self.program.records.get(id.index()),
                    _ => None,
                };
                let names = names.into_iter().flat_map(|r| r.fields.iter().map(|f| &*f.name));
                let error = did_you_mean(error, &name.name, names);
                return Err(self.error(error));
            };
            offset = offset.saturating_add(field.offset);
            ty = field.ty;
        }
        Ok(number(u64::from(offset), span))
    }

    fn field_named(&self, ty: &Type, name: &str) -> Option<hir::Field> {
        let Type::Record(id) = ty else { return None };
        let record = self.program.records.get(id.index())?;
        record.fields.iter().find(|field| field.name == name).cloned()
    }
}

/// A pointer `distance` bytes further on, to something else.
fn moved(start: Value, distance: Expr, to: Type, span: Span) -> Value {
    let space = match &start.expr.ty {
        Type::Ptr { space, .. } => *space,
        _ => Space::Unknown,
    };
    let ty = Type::Ptr { to: Box::new(to), space };
    if matches!(distance.kind, ExprKind::Int(0)) {
        return Value::from(cast(start.expr, &ty));
    }
    let left = Box::new(start.expr);
    let kind = ExprKind::Binary { op: BinaryOp::Add, left, right: Box::new(distance) };
    Value::new(kind, ty, span)
}
