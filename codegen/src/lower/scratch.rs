//! The memory in maps for what is too large for the stack: each program has an entry on each CPU.
//!
//! Where the kernel may preempt a program, another run of it may come in between on the same CPU
//! ([`ProbeKind::interleaves`]). Such programs have several entries, of which a run takes one that no
//! other uses and gives it back at its end.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, Value};
use rbtrace_lang::hir::ProbeBlock;
use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::record::Loss;

use super::func::FnBuilder;
use super::mem::Place;
use super::own_maps::OwnMap;
use crate::error::Error;

/// Runs of a program that may be under way on one CPU, where there may be more than one.
const MOST_RUNS: u32 = 8;
/// Bytes at the start of an entry that say whether a run uses it.
const BUSY_BYTES: u32 = 8;

/// Entries that programs have for each CPU.
pub(super) fn entries_of(blocks: &[ProbeBlock]) -> u32 {
    blocks.iter().map(runs).sum()
}

/// Bytes of a program's entry that are not for values.
pub(super) fn reserved(block: &ProbeBlock) -> u32 {
    if block.kind.interleaves() { BUSY_BYTES } else { 0 }
}

fn runs(block: &ProbeBlock) -> u32 {
    if block.kind.interleaves() { MOST_RUNS } else { 1 }
}

impl FnBuilder<'_, '_, '_> {
    /// Finds an entry for the run; without one the program ends.
    pub(super) fn look_up_scratch(&mut self) -> Result<(), Error> {
        let blocks = &self.unit.program.blocks;
        let first = entries_of(blocks.get(..self.index as usize).unwrap_or_default());
        let found = self.b.create_block();
        let entry = self.b.append_block_param(found, I64);
        if self.block.kind.interleaves() {
            self.repeat(MOST_RUNS, |f, run, _| {
                let number = f.b.ins().iadd_imm_s(run, i64::from(first));
                let entry = f.scratch_entry(number)?;
                let (there, next) = (f.b.create_block(), f.b.create_block());
                f.b.ins().brif(entry, there, &[], next, &[]);
                f.enter(there);
                let one = f.iconst(1);
                let flags = MemFlagsData::new();
                let used = f.b.ins().atomic_rmw(I64, flags, AtomicRmwOp::Xchg, entry, one);
                f.b.ins().brif(used, next, &[], found, &[entry.into()]);
                f.enter(next);
                Ok(())
            })?;
            self.count_loss(Loss::Crowded)?;
        } else {
            let number = self.iconst(i64::from(first));
            let entry = self.scratch_entry(number)?;
            let missing = self.b.create_block();
            self.b.ins().brif(entry, found, &[entry.into()], missing, &[]);
            self.enter(missing);
        }
        self.return_default();
        self.enter(found);
        self.memory.use_scratch(entry);
        Ok(())
    }

    /// Pointer to an entry of this CPU, or 0.
    fn scratch_entry(&mut self, number: Value) -> Result<Value, Error> {
        let scratch = self.unit.scratch;
        let mut index = number;
        if scratch == OwnMap::LargeScratch {
            let entries = entries_of(&self.unit.program.blocks);
            let cpu = self.helper(helpers::GET_SMP_PROCESSOR_ID, &[]);
            let before = self.b.ins().imul_imm_s(cpu, i64::from(entries));
            index = self.b.ins().iadd(before, number);
        }
        let key = self.temp_bytes(4)?;
        self.store(key, 4, index);
        Ok(self.look_up_own(scratch, key))
    }

    /// Lets other runs have the entry, at the end of the program.
    pub(super) fn give_back_scratch(&mut self) {
        if let Some(entry) = self.memory.scratch()
            && self.block.kind.interleaves()
        {
            let zero = self.iconst(0);
            self.store(Place::pointer(entry), BUSY_BYTES, zero);
        }
    }
}
