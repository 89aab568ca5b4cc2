//! Single instructions, for what the loader itself adds or tries (Documentation/bpf/standardization).

use std::os::fd::{AsRawFd, BorrowedFd};

use aya_obj::generated::bpf_insn;

/// `r0 = IMM`
pub(crate) const MOV: u8 = 0xb7;
/// `if r0 == IMM goto OFF`
pub(crate) const JEQ: u8 = 0x15;
/// `call IMM`
pub(crate) const CALL: u8 = 0x85;
/// `exit`
pub(crate) const EXIT: u8 = 0x95;

/// `rD = IMM`, 64 bits in two instructions.
const LOAD: u8 = 0x18;
/// `BPF_PSEUDO_MAP_FD` (linux/bpf.h): the number is the descriptor of a map.
const MAP: u8 = 1;

/// Replaces a map that instructions refer to.
pub(crate) fn replace_map(
    instructions: &mut [bpf_insn],
    map: BorrowedFd<'_>,
    other: BorrowedFd<'_>,
) {
    let refers = |insn: &&mut bpf_insn| {
        insn.code == LOAD && insn.src_reg() == MAP && insn.imm == map.as_raw_fd()
    };
    instructions.iter_mut().filter(refers).for_each(|insn| insn.imm = other.as_raw_fd());
}

/// An instruction whose destination is `r0`.
pub(crate) fn instruction(code: u8, source: u8, off: i16, imm: i32) -> bpf_insn {
    let _bitfield_1 = bpf_insn::new_bitfield_1(0, source);
    bpf_insn { code, _bitfield_align_1: [], _bitfield_1, off, imm }
}
