//! The kernel's static tracepoints.

use anyhow::Result;

use crate::ctx::{COMM, Ctx};
use crate::features::Feature::{Root, Tracepoint};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("tracepoint/files_opened", &[Root, Tracepoint], files_opened),
    Test::new("tracepoint/fields", &[Root, Tracepoint], fields),
    Test::new("tracepoint/exact_count", &[Root, Tracepoint], exact_count),
    Test::new("tracepoint/wildcard", &[Root, Tracepoint], wildcard),
    Test::new("tracepoint/character_array", &[Root, Tracepoint], character_array),
    Test::new("tracepoint/pair_measures_time", &[Root, Tracepoint], pair_measures_time),
    Test::new("tracepoint/listing", &[Root, Tracepoint], listing),
    Test::new("tracepoint/listing_fields", &[Root, Tracepoint], listing_fields),
];

/// Names of files that are there and one of a file that is not, and a workload that opens them.
pub fn files_to_open(ctx: &Ctx) -> Result<(Vec<String>, String)> {
    let mut names = Vec::new();
    for name in ["birinci", "ikinci", "dosya-ç.txt"] {
        names.push(ctx.file(name, "")?.to_string_lossy().into_owned());
    }
    names.push("/does/not/exist".to_owned());
    names.push(names[0].clone());
    let workload = format!("open {}", names.join(" "));
    Ok((names, workload))
}

fn files_opened(ctx: &Ctx) -> Result<()> {
    let (names, workload) = files_to_open(ctx)?;
    let script = format!(
        r#"tracepoint:syscalls:sys_enter_openat /comm == "{COMM}"/ {{ printf("%s %s\n", comm, str(args.filename)); }}"#
    );
    let out = ctx.script(&script).workload(&workload).finish()?.success()?;
    let expected: Vec<String> = names.iter().map(|name| format!("{COMM} {name}")).collect();
    out.lines_are(&expected)
}

fn fields(ctx: &Ctx) -> Result<()> {
    let (names, workload) = files_to_open(ctx)?;
    let script = format!(
        r#"tracepoint:syscalls:sys_enter_openat /comm == "{COMM}"/ {{ @name[tid] = str(args.filename); @dir[tid] = args.dfd; }}
        tracepoint:syscalls:sys_exit_openat /comm == "{COMM}"/ {{
            printf("%s %d %d\n", @name[tid], @dir[tid], args.ret > 0 ? 1 : args.ret); }}
        END {{ clear(@name); clear(@dir); }}"#
    );
    let out = ctx.script(&script).workload(&workload).finish()?.success()?;
    let result = |name: &String| {
        if name == "/does/not/exist" { -libc::ENOENT } else { 1 }
    };
    let expected: Vec<String> =
        names.iter().map(|name| format!("{name} {} {}", libc::AT_FDCWD, result(name))).collect();
    out.lines_are(&expected)
}

fn exact_count(ctx: &Ctx) -> Result<()> {
    let script = format!(
        r#"tracepoint:raw_syscalls:sys_enter /comm == "{COMM}" && args.id == {}/ {{ @ = count(); }}
        tracepoint:syscalls:sys_enter_getpgid /comm == "{COMM}"/ {{ @named = count(); }}"#,
        libc::SYS_getpgid
    );
    let out = ctx.script(&script).json().workload("syscalls 5000").finish()?.success()?;
    out.same("raw_syscalls:sys_enter", out.number("@")?, 5000)?;
    out.same("syscalls:sys_enter_getpgid", out.number("@named")?, 5000)
}

fn wildcard(ctx: &Ctx) -> Result<()> {
    let script = format!(
        r#"tracepoint:syscalls:sys_enter_getpgi* /comm == "{COMM}"/ {{ @[probe] = count(); }}"#
    );
    let out = ctx.script(&script).json().workload("syscalls 12").finish()?.success()?;
    out.same("calls", out.number_at("@", "tracepoint:syscalls:sys_enter_getpgid")?, 12)
}

fn character_array(ctx: &Ctx) -> Result<()> {
    let script = format!(
        r#"tracepoint:sched:sched_process_exit /str(args.comm) == "{COMM}"/ {{ printf("%s %d\n", args.comm, args.pid == tid); }}"#
    );
    let session = ctx.script(&script).start()?;
    ctx.start_workload(&["nothing"])?.go()?;
    session.interrupt()?.success()?.has_line(&format!("{COMM} 1"))
}

fn pair_measures_time(ctx: &Ctx) -> Result<()> {
    let script = format!(
        r#"tracepoint:syscalls:sys_enter_clock_nanosleep /comm == "{COMM}"/ {{ @start[tid] = nsecs; }}
        tracepoint:syscalls:sys_exit_clock_nanosleep /@start[tid]/ {{
            printf("%d\n", nsecs - @start[tid]); delete(@start, tid); }}"#
    );
    let out = ctx.script(&script).workload("sleep 10 5").finish()?.success()?;
    let measured: Vec<u64> = out.lines().iter().filter_map(|line| line.parse().ok()).collect();
    super::uprobe::check_latencies(&out, &measured)
}

fn listing(ctx: &Ctx) -> Result<()> {
    let out =
        ctx.rbtrace().args(&["-l", "tracepoint:syscalls:sys_enter_open*"]).finish()?.success()?;
    out.has_line("tracepoint:syscalls:sys_enter_openat")?;
    let stray = out
        .lines()
        .into_iter()
        .find(|line| !line.starts_with("tracepoint:syscalls:sys_enter_open"));
    out.same("a line that does not match", stray, None)
}

fn listing_fields(ctx: &Ctx) -> Result<()> {
    let out =
        ctx.rbtrace().args(&["-lv", "tracepoint:syscalls:sys_enter_openat"]).finish()?.success()?;
    out.has_line("tracepoint:syscalls:sys_enter_openat")?;
    out.has_line("    const char * filename")?;
    out.has_line("    int dfd")
}
