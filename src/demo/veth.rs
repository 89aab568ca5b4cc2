//! A pair of virtual Ethernet interfaces, made by rtnetlink(7), since a fresh machine need not
//! have ip(8).

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, recv, send,
    socket_with,
};

/// The end that packets are sent from.
pub const NEAR: &str = "demo0";
/// The end that they arrive at.
pub const FAR: &str = "demo1";
/// Address of [`NEAR`]; one of those reserved for documentation (RFC 5737).
pub const ADDRESS: [u8; 4] = [192, 0, 2, 1];
/// All of the network that [`NEAR`] is in: what is sent there needs no neighbour.
pub const BROADCAST: [u8; 4] = [192, 0, 2, 255];
const PREFIX_LENGTH: u8 = 24;

// linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/veth.h, linux/netlink.h
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const NLM_F_REQUEST_ACK: u16 = 0x1 | 0x4;
const NLM_F_CREATE_EXCL: u16 = 0x400 | 0x200;
const NLMSG_HEADER: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFF_UP: u32 = 1;

/// Makes the pair in the network namespace of this thread, both ends up, and so that nobody but
/// the demo sends anything over it.
pub fn make() -> io::Result<()> {
    let socket = open(AddressFamily::NETLINK, SocketType::RAW)?;
    request(&socket, RTM_NEWLINK, NLM_F_CREATE_EXCL, &pair())?;
    for name in [NEAR, FAR] {
        // Left on, IPv6 would greet its neighbours; a kernel without it has no such file.
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
    }
    let near = index(NEAR)?;
    request(&socket, RTM_NEWADDR, NLM_F_CREATE_EXCL, &address(near))?;
    for index in [near, index(FAR)?] {
        request(&socket, RTM_NEWLINK, 0, &link(index, IFF_UP))?;
    }
    Ok(())
}

fn open(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    Ok(socket_with(family, kind, SocketFlags::CLOEXEC, None)?)
}

fn index(name: &str) -> io::Result<u32> {
    Ok(netdevice::name_to_index(open(AddressFamily::UNIX, SocketType::DGRAM)?, name)?)
}

fn pair() -> Vec<u8> {
    let peer = [link(0, 0), attribute(IFLA_IFNAME, FAR.as_bytes())].concat();
    let data = attribute(IFLA_INFO_DATA, &attribute(VETH_INFO_PEER, &peer));
    let info = [attribute(IFLA_INFO_KIND, b"veth"), data].concat();
    [link(0, 0), attribute(IFLA_IFNAME, NEAR.as_bytes()), attribute(IFLA_LINKINFO, &info)].concat()
}

/// `struct ifinfomsg` that sets these flags.
fn link(index: u32, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for word in [index, flags, flags] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes
}

/// `struct ifaddrmsg` with its attributes.
fn address(index: u32) -> Vec<u8> {
    let mut bytes = vec![AddressFamily::INET.as_raw() as u8, PREFIX_LENGTH, 0, 0];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(attribute(IFA_LOCAL, &ADDRESS));
    bytes.extend(attribute(IFA_BROADCAST, &BROADCAST));
    bytes
}

/// A netlink attribute, padded to four bytes.
fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + payload.len());
    bytes.extend((4 + payload.len() as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Sends a request and waits for the acknowledgement.
fn request(socket: &OwnedFd, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let mut message = Vec::with_capacity(NLMSG_HEADER + body.len());
    message.extend(((NLMSG_HEADER + body.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((NLM_F_REQUEST_ACK | flags).to_ne_bytes());
    message.extend([0; 8]); // sequence number, port
    message.extend(body);
    send(socket, &message, SendFlags::empty())?;
    let mut answer = [0u8; 4096];
    let (length, _) = recv(socket, &mut answer, RecvFlags::empty())?;
    match outcome(answer.get(..length).unwrap_or_default()) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The error number behind the header of an acknowledgement; 0 is success.
fn outcome(answer: &[u8]) -> Option<i32> {
    let word = answer.get(NLMSG_HEADER..NLMSG_HEADER + 4)?;
    word.try_into().ok().map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested() {
        assert_eq!(
            attribute(3, b"ab"),
            [&6u16.to_ne_bytes()[..], &3u16.to_ne_bytes(), b"ab\0\0"].concat()
        );
        assert_eq!(pair().len() % 4, 0);
        assert_eq!(outcome(&[0; 20]), Some(0));
        assert_eq!(outcome(&[0; 19]), None);
    }
}
