//! Packets, counted over a pair of virtual interfaces on which nobody else sends.

use anyhow::Result;

use crate::ctx::Ctx;
use crate::features::Feature::{Root, Xdp};
use crate::kernel::Snapshot;
use crate::net::{FAR, Hosts, NEAR, Pair};
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
    Test::new("xdp/blocks_in_order", &[Root, Xdp], blocks_in_order),
    Test::new("xdp/undecided_in_a_loop", &[Root, Xdp], undecided_in_a_loop),
    Test::new("xdp/too_many_blocks", &[Root, Xdp], too_many_blocks),
    Test::new("xdp/modes_that_differ", &[Root, Xdp], modes_that_differ),
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

/// A block sees what none before it has decided on, natively and generically.
fn blocks_in_order(ctx: &Ctx) -> Result<()> {
    for mode in ["", ":generic"] {
        let hosts = Hosts::new()?;
        let script = r#"
            xdp:rbt1MODE { @a++; if (@a <= 2) { return XDP_DROP; } if (@a == 3) { return XDP_PASS; } }
            xdp:rbt* /@a == 1000/ { return XDP_DROP; }
            xdp:rbt1 { @b++; @text[str("a_text_of_some_length")] = count();
                if (@b == 1) { return XDP_DROP; } printf("%d %d\n", @a, @b); }
            xdp:rbt1 { @c++; }"#;
        let session = ctx.script(&script.replace("MODE", mode)).json().start()?;
        let arrived = hosts.receive(1..=6)?;
        let out = session.interrupt()?.success()?;
        out.same("what arrived", arrived, vec![3, 5, 6])?;
        for (map, expected) in [("@a", 6), ("@b", 3), ("@c", 2)] {
            out.same(map, out.number(map)?, expected)?;
        }
        out.same("texts", out.number_at("@text", "a_text_of_some_length")?, 3)?;
    }
    Ok(())
}

/// `return` without a value in a loop that the kernel runs decides nothing, with one it does.
fn undecided_in_a_loop(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let script = "xdp:rbt1 { @a++; for ($i : 0..@a) { if ($i == 3) { return; } if ($i == 1) {
            if (@a < 4) { return XDP_DROP; } } } @short++; }
        xdp:rbt1 { @b++; }";
    let session = ctx.script(script).json().start()?;
    let arrived = hosts.receive(1..=6)?;
    let out = session.interrupt()?.success()?;
    out.same("what arrived", arrived, vec![1, 4, 5, 6])?;
    for (map, expected) in [("@a", 6), ("@b", 4), ("@short", 1)] {
        out.same(map, out.number(map)?, expected)?;
    }
    Ok(())
}

/// The kernel makes 33 tail calls.
fn too_many_blocks(ctx: &Ctx) -> Result<()> {
    let pair = Pair::new()?;
    let blocks = |count: usize| format!("xdp:{FAR}:generic {{ @ = count(); }}\n").repeat(count);
    let session = ctx.script(&blocks(34)).json().start()?;
    pair.send(5)?;
    let out = session.interrupt()?.success()?;
    out.same("runs", out.number("@")?, 5 * 34)?;
    ctx.script(&blocks(35))
        .finish()?
        .exited(1)?
        .complains("35 blocks are on it, and 34 are the most")
}

fn modes_that_differ(ctx: &Ctx) -> Result<()> {
    let _pair = Pair::new()?;
    let script = format!("xdp:{FAR}:generic {{ }} xdp:{FAR}:native {{ }}");
    ctx.script(&script).finish()?.exited(1)?.complains("the script asks for several")
}
