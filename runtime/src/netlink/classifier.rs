//! Queueing disciplines and filters on packets: tc(8), linux/pkt_sched.h and linux/pkt_cls.h.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rbtrace_probes_ebpf::plan::Direction;

use super::Socket;
use super::message::{self, CREATE, DUMP, Message, Reply};

/// `RTM_*` in linux/rtnetlink.h.
const NEWQDISC: u16 = 36;
const DELQDISC: u16 = 37;
const GETQDISC: u16 = 38;
const NEWTFILTER: u16 = 44;
const DELTFILTER: u16 = 45;
const GETTFILTER: u16 = 46;
/// `TCA_KIND` and `TCA_OPTIONS`; `TCA_BPF_FD`, `TCA_BPF_NAME` and `TCA_BPF_FLAGS`.
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const FD: u16 = 6;
const NAME: u16 = 7;
const FLAGS: u16 = 8;
/// `TCA_BPF_FLAG_ACT_DIRECT`: what the program returns is the verdict.
const DIRECT: u32 = 1;
/// Bytes of a `struct tcmsg`, and where its members are.
const FAMILY: usize = 20;
const INDEX: usize = 4;
const HANDLE: usize = 8;
const PARENT: usize = 12;
const INFO: usize = 16;
/// `TC_H_CLSACT`, which is `TC_H_INGRESS`: the place that the discipline takes.
const PLACE: u32 = 0xffff_fff1;
/// The handle of what is there: the upper half of the place.
const PLACE_HANDLE: u32 = 0xffff_0000;
/// `ETH_P_ALL` in network byte order: filters that see packets of every protocol.
const EVERY_PROTOCOL: u32 = (libc::ETH_P_ALL as u16).to_be() as u32;
/// Priorities that are tried, the highest first.
const PRIORITIES: std::ops::RangeInclusive<u32> = 1..=16;
/// The kind of discipline that has filters of both directions.
pub(crate) const CLSACT: &str = "clsact";

/// A filter that is to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Index of the interface.
    pub index: u32,
    /// Which packets it sees.
    pub direction: Direction,
    /// Its number among the filters of one priority, which nobody else may choose.
    pub handle: u32,
}

/// Where filters on packets of a direction are (`TC_H_MIN_INGRESS`, `TC_H_MIN_EGRESS`).
const fn parent(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => PLACE_HANDLE | 0xfff2,
        Direction::Egress => PLACE_HANDLE | 0xfff3,
    }
}

fn tcmsg(index: u32, handle: u32, parent: u32, info: u32) -> [u8; FAMILY] {
    let mut bytes = [0; FAMILY];
    for (at, word) in [(INDEX, index), (HANDLE, handle), (PARENT, parent), (INFO, info)] {
        bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// Puts a `clsact` discipline in its place, which fails if there is one.
pub(crate) fn add_clsact(socket: &Socket, index: u32) -> io::Result<()> {
    let message = Message::new(NEWQDISC, CREATE, &tcmsg(index, PLACE_HANDLE, PLACE, 0));
    socket.request(message.attribute(KIND, b"clsact\0")).map(drop)
}

/// The kind of the discipline in the place of `clsact`.
pub(crate) fn kind_in_place(socket: &Socket, index: u32) -> io::Result<Option<String>> {
    let replies = socket.request(Message::new(GETQDISC, DUMP, &tcmsg(index, 0, 0, 0)))?;
    let is_there =
        |reply: &&Reply| reply.number(INDEX) == Some(index) && reply.number(PARENT) == Some(PLACE);
    let kind = replies.iter().find(is_there).and_then(|reply| reply.attribute(FAMILY, KIND));
    Ok(kind.map(message::text))
}

impl Filter {
    /// Adds a program as this filter, at the highest priority whose filters are programs or that has none.
    pub fn add(&self, socket: &Socket, program: BorrowedFd<'_>) -> io::Result<()> {
        let mut refused = io::ErrorKind::InvalidInput.into();
        for priority in PRIORITIES {
            let message = self.message(NEWTFILTER, CREATE, priority).nested(OPTIONS, |options| {
                options
                    .attribute(FD, &program.as_raw_fd().to_ne_bytes())
                    .attribute(NAME, b"rbtrace\0")
                    .attribute(FLAGS, &DIRECT.to_ne_bytes())
            });
            match socket.request(message) {
                // Filters of another kind or protocol have it.
                Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EEXIST)) => {
                    refused = e
                }
                added => return added.map(drop),
            }
        }
        Err(refused)
    }

    /// The requests that remove it, whichever priority it has got, and nothing if it was never added.
    pub fn removals(&self) -> Vec<Message> {
        PRIORITIES.map(|priority| self.message(DELTFILTER, 0, priority)).collect()
    }

    fn message(&self, kind: u16, flags: u16, priority: u32) -> Message {
        let info = priority << 16 | EVERY_PROTOCOL;
        let place = tcmsg(self.index, self.handle, parent(self.direction), info);
        Message::new(kind, flags, &place).attribute(KIND, b"bpf\0")
    }
}

/// The requests that list the filters of both directions.
pub(crate) fn filters(index: u32) -> [Message; 2] {
    Direction::ALL
        .map(|direction| Message::new(GETTFILTER, DUMP, &tcmsg(index, 0, parent(direction), 0)))
}

/// The request that removes a `clsact` discipline, and with it all filters.
pub(crate) fn clsact_removal(index: u32) -> Message {
    let message = Message::new(DELQDISC, 0, &tcmsg(index, PLACE_HANDLE, PLACE, 0));
    message.attribute(KIND, b"clsact\0")
}
