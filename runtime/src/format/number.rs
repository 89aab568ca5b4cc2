//! Conversions of integers.

use rbtrace_probes_ebpf::format::{Conversion, Spec};

use super::gfp;

/// Appends `bits` as the conversion wants it, without padding. The length modifier cuts the
/// number as a conversion to the C type would.
pub(super) fn convert(spec: &Spec, bits: u64, out: &mut Vec<u8>) {
    match spec.conversion {
        // One byte, whatever the length modifier.
        Conversion::Char => out.extend(bits.to_le_bytes().first()),
        Conversion::Signed => {
            let n = sign_extend(bits, spec.length.bits());
            if spec.plus && n >= 0 {
                out.push(b'+');
            }
            out.extend_from_slice(n.to_string().as_bytes());
        }
        Conversion::Pointer if bits == 0 => out.push(b'0'),
        Conversion::Pointer => out.extend_from_slice(format!("{bits:#x}").as_bytes()),
        Conversion::GfpFlags => out.extend_from_slice(gfp::names(bits).as_bytes()),
        other => {
            let n = bits & (u64::MAX >> (64 - spec.length.bits()));
            out.extend_from_slice(unsigned(other, n, spec.alternate).as_bytes());
        }
    }
}

fn unsigned(conversion: Conversion, n: u64, alternate: bool) -> String {
    let prefixed = alternate && n != 0;
    match conversion {
        Conversion::Octal if prefixed => format!("0{n:o}"),
        Conversion::Octal => format!("{n:o}"),
        Conversion::Hex if prefixed => format!("{n:#x}"),
        Conversion::Hex => format!("{n:x}"),
        Conversion::HexUpper if prefixed => format!("0X{n:X}"),
        Conversion::HexUpper => format!("{n:X}"),
        _ => n.to_string(),
    }
}

/// The lowest `width` bits (1 to 64) as a signed number.
pub(crate) fn sign_extend(bits: u64, width: u32) -> i64 {
    let unused = 64u32.saturating_sub(width).min(63);
    (bits << unused).cast_signed() >> unused
}
