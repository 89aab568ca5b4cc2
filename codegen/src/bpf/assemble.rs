//! Blocks to encoded slots: orders blocks, threads jumps, resolves offsets.

use super::op::{Cond, Op, Src, Width};
use super::{FunctionCode, LineEntry, Reloc, RelocTarget};

/// An instruction with what encoding cannot hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub op: Op,
    pub reloc: Option<RelocTarget>,
    /// Source line, an index into the unit's spans.
    pub line: Option<u32>,
}

/// How a block ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Its last instruction leaves the function.
    Stop,
    /// It goes to this block.
    Jump(u32),
    /// It goes to `then` if the condition holds, else to `other`.
    Branch { cond: Cond, width: Width, lhs: u8, rhs: Src, then: u32, other: u32 },
}

/// One block.
#[derive(Clone, Debug)]
pub(crate) struct BlockCode {
    pub items: Vec<Item>,
    pub end: End,
    /// Source line of the end.
    pub end_line: Option<u32>,
}

/// A jump longer than an instruction can hold, in slots.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooFar(pub i64);

/// Assembles blocks, entry first. `cold` tells which ones belong at the end.
pub(crate) fn assemble(
    name: &str,
    mut blocks: Vec<BlockCode>,
    cold: &[bool],
    frame_bytes: u32,
) -> Result<FunctionCode, TooFar> {
    thread_jumps(&mut blocks);
    let order = layout(&blocks, cold);
    let flat = flatten(&blocks, &order);
    let mut code = FunctionCode { name: name.to_owned(), frame_bytes, ..FunctionCode::default() };
    encode(&flat, &mut code)?;
    Ok(code)
}

/// Makes each jump go where it finally leads.
fn thread_jumps(blocks: &mut [BlockCode]) {
    let finals: Vec<u32> =
        (0..blocks.len() as u32).map(|block| final_target(blocks, block)).collect();
    let stops: Vec<Option<Item>> = blocks.iter().map(only_exit).collect();
    for block in blocks {
        match &mut block.end {
            End::Jump(target) => {
                *target = finals[*target as usize];
                if let Some(exit) = stops[*target as usize] {
                    block.items.push(exit);
                    block.end = End::Stop;
                }
            }
            End::Branch { then, other, .. } => {
                (*then, *other) = (finals[*then as usize], finals[*other as usize]);
                if then == other {
                    block.end = End::Jump(*then);
                }
            }
            End::Stop => {}
        }
    }
}

/// Follows blocks that only jump; an endless loop of them leads to itself.
fn final_target(blocks: &[BlockCode], start: u32) -> u32 {
    let mut block = start;
    for _ in 0..blocks.len() {
        match &blocks[block as usize] {
            BlockCode { items, end: End::Jump(next), .. } if items.is_empty() => block = *next,
            _ => return block,
        }
    }
    start
}

/// The exit that is all of a block.
fn only_exit(block: &BlockCode) -> Option<Item> {
    match block.items.as_slice() {
        &[exit] if exit.op == Op::Exit => Some(exit),
        _ => None,
    }
}

/// Blocks that can be reached, the cold ones last. The verifier refuses others.
fn layout(blocks: &[BlockCode], cold: &[bool]) -> Vec<u32> {
    let mut reached = vec![false; blocks.len()];
    let mut pending = vec![0];
    while let Some(block) = pending.pop() {
        if std::mem::replace(&mut reached[block as usize], true) {
            continue;
        }
        match blocks[block as usize].end {
            End::Stop => {}
            End::Jump(target) => pending.push(target),
            End::Branch { then, other, .. } => pending.extend([then, other]),
        }
    }
    let mut order: Vec<u32> = (0..blocks.len() as u32).filter(|&b| reached[b as usize]).collect();
    order.sort_by_key(|&block| cold.get(block as usize) == Some(&true));
    order
}

/// An instruction whose jump offset, if it has a target block, is not known yet.
struct Placed {
    item: Item,
    target: Option<usize>,
}

struct Flat {
    placed: Vec<Placed>,
    /// First slot of each block.
    starts: Vec<i64>,
}

fn flatten(blocks: &[BlockCode], order: &[u32]) -> Flat {
    let mut flat = Flat { placed: Vec::new(), starts: vec![0; blocks.len()] };
    let mut slot = 0;
    for (n, &block) in order.iter().enumerate() {
        flat.starts[block as usize] = slot;
        let first = flat.placed.len();
        let block = &blocks[block as usize];
        flat.placed.extend(block.items.iter().map(|&item| Placed { item, target: None }));
        finish(block, order.get(n + 1).copied(), &mut flat.placed);
        let slots: u32 = flat.placed[first..].iter().map(|placed| placed.item.op.slots()).sum();
        slot += i64::from(slots);
    }
    flat
}

/// Appends the jumps that end a block; going to the `next` one needs none.
fn finish(block: &BlockCode, next: Option<u32>, placed: &mut Vec<Placed>) {
    let mut push = |op, target: u32| {
        let item = Item { op, reloc: None, line: block.end_line };
        placed.push(Placed { item, target: Some(target as usize) });
    };
    match block.end {
        End::Stop => {}
        End::Jump(target) if Some(target) == next => {}
        End::Jump(target) => push(Op::Jump { off: 0 }, target),
        End::Branch { cond, width, lhs, rhs, then, other } => {
            let branch = |cond| Op::Branch { cond, width, lhs, rhs, off: 0 };
            match cond.inverse() {
                Some(inverse) if Some(then) == next => push(branch(inverse), other),
                _ => {
                    push(branch(cond), then);
                    if Some(other) != next {
                        push(Op::Jump { off: 0 }, other);
                    }
                }
            }
        }
    }
}

fn encode(flat: &Flat, code: &mut FunctionCode) -> Result<(), TooFar> {
    let mut line = None;
    for Placed { item, target } in &flat.placed {
        let slot = code.insns.len() as u32;
        let mut op = item.op;
        if let Some(target) = *target {
            let distance = flat.starts[target] - i64::from(slot) - 1;
            let distance = i16::try_from(distance).map_err(|_| TooFar(distance))?;
            if let Op::Jump { off } | Op::Branch { off, .. } = &mut op {
                *off = distance;
            }
        }
        if let Some(target) = item.reloc {
            code.relocs.push(Reloc { slot, target });
        }
        if let Some(span) = item.line.filter(|_| item.line != line) {
            // The kernel wants a line for a function's first instruction.
            let slot = if code.lines.is_empty() { 0 } else { slot };
            code.lines.push(LineEntry { slot, span });
            line = item.line;
        }
        op.encode(&mut code.insns);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::op::AluOp;

    fn mov(imm: i32) -> Item {
        let op = Op::Alu { op: AluOp::Mov, width: Width::W64, dst: 0, src: Src::Imm(imm) };
        Item { op, reloc: None, line: None }
    }

    fn block(items: Vec<Item>, end: End) -> BlockCode {
        BlockCode { items, end, end_line: None }
    }

    fn exit() -> Item {
        Item { op: Op::Exit, reloc: None, line: None }
    }

    fn branch(then: u32, other: u32) -> End {
        End::Branch { cond: Cond::Eq, width: Width::W64, lhs: 1, rhs: Src::Imm(0), then, other }
    }

    #[test]
    fn empty_blocks_vanish_and_conditions_invert() {
        let blocks = vec![
            block(vec![], branch(1, 2)),
            block(vec![], End::Jump(3)),
            block(vec![], End::Jump(4)),
            block(vec![mov(1), exit()], End::Stop),
            block(vec![mov(2), exit()], End::Stop),
        ];
        let code = assemble("f", blocks, &[], 0).unwrap();
        // if r1 != 0 goto +2; r0 = 1; exit; r0 = 2; exit
        assert_eq!(code.insns.len(), 5);
        assert_eq!((code.insns[0].code, code.insns[0].off), (0x55, 2));
    }

    #[test]
    fn jumps_to_an_exit_are_exits() {
        let blocks = vec![
            block(vec![mov(0)], branch(1, 2)),
            block(vec![mov(1)], End::Jump(3)),
            block(vec![mov(2)], End::Jump(3)),
            block(vec![exit()], End::Stop),
        ];
        let code = assemble("f", blocks, &[false, true, false, false], 0).unwrap();
        // r0 = 0; if r1 == 0 goto cold; r0 = 2; exit; cold: r0 = 1; exit
        assert_eq!(code.insns.len(), 6);
        assert_eq!(code.insns[1].off, 2);
    }

    #[test]
    fn endless_loop_ends_assembly() {
        let blocks = vec![block(vec![], End::Jump(1)), block(vec![], End::Jump(0))];
        assert!(assemble("f", blocks, &[], 0).is_ok());
    }

    #[test]
    fn long_jump_is_an_error() {
        let long = vec![mov(0); 40_000];
        let blocks = vec![
            block(vec![], branch(2, 1)),
            block(long, End::Jump(2)),
            block(vec![mov(1), exit()], End::Stop),
        ];
        assert_eq!(assemble("f", blocks, &[], 0), Err(TooFar(40_000)));
    }
}
