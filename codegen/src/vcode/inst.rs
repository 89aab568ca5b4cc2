//! The instructions. One may stand for a few of eBPF's where they must stay together.

use cranelift_codegen::ir::StackSlot;

use super::BlockId;
use crate::bpf::RelocTarget;
use crate::bpf::op::{AluOp, AtomicOp, Cond, Size, Width};

/// A register: virtual before allocation, physical after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reg {
    /// Defined once, by number.
    Virtual(u32),
    /// r0 to r10.
    Physical(u8),
}

/// Second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Reg(Reg),
    Imm(i32),
}

/// What a memory access is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Reg(Reg),
    /// Start of a stack slot; addressed off the frame pointer.
    Slot(StackSlot),
    /// Where the allocator keeps a register that it has spilled, by number.
    Spill(usize),
}

/// A comparison, the condition of a branch or selection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compare {
    pub cond: Cond,
    pub width: Width,
    pub lhs: Reg,
    pub rhs: Operand,
}

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallTarget {
    /// A helper, by id.
    Helper(u32),
    /// A function of the unit, by index.
    Function(u32),
    /// A kernel function, by index into the unit's list.
    Kfunc(u32),
}

/// An instruction. `dst` is defined, all else used.
#[derive(Clone, Debug)]
pub(crate) enum Inst {
    /// Defines the function's parameters, r1 to r5.
    Params { regs: Vec<Reg> },
    /// `dst = lhs op rhs`; `dst` is `lhs`'s register.
    Alu { op: AluOp, width: Width, dst: Reg, lhs: Reg, rhs: Operand },
    /// `dst = -src`, in `src`'s register.
    Neg { width: Width, dst: Reg, src: Reg },
    /// `dst` = the low `bits` of `src` with bytes swapped, in `src`'s register.
    Swap { bits: u8, dst: Reg, src: Reg },
    /// `dst = src`.
    Mov { width: Width, dst: Reg, src: Operand },
    /// `dst = value`, of 64 bits.
    Const { dst: Reg, value: u64 },
    /// `dst` = address of a symbol.
    Address { dst: Reg, target: RelocTarget },
    /// `dst` = value of a CO-RE relocation.
    Core { dst: Reg, index: u32 },
    /// `dst = lhs +` value of a CO-RE relocation, in `lhs`'s register.
    AddCore { dst: Reg, lhs: Reg, index: u32 },
    /// `dst` = address in a stack slot.
    FrameAddress { dst: Reg, slot: StackSlot, off: i32 },
    /// `dst` = memory, zero-extended.
    Load { size: Size, dst: Reg, base: Base, off: i16 },
    /// Memory = `src`.
    Store { size: Size, base: Base, off: i16, src: Operand },
    /// Atomic update of memory; `dst`, in `src`'s register, is the old value of those that fetch.
    Atomic { op: AtomicOp, size: Size, base: Base, off: i16, src: Reg, dst: Option<Reg> },
    /// Compare and exchange; `expected` and `dst` are r0.
    Cas { size: Size, base: Base, off: i16, expected: Reg, src: Reg, dst: Reg },
    /// `dst = if cond { then } else { other }`, in `then`'s register.
    /// An immediate `other` is of `width` bits, sign- or zero-extended.
    Select { cond: Compare, dst: Reg, then: Reg, other: Operand, width: Width },
    /// `dst = cond`, 0 or 1.
    SetCond { cond: Compare, dst: Reg },
    /// Call; arguments in r1 to r5, result in r0.
    Call { target: CallTarget, args: Vec<Reg>, dst: Option<Reg> },
    /// Ends a block.
    Jump { target: BlockId },
    /// Ends a block.
    Branch { cond: Compare, then: BlockId, other: BlockId },
    /// Ends a function with a value in r0.
    Return { value: Reg },
    /// Ends a function where control cannot come, with 0.
    Trap,
}

/// How an instruction uses a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Read.
    Use,
    /// Read, from this register.
    UseIn(u8),
    /// Written after all reads.
    Def,
    /// Written after all reads, to this register.
    DefIn(u8),
    /// Written after all reads, to the register of the operand visited as number so-and-so.
    DefReuse(usize),
    /// Written before the reads.
    DefEarly,
}

impl Inst {
    /// Calls `f` with each register and its role, in an order that is the same before and after
    /// allocation.
    pub fn visit(&mut self, f: &mut dyn FnMut(&mut Reg, Role)) {
        match self {
            Self::Params { regs } => {
                for (n, reg) in (1..).zip(regs) {
                    f(reg, Role::DefIn(n));
                }
            }
            Self::Alu { dst, lhs, rhs, .. } => {
                f(lhs, Role::Use);
                f(dst, Role::DefReuse(0));
                visit_operand(rhs, f);
            }
            Self::Neg { dst, src, .. }
            | Self::Swap { dst, src, .. }
            | Self::AddCore { dst, lhs: src, .. } => {
                f(src, Role::Use);
                f(dst, Role::DefReuse(0));
            }
            Self::Mov { dst, src, .. } => {
                visit_operand(src, f);
                f(dst, Role::Def);
            }
            Self::Const { dst, .. }
            | Self::Address { dst, .. }
            | Self::Core { dst, .. }
            | Self::FrameAddress { dst, .. } => f(dst, Role::Def),
            Self::Load { dst, base, .. } => {
                visit_base(base, f);
                f(dst, Role::Def);
            }
            Self::Store { base, src, .. } => {
                visit_base(base, f);
                visit_operand(src, f);
            }
            Self::Atomic { base, src, dst, .. } => {
                f(src, Role::Use);
                if let Some(dst) = dst {
                    f(dst, Role::DefReuse(0));
                }
                visit_base(base, f);
            }
            Self::Cas { base, expected, src, dst, .. } => {
                f(expected, Role::UseIn(0));
                f(src, Role::Use);
                visit_base(base, f);
                f(dst, Role::DefIn(0));
            }
            Self::Select { cond, dst, then, other, .. } => {
                f(then, Role::Use);
                f(dst, Role::DefReuse(0));
                cond.visit(f);
                visit_operand(other, f);
            }
            Self::SetCond { cond, dst } => {
                cond.visit(f);
                f(dst, Role::DefEarly);
            }
            Self::Call { args, dst, .. } => {
                for (n, arg) in (1..).zip(args) {
                    f(arg, Role::UseIn(n));
                }
                if let Some(dst) = dst {
                    f(dst, Role::DefIn(0));
                }
            }
            Self::Branch { cond, .. } => cond.visit(f),
            Self::Return { value } => f(value, Role::UseIn(0)),
            Self::Jump { .. } | Self::Trap => {}
        }
    }

    /// Whether control leaves the function.
    pub fn is_return(&self) -> bool {
        matches!(self, Self::Return { .. } | Self::Trap)
    }

    /// Whether control goes to another block.
    pub fn is_branch(&self) -> bool {
        matches!(self, Self::Jump { .. } | Self::Branch { .. })
    }
}

impl Compare {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Reg, Role)) {
        f(&mut self.lhs, Role::Use);
        visit_operand(&mut self.rhs, f);
    }
}

fn visit_operand(operand: &mut Operand, f: &mut dyn FnMut(&mut Reg, Role)) {
    if let Operand::Reg(reg) = operand {
        f(reg, Role::Use);
    }
}

fn visit_base(base: &mut Base, f: &mut dyn FnMut(&mut Reg, Role)) {
    if let Base::Reg(reg) = base {
        f(reg, Role::Use);
    }
}
