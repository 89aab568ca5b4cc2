//! Packets: headers, their fields, and predicates on them.
//!
//! A block that mentions a header gets a variable for each thing that it wants to know of the packet,
//! which the program sets when it begins: see [`ProbeBlock::packet`](crate::hir::ProbeBlock::packet).

use std::collections::BTreeSet;

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::packet::{Fact, Field, FieldKind, Header, PACKET_PROPERTIES};

use crate::ast::{self, BinaryOp, ExprKind as Ast};
use crate::diag::Diagnostic;
use crate::hir::visit::parts;
use crate::hir::{Builtin, Call, Expr, ExprKind, Int, LocalId, Type};
use crate::resolve::did_you_mean;
use crate::span::Span;

use super::convert::wrap;
use super::ops::logic;
use super::payload::PAYLOAD;
use super::{Checker, Typed, Value};

/// What scripts call the packet itself.
const PACKET: &str = "pkt";

impl Checker<'_> {
    /// What a name stands for, if it is a header's: whether the packet has it.
    pub fn header(&mut self, name: &str, span: Span) -> Option<Typed> {
        if name == PACKET && self.sees_packets() {
            let error = Diagnostic::error("no-value", span, "a packet as a whole is no value")
                .help(format!("what is known of it is {PACKET}.len and so on"));
            return Some(Err(self.error(error)));
        }
        if name == PAYLOAD && self.sees_packets() {
            return Some(self.whole_payload(span));
        }
        let header = Header::by_name(name)?;
        Some(self.in_packet(name, span).map(|()| {
            let local = self.fact(Fact::Has(header), Type::Bool);
            Value::new(ExprKind::Local(local), Type::Bool, span)
        }))
    }

    /// `tcp.dport`, `pkt.len`: `None` if the base is no name of a header.
    pub fn packet_member(
        &mut self,
        base: &ast::Expr,
        field: &ast::Ident,
        span: Span,
    ) -> Option<Typed> {
        let Ast::Ident(name) = &base.kind else { return None };
        if name == PACKET && self.sees_packets() {
            return Some(self.property(field, span));
        }
        let header = Header::by_name(name)?;
        Some(self.in_packet(name, base.span).and_then(|()| self.header_field(header, field, span)))
    }

    fn header_field(&mut self, header: Header, field: &ast::Ident, span: Span) -> Typed {
        let spec = header.spec();
        let Some(found) = spec.field(&field.name) else {
            let error = Diagnostic::error(
                "unknown-field",
                field.span,
                format!("there is no field `{}` in the header `{}`", field.name, spec.name),
            );
            let names: Vec<_> = spec.fields.iter().map(|field| field.name).collect();
            let error = error.note(format!("its fields are {}", names.join(", ")));
            return Err(self.error(did_you_mean(error, &field.name, spec.names())));
        };
        self.at.headers_read.insert(header);
        let ty = type_of(found);
        let local = self.fact(Fact::Field(header, found), ty.clone());
        Ok(Value::new(ExprKind::Local(local), ty, span))
    }

    /// `pkt.len` and so on.
    fn property(&mut self, field: &ast::Ident, span: Span) -> Typed {
        let names = PACKET_PROPERTIES.iter().map(|(name, ..)| *name);
        match PACKET_PROPERTIES.iter().find(|(name, ..)| *name == field.name) {
            Some((_, property, _)) => {
                let kind = ExprKind::Builtin(Builtin::Packet(*property));
                Ok(Value::new(kind, Type::U32, span))
            }
            None => {
                let error = Diagnostic::error(
                    "unknown-field",
                    field.span,
                    format!("nothing called `{}` is known of a packet", field.name),
                )
                .note(format!("what is known is {}", names.clone().collect::<Vec<_>>().join(", ")));
                Err(self.error(did_you_mean(error, &field.name, names)))
            }
        }
    }

    /// Whether the block's probes see packets.
    pub fn sees_packets(&self) -> bool {
        self.at.kind.is_about_packets()
    }

    fn in_packet(&mut self, name: &str, span: Span) -> Typed<()> {
        if self.sees_packets() {
            return self.begins_before(name, span);
        }
        let kind = self.at.spec().name;
        Err(self.error(
            Diagnostic::error("builtin-not-here", span, format!("`{kind}` probes see no packets"))
                .note(format!("`{name}` is a header of a packet")),
        ))
    }

    /// An error about a header that the kernel has taken from the packets of the block's probes.
    fn begins_before(&mut self, name: &str, span: Span) -> Typed<()> {
        let of_link = Header::by_name(name).is_some_and(|header| header < Header::Ip);
        if self.at.kind != ProbeKind::CgroupSkb || !of_link {
            return Ok(());
        }
        let message = format!("`cgroup_skb` probes have no {name}");
        Err(self.error(
            Diagnostic::error("builtin-not-here", span, message)
                .note("they see packets from the header of IP on"),
        ))
    }

    /// The variable for something that the block wants to know of the packet.
    pub fn fact(&mut self, fact: Fact, ty: Type) -> LocalId {
        if let Some((_, local)) = self.at.packet.iter().find(|(known, _)| *known == fact) {
            return *local;
        }
        let local = self.at.temporary(ty);
        if let Some(slot) = self.at.locals.get_mut(local.index()) {
            slot.name = fact.to_string();
        }
        self.at.packet.push((fact, local));
        local
    }

    /// The predicate of a block. A part of it that reads fields of a header is false for packets
    /// without that header, whatever it says of zeros. `required` are the headers without which the
    /// whole does not hold.
    pub fn predicate(
        &mut self,
        predicate: &ast::Expr,
        required: &mut BTreeSet<Header>,
    ) -> Typed<Expr> {
        if !self.sees_packets() {
            return self.value(predicate).and_then(|value| self.truth(value));
        }
        match &predicate.kind {
            Ast::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), left, right } => {
                let (mut of_left, mut of_right) = (BTreeSet::new(), BTreeSet::new());
                let left = self.predicate(left, &mut of_left);
                let right = self.predicate(right, &mut of_right);
                let and = *op == BinaryOp::And;
                *required = if and { &of_left | &of_right } else { &of_left & &of_right };
                Ok(logic(and, left?, right?, predicate.span).expr)
            }
            _ => self.guarded(predicate, required),
        }
    }

    /// A part of a predicate with the headers that it needs.
    fn guarded(&mut self, part: &ast::Expr, required: &mut BTreeSet<Header>) -> Typed<Expr> {
        let before = std::mem::take(&mut self.at.headers_read);
        let value = self.value(part).and_then(|value| self.truth(value));
        *required = std::mem::replace(&mut self.at.headers_read, before);
        let mut guarded = value?;
        if required.len() == 1 && self.without_header(&guarded) == Some(0) {
            return Ok(guarded);
        }
        for header in required.iter().rev() {
            let span = part.span;
            let local = self.fact(Fact::Has(*header), Type::Bool);
            let has = Expr { kind: ExprKind::Local(local), ty: Type::Bool, span };
            guarded = logic(true, has, guarded, span).expr;
        }
        if let ExprKind::Local(local) = guarded.kind {
            let has = |(fact, of): &(Fact, LocalId)| match fact {
                Fact::Has(header) if *of == local => Some(*header),
                _ => None,
            };
            required.extend(self.at.packet.iter().find_map(has));
        }
        Ok(guarded)
    }

    /// What an expression is for a packet without any of the headers whose fields it reads, where that
    /// is easily told.
    fn without_header(&self, expr: &Expr) -> Option<i64> {
        match &expr.kind {
            ExprKind::Int(n) => Some(*n),
            ExprKind::Local(local) => {
                let absent =
                    |(fact, of): &(Fact, LocalId)| of == local && matches!(fact, Fact::Field(..));
                self.at.packet.iter().any(absent).then_some(0)
            }
            ExprKind::Cast(operand) => {
                let n = self.without_header(operand)?;
                match expr.ty {
                    Type::Bool => Some(i64::from(n != 0)),
                    Type::Int(int) => Some(wrap(n, int)),
                    _ => None,
                }
            }
            ExprKind::Binary { op, left, right } => {
                let (left, right) = (self.without_header(left)?, self.without_header(right)?);
                match op {
                    BinaryOp::BitAnd => Some(left & right),
                    BinaryOp::Eq => Some(i64::from(left == right)),
                    BinaryOp::Ne => Some(i64::from(left != right)),
                    // No number without a sign is below zero.
                    BinaryOp::Gt if right >= 0 && left == 0 => Some(0),
                    BinaryOp::Ge if right > 0 && left == 0 => Some(0),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// The type of a field's value.
fn type_of(field: &Field) -> Type {
    let int = |bits: u8| {
        let size = bits.div_ceil(8).next_power_of_two();
        Type::Int(Int { size, signed: false })
    };
    match field.kind {
        FieldKind::Number { size } => int(size * 8),
        FieldKind::Bits { width, .. } => int(width),
        FieldKind::LastProtocol => int(8),
        FieldKind::Inet4 => Type::Inet4,
        FieldKind::Inet6 => Type::Inet6,
        FieldKind::Mac => Type::Mac,
    }
}

/// Whether evaluating an expression changes anything.
pub(super) fn does_something(expr: &Expr) -> bool {
    let itself = match &expr.kind {
        ExprKind::MapStep { .. } | ExprKind::LocalStep { .. } | ExprKind::Block { .. } => true,
        ExprKind::Call(call) => matches!(
            **call,
            Call::Delete { .. }
                | Call::Helper { .. }
                | Call::WriteUser { .. }
                | Call::SkbOutput { .. }
        ),
        _ => false,
    };
    itself || parts(expr).into_iter().any(does_something)
}
