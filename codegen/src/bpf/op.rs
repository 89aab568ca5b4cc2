//! The eBPF instruction set: one table a field, shared by encoder, decoder and printer.
//!
//! Bit values are those of `include/uapi/linux/bpf.h` and `bpf_common.h`; the instruction set is
//! standardized as RFC 9669.

use super::Insn;

/// The frame pointer, read-only.
pub const FRAME_POINTER: u8 = 10;

/// Instruction classes: the low three bits of the opcode.
mod class {
    pub const LD: u8 = 0;
    pub const LDX: u8 = 1;
    pub const ST: u8 = 2;
    pub const STX: u8 = 3;
    pub const ALU32: u8 = 4;
    pub const JMP: u8 = 5;
    pub const JMP32: u8 = 6;
    pub const ALU64: u8 = 7;
}

/// Source bit of arithmetic and jumps: a register instead of the immediate.
const REG_SRC: u8 = 0x08;
/// Addressing modes of memory instructions.
const MODE_IMM: u8 = 0x00;
const MODE_MEM: u8 = 0x60;
const MODE_ATOMIC: u8 = 0xc0;
/// Operations of the arithmetic and jump classes that are not in the tables below.
const OP_NEG: u8 = 0x80;
const OP_END: u8 = 0xd0;
const OP_JA: u8 = 0x00;
const OP_CALL: u8 = 0x80;
const OP_EXIT: u8 = 0x90;
/// Opcode of the two-slot 64-bit constant.
const LD_IMM64: u8 = class::LD | MODE_IMM | 0x18;

/// Declares an enum whose variants have a bit pattern and a text.
macro_rules! table {
    ($(#[$meta:meta])* $name:ident: $bits:ty {
        $($(#[$doc:meta])* $variant:ident = $value:literal, $text:literal;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every row.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The field's bits.
            pub const fn bits(self) -> $bits {
                match self { $(Self::$variant => $value,)* }
            }

            /// The row with these bits.
            pub const fn from_bits(bits: $bits) -> Option<Self> {
                match bits { $($value => Some(Self::$variant),)* _ => None }
            }

            /// How listings write it.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

table! {
    /// Arithmetic with two operands, `dst = dst op src`.
    AluOp: u8 {
        /// Addition.
        Add = 0x00, "+=";
        /// Subtraction.
        Sub = 0x10, "-=";
        /// Multiplication.
        Mul = 0x20, "*=";
        /// Unsigned division; by zero gives zero.
        Div = 0x30, "/=";
        /// Bitwise or.
        Or = 0x40, "|=";
        /// Bitwise and.
        And = 0x50, "&=";
        /// Shift left; the count is taken modulo the width.
        Lsh = 0x60, "<<=";
        /// Logical shift right.
        Rsh = 0x70, ">>=";
        /// Unsigned remainder; by zero leaves `dst`.
        Mod = 0x90, "%=";
        /// Bitwise exclusive or.
        Xor = 0xa0, "^=";
        /// Copy; of 32 bits, zeroes the upper half.
        Mov = 0xb0, "=";
        /// Arithmetic shift right.
        Arsh = 0xc0, "s>>=";
    }
}

table! {
    /// Condition of a jump.
    Cond: u8 {
        /// Equal.
        Eq = 0x10, "==";
        /// Unsigned greater than.
        Gt = 0x20, ">";
        /// Unsigned greater or equal.
        Ge = 0x30, ">=";
        /// Some bit in common.
        Set = 0x40, "&";
        /// Not equal.
        Ne = 0x50, "!=";
        /// Signed greater than.
        Sgt = 0x60, "s>";
        /// Signed greater or equal.
        Sge = 0x70, "s>=";
        /// Unsigned less than.
        Lt = 0xa0, "<";
        /// Unsigned less or equal.
        Le = 0xb0, "<=";
        /// Signed less than.
        Slt = 0xc0, "s<";
        /// Signed less or equal.
        Sle = 0xd0, "s<=";
    }
}

table! {
    /// Size of a memory access.
    Size: u8 {
        /// Four bytes.
        Word = 0x00, "u32";
        /// Two bytes.
        Half = 0x08, "u16";
        /// One byte.
        Byte = 0x10, "u8";
        /// Eight bytes.
        Double = 0x18, "u64";
    }
}

table! {
    /// Atomic operation on memory, the immediate of its instruction. Those that fetch need 5.12.
    AtomicOp: i32 {
        /// Add.
        Add = 0x00, "+=";
        /// Or.
        Or = 0x40, "|=";
        /// And.
        And = 0x50, "&=";
        /// Exclusive or.
        Xor = 0xa0, "^=";
        /// Add; `src` gets the old value.
        FetchAdd = 0x01, "fetch_add";
        /// Or; `src` gets the old value.
        FetchOr = 0x41, "fetch_or";
        /// And; `src` gets the old value.
        FetchAnd = 0x51, "fetch_and";
        /// Exclusive or; `src` gets the old value.
        FetchXor = 0xa1, "fetch_xor";
        /// Exchange `src` and memory.
        Xchg = 0xe1, "xchg";
        /// Store `src` if memory equals `r0`; `r0` gets the old value.
        Cmpxchg = 0xf1, "cmpxchg";
    }
}

table! {
    /// What the target of a call is, the `src` field of its instruction.
    CallKind: u8 {
        /// A helper, by id.
        Helper = 0, "";
        /// A function of the program, relative to the next slot (`BPF_PSEUDO_CALL`).
        Function = 1, "func ";
        /// A kernel function, by BTF id (`BPF_PSEUDO_KFUNC_CALL`).
        Kfunc = 2, "kfunc ";
    }
}

table! {
    /// What a 64-bit constant is, the `src` field of its instruction.
    ConstKind: u8 {
        /// A number, or an address that the loader fills in.
        Plain = 0, "";
        /// A map (`BPF_PSEUDO_MAP_FD`).
        MapFd = 1, "map fd ";
        /// An address in a map's only value (`BPF_PSEUDO_MAP_VALUE`).
        MapValue = 2, "map value ";
        /// Address of a function of the program (`BPF_PSEUDO_FUNC`).
        Function = 4, "func ";
    }
}

impl AluOp {
    /// Whether the operands can change places.
    pub const fn commutes(self) -> bool {
        matches!(self, Self::Add | Self::Mul | Self::And | Self::Or | Self::Xor)
    }
}

impl Cond {
    /// The condition that holds exactly when this one does not; bit tests have none.
    pub const fn inverse(self) -> Option<Self> {
        Some(match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Gt => Self::Le,
            Self::Le => Self::Gt,
            Self::Ge => Self::Lt,
            Self::Lt => Self::Ge,
            Self::Sgt => Self::Sle,
            Self::Sle => Self::Sgt,
            Self::Sge => Self::Slt,
            Self::Slt => Self::Sge,
            Self::Set => return None,
        })
    }
}

impl Size {
    /// The size in bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
            Self::Double => 8,
        }
    }
}

/// Width of an arithmetic operation or comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// The low half; arithmetic zeroes the upper half of its result.
    W32,
    /// The whole register.
    W64,
}

/// Second operand: a register or a sign-extended immediate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Src {
    /// Register 0 to 10.
    Reg(u8),
    /// Immediate.
    Imm(i32),
}

/// One instruction, decoded. Jump offsets count slots from the next instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `dst op= src`.
    Alu { op: AluOp, width: Width, dst: u8, src: Src },
    /// `dst = -dst`.
    Neg { width: Width, dst: u8 },
    /// Swaps the bytes of the low 16, 32 or 64 bits and zeroes the rest (`BPF_TO_BE` on a
    /// little-endian machine).
    Swap { bits: u8, dst: u8 },
    /// `dst = value`, two slots.
    Const { dst: u8, kind: ConstKind, value: u64 },
    /// `dst = *(size *)(base + off)`, zero-extended.
    Load { size: Size, dst: u8, base: u8, off: i16 },
    /// `*(size *)(base + off) = src`.
    Store { size: Size, base: u8, off: i16, src: Src },
    /// Atomic operation on `*(size *)(base + off)`.
    Atomic { op: AtomicOp, size: Size, base: u8, off: i16, src: u8 },
    /// Call; arguments in r1 to r5, result in r0.
    Call { kind: CallKind, imm: i32 },
    /// Return of r0.
    Exit,
    /// Unconditional jump.
    Jump { off: i16 },
    /// Jump if `lhs cond rhs`.
    Branch { cond: Cond, width: Width, lhs: u8, rhs: Src, off: i16 },
}

impl Op {
    /// Slots the instruction takes.
    pub const fn slots(self) -> u32 {
        if matches!(self, Self::Const { .. }) { 2 } else { 1 }
    }

    /// Appends the instruction's slots to `out`.
    pub fn encode(self, out: &mut Vec<Insn>) {
        let insn = match self {
            Self::Alu { op, width, dst, src } => {
                with_src(alu_class(width) | op.bits(), dst, 0, src)
            }
            Self::Neg { width, dst } => {
                Insn { code: alu_class(width) | OP_NEG, dst, ..Insn::default() }
            }
            Self::Swap { bits, dst } => Insn {
                code: class::ALU32 | OP_END | REG_SRC,
                dst,
                imm: i32::from(bits),
                ..Insn::default()
            },
            Self::Const { dst, kind, value } => {
                let low = Insn { code: LD_IMM64, dst, src: kind.bits(), imm: value as i32, off: 0 };
                out.push(low);
                Insn { imm: (value >> 32) as i32, ..Insn::default() }
            }
            Self::Load { size, dst, base, off } => {
                Insn { code: class::LDX | MODE_MEM | size.bits(), dst, src: base, off, imm: 0 }
            }
            Self::Store { size, base, off, src } => match src {
                Src::Reg(src) => {
                    Insn { code: class::STX | MODE_MEM | size.bits(), dst: base, src, off, imm: 0 }
                }
                Src::Imm(imm) => {
                    Insn { code: class::ST | MODE_MEM | size.bits(), dst: base, src: 0, off, imm }
                }
            },
            Self::Atomic { op, size, base, off, src } => Insn {
                code: class::STX | MODE_ATOMIC | size.bits(),
                dst: base,
                src,
                off,
                imm: op.bits(),
            },
            Self::Call { kind, imm } => {
                Insn { code: class::JMP | OP_CALL, src: kind.bits(), imm, ..Insn::default() }
            }
            Self::Exit => Insn { code: class::JMP | OP_EXIT, ..Insn::default() },
            Self::Jump { off } => Insn { code: class::JMP | OP_JA, off, ..Insn::default() },
            Self::Branch { cond, width, lhs, rhs, off } => {
                with_src(jump_class(width) | cond.bits(), lhs, off, rhs)
            }
        };
        out.push(insn);
    }

    /// Decodes the instruction at the start of `slots`, if it is one that this crate emits.
    pub fn decode(slots: &[Insn]) -> Option<Self> {
        let insn = *slots.first()?;
        let class = insn.code & 0x07;
        let wide = matches!(class, class::ALU64 | class::JMP);
        let width = if wide { Width::W64 } else { Width::W32 };
        match class {
            class::ALU32 | class::ALU64 => decode_alu(insn, width),
            class::JMP | class::JMP32 => decode_jump(insn, width),
            class::LD => {
                let high = slots.get(1).filter(|_| insn.code == LD_IMM64)?;
                let value = u64::from(insn.imm as u32) | (u64::from(high.imm as u32) << 32);
                Some(Self::Const { dst: insn.dst, kind: ConstKind::from_bits(insn.src)?, value })
            }
            _ => decode_memory(insn, class),
        }
    }
}

fn decode_alu(insn: Insn, width: Width) -> Option<Op> {
    let dst = insn.dst;
    Some(match insn.code & 0xf0 {
        OP_NEG => Op::Neg { width, dst },
        OP_END => Op::Swap { bits: u8::try_from(insn.imm).ok()?, dst },
        op => Op::Alu { op: AluOp::from_bits(op)?, width, dst, src: src_of(insn) },
    })
}

fn decode_jump(insn: Insn, width: Width) -> Option<Op> {
    let off = insn.off;
    Some(match insn.code & 0xf0 {
        OP_JA => Op::Jump { off },
        OP_CALL => Op::Call { kind: CallKind::from_bits(insn.src)?, imm: insn.imm },
        OP_EXIT => Op::Exit,
        cond => Op::Branch {
            cond: Cond::from_bits(cond)?,
            width,
            lhs: insn.dst,
            rhs: src_of(insn),
            off,
        },
    })
}

fn decode_memory(insn: Insn, class: u8) -> Option<Op> {
    let Insn { dst, src, off, imm, .. } = insn;
    let size = Size::from_bits(insn.code & 0x18)?;
    Some(match (class, insn.code & 0xe0) {
        (class::LDX, MODE_MEM) => Op::Load { size, dst, base: src, off },
        (class::ST, MODE_MEM) => Op::Store { size, base: dst, off, src: Src::Imm(imm) },
        (class::STX, MODE_MEM) => Op::Store { size, base: dst, off, src: Src::Reg(src) },
        (class::STX, MODE_ATOMIC) => {
            Op::Atomic { op: AtomicOp::from_bits(imm)?, size, base: dst, off, src }
        }
        _ => return None,
    })
}

const fn alu_class(width: Width) -> u8 {
    match width {
        Width::W32 => class::ALU32,
        Width::W64 => class::ALU64,
    }
}

const fn jump_class(width: Width) -> u8 {
    match width {
        Width::W32 => class::JMP32,
        Width::W64 => class::JMP,
    }
}

fn with_src(code: u8, dst: u8, off: i16, src: Src) -> Insn {
    match src {
        Src::Reg(src) => Insn { code: code | REG_SRC, dst, src, off, imm: 0 },
        Src::Imm(imm) => Insn { code, dst, src: 0, off, imm },
    }
}

fn src_of(insn: Insn) -> Src {
    if insn.code & REG_SRC != 0 { Src::Reg(insn.src) } else { Src::Imm(insn.imm) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row of every table, in every form.
    fn all_ops() -> Vec<Op> {
        let mut ops = vec![Op::Exit, Op::Jump { off: -3 }];
        for width in [Width::W32, Width::W64] {
            for src in [Src::Reg(9), Src::Imm(-5)] {
                ops.extend(AluOp::ALL.iter().map(|&op| Op::Alu { op, width, dst: 3, src }));
                ops.extend(Cond::ALL.iter().map(|&cond| Op::Branch {
                    cond,
                    width,
                    lhs: 2,
                    rhs: src,
                    off: 7,
                }));
            }
            ops.push(Op::Neg { width, dst: 4 });
        }
        for bits in [16, 32, 64] {
            ops.push(Op::Swap { bits, dst: 1 });
        }
        for &size in Size::ALL {
            ops.push(Op::Load { size, dst: 1, base: 10, off: -8 });
            for src in [Src::Reg(7), Src::Imm(-1)] {
                ops.push(Op::Store { size, base: 6, off: 16, src });
            }
        }
        for &op in AtomicOp::ALL {
            ops.push(Op::Atomic { op, size: Size::Double, base: 1, off: 0, src: 2 });
        }
        ops.extend(CallKind::ALL.iter().map(|&kind| Op::Call { kind, imm: 130 }));
        for &kind in ConstKind::ALL {
            ops.push(Op::Const { dst: 5, kind, value: 0x8123_4567_89ab_cdef });
        }
        ops
    }

    #[test]
    fn decoding_inverts_encoding() {
        for op in all_ops() {
            let mut slots = Vec::new();
            op.encode(&mut slots);
            assert_eq!(slots.len(), op.slots() as usize, "{op:?}");
            let bytes: Vec<_> = slots.iter().map(|s| Insn::from_bytes(s.to_bytes())).collect();
            assert_eq!(Op::decode(&bytes), Some(op));
        }
    }

    #[test]
    fn bytes_are_the_kernels() {
        let mut slots = Vec::new();
        Op::Store { size: Size::Word, base: 10, off: -4, src: Src::Imm(0) }.encode(&mut slots);
        Op::Alu { op: AluOp::Mov, width: Width::W64, dst: 2, src: Src::Reg(10) }.encode(&mut slots);
        assert_eq!(slots[0].to_bytes(), [0x62, 0x0a, 0xfc, 0xff, 0, 0, 0, 0]);
        assert_eq!(slots[1].to_bytes(), [0xbf, 0xa2, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn inverse_is_an_involution() {
        for &cond in Cond::ALL {
            let Some(inverse) = cond.inverse() else { continue };
            assert_eq!(inverse.inverse(), Some(cond));
        }
    }
}
