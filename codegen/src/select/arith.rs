//! Rules for arithmetic.

use cranelift_codegen::ir::{Inst as IrInst, Value, types};

use super::facts::mask;
use super::{Selected, Selector, Unsupported, short_constant, width_of, zero_extend};
use crate::bpf::op::{AluOp, Width};
use crate::vcode::{Inst, Operand, Reg};

impl Selector<'_> {
    /// The two arguments of `inst`.
    fn pair(&self, inst: IrInst) -> Result<[Value; 2], Unsupported> {
        let &[x, y] = self.facts.func.dfg.inst_args(inst) else { return Err(Unsupported) };
        Ok([x, y])
    }

    /// The only argument of `inst`.
    pub(super) fn single(&self, inst: IrInst) -> Result<Value, Unsupported> {
        let &[x] = self.facts.func.dfg.inst_args(inst) else { return Err(Unsupported) };
        Ok(x)
    }

    /// The width of `inst`'s operation; eBPF has none above 64 bits, and no other kinds.
    fn width(&self, inst: IrInst) -> Result<Width, Unsupported> {
        let ty = self.facts.func.dfg.ctrl_typevar(inst);
        if ty.is_int() && ty.bits() <= 64 { Ok(width_of(ty)) } else { Err(Unsupported) }
    }

    fn binary(
        &mut self,
        inst: IrInst,
        op: AluOp,
        width: Width,
        lhs: Reg,
        rhs: Operand,
    ) -> Selected {
        let dst = self.result(inst);
        self.emit(Inst::Alu { op, width, dst, lhs, rhs });
        Ok(())
    }

    /// `x op y`, operands exchanged where that saves an instruction.
    pub(super) fn alu(&mut self, inst: IrInst, op: AluOp) -> Selected {
        let width = self.width(inst)?;
        let [mut x, mut y] = self.pair(inst)?;
        let constant = |value| self.facts.constant(value).is_some();
        // The result takes the left operand's register, so that had better be free.
        let copies = self.used_later(x) && !self.used_later(y);
        if op.commutes() && !constant(y) && (constant(x) || copies) {
            (x, y) = (y, x);
        }
        let rhs = self.operand(y);
        let lhs = self.value(x);
        match (op, rhs) {
            (AluOp::Sub, Operand::Imm(imm)) if imm != i32::MIN => {
                self.binary(inst, AluOp::Add, width, lhs, Operand::Imm(-imm))
            }
            _ => self.binary(inst, op, width, lhs, rhs),
        }
    }

    pub(super) fn add(&mut self, inst: IrInst) -> Selected {
        let [x, y] = self.pair(inst)?;
        for (base, offset) in [(x, y), (y, x)] {
            if let Some(index) = self.facts.core_relocation(offset) {
                let lhs = self.value(base);
                let dst = self.result(inst);
                self.emit(Inst::AddCore { dst, lhs, index });
                return Ok(());
            }
        }
        self.alu(inst, AluOp::Add)
    }

    /// A mask of 32 bits or less that is no immediate zeroes the upper half, as 32-bit arithmetic
    /// does.
    pub(super) fn and(&mut self, inst: IrInst) -> Selected {
        let [x, y] = self.pair(inst)?;
        for (value, constant) in [(x, y), (y, x)] {
            let Some(constant) = self.facts.constant(constant) else { continue };
            let Ok(bits) = u32::try_from(constant) else { continue };
            if i32::try_from(bits).is_ok() || self.width(inst)? == Width::W32 {
                continue;
            }
            let lhs = self.value(value);
            let dst = self.result(inst);
            self.emit(zero_extend(dst, lhs, u64::from(bits)));
            return Ok(());
        }
        self.alu(inst, AluOp::And)
    }

    /// A shift; its count is taken modulo the type's width.
    pub(super) fn shift(&mut self, inst: IrInst, op: AluOp) -> Selected {
        let width = self.width(inst)?;
        let [x, count] = self.pair(inst)?;
        let ty = self.facts.ty(x);
        let rhs = match self.facts.constant(count) {
            Some(n) => Operand::Imm((n % u64::from(ty.bits())) as i32),
            None if ty.bits() >= 32 => Operand::Reg(self.value(count)),
            None => {
                let (lhs, dst) = (self.value(count), self.temp());
                let rhs = Operand::Imm(ty.bits() as i32 - 1);
                self.emit(Inst::Alu { op: AluOp::And, width: Width::W32, dst, lhs, rhs });
                Operand::Reg(dst)
            }
        };
        let lhs = match op {
            AluOp::Rsh if ty.bits() < 32 => self.zero_extended(x),
            AluOp::Arsh => self.sign_extended(x),
            _ => self.value(x),
        };
        self.binary(inst, op, width, lhs, rhs)
    }

    /// An unsigned division or remainder. The kernel refuses an immediate zero.
    pub(super) fn divide(&mut self, inst: IrInst, op: AluOp) -> Selected {
        let width = self.width(inst)?;
        let [x, y] = self.pair(inst)?;
        let narrow = self.facts.ty(x).bits() < 32;
        let constant = self.facts.constant(y).filter(|&n| n != 0);
        let imm = match constant {
            Some(n) if width == Width::W32 => Some(n as u32 as i32),
            Some(n) => i32::try_from(n as i64).ok(),
            None => None,
        };
        let rhs = match imm {
            Some(imm) => Operand::Imm(imm),
            None if narrow => Operand::Reg(self.zero_extended(y)),
            None => Operand::Reg(self.value(y)),
        };
        let lhs = if narrow { self.zero_extended(x) } else { self.value(x) };
        self.binary(inst, op, width, lhs, rhs)
    }

    pub(super) fn negate(&mut self, inst: IrInst) -> Selected {
        let width = self.width(inst)?;
        let x = self.single(inst)?;
        let src = self.value(x);
        let dst = self.result(inst);
        self.emit(Inst::Neg { width, dst, src });
        Ok(())
    }

    pub(super) fn not(&mut self, inst: IrInst) -> Selected {
        let width = self.width(inst)?;
        let x = self.single(inst)?;
        let lhs = self.value(x);
        self.binary(inst, AluOp::Xor, width, lhs, Operand::Imm(-1))
    }

    pub(super) fn swap_bytes(&mut self, inst: IrInst) -> Selected {
        let x = self.single(inst)?;
        let bits = self.facts.ty(x).bits();
        self.swap(inst, x, bits as u8);
        Ok(())
    }

    /// Swaps the bytes of the low `bits` bits of `x`.
    pub(super) fn swap(&mut self, inst: IrInst, x: Value, bits: u8) {
        let src = self.value(x);
        let dst = self.result(inst);
        self.emit(Inst::Swap { bits, dst, src });
    }

    /// An extension that [`Facts::root`](super::facts::Facts::root) does not fold away.
    pub(super) fn uextend(&mut self, inst: IrInst) -> Selected {
        let x = self.single(inst)?;
        let lhs = self.value(x);
        let dst = self.result(inst);
        self.emit(zero_extend(dst, lhs, mask(self.facts.ty(x))));
        Ok(())
    }

    pub(super) fn sextend(&mut self, inst: IrInst) -> Selected {
        let x = self.single(inst)?;
        let src = self.value(x);
        let dst = self.result(inst);
        self.sign_extend_to(inst, self.facts.ty(x).bits(), dst, src);
        Ok(())
    }

    /// `dst` = the low `bits` of `src`, sign-extended to the type of `inst`'s result.
    pub(super) fn sign_extend_to(&mut self, inst: IrInst, bits: u32, dst: Reg, src: Reg) {
        let dfg = &self.facts.func.dfg;
        let to = dfg.inst_results(inst).first().map_or(types::I64, |&r| dfg.value_type(r));
        let width = width_of(to);
        let whole = if width == Width::W64 { 64 } else { 32 };
        self.shift_pair(width, whole - bits, dst, src);
    }

    /// A comparison whose result is wanted as a number.
    pub(super) fn set_condition(&mut self, inst: IrInst) -> Selected {
        let cond = self.comparison(inst)?;
        let dst = self.result(inst);
        self.emit(Inst::SetCond { cond, dst });
        Ok(())
    }

    /// A choice between two values: the first is in the result's register, and the second is moved
    /// there unless the condition holds.
    pub(super) fn select(&mut self, inst: IrInst) -> Selected {
        self.width(inst)?;
        let &[cond, mut x, mut y] = self.facts.func.dfg.inst_args(inst) else {
            return Err(Unsupported);
        };
        let mut cond = self.condition(cond)?;
        let movable =
            |value| self.facts.constant(value).is_some_and(|c| short_constant(c).is_some());
        let copies = self.used_later(x) && !self.used_later(y);
        if !movable(y) && (movable(x) || copies) {
            let Some(inverse) = cond.cond.inverse() else { return Err(Unsupported) };
            cond.cond = inverse;
            (x, y) = (y, x);
        }
        let (width, other) = match self.facts.constant(y).and_then(short_constant) {
            Some((width, imm)) => (width, Operand::Imm(imm)),
            None => (Width::W64, Operand::Reg(self.value(y))),
        };
        let then = self.value(x);
        let dst = self.result(inst);
        self.emit(Inst::Select { cond, dst, then, other, width });
        Ok(())
    }
}
