//! Packets, counted over a pair of virtual interfaces on which nobody else sends.

use anyhow::Result;

use crate::ctx::Ctx;
use crate::features::Feature::{Root, Xdp};
use crate::kernel::Snapshot;
use crate::net::{FAR, NEAR, Pair};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("xdp/exact_count", &[Root, Xdp], exact_count),
    Test::new("xdp/generic_mode", &[Root, Xdp], generic_mode),
    Test::new("xdp/wildcard", &[Root, Xdp], wildcard),
    Test::new("xdp/printf_each_packet", &[Root, Xdp], printf_each_packet),
    Test::new("xdp/built_in_packet_count", &[Root, Xdp], built_in_packet_count),
    Test::new("xdp/detaches", &[Root, Xdp], detaches),
    Test::new("xdp/unknown_interface", &[Root, Xdp], unknown_interface),
    Test::new("xdp/occupied_interface", &[Root, Xdp], occupied_interface),
];

fn exact_count(ctx: &Ctx) -> Result<()> {
    let pair = Pair::new()?;
    pair.send(10)?; // before anything is attached: not to be counted
    let session =
        ctx.script(&format!("xdp:{FAR} {{ @packets = count(); @n++; }}")).json().start()?;
    pair.send(1000)?;
    let out = session.interrupt()?.success()?;
    out.same("packets", out.number("@packets")?, 1000)
}

fn generic_mode(ctx: &Ctx) -> Result<()> {
    let pair = Pair::new()?;
    let session =
        ctx.script(&format!("xdp:{FAR}:generic {{ @packets = count(); }}")).json().start()?;
    pair.send(300)?;
    let out = session.interrupt()?.success()?;
    out.same("packets", out.number("@packets")?, 300)
}

fn wildcard(ctx: &Ctx) -> Result<()> {
    let pair = Pair::new()?;
    let session = ctx.script("xdp:rbt* { @[probe] = count(); }").json().start()?;
    pair.send(50)?;
    let out = session.interrupt()?.success()?;
    out.same("packets", out.number_at("@", &format!("xdp:{FAR}"))?, 50)
}

fn printf_each_packet(ctx: &Ctx) -> Result<()> {
    let pair = Pair::new()?;
    let session = ctx.script(&format!(r#"xdp:{FAR} {{ printf("packet\n"); }}"#)).start()?;
    pair.send(200)?;
    let out = session.interrupt()?.success()?;
    out.lines_are(&["packet"; 200])
}

fn built_in_packet_count(ctx: &Ctx) -> Result<()> {
    let pair = Pair::new()?;
    let session = ctx.rbtrace().args(&["packet_count", FAR]).start()?;
    pair.send(1234)?;
    let out = session.interrupt()?.success()?;
    let numbers: Vec<&str> = out.stdout.split(|c: char| !c.is_ascii_digit()).collect();
    out.check(numbers.contains(&"1234"), "the total of 1234 packets is not printed")
}

fn detaches(ctx: &Ctx) -> Result<()> {
    let pair = Pair::new()?;
    let before = Snapshot::take()?;
    let session = ctx.script(&format!("xdp:{FAR} {{ @ = count(); }}")).start()?;
    pair.send(5)?;
    session.signal(libc::SIGKILL)?;
    session.wait()?;
    before.nothing_left(ctx.patience)?;
    pair.send(5)
}

fn unknown_interface(ctx: &Ctx) -> Result<()> {
    let _pair = Pair::new()?;
    let out = ctx.script("xdp:rbt7 { @ = count(); }").finish()?.exited(1)?;
    out.complains("rbt7")?;
    out.complains(NEAR)
}

fn occupied_interface(ctx: &Ctx) -> Result<()> {
    let pair = Pair::new()?;
    let script = format!("xdp:{FAR} {{ @packets = count(); }}");
    let first = ctx.script(&script).json().start()?;
    let second = ctx.script(&script).finish()?.exited(1)?;
    second.complains(FAR)?;
    // The first goes on undisturbed.
    pair.send(20)?;
    let out = first.interrupt()?.success()?;
    out.same("packets", out.number("@packets")?, 20)
}
