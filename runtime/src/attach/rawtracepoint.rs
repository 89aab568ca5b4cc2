//! `rawtracepoint`: by the name of the tracepoint.

use std::ffi::CString;

use super::{Attachment, Site};
use crate::error::Error;
use crate::features::Need;
use crate::sys::bpf;

pub(super) fn attach(site: &Site<'_>, name: &str) -> Result<Attachment, Error> {
    let bad = |reason: &str| Error::BadLocation { place: name.into(), reason: reason.into() };
    let c_name = CString::new(name).map_err(|_| bad("the name contains a NUL"))?;
    let link = bpf::open_raw_tracepoint(site.program, Some(&c_name)).map_err(|e| {
        match e.raw_os_error() {
            Some(libc::ENOENT) => bad("this kernel has no such raw tracepoint"),
            Some(libc::EINVAL) => bad("the script reads more arguments than it has"),
            _ => {
                let doing = format!("attach to raw tracepoint {name}");
                Error::privileged(doing, Need::Tracing, e)
            }
        }
    })?;
    Ok(Attachment::by_link(link))
}
