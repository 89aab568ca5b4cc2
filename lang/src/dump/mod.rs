//! What each stage made, to read.

pub mod ast;
pub mod hir;
