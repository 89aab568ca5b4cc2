//! Packets of the sockets of one cgroup.

use anyhow::{Result, ensure};

use crate::cgroup::Cgroup;
use crate::ctx::{Ctx, go_together};
use crate::features::Feature::{Cgroup as Cgroups, Root};
use crate::kernel::Snapshot;
use crate::output::Output;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("cgroup_skb/exact_counts", &[Root, Cgroups], exact_counts),
    Test::new("cgroup_skb/verdicts_on_arrival", &[Root, Cgroups], verdicts_on_arrival),
    Test::new("cgroup_skb/verdicts_on_departure", &[Root, Cgroups], verdicts_on_departure),
    Test::new("cgroup_skb/blocks_in_order", &[Root, Cgroups], blocks_in_order),
    Test::new("cgroup_skb/sigkill", &[Root, Cgroups], sigkill),
    Test::new("cgroup_skb/what_is_none", &[Root, Cgroups], what_is_none),
];

fn exact_counts(ctx: &Ctx) -> Result<()> {
    let outer = Cgroup::new("counted")?;
    let inner = outer.below("inner")?;
    let path = outer.path()?;
    let script = format!(
        "cgroup_skb:{path}:ingress {{ @in = count(); }} cgroup_skb:{path}:egress {{ @out = count(); }}"
    );
    let inside = ctx.start_workload(&["datagrams", "30"])?;
    inner.take(inside.pid())?;
    let session = ctx.script(&script).json().start()?;
    go_together(vec![inside, ctx.start_workload(&["datagrams", "50"])?])?;
    let out = session.interrupt()?.success()?;
    out.same("datagrams that arrived", out.number("@in")?, 30)?;
    out.same("datagrams that were sent", out.number("@out")?, 30)
}

/// Runs a script, with the cgroup's path in place of `{path}` and its folder in place of `{folder}`, while
/// a workload in the cgroup sends datagrams to itself. Fails unless these arrive.
fn with_exchange(ctx: &Ctx, name: &str, script: &str, arrive: &[u8]) -> Result<Output> {
    let cgroup = Cgroup::new(name)?;
    let folder = cgroup.folder().to_string_lossy().into_owned();
    let script = script.replace("{path}", &cgroup.path()?).replace("{folder}", &folder);
    let (workload, errors) = ctx.start_complaining(&["exchange", "6"])?;
    cgroup.take(workload.pid())?;
    let session = ctx.script(&script).json().start()?;
    workload.go()?;
    let out = session.interrupt()?.success()?;
    out.same("what the workload says", errors.text(), format!("arrived {arrive:?}\n"))?;
    Ok(out)
}

fn verdicts_on_arrival(ctx: &Ctx) -> Result<()> {
    let script = "cgroup_skb:{path}:ingress { @n++; if (@n <= 2) { return SK_DROP; }
        if (@n == 3) { return SK_PASS; } if (@n == 4) { return @n - 4; } }";
    let out = with_exchange(ctx, "arrival", script, &[3, 5, 6])?;
    out.same("datagrams", out.number("@n")?, 6)
}

fn verdicts_on_departure(ctx: &Ctx) -> Result<()> {
    let script = "cgroup_skb:{path}:egress /@n++ % 2 == 0/ { return SK_DROP; }";
    let out = with_exchange(ctx, "departure", script, &[2, 4, 6])?;
    out.same("datagrams", out.number("@n")?, 6)
}

/// A block sees what none before it has decided on, by whichever path it names the cgroup.
fn blocks_in_order(ctx: &Ctx) -> Result<()> {
    let script = "cgroup_skb:{path}:ingress { @a++;
            if (@a == 1) { return SK_DROP; } if (@a == 2) { return SK_PASS; } }
        cgroup_skb:{folder}:ingress /@a < 0/ { return SK_DROP; }
        cgroup_skb:{folder}:ingress { @b++; if (@b == 1) { return SK_DROP; } }
        cgroup_skb:{path}:ingress { @c++; }
        cgroup_skb:{path}:egress { @out++; }";
    let out = with_exchange(ctx, "order", script, &[2, 4, 5, 6])?;
    for (map, expected) in [("@a", 6), ("@b", 4), ("@c", 3), ("@out", 6)] {
        out.same(map, out.number(map)?, expected)?;
    }
    Ok(())
}

fn sigkill(ctx: &Ctx) -> Result<()> {
    let cgroup = Cgroup::new("killed")?;
    let before = Snapshot::take()?;
    let script = format!("cgroup_skb:{}:egress {{ return SK_DROP; }}", cgroup.path()?);
    let session = ctx.script(&script).start()?;
    session.signal(libc::SIGKILL)?;
    session.wait()?;
    before.nothing_left(ctx.patience)?;
    let (workload, errors) = ctx.start_complaining(&["exchange", "3"])?;
    cgroup.take(workload.pid())?;
    workload.go()?;
    let said = errors.text();
    ensure!(said == "arrived [1, 2, 3]\n", "the workload says {said:?}");
    Ok(())
}

fn what_is_none(ctx: &Ctx) -> Result<()> {
    let cgroup = Cgroup::new("missed")?;
    let path = cgroup.path()?;
    let out = ctx.script(&format!("cgroup_skb:{path}x:egress {{ }}")).finish()?.exited(1)?;
    out.complains(&format!("there is no cgroup {path}x; there is {}", &path[1..]))?;
    let out = ctx.script("cgroup_skb:/proc:egress { }").finish()?.exited(1)?;
    out.complains("/proc is no cgroup of version 2; those are below ")
}
