//! Expansions that add blocks.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, BlockCall, Function, Inst, InstBuilder, InstructionData, Opcode, TrapCode, Value,
};

/// Replaces conditional traps by branches to a trap, and branch tables by chains of comparisons.
pub(super) fn legalize(func: &mut Function) {
    let mut block = func.layout.entry_block();
    while let Some(current) = block {
        let found = func.layout.block_insts(current).find_map(|inst| control(func, inst));
        match found {
            Some(Control::Trap { inst, cond, code, if_zero }) => {
                conditional_trap(func, inst, cond, code, if_zero);
            }
            Some(Control::Table { inst, index, default, targets }) => {
                branch_table(func, inst, index, default, &targets);
            }
            None => {}
        }
        // What follows a replaced instruction is in a block of its own, visited next.
        block = func.layout.next_block(current);
    }
}

/// An instruction to replace.
enum Control {
    Trap { inst: Inst, cond: Value, code: TrapCode, if_zero: bool },
    Table { inst: Inst, index: Value, default: BlockCall, targets: Vec<BlockCall> },
}

fn control(func: &Function, inst: Inst) -> Option<Control> {
    match func.dfg.insts[inst] {
        InstructionData::CondTrap { opcode, arg: cond, code } => {
            let if_zero = opcode == Opcode::Trapz;
            Some(Control::Trap { inst, cond, code, if_zero })
        }
        InstructionData::BranchTable { arg: index, table, .. } => {
            let table = &func.dfg.jump_tables[table];
            let targets = table.as_slice().to_vec();
            Some(Control::Table { inst, index, default: table.default_block(), targets })
        }
        _ => None,
    }
}

/// A new block after the one that holds `inst`.
fn block_after(func: &mut Function, inst: Inst) -> Option<Block> {
    let here = func.layout.inst_block(inst)?;
    let new = func.dfg.make_block();
    func.layout.insert_block_after(new, here);
    Some(new)
}

fn conditional_trap(func: &mut Function, inst: Inst, cond: Value, code: TrapCode, if_zero: bool) {
    let Some(next) = func.layout.next_inst(inst) else { return };
    let rest = func.dfg.make_block();
    func.layout.split_block(rest, next);
    let Some(trap) = block_after(func, inst) else { return };
    func.layout.set_cold(trap);

    let mut pos = FuncCursor::new(func).at_inst(inst);
    pos.use_srcloc(inst);
    if if_zero {
        pos.ins().brif(cond, rest, &[], trap, &[]);
    } else {
        pos.ins().brif(cond, trap, &[], rest, &[]);
    }
    pos.remove_inst();
    let mut pos = FuncCursor::new(func).at_bottom(trap);
    pos.use_srcloc(inst);
    pos.ins().trap(code);
}

fn branch_table(
    func: &mut Function,
    inst: Inst,
    index: Value,
    default: BlockCall,
    targets: &[BlockCall],
) {
    let ty = func.dfg.value_type(index);
    for (n, &target) in (0..).zip(targets) {
        let Some(next) = block_after(func, inst) else { return };
        let mut pos = FuncCursor::new(func).at_inst(inst);
        pos.use_srcloc(inst);
        let constant = pos.ins().iconst(ty, n);
        let equal = pos.ins().icmp(IntCC::Equal, index, constant);
        let branch = pos.ins().brif(equal, next, &[], next, &[]);
        if let InstructionData::Brif { blocks, .. } = &mut pos.func.dfg.insts[branch] {
            blocks[0] = target;
        }
        // The table's own instruction moves on, to end the chain.
        pos.remove_inst();
        func.layout.append_inst(inst, next);
    }
    func.dfg.insts[inst] = InstructionData::Jump { opcode: Opcode::Jump, destination: default };
}
