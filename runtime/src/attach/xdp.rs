//! `xdp`: a link on a network interface.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rbtrace_probes_ebpf::plan::XdpMode;
use rbtrace_probes_ebpf::profile::KernelVersion;

use super::{Attachment, Site, netlink};
use crate::error::{Error, Unsupported};
use crate::features::Need;
use crate::sys::bpf;

/// `XDP_FLAGS_SKB_MODE`, `XDP_FLAGS_DRV_MODE` and `XDP_FLAGS_HW_MODE` in linux/if_link.h.
const GENERIC: u32 = 2;
const NATIVE: u32 = 4;
const OFFLOAD: u32 = 8;
/// First kernel with links for XDP.
const SINCE: KernelVersion = KernelVersion::new(5, 9);

/// Attaches to an interface: as asked for, or natively and, failing that, generically.
pub(super) fn attach(
    site: &Site<'_>,
    interface: &str,
    mode: Option<XdpMode>,
) -> Result<Attachment, Error> {
    let (index, name) = find(interface)?;
    let link = |flags| bpf::link_xdp(site.program, index, flags);
    let explained = |e: io::Error| match mode {
        Some(XdpMode::Offload) if e.raw_os_error() == Some(libc::EINVAL) => Error::BadLocation {
            place: format!("interface {name}"),
            reason: "its hardware takes no program of rbtrace's; native or generic may do".into(),
        },
        _ => explain(site, &name, index, e),
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

/// Index and name of an interface given by either.
fn find(interface: &str) -> Result<(u32, String), Error> {
    if let Some(index) = netlink::index_of(interface) {
        return Ok((index, interface.to_owned()));
    }
    if let Ok(index) = interface.parse()
        && let Some(name) = netlink::name_of(index)
    {
        return Ok((index, name));
    }
    Err(Error::UnknownInterface { name: interface.to_owned(), existing: interfaces() })
}

/// Names of the interfaces in this network namespace.
pub fn interfaces() -> Vec<String> {
    // Not /sys/class/net, which shows the namespace that sysfs was mounted in.
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    text.lines().filter_map(|l| l.split_once(':')).map(|(n, _)| n.trim().to_owned()).collect()
}

fn explain(site: &Site<'_>, name: &str, index: u32, error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => {
            let program = netlink::xdp_program(index).ok().flatten();
            let program = program.map(|id| (id, program_name(id)));
            Error::XdpConflict { interface: name.to_owned(), program }
        }
        Some(libc::EINVAL) if site.context.kernel < SINCE => {
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
