//! `begin`, `end`, `self`, `test` and `bench`: the program is run, not attached.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rbtrace_probes_ebpf::profile::KernelVersion;

use crate::error::{Error, Unsupported};
use crate::features::{self, Need};
use crate::sys::test_run::{self, Ran};

/// First kernel that runs raw tracepoint programs by `BPF_PROG_TEST_RUN`.
const SINCE: KernelVersion = KernelVersion::new(5, 10);
/// A packet for XDP programs, which takes no fewer bytes than an Ethernet header.
const PACKET: [u8; 14] = [0; 14];

/// Runs a raw tracepoint program once.
pub(crate) fn once(program: BorrowedFd<'_>) -> Result<(), Error> {
    match test_run::run_program(program) {
        Ok(_) => Ok(()),
        Err(_) if features::kernel_version() < SINCE => Err(Unsupported {
            feature: "way to run `begin` and `end` (BPF_PROG_TEST_RUN of raw tracepoints)",
            since: Some(SINCE),
            config: None,
            hint: None,
        }
        .into()),
        Err(e) => Err(Error::privileged("run `begin` or `end`", Need::Tracing, e)),
    }
}

/// What repeated runs gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeated {
    /// What the last run returned.
    pub result: u32,
    /// How long a run took on average.
    pub average: Duration,
}

/// Runs an XDP program `times` over.
pub(crate) fn repeated(program: BorrowedFd<'_>, times: u32) -> Result<Repeated, Error> {
    let ran = test_run::run_on_packet(program, &PACKET, &mut [], times)
        .map_err(|e| Error::privileged("run a test or benchmark", Need::Tracing, e))?;
    Ok(Repeated { result: ran.result, average: Duration::from_nanos(ran.nanoseconds.into()) })
}

/// Runs a program on a packet, `times` over, and leaves in `after` what the last run made of it. The
/// error is the kernel's.
pub(crate) fn on_packet(
    program: BorrowedFd<'_>,
    packet: &[u8],
    after: &mut Vec<u8>,
    times: u32,
) -> io::Result<Ran> {
    /// Most bytes by which programs can make a packet longer: the room that is kept before it, and
    /// what is left of its last page.
    const GROWTH: usize = 256 + (64 << 10);
    after.resize(packet.len() + GROWTH, 0);
    let ran = test_run::run_on_packet(program, packet, after, times)?;
    after.truncate(ran.length);
    Ok(ran)
}
