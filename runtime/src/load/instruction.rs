//! Single instructions, for what the loader itself adds or tries (Documentation/bpf/standardization).

use aya_obj::generated::bpf_insn;

/// `r0 = IMM`
pub(crate) const MOV: u8 = 0xb7;
/// `if r0 == IMM goto OFF`
pub(crate) const JEQ: u8 = 0x15;
/// `call IMM`
pub(crate) const CALL: u8 = 0x85;
/// `exit`
pub(crate) const EXIT: u8 = 0x95;

/// An instruction whose destination is `r0`.
pub(crate) fn instruction(code: u8, source: u8, off: i16, imm: i32) -> bpf_insn {
    let _bitfield_1 = bpf_insn::new_bitfield_1(0, source);
    bpf_insn { code, _bitfield_align_1: [], _bitfield_1, off, imm }
}
