//! `socket`: a packet socket on an interface, whose filter is the program.

use std::os::fd::BorrowedFd;

use super::Attachment;
use crate::error::Error;
use crate::features::Need;
use crate::netlink::link::Link;
use crate::sys::socket;

/// Opens a socket that nothing is ever put into, since the program lets no byte of a packet pass.
pub(super) fn attach(program: BorrowedFd<'_>, link: &Link) -> Result<Attachment, Error> {
    let socket = socket::packets_of(link.index, program).map_err(|e| {
        Error::privileged(format!("get copies of the packets of {}", link.name), Need::Packets, e)
    })?;
    Ok(Attachment::by_link(socket))
}
