//! The order of blocks in the code, with a block put on every critical edge.
//!
//! regalloc2 places the moves of an edge at its source's end or its target's start, so no edge may
//! have both a source with several successors and a target with several predecessors.

use cranelift_codegen::entity::{EntitySet, SecondaryMap};
use cranelift_codegen::ir::{Block, Function, Inst};

/// Index of a block in the code's order.
pub(crate) type BlockId = u32;

/// Where a block of code comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// A block of the IR.
    Block(Block),
    /// The edge that a terminator of the IR takes as its so-and-so-manieth successor.
    Edge { branch: Inst, succ: usize },
}

/// Blocks in order, entry first. A source precedes its targets but for loops' back edges.
#[derive(Debug)]
pub(crate) struct BlockOrder {
    /// By [`BlockId`].
    pub origins: Vec<Origin>,
    /// Successors, by [`BlockId`].
    pub succs: Vec<Vec<BlockId>>,
    index: SecondaryMap<Block, BlockId>,
}

impl BlockOrder {
    /// Orders the reachable blocks of `func`. Where it can choose, what a branch does not jump to
    /// comes next: its second successor if `falls_through`, else its first.
    pub fn new(func: &Function, falls_through: impl Fn(Inst) -> bool) -> Self {
        let blocks = reverse_postorder(func, falls_through);
        let mut preds: SecondaryMap<Block, u32> = SecondaryMap::new();
        for &block in &blocks {
            successors(func, block).for_each(|(_, target)| preds[target] += 1);
        }

        let mut order = Self { origins: Vec::new(), succs: Vec::new(), index: SecondaryMap::new() };
        for &block in &blocks {
            order.index[block] = order.push(Origin::Block(block));
            let edges: Vec<_> = successors(func, block).collect();
            for (succ, &(branch, target)) in edges.iter().enumerate() {
                if edges.len() > 1 && preds[target] > 1 {
                    order.push(Origin::Edge { branch, succ });
                }
            }
        }
        order.connect(func, &preds);
        order
    }

    fn push(&mut self, origin: Origin) -> BlockId {
        self.origins.push(origin);
        self.succs.push(Vec::new());
        (self.origins.len() - 1) as BlockId
    }

    /// Fills `succs` in; edge blocks follow their source in the order of its successors.
    fn connect(&mut self, func: &Function, preds: &SecondaryMap<Block, u32>) {
        for id in 0..self.origins.len() {
            let Origin::Block(block) = self.origins[id] else { continue };
            let edges: Vec<_> = successors(func, block).collect();
            let mut edge_block = id as BlockId;
            for &(_, target) in &edges {
                let target_id = self.index[target];
                if edges.len() > 1 && preds[target] > 1 {
                    edge_block += 1;
                    self.succs[id].push(edge_block);
                    self.succs[edge_block as usize].push(target_id);
                } else {
                    self.succs[id].push(target_id);
                }
            }
        }
    }

    /// Which blocks are marked as rarely run, by [`BlockId`].
    pub fn cold(&self, func: &Function) -> Vec<bool> {
        let cold = |origin: &Origin| match *origin {
            Origin::Block(block) => func.layout.is_cold(block),
            Origin::Edge { .. } => false,
        };
        self.origins.iter().map(cold).collect()
    }
}

fn reverse_postorder(func: &Function, falls_through: impl Fn(Inst) -> bool) -> Vec<Block> {
    let mut seen: EntitySet<Block> = EntitySet::new();
    let mut postorder = Vec::new();
    // Blocks under way, each with the successors that are still to be visited, last one first.
    let mut path: Vec<(Block, Vec<Block>)> = Vec::new();
    let visit = |block| {
        let edges: Vec<_> = successors(func, block).collect();
        let mut pending: Vec<Block> = edges.iter().map(|&(_, target)| target).collect();
        if edges.first().is_some_and(|&(branch, _)| falls_through(branch)) {
            pending.reverse();
        }
        (block, pending)
    };
    if let Some(entry) = func.layout.entry_block() {
        seen.insert(entry);
        path.push(visit(entry));
    }
    while let Some((block, pending)) = path.last_mut() {
        match pending.pop() {
            Some(target) if seen.insert(target) => path.push(visit(target)),
            Some(_) => {}
            None => {
                postorder.push(*block);
                path.pop();
            }
        }
    }
    postorder.reverse();
    postorder
}

/// The terminator of `block` with each of its targets.
fn successors(func: &Function, block: Block) -> impl Iterator<Item = (Inst, Block)> + '_ {
    func.layout.last_inst(block).into_iter().flat_map(move |inst| {
        func.dfg.insts[inst]
            .branch_destination(&func.dfg.jump_tables, &func.dfg.exception_tables)
            .iter()
            .map(move |call| (inst, call.block(&func.dfg.value_lists)))
    })
}
