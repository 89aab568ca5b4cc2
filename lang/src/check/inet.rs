//! Addresses of networks and of Ethernet, which scripts write as text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rbtrace_probes_ebpf::types::{AF_INET, AF_INET6};

use crate::diag::Diagnostic;
use crate::hir::{ExprKind, Type};
use crate::span::Span;

use super::convert::cast;
use super::{Checker, Typed, Value};

impl Checker<'_> {
    /// Two operands of a comparison; text that is compared with an address becomes one, and two addresses
    /// become of one type.
    pub fn addresses(&mut self, left: Value, right: Value) -> Typed<(Value, Value)> {
        let (a, b) = (left.expr.ty.clone(), right.expr.ty.clone());
        match (&left.expr.kind, &right.expr.kind) {
            (_, ExprKind::Str(text)) if is_address(&a) && matches!(b, Type::Str { .. }) => {
                let right = self.address_of_text(text, &a, right.expr.span)?;
                Ok((left, right))
            }
            (ExprKind::Str(text), _) if is_address(&b) && matches!(a, Type::Str { .. }) => {
                let left = self.address_of_text(text, &b, left.expr.span)?;
                Ok((left, right))
            }
            _ if a != b && a.is_inet() && b.is_inet() => {
                let both = [left, right].map(|value| Value::from(cast(value.expr, &Type::Inet)));
                let [left, right] = both;
                Ok((left, right))
            }
            _ => Ok((left, right)),
        }
    }

    /// A literal of an address type.
    fn address_of_text(&mut self, text: &[u8], ty: &Type, span: Span) -> Typed {
        let text = String::from_utf8_lossy(text);
        match address_literal(&text, ty) {
            Some(kind) => Ok(Value::new(kind, ty.clone(), span)),
            None => {
                let (what, example) = match ty {
                    Type::Inet4 => ("IPv4 address", "192.0.2.1"),
                    Type::Inet6 => ("IPv6 address", "2001:db8::1"),
                    Type::Inet => ("IP address", "192.0.2.1"),
                    _ => ("Ethernet address", "02:00:5e:10:00:01"),
                };
                let message = format!("`{text}` is no {what}");
                Err(self.error(
                    Diagnostic::error("bad-address", span, message)
                        .label(format!("expected one like \"{example}\"")),
                ))
            }
        }
    }
}

/// The literal that `text` is of an address type; `None` if it is none.
fn address_literal(text: &str, ty: &Type) -> Option<ExprKind> {
    Some(match ty {
        Type::Inet4 => {
            let address: Ipv4Addr = text.parse().ok()?;
            ExprKind::Int(i64::from(u32::from_le_bytes(address.octets())))
        }
        Type::Inet6 => ExprKind::Str(text.parse::<Ipv6Addr>().ok()?.octets().to_vec()),
        Type::Inet => {
            let (family, mut bytes) = match text.parse().ok()? {
                IpAddr::V4(address) => (AF_INET, address.octets().to_vec()),
                IpAddr::V6(address) => (AF_INET6, address.octets().to_vec()),
            };
            bytes.resize(16, 0);
            ExprKind::Str([family.to_le_bytes().to_vec(), bytes].concat())
        }
        Type::Mac => {
            let parts = text.split([':', '-']).map(|part| match part.len() {
                1 | 2 => u8::from_str_radix(part, 16).ok(),
                _ => None,
            });
            let bytes: Vec<u8> = parts.collect::<Option<_>>()?;
            (bytes.len() == 6).then_some(ExprKind::Str(bytes))?
        }
        _ => return None,
    })
}

/// Whether values of a type are addresses that scripts write as text.
fn is_address(ty: &Type) -> bool {
    ty.is_inet() || *ty == Type::Mac
}
