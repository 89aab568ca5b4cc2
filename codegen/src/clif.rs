//! What lowering hands to the back end: a unit of Cranelift functions and the plan.
//!
//! # Conventions
//!
//! Parameters and results are `i64`. A program has one parameter, its context; a callback up to
//! five. References to things outside a function are user names: the namespace ([`namespace`])
//! says of what, the index which one. Functions are called; maps, data and constants are
//! `symbol_value`s of a symbol global value.

use cranelift_codegen::ir;
use rbtrace_probes_ebpf::plan::Plan;

pub use crate::btf::core::{CoreKind, CoreReloc, LocalField, LocalType};

/// Namespaces of user external names.
pub mod namespace {
    /// A helper of the kernel, by its number.
    pub const HELPER: u32 = 0;
    /// A function of the unit, by its index.
    pub const FUNCTION: u32 = 1;
    /// A kernel function, by its index in [`super::Unit::kfuncs`].
    pub const KFUNC: u32 = 2;
    /// A map, by its index in the plan.
    pub const MAP: u32 = 3;
    /// `.rodata`; the symbol's offset is the place in it.
    pub const RODATA: u32 = 4;
    /// A CO-RE relocation, by its index in [`super::Unit::core_relocs`].
    pub const CORE: u32 = 5;
    /// A constant kept out of the optimizer's sight: the symbol's offset is its value.
    pub const OPAQUE: u32 = 6;
    /// `.bss`; the symbol's offset is the place in it.
    pub const DATA: u32 = 7;
    /// An operation that Cranelift lacks, by its number in [`super::Intrinsic`].
    pub const INTRINSIC: u32 = 8;
}

/// Operations that Cranelift lacks; each is called with one `i64` and yields one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Intrinsic {
    /// Reverses the lowest two bytes, the others become 0.
    Bswap16 = 0,
    /// Reverses the lowest four bytes, the others become 0.
    Bswap32 = 1,
    /// Reverses all eight bytes.
    Bswap64 = 2,
    /// The same number, of which the verifier does not know that it is: what it learns from a
    /// comparison of the result it does not learn of the operand, so that paths that differ in
    /// the comparison alone are one again after it.
    Unlinked = 3,
    /// The same number, made here: the optimizer makes numbers where they are used, until which
    /// all that they are made from is kept, and keeps paths apart for the verifier.
    Settled = 4,
}

/// A compiled script before code is selected for it.
#[derive(Debug)]
pub struct Unit {
    /// Programs first, in the order of [`Plan::programs`], then callbacks.
    pub functions: Vec<Function>,
    /// The plan: maps, programs, probes, actions.
    pub plan: Plan,
    /// Contents of `.rodata`.
    pub rodata: Vec<u8>,
    /// Bytes of `.bss`.
    pub bss_size: u32,
    /// Variables in `.bss`.
    pub data: Vec<DataVar>,
    /// CO-RE relocations.
    pub core_relocs: Vec<CoreReloc>,
    /// Names of kernel functions that are called.
    pub kfuncs: Vec<String>,
    /// Places in the script; a `SourceLoc` is an index into this.
    pub spans: Vec<LineSpan>,
}

/// A function.
#[derive(Debug)]
pub struct Function {
    /// Symbol.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// The code.
    pub ir: ir::Function,
}

/// What a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A program: the index into [`Plan::programs`].
    Program(u32),
    /// A static function that programs call or hand to helpers.
    Subprogram,
}

/// A variable in `.bss`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataVar {
    /// Symbol.
    pub name: String,
    /// Bytes from the start of the section.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// A place in the script, for line information.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LineSpan {
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// The line's text, without indentation.
    pub text: String,
}
