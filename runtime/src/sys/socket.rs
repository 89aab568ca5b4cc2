//! packet(7): sockets that get a copy of each packet of an interface.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `SO_ATTACH_BPF` of asm-generic/socket.h.
const ATTACH_BPF: libc::c_int = 50;

/// A socket that has a program look at each packet that an interface receives or sends, as it is on the
/// wire.
pub(crate) fn packets_of(ifindex: u32, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // Without a protocol there are no packets before the program is there.
    // SAFETY: takes no pointer.
    let socket = super::check_fd(unsafe { libc::socket(libc::AF_PACKET, kind, 0) }.into())?;
    let number = program.as_raw_fd();
    let size = size_of_val(&number) as libc::socklen_t;
    // SAFETY: the option is a number of this size, which lives for the call.
    let attached = unsafe {
        let option = (&raw const number).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, ATTACH_BPF, option, size)
    };
    super::check(attached.into())?;
    // SAFETY: a record of integers, for which all zeros is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = ifindex.cast_signed();
    let size = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is of this size and lives for the call.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    super::check(bound.into())?;
    Ok(socket)
}
