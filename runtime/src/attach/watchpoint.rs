//! `watchpoint`: the processor's debug registers, by perf's breakpoint events.

use std::fs;
use std::io;

use rbtrace_probes_ebpf::plan::{Access, Watchpoint};

use super::{Attachment, Site};
use crate::error::{Error, Unsupported};
use crate::features::{self, Need};
use crate::sys::perf::{self, BreakpointScope, BreakpointSpec};

/// `HW_BREAKPOINT_R`, `HW_BREAKPOINT_W` and `HW_BREAKPOINT_X` in linux/hw_breakpoint.h.
const READ: u32 = 1;
const WRITE: u32 = 2;
const EXECUTE: u32 = 4;
/// What the kernel wants as the length of a place that is executed.
const EXECUTE_LENGTH: u64 = size_of::<libc::c_long>() as u64;

/// With a process given, on each of its threads; else on every CPU, for the kernel's memory as
/// for any process that has something at this address.
pub(super) fn attach(site: &Site<'_>, watchpoint: &Watchpoint) -> Result<Attachment, Error> {
    let (access, length) = match watchpoint.access {
        Access::Read => (READ, u64::from(watchpoint.length)),
        Access::Write => (WRITE, u64::from(watchpoint.length)),
        Access::ReadWrite => (READ | WRITE, u64::from(watchpoint.length)),
        Access::Execute => (EXECUTE, EXECUTE_LENGTH),
    };
    let scopes: Vec<BreakpointScope> = match site.context.pid {
        Some(pid) => threads(pid)?.into_iter().map(BreakpointScope::Thread).collect(),
        None => features::online_cpus().into_iter().map(BreakpointScope::Cpu).collect(),
    };
    let mut all = Attachment::default();
    let mut failed = None;
    for on in scopes {
        let spec = BreakpointSpec { address: watchpoint.address, length, access, on };
        match perf::open_breakpoint(&spec) {
            Ok(event) => {
                let one = site.attach_event(event)?;
                all.links.extend(one.links);
                all.events.extend(one.events);
            }
            // A thread may end meanwhile.
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
            Err(e) => failed = Some(e),
        }
    }
    match failed {
        Some(error) => Err(explain(watchpoint, error)),
        None if all.events.is_empty() => Err(Error::NoProcess(site.context.pid.unwrap_or(0))),
        None => Ok(all),
    }
}

/// The threads of a process.
fn threads(pid: u32) -> Result<Vec<u32>, Error> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| Error::NoProcess(pid))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

fn explain(watchpoint: &Watchpoint, error: io::Error) -> Error {
    let place = format!("{:#x}", watchpoint.address);
    let bad = |reason: &str| Error::BadLocation { place: place.clone(), reason: reason.into() };
    match error.raw_os_error() {
        Some(libc::ENOSPC) => bad("every debug register of the processor is in use"),
        Some(libc::EINVAL) => bad("the processor cannot watch this place with this length"),
        Some(libc::ENODEV | libc::ENOENT | libc::EOPNOTSUPP) => Unsupported {
            feature: "hardware breakpoints",
            since: None,
            config: Some("CONFIG_HAVE_HW_BREAKPOINT"),
            hint: None,
        }
        .into(),
        _ => Error::privileged(format!("watch {place}"), Need::Tracing, error),
    }
}
