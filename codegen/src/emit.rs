//! Allocated instructions to eBPF's own, with stack slots placed in the frame.

use std::collections::BTreeMap;

use cranelift_codegen::ir::{Function, StackSlot};

use crate::allocate::Allocated;
use crate::bpf::RelocTarget;
use crate::bpf::assemble::{BlockCode, End, Item};
use crate::bpf::op::{AluOp, AtomicOp, CallKind, ConstKind, FRAME_POINTER, Op, Src, Width};
use crate::vcode::{Base, CallTarget, Compare, Inst, Operand, Reg};

/// Bytes of a function's frame.
pub(crate) const MAX_FRAME: u32 = 512;

/// Alignment of slots that ask for none: any value of the language is aligned at that.
const DEFAULT_ALIGN: u32 = 8;

/// A function's frame: the slots that are used, then the allocator's.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// Offsets from the frame pointer.
    slots: BTreeMap<u32, i64>,
    slot_bytes: u32,
    spills: u32,
}

impl Frame {
    /// Lays out the frame of `code`.
    pub fn new(func: &Function, code: &Allocated) -> Self {
        let mut frame = Self { spills: code.spills as u32, ..Self::default() };
        for (inst, _) in code.blocks.iter().flatten() {
            if let Some(slot) = slot_of(inst) {
                frame.place(func, slot);
            }
        }
        frame.slot_bytes = frame.slot_bytes.next_multiple_of(8);
        frame
    }

    fn place(&mut self, func: &Function, slot: StackSlot) {
        if self.slots.contains_key(&slot.as_u32()) {
            return;
        }
        let Some(data) = func.sized_stack_slots.get(slot) else { return };
        let align = match data.align_shift {
            0 => DEFAULT_ALIGN,
            shift => 1u32.checked_shl(shift.into()).unwrap_or(DEFAULT_ALIGN),
        };
        let bytes = self.slot_bytes.saturating_add(data.size);
        self.slot_bytes = bytes.checked_next_multiple_of(align).unwrap_or(u32::MAX);
        self.slots.insert(slot.as_u32(), -i64::from(self.slot_bytes));
    }

    /// Size of the frame.
    pub fn bytes(&self) -> u32 {
        self.slot_bytes.saturating_add(self.spills.saturating_mul(8))
    }

    fn slot(&self, slot: StackSlot) -> i64 {
        self.slots.get(&slot.as_u32()).copied().unwrap_or(0)
    }

    fn spill(&self, number: usize) -> i64 {
        -(i64::from(self.slot_bytes) + 8 * (number as i64 + 1))
    }
}

fn slot_of(inst: &Inst) -> Option<StackSlot> {
    match *inst {
        Inst::FrameAddress { slot, .. }
        | Inst::Load { base: Base::Slot(slot), .. }
        | Inst::Store { base: Base::Slot(slot), .. }
        | Inst::Atomic { base: Base::Slot(slot), .. }
        | Inst::Cas { base: Base::Slot(slot), .. } => Some(slot),
        _ => None,
    }
}

/// The instructions of each block.
pub(crate) fn emit(code: &Allocated, frame: &Frame) -> Result<Vec<BlockCode>, String> {
    code.blocks
        .iter()
        .map(|body| {
            let mut emitter = Emitter { frame, items: Vec::new(), end: End::Stop, line: None };
            for (inst, line) in body {
                emitter.line = *line;
                emitter.inst(inst)?;
            }
            Ok(BlockCode { items: emitter.items, end: emitter.end, end_line: emitter.line })
        })
        .collect()
}

struct Emitter<'a> {
    frame: &'a Frame,
    items: Vec<Item>,
    end: End,
    line: Option<u32>,
}

type Emitted = Result<(), String>;

impl Emitter<'_> {
    fn op(&mut self, op: Op) -> Emitted {
        self.items.push(Item { op, reloc: None, line: self.line });
        Ok(())
    }

    fn symbolic(&mut self, op: Op, target: RelocTarget) -> Emitted {
        self.items.push(Item { op, reloc: Some(target), line: self.line });
        Ok(())
    }

    fn alu(&mut self, op: AluOp, width: Width, dst: Reg, src: Src) -> Emitted {
        self.op(Op::Alu { op, width, dst: number(dst)?, src })
    }

    fn inst(&mut self, inst: &Inst) -> Emitted {
        match *inst {
            Inst::Params { .. } => Ok(()),
            Inst::Alu { op, width, dst, rhs, .. } => self.alu(op, width, dst, source(rhs)?),
            Inst::Neg { width, dst, .. } => self.op(Op::Neg { width, dst: number(dst)? }),
            Inst::Swap { bits, dst, .. } => self.op(Op::Swap { bits, dst: number(dst)? }),
            Inst::Mov { width, dst, src } => self.alu(AluOp::Mov, width, dst, source(src)?),
            Inst::Const { dst, value } => {
                self.op(Op::Const { dst: number(dst)?, kind: ConstKind::Plain, value })
            }
            Inst::Address { dst, target } => self.address(dst, target),
            Inst::Core { dst, index } => self.core(AluOp::Mov, dst, index),
            Inst::AddCore { dst, index, .. } => self.core(AluOp::Add, dst, index),
            Inst::FrameAddress { dst, slot, off } => {
                let off = self.frame.slot(slot) + i64::from(off);
                let off = i32::try_from(off).map_err(|_| format!("frame offset {off}"))?;
                self.alu(AluOp::Mov, Width::W64, dst, Src::Reg(FRAME_POINTER))?;
                self.alu(AluOp::Add, Width::W64, dst, Src::Imm(off))
            }
            Inst::Load { size, dst, base, off } => {
                let (base, off) = self.place(base, off)?;
                self.op(Op::Load { size, dst: number(dst)?, base, off })
            }
            Inst::Store { size, base, off, src } => {
                let (base, off) = self.place(base, off)?;
                self.op(Op::Store { size, base, off, src: source(src)? })
            }
            Inst::Atomic { op, size, base, off, src, .. } => {
                let (base, off) = self.place(base, off)?;
                self.op(Op::Atomic { op, size, base, off, src: number(src)? })
            }
            Inst::Cas { size, base, off, src, .. } => {
                let (base, off) = self.place(base, off)?;
                self.op(Op::Atomic { op: AtomicOp::Cmpxchg, size, base, off, src: number(src)? })
            }
            Inst::Select { cond, dst, other, width, .. } => {
                self.skip_next(cond)?;
                self.alu(AluOp::Mov, width, dst, source(other)?)
            }
            Inst::SetCond { cond, dst } => {
                self.alu(AluOp::Mov, Width::W64, dst, Src::Imm(1))?;
                self.skip_next(cond)?;
                self.alu(AluOp::Mov, Width::W64, dst, Src::Imm(0))
            }
            Inst::Call { target, .. } => self.call(target),
            Inst::Jump { target } => {
                self.end = End::Jump(target);
                Ok(())
            }
            Inst::Branch { cond, then, other } => {
                let (lhs, rhs) = (number(cond.lhs)?, source(cond.rhs)?);
                let Compare { cond, width, .. } = cond;
                self.end = End::Branch { cond, width, lhs, rhs, then, other };
                Ok(())
            }
            Inst::Return { .. } => self.op(Op::Exit),
            Inst::Trap => {
                self.alu(AluOp::Mov, Width::W64, Reg::Physical(0), Src::Imm(0))?;
                self.op(Op::Exit)
            }
        }
    }

    /// Jumps over the next instruction, of one slot, if `cond` holds.
    fn skip_next(&mut self, cond: Compare) -> Emitted {
        let (lhs, rhs) = (number(cond.lhs)?, source(cond.rhs)?);
        self.op(Op::Branch { cond: cond.cond, width: cond.width, lhs, rhs, off: 1 })
    }

    /// As compilers write it: the loader fills in maps and data, whose offset is the value.
    fn address(&mut self, dst: Reg, target: RelocTarget) -> Emitted {
        let (kind, value) = match target {
            RelocTarget::Rodata(offset) | RelocTarget::Data(offset) => (ConstKind::Plain, offset),
            RelocTarget::FuncAddr(_) => (ConstKind::Function, 0),
            _ => (ConstKind::Plain, 0),
        };
        self.symbolic(Op::Const { dst: number(dst)?, kind, value: value.into() }, target)
    }

    fn core(&mut self, op: AluOp, dst: Reg, index: u32) -> Emitted {
        let op = Op::Alu { op, width: Width::W64, dst: number(dst)?, src: Src::Imm(0) };
        self.symbolic(op, RelocTarget::Core(index))
    }

    fn call(&mut self, target: CallTarget) -> Emitted {
        match target {
            CallTarget::Helper(id) => {
                let imm = i32::try_from(id).map_err(|_| format!("helper id {id}"))?;
                self.op(Op::Call { kind: CallKind::Helper, imm })
            }
            CallTarget::Function(index) => {
                let op = Op::Call { kind: CallKind::Function, imm: -1 };
                self.symbolic(op, RelocTarget::Call(index))
            }
            CallTarget::Kfunc(index) => {
                let op = Op::Call { kind: CallKind::Kfunc, imm: 0 };
                self.symbolic(op, RelocTarget::Kfunc(index))
            }
        }
    }

    fn place(&self, base: Base, off: i16) -> Result<(u8, i16), String> {
        let start = match base {
            Base::Reg(reg) => return Ok((number(reg)?, off)),
            Base::Slot(slot) => self.frame.slot(slot),
            Base::Spill(spill) => self.frame.spill(spill),
        };
        let off = start + i64::from(off);
        let off = i16::try_from(off).map_err(|_| format!("frame offset {off}"))?;
        Ok((FRAME_POINTER, off))
    }
}

fn number(reg: Reg) -> Result<u8, String> {
    match reg {
        Reg::Physical(number) => Ok(number),
        Reg::Virtual(number) => Err(format!("v{number} has no register")),
    }
}

fn source(operand: Operand) -> Result<Src, String> {
    Ok(match operand {
        Operand::Reg(reg) => Src::Reg(number(reg)?),
        Operand::Imm(imm) => Src::Imm(imm),
    })
}
