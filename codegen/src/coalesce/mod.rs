//! Removes moves that register allocation left: regalloc2 splits a value's range around calls, and
//! reads the last piece through a copy.
//!
//! For `a = b`, within one block: if `b` is not needed afterwards, `a`'s instructions work on `b`
//! instead; if it is, those that only read `a` read `b`. Moves that all ways to a block end with
//! are its own first, so that this applies to them as well.

mod liveness;
mod sink;

use crate::bpf::op::Width;
use crate::vcode::{Inst, Operand, Reg, Role};
use liveness::{Effect, RegSet, bit, live_after, live_out, number};

type Block = Vec<(Inst, Option<u32>)>;

/// Removes moves in each of `blocks`, which have these successors.
pub(crate) fn coalesce(blocks: &mut [Block], succs: &[Vec<u32>]) {
    sink::sink_moves(blocks, succs);
    let mut effects: Vec<Vec<Effect>> = blocks
        .iter_mut()
        .map(|block| block.iter_mut().map(|(inst, _)| Effect::of(inst)).collect())
        .collect();
    let live_out = live_out(&effects, succs);
    for ((block, effects), live_out) in blocks.iter_mut().zip(&mut effects).zip(live_out) {
        let live = live_after(effects, live_out);
        Coalescer { block, effects, live }.run();
    }
}

/// One block at work, all of the same length.
struct Coalescer<'a> {
    block: &'a mut Block,
    effects: &'a mut Vec<Effect>,
    /// Registers live after each instruction.
    live: Vec<RegSet>,
}

impl Coalescer<'_> {
    fn run(&mut self) {
        let mut at = 0;
        while at < self.block.len() {
            match self.removable(at) {
                Some((to, from, end)) => self.remove(at, to, from, end),
                None if self.exchange_operands(at) => {}
                None => at += 1,
            }
        }
    }

    /// The registers of the move at `at`, and the end of the range where its source can stand for
    /// its target, if there is one.
    fn removable(&self, at: usize) -> Option<(u8, u8, usize)> {
        let (to, from) = match self.block[at].0 {
            Inst::Mov { width: Width::W64, dst, src: Operand::Reg(src) } => {
                (number(dst), number(src))
            }
            _ => return None,
        };
        Some((to, from, self.range_end(at, bit(to), bit(from))?))
    }

    /// Turns `a += b; b = a` into `b += a` if that is the move at `at`, and `a` is not needed.
    fn exchange_operands(&mut self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return false };
        let Inst::Mov { width: Width::W64, dst: to, src: Operand::Reg(from) } = self.block[at].0
        else {
            return false;
        };
        let needed = self.live[at] & bit(number(from)) != 0;
        match &mut self.block[before].0 {
            Inst::Alu { op, dst, lhs, rhs, .. }
                if op.commutes() && !needed && *dst == from && *rhs == Operand::Reg(to) =>
            {
                (*dst, *lhs, *rhs) = (to, to, Operand::Reg(from));
            }
            _ => return false,
        }
        self.effects[before] = Effect::of(&mut self.block[before].0);
        // What was live after the move is live after the operation now.
        self.live[before] = self.live[at];
        self.drop_at(at);
        true
    }

    fn drop_at(&mut self, at: usize) {
        self.block.remove(at);
        self.effects.remove(at);
        self.live.remove(at);
    }

    /// The end of the instructions from a move `to = from` to the last that reads `to`, if all of
    /// them can use `from` instead.
    fn range_end(&self, at: usize, to: RegSet, from: RegSet) -> Option<usize> {
        // Only a register that nothing else needs may be overwritten.
        let free = self.live[at] & from == 0;
        if self.live[at] & to == 0 {
            return Some(at + 1);
        }
        for n in at + 1..self.block.len() {
            let effect = self.effects[n];
            if effect.uses & to == 0 && effect.defs & to != 0 {
                // Overwritten unread: the range ended before.
                return Some(n);
            }
            if effect.uses & effect.fixed & to != 0 {
                return None;
            }
            let reused = effect.reused & to != 0;
            let ends = self.live[n] & to == 0 || (effect.defs & to != 0 && !reused);
            let last = effect.uses & to != 0 && ends;
            if reused && !free {
                return None;
            }
            // The last reader may overwrite `from` once it has read.
            let late = last && !reused && (effect.early | effect.reused) & from == 0;
            if effect.defs & from != 0 && !late {
                return None;
            }
            if last {
                return Some(n + 1);
            }
        }
        None
    }

    /// Removes the move at `at`, `from` standing for `to` up to `end`.
    fn remove(&mut self, at: usize, to: u8, from: u8, end: usize) {
        for n in at + 1..end {
            let reused = self.effects[n].reused & bit(to) != 0;
            let inst = &mut self.block[n].0;
            inst.visit(&mut |reg, role| {
                let read = role == Role::Use || (reused && matches!(role, Role::DefReuse(_)));
                if read && *reg == Reg::Physical(to) {
                    *reg = Reg::Physical(from);
                }
            });
            self.effects[n] = Effect::of(inst);
            if n + 1 < end {
                self.live[n] = self.live[n] & !bit(to) | bit(from);
            }
        }
        self.drop_at(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::op::AluOp;
    use crate::vcode::CallTarget;

    const W64: Width = Width::W64;

    fn reg(n: u8) -> Reg {
        Reg::Physical(n)
    }

    fn mov(dst: u8, src: u8) -> Inst {
        Inst::Mov { width: W64, dst: reg(dst), src: Operand::Reg(reg(src)) }
    }

    fn add(dst: u8, rhs: u8) -> Inst {
        let rhs = Operand::Reg(reg(rhs));
        Inst::Alu { op: AluOp::Add, width: W64, dst: reg(dst), lhs: reg(dst), rhs }
    }

    fn ret() -> Inst {
        Inst::Return { value: reg(0) }
    }

    fn call() -> Inst {
        Inst::Call { target: CallTarget::Helper(5), args: Vec::new(), dst: Some(reg(0)) }
    }

    fn coalesced(insts: Vec<Inst>) -> Vec<String> {
        let mut blocks = [insts.into_iter().map(|inst| (inst, None)).collect()];
        coalesce(&mut blocks, &[Vec::new()]);
        blocks[0].iter().map(|(inst, _)| format!("{inst:?}")).collect()
    }

    #[track_caller]
    fn assert_coalesced(insts: Vec<Inst>, expected: Vec<Inst>) {
        let expected: Vec<_> = expected.iter().map(|inst| format!("{inst:?}")).collect();
        assert_eq!(coalesced(insts), expected);
    }

    #[test]
    fn reads_of_a_copy_read_the_original() {
        let insts = vec![call(), mov(1, 6), add(0, 1), add(0, 6), ret()];
        assert_coalesced(insts, vec![call(), add(0, 6), add(0, 6), ret()]);
    }

    #[test]
    fn arithmetic_on_a_copy_works_on_the_dead_original() {
        let insts = vec![call(), mov(1, 6), add(1, 0), add(0, 1), ret()];
        assert_coalesced(insts, vec![call(), add(6, 0), add(0, 6), ret()]);
    }

    #[test]
    fn sum_moved_to_its_other_operand_is_made_there() {
        let insts = vec![call(), add(1, 0), mov(0, 1), ret()];
        assert_coalesced(insts, vec![call(), add(0, 1), ret()]);
    }

    #[test]
    fn moves_on_all_ways_to_a_block_are_its_own() {
        let jump = || Inst::Jump { target: 2 };
        let bodies = [vec![mov(1, 6), jump()], vec![mov(1, 6), jump()], vec![add(0, 1), ret()]];
        let mut blocks = bodies.map(|insts| insts.into_iter().map(|inst| (inst, None)).collect());
        coalesce(&mut blocks, &[vec![2], vec![2], Vec::new()]);
        assert_eq!(blocks.each_ref().map(Vec::len), [1, 1, 2]);
        assert_eq!(format!("{:?}", blocks[2][0].0), format!("{:?}", add(0, 6)));
    }

    #[test]
    fn copies_that_matter_stay() {
        // The original is still needed; it changes; a call wants the copy; a call destroys it.
        for insts in [
            vec![mov(1, 6), add(1, 6), add(6, 1), mov(0, 6), ret()],
            vec![mov(1, 6), add(6, 1), add(6, 1), add(0, 6), ret()],
            vec![mov(6, 1), call(), add(0, 6), ret()],
        ] {
            let first = format!("{:?}", insts[0]);
            assert_eq!(coalesced(insts)[0], first);
        }
    }
}
