//! The typed program: every name resolved, every expression with its type, every implicit
//! conversion written out. After `check` a failure is a stated limit or a bug, never a type
//! error.

mod expr;
mod stmt;
mod types;
pub mod visit;

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::packet::{Fact, Header};
use rbtrace_probes_ebpf::plan;

use crate::catalog::PidNamespace;
use crate::span::Span;

pub use expr::{BinaryOp, Builtin, Call, Expr, ExprKind, Payload, UnaryOp};
pub use stmt::{Action, SeqPiece, Stmt, StmtKind};
pub use types::{Aggregate, Enum, Field, Int, Record, Space, StackType, Type};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// As an index.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id! {
    /// Index into [`Program::maps`].
    MapId
}
id! {
    /// Index into [`Program::records`].
    RecordId
}
id! {
    /// Index into [`Program::enums`].
    EnumId
}
id! {
    /// Index into [`ProbeBlock::locals`].
    LocalId
}

/// A checked script.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Maps of the script, in order of appearance.
    pub maps: Vec<Map>,
    /// Structs, unions and tracepoint records that the script uses.
    pub records: Vec<Record>,
    /// Enums that the script uses.
    pub enums: Vec<Enum>,
    /// Attach points of all blocks, wildcards expanded. The index is the probe's number.
    pub probes: Vec<plan::Probe>,
    /// One eBPF program each.
    pub blocks: Vec<ProbeBlock>,
    /// Settings for run time.
    pub config: plan::Config,
    /// The PID namespace that process and thread ids are of; absent: the first.
    pub pid_namespace: Option<PidNamespace>,
    /// Reads of memory that fail, and of map entries that are not there, are reported.
    pub helper_errors: bool,
}

/// A map of the script.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// With its `@`.
    pub name: String,
    /// Type of the key; [`Type::Void`] for a scalar map.
    pub key: Type,
    /// Type of the value.
    pub value: Type,
    /// The kernel's map type, from a declaration or by the value's type.
    pub kind: plan::MapKind,
    /// Number of entries.
    pub max_entries: u32,
    /// Where it was first seen.
    pub span: Span,
}

/// A probe block, or one copy of it: attach points whose arguments differ in type get copies.
#[derive(Clone, Debug)]
pub struct ProbeBlock {
    /// Kind of all its probes.
    pub kind: ProbeKind,
    /// Indices into [`Program::probes`].
    pub probes: Vec<u32>,
    /// Variables, macro temporaries included.
    pub locals: Vec<Local>,
    /// Numbers of those arguments of an iterator that are pointers: where one is null, the block does
    /// not run. Empty for other kinds.
    pub objects: Vec<u32>,
    /// What it wants to know of the packet, and the variables for it: they are set before anything
    /// else is done. Empty for other kinds.
    pub packet: Vec<(Fact, LocalId)>,
    /// Headers without which the predicate does not hold.
    pub required: Vec<Header>,
    /// Runs the body only if this is not 0; of an integer, boolean or pointer type.
    pub predicate: Option<Expr>,
    /// The action.
    pub body: Vec<Stmt>,
    /// The whole block.
    pub span: Span,
}

/// A `$variable`.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// With its `$`; unique within a block by `#2` and so on where scopes repeat a name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Its address is taken: it lives in memory.
    pub addressed: bool,
}
