//! The three scripts that rbtrace began with: as they were first written, and built in.

use anyhow::{Context, Result};

use super::tracepoint::files_to_open;
use super::uprobe::own_latencies;
use crate::ctx::{COMM, Ctx};
use crate::features::Feature::{Kprobe, Root, Tracepoint, Uprobe, Xdp};
use crate::runner::Test;
use crate::sys;

pub const TESTS: &[Test] = &[
    Test::new("scripts/seed_do_sys_open", &[Root, Kprobe], seed_do_sys_open),
    Test::new("scripts/do_sys_open", &[Root, Kprobe], do_sys_open),
    Test::new("scripts/do_sys_open_tracepoint", &[Root, Tracepoint], do_sys_open_tracepoint),
    Test::new("scripts/seed_latency", &[Root, Uprobe], seed_latency),
    Test::new("scripts/latency", &[Root, Uprobe], latency),
    Test::new("scripts/demo", &[Root, Uprobe, Tracepoint, Xdp], demo),
];

const SEED_DO_SYS_OPEN: &str =
    "kprobe:do_sys_open {\n    printf(\"%s %s\\n\", comm, str(arg1));\n}\n";

const SEED_LATENCY: &str = r#"uprobe:/usr/bin/myapp:myfunc
{
    @start[tid] = nsecs;
}
uretprobe:/usr/bin/myapp:myfunc
{
    printf("Süre: %d ns\n", nsecs - @start[tid]);
    delete(@start[tid]);
}
"#;

fn seed_do_sys_open(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("do_sys_open.rt", SEED_DO_SYS_OPEN)?;
    let (names, _) = files_to_open(ctx)?;
    let session = ctx.rbtrace().arg(&file).start()?;
    let mut arguments = vec!["open"];
    arguments.extend(names.iter().map(String::as_str));
    ctx.start_workload(&arguments)?.go()?;
    let out = session.interrupt()?.success()?;
    // Where the kernel has inlined the function, the probe sits there and never fires: then the
    // function that took its place must be named. Otherwise the files must be.
    let expected: Vec<String> = names.iter().map(|name| format!("{COMM} {name}")).collect();
    let lines = out.lines();
    let seen: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with(COMM)).collect();
    out.check(
        seen == expected || out.stderr.contains("do_sys_openat2"),
        "neither files nor a successor are named",
    )
}

/// Runs the script `name` and fails unless it names the files that a workload opens.
fn names_files(ctx: &Ctx, run: crate::ctx::Run<'_>) -> Result<()> {
    let (names, _) = files_to_open(ctx)?;
    let session = run.start()?;
    let mut arguments = vec!["open"];
    arguments.extend(names.iter().map(String::as_str));
    ctx.start_workload(&arguments)?.go()?;
    let out = session.interrupt()?.success()?;
    let lines = out.lines();
    let own: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with(COMM)).collect();
    let expected: Vec<String> = names.iter().map(|name| format!("{COMM} {name}")).collect();
    out.same("files opened", own, expected.iter().map(String::as_str).collect())
}

fn do_sys_open(ctx: &Ctx) -> Result<()> {
    names_files(ctx, ctx.rbtrace().arg("do_sys_open"))
}

fn do_sys_open_tracepoint(ctx: &Ctx) -> Result<()> {
    let script =
        r#"tracepoint:syscalls:sys_enter_openat { printf("%s %s\n", comm, str(args.filename)); }"#;
    names_files(ctx, ctx.script(script))
}

/// Fails unless there is a line `Süre: N ns` for each call of `workload`, right as the
/// workload's own clock has it.
fn check_durations(out: &crate::output::Output, calls: usize) -> Result<()> {
    let number = |line: &&str| line.strip_prefix("Süre: ")?.strip_suffix(" ns")?.parse().ok();
    let measured: Vec<u64> = out.lines().iter().filter_map(number).collect();
    out.same("calls", measured.len(), calls)?;
    let shortest = measured.iter().min().copied().unwrap_or(0);
    out.check(shortest >= 5_000_000, format_args!("{shortest} ns for a sleep of 5 ms"))
}

fn seed_latency(ctx: &Ctx) -> Result<()> {
    // The script names /usr/bin/myapp: there is one, for this process and those that it starts.
    let rbtrace = ctx.dir.join("rbtrace");
    std::fs::copy(&ctx.rbtrace, &rbtrace).context("copying rbtrace")?;
    sys::unshare_mounts()?;
    std::fs::create_dir_all("/usr/bin")?;
    sys::mount(c"tmpfs", "/usr/bin").context("hiding /usr/bin")?;
    std::fs::copy(&ctx.exe, "/usr/bin/myapp").context("making /usr/bin/myapp")?;
    let file = ctx.file("latency.rt", SEED_LATENCY)?;
    let run = Ctx {
        rbtrace,
        exe: ctx.exe.clone(),
        programs: ctx.programs.clone(),
        tools: ctx.tools.clone(),
        kernel: ctx.kernel.clone(),
        dir: ctx.dir.clone(),
        ..*ctx
    };
    let out = run
        .rbtrace()
        .arg(&file)
        .command("/usr/bin/myapp workload myfunc 20")
        .finish()?
        .success()?;
    check_durations(&out, 20)
}

fn latency(ctx: &Ctx) -> Result<()> {
    let session = ctx.rbtrace().args(&["latency", &ctx.exe_name(), "myfunc"]).start()?;
    ctx.start_workload(&["myfunc", "20"])?.go()?;
    let out = session.interrupt()?.success()?;
    check_durations(&out, 20)?;
    // And a histogram, whose bucket [4M, 8M) holds 5 ms.
    out.check(out.stdout.contains("[4M, 8M)"), "no histogram with a bucket for 5 ms")?;
    out.check(own_latencies(&out).is_empty(), "the workload is not to be traced by -c here")
}

fn demo(ctx: &Ctx) -> Result<()> {
    let out = ctx.rbtrace().arg("--demo").finish()?.success()?;
    out.check(out.stdout.contains("Süre: "), "no latencies are shown")?;
    out.check(out.stdout.len() > 500, "too little is explained")
}
