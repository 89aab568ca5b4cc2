//! `fentry` and `fexit`: the program knows its function since it was loaded.

use rbtrace_probes_ebpf::plan::KernelFunction;

use super::{Attachment, Site};
use crate::error::Error;
use crate::features::Need;
use crate::sys::bpf;

pub(super) fn attach(site: &Site<'_>, function: &KernelFunction) -> Result<Attachment, Error> {
    attach_to_target(site, &function.function)
}

/// Attaches a program to the function that it was loaded for, which is called `place` in messages.
pub(super) fn attach_to_target(site: &Site<'_>, place: &str) -> Result<Attachment, Error> {
    let link =
        bpf::open_raw_tracepoint(site.program, None).map_err(|e| match e.raw_os_error() {
            Some(libc::EBUSY | libc::E2BIG) => Error::BadLocation {
                place: place.into(),
                reason: "as many programs as the kernel allows are attached to it already".into(),
            },
            _ => Error::privileged(format!("attach to {place}"), Need::Tracing, e),
        })?;
    Ok(Attachment::by_link(link))
}
