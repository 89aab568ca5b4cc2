//! `begin` and `end`: the program is run, not attached.

use std::os::fd::BorrowedFd;

use rbtrace_probes_ebpf::profile::KernelVersion;

use crate::error::{Error, Unsupported};
use crate::features::{self, Need};
use crate::sys::bpf;

/// First kernel that runs raw tracepoint programs by `BPF_PROG_TEST_RUN`.
const SINCE: KernelVersion = KernelVersion::new(5, 10);

/// Runs the program once.
pub(crate) fn run(program: BorrowedFd<'_>) -> Result<(), Error> {
    match bpf::run_program(program) {
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
