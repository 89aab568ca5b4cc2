//! What every kind of probe about packets can do.

use anyhow::Result;

use crate::cgroup::Cgroup;
use crate::ctx::Ctx;
use crate::features::Feature::{Cgroup as Cgroups, Root, Xdp};
use crate::net::Hosts;
use crate::output::Output;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("packets/whatever_needs_no_task", &[Root, Xdp, Cgroups], whatever_needs_no_task),
    Test::new("packets/contexts", &[Root, Xdp, Cgroups], contexts),
    Test::new("packets/interfaces_by_index", &[Root, Xdp], interfaces_by_index),
];

/// Clocks, numbers, texts, loops, aggregations and all ways to print.
const BODY: &str = r#"{
    @n++;
    @known[nsecs > 0, nsecs(monotonic) > 0, elapsed > 0, jiffies > 0, cpu < ncpus, numaid < 1024] = count();
    @rand = hist(rand); @linear = lhist(@n, 0, 10, 1); @average = avg(@n); @most = max(@n);
    @probe[probe, probetype] = count();
    $long = "a text that is longer than what a program copies word by word, which is what it does with all that is not longer than so many bytes, which are one hundred and twenty-eight or less";
    @long[$long, @n % 2] = (@n, $long);
    @contains = strcontains($long, "twenty");
    for ($kv : @known) { @entries++; }
    for ($i : 0..@n) { if ($i == 3) { break; } @rounds++; }
    $i = 0; while ($i < 5) { $i++; }
    printf("%d %s %llx %s\n", @n, "3", (uint64)1, strftime("%H", 0));
    print((@n, "pair")); time("");
    if (@n == 4) { exit(); }
}"#;

fn whatever_needs_no_task(ctx: &Ctx) -> Result<()> {
    for at in ["xdp:rbt1", "xdp:rbt1:generic", "tc:rbt1:ingress", "socket:rbt1"] {
        let hosts = Hosts::new()?;
        let session = ctx.script(&format!("{at} {BODY}")).start()?;
        hosts.receive(1..=4)?;
        did_all(&session.wait()?.success()?, at)?;
    }
    let cgroup = Cgroup::new("packets")?;
    for way in ["ingress", "egress"] {
        let at = format!("cgroup_skb:{}:{way}", cgroup.path()?);
        let workload = ctx.start_workload(&["exchange", "4"])?;
        cgroup.take(workload.pid())?;
        let session = ctx.script(&format!("{at} {BODY}")).start()?;
        workload.go()?;
        did_all(&session.wait()?.success()?, &at)?;
    }
    Ok(())
}

fn did_all(out: &Output, probe: &str) -> Result<()> {
    let kind = probe.split(':').next().unwrap_or_default();
    let lines = ["1 3 1 ", "4 3 1 ", "(4, pair)"];
    for line in lines {
        let begins = |one: &&str| one.starts_with(line);
        out.check(out.lines().iter().any(begins), format_args!("no {line:?}"))?;
    }
    for line in [
        "@n: 4",
        "@known[true, true, true, true, true, true]: 4",
        "@average: 2",
        "@most: 4",
        "@entries: 4",
        "@rounds: 9",
        "@contains: true",
    ] {
        out.has_line(line)?;
    }
    out.has_line(&format!("@probe[{probe}, {kind}]: 4"))
}

/// What the kernel tells of a packet beside its bytes.
fn contexts(ctx: &Ctx) -> Result<()> {
    /// Headers of Ethernet, of IPv4 and UDP, and a number.
    const ETHERNET: i64 = 14;
    const DATAGRAM: i64 = 20 + 8 + 1;
    let hosts = Hosts::new()?;
    let cgroup = Cgroup::new("contexts")?;
    let workload = ctx.start_workload(&["exchange", "5"])?;
    cgroup.take(workload.pid())?;
    let script = format!(
        "xdp:rbt1 {{ $packet = (struct xdp_md *)ctx; @index = $packet.ingress_ifindex; }}
         tc:rbt1:egress {{ @tc[((struct __sk_buff *)ctx).ifindex] = sum(((struct __sk_buff *)ctx).len); }}
         cgroup_skb:{}:egress {{ @cgroup = sum(((struct __sk_buff *)ctx).len); }}",
        cgroup.path()?
    );
    let session = ctx.script(&script).json().start()?;
    hosts.receive(1..=5)?;
    hosts.send(1..=5)?;
    workload.go()?;
    let out = session.interrupt()?.success()?;
    let index = i64::from(crate::sys::interface_index("rbt1")?);
    out.same("the interface", out.number("@index")?, index)?;
    let sent = out.number_at("@tc", &index.to_string())?;
    out.same("bytes that were sent", sent, 5 * (ETHERNET + DATAGRAM))?;
    out.same("bytes of the cgroup", out.number("@cgroup")?, 5 * DATAGRAM)
}

/// An interface by its index, beside blocks that name it.
fn interfaces_by_index(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let index = crate::sys::interface_index("rbt1")?;
    let script = format!(
        "xdp:{index} {{ @x++; if (@x == 1) {{ return XDP_DROP; }} }} xdp:rbt1 {{ @y++; }}
         tc:{index}:ingress {{ @t++; }} socket:{index} {{ @s++; }}"
    );
    let session = ctx.script(&script).json().start()?;
    let arrived = hosts.receive(1..=5)?;
    let out = session.interrupt()?.success()?;
    out.same("what arrived", arrived, vec![2, 3, 4, 5])?;
    for (map, expected) in [("@x", 5), ("@y", 4), ("@t", 4), ("@s", 4)] {
        out.same(map, out.number(map)?, expected)?;
    }
    Ok(())
}
