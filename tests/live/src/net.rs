//! A pair of virtual Ethernet interfaces in a network namespace of the test's own, and frames
//! sent over it: made by rtnetlink and packet sockets, so that no `ip` command is needed.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::sys;

/// The end that frames are sent from.
pub const NEAR: &str = "rbt0";
/// The end that they arrive at, where tests attach.
pub const FAR: &str = "rbt1";

/// Frames in flight at most: a veth that has an XDP program queues 256.
const BURST: u64 = 64;

/// The sending end of the pair.
pub struct Pair {
    socket: OwnedFd,
}

impl Pair {
    /// Moves this process to a network namespace of its own and makes the pair in it, both ends
    /// up and silent: IPv6 is off on them, so nobody but [`Pair::send`] sends anything.
    pub fn new() -> Result<Self> {
        sys::unshare_network().context("a network namespace")?;
        add_veth(NEAR, FAR).context("adding a veth pair")?;
        for name in [NEAR, FAR] {
            // Where IPv6 is not built in, there is nothing to switch off.
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
            set_up(sys::interface_index(name)?).with_context(|| format!("bringing {name} up"))?;
        }
        let socket = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
        sys::bind_packet(&socket, sys::interface_index(NEAR)?)?;
        let pair = Pair { socket };
        pair.wait_until_open()?;
        Ok(pair)
    }

    /// Sends frames until one arrives: the kernel gives an interface its queue some time after it
    /// is up, and drops what is sent before.
    fn wait_until_open(&self) -> Result<()> {
        let before = received(FAR)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while received(FAR)? == before {
            ensure!(Instant::now() < deadline, "no frame arrives at {FAR}");
            sys::send(&self.socket, &frame(0)).context("sending a frame")?;
            // One that has not arrived by then was dropped, and will not turn up later.
            let dropped = Instant::now() + Duration::from_millis(300);
            while received(FAR)? == before && Instant::now() < dropped {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    /// Sends `count` frames of 60 bytes and waits until all have arrived at the far end.
    pub fn send(&self, count: u64) -> Result<()> {
        let before = received(FAR)?;
        let mut sent = 0;
        while sent < count {
            let burst = BURST.min(count - sent);
            for number in sent..sent + burst {
                sys::send(&self.socket, &frame(number as u16)).context("sending a frame")?;
            }
            sent += burst;
            let deadline = Instant::now() + Duration::from_secs(10);
            while received(FAR)? - before < sent {
                ensure!(
                    Instant::now() < deadline,
                    "{sent} frames sent, {} arrived",
                    received(FAR)? - before
                );
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        let arrived = received(FAR)? - before;
        ensure!(
            arrived == count,
            "{count} frames sent, but {arrived} arrived: somebody else sends too"
        );
        Ok(())
    }
}

/// An Ethernet frame with an IPv4 UDP datagram from 192.0.2.1:4000+n to 192.0.2.2:9.
fn frame(number: u16) -> [u8; 60] {
    let mut bytes = [0; 60];
    bytes[..6].fill(0xff);
    bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    bytes[12..14].copy_from_slice(&0x0800_u16.to_be_bytes());
    let ip: [u8; 20] = [0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    bytes[14..34].copy_from_slice(&ip);
    bytes[34..36].copy_from_slice(&(4000_u16.wrapping_add(number)).to_be_bytes());
    bytes[36..38].copy_from_slice(&9_u16.to_be_bytes());
    bytes[38..40].copy_from_slice(&26_u16.to_be_bytes());
    bytes
}

/// Packets that `interface` has received, from /proc/net/dev of this namespace.
fn received(interface: &str) -> Result<u64> {
    let table = std::fs::read_to_string("/proc/self/net/dev")?;
    for line in table.lines() {
        if let Some(counters) =
            line.trim_start().strip_prefix(interface).and_then(|rest| rest.strip_prefix(':'))
        {
            let packets = counters.split_whitespace().nth(1).context("a packet counter")?;
            return Ok(packets.parse()?);
        }
    }
    bail!("{interface} is not in /proc/self/net/dev")
}

// rtnetlink: linux/rtnetlink.h, linux/if_link.h, linux/veth.h.
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;
const NLM_F_CREATE_EXCL: u16 = 0x400 | 0x200;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;

fn add_veth(name: &str, peer: &str) -> Result<()> {
    let mut peer_message = ifinfomsg(0, 0);
    peer_message.extend(attribute(IFLA_IFNAME, peer.as_bytes()));
    let data = attribute(VETH_INFO_PEER, &peer_message);
    let mut info = attribute(IFLA_INFO_KIND, b"veth");
    info.extend(attribute(IFLA_INFO_DATA, &data));
    let mut message = ifinfomsg(0, 0);
    message.extend(attribute(IFLA_IFNAME, name.as_bytes()));
    message.extend(attribute(IFLA_LINKINFO, &info));
    request(NLM_F_CREATE_EXCL, &message)
}

fn set_up(index: u32) -> Result<()> {
    request(0, &ifinfomsg(index, libc::IFF_UP as u32))
}

/// struct ifinfomsg that sets `flags` on interface `index`.
fn ifinfomsg(index: u32, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes()); // ifi_change: the same bits
    bytes
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

/// Sends one RTM_NEWLINK and waits for the kernel's acknowledgement.
fn request(flags: u16, body: &[u8]) -> Result<()> {
    let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
    let mut message = Vec::new();
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend((NLM_F_REQUEST_ACK | flags).to_ne_bytes());
    message.extend([0; 8]); // sequence number, port
    message.extend(body);
    sys::send(&socket, &message)?;
    let mut answer = [0; 4096];
    let length = sys::receive(&socket, &mut answer)?;
    ensure!(length >= 20, "a netlink answer of {length} bytes");
    let error = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if error != 0 {
        return Err(std::io::Error::from_raw_os_error(-error).into());
    }
    Ok(())
}
