//! What the demo traces: processes that open files, send packets and call a function. Each tells
//! on standard output how often it did so.

use std::fs::File;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{target, veth};

/// Names of the workloads, also of their processes.
pub const OPENER: &str = "demo-opener";
/// See [`OPENER`].
pub const SENDER: &str = "demo-sender";
/// See [`OPENER`].
pub const WORKER: &str = "demo-worker";

/// Files that the opener opens; some may be missing, which is seen just as well.
pub const FILES: [&str; 8] = [
    "/etc/hostname",
    "/etc/hosts",
    "/etc/os-release",
    "/etc/passwd",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/uptime",
    "/proc/version",
];
/// Packets that the sender sends.
const PACKETS: u32 = 1000;
/// Calls that the worker makes.
const CALLS: u64 = 60;

/// Runs the workload of this name.
pub fn run(name: &str) -> Result<()> {
    let comm = std::ffi::CString::new(name)?;
    rustix::thread::set_name(&comm).context("naming the process")?;
    let count = match name {
        OPENER => open_files(),
        SENDER => u64::from(send_packets()?),
        WORKER => call_function(),
        _ => bail!("there is no workload `{name}`"),
    };
    println!("{count}");
    Ok(())
}

fn open_files() -> u64 {
    for path in FILES {
        drop(File::open(path));
        sleep(Duration::from_millis(150));
    }
    FILES.len() as u64
}

fn send_packets() -> Result<u32> {
    let socket = UdpSocket::bind((Ipv4Addr::from(veth::ADDRESS), 0)).context("a socket")?;
    socket.set_broadcast(true)?;
    for number in 1..=PACKETS {
        socket
            .send_to(b"a packet of the demo", (Ipv4Addr::from(veth::BROADCAST), 9))
            .context("sending a packet")?;
        if number.is_multiple_of(50) {
            sleep(Duration::from_millis(50));
        }
    }
    Ok(PACKETS)
}

/// Mostly short calls and some long ones, so that the histogram has a shape.
fn call_function() -> u64 {
    for call in 0..CALLS {
        let milliseconds = match call % 10 {
            9 => 60,
            7 | 8 => 20,
            n => 5 + n / 2,
        };
        target::rbtrace_demo_work(milliseconds);
    }
    CALLS
}
