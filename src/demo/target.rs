//! The function that the demo traces.
#![allow(unsafe_code)] // exporting a symbol under its own name is an unsafe attribute

use std::hint::black_box;
use std::thread::sleep;
use std::time::Duration;

/// Name of [`rbtrace_demo_work`] in the symbol table.
pub const SYMBOL: &str = "rbtrace_demo_work";

/// Takes so many milliseconds.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rbtrace_demo_work(milliseconds: u64) {
    sleep(Duration::from_millis(black_box(milliseconds)));
}
