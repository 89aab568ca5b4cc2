//! Tools that show system calls, scheduling, privileges and connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};

use super::{OWN_COMM, rows_of};
use crate::ctx::{COMM, Ctx};
use crate::sys;

pub fn syscount(ctx: &Ctx) -> Result<()> {
    // Enough to be among the ten that are printed.
    let calls = ctx.scaled(400_000) as i64;
    let session = ctx.tool("syscount").json().start()?;
    ctx.start_workload(&["syscalls", &calls.to_string()])?.go()?;
    let out = session.interrupt()?.success()?;
    out.same("getpgid(2)", out.number_at("@syscall", &libc::SYS_getpgid.to_string())?, calls)?;
    // What starts and ends a process comes on top.
    let own = out.number_at("@process", COMM)?;
    out.check((calls..calls + 200).contains(&own), format_args!("{own} calls by the workload"))
}

pub fn capable(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("owned", "")?;
    let session = ctx.tool("capable").start()?;
    for _ in 0..3 {
        std::os::unix::fs::chroot("/")?;
    }
    std::os::unix::fs::chown(&file, Some(65534), None)?;
    let out = session.interrupt()?.success()?;
    // The columns are time, user, process, comm, number, name, audit. What other checks these
    // calls make depends on the kernel.
    let pid = std::process::id();
    let rows = rows_of(&out, 2, pid);
    let count = |number: &str, name: &str| {
        rows.iter().filter(|row| row[1..] == ["0", row[2], OWN_COMM, number, name, "0"]).count()
    };
    out.same("CAP_SYS_CHROOT", count("18", "CAP_SYS_CHROOT"), 3)?;
    out.same("CAP_CHOWN", count("0", "CAP_CHOWN"), 1)?;
    let stray = rows.iter().find(|row| matches!(row[4], "18" | "0") && row[5].len() < 9);
    out.same("a capability of another name", stray, None)
}

pub fn tcpconnect(ctx: &Ctx) -> Result<()> {
    let local: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let listeners: Vec<TcpListener> = local
        .iter()
        .map(|address| TcpListener::bind(SocketAddr::new(*address, 0)))
        .collect::<std::io::Result<_>>()
        .context("listening on the loopback interface")?;
    let session = ctx.tool("tcpconnect").start()?;
    let mut ends = Vec::new();
    for listener in listeners.iter().chain(&listeners) {
        let stream = TcpStream::connect(listener.local_addr()?)?;
        ends.push((stream.local_addr()?, stream.peer_addr()?));
    }
    let out = session.interrupt()?.success()?;
    let pid = std::process::id().to_string();
    let mut expected = Vec::new();
    for (from, to) in &ends {
        expected.push(format!(
            "{pid} {OWN_COMM} {} {} {} {}",
            from.ip(),
            from.port(),
            to.ip(),
            to.port()
        ));
    }
    let rows = rows_of(&out, 1, std::process::id());
    let shown: Vec<String> = rows.iter().map(|row| row[1..].join(" ")).collect();
    out.same("connections", shown, expected)
}

/// What a thread says of itself in /proc/thread-self/schedstat: nanoseconds that it waited for a
/// CPU, and how often it was given one.
fn scheduled() -> Result<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let mut numbers = text.split_whitespace().skip(1).map(str::parse);
    let mut number = || numbers.next().context("a number")?.context("a number");
    Ok((number()?, number()?))
}

/// Computes for 300 ms on the first CPU; how long and how often it waited meanwhile.
fn compete() -> Result<(u64, u64)> {
    sys::pin_to_cpu(0)?;
    let (waited, turns) = scheduled()?;
    let end = sys::monotonic_nanos() + 300_000_000;
    while sys::monotonic_nanos() < end {
        std::hint::spin_loop();
    }
    let (waited_now, turns_now) = scheduled()?;
    Ok((waited_now - waited, turns_now - turns))
}

pub fn runqlat(ctx: &Ctx) -> Result<()> {
    let session = ctx.tool("runqlat").json().start()?;
    let begin = sys::monotonic_nanos();
    let rivals: Vec<_> = (0..3).map(|_| std::thread::spawn(compete)).collect();
    let mut waits = Vec::new();
    for rival in rivals {
        waits.push(rival.join().ok().context("a thread")??);
    }
    let took = (sys::monotonic_nanos() - begin) / 1000;
    let out = session.interrupt()?.success()?;
    let turns: u64 = waits.iter().map(|(_, turns)| turns).sum();
    let longest = waits.iter().map(|(waited, turns)| waited / 1000 / turns.max(&1)).max();
    let longest = longest.context("threads")?;
    ensure!(longest > 100, "three threads on one CPU waited for {longest} us");
    let map = out.map("@usecs")?;
    let buckets = map.as_array().context("a histogram")?;
    let count = |bucket: &serde_json::Value| bucket["count"].as_u64().unwrap_or(0);
    let total: u64 = buckets.iter().map(count).sum();
    out.check(total >= turns, format_args!("{total} waits, {turns} by the threads alone"))?;
    // The longest wait is no shorter than the average of a thread, and fits in the time.
    let last = buckets.iter().rfind(|one| count(one) > 0).context("a bucket")?;
    let (min, max) = (last["min"].as_u64().unwrap_or(0), last["max"].as_u64().unwrap_or(u64::MAX));
    out.check(
        max >= longest && min <= took,
        format_args!("the longest wait is in {min}..={max} us, not in {longest}..={took}"),
    )
}
