//! Rules for memory.

use cranelift_codegen::ir::{AtomicRmwOp, Inst as IrInst, InstructionData, Type, Value, types};

use super::{Selected, Selector, Unsupported};
use crate::bpf::op::{AluOp, AtomicOp, Size, Width};
use crate::vcode::{Base, Inst, Operand};

impl Selector<'_> {
    /// Folds an access's address into base and offset.
    fn address(&mut self, pointer: Value, offset: i64) -> Result<(Base, i16), Unsupported> {
        if self.facts.ty(pointer) != types::I64 {
            return Err(Unsupported);
        }
        if let Some((slot, start)) = self.facts.stack_address(pointer) {
            let off = i16::try_from(i64::from(start) + offset).map_err(|_| Unsupported)?;
            return Ok((Base::Slot(slot), off));
        }
        if let Some((target, off)) = self.facts.data_place(pointer, offset) {
            return Ok((Base::Reg(self.shared_address(target)), off));
        }
        let (base, offset) = self.facts.address(pointer, offset);
        let base = self.value(base);
        if let Ok(off) = i16::try_from(offset) {
            return Ok((Base::Reg(base), off));
        }
        let dst = self.temp();
        let rhs = Operand::Imm(i32::try_from(offset).map_err(|_| Unsupported)?);
        self.emit(Inst::Alu { op: AluOp::Add, width: Width::W64, dst, lhs: base, rhs });
        Ok((Base::Reg(dst), 0))
    }

    /// Address and offset of a load or store.
    fn offset(&self, inst: IrInst) -> i64 {
        i64::from(self.facts.func.dfg.insts[inst].load_store_offset().unwrap_or(0))
    }

    /// A zero-extending load, of the result's type if no size is given.
    pub(super) fn load(&mut self, inst: IrInst, size: Option<Size>) -> Selected {
        let ty = self.facts.func.dfg.ctrl_typevar(inst);
        let size = size.or_else(|| size_of(ty)).ok_or(Unsupported)?;
        let pointer = self.single(inst)?;
        let (base, off) = self.address(pointer, self.offset(inst))?;
        let dst = self.result(inst);
        self.emit(Inst::Load { size, dst, base, off });
        Ok(())
    }

    pub(super) fn load_signed(&mut self, inst: IrInst, size: Size) -> Selected {
        let pointer = self.single(inst)?;
        let (base, off) = self.address(pointer, self.offset(inst))?;
        let loaded = self.temp();
        self.emit(Inst::Load { size, dst: loaded, base, off });
        let dst = self.result(inst);
        self.sign_extend_to(inst, size.bytes() * 8, dst, loaded);
        Ok(())
    }

    /// A store, of the value's type if no size is given.
    pub(super) fn store(&mut self, inst: IrInst, size: Option<Size>) -> Selected {
        let &[value, pointer] = self.facts.func.dfg.inst_args(inst) else {
            return Err(Unsupported);
        };
        let size = size.or_else(|| size_of(self.facts.ty(value))).ok_or(Unsupported)?;
        let src = self.stored(value, size);
        let (base, off) = self.address(pointer, self.offset(inst))?;
        self.emit(Inst::Store { size, base, off, src });
        Ok(())
    }

    /// What is stored: an immediate if its sign-extension has the right low bytes.
    fn stored(&mut self, value: Value, size: Size) -> Operand {
        match self.facts.signed_constant(value) {
            Some(constant) if size != Size::Double => Operand::Imm(constant as i32),
            Some(constant) if i32::try_from(constant).is_ok() => Operand::Imm(constant as i32),
            _ => Operand::Reg(self.value(value)),
        }
    }

    pub(super) fn atomic_rmw(&mut self, inst: IrInst) -> Selected {
        let dfg = &self.facts.func.dfg;
        let InstructionData::AtomicRmw { op, args: [pointer, value], .. } = dfg.insts[inst] else {
            return Err(Unsupported);
        };
        let fetches = dfg.inst_results(inst).iter().any(|&result| self.used.contains(result));
        let size = atomic_size(self.facts.ty(value))?;
        let mut src = self.value(value);
        if op == AtomicRmwOp::Sub {
            let dst = self.temp();
            self.emit(Inst::Neg { width: super::width_of(self.facts.ty(value)), dst, src });
            src = dst;
        }
        let (base, off) = self.address(pointer, 0)?;
        let op = match (op, fetches) {
            (AtomicRmwOp::Add | AtomicRmwOp::Sub, false) => AtomicOp::Add,
            (AtomicRmwOp::Add | AtomicRmwOp::Sub, true) => AtomicOp::FetchAdd,
            (AtomicRmwOp::And, false) => AtomicOp::And,
            (AtomicRmwOp::And, true) => AtomicOp::FetchAnd,
            (AtomicRmwOp::Or, false) => AtomicOp::Or,
            (AtomicRmwOp::Or, true) => AtomicOp::FetchOr,
            (AtomicRmwOp::Xor, false) => AtomicOp::Xor,
            (AtomicRmwOp::Xor, true) => AtomicOp::FetchXor,
            (AtomicRmwOp::Xchg, _) => AtomicOp::Xchg,
            _ => return Err(Unsupported),
        };
        let writes = fetches || op == AtomicOp::Xchg;
        let dst = writes.then(|| self.result(inst));
        self.emit(Inst::Atomic { op, size, base, off, src, dst });
        Ok(())
    }

    pub(super) fn atomic_cas(&mut self, inst: IrInst) -> Selected {
        let &[pointer, expected, value] = self.facts.func.dfg.inst_args(inst) else {
            return Err(Unsupported);
        };
        let size = atomic_size(self.facts.ty(value))?;
        let expected = self.value(expected);
        let src = self.value(value);
        let (base, off) = self.address(pointer, 0)?;
        let dst = self.result(inst);
        self.emit(Inst::Cas { size, base, off, expected, src, dst });
        Ok(())
    }
}

/// The size of an access of a type.
fn size_of(ty: Type) -> Option<Size> {
    match ty {
        types::I8 => Some(Size::Byte),
        types::I16 => Some(Size::Half),
        types::I32 => Some(Size::Word),
        types::I64 => Some(Size::Double),
        _ => None,
    }
}

/// As [`size_of`], of the two that atomic operations have.
fn atomic_size(ty: Type) -> Result<Size, Unsupported> {
    match size_of(ty) {
        Some(size @ (Size::Word | Size::Double)) => Ok(size),
        _ => Err(Unsupported),
    }
}
