//! The rbtrace language: script text to a typed program.
//!
//! Pure: no I/O. What a machine has (probes, types) comes in through [`catalog::Catalog`] and
//! [`catalog::TypeSource`].
//!
//! The stages, each consuming what the one before made:
//!
//! | stage     | from            | to                              |
//! |-----------|-----------------|---------------------------------|
//! | `parse`   | text            | [`ast::Script`]                 |
//! | `expand`  | [`ast::Script`] | [`ast::Script`], no parameters  |
//! | `resolve` | [`ast::Script`] | [`resolve::Resolved`]           |
//! | `check`   | `Resolved`      | [`hir::Program`]                |

pub mod ast;
pub mod c;
pub mod catalog;
pub mod check;
pub mod diag;
pub mod dump;
pub mod expand;
pub mod fmt;
pub mod hir;
pub mod parse;
pub mod reference;
pub mod render;
pub mod resolve;
pub mod span;
