//! `tc`: a link where the kernel has them, else a filter of a `clsact` discipline.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rbtrace_probes_ebpf::plan::Direction;
use rbtrace_probes_ebpf::profile::KernelVersion;

use super::{Attachment, Context};
use crate::error::{Error, Unsupported};
use crate::features::Need;
use crate::netlink::Socket;
use crate::netlink::classifier::{self, CLSACT};
use crate::netlink::link::Link;
use crate::sys::bpf;
use crate::sys::farewell::{Farewell, Requests};

/// First kernel with links for `tc` programs.
const LINKS_SINCE: KernelVersion = KernelVersion::new(6, 6);

/// Attaches before all other programs of the interface and direction.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    link: &Link,
    direction: Direction,
    context: &Context,
) -> Result<Attachment, Error> {
    if context.kernel >= LINKS_SINCE {
        return match bpf::link_tcx(program, link.index, direction) {
            Ok(handle) => Ok(Attachment::by_link(handle)),
            Err(e) => Err(explain(link, e)),
        };
    }
    add_filter(program, link, direction)
}

fn explain(link: &Link, error: io::Error) -> Error {
    Error::privileged(format!("attach tc to {}", link.name), Need::Network, error)
}

/// Attaches by a filter, which no descriptor keeps: a process of its own removes it when this one ends.
fn add_filter(
    program: BorrowedFd<'_>,
    link: &Link,
    direction: Direction,
) -> Result<Attachment, Error> {
    let failed = |e| explain(link, e);
    let socket = Socket::open().map_err(failed)?;
    let is_ours = match classifier::add_clsact(&socket, link.index) {
        Ok(()) => true,
        Err(e) if e.raw_os_error() == Some(libc::EEXIST) => false,
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Err(no_clsact().into()),
        Err(e) => return Err(failed(e)),
    };
    if !is_ours && direction == Direction::Egress {
        must_be_clsact(&socket, link)?;
    }
    let unused = |e| {
        if is_ours {
            // What failed is what matters.
            drop(socket.request(classifier::clsact_removal(link.index)));
        }
        failed(e)
    };
    let filter = classifier::add_filter(&socket, link.index, direction, program).map_err(unused)?;
    let requests = Requests {
        always: filter.removal().finish(),
        if_empty: is_ours.then(|| classifier::clsact_removal(link.index).finish()),
        lists: classifier::filters(link.index).map(|list| list.finish()),
    };
    match Farewell::new(socket.as_fd(), &requests) {
        Ok(farewell) => Ok(Attachment { farewell: Some(farewell), ..Attachment::default() }),
        Err(e) => {
            drop(socket.request(filter.removal()));
            Err(unused(e))
        }
    }
}

/// The older discipline `ingress` takes the place as well, and would take a filter for packets that are
/// sent for one of those that arrive.
fn must_be_clsact(socket: &Socket, link: &Link) -> Result<(), Error> {
    let kind = classifier::kind_in_place(socket, link.index).map_err(|e| explain(link, e))?;
    match kind.as_deref() {
        None | Some(CLSACT) => Ok(()),
        Some(other) => Err(Error::BadLocation {
            place: format!("interface {}", link.name),
            reason: format!(
                "its queueing discipline `{other}` is in the place of clsact, which alone has filters \
                 on packets that are sent"
            ),
        }),
    }
}

fn no_clsact() -> Unsupported {
    Unsupported {
        feature: "filters on packets",
        since: None,
        config: Some("CONFIG_NET_SCH_INGRESS"),
        hint: Some("xdp sees what arrives, and socket sees copies of everything".into()),
    }
}
