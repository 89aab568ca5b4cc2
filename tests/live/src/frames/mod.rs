//! Ethernet frames, made up: every header that rbtrace knows in every order that there is, whole, cut
//! and broken; and what a reader of them should find.

mod make;
mod read;

pub use make::{Frame, generate};
pub use read::Reading;
