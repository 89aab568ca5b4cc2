//! Stage `lower`: typed program to Cranelift IR and plan.
//!
//! A value is either a scalar, held as an `i64` extended from its type, or memory of the
//! program's own (`mem::Place`). Values too large for a register are built where they are
//! needed: in the ring buffer record, the map key or the variable that they end up in.

mod access;
mod action;
mod aggregate;
mod builtin;
mod call;
mod captures;
mod expr;
mod func;
mod inet;
mod iterator;
mod loops;
mod map;
mod mem;
mod members;
mod memcmp;
mod memory;
mod ops;
mod own_maps;
mod packet;
mod parser;
mod ranges;
mod result;
mod same;
mod scratch;
mod search;
mod series;
mod stack;
mod stmt;
mod text;
mod types;
mod unit;
mod unwind;
mod unwind_step;
mod window;

use rbtrace_lang::hir;
use rbtrace_lang::span::Sources;
use rbtrace_probes_ebpf::profile::TargetProfile;

pub use mem::StackUse;

use crate::clif::Unit;
use crate::error::Error;

/// Lowers a checked program.
///
/// # Errors
///
/// A limit of eBPF that the program exceeds, or an internal error.
pub fn lower(
    program: &hir::Program,
    sources: &Sources,
    profile: &TargetProfile,
    stack: StackUse,
) -> Result<Unit, Error> {
    let mut unit = unit::UnitBuilder::new(program, sources, profile, stack);
    for (index, block) in program.blocks.iter().enumerate() {
        unit.program(index as u32, block)?;
    }
    Ok(unit.finish())
}
