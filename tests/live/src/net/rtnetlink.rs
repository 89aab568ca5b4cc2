//! rtnetlink: linux/rtnetlink.h, linux/if_link.h, linux/veth.h, linux/pkt_cls.h.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};

use crate::sys;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWNEIGH: u16 = 28;
const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_GETTFILTER: u16 = 46;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE_EXCL: u16 = 0x400 | 0x200;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_LOCAL: u16 = 2;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
const TC_H_CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;
/// Filters on packets that arrive.
const INGRESS: u32 = 0xffff_fff2;
const ETH_P_ALL: u16 = 3;

/// The Ethernet address of an end, by its last byte.
pub fn mac(last: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, last]
}

/// Makes a veth pair; the first end may be in another network namespace. With two in two namespaces they
/// have the addresses `mac(1)` and `mac(2)`.
pub fn add_veth(name: &str, peer: &str, namespace: Option<&OwnedFd>) -> Result<()> {
    let mut near = ifinfomsg(0, 0);
    near.extend(attribute(IFLA_IFNAME, &terminated(name)));
    near.extend(attribute(IFLA_ADDRESS, &mac(1)));
    if let Some(namespace) = namespace {
        near.extend(attribute(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes()));
    }
    let data = attribute(VETH_INFO_PEER, &near);
    let mut info = attribute(IFLA_INFO_KIND, b"veth");
    info.extend(attribute(IFLA_INFO_DATA, &data));
    let mut message = ifinfomsg(0, 0);
    message.extend(attribute(IFLA_IFNAME, &terminated(peer)));
    message.extend(attribute(IFLA_ADDRESS, &mac(2)));
    message.extend(attribute(IFLA_LINKINFO, &info));
    change(RTM_NEWLINK, NLM_F_CREATE_EXCL, &message)
}

/// Removes an interface, and with it the other end of a pair.
pub fn remove_link(name: &str) -> Result<()> {
    change(RTM_DELLINK, 0, &ifinfomsg(sys::interface_index(name)?, 0))
}

/// Brings an interface up.
pub fn set_up(name: &str) -> Result<()> {
    change(RTM_NEWLINK, 0, &ifinfomsg(sys::interface_index(name)?, libc::IFF_UP as u32))
}

/// Gives an interface an address in a network of 24 bits.
pub fn add_address(name: &str, address: Ipv4Addr) -> Result<()> {
    let mut message = vec![libc::AF_INET as u8, 24, 0, 0];
    message.extend(sys::interface_index(name)?.to_ne_bytes());
    message.extend(attribute(IFA_LOCAL, &address.octets()));
    change(RTM_NEWADDR, NLM_F_CREATE_EXCL, &message)
}

/// Says which Ethernet address an address has, so that nobody asks for it.
pub fn add_neighbour(name: &str, address: Ipv4Addr, mac: [u8; 6]) -> Result<()> {
    let mut message = vec![libc::AF_INET as u8, 0, 0, 0];
    message.extend(sys::interface_index(name)?.to_ne_bytes());
    message.extend(NUD_PERMANENT.to_ne_bytes());
    message.extend([0, 0]); // flags, type
    message.extend(attribute(NDA_DST, &address.octets()));
    message.extend(attribute(NDA_LLADDR, &mac));
    change(RTM_NEWNEIGH, NLM_F_CREATE_EXCL, &message)
}

/// Whether an interface has a `clsact` queueing discipline.
pub fn has_clsact(name: &str) -> Result<bool> {
    let index = sys::interface_index(name)?;
    let replies = exchange(RTM_GETQDISC, NLM_F_DUMP, &tcmsg(index, 0, 0, 0))?;
    Ok(replies.iter().any(|reply| {
        reply.get(4..8) == Some(&index.to_ne_bytes())
            && reply.get(12..16) == Some(&TC_H_CLSACT.to_ne_bytes())
    }))
}

/// Puts a program on the packets that arrive at an interface, as somebody else would: by a filter of a
/// `clsact` discipline, which it adds.
pub fn add_filter(name: &str, program: &OwnedFd) -> Result<()> {
    let index = sys::interface_index(name)?;
    let mut message = tcmsg(index, CLSACT_HANDLE, TC_H_CLSACT, 0);
    message.extend(attribute(TCA_KIND, b"clsact\0"));
    change(RTM_NEWQDISC, NLM_F_CREATE_EXCL, &message).context("adding clsact")?;
    let mut options = attribute(TCA_BPF_FD, &program.as_raw_fd().to_ne_bytes());
    options.extend(attribute(TCA_BPF_FLAGS, &1u32.to_ne_bytes()));
    let mut message = tcmsg(index, 0, INGRESS, u32::from(ETH_P_ALL.to_be()));
    message.extend(attribute(TCA_KIND, b"bpf\0"));
    message.extend(attribute(TCA_OPTIONS, &options));
    change(RTM_NEWTFILTER, NLM_F_CREATE_EXCL, &message).context("adding a filter")
}

/// Ids of the programs of filters on the packets that arrive at an interface.
pub fn filters(name: &str) -> Result<Vec<u32>> {
    let index = sys::interface_index(name)?;
    let replies = exchange(RTM_GETTFILTER, NLM_F_DUMP, &tcmsg(index, 0, INGRESS, 0))?;
    let id = |reply: &Vec<u8>| {
        let options = find(reply.get(20..)?, TCA_OPTIONS)?;
        Some(u32::from_ne_bytes(find(options, TCA_BPF_ID)?.try_into().ok()?))
    };
    Ok(replies.iter().filter_map(id).collect())
}

/// struct ifinfomsg that sets `flags` on interface `index`.
fn ifinfomsg(index: u32, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes()); // ifi_change: the same bits
    bytes
}

/// struct tcmsg
fn tcmsg(index: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    let words = [0, index, handle, parent, info];
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// A netlink attribute, padded to four bytes.
fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + payload.len() + 3);
    bytes.extend((4 + payload.len() as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The payload of the first attribute of a kind.
fn find(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let payload = bytes.get(4..length)?;
        if kind & 0x3fff == wanted {
            return Some(payload);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

/// Has the kernel change something.
fn change(kind: u16, flags: u16, body: &[u8]) -> Result<()> {
    exchange(kind, NLM_F_ACK | flags, body).map(drop)
}

/// Sends a request and collects what comes back up to its end, without the headers.
fn exchange(kind: u16, flags: u16, body: &[u8]) -> Result<Vec<Vec<u8>>> {
    let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
    let mut message = Vec::new();
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    message.extend([0; 8]); // sequence number, port
    message.extend(body);
    sys::send(&socket, &message)?;
    let mut replies = Vec::new();
    loop {
        let mut answer = vec![0; 1 << 16];
        let length = sys::receive(&socket, &mut answer)?;
        let mut rest = &answer[..length];
        while rest.len() >= 16 {
            let length = u32::from_ne_bytes(rest[..4].try_into()?) as usize;
            let kind = u16::from_ne_bytes(rest[4..6].try_into()?);
            ensure!((16..=rest.len()).contains(&length), "a netlink message of {length} bytes");
            let body = &rest[16..length];
            match kind {
                NLMSG_DONE => return Ok(replies),
                NLMSG_ERROR => {
                    let error = i32::from_ne_bytes(body.get(..4).context("an error")?.try_into()?);
                    ensure!(error == 0, std::io::Error::from_raw_os_error(-error));
                    return Ok(replies);
                }
                _ => replies.push(body.to_vec()),
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}
