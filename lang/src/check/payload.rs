//! What follows the last header of a packet: `payload`.

use rbtrace_probes_ebpf::packet::Fact;

use crate::ast::{self, ExprKind as Ast};
use crate::diag::Diagnostic;
use crate::hir::{Call, Expr, ExprKind, Int, Payload, Type};
use crate::span::Span;

use super::convert::cast;
use super::{Checker, Typed, Value};

/// What scripts call it.
pub(super) const PAYLOAD: &str = "payload";

impl Checker<'_> {
    /// The payload, if an expression is its name in a block for packets.
    pub fn payload(&mut self, expr: &ast::Expr) -> Option<Payload> {
        let Ast::Ident(name) = &expr.kind else { return None };
        if name != PAYLOAD || !self.sees_packets() {
            return None;
        }
        let [start, end] = [Fact::PayloadOffset, Fact::PayloadEnd].map(|fact| {
            let local = self.fact(fact, Type::U64);
            Expr { kind: ExprKind::Local(local), ty: Type::U64, span: expr.span }
        });
        Some(Payload { start, end })
    }

    /// An error about `payload` where no part of it is asked for.
    pub fn whole_payload(&mut self, span: Span) -> Typed {
        Err(self.error(
            Diagnostic::error("no-value", span, "a payload as a whole is no value")
                .help("write payload[n], str(payload, n), buf(payload, n) or len(payload)"),
        ))
    }

    /// `payload[at]`
    pub fn payload_byte(&mut self, payload: Payload, at: &ast::Expr, span: Span) -> Typed {
        let value = self.value(at)?;
        let index = self.index_number(value, at.span)?;
        let at = cast(index.expr, &Type::U64);
        let call = Call::PayloadByte { payload, at };
        let byte = Type::Int(Int { size: 1, signed: false });
        Ok(Value::new(ExprKind::Call(Box::new(call)), byte, span))
    }

    /// Text or bytes of it, by the type.
    pub fn payload_bytes(&self, payload: Payload, len: Expr, ty: Type, span: Span) -> Value {
        Value::new(ExprKind::Call(Box::new(Call::PayloadBytes { payload, len })), ty, span)
    }

    /// `len(payload)`
    pub fn payload_len(&self, payload: Payload, span: Span) -> Value {
        Value::new(ExprKind::Call(Box::new(Call::PayloadLen(payload))), Type::U64, span)
    }
}
