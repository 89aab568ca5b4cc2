//! What happens in one cgroup, and nothing else.

use anyhow::Result;

use crate::cgroup::Cgroup;
use crate::ctx::{Ctx, Workload, go_together};
use crate::features::Feature::{Cgroup as Cgroups, Kprobe, Root, Tracepoint, Uprobe};
use crate::output::Output;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("cgroup/tracepoints", &[Root, Cgroups, Tracepoint], tracepoints),
    Test::new("cgroup/kernel_functions", &[Root, Cgroups, Kprobe], kernel_functions),
    Test::new("cgroup/user_functions", &[Root, Cgroups, Uprobe], user_functions),
    Test::new("cgroup/containers", &[Root, Cgroups, Uprobe], containers),
    Test::new("cgroup/objects", &[Root, Cgroups, Uprobe], objects),
    Test::new("cgroup/what_is_none", &[Root, Cgroups], what_is_none),
];

/// Runs a script with these arguments while one workload runs in a cgroup, one in a cgroup below it
/// and one beside them. Returns the output, and the ids of those three.
fn with_three(
    ctx: &Ctx,
    script: &str,
    args: &[&str],
    cgroups: [&Cgroup; 2],
    work: &str,
) -> Result<(Output, [u32; 3])> {
    let start = |times: &str| ctx.start_workload(&[work, times]);
    let workloads = [start("30")?, start("40")?, start("50")?];
    let pids = [0, 1, 2].map(|n: usize| workloads[n].pid());
    for (cgroup, pid) in cgroups.iter().zip(pids) {
        cgroup.take(pid)?;
    }
    let session = ctx.script(script).json().args(args).start()?;
    go_together(Vec::<Workload>::from(workloads))?;
    Ok((session.interrupt()?.success()?, pids))
}

/// Fails unless the two processes in the cgroup were counted right, and no other was.
fn are_counted(out: &Output, pids: [u32; 3]) -> Result<()> {
    for (pid, times) in pids.iter().zip([30, 40]) {
        out.same("times", out.number_at("@", &pid.to_string())?, times)?;
    }
    out.same("processes", out.map("@")?.as_object().map(serde_json::Map::len), Some(2))
}

fn tracepoints(ctx: &Ctx) -> Result<()> {
    let outer = Cgroup::new("tracepoints")?;
    let inner = outer.below("inner")?;
    let script = "tracepoint:syscalls:sys_enter_getpgid { @[pid] = count(); }";
    let args = ["--cgroup", &outer.folder().to_string_lossy()];
    let (out, pids) = with_three(ctx, script, &args, [&outer, &inner], "syscalls")?;
    are_counted(&out, pids)
}

fn kernel_functions(ctx: &Ctx) -> Result<()> {
    let outer = Cgroup::new("functions")?;
    let inner = outer.below("inner")?;
    let script = "kprobe:__x64_sys_getpgid /pid != 0/ { @[pid] = count(); }";
    let (out, pids) =
        with_three(ctx, script, &["--cgroup", &outer.path()?], [&outer, &inner], "syscalls")?;
    are_counted(&out, pids)
}

fn user_functions(ctx: &Ctx) -> Result<()> {
    let outer = Cgroup::new("user")?;
    let inner = outer.below("inner")?;
    let script = "uprobe:{exe}:live_value { @[pid] = count(); }";
    let (out, pids) =
        with_three(ctx, script, &["--cgroup", &outer.path()?], [&outer, &inner], "calls")?;
    are_counted(&out, pids)
}

fn containers(ctx: &Ctx) -> Result<()> {
    let id = "5eed".repeat(16);
    let outer = Cgroup::new("containers")?;
    let container = outer.below(&format!("docker-{id}.scope"))?;
    let inner = container.below("init")?;
    let script = "uprobe:{exe}:live_value { @[pid] = count(); }";
    let args = ["--container", &id[..12]];
    let (out, pids) = with_three(ctx, script, &args, [&container, &inner], "calls")?;
    are_counted(&out, pids)?;
    let wrong = ctx.script(script).args(&["--container", "feed"]).finish()?.exited(1)?;
    wrong.complains(&format!("there is no container feed; there is {id}"))?;
    let twin = outer.below(&format!("libpod-{}.scope", id.replace("5eed5eed", "5eed0000")))?;
    let several = ctx.script(script).args(&["--container", "5eed"]).finish()?.exited(1)?;
    several.complains("5eed is the beginning of several containers' ids: 5eed0000")?;
    drop(twin);
    Ok(())
}

/// An object that heeds a cgroup is told which when it runs.
fn objects(ctx: &Ctx) -> Result<()> {
    let outer = Cgroup::new("objects")?;
    let inner = outer.below("inner")?;
    let object = ctx.file("calls.o", "")?.to_string_lossy().into_owned();
    let script = "uprobe:{exe}:live_value { @[pid] = count(); }";
    let path = outer.path()?;
    let emit = ["--cgroup", &path, "--emit-elf", &object];
    ctx.script(script).args(&emit).finish()?.success()?;
    let alone = ctx.rbtrace().arg(&object).finish()?.exited(1)?;
    alone.complains("this object is for one cgroup: name it with --cgroup or --container")?;
    let workloads = [ctx.start_workload(&["calls", "30"])?, ctx.start_workload(&["calls", "50"])?];
    let pid = workloads[0].pid();
    inner.take(pid)?;
    let session = ctx.rbtrace().json().args(&["--cgroup", &path, &object]).start()?;
    go_together(Vec::from(workloads))?;
    let out = session.interrupt()?.success()?;
    out.same("calls", out.number_at("@", &pid.to_string())?, 30)?;
    out.same("processes", out.map("@")?.as_object().map(serde_json::Map::len), Some(1))
}

fn what_is_none(ctx: &Ctx) -> Result<()> {
    let cgroup = Cgroup::new("neighbour")?;
    let script = "interval:s:1 { exit(); }";
    let path = cgroup.path()?;
    let near = format!("{path}x");
    let out = ctx.script(script).args(&["--cgroup", &near]).finish()?.exited(1)?;
    out.complains(&format!("there is no cgroup {near}; there is {}", &path[1..]))?;
    let out = ctx.script(script).args(&["--cgroup", "/proc"]).finish()?.exited(1)?;
    out.complains("/proc is no cgroup of version 2; those are below ")
}
