//! Takes back the optimizer's rematerialization of arithmetic with constants.
//!
//! Cranelift computes `x + 5` anew in each block that uses it, which is cheap. But the kernel's
//! verifier knows only of the register that a bounds check compared: the check and the use must be
//! of one value.

use std::collections::HashMap;

use cranelift_codegen::dominator_tree::DominatorTree;
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::{Block, Function, Inst, InstructionData, Opcode, Type, Value};

/// What makes two computations the same.
type Key = (Opcode, Type, Value, i64);

/// Replaces computations by equal ones in dominating blocks.
pub(super) fn reuse(func: &mut Function) {
    let cfg = ControlFlowGraph::with_function(func);
    let domtree = DominatorTree::with_function(func, &cfg);
    let mut known: HashMap<Key, Vec<(Block, Value)>> = HashMap::new();
    for &block in domtree.cfg_postorder().iter().rev() {
        let mut next = func.layout.first_inst(block);
        while let Some(inst) = next {
            next = func.layout.next_inst(inst);
            let Some(key) = key(func, inst) else { continue };
            let Some(&result) = func.dfg.inst_results(inst).first() else { continue };
            let earlier = known.entry(key).or_default();
            match earlier.iter().find(|(other, _)| domtree.block_dominates(*other, block)) {
                Some(&(_, value)) => {
                    func.dfg.clear_results(inst);
                    func.dfg.change_to_alias(result, value);
                    func.layout.remove_inst(inst);
                }
                None => earlier.push((block, result)),
            }
        }
    }
}

/// The key of an operation on a value and a constant.
fn key(func: &Function, inst: Inst) -> Option<Key> {
    let InstructionData::Binary { opcode, args: [x, y] } = func.dfg.insts[inst] else {
        return None;
    };
    let rematerialized = [Opcode::Iadd, Opcode::Isub, Opcode::Band, Opcode::Bor, Opcode::Bxor];
    if !rematerialized.contains(&opcode) {
        return None;
    }
    let x = func.dfg.resolve_aliases(x);
    let constant = constant(func, y)?;
    Some((opcode, func.dfg.value_type(x), x, constant))
}

fn constant(func: &Function, value: Value) -> Option<i64> {
    let value = func.dfg.resolve_aliases(value);
    match func.dfg.insts[func.dfg.value_def(value).inst()?] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits()),
        _ => None,
    }
}
