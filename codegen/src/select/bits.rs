//! What a branch tests: the comparison that decides it, or bits.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Inst, InstructionData, Opcode, Value};

use super::facts::{Facts, mask};
use super::width_of;
use crate::bpf::op::Width;

/// A test whether some bit of a mask is set, which takes no masked value in a register.
pub(crate) struct BitTest {
    pub value: Value,
    pub mask: i32,
    pub width: Width,
    /// Whether the branch wants none set.
    pub inverted: bool,
}

impl Facts<'_> {
    /// The `icmp` that decides whether `value` is zero, if there is one.
    pub fn deciding_icmp(self, mut value: Value) -> Option<Inst> {
        loop {
            let (opcode, args, inst) = self.def_op(value)?;
            match (opcode, args) {
                (Opcode::Icmp, _) => return Some(inst),
                (Opcode::Uextend | Opcode::Sextend, &[arg]) => value = arg,
                _ => return None,
            }
        }
    }

    /// The test of bits that decides whether `value` is zero, if there is one.
    pub fn bit_test(self, value: Value) -> Option<BitTest> {
        let (value, inverted) = match self.deciding_icmp(value) {
            Some(icmp) => self.zero_test(icmp)?,
            None => (value, false),
        };
        let ty = self.ty(value);
        if let Some((Opcode::Band, &[x, y], _)) = self.def_op(value) {
            let constant = self.constant(y)?;
            // As an immediate, the mask is sign-extended.
            let mask = match ty.bits() {
                64 => i32::try_from(constant as i64).ok()?,
                _ => constant as i32,
            };
            return Some(BitTest { value: x, mask, width: width_of(ty), inverted });
        }
        if ty.bits() >= 32 || self.zero_extended(value) {
            return None;
        }
        Some(BitTest { value, mask: mask(ty) as i32, width: Width::W32, inverted })
    }

    /// What `icmp` compares with zero, and whether for equality.
    fn zero_test(self, icmp: Inst) -> Option<(Value, bool)> {
        let InstructionData::IntCompare { cond, args: [x, y], .. } = self.func.dfg.insts[icmp]
        else {
            return None;
        };
        let equal = match cond {
            IntCC::Equal => true,
            IntCC::NotEqual => false,
            _ => return None,
        };
        (self.constant(y)? == 0).then_some((x, equal))
    }

    /// Whether `branch` had better jump to its first successor: a test of bits cannot be inverted.
    pub fn jumps_if_true(self, branch: Inst) -> bool {
        let InstructionData::Brif { arg, .. } = self.func.dfg.insts[branch] else { return false };
        self.bit_test(arg).is_some_and(|test| !test.inverted)
    }
}
