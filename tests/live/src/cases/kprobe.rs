//! Functions of the kernel.

use anyhow::{Result, bail};

use super::tracepoint::files_to_open;
use crate::ctx::{COMM, Ctx};
use crate::features::Feature::{Kprobe, KprobeMulti, NoKprobe, Root};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("kprobe/files_opened", &[Root, Kprobe], files_opened),
    Test::new("kprobe/exact_count", &[Root, Kprobe], exact_count),
    Test::new("kprobe/return_value", &[Root, Kprobe], return_value),
    Test::new("kprobe/offset", &[Root, Kprobe], offset),
    Test::new("kprobe/wildcard", &[Root, Kprobe], wildcard),
    Test::new("kprobe/wide_wildcard", &[Root, Kprobe, KprobeMulti], wide_wildcard),
    Test::new("kprobe/one_process", &[Root, Kprobe], one_process),
    Test::new("kprobe/latency", &[Root, Kprobe], latency),
    Test::new("kprobe/listing", &[Root, Kprobe], listing),
    Test::new("kprobe/unknown_function", &[Root, Kprobe], unknown_function),
    Test::new("kprobe/kernel_without", &[Root, NoKprobe], kernel_without),
];

/// The kernel's function for getpgid(2).
const GETPGID: &str =
    if cfg!(target_arch = "x86_64") { "__x64_sys_getpgid" } else { "__arm64_sys_getpgid" };

fn files_opened(ctx: &Ctx) -> Result<()> {
    let (names, workload) = files_to_open(ctx)?;
    // Nothing says in which address space arg1 lies: that is found out at run time.
    let script = format!(
        r#"kprobe:do_sys_openat2 /comm == "{COMM}"/ {{ printf("%s %s\n", comm, str(arg1)); }}"#
    );
    let out = ctx.script(&script).workload(&workload).finish()?.success()?;
    let expected: Vec<String> = names.iter().map(|name| format!("{COMM} {name}")).collect();
    out.lines_are(&expected)
}

fn exact_count(ctx: &Ctx) -> Result<()> {
    let script = format!(
        r#"kprobe:{GETPGID} /comm == "{COMM}"/ {{ @ = count(); @f[func] = count(); @p[probe] = count(); }}"#
    );
    let out = ctx.script(&script).json().workload("syscalls 2000").finish()?.success()?;
    out.same("calls", out.number("@")?, 2000)?;
    out.same("calls by function", out.number_at("@f", GETPGID)?, 2000)?;
    out.same("calls by probe", out.number_at("@p", &format!("kprobe:{GETPGID}"))?, 2000)
}

fn return_value(ctx: &Ctx) -> Result<()> {
    let (names, workload) = files_to_open(ctx)?;
    let script = format!(
        r#"kretprobe:do_sys_openat2 /comm == "{COMM}"/ {{ printf("%d\n", (int32)retval > 0 ? 1 : (int32)retval); }}"#
    );
    let out = ctx.script(&script).workload(&workload).finish()?.success()?;
    let result = |name: &String| {
        if name == "/does/not/exist" { -libc::ENOENT } else { 1 }
    };
    let expected: Vec<String> = names.iter().map(|name| result(name).to_string()).collect();
    out.lines_are(&expected)
}

fn offset(ctx: &Ctx) -> Result<()> {
    // Where the function's first instructions end depends on how the kernel was built: after
    // endbr64 (4 bytes), after the call to the tracer (5), after both (9).
    let mut last = None;
    for offset in [4, 5, 9] {
        let script = format!(r#"kprobe:{GETPGID}+{offset} /comm == "{COMM}"/ {{ @ = count(); }}"#);
        let out = ctx.script(&script).json().workload("syscalls 300").finish()?;
        if out.status.success() {
            return out.same("calls", out.number("@")?, 300);
        }
        last = Some(out);
    }
    match last {
        Some(out) => Err(out.failure("no offset could be probed")),
        None => bail!("no offset was tried"),
    }
}

fn wildcard(ctx: &Ctx) -> Result<()> {
    let script = format!(r#"kprobe:{GETPGID}* /comm == "{COMM}"/ {{ @[func] = count(); }}"#);
    let out = ctx.script(&script).json().workload("syscalls 100").finish()?.success()?;
    out.same("calls", out.number_at("@", GETPGID)?, 100)
}

fn wide_wildcard(ctx: &Ctx) -> Result<()> {
    let script = format!(
        r#"kprobe:vfs_* /comm == "{COMM}"/ {{ @[func] = count(); }} kprobe:{GETPGID} /comm == "{COMM}"/ {{ @n = count(); }}"#
    );
    let (_, workload) = files_to_open(ctx)?;
    let out = ctx.script(&script).json().workload(&workload).finish()?.success()?;
    // Four of the five files are there.
    out.same("vfs_open", out.number_at("@", "vfs_open")?, 4)
}

fn one_process(ctx: &Ctx) -> Result<()> {
    let (traced, other) =
        (ctx.start_workload(&["syscalls", "40"])?, ctx.start_workload(&["syscalls", "70"])?);
    let script = format!("kprobe:{GETPGID} /pid == {}/ {{ @[pid] = count(); }}", traced.pid());
    let key = traced.pid().to_string();
    let session = ctx.script(&script).json().start()?;
    other.go()?;
    traced.go()?;
    let out = session.interrupt()?.success()?;
    out.same("calls", out.number_at("@", &key)?, 40)
}

fn latency(ctx: &Ctx) -> Result<()> {
    let function = if cfg!(target_arch = "x86_64") {
        "__x64_sys_clock_nanosleep"
    } else {
        "__arm64_sys_clock_nanosleep"
    };
    let script = format!(
        r#"kprobe:{function} /comm == "{COMM}"/ {{ @start[tid] = nsecs; }}
        kretprobe:{function} /@start[tid]/ {{ printf("%d\n", nsecs - @start[tid]); delete(@start, tid); }}"#
    );
    let out = ctx.script(&script).workload("sleep 10 5").finish()?.success()?;
    let measured: Vec<u64> = out.lines().iter().filter_map(|line| line.parse().ok()).collect();
    super::uprobe::check_latencies(&out, &measured)
}

fn listing(ctx: &Ctx) -> Result<()> {
    let out = ctx.rbtrace().args(&["-l", "kprobe:do_sys_open*"]).finish()?.success()?;
    out.has_line("kprobe:do_sys_openat2")
}

fn unknown_function(ctx: &Ctx) -> Result<()> {
    let out = ctx.script("kprobe:do_sys_opneat2 { @ = count(); }").finish()?.exited(1)?;
    out.complains("do_sys_openat2")
}

fn kernel_without(ctx: &Ctx) -> Result<()> {
    let out = ctx.script("kprobe:do_sys_openat2 { @ = count(); }").finish()?.exited(1)?;
    out.complains("kprobe")?;
    // A tracepoint that serves.
    out.complains("tracepoint:syscalls:sys_enter_openat")?;
    // Programs for several probes are loaded twice there; the second time, too, all maps are.
    let script = "kprobe:vfs_read, kprobe:vfs_write { @[tid] = hist(1); }";
    let out = ctx.script(script).finish()?.exited(1)?;
    out.complains("this kernel has no kprobes")
}
