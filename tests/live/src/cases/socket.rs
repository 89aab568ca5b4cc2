//! Copies of packets.

use anyhow::Result;

use crate::ctx::Ctx;
use crate::features::Feature::{Root, Xdp};
use crate::kernel::Snapshot;
use crate::net::Hosts;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("socket/both_directions", &[Root, Xdp], both_directions),
    Test::new("socket/blocks_in_order", &[Root, Xdp], blocks_in_order),
    Test::new("socket/decides_nothing", &[Root, Xdp], decides_nothing),
    Test::new("socket/sigkill", &[Root, Xdp], sigkill),
];

fn both_directions(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let script = "socket:rbt1 { @n = count(); @kinds[((struct __sk_buff *)ctx).pkt_type] = count();
        @bytes = sum(((struct __sk_buff *)ctx).len); }";
    let session = ctx.script(script).json().start()?;
    hosts.receive(1..=40)?;
    hosts.send(1..=30)?;
    let out = session.interrupt()?.success()?;
    out.same("datagrams", out.number("@n")?, 70)?;
    // Headers of Ethernet, IPv4 and UDP, and the number.
    out.same("bytes", out.number("@bytes")?, 70 * (14 + 20 + 8 + 1))?;
    // PACKET_HOST and PACKET_OUTGOING of linux/if_packet.h.
    out.same("datagrams that arrived", out.number_at("@kinds", "0")?, 40)?;
    out.same("datagrams that were sent", out.number_at("@kinds", "4")?, 30)
}

fn blocks_in_order(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let script = r#"socket:rbt1 { @n++; printf("first %d\n", @n); }
        socket:rbt1 /@n == 2/ { printf("second %d\n", @n); }
        socket:rbt1 { printf("third %d\n", @n); }"#;
    let session = ctx.script(script).start()?;
    hosts.receive(1..=2)?;
    let out = session.interrupt()?.success()?;
    out.lines_are(&["first 1", "third 1", "first 2", "second 2", "third 2", "@n: 2"])
}

/// Whatever a block returns, each packet goes its way.
fn decides_nothing(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let session = ctx.script("socket:rbt1 { @n++; return @n; }").json().start()?;
    let arrived = hosts.receive(1..=5)?;
    let out = session.interrupt()?.success()?;
    out.same("what arrived", arrived, vec![1, 2, 3, 4, 5])?;
    out.same("datagrams", out.number("@n")?, 5)
}

fn sigkill(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let before = Snapshot::take()?;
    let session = ctx.script("socket:rbt1 { @n++; }").start()?;
    hosts.receive(1..=5)?;
    session.signal(libc::SIGKILL)?;
    session.wait()?;
    before.nothing_left(ctx.patience)
}
