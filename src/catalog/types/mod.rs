//! Types outside of the script: the kernel's and those of programs.

pub mod describe;
pub mod dwarf;
pub mod kernel;
