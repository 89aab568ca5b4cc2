//! `xdp`: a link on a network interface.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rbtrace_probes_ebpf::plan::XdpMode;
use rbtrace_probes_ebpf::profile::KernelVersion;

use super::{Attachment, Context};
use crate::error::{Error, Unsupported};
use crate::features::Need;
use crate::netlink::link::{self, Link};
use crate::sys::link as links;

/// `XDP_FLAGS_SKB_MODE`, `XDP_FLAGS_DRV_MODE` and `XDP_FLAGS_HW_MODE` in linux/if_link.h.
const GENERIC: u32 = 2;
const NATIVE: u32 = 4;
const OFFLOAD: u32 = 8;
/// First kernel with links for XDP.
const SINCE: KernelVersion = KernelVersion::new(5, 9);

/// Attaches to an interface: as asked for, or natively and, failing that, generically.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    interface: &Link,
    mode: Option<XdpMode>,
    context: &Context,
) -> Result<Attachment, Error> {
    let name = &interface.name;
    let link = |flags| links::xdp(program, interface.index, flags);
    let explained = |e: io::Error| match mode {
        Some(XdpMode::Offload) if e.raw_os_error() == Some(libc::EINVAL) => Error::BadLocation {
            place: format!("interface {name}"),
            reason: "its hardware takes no program of rbtrace's; native or generic may do".into(),
        },
        _ => explain(interface, context, e),
    };
    let flags = match mode {
        Some(XdpMode::Native) => NATIVE,
        Some(XdpMode::Generic) => GENERIC,
        Some(XdpMode::Offload) => OFFLOAD,
        None => match link(NATIVE) {
            Ok(link) => return Ok(noted(link, format!("{name}: native XDP"))),
            Err(e) if is_final(&e) => return Err(explained(e)),
            Err(_) => GENERIC,
        },
    };
    let handle = link(flags).map_err(explained)?;
    Ok(match mode {
        Some(_) => Attachment::by_link(handle),
        None => noted(handle, format!("{name}: generic XDP, its driver has no native XDP")),
    })
}

fn noted(handle: OwnedFd, note: String) -> Attachment {
    Attachment { note: Some(note), ..Attachment::by_link(handle) }
}

/// Whether another mode would fail as well.
fn is_final(error: &io::Error) -> bool {
    const FINAL: [i32; 5] = [libc::EBUSY, libc::EEXIST, libc::EPERM, libc::EACCES, libc::ENODEV];
    error.raw_os_error().is_some_and(|e| FINAL.contains(&e))
}

fn explain(interface: &Link, context: &Context, error: io::Error) -> Error {
    let name = &interface.name;
    match error.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => {
            let program = link::xdp_program(interface.index).ok().flatten();
            let program = program.map(|id| (id, program_name(id)));
            Error::XdpConflict { interface: name.clone(), program }
        }
        Some(libc::EINVAL) if context.kernel < SINCE => {
            Unsupported { feature: "XDP links", since: Some(SINCE), config: None, hint: None }
                .into()
        }
        Some(libc::EOPNOTSUPP) => Error::BadLocation {
            place: format!("interface {name}"),
            reason: "its driver does not run XDP in this mode; generic works on any".into(),
        },
        _ => Error::privileged(format!("attach XDP to {name}"), Need::Network, error),
    }
}

/// Name of a loaded program; empty where the kernel does not tell.
fn program_name(id: u32) -> String {
    let program = aya::programs::loaded_programs().filter_map(Result::ok).find(|p| p.id() == id);
    program.map(|p| String::from_utf8_lossy(p.name()).into_owned()).unwrap_or_default()
}
