//! Rules for comparisons, branches and calls.

use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Inst as IrInst, InstructionData, Value};

use super::{Selected, Selector, Unsupported, swap_bits, width_of};
use crate::bpf::op::{AluOp, Cond, Width};
use crate::clif::{Intrinsic, namespace};
use crate::vcode::{BlockId, CallTarget, Compare, Inst, Operand, Origin, Reg};

/// Registers that carry arguments.
const MAX_ARGS: usize = 5;

impl Selector<'_> {
    /// The comparison that `icmp` makes.
    pub(super) fn comparison(&mut self, icmp: IrInst) -> Result<Compare, Unsupported> {
        let InstructionData::IntCompare { mut cond, args: [mut x, mut y], .. } =
            self.facts.func.dfg.insts[icmp]
        else {
            return Err(Unsupported);
        };
        if self.facts.constant(x).is_some() && self.facts.constant(y).is_none() {
            (x, y) = (y, x);
            cond = cond.swap_args();
        }
        let ty = self.facts.ty(x);
        if !ty.is_int() || ty.bits() > 64 {
            return Err(Unsupported);
        }
        let narrow = ty.bits() < 32;
        let signed = is_signed(cond);
        let imm = match (self.facts.constant(y), self.facts.signed_constant(y)) {
            // Narrow operands are compared as 32 bits, extended as the condition wants.
            (Some(zero), _) if narrow && !signed => Some(zero as i32),
            (_, Some(sign)) => i32::try_from(sign).ok(),
            _ => None,
        };
        let rhs = match imm {
            Some(imm) => Operand::Imm(imm),
            None => Operand::Reg(self.compared(y, signed)),
        };
        let lhs = self.compared(x, signed);
        Ok(Compare { cond: condition_of(cond), width: width_of(ty), lhs, rhs })
    }

    /// A register with `value` as a comparison wants it.
    fn compared(&mut self, value: Value, signed: bool) -> Reg {
        if self.facts.ty(value).bits() >= 32 {
            self.value(value)
        } else if signed {
            self.sign_extended(value)
        } else {
            self.zero_extended(value)
        }
    }

    /// The condition that `value` is not zero.
    pub(super) fn condition(&mut self, value: Value) -> Result<Compare, Unsupported> {
        if let Some(icmp) = self.facts.deciding_icmp(value) {
            return self.comparison(icmp);
        }
        let ty = self.facts.ty(value);
        if !ty.is_int() || ty.bits() > 64 {
            return Err(Unsupported);
        }
        let lhs = self.compared(value, false);
        Ok(Compare { cond: Cond::Ne, width: width_of(ty), lhs, rhs: Operand::Imm(0) })
    }

    /// The condition of a branch, and whether to branch where it does not hold.
    fn branch_condition(&mut self, value: Value) -> Result<(Compare, bool), Unsupported> {
        let Some(test) = self.facts.bit_test(value) else {
            return Ok((self.condition(value)?, false));
        };
        let lhs = self.value(test.value);
        let rhs = Operand::Imm(test.mask);
        Ok((Compare { cond: Cond::Set, width: test.width, lhs, rhs }, test.inverted))
    }

    /// Sets the arguments of the edge from block `id` to its so-and-so-manieth successor, unless a
    /// block on the edge passes them.
    fn pass_args(&mut self, id: BlockId, branch: IrInst, succ: usize) -> BlockId {
        let target = self.order.succs[id as usize][succ];
        if matches!(self.order.origins[target as usize], Origin::Block(_)) {
            let args = self.block_args(self.destination(branch, succ));
            self.builder.set_args(id, succ, &args);
        }
        target
    }

    pub(super) fn jump(&mut self, id: BlockId, inst: IrInst) -> Selected {
        let target = self.pass_args(id, inst, 0);
        self.emit(Inst::Jump { target });
        Ok(())
    }

    pub(super) fn brif(&mut self, id: BlockId, inst: IrInst) -> Selected {
        let InstructionData::Brif { arg, .. } = self.facts.func.dfg.insts[inst] else {
            return Err(Unsupported);
        };
        let mut then = self.pass_args(id, inst, 0);
        let mut other = self.pass_args(id, inst, 1);
        let (cond, inverted) = self.branch_condition(arg)?;
        if inverted {
            (then, other) = (other, then);
        }
        self.emit(Inst::Branch { cond, then, other });
        Ok(())
    }

    pub(super) fn ret(&mut self, inst: IrInst) -> Selected {
        let value = match self.facts.func.dfg.inst_args(inst) {
            &[value] => self.zero_extended(value),
            [] => self.constant(0),
            _ => return Err(Unsupported),
        };
        self.emit(Inst::Return { value });
        Ok(())
    }

    pub(super) fn trap(&mut self) -> Selected {
        self.emit(Inst::Trap);
        Ok(())
    }

    fn intrinsic(&mut self, inst: IrInst, index: u32, x: Value) -> Selected {
        const UNLINKED: u32 = Intrinsic::Unlinked as u32;
        const SETTLED: u32 = Intrinsic::Settled as u32;
        let width = Width::W64;
        match index {
            UNLINKED => {
                let (lhs, dst) = (self.value(x), self.result(inst));
                // The verifier forgets where a number is from at all operations but an addition.
                self.emit(Inst::Alu { op: AluOp::Or, width, dst, lhs, rhs: Operand::Imm(0) });
            }
            SETTLED => {
                let (src, dst) = (Operand::Reg(self.value(x)), self.result(inst));
                self.emit(Inst::Mov { width, dst, src });
            }
            _ => {
                let bits = swap_bits(index).ok_or(Unsupported)?;
                self.swap(inst, x, bits);
            }
        }
        Ok(())
    }

    pub(super) fn call(&mut self, inst: IrInst) -> Selected {
        let dfg = &self.facts.func.dfg;
        let InstructionData::Call { func_ref, .. } = dfg.insts[inst] else {
            return Err(Unsupported);
        };
        let name = self.facts.user_name(&dfg.ext_funcs[func_ref].name).ok_or(Unsupported)?;
        let (args, results) = (dfg.inst_args(inst), dfg.inst_results(inst));
        let target = match name.namespace {
            namespace::HELPER => CallTarget::Helper(name.index),
            namespace::FUNCTION => CallTarget::Function(name.index),
            namespace::KFUNC => CallTarget::Kfunc(name.index),
            namespace::INTRINSIC => {
                let x = self.single(inst)?;
                if self.used.contains(*results.first().ok_or(Unsupported)?) {
                    self.intrinsic(inst, name.index, x)?;
                }
                return Ok(());
            }
            _ => return Err(Unsupported),
        };
        if args.len() > MAX_ARGS || results.len() > 1 {
            return Err(Unsupported);
        }
        let args = args.iter().map(|&arg| self.zero_extended(arg)).collect();
        let used = results.iter().any(|&result| self.used.contains(result));
        let dst = used.then(|| self.result(inst));
        self.emit(Inst::Call { target, args, dst });
        Ok(())
    }
}

fn is_signed(cond: IntCC) -> bool {
    cond != cond.unsigned()
}

fn condition_of(cond: IntCC) -> Cond {
    match cond {
        IntCC::Equal => Cond::Eq,
        IntCC::NotEqual => Cond::Ne,
        IntCC::UnsignedGreaterThan => Cond::Gt,
        IntCC::UnsignedGreaterThanOrEqual => Cond::Ge,
        IntCC::UnsignedLessThan => Cond::Lt,
        IntCC::UnsignedLessThanOrEqual => Cond::Le,
        IntCC::SignedGreaterThan => Cond::Sgt,
        IntCC::SignedGreaterThanOrEqual => Cond::Sge,
        IntCC::SignedLessThan => Cond::Slt,
        IntCC::SignedLessThanOrEqual => Cond::Sle,
    }
}
