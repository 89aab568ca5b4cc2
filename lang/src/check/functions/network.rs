//! Functions on addresses and packets.

use std::net::IpAddr;

use crate::ast;
use crate::diag::Diagnostic;
use crate::hir::{Call, ExprKind, Type};

use super::super::convert::boolean;
use super::super::{Checker, Stop, Typed, Value};
use super::{CallSite, Function};

pub(super) const TABLE: &[Function] =
    &[Function::new("within", 2, 2, "within(address, \"network/bits\")", within)];

/// Whether an address is one of a network.
fn within(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [address, network] = call.args else { return Err(Stop::Reported) };
    let address = checker.value(address);
    let (network, prefix) = checker.network(network)?;
    let address = address?;
    let same_family = match address.expr.ty {
        Type::Inet => true,
        Type::Inet4 => network.is_ipv4(),
        Type::Inet6 => network.is_ipv6(),
        _ => return Err(checker.wrong_argument("within", &address.expr, "an IP address")),
    };
    if !same_family {
        return Ok(boolean(false, call.span));
    }
    let within = Call::Within { address: address.expr, network, prefix };
    Ok(Value::new(ExprKind::Call(Box::new(within)), Type::Bool, call.span))
}

impl Checker<'_> {
    /// A literal `address/bits`; without bits, the one address.
    fn network(&mut self, arg: &ast::Expr) -> Typed<(IpAddr, u8)> {
        let text = self.literal_text("within", arg)?;
        match parse_network(&text) {
            Some(network) => Ok(network),
            None => Err(self.error(
                Diagnostic::error("bad-address", arg.span, format!("`{text}` is no network"))
                    .label("expected an address and how many of its bits count")
                    .help("write \"192.0.2.0/24\" or \"2001:db8::/32\""),
            )),
        }
    }
}

fn parse_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        // No sign, no spaces.
        Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => bits.parse().ok()?,
        Some(_) => return None,
        None => most,
    };
    (bits <= most).then_some((address, bits))
}

#[cfg(test)]
mod tests {
    use super::parse_network;

    #[test]
    fn networks_have_no_more_bits_than_addresses() {
        let bits = |text| parse_network(text).map(|(_, bits)| bits);
        assert_eq!(bits("192.0.2.0/24"), Some(24));
        assert_eq!(bits("192.0.2.1"), Some(32));
        assert_eq!(bits("0.0.0.0/0"), Some(0));
        assert_eq!(bits("2001:db8::/128"), Some(128));
        for wrong in ["192.0.2.0/33", "2001:db8::/129", "192.0.2.0/+4", "192.0.2.0/", "1.2.3", ""] {
            assert_eq!(bits(wrong), None, "{wrong}");
        }
    }
}
