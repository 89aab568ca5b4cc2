//! What rbtrace may do, and what it gives up.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::ctx::Ctx;
use crate::features::Feature::{Root, Uprobe, Xdp};
use crate::net::Hosts;
use crate::runner::Test;
use crate::sys;

pub const TESTS: &[Test] = &[
    Test::new("privileges/two_capabilities_suffice", &[Root, Uprobe], two_suffice),
    Test::new("privileges/packets_of_captures", &[Root], packets_of_captures),
    Test::new("privileges/none_is_left", &[Root, Uprobe], none_is_left),
    Test::new("privileges/what_names_need_is_left", &[Root, Uprobe], names_need_some),
    Test::new("privileges/commands_keep_theirs", &[Root, Uprobe], commands_keep_theirs),
    Test::new("privileges/packets", &[Root, Xdp], packets),
    Test::new("privileges/too_many_files", &[Root], too_many_files),
];

// linux/capability.h
const DAC_READ_SEARCH: u32 = 2;
const NET_ADMIN: u32 = 12;
const NET_RAW: u32 = 13;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;
const CHECKPOINT_RESTORE: u32 = 40;

/// Who is nobody in particular.
const NOBODY: u32 = 65534;

/// Linux 6.1 wants more for user probes.
fn two_suffice(ctx: &Ctx) -> Result<()> {
    let program = for_all(ctx, &ctx.rbtrace, "rbtrace")?;
    let workload = for_all(ctx, &ctx.exe, "workload")?;
    let command = format!("{} workload calls 30", workload.display());
    let script = format!("uprobe:{}:live_value {{ @ = count(); }}", workload.display());
    let run = |capabilities: &[u32]| {
        sys::set_file_capabilities(&program, capabilities)?;
        ctx.script(&script).json().command(&command).by_user(NOBODY, &program).finish()
    };
    let mut out = run(&[BPF, PERFMON])?;
    if ctx.kernel.as_deref() == Some("6.1") {
        out.exited(1)?.complains("without CAP_SYS_ADMIN: run as root")?;
        out = run(&[BPF, PERFMON, SYS_ADMIN])?;
    }
    let out = out.success()?;
    out.same("calls", out.number("@")?, 30)?;
    run(&[BPF])?.exited(1)?.complains("this process lacks CAP_PERFMON to trace")?;
    run(&[PERFMON])?.exited(1)?.complains("this process lacks CAP_BPF to load programs")
}

/// A capture needs no tracing.
fn packets_of_captures(ctx: &Ctx) -> Result<()> {
    let program = for_all(ctx, &ctx.rbtrace, "rbtrace")?;
    let file = ctx.file("packets.pcap", super::captures::pcap(&[vec![0; 60]]))?;
    let run = |capabilities: &[u32]| {
        sys::set_file_capabilities(&program, capabilities)?;
        let script = r#"xdp:lo { @n++; printf("%d\n", @n); return XDP_DROP; }"#;
        let run = ctx.script(script).arg("--test-packets").arg(&file);
        run.by_user(NOBODY, &program).finish()
    };
    run(&[BPF, NET_ADMIN])?.success()?.lines_are(&["1", "packet 1: XDP_DROP", "@n: 1"])?;
    run(&[BPF])?.exited(1)?.complains("this process lacks CAP_NET_ADMIN")
}

/// A copy of a program that everybody may run.
fn for_all(ctx: &Ctx, program: &Path, name: &str) -> Result<PathBuf> {
    let copy = ctx.dir.join(name);
    fs::copy(program, &copy)?;
    for path in [&copy, &ctx.dir] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(copy)
}

/// The permitted capabilities of a process, which limit all others of its.
fn capabilities(pid: u32) -> Result<Vec<u32>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapPrm:")).context("CapPrm")?;
    let set = u64::from_str_radix(line.trim(), 16)?;
    Ok((0..64).filter(|number| set & (1 << number) != 0).collect())
}

/// Runs a script with a workload and returns what rbtrace could do meanwhile.
fn meanwhile(ctx: &Ctx, script: &str, expected: &[&str]) -> Result<Vec<u32>> {
    let workload = ctx.start_workload(&["calls", "30"])?;
    let session = ctx.script(script).start()?;
    let left = capabilities(session.pid())?;
    workload.go()?;
    let out = session.interrupt()?.success()?;
    expected.iter().try_for_each(|line| out.has_line(line))?;
    Ok(left)
}

fn none_is_left(ctx: &Ctx) -> Result<()> {
    let script = r#"uprobe:{exe}:live_value { @[probe] = count(); @last = nsecs; @h = hist(arg0); }
        END { print(@); clear(@); clear(@h); delete(@last); printf("the end\n"); }"#;
    let counted = ctx.fill("@[uprobe:{exe}:live_value]: 30");
    let left = meanwhile(ctx, script, &[&counted, "the end"])?;
    ensure!(left.is_empty(), "there are still {left:?}");
    Ok(())
}

fn names_need_some(ctx: &Ctx) -> Result<()> {
    let script = "uprobe:{exe}:live_value { @[usym(reg(\"ip\"))] = count(); }";
    let left = meanwhile(ctx, script, &["@[live_value]: 30"])?;
    let expected = [DAC_READ_SEARCH, SYS_PTRACE, CHECKPOINT_RESTORE];
    ensure!(left == expected, "there are {left:?}, not {expected:?}");
    Ok(())
}

/// Whoever may not raise the limit is told of it.
fn too_many_files(ctx: &Ctx) -> Result<()> {
    let program = for_all(ctx, &ctx.rbtrace, "rbtrace")?;
    // Debian's kernels want the last one for clocks; none of these raises the limit.
    sys::set_file_capabilities(&program, &[BPF, PERFMON, SYS_ADMIN])?;
    let timers: Vec<String> = (1..=60).map(|seconds| format!("interval:s:{seconds}")).collect();
    let script = format!("{} {{ @ = count(); }}", timers.join(", "));
    let limited = r#"ulimit -n 64; exec "$0" -e "$1""#;
    let run = ctx.rbtrace().by_user(NOBODY, Path::new("/bin/sh")).args(&["-c", limited]);
    let out = run.arg(&program).arg(&script).finish()?.exited(1)?;
    out.complains("this process may not open more files, of which each probe takes two")?;
    out.complains("ulimit -n")
}

fn commands_keep_theirs(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN { system("grep CapEff /proc/self/status"); exit(); }"#;
    let status = fs::read_to_string("/proc/self/status")?;
    let own = status.lines().find(|line| line.starts_with("CapEff")).context("CapEff")?;
    ctx.script(script).args(&["--unsafe"]).finish()?.success()?.lines_are(&[own])
}

/// What each kind of probe about packets takes, and what it keeps for interfaces that come.
fn packets(ctx: &Ctx) -> Result<()> {
    let program = for_all(ctx, &ctx.rbtrace, "rbtrace")?;
    let hosts = Hosts::new()?;
    for (at, needed, name) in [
        ("xdp:rbt1", NET_ADMIN, "CAP_NET_ADMIN to decide on packets"),
        ("tc:rbt1:ingress", NET_ADMIN, "CAP_NET_ADMIN to decide on packets"),
        ("socket:rbt1", NET_RAW, "CAP_NET_RAW to get copies of packets"),
    ] {
        let script = format!("{at} {{ @ = count(); }}");
        sys::set_file_capabilities(&program, &[BPF, needed])?;
        let session = ctx.script(&script).json().by_user(NOBODY, &program).start()?;
        let left = capabilities(session.pid())?;
        hosts.receive(1..=5)?;
        let out = session.interrupt()?.success()?;
        out.same("datagrams", out.number("@")?, 5)?;
        out.same("capabilities", left, vec![needed])?;
        sys::set_file_capabilities(&program, &[BPF])?;
        let out = ctx.script(&script).by_user(NOBODY, &program).finish()?.exited(1)?;
        out.complains(&format!("this process lacks {name}"))?;
    }
    Ok(())
}
