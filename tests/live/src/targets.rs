//! The functions that tests probe, under names that the symbol table keeps.
#![allow(unsafe_code)] // exporting a symbol under its own name is an unsafe attribute

use std::ffi::{c_char, c_long, c_ulong};
use std::hint::black_box;

/// Returns twice its argument.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn live_value(value: c_long) -> c_long {
    black_box(value).wrapping_mul(2)
}

/// Returns the sum of its six arguments: all that the C calling convention passes in registers.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn live_args(
    a: c_ulong,
    b: c_ulong,
    c: c_ulong,
    d: c_ulong,
    e: c_ulong,
    f: c_ulong,
) -> c_ulong {
    [a, b, c, d, e, f].into_iter().fold(0, |sum, one| black_box(sum + one))
}

/// Takes a terminated string and gives it back.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn live_string(text: *const c_char) -> *const c_char {
    black_box(text)
}

/// Sleeps for a number of milliseconds.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn live_sleep(milliseconds: c_ulong) {
    std::thread::sleep(std::time::Duration::from_millis(black_box(milliseconds)));
}

/// Sleeps for 5 ms: a function of the name that the first of all latency scripts probes.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn myfunc() {
    live_sleep(5);
}

/// One of three that a wildcard finds.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn live_wild_one() {
    black_box(1);
}

/// One of three that a wildcard finds.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn live_wild_two() {
    black_box(2);
}

/// One of three that a wildcard finds.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn live_wild_three() {
    black_box(3);
}

/// Instructions of one byte each, so that every offset below eight is one that can be probed.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn live_offsets() {
    std::arch::naked_asm!("nop", "nop", "nop", "nop", "nop", "nop", "nop", "nop", "ret");
}

/// Instructions of four bytes each, so that offsets 4 and 8 can be probed.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "C" fn live_offsets() {
    std::arch::naked_asm!("nop", "nop", "nop", "nop", "ret");
}

/// The address of [`live_offsets`] as its symbol has it: in the file, not in this process.
pub fn offsets_address() -> Option<u64> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let exe = std::fs::read_link("/proc/self/exe").ok()?;
    let line = maps.lines().find(|line| line.ends_with(exe.to_string_lossy().as_ref()))?;
    let base = u64::from_str_radix(line.split('-').next()?, 16).ok()?;
    let here = live_offsets as extern "C" fn() as usize as u64;
    // A program at a fixed address is mapped where its symbols say.
    Some(if base < 0x1000_0000 { here } else { here - base })
}
