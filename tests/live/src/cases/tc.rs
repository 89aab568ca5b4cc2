//! Packets between an interface and the kernel, which two hosts exchange.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::ctx::Ctx;
use crate::features::BPF_PROG_TYPE_SCHED_CLS;
use crate::features::Feature::{Clsact, Root, Xdp};
use crate::kernel::Snapshot;
use crate::net::{FAR, Hosts, NEAR, add_filter, filters, has_clsact};
use crate::runner::Test;
use crate::sys;

pub const TESTS: &[Test] = &[
    Test::new("tc/exact_counts", &[Root, Xdp], exact_counts),
    Test::new("tc/verdicts_on_arrival", &[Root, Xdp], verdicts_on_arrival),
    Test::new("tc/verdicts_on_departure", &[Root, Xdp], verdicts_on_departure),
    Test::new("tc/blocks_in_order", &[Root, Xdp], blocks_in_order),
    Test::new("tc/others_stay", &[Root, Xdp, Clsact], others_stay),
    Test::new("tc/sigkill", &[Root, Xdp], sigkill),
    Test::new("tc/objects", &[Root, Xdp], objects),
    Test::new("tc/unknown_interface", &[Root, Xdp], unknown_interface),
];

const BOTH_WAYS: &str = "tc:rbt1:ingress { @in = count(); } tc:rbt1:egress { @out = count(); }";

fn exact_counts(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let session = ctx.script(BOTH_WAYS).json().start()?;
    hosts.receive(1..=40)?;
    hosts.send(1..=30)?;
    let out = session.interrupt()?.success()?;
    out.same("datagrams that arrived", out.number("@in")?, 40)?;
    out.same("datagrams that were sent", out.number("@out")?, 30)
}

fn verdicts_on_arrival(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let script = "tc:rbt1:ingress { @n++;
        if (@n <= 3) { return TC_ACT_SHOT; } if (@n == 5) { return TC_ACT_STOLEN; }
        if (@n == 6) { return TC_ACT_OK; } if (@n == 7) { return TC_ACT_PIPE; }
        if (@n == 8) { return TC_ACT_UNSPEC; } if (@n == 9) { return @n % 3 + 2; } }";
    let session = ctx.script(script).json().start()?;
    let arrived = hosts.receive(1..=10)?;
    let out = session.interrupt()?.success()?;
    out.same("what arrived", arrived, vec![4, 6, 7, 8, 10])?;
    out.same("datagrams", out.number("@n")?, 10)
}

fn verdicts_on_departure(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let script = "tc:rbt1:egress /@n++ % 2 == 0/ { return TC_ACT_SHOT; }";
    let session = ctx.script(script).json().start()?;
    let arrived = hosts.send(1..=6)?;
    let other_way = hosts.receive(1..=3)?;
    let out = session.interrupt()?.success()?;
    out.same("what arrived", arrived, vec![2, 4, 6])?;
    out.same("what arrived here", other_way, vec![1, 2, 3])?;
    out.same("datagrams", out.number("@n")?, 6)
}

/// A block sees what none before it has decided on.
fn blocks_in_order(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let script = r#"
        tc:rbt1:ingress { @a++; printf("first %d\n", @a);
            if (@a == 1) { return TC_ACT_SHOT; } if (@a == 2) { return TC_ACT_OK; } }
        tc:rbt1:ingress /@a == 1000/ { return TC_ACT_SHOT; }
        tc:rbt1:ingress { printf("second %d\n", @a); if (@a == 3) { return TC_ACT_SHOT; } }
        tc:rbt1:ingress { printf("third %d\n", @a); }"#;
    let session = ctx.script(script).start()?;
    let arrived = hosts.receive(1..=4)?;
    let out = session.interrupt()?.success()?;
    out.same("what arrived", arrived, vec![2, 4])?;
    let expected =
        ["first 1", "first 2", "first 3", "second 3", "first 4", "second 4", "third 4", "@a: 4"];
    out.lines_are(&expected)
}

/// Somebody else's filter decides after rbtrace's blocks, and is there when they have gone.
fn others_stay(ctx: &Ctx) -> Result<()> {
    const TC_ACT_SHOT: i32 = 2;
    let hosts = Hosts::new()?;
    let program = sys::bpf_load_return(BPF_PROG_TYPE_SCHED_CLS, 0, 0, TC_ACT_SHOT)?;
    add_filter(FAR, &program)?;
    let theirs = filters(FAR)?;
    ensure!(theirs.len() == 1, "there are the filters {theirs:?}");
    let script = "tc:rbt1:ingress { @n++; if (@n == 2) { return TC_ACT_OK; } }
        tc:rbt1:egress { @out = count(); }";
    for signal in [libc::SIGINT, libc::SIGKILL] {
        let session = ctx.script(script).json().start()?;
        let arrived = hosts.receive(1..=2)?;
        ensure!(arrived == [2], "{arrived:?} arrived");
        hosts.send(1..=5)?;
        session.signal(signal)?;
        let out = session.wait()?;
        if signal == libc::SIGINT {
            out.same("datagrams that arrived", out.number("@n")?, 2)?;
            out.same("datagrams that were sent", out.number("@out")?, 5)?;
        }
        soon(ctx, || Ok(filters(FAR)? == theirs))?;
    }
    ensure!(has_clsact(FAR)?, "the discipline has gone");
    Ok(())
}

/// Waits until something has come to hold.
fn soon(ctx: &Ctx, holds: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10) * ctx.patience;
    while !holds()? {
        ensure!(Instant::now() < deadline, "it never came to hold");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn sigkill(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let before = Snapshot::take()?;
    let script = "tc:rbt1:ingress, tc:rbt1:egress { return TC_ACT_SHOT; }";
    let session = ctx.script(script).start()?;
    session.signal(libc::SIGKILL)?;
    session.wait()?;
    before.nothing_left(ctx.patience)?;
    soon(ctx, || Ok(!has_clsact(FAR)?))?;
    let arrived = (hosts.receive(1..=3)?, hosts.send(1..=3)?);
    ensure!(arrived == (vec![1, 2, 3], vec![1, 2, 3]), "{arrived:?} arrived");
    Ok(())
}

/// An object names interfaces, and a pattern of them.
fn objects(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let object = ctx.file("tc.o", "")?.to_string_lossy().into_owned();
    let script = "tc:rbt*:ingress { @n[probe] = count(); }";
    ctx.script(script).args(&["--emit-elf", &object]).finish()?.success()?;
    let session = ctx.rbtrace().json().arg(&object).start()?;
    hosts.receive(1..=7)?;
    let out = session.interrupt()?.success()?;
    out.same("datagrams", out.number_at("@n", "tc:rbt1:ingress")?, 7)
}

fn unknown_interface(ctx: &Ctx) -> Result<()> {
    let _hosts = Hosts::new()?;
    let out = ctx.script("tc:rbt7:ingress { @ = count(); }").finish()?.exited(1)?;
    out.complains("rbt7")?;
    out.complains(FAR)?;
    let out = ctx.script(&format!("tc:{NEAR}:ingress {{ @ = count(); }}")).finish()?.exited(1)?;
    out.complains(NEAR)
}
