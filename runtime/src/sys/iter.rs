//! bpf(2) for iterators: links that make files, and names for links.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::bpf_cmd;

use super::bpf::{ATTACH_ITER, call, zeroed};
use super::{check, check_fd};

/// `BPF_CGROUP_ITER_DESCENDANTS_PRE` of `enum bpf_cgroup_iter_order`.
const CGROUPS_FROM_THE_TOP: u32 = 2;

/// What an iterator is to go over (`union bpf_iter_link_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IteratorInfo {
    /// Cgroups, parents first.
    AllCgroups,
    /// Threads of this process.
    Process(u32),
}

impl IteratorInfo {
    /// As the kernel takes it.
    const fn words(self) -> [u32; 4] {
        match self {
            // Order, file of a cgroup, id of a cgroup in two words.
            IteratorInfo::AllCgroups => [CGROUPS_FROM_THE_TOP, 0, 0, 0],
            // Thread, process, file of a process.
            IteratorInfo::Process(pid) => [0, pid, 0, 0],
        }
    }
}

/// Attaches an iterator program by a link.
pub(crate) fn link_iterator(
    program: BorrowedFd<'_>,
    info: Option<IteratorInfo>,
) -> io::Result<OwnedFd> {
    let words = info.map(IteratorInfo::words);
    let mut attr = zeroed();
    // SAFETY: writing fields of a union of integers.
    unsafe {
        let u = &mut attr.link_create;
        u.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        u.attach_type = ATTACH_ITER;
        if let Some(words) = &words {
            u.__bindgen_anon_3.__bindgen_anon_1.iter_info = words.as_ptr() as u64;
            u.__bindgen_anon_3.__bindgen_anon_1.iter_info_len = size_of_val(words) as u32;
        }
    }
    // SAFETY: `words` is valid for its length, which is beside it.
    check_fd(unsafe { call(bpf_cmd::BPF_LINK_CREATE, &mut attr) })
}

/// Opens the link of an iterator: what is read runs the program for one object after another.
pub(crate) fn open_iterator(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.iter_create.link_fd = link.as_raw_fd() as u32;
    // SAFETY: the command uses no pointer.
    check_fd(unsafe { call(bpf_cmd::BPF_ITER_CREATE, &mut attr) })
}

/// Gives a link a name in a BPF file system, as long as which it stays.
pub(crate) fn pin(link: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: writing fields of a union of integers.
    unsafe {
        let u = &mut attr.__bindgen_anon_4;
        u.bpf_fd = link.as_raw_fd() as u32;
        u.pathname = path.as_ptr() as u64;
    }
    // SAFETY: the path ends in NUL.
    check(unsafe { call(bpf_cmd::BPF_OBJ_PIN, &mut attr) }).map(drop)
}
