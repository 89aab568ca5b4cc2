//! `BPF_PROG_TEST_RUN` of bpf(2): programs that run on request (Documentation/bpf/bpf_prog_run.rst).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use aya_obj::generated::bpf_cmd;

use super::bpf::{call, zeroed};
use super::check;

/// Runs a raw tracepoint program once, on this CPU, with an empty context.
pub(crate) fn run_program(program: BorrowedFd<'_>) -> io::Result<u32> {
    let mut attr = zeroed();
    attr.test.prog_fd = program.as_raw_fd() as u32;
    // SAFETY: no buffers are handed over.
    check(unsafe { call(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) })?;
    // SAFETY: reading an integer of the union that the kernel has written.
    Ok(unsafe { attr.test.retval })
}

/// What [`run_on_packet`] gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    /// What the last run returned.
    pub result: u32,
    /// Nanoseconds that a run took on average.
    pub nanoseconds: u32,
    /// Bytes that the packet has afterwards.
    pub length: usize,
}

/// Runs a program on a packet, `times` over. The packet as the last run left it is written to `after`;
/// `ENOSPC` where that is not empty and too short.
pub(crate) fn run_on_packet(
    program: BorrowedFd<'_>,
    packet: &[u8],
    after: &mut [u8],
    times: u32,
) -> io::Result<Ran> {
    let mut attr = zeroed();
    attr.test.prog_fd = program.as_raw_fd() as u32;
    attr.test.data_in = packet.as_ptr() as u64;
    attr.test.data_size_in = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    if !after.is_empty() {
        attr.test.data_out = after.as_mut_ptr() as u64;
        attr.test.data_size_out = u32::try_from(after.len()).unwrap_or(u32::MAX);
    }
    attr.test.repeat = times;
    // SAFETY: the packet is valid for `data_size_in` bytes, which the kernel only reads; it writes no
    // more than `data_size_out` bytes to `after`, which has them.
    check(unsafe { call(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) })?;
    // SAFETY: reading integers of the union that the kernel has written.
    let test = unsafe { attr.test };
    Ok(Ran { result: test.retval, nanoseconds: test.duration, length: test.data_size_out as usize })
}
