//! What an eBPF program of each probe kind looks like, and the contract between the side that
//! compiles a script and the side that runs it.
//!
//! Everything here is data: no I/O, no code generation. `lang` and `codegen` read it to compile,
//! `runtime` reads it to load, attach and print. The contract itself is [`plan::Plan`].

pub mod btf;
pub mod format;
pub mod glob;
pub mod helpers;
pub mod kinds;
pub mod names;
pub mod object;
pub mod packet;
pub mod plan;
pub mod profile;
pub mod record;
pub mod types;
pub mod unwind;
pub mod usdt;
