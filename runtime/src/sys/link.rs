//! Links: attachments that last as long as a descriptor is open (`BPF_LINK_CREATE` of bpf(2)).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::bpf_cmd;
use rbtrace_probes_ebpf::plan::Direction;

use super::bpf::{ATTACH_KPROBE_MULTI, ATTACH_UPROBE_MULTI, ATTACH_XDP, call, zeroed};
use super::check_fd;

/// `BPF_PERF_EVENT` of `enum bpf_attach_type`.
const ATTACH_PERF_EVENT: u32 = 41;
/// `BPF_F_KPROBE_MULTI_RETURN` and `BPF_F_UPROBE_MULTI_RETURN`.
const MULTI_RETURN: u32 = 1;

/// Attaches a program to a perf event by a link.
pub(crate) fn perf_event(
    program: BorrowedFd<'_>,
    event: BorrowedFd<'_>,
    cookie: u64,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writing fields of a union of integers.
    unsafe {
        let u = &mut attr.link_create;
        u.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        u.__bindgen_anon_2.target_fd = event.as_raw_fd() as u32;
        u.attach_type = ATTACH_PERF_EVENT;
        u.__bindgen_anon_3.perf_event.bpf_cookie = cookie;
    }
    // SAFETY: no buffers are handed over.
    check_fd(unsafe { call(bpf_cmd::BPF_LINK_CREATE, &mut attr) })
}

/// Attaches an XDP program to an interface by a link. `flags`: `XDP_FLAGS_*` of
/// linux/if_link.h.
pub(crate) fn xdp(program: BorrowedFd<'_>, ifindex: u32, flags: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writing fields of a union of integers.
    unsafe {
        let u = &mut attr.link_create;
        u.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        u.__bindgen_anon_2.target_ifindex = ifindex;
        u.attach_type = ATTACH_XDP;
        u.flags = flags;
    }
    // SAFETY: no buffers are handed over.
    check_fd(unsafe { call(bpf_cmd::BPF_LINK_CREATE, &mut attr) })
}

/// Attaches a `tc` program to an interface by a link, before all that are there (since Linux 6.6).
pub(crate) fn tcx(
    program: BorrowedFd<'_>,
    ifindex: u32,
    direction: Direction,
) -> io::Result<OwnedFd> {
    /// `BPF_TCX_INGRESS` and `BPF_TCX_EGRESS` of `enum bpf_attach_type`.
    const INGRESS: u32 = 46;
    const EGRESS: u32 = 47;
    /// `BPF_F_BEFORE`; without a program or link to be before, it is before all.
    const BEFORE: u32 = 1 << 3;
    let mut attr = zeroed();
    // SAFETY: writing fields of a union of integers.
    unsafe {
        let u = &mut attr.link_create;
        u.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        u.__bindgen_anon_2.target_ifindex = ifindex;
        u.attach_type = match direction {
            Direction::Ingress => INGRESS,
            Direction::Egress => EGRESS,
        };
        u.flags = BEFORE;
    }
    // SAFETY: no buffers are handed over.
    check_fd(unsafe { call(bpf_cmd::BPF_LINK_CREATE, &mut attr) })
}

/// Attaches a program to a cgroup (version 2), beside those that are there, by a link.
pub(crate) fn cgroup_skb(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    direction: Direction,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writing fields of a union of integers.
    unsafe {
        let u = &mut attr.link_create;
        u.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        u.__bindgen_anon_2.target_fd = cgroup.as_raw_fd() as u32;
        // `BPF_CGROUP_INET_INGRESS` and `BPF_CGROUP_INET_EGRESS` of `enum bpf_attach_type`.
        u.attach_type = match direction {
            Direction::Ingress => 0,
            Direction::Egress => 1,
        };
    }
    // SAFETY: no buffers are handed over.
    check_fd(unsafe { call(bpf_cmd::BPF_LINK_CREATE, &mut attr) })
}

/// Attaches a program to many kernel functions by one link. Each name has its cookie.
pub(crate) fn kprobe_multi(
    program: BorrowedFd<'_>,
    names: &[&CStr],
    cookies: &[u64],
    on_return: bool,
) -> io::Result<OwnedFd> {
    if names.len() != cookies.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let pointers: Vec<u64> = names.iter().map(|n| n.as_ptr() as u64).collect();
    let mut attr = zeroed();
    // SAFETY: writing fields of a union of integers.
    unsafe {
        let u = &mut attr.link_create;
        u.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        u.attach_type = ATTACH_KPROBE_MULTI;
        let multi = &mut u.__bindgen_anon_3.kprobe_multi;
        multi.flags = if on_return { MULTI_RETURN } else { 0 };
        multi.cnt = u32::try_from(names.len()).unwrap_or(u32::MAX);
        multi.syms = pointers.as_ptr() as u64;
        multi.cookies = cookies.as_ptr() as u64;
    }
    // SAFETY: `pointers` and `cookies` have `cnt` elements, each name ends in NUL.
    check_fd(unsafe { call(bpf_cmd::BPF_LINK_CREATE, &mut attr) })
}

/// Places of one file for [`uprobe_multi`]; the slices are equally long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UprobeMulti<'a> {
    /// The file.
    pub path: &'a CStr,
    /// Where in the file.
    pub offsets: &'a [u64],
    /// Where in the file the kernel counts how often the place is attached to; 0: nowhere.
    pub semaphores: &'a [u64],
    /// What the program gets as its cookie.
    pub cookies: &'a [u64],
    /// Only in this process.
    pub pid: Option<u32>,
    /// On the return of the functions that begin there.
    pub on_return: bool,
}

/// Attaches a program to many places of one file by one link.
pub(crate) fn uprobe_multi(program: BorrowedFd<'_>, spec: &UprobeMulti<'_>) -> io::Result<OwnedFd> {
    let count = spec.offsets.len();
    if count != spec.cookies.len() || count != spec.semaphores.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let has_semaphores = spec.semaphores.iter().any(|offset| *offset != 0);
    let mut attr = zeroed();
    // SAFETY: writing fields of a union of integers.
    unsafe {
        let u = &mut attr.link_create;
        u.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        u.attach_type = ATTACH_UPROBE_MULTI;
        let multi = &mut u.__bindgen_anon_3.uprobe_multi;
        multi.path = spec.path.as_ptr() as u64;
        multi.offsets = spec.offsets.as_ptr() as u64;
        multi.ref_ctr_offsets = if has_semaphores { spec.semaphores.as_ptr() as u64 } else { 0 };
        multi.cookies = spec.cookies.as_ptr() as u64;
        multi.cnt = u32::try_from(count).unwrap_or(u32::MAX);
        multi.flags = if spec.on_return { MULTI_RETURN } else { 0 };
        multi.pid = spec.pid.unwrap_or(0);
    }
    // SAFETY: the slices have `cnt` elements, the path ends in NUL.
    check_fd(unsafe { call(bpf_cmd::BPF_LINK_CREATE, &mut attr) })
}
