//! Two hosts: this process is in the network namespace of one, and has a socket in that of the other.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::rtnetlink::{add_address, add_neighbour, add_veth, mac, set_up};
use super::{FAR, NEAR, silence};
use crate::sys;

/// The peer's address, on the interface [`NEAR`].
const PEERS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The address of this process's host, on the interface [`FAR`].
const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// Ports of the sockets.
const PORT: u16 = 4000;

/// Two hosts, and a socket on each. Nothing goes over the wire but what these send: the hosts know each
/// other's Ethernet addresses.
pub struct Hosts {
    /// The socket of this process's host.
    here: UdpSocket,
    /// The peer's.
    there: UdpSocket,
}

impl Hosts {
    /// Makes both, and moves this process to one.
    pub fn new() -> Result<Self> {
        sys::unshare_network().context("a network namespace for the peer")?;
        let peer = namespace()?;
        sys::unshare_network().context("a network namespace")?;
        // For workloads that send to themselves.
        set_up("lo").context("bringing lo up")?;
        add_veth(NEAR, FAR, Some(&peer)).context("adding a veth pair")?;
        at(&peer, || set_up_end(NEAR, PEERS, OURS, 2))?;
        set_up_end(FAR, OURS, PEERS, 1)?;
        let here = bind(OURS)?;
        let there = at(&peer, || bind(PEERS))?;
        let hosts = Self { here, there };
        hosts.wait_until_open()?;
        Ok(hosts)
    }

    /// The kernel gives an interface its queue some time after it is up, and drops what is sent before.
    fn wait_until_open(&self) -> Result<()> {
        for (from, to, address) in
            [(&self.here, &self.there, PEERS), (&self.there, &self.here, OURS)]
        {
            to.set_read_timeout(Some(Duration::from_millis(300)))?;
            let mut buffer = [0];
            let mut attempts = 0..30;
            while attempts.next().is_some() {
                from.send_to(&[0], (address, PORT))?;
                if to.recv(&mut buffer).is_ok() {
                    break;
                }
            }
            ensure!(attempts.next().is_some(), "no datagram arrives at {address}");
            to.set_read_timeout(Some(Duration::from_secs(10)))?;
        }
        Ok(())
    }

    /// Sends datagrams from the peer, of which each holds its number, and answers which have arrived; the
    /// last must.
    pub fn receive(&self, numbers: std::ops::RangeInclusive<u8>) -> Result<Vec<u8>> {
        exchange(&self.there, &self.here, OURS, numbers)
    }

    /// The same in the other direction. What may not be sent has not arrived.
    pub fn send(&self, numbers: std::ops::RangeInclusive<u8>) -> Result<Vec<u8>> {
        exchange(&self.here, &self.there, PEERS, numbers)
    }
}

/// Sends numbers and answers those that arrive, in order.
pub fn exchange(
    from: &UdpSocket,
    to: &UdpSocket,
    address: Ipv4Addr,
    numbers: std::ops::RangeInclusive<u8>,
) -> Result<Vec<u8>> {
    let last = *numbers.end();
    let to_address = SocketAddr::from((address, to.local_addr()?.port()));
    let mut arrived = Vec::new();
    for number in numbers {
        match from.send_to(&[number], to_address) {
            Ok(_) => {}
            // What a program in the way says of what is sent.
            Err(error)
                if number != last
                    && matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOBUFS)) => {}
            Err(error) => return Err(error).with_context(|| format!("sending {number}")),
        }
    }
    while arrived.last() != Some(&last) {
        let mut number = [0];
        let sender = format!("waiting for {last}, with {arrived:?} there");
        to.recv(&mut number).context(sender)?;
        arrived.push(number[0]);
    }
    Ok(arrived)
}

fn bind(address: Ipv4Addr) -> Result<UdpSocket> {
    UdpSocket::bind((address, PORT)).with_context(|| format!("a socket at {address}"))
}

/// Gives an end its address, and tells it where the other one is.
fn set_up_end(name: &str, own: Ipv4Addr, other: Ipv4Addr, others_mac: u8) -> Result<()> {
    silence(name);
    add_address(name, own).with_context(|| format!("an address for {name}"))?;
    set_up(name).with_context(|| format!("bringing {name} up"))?;
    add_neighbour(name, other, mac(others_mac)).with_context(|| format!("a neighbour of {name}"))
}

/// The network namespace that this thread is in.
fn namespace() -> Result<OwnedFd> {
    Ok(std::fs::File::open("/proc/thread-self/ns/net")?.into())
}

/// Does something in a network namespace.
fn at<T: Send>(namespace: &OwnedFd, what: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let there = scope.spawn(|| {
            sys::enter_network(namespace)?;
            what()
        });
        there.join().map_err(|_| anyhow!("a panic at the peer"))?
    })
}
