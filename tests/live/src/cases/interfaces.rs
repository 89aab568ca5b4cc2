//! Network interfaces that come and go while a script runs.

use anyhow::Result;

use crate::ctx::Ctx;
use crate::features::Feature::{Root, Xdp};
use crate::net::{Pair, remove_link};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("interfaces/new_ones_that_match", &[Root, Xdp], new_ones_that_match),
    Test::new("interfaces/one_that_comes_back", &[Root, Xdp], one_that_comes_back),
    Test::new("interfaces/several_blocks", &[Root, Xdp], several_blocks),
    Test::new("interfaces/occupied", &[Root, Xdp], occupied),
];

fn new_ones_that_match(ctx: &Ctx) -> Result<()> {
    let first = Pair::new()?;
    for (kind, way) in [("xdp", ""), ("tc", ":ingress"), ("socket", "")] {
        let script = format!("{kind}:rbt*{way} {{ @[probe] = count(); @all = count(); }}");
        let mut session = ctx.script(&script).json().start()?;
        first.send(3)?;
        let second = Pair::connected("rbt2", "rbt3")?;
        for name in ["rbt2", "rbt3"] {
            session.wait_for_error(&format!("is attached to the new interface {name}"))?;
        }
        let count = 5;
        second.send(count)?;
        let _third = Pair::connected("other0", "other1")?;
        remove_link("rbt2")?;
        session.wait_for_error("the network interface is gone")?;
        remove_link("other0")?;
        first.send(2)?;
        let out = session.interrupt()?.success()?;
        let of_first = out.number_at("@", &format!("{kind}:rbt1{way}"))?;
        out.same("frames at the first", of_first, 5)?;
        let later = out.number_at("@", &format!("{kind}:rbt*{way}"))?;
        // Frames are sent until one arrives when a pair is made; both of its ends are watched.
        out.check(later >= count as i64, format_args!("{later} frames at the later ones"))?;
    }
    Ok(())
}

fn one_that_comes_back(ctx: &Ctx) -> Result<()> {
    let pair = Pair::new()?;
    let mut session = ctx.script("tc:rbt1:ingress { @ = count(); }").json().start()?;
    pair.send(4)?;
    remove_link("rbt1")?;
    session.wait_for_error("tc:rbt1:ingress: the network interface is gone")?;
    let pair = Pair::connected("rbt0", "rbt1")?;
    session.wait_for_error("tc:rbt1:ingress is attached to the new interface rbt1")?;
    pair.send(5)?;
    let out = session.interrupt()?.success()?;
    let counted = out.number("@")?;
    out.check(counted >= 9, format_args!("{counted} frames, not 9 and those that try the pair"))
}

/// What comes after a block depends on the interface, also on one that is made later.
fn several_blocks(ctx: &Ctx) -> Result<()> {
    let pair = Pair::new()?;
    let back = Pair::between("rbt1", "rbt0")?;
    let script = "xdp:rbt*:generic { @all++; } xdp:rbt1* { @tens++; } xdp:*1:generic { @ones++; }
        xdp:* /@all < 0/ { return XDP_DROP; } xdp:rbt* { @last++; }";
    let mut session = ctx.script(script).json().start()?;
    pair.send(7)?;
    back.send(5)?;
    let new = Pair::connected("rbt12", "rbt21")?;
    let new_back = Pair::between("rbt21", "rbt12")?;
    for name in ["rbt12", "rbt21"] {
        session.wait_for_error(&format!("xdp:rbt* is attached to the new interface {name}"))?;
    }
    new.send(3)?;
    new_back.send(4)?;
    let out = session.interrupt()?.success()?;
    let [all, tens, ones, last] = ["@all", "@tens", "@ones", "@last"].map(|map| out.number(map));
    let (all, tens, ones, last) = (all?, tens?, ones?, last?);
    out.same("frames at the end of the blocks", last, all)?;
    out.check(tens >= 7 + 4 && ones >= 7 + 3, format_args!("{tens} and {ones} frames"))?;
    // rbt1 is of both, rbt0 of neither; each later one is of one.
    out.same("frames of the middle blocks", tens + ones, all - 5 + 7)
}

/// Another run finds the interfaces occupied, and harms nothing.
fn occupied(ctx: &Ctx) -> Result<()> {
    let pair = Pair::new()?;
    let all = ctx.script("xdp:rbt* { @ = count(); }").json().start()?;
    let mut other = ctx.script("xdp:rbt* { @ = count(); }").json();
    other = other.env("BPFTRACE_MISSING_PROBES", "warn");
    other.finish()?.exited(1)?.complains("already runs an XDP program")?;
    pair.send(6)?;
    let out = all.interrupt()?.success()?;
    out.same("frames", out.number("@")?, 6)
}
