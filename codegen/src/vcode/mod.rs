//! eBPF instructions over virtual registers: what selection makes and regalloc2 reads.

mod function;
mod inst;
mod order;

pub(crate) use function::{Builder, Function, preg};
pub(crate) use inst::{Base, CallTarget, Compare, Inst, Operand, Reg, Role};
pub(crate) use order::{BlockId, BlockOrder, Origin};
