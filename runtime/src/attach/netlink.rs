//! Which XDP program an interface runs: `RTM_GETLINK` of rtnetlink(7).

use std::io;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketType, netdevice, recv, send, socket_with,
};

/// `RTM_NEWLINK` and `RTM_GETLINK` in linux/rtnetlink.h.
const NEWLINK: u16 = 16;
const GETLINK: u16 = 18;
/// `NLM_F_REQUEST` in linux/netlink.h.
const REQUEST: u16 = 1;
/// Bytes of a `struct nlmsghdr` and of a `struct ifinfomsg`.
const HEADER: usize = 16;
const LINK_HEADER: usize = 16;
/// `IFLA_XDP`, and in it `IFLA_XDP_PROG_ID`, in linux/if_link.h.
const XDP: u16 = 43;
const XDP_PROGRAM: u16 = 4;
/// Bits of an attribute's type that are flags: `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const TYPE_MASK: u16 = 0x3fff;

/// Index of an interface.
pub(super) fn index_of(name: &str) -> Option<u32> {
    netdevice::name_to_index(any_socket()?, name).ok()
}

/// Name of an interface.
pub(super) fn name_of(index: u32) -> Option<String> {
    netdevice::index_to_name(any_socket()?, index).ok()
}

/// The ioctls on interfaces work on a socket of any family.
fn any_socket() -> Option<std::os::fd::OwnedFd> {
    let flags = rustix::net::SocketFlags::CLOEXEC;
    socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).ok()
}

/// Id of the XDP program that an interface runs.
pub(super) fn xdp_program(index: u32) -> io::Result<Option<u32>> {
    let flags = rustix::net::SocketFlags::CLOEXEC;
    // No protocol is protocol 0: `NETLINK_ROUTE`.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    send(&socket, &request(index), SendFlags::empty())?;
    let mut reply = vec![0u8; 64 << 10];
    let (length, _) = recv(&socket, reply.as_mut_slice(), RecvFlags::empty())?;
    Ok(parse(reply.get(..length).unwrap_or_default()))
}

fn request(index: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + LINK_HEADER);
    message.extend(((HEADER + LINK_HEADER) as u32).to_ne_bytes());
    message.extend(GETLINK.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence number, port
    message.extend([0; 4]); // family, padding, hardware type
    message.extend(index.to_ne_bytes());
    message.extend([0; 8]); // flags, change mask
    message
}

fn parse(reply: &[u8]) -> Option<u32> {
    let kind = reply.get(4..6)?.try_into().ok().map(u16::from_ne_bytes)?;
    if kind != NEWLINK {
        return None;
    }
    let xdp = attribute(reply.get(HEADER + LINK_HEADER..)?, XDP)?;
    let id = attribute(xdp, XDP_PROGRAM)?;
    id.get(..4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// The contents of the first attribute of a type.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = bytes.get(..2)?.try_into().ok().map(u16::from_ne_bytes)?;
        let kind = bytes.get(2..4)?.try_into().ok().map(u16::from_ne_bytes)?;
        let contents = bytes.get(4..usize::from(length))?;
        if kind & TYPE_MASK == wanted {
            return Some(contents);
        }
        bytes = bytes.get(usize::from(length).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_program_from_a_reply() {
        let attribute = |kind: u16, contents: &[u8]| {
            let mut a = ((4 + contents.len()) as u16).to_ne_bytes().to_vec();
            a.extend(kind.to_ne_bytes());
            a.extend(contents);
            a.resize(a.len().next_multiple_of(4), 0);
            a
        };
        let xdp = [attribute(2, &[1]), attribute(XDP_PROGRAM, &77u32.to_ne_bytes())].concat();
        let mut reply = vec![0u8; HEADER + LINK_HEADER];
        reply[4..6].copy_from_slice(&NEWLINK.to_ne_bytes());
        reply.extend(attribute(3, b"eth0\0"));
        reply.extend(attribute(XDP | 0x8000, &xdp));
        assert_eq!(parse(&reply), Some(77));
        for end in 0..reply.len() {
            assert_eq!(parse(&reply[..end]), None);
        }
    }
}
