//! Moves that several blocks end with, moved to the block that they all go to.

use super::Block;
use crate::vcode::{Inst, Operand, Reg};

/// Sinks moves. Blocks with several predecessors are the only successor of each of them, since no
/// edge is critical.
pub(super) fn sink_moves(blocks: &mut [Block], succs: &[Vec<u32>]) {
    let mut preds = vec![Vec::new(); blocks.len()];
    for (block, succs) in succs.iter().enumerate() {
        for &succ in succs {
            preds[succ as usize].push(block);
        }
    }
    for (block, preds) in preds.iter().enumerate() {
        let joins = preds.len() > 1 && preds.iter().all(|&p| p != block && succs[p].len() == 1);
        while joins && common_move(blocks, preds).is_some() {
            let mut sunk = None;
            for &pred in preds {
                let last = blocks[pred].len() - 2;
                sunk = Some(blocks[pred].remove(last).0);
            }
            if let Some(inst) = sunk {
                let line = blocks[block].first().and_then(|(_, line)| *line);
                blocks[block].insert(0, (inst, line));
            }
        }
    }
}

/// The move that comes before the jump of each of `preds`.
fn common_move(blocks: &[Block], preds: &[usize]) -> Option<(Reg, Reg)> {
    let last_move = |&pred: &usize| {
        let before_jump = blocks[pred].len().checked_sub(2)?;
        match blocks[pred][before_jump].0 {
            Inst::Mov { width: crate::bpf::op::Width::W64, dst, src: Operand::Reg(src) } => {
                Some((dst, src))
            }
            _ => None,
        }
    };
    let mut moves = preds.iter().map(last_move);
    let first = moves.next()??;
    moves.all(|other| other == Some(first)).then_some(first)
}
