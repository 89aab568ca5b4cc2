//! A process that does what is left to do on the network when this one has ended, however it ends.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};

/// Requests of rtnetlink(7), each with its header.
#[derive(Debug)]
pub(crate) struct Requests {
    /// Sent in any case.
    pub always: Vec<Vec<u8>>,
    /// Sent if none of `lists` lists anything.
    pub if_empty: Option<Vec<u8>>,
    /// Requests for lists.
    pub lists: [Vec<u8>; 2],
}

/// The process. When this is dropped it does its work, which is waited for.
#[derive(Debug)]
pub(crate) struct Farewell {
    process: Pid,
    /// The other end of what it reads, which it does until this one is closed.
    waiting: Option<OwnedFd>,
}

impl Farewell {
    /// Starts it with a socket for its requests, in the network namespace that the socket is of.
    pub fn new(netlink: BorrowedFd<'_>, requests: &Requests) -> io::Result<Self> {
        let (ended, waiting) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: the child calls only async-signal-safe functions, on memory that was set up before,
        // and never returns from this block.
        let process = unsafe {
            let process = libc::fork();
            if process == 0 {
                wait_and_send(ended.as_raw_fd(), netlink.as_raw_fd(), requests);
                libc::_exit(0)
            }
            super::check(process.into())?
        };
        let process = Pid::from_raw(process).ok_or(io::ErrorKind::Other)?;
        Ok(Self { process, waiting: Some(waiting) })
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        drop(self.waiting.take());
        // It fails only where there is nothing to wait for.
        let _ = waitpid(Some(self.process), WaitOptions::empty());
    }
}

/// Numbers of the two descriptors that the process keeps.
const ENDED: libc::c_int = 0;
const NETLINK: libc::c_int = 1;

/// # Safety
/// For a process that was just forked and has one thread.
unsafe fn wait_and_send(ended: libc::c_int, netlink: libc::c_int, requests: &Requests) {
    // SAFETY: system calls on descriptors of this process and on memory that lives for each call; none of
    // them allocates.
    unsafe {
        // Whatever ends the whole session, or is sent to all processes of this name, is not for this one.
        libc::setsid();
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
        libc::prctl(libc::PR_SET_NAME, c"rbtrace-tc".as_ptr());
        keep_only(ended, netlink);
        // Nobody is to wait for an answer for ever.
        let patience = libc::timeval { tv_sec: 5, tv_usec: 0 };
        let size = size_of_val(&patience) as libc::socklen_t;
        let option = (&raw const patience).cast();
        libc::setsockopt(NETLINK, libc::SOL_SOCKET, libc::SO_RCVTIMEO, option, size);
        let mut byte = 0u8;
        while libc::read(ENDED, (&raw mut byte).cast(), 1) < 0
            && *libc::__errno_location() == libc::EINTR
        {}
        for request in &requests.always {
            exchange(request);
        }
        if let Some(last) = &requests.if_empty
            && requests.lists.iter().all(|list| exchange(list) == Some(DONE))
        {
            exchange(last);
        }
    }
}

/// Closes all descriptors but two, which get new numbers: attachments must not live on in this process.
///
/// # Safety
/// No other code of the process may own a descriptor.
unsafe fn keep_only(ended: libc::c_int, netlink: libc::c_int) {
    /// Above those that are overwritten.
    const ASIDE: libc::c_int = 3;
    // SAFETY: nobody owns what is closed.
    unsafe {
        let ended = libc::fcntl(ended, libc::F_DUPFD, ASIDE);
        let netlink = libc::fcntl(netlink, libc::F_DUPFD, ASIDE);
        libc::dup2(ended, ENDED);
        libc::dup2(netlink, NETLINK);
        let first = NETLINK + 1;
        if libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) < 0 {
            // Before Linux 5.9.
            for fd in first..libc::sysconf(libc::_SC_OPEN_MAX) as libc::c_int {
                libc::close(fd);
            }
        }
    }
}

/// `NLMSG_ERROR`, which acknowledgements are as well, and `NLMSG_DONE` of linux/netlink.h: they end an
/// answer. An empty list begins with its end.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Bytes of a datagram that are looked at: the kernel fills no more for who reads with no larger buffer.
const DATAGRAM: usize = 16 << 10;

/// Sends a request and answers the type of the first message that comes back, once the last has come.
///
/// # Safety
/// [`NETLINK`] must be a socket.
unsafe fn exchange(request: &[u8]) -> Option<u16> {
    let mut datagram = [0u8; DATAGRAM];
    let mut first = None;
    // SAFETY: the request lives for the call, and its length is given.
    unsafe { libc::send(NETLINK, request.as_ptr().cast(), request.len(), 0) };
    loop {
        // SAFETY: the buffer lives for the call, and its length is given.
        let got = unsafe { libc::recv(NETLINK, datagram.as_mut_ptr().cast(), DATAGRAM, 0) };
        let Some(mut rest) = usize::try_from(got).ok().and_then(|got| datagram.get(..got)) else {
            return first;
        };
        if rest.is_empty() {
            return first;
        }
        while let Some((kind, behind)) = first_message(rest) {
            first = first.or(Some(kind));
            if matches!(kind, ERROR | DONE) {
                return first;
            }
            rest = behind;
        }
    }
}

/// The type of the first message in a datagram, and what comes behind it.
fn first_message(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let length = u32::from_ne_bytes(*datagram.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*datagram.get(4..)?.first_chunk()?);
    let next = length.next_multiple_of(4).max(16);
    Some((kind, datagram.get(next..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_datagram_are_told_apart() {
        let message = |length: u32, kind: u16| {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.resize(length.next_multiple_of(4) as usize, 0);
            bytes
        };
        let both = [message(21, 44), message(20, DONE)].concat();
        let (kind, rest) = first_message(&both).expect("two messages");
        assert_eq!((kind, first_message(rest).map(|(kind, _)| kind)), (44, Some(DONE)));
        assert_eq!(first_message(&both[..5]), None);
    }
}
