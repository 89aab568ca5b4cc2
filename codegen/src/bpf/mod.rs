//! Final eBPF code: encoded instruction slots with symbolic references.
//!
//! What the back end makes and the ELF writer
//! consumes. Maps, data, callees, kfuncs and CO-RE fields stay symbolic ([`RelocTarget`]).

pub(crate) mod assemble;
mod listing;
pub(crate) mod op;

pub use listing::{Names, write_listing};

/// The code of one unit, functions in the unit's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// One entry a function of the unit, same indices.
    pub functions: Vec<FunctionCode>,
}

/// The code of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionCode {
    /// Symbol name.
    pub name: String,
    /// Encoded slots; an `LD_IMM64` takes two.
    pub insns: Vec<Insn>,
    /// Symbolic references, ascending by slot.
    pub relocs: Vec<Reloc>,
    /// Source lines, ascending by slot; an entry holds until the next one.
    pub lines: Vec<LineEntry>,
    /// Bytes of stack frame the function uses (at most 512).
    pub frame_bytes: u32,
}

/// One 8-byte slot, `struct bpf_insn` of `include/uapi/linux/bpf.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Insn {
    /// Opcode: class, operation or size, source or mode.
    pub code: u8,
    /// Destination register, 0 to 10.
    pub dst: u8,
    /// Source register or pseudo kind.
    pub src: u8,
    /// Signed offset of a memory access or jump.
    pub off: i16,
    /// Signed immediate.
    pub imm: i32,
}

impl Insn {
    /// The slot as the kernel on a little-endian machine reads it.
    pub fn to_bytes(self) -> [u8; 8] {
        let off = self.off.to_le_bytes();
        let imm = self.imm.to_le_bytes();
        let regs = (self.src << 4) | (self.dst & 0x0f);
        [self.code, regs, off[0], off[1], imm[0], imm[1], imm[2], imm[3]]
    }

    /// The inverse of [`Insn::to_bytes`].
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let [code, regs, o0, o1, i0, i1, i2, i3] = bytes;
        Self {
            code,
            dst: regs & 0x0f,
            src: regs >> 4,
            off: i16::from_le_bytes([o0, o1]),
            imm: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }
}

/// A slot whose value is only known to the ELF writer, the loader or the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloc {
    /// Index into [`FunctionCode::insns`]; of an `LD_IMM64`, its first slot.
    pub slot: u32,
    /// What the slot refers to.
    pub target: RelocTarget,
}

/// What a slot refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelocTarget {
    /// `LD_IMM64` of a map, by index into the unit's maps.
    Map(u32),
    /// `LD_IMM64` of an address in `.rodata`, at this byte offset.
    Rodata(u32),
    /// `LD_IMM64` of an address in the global data section, at this byte offset.
    Data(u32),
    /// `call` of a function of the unit, by index.
    Call(u32),
    /// `LD_IMM64` of a function's address, by index.
    FuncAddr(u32),
    /// `call` of a kernel function, by index into the unit's kfuncs.
    Kfunc(u32),
    /// `mov dst, imm` with a CO-RE record, by index into the unit's CO-RE relocations.
    Core(u32),
}

/// Start of a run of instructions of one source line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineEntry {
    /// First slot of the run.
    pub slot: u32,
    /// Index into the unit's spans.
    pub span: u32,
}
