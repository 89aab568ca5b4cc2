//! Stage `optimize`: Cranelift's mid-end (constant propagation, common subexpressions, redundant
//! loads, algebraic rules) on one function, in place.

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;

use crate::carrier::{carrier, verify};
use crate::error::Error;

/// Optimizes `func`. The result may hold instructions that eBPF lacks: see
/// [`legalize`](crate::legalize::legalize).
pub fn optimize(func: &mut Function) -> Result<(), Error> {
    if cfg!(debug_assertions) {
        verify("lower", func)?;
    }
    if func.layout.entry_block().is_none() {
        return Err(Error::internal("optimize", func, "a function without blocks"));
    }
    let isa = carrier().map_err(|reason| Error::internal("optimize", func, reason))?;
    let mut context = Context::for_function(std::mem::replace(func, Function::new()));
    let done = context.optimize(isa.as_ref(), &mut ControlPlane::default());
    *func = context.func;
    done.map_err(|reason| Error::internal("optimize", func, reason))
}
