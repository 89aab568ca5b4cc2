//! Stages `select`, `allocate` and `emit` of one function, in a row.

use cranelift_codegen::ir::Function;

use crate::allocate::allocate;
use crate::bpf::FunctionCode;
use crate::bpf::assemble::{TooFar, assemble};
use crate::emit::{Frame, MAX_FRAME, emit};
use crate::error::Error;
use crate::select::select;

/// Compiles `func`, which is [optimized](crate::optimize::optimize) and
/// [legalized](crate::legalize::legalize), to code under the symbol `name`.
///
/// External names are `UserExternalName`s of the [namespaces](crate::clif::namespace).
pub fn compile_function(func: &Function, name: &str) -> Result<FunctionCode, Error> {
    let internal =
        |stage| move |reason: String| Error::internal(stage, func, reason).of_function(name);
    let selected = select(func).map_err(|error| error.of_function(name))?;
    let cold = selected.cold.clone();
    let allocated = allocate(selected).map_err(internal("allocate"))?;
    let frame = Frame::new(func, &allocated);
    let bytes = frame.bytes();
    if bytes > MAX_FRAME {
        return Err(Error::StackLimit { function: name.to_owned(), bytes, limit: MAX_FRAME });
    }
    let blocks = emit(&allocated, &frame).map_err(internal("emit"))?;
    assemble(name, blocks, &cold, bytes)
        .map_err(|TooFar(slots)| Error::JumpTooFar { function: name.to_owned(), slots })
}

#[cfg(test)]
mod tests;
