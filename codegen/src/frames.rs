//! The stack of a whole program: frames of functions that call each other lie on top of each other,
//! and those of callbacks on the frame of the function that hands them to a helper.

use crate::bpf::{Code, FunctionCode, RelocTarget};
use crate::emit::MAX_FRAME;
use crate::error::Error;

/// What the kernel rounds a frame up to (`check_max_stack_depth` of kernel/bpf/verifier.c; newer
/// kernels round less).
const ROUNDING: u32 = 32;

/// Confirms that the deepest chain of calls of each function has room.
///
/// # Errors
///
/// [`Error::StackLimit`], naming the function that the chain begins with.
pub(crate) fn check(code: &Code) -> Result<(), Error> {
    let mut depths = vec![None; code.functions.len()];
    for (index, function) in code.functions.iter().enumerate() {
        let bytes = depth(code, index, &mut depths);
        if bytes > MAX_FRAME {
            let function = function.name.clone();
            return Err(Error::StackLimit { function, bytes, limit: MAX_FRAME });
        }
    }
    Ok(())
}

/// Bytes of the deepest chain of calls that begins with a function. The language has no recursion.
fn depth(code: &Code, index: usize, known: &mut [Option<u32>]) -> u32 {
    let (Some(function), Some(memo)) = (code.functions.get(index), known.get(index)) else {
        return 0;
    };
    if let Some(depth) = *memo {
        return depth;
    }
    let own = function.frame_bytes.max(1).next_multiple_of(ROUNDING);
    let below = callees(function).map(|callee| depth(code, callee, known)).max().unwrap_or(0);
    known[index] = Some(own + below);
    own + below
}

fn callees(function: &FunctionCode) -> impl Iterator<Item = usize> {
    function.relocs.iter().filter_map(|reloc| match reloc.target {
        RelocTarget::Call(index) | RelocTarget::FuncAddr(index) => Some(index as usize),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::bpf::{Code, FunctionCode, Reloc, RelocTarget};
    use crate::error::Error;

    fn function(name: &str, frame_bytes: u32, targets: &[RelocTarget]) -> FunctionCode {
        let relocs = targets.iter().map(|&target| Reloc { slot: 0, target }).collect();
        FunctionCode { name: name.into(), frame_bytes, relocs, ..FunctionCode::default() }
    }

    #[test]
    fn frames_of_a_chain_add_up() {
        let program = |own| {
            let calls = [RelocTarget::FuncAddr(1), RelocTarget::Call(2)];
            let functions = vec![
                function("program", own, &calls),
                function("callback", 97, &[RelocTarget::Call(2)]),
                function("search", 0, &[]),
            ];
            Code { functions }
        };
        assert!(check(&program(352)).is_ok());
        let error = check(&program(353)).expect_err("384 + 128 + 32 bytes");
        assert!(
            matches!(&error, Error::StackLimit { function, bytes: 544, limit: 512 } if function == "program"),
            "{error}"
        );
    }
}
