//! What instructions do to physical registers, and which of these are live where.

use crate::vcode::{Inst, Reg, Role};

/// A set of r0 to r10.
pub(super) type RegSet = u16;

/// What calls leave undefined: r0 to r5.
const CLOBBERED: RegSet = 0x3f;

/// The set of one register.
pub(super) const fn bit(reg: u8) -> RegSet {
    1 << reg
}

/// The number of a physical register.
pub(super) fn number(reg: Reg) -> u8 {
    match reg {
        Reg::Physical(number) => number,
        Reg::Virtual(_) => unreachable!("allocation leaves no virtual registers"),
    }
}

/// What an instruction does to registers.
#[derive(Clone, Copy, Default)]
pub(super) struct Effect {
    pub uses: RegSet,
    /// Written to, or left undefined.
    pub defs: RegSet,
    /// Of `uses` and `defs`, those where no other register will do.
    pub fixed: RegSet,
    /// Of `defs`, those written over an operand.
    pub reused: RegSet,
    /// Of `defs`, those written before all operands are read.
    pub early: RegSet,
}

impl Effect {
    pub fn of(inst: &mut Inst) -> Self {
        let mut effect = Self::default();
        if matches!(inst, Inst::Call { .. }) {
            (effect.defs, effect.fixed) = (CLOBBERED, CLOBBERED);
        }
        inst.visit(&mut |reg, role| {
            let reg = bit(number(*reg));
            match role {
                Role::Use => effect.uses |= reg,
                Role::UseIn(_) => effect.uses |= reg,
                Role::Def | Role::DefIn(_) => effect.defs |= reg,
                Role::DefReuse(_) => {
                    (effect.defs, effect.reused) = (effect.defs | reg, effect.reused | reg)
                }
                Role::DefEarly => {
                    (effect.defs, effect.early) = (effect.defs | reg, effect.early | reg)
                }
            }
            if matches!(role, Role::UseIn(_) | Role::DefIn(_)) {
                effect.fixed |= reg;
            }
        });
        effect
    }

    fn live_before(self, after: RegSet) -> RegSet {
        (after & !self.defs) | self.uses
    }
}

/// Registers live at the end of each block.
pub(super) fn live_out(effects: &[Vec<Effect>], succs: &[Vec<u32>]) -> Vec<RegSet> {
    let mut live_in = vec![0; effects.len()];
    let mut live_out = vec![0; effects.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for (n, block) in effects.iter().enumerate().rev() {
            let out = succs[n].iter().fold(0, |out, &succ| out | live_in[succ as usize]);
            let before = block.iter().rev().fold(out, |live, effect| effect.live_before(live));
            changed |= before != live_in[n];
            (live_in[n], live_out[n]) = (before, out);
        }
    }
    live_out
}

/// Registers live after each instruction.
pub(super) fn live_after(effects: &[Effect], out: RegSet) -> Vec<RegSet> {
    let mut live = out;
    let mut after = vec![0; effects.len()];
    for (effect, after) in effects.iter().zip(&mut after).rev() {
        *after = live;
        live = effect.live_before(live);
    }
    after
}
