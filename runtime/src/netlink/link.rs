//! Network interfaces.

use std::io;

use super::Socket;
use super::message::{self, DUMP, Message, Reply};
use crate::error::Error;

/// `RTM_NEWLINK` and `RTM_GETLINK` in linux/rtnetlink.h.
const NEWLINK: u16 = 16;
const GETLINK: u16 = 18;
/// Bytes of a `struct ifinfomsg`, and where the index is in it.
const FAMILY: usize = 16;
const INDEX: usize = 4;
/// `IFLA_IFNAME`, `IFLA_XDP` and in that `IFLA_XDP_PROG_ID`, in linux/if_link.h.
const NAME: u16 = 3;
const XDP: u16 = 43;
const XDP_PROGRAM: u16 = 4;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its index, which no other has until the system starts anew or the numbers are used up.
    pub index: u32,
    /// Its name, which may change.
    pub name: String,
}

/// All of this network namespace, by index.
pub(crate) fn all() -> Result<Vec<Link>, Error> {
    list().map_err(Error::system("list the network interfaces"))
}

fn list() -> io::Result<Vec<Link>> {
    let replies = Socket::open()?.request(Message::new(GETLINK, DUMP, &[0; FAMILY]))?;
    Ok(replies.iter().filter_map(link).collect())
}

fn link(reply: &Reply) -> Option<Link> {
    let name = message::text(reply.attribute(FAMILY, NAME)?);
    (reply.kind == NEWLINK).then_some(Link { index: reply.number(INDEX)?, name })
}

/// Id of the XDP program that an interface runs.
pub(crate) fn xdp_program(index: u32) -> io::Result<Option<u32>> {
    let mut family = [0; FAMILY];
    family[INDEX..][..4].copy_from_slice(&index.to_ne_bytes());
    let replies = Socket::open()?.request(Message::new(GETLINK, 0, &family))?;
    Ok(replies.iter().find_map(program_of))
}

fn program_of(reply: &Reply) -> Option<u32> {
    let xdp = reply.attribute(FAMILY, XDP)?;
    message::attribute(xdp, XDP_PROGRAM).and_then(message::number)
}

#[cfg(test)]
mod tests {
    use super::super::message::messages;
    use super::*;

    #[test]
    fn reads_name_and_program_from_a_reply() {
        let mut family = [0; FAMILY];
        family[INDEX] = 5;
        let bytes = Message::new(NEWLINK, 0, &family)
            .attribute(NAME, b"eth0\0")
            .nested(XDP, |m| m.attribute(2, &[1]).attribute(XDP_PROGRAM, &77u32.to_ne_bytes()))
            .finish();
        let reply = messages(&bytes).remove(0);
        assert_eq!(link(&reply), Some(Link { index: 5, name: "eth0".into() }));
        assert_eq!(program_of(&reply), Some(77));
    }
}
