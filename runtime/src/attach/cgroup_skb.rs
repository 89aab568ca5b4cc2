//! `cgroup_skb`: a link on a cgroup of version 2.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rbtrace_probes_ebpf::plan::Direction;
use rbtrace_probes_ebpf::profile::KernelVersion;

use super::{Attachment, Context};
use crate::error::{Error, Unsupported};
use crate::features::Need;
use crate::sys::link;

/// First kernel with links for cgroups.
const LINKS_SINCE: KernelVersion = KernelVersion::new(5, 7);

pub(super) fn attach(
    program: BorrowedFd<'_>,
    folder: &OwnedFd,
    direction: Direction,
    context: &Context,
) -> Result<Attachment, Error> {
    match link::cgroup_skb(program, folder.as_fd(), direction) {
        Ok(link) => Ok(Attachment::by_link(link)),
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            let (since, config) = match context.kernel < LINKS_SINCE {
                true => (Some(LINKS_SINCE), None),
                false => (None, Some("CONFIG_CGROUP_BPF")),
            };
            Err(Unsupported { feature: "programs of cgroups", since, config, hint: None }.into())
        }
        Err(e) => Err(Error::privileged("attach to the cgroup", Need::Network, e)),
    }
}
