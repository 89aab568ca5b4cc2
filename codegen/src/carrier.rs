//! The instruction set under whose name Cranelift's target-independent passes run.
//!
//! Cranelift takes no instruction set from outside its crate. Its verifier and optimizer only ask
//! the target for flags and the pointer width, so the 64-bit little-endian bytecode `pulley64`,
//! which every host can build, stands in for eBPF.

use std::sync::LazyLock;

use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::verify_function;

use crate::error::Error;

static CARRIER: LazyLock<Result<OwnedTargetIsa, String>> = LazyLock::new(build);

fn build() -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    for (name, value) in [("opt_level", "speed"), ("enable_verifier", "false")] {
        flags.set(name, value).map_err(|e| e.to_string())?;
    }
    isa::lookup_by_name("pulley64")
        .map_err(|e| e.to_string())?
        .finish(settings::Flags::new(flags))
        .map_err(|e| e.to_string())
}

/// The carrier, or why there is none (a build without Cranelift's `pulley` feature).
pub fn carrier() -> Result<&'static OwnedTargetIsa, &'static str> {
    CARRIER.as_ref().map_err(String::as_str)
}

/// Runs Cranelift's verifier over `func`, the result of `stage`.
pub fn verify(stage: &'static str, func: &Function) -> Result<(), Error> {
    let isa = carrier().map_err(|reason| Error::internal(stage, func, reason))?;
    verify_function(func, isa.as_ref()).map_err(|errors| Error::InvalidIr {
        stage,
        function: func.name.to_string(),
        reason: errors.to_string(),
        ir: func.display().to_string(),
    })
}
