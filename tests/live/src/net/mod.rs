//! A pair of virtual Ethernet interfaces in a network namespace of the test's own, and frames
//! sent over it: made by rtnetlink and packet sockets, so that no `ip` command is needed. With [`Hosts`] its
//! ends are in two namespaces, and have addresses.

mod hosts;
mod rtnetlink;

pub use hosts::{Hosts, exchange};
pub use rtnetlink::{add_filter, add_veth, filters, has_clsact, remove_link, set_up};

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
    /// The end that frames arrive at.
    far: String,
}

/// Switches IPv6 off on an interface, so that nobody sends anything unasked. Where it is not built in,
/// there is nothing to switch off.
fn silence(name: &str) {
    let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
}

impl Pair {
    /// Moves this process to a network namespace of its own and makes the pair in it, both ends
    /// up and silent: IPv6 is off on them, so nobody but [`Pair::send`] sends anything.
    pub fn new() -> Result<Self> {
        sys::unshare_network().context("a network namespace")?;
        Self::connected(NEAR, FAR)
    }

    /// Makes a pair in the namespace that this process is in.
    pub fn connected(near: &str, far: &str) -> Result<Self> {
        add_veth(near, far, None).context("adding a veth pair")?;
        for name in [near, far] {
            silence(name);
            set_up(name).with_context(|| format!("bringing {name} up"))?;
        }
        Self::between(near, far)
    }

    /// Sends from one end of a pair that is there to the other.
    pub fn between(near: &str, far: &str) -> Result<Self> {
        let socket = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
        sys::bind_packet(&socket, sys::interface_index(near)?)?;
        let pair = Pair { socket, far: far.to_owned() };
        pair.wait_until_open()?;
        Ok(pair)
    }

    /// Sends frames until one arrives: the kernel gives an interface its queue some time after it
    /// is up, and drops what is sent before.
    fn wait_until_open(&self) -> Result<()> {
        let before = received(&self.far)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while received(&self.far)? == before {
            ensure!(Instant::now() < deadline, "no frame arrives at {}", self.far);
            sys::send(&self.socket, &frame(0)).context("sending a frame")?;
            // One that has not arrived by then was dropped, and will not turn up later.
            let dropped = Instant::now() + Duration::from_millis(300);
            while received(&self.far)? == before && Instant::now() < dropped {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    /// Sends `count` frames of 60 bytes and waits until all have arrived at the far end.
    pub fn send(&self, count: u64) -> Result<()> {
        let before = received(&self.far)?;
        let mut sent = 0;
        while sent < count {
            let burst = BURST.min(count - sent);
            for number in sent..sent + burst {
                sys::send(&self.socket, &frame(number as u16)).context("sending a frame")?;
            }
            sent += burst;
            let deadline = Instant::now() + Duration::from_secs(10);
            while received(&self.far)? - before < sent {
                ensure!(
                    Instant::now() < deadline,
                    "{sent} frames sent, {} arrived",
                    received(&self.far)? - before
                );
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        let arrived = received(&self.far)? - before;
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
