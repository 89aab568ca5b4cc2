//! rtnetlink(7): requests to the kernel about interfaces, and what it tells of them.

pub(crate) mod classifier;
pub(crate) mod link;
pub(crate) mod message;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

use message::{Message, Reply, messages};

/// Bytes of a datagram at most: the kernel fills no more (`NLMSG_GOODSIZE`, and 32 KiB for lists).
const DATAGRAM: usize = 64 << 10;
/// `RTMGRP_LINK` in linux/rtnetlink.h.
const LINKS: u32 = 1;

/// A socket of the kernel's network configuration.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

impl Socket {
    /// For requests.
    pub fn open() -> io::Result<Self> {
        Self::with(SocketFlags::CLOEXEC)
    }

    fn with(flags: SocketFlags) -> io::Result<Self> {
        // No protocol is protocol 0: `NETLINK_ROUTE`.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        Ok(Self(socket))
    }

    /// Sends a request and answers what comes back. An error of the kernel's is one here.
    pub fn request(&self, message: Message) -> io::Result<Vec<Reply>> {
        send(&self.0, &message.finish(), SendFlags::empty())?;
        let mut replies = Vec::new();
        let mut datagram = vec![0u8; DATAGRAM];
        loop {
            let (length, _) = recv(&self.0, datagram.as_mut_slice(), RecvFlags::empty())?;
            for reply in messages(datagram.get(..length).unwrap_or_default()) {
                if reply.ends_answer()? {
                    return Ok(replies);
                }
                replies.push(reply);
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Tells when interfaces come, go or change in the network namespace that it was made in.
#[derive(Debug)]
pub(crate) struct LinkEvents(Socket);

impl LinkEvents {
    /// From now on.
    pub fn new() -> io::Result<Self> {
        let socket = Socket::with(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        bind(&socket.0, &SocketAddrNetlink::new(0, LINKS))?;
        Ok(Self(socket))
    }

    /// Whether anything has happened since the last time.
    pub fn have_come(&self) -> bool {
        let mut datagram = vec![0u8; DATAGRAM];
        let mut any = false;
        loop {
            match recv(&self.0.0, datagram.as_mut_slice(), RecvFlags::empty()) {
                // Too much has happened for the kernel to keep: that something has is enough.
                Ok(_) | Err(rustix::io::Errno::NOBUFS) => any = true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return any,
            }
        }
    }
}

impl AsFd for LinkEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
