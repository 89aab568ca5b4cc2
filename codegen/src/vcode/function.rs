//! A function of virtual-register instructions, in the shape that regalloc2 wants.

use regalloc2::{
    Block, Inst as InstIndex, InstRange, OperandConstraint, OperandKind, OperandPos, PReg, PRegSet,
    RegClass, VReg,
};

use super::{BlockId, Inst, Reg, Role};

/// One block.
#[derive(Debug, Default)]
struct BlockData {
    insts: (usize, usize),
    params: Vec<VReg>,
    succs: Vec<Block>,
    preds: Vec<Block>,
    /// Arguments of each successor's parameters.
    args: Vec<Vec<VReg>>,
}

/// A function ready for register allocation.
#[derive(Debug)]
pub(crate) struct Function {
    pub insts: Vec<Inst>,
    /// Source line of each instruction, an index into the unit's spans.
    pub lines: Vec<Option<u32>>,
    blocks: Vec<BlockData>,
    operands: Vec<regalloc2::Operand>,
    /// End of each instruction's operands in `operands`.
    operand_ends: Vec<usize>,
    num_vregs: usize,
    /// Which blocks are rarely run.
    pub cold: Vec<bool>,
}

/// Builds a [`Function`] block by block, each block's instructions in forward order, the blocks in
/// any order.
#[derive(Debug)]
pub(crate) struct Builder {
    blocks: Vec<BlockData>,
    bodies: Vec<Vec<(Inst, Option<u32>)>>,
}

impl Builder {
    /// A function of blocks with these successors.
    pub fn new(succs: &[Vec<BlockId>]) -> Self {
        let mut blocks: Vec<BlockData> = succs
            .iter()
            .map(|succs| BlockData {
                succs: succs.iter().map(|&id| Block::new(id as usize)).collect(),
                args: vec![Vec::new(); succs.len()],
                ..BlockData::default()
            })
            .collect();
        for (id, succs) in succs.iter().enumerate() {
            for &succ in succs {
                blocks[succ as usize].preds.push(Block::new(id));
            }
        }
        Self { bodies: (0..blocks.len()).map(|_| Vec::new()).collect(), blocks }
    }

    /// Sets a block's instructions and parameters.
    pub fn set_block(&mut self, id: BlockId, params: &[Reg], body: Vec<(Inst, Option<u32>)>) {
        self.blocks[id as usize].params = params.iter().map(|&reg| vreg(reg)).collect();
        self.bodies[id as usize] = body;
    }

    /// Sets the arguments that block `id` passes to its so-and-so-manieth successor.
    pub fn set_args(&mut self, id: BlockId, succ: usize, args: &[Reg]) {
        self.blocks[id as usize].args[succ] = args.iter().map(|&reg| vreg(reg)).collect();
    }

    /// Finishes a function that uses virtual registers below `num_vregs`; `cold` tells which blocks
    /// are rarely run.
    pub fn finish(self, num_vregs: u32, cold: Vec<bool>) -> Function {
        let mut func = Function {
            insts: Vec::new(),
            lines: Vec::new(),
            blocks: self.blocks,
            operands: Vec::new(),
            operand_ends: Vec::new(),
            num_vregs: num_vregs as usize,
            cold,
        };
        for (block, body) in func.blocks.iter_mut().zip(self.bodies) {
            let start = func.insts.len();
            for (mut inst, line) in body {
                inst.visit(&mut |reg, role| func.operands.push(operand(*reg, role)));
                func.operand_ends.push(func.operands.len());
                func.insts.push(inst);
                func.lines.push(line);
            }
            block.insts = (start, func.insts.len());
        }
        func
    }
}

fn vreg(reg: Reg) -> VReg {
    match reg {
        Reg::Virtual(n) => VReg::new(n as usize, RegClass::Int),
        Reg::Physical(_) => VReg::invalid(),
    }
}

/// The physical register with this number.
pub(crate) fn preg(n: u8) -> PReg {
    PReg::new(usize::from(n), RegClass::Int)
}

fn operand(reg: Reg, role: Role) -> regalloc2::Operand {
    use OperandConstraint::{FixedReg, Reg as AnyReg, Reuse};
    let (constraint, kind, pos) = match role {
        Role::Use => (AnyReg, OperandKind::Use, OperandPos::Early),
        Role::UseIn(n) => (FixedReg(preg(n)), OperandKind::Use, OperandPos::Early),
        Role::Def => (AnyReg, OperandKind::Def, OperandPos::Late),
        Role::DefIn(n) => (FixedReg(preg(n)), OperandKind::Def, OperandPos::Late),
        Role::DefReuse(operand) => (Reuse(operand), OperandKind::Def, OperandPos::Late),
        Role::DefEarly => (AnyReg, OperandKind::Def, OperandPos::Early),
    };
    regalloc2::Operand::new(vreg(reg), constraint, kind, pos)
}

impl regalloc2::Function for Function {
    fn num_insts(&self) -> usize {
        self.insts.len()
    }

    fn num_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn entry_block(&self) -> Block {
        Block::new(0)
    }

    fn block_insns(&self, block: Block) -> InstRange {
        let (start, end) = self.blocks[block.index()].insts;
        InstRange::new(InstIndex::new(start), InstIndex::new(end))
    }

    fn block_succs(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].succs
    }

    fn block_preds(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].preds
    }

    fn block_params(&self, block: Block) -> &[VReg] {
        &self.blocks[block.index()].params
    }

    fn is_ret(&self, inst: InstIndex) -> bool {
        self.insts[inst.index()].is_return()
    }

    fn is_branch(&self, inst: InstIndex) -> bool {
        self.insts[inst.index()].is_branch()
    }

    fn branch_blockparams(&self, block: Block, _: InstIndex, succ: usize) -> &[VReg] {
        &self.blocks[block.index()].args[succ]
    }

    fn inst_operands(&self, inst: InstIndex) -> &[regalloc2::Operand] {
        let index = inst.index();
        let start = index.checked_sub(1).map_or(0, |previous| self.operand_ends[previous]);
        &self.operands[start..self.operand_ends[index]]
    }

    /// A call leaves r0 to r5 undefined; r0 is no clobber where it is the result.
    fn inst_clobbers(&self, inst: InstIndex) -> PRegSet {
        let first = match &self.insts[inst.index()] {
            Inst::Call { dst: None, .. } => 0,
            Inst::Call { dst: Some(_), .. } => 1,
            _ => return PRegSet::empty(),
        };
        (first..=5).map(preg).collect()
    }

    fn num_vregs(&self) -> usize {
        self.num_vregs
    }

    fn spillslot_size(&self, _: RegClass) -> usize {
        1
    }
}
