//! What can go wrong between a typed program and its object.

use cranelift_codegen::ir::Function;

/// A failure of the code generator: a stated limit of eBPF, or a bug in rbtrace.
///
/// A bug carries the stage, the function and its IR, so that a report needs nothing else.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The function's stack slots and spills exceed eBPF's frame.
    #[error("function `{function}` needs {bytes} bytes of stack; eBPF has {limit}")]
    StackLimit {
        /// The function's name.
        function: String,
        /// Bytes needed.
        bytes: u32,
        /// Bytes there are.
        limit: u32,
    },
    /// A jump spans more than a 16-bit count of instructions.
    #[error("function `{function}` is too long: a jump over {slots} instructions")]
    JumpTooFar {
        /// The function's name.
        function: String,
        /// Distance in instruction slots.
        slots: i64,
    },
    /// A ring buffer record is too large.
    #[error("an event of {bytes} bytes; the largest is {limit} (lower max_strlen)")]
    RecordLimit {
        /// Bytes of the record.
        bytes: u32,
        /// Most bytes there can be.
        limit: u32,
    },
    /// A block is longer than any program may be.
    #[error("a block of more than {limit} instructions; the kernel takes no more")]
    ProgramLimit {
        /// Most instructions of a program (`BPF_COMPLEXITY_LIMIT_INSNS` of linux/bpf.h).
        limit: usize,
    },
    /// The object cannot be written.
    #[error(transparent)]
    Write(#[from] crate::elf::Error),
    /// The IR verifier rejects a function.
    #[error("internal error: {stage}: function `{function}`: {reason}\n{ir}")]
    InvalidIr {
        /// The stage whose result is invalid.
        stage: &'static str,
        /// The function's name.
        function: String,
        /// The verifier's words.
        reason: String,
        /// The function as text.
        ir: String,
    },
    /// An instruction outside the table of those that selection accepts.
    #[error(
        "internal error: select: function `{function}`: no eBPF code for `{instruction}`\n{ir}"
    )]
    UnsupportedInstruction {
        /// The function's name.
        function: String,
        /// The instruction as text.
        instruction: String,
        /// The function as text.
        ir: String,
    },
    /// An invariant of a stage does not hold.
    #[error("internal error: {stage}: function `{function}`: {reason}\n{ir}")]
    Internal {
        /// The stage that noticed.
        stage: &'static str,
        /// The function's name.
        function: String,
        /// What does not hold.
        reason: String,
        /// The function as text.
        ir: String,
    },
}

impl Error {
    /// The error with the function's symbol for the name that its IR has.
    pub(crate) fn of_function(mut self, name: &str) -> Self {
        if let Self::UnsupportedInstruction { function, .. } | Self::Internal { function, .. } =
            &mut self
        {
            name.clone_into(function);
        }
        self
    }

    /// An [`Error::Internal`] about `func`.
    pub(crate) fn internal(stage: &'static str, func: &Function, reason: impl ToString) -> Self {
        Self::Internal {
            stage,
            function: func.name.to_string(),
            reason: reason.to_string(),
            ir: func.display().to_string(),
        }
    }
}
