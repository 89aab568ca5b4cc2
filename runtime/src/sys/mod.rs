//! System calls that no library offers safely: bpf(2), perf_event_open(2), ptrace(2), fork, packet sockets
//! and signal handlers. The only unsafe code of this crate.
//!
//! Invariant of every function here: a pointer handed to the kernel comes from a slice or a
//! reference that lives until the call returns, and the buffer is as long as the kernel will
//! read or write, which is checked here.
#![allow(unsafe_code)]

pub(crate) mod bpf;
pub(crate) mod btf;
pub(crate) mod farewell;
pub(crate) mod iter;
pub(crate) mod link;
pub(crate) mod mmap;
pub(crate) mod perf;
pub(crate) mod perf_ring;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod ptrace;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod tasks;
pub(crate) mod test_run;

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// The result of a system call that returns a number, or -1 and errno.
fn check(result: libc::c_long) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}

/// The result of a system call that returns a new file descriptor.
fn check_fd(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the kernel just returned this descriptor; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
