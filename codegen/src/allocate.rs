//! Stage `allocate`: virtual registers to r0..r9 and spill slots, by regalloc2.

use std::sync::LazyLock;

use regalloc2::checker::Checker;
use regalloc2::{
    Allocation, Block, Edit, Function as _, InstOrEdit, MachineEnv, Output, PRegSet,
    RegallocOptions,
};

use crate::bpf::op::{Size, Width};
use crate::coalesce::coalesce;
use crate::vcode::{Base, Function, Inst, Operand, Reg, preg};

/// Code with physical registers.
#[derive(Debug)]
pub(crate) struct Allocated {
    /// Blocks, entry first, with the source line of each instruction.
    pub blocks: Vec<Vec<(Inst, Option<u32>)>>,
    /// Number of 8-byte slots for spilled registers.
    pub spills: usize,
}

/// Registers that calls clobber come first: saving the others costs the kernel's prologue. Results
/// of calls and functions want r0, so nothing else should take it.
static ENV: LazyLock<MachineEnv> = LazyLock::new(|| {
    let class = |regs: &[u8]| {
        [regs.iter().copied().map(preg).collect(), PRegSet::empty(), PRegSet::empty()]
    };
    MachineEnv {
        preferred_regs_by_class: class(&[1, 2, 3, 4, 5]),
        non_preferred_regs_by_class: class(&[0, 6, 7, 8, 9]),
        scratch_by_class: [None; 3],
        fixed_stack_slots: Vec::new(),
    }
});

/// Allocates registers. In debug builds regalloc2's checker confirms the result.
pub(crate) fn allocate(func: Function) -> Result<Allocated, String> {
    let check = cfg!(debug_assertions);
    let options = RegallocOptions { validate_ssa: check, ..RegallocOptions::default() };
    let output = regalloc2::run(&func, &ENV, &options).map_err(|e| e.to_string())?;
    if check {
        let mut checker = Checker::new(&func, &ENV);
        checker.prepare(&output);
        checker.run().map_err(|errors| format!("{errors:?}"))?;
    }
    apply(&func, &output)
}

/// Puts registers into instructions, and the allocator's moves between them.
fn apply(func: &Function, output: &Output) -> Result<Allocated, String> {
    let mut blocks = Vec::with_capacity(func.num_blocks());
    for block in (0..func.num_blocks()).map(Block::new) {
        let mut body = Vec::new();
        // A move takes the line of the instruction that it precedes.
        let mut pending = 0;
        for item in output.block_insts_and_edits(func, block) {
            match item {
                InstOrEdit::Edit(Edit::Move { from, to }) => {
                    if let Some(inst) = move_between(*from, *to)? {
                        body.push((inst, None));
                        pending += 1;
                    }
                }
                InstOrEdit::Inst(index) => {
                    let line = func.lines[index.index()];
                    let start = body.len() - pending;
                    body[start..].iter_mut().for_each(|(_, of_move)| *of_move = line);
                    pending = 0;
                    let inst = func.insts[index.index()].clone();
                    body.push((with_registers(inst, output.inst_allocs(index))?, line));
                }
            }
        }
        blocks.push(body);
    }
    let succs: Vec<Vec<u32>> = (0..func.num_blocks())
        .map(|n| func.block_succs(Block::new(n)).iter().map(|succ| succ.index() as u32).collect())
        .collect();
    coalesce(&mut blocks, &succs);
    Ok(Allocated { blocks, spills: output.num_spillslots })
}

fn with_registers(mut inst: Inst, allocs: &[Allocation]) -> Result<Inst, String> {
    let mut allocs = allocs.iter();
    let mut missing = false;
    inst.visit(&mut |reg, _| match allocs.next().and_then(|alloc| physical(*alloc)) {
        Some(physical) => *reg = physical,
        None => missing = true,
    });
    if missing { Err(format!("no register for an operand of {inst:?}")) } else { Ok(inst) }
}

fn physical(alloc: Allocation) -> Option<Reg> {
    Some(Reg::Physical(alloc.as_reg()?.hw_enc() as u8))
}

fn move_between(from: Allocation, to: Allocation) -> Result<Option<Inst>, String> {
    let spill = |alloc: Allocation| alloc.as_stack().map(|slot| Base::Spill(slot.index()));
    let (size, off) = (Size::Double, 0);
    Ok(match (physical(from), physical(to), spill(from), spill(to)) {
        (Some(from), Some(to), ..) if from == to => None,
        (Some(from), Some(dst), ..) => {
            Some(Inst::Mov { width: Width::W64, dst, src: Operand::Reg(from) })
        }
        (None, Some(dst), Some(base), _) => Some(Inst::Load { size, dst, base, off }),
        (Some(from), None, _, Some(base)) => {
            Some(Inst::Store { size, base, off, src: Operand::Reg(from) })
        }
        _ => return Err(format!("a move from {from} to {to}")),
    })
}
