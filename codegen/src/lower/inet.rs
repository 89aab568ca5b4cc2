//! IP addresses.

use std::net::IpAddr;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types::I64};
use rbtrace_lang::hir::{Expr, Int, Type};
use rbtrace_probes_ebpf::types::{AF_INET, AF_INET6};

use super::func::FnBuilder;
use super::mem::Place;
use crate::error::Error;

/// Bytes of the plan's `Inet`, and where the address is in it.
const INET: u32 = 20;
const ADDRESS: u32 = 4;

impl FnBuilder<'_, '_, '_> {
    /// An address with its family: see the plan's `Inet`.
    pub(super) fn put_inet(
        &mut self,
        family: Option<&Expr>,
        addr: &Expr,
        to: Place,
    ) -> Result<(), Error> {
        let bytes = self.unit.layout(&addr.ty).size();
        self.zero(to, INET)?;
        let family = match family {
            Some(family) => self.scalar(family)?,
            None => self.iconst(i64::from(if bytes == 16 { AF_INET6 } else { AF_INET })),
        };
        self.store(to, 4, family);
        if addr.ty.is_scalar() {
            let value = self.scalar(addr)?;
            self.store(to.plus(ADDRESS), 4, value);
            return Ok(());
        }
        let from = self.memory_of(addr)?;
        self.copy(to.plus(ADDRESS), from, bytes.min(16))
    }

    /// Whether the first `prefix` bits of an address are those of a network: 1 or 0.
    pub(super) fn within(
        &mut self,
        address: &Expr,
        network: IpAddr,
        prefix: u8,
    ) -> Result<Value, Error> {
        let bytes = match network {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        if address.ty == Type::Inet4 {
            let value = self.scalar(address)?;
            let (network, mask) = masked(&bytes, prefix, 0);
            let relevant = self.b.ins().band_imm_s(value, mask);
            let is = self.b.ins().icmp_imm_s(IntCC::Equal, relevant, network);
            return Ok(self.b.ins().uextend(I64, is));
        }
        let place = self.memory_of(address)?;
        if address.ty == Type::Inet6 {
            let differences = self.differences_of_prefix(place, &bytes, prefix);
            return Ok(self.is_zero(differences));
        }
        let family = self.load(place, Int::U32);
        let wanted = if network.is_ipv4() { AF_INET } else { AF_INET6 };
        let other = self.b.ins().bxor_imm_s(family, i64::from(wanted));
        let differences = self.differences_of_prefix(place.plus(ADDRESS), &bytes, prefix);
        let differences = self.b.ins().bor(differences, other);
        Ok(self.is_zero(differences))
    }

    /// 0 if the first `prefix` bits at a place are those of `bytes`.
    fn differences_of_prefix(&mut self, place: Place, bytes: &[u8], prefix: u8) -> Value {
        let mut differences = self.iconst(0);
        for at in (0..u32::from(prefix).div_ceil(8)).step_by(4) {
            let word = self.load(place.plus(at), Int::U32);
            let (network, mask) = masked(bytes, prefix, at);
            let relevant = self.b.ins().band_imm_s(word, mask);
            let difference = self.b.ins().bxor_imm_s(relevant, network);
            differences = self.b.ins().bor(differences, difference);
        }
        differences
    }
}

/// Four bytes of a network from `at` on and the mask for them, as a machine of little endian loads
/// them.
fn masked(bytes: &[u8], prefix: u8, at: u32) -> (i64, i64) {
    let bits = u32::from(prefix).saturating_sub(at * 8).min(32);
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0).to_be_bytes();
    let mut network = [0; 4];
    for (i, byte) in network.iter_mut().enumerate() {
        *byte = bytes.get(at as usize + i).copied().unwrap_or(0) & mask[i];
    }
    (i64::from(u32::from_le_bytes(network)), i64::from(u32::from_le_bytes(mask)))
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn a_mask_covers_the_bits_of_the_prefix() {
        assert_eq!(masked(&[192, 0, 2, 77], 24, 0), (0x0002_00c0, 0x00ff_ffff));
        assert_eq!(masked(&[192, 0, 2, 77], 0, 0), (0, 0));
        assert_eq!(masked(&[10, 1, 2, 3], 32, 0), (0x0302_010a, 0xffff_ffff));
        let v6 = [0x20, 1, 0x0d, 0xb8, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(masked(&v6, 36, 4), (0xf0, 0xf0));
    }
}
