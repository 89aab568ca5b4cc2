//! The only unsafe code of this package.
//!
//! Invariant: namespaces are unshared, never the table of file descriptors, which is what makes
//! `unshare` unsafe.
#![allow(unsafe_code)]

use std::io;

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Moves this thread, and what it starts from now on, to a network namespace of its own.
pub fn unshare_network() -> io::Result<()> {
    // SAFETY: see the invariant above.
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?)
}
