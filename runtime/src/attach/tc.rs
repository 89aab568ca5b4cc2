//! `tc`: a link where the kernel has them, else a filter of a `clsact` discipline.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rbtrace_probes_ebpf::plan::Direction;
use rbtrace_probes_ebpf::profile::KernelVersion;

use super::{Attachment, Context};
use crate::error::{Error, Unsupported};
use crate::features::Need;
use crate::netlink::Socket;
use crate::netlink::classifier::{self, CLSACT};
use crate::netlink::link::Link;
use crate::netlink::message::Message;
use crate::sys::farewell::{Farewell, Requests};
use crate::sys::link as links;

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
        return match links::tcx(program, link.index, direction) {
            Ok(handle) => Ok(Attachment::by_link(handle)),
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Err(no_filters().into()),
            Err(e) => Err(explain(link, e)),
        };
    }
    add_filter(program, link, direction, &context.clsact)
}

/// A filter, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Filter {
    _farewell: Farewell,
    /// The discipline that it is of, if rbtrace has added it.
    _clsact: Option<Arc<Clsact>>,
}

/// A `clsact` discipline that rbtrace has added and that filters of it are on.
#[derive(Debug)]
pub(crate) struct Clsact;

/// Those of a session, by the index of their interface.
#[derive(Debug, Default)]
pub(crate) struct Disciplines(Mutex<HashMap<u32, Weak<Clsact>>>);

impl Disciplines {
    /// Adds one to an interface. `None`: somebody else has.
    fn add(&self, socket: &Socket, link: &Link) -> Result<Option<Arc<Clsact>>, Error> {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match classifier::add_clsact(socket, link.index) {
            Ok(()) => {
                let added = Arc::new(Clsact);
                own.insert(link.index, Arc::downgrade(&added));
                Ok(Some(added))
            }
            Err(e) if e.raw_os_error() == Some(libc::EEXIST) => {
                Ok(own.get(&link.index).and_then(Weak::upgrade))
            }
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Err(no_filters().into()),
            Err(e) => Err(explain(link, e)),
        }
    }
}

fn explain(link: &Link, error: io::Error) -> Error {
    Error::privileged(format!("attach tc to {}", link.name), Need::Network, error)
}

/// Attaches by a filter, which no descriptor keeps: a process of its own removes it when this one ends. It
/// is there before the filter is.
fn add_filter(
    program: BorrowedFd<'_>,
    link: &Link,
    direction: Direction,
    disciplines: &Disciplines,
) -> Result<Attachment, Error> {
    let failed = |e| explain(link, e);
    let socket = Socket::open().map_err(failed)?;
    let clsact = disciplines.add(&socket, link)?;
    if clsact.is_none() && direction == Direction::Egress {
        must_be_clsact(&socket, link)?;
    }
    let filter = classifier::Filter { index: link.index, direction, handle: new_handle() };
    let last = clsact.is_some().then(|| classifier::clsact_removal(link.index).finish());
    let requests = Requests {
        always: filter.removals().into_iter().map(Message::finish).collect(),
        if_empty: last,
        lists: classifier::filters(link.index).map(Message::finish),
    };
    let farewell = Farewell::new(socket.as_fd(), &requests).map_err(failed)?;
    filter.add(&socket, program).map_err(failed)?;
    let filter = Filter { _farewell: farewell, _clsact: clsact };
    Ok(Attachment { filter: Some(filter), ..Attachment::default() })
}

/// A number for a filter that no other has: of this process, and far from those that the kernel counts up
/// from 1.
fn new_handle() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    const OURS: u32 = 1 << 31;
    const BITS: u32 = 10;
    let number = COUNT.fetch_add(1, Ordering::Relaxed) & ((1 << BITS) - 1);
    OURS | ((std::process::id() << BITS) & (OURS - 1)) | number
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

fn no_filters() -> Unsupported {
    Unsupported {
        feature: "filters on packets",
        since: None,
        config: Some("CONFIG_NET_SCH_INGRESS"),
        hint: Some("xdp sees what arrives, and socket sees copies of everything".into()),
    }
}
