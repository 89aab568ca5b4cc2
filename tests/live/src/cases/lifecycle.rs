//! How rbtrace ends, and that nothing of it stays behind.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::ctx::Ctx;
use crate::features::Feature::{Btf, Root, Tracepoint, Uprobe};
use crate::kernel::Snapshot;
use crate::runner::Test;
use crate::sys;

pub const TESTS: &[Test] = &[
    Test::new("lifecycle/ctrl_c", &[Root, Uprobe], ctrl_c),
    Test::new("lifecycle/sigterm", &[Root, Uprobe], sigterm),
    Test::new("lifecycle/hangup", &[Root, Uprobe], hangup),
    Test::new("lifecycle/ignored_hangup", &[Root, Uprobe], ignored_hangup),
    Test::new("lifecycle/sigusr1_prints_maps", &[Root], sigusr1_prints_maps),
    Test::new("lifecycle/sigkill", &[Root, Uprobe, Tracepoint], sigkill),
    Test::new("lifecycle/sigkill_while_starting", &[Root, Uprobe], sigkill_while_starting),
    Test::new("lifecycle/second_ctrl_c", &[Root], second_ctrl_c),
    Test::new("lifecycle/command_ends", &[Root], command_ends),
    Test::new("lifecycle/exit_is_the_last_run", &[Root, Uprobe], exit_is_the_last_run),
    Test::new("lifecycle/filtered_away", &[Root, Btf], filtered_away),
    Test::new("lifecycle/command_runs_unseen", &[Root], command_runs_unseen),
    Test::new("lifecycle/command_waits_for_probes", &[Root, Uprobe], command_waits_for_probes),
    Test::new("lifecycle/command_not_found", &[Root], command_not_found),
    Test::new("lifecycle/command_is_ended", &[Root], command_is_ended),
    Test::new("lifecycle/process_not_found", &[Root], process_not_found),
    Test::new("lifecycle/closed_output", &[Root], closed_output),
    Test::new("lifecycle/service_manager_is_told", &[Root], service_manager_is_told),
];

const EVERYTHING: &str = "BEGIN { @begun = 1; } uprobe:{exe}:live_value { @calls = count(); }
    interval:ms:10 { @ticks = count(); } profile:hz:50 { @samples = count(); } END { printf(\"the end\\n\"); }";

/// Ends a script that has one of everything by `signal` and looks at what that leaves.
fn ends_cleanly(ctx: &Ctx, signal: i32) -> Result<()> {
    let before = Snapshot::take()?;
    let session = ctx.script(EVERYTHING).start()?;
    ensure!(before.new_programs()? >= 3, "no programs were loaded, so that nothing is proven");
    ctx.start_workload(&["calls", "25"])?.go()?;
    session.signal(signal)?;
    let out = session.wait()?.success()?;
    for line in ["the end", "@begun: 1", "@calls: 25"] {
        out.has_line(line)?;
    }
    before.nothing_left(ctx.patience)
}

fn ctrl_c(ctx: &Ctx) -> Result<()> {
    ends_cleanly(ctx, libc::SIGINT)
}

fn sigterm(ctx: &Ctx) -> Result<()> {
    ends_cleanly(ctx, libc::SIGTERM)
}

fn hangup(ctx: &Ctx) -> Result<()> {
    ends_cleanly(ctx, libc::SIGHUP)
}

/// As under nohup(1). Were the hangup heeded, the signal after it would be the second, which kills.
fn ignored_hangup(ctx: &Ctx) -> Result<()> {
    sys::heed_hangups(false);
    let session = ctx.script(EVERYTHING).start()?;
    session.signal(libc::SIGHUP)?;
    ctx.start_workload(&["calls", "25"])?.go()?;
    session.signal(libc::SIGINT)?;
    session.wait()?.success()?.has_line("@calls: 25")
}

fn sigusr1_prints_maps(ctx: &Ctx) -> Result<()> {
    let script = "BEGIN { @x = 7; } interval:ms:300 { @n++; if (@n > 1) { clear(@x); exit(); } }";
    let session = ctx.script(script).start()?;
    session.signal(libc::SIGUSR1)?;
    let out = session.wait()?.success()?;
    out.has_line("@x: 7")
}

fn sigkill(ctx: &Ctx) -> Result<()> {
    let before = Snapshot::take()?;
    let script =
        format!("{EVERYTHING} tracepoint:syscalls:sys_enter_getpgid {{ @getpgid = count(); }}");
    let session = ctx.script(&script).start()?;
    ensure!(before.new_programs()? >= 4, "no programs were loaded, so that nothing is proven");
    session.signal(libc::SIGKILL)?;
    session.wait()?;
    before.nothing_left(ctx.patience)
}

fn sigkill_while_starting(ctx: &Ctx) -> Result<()> {
    let before = Snapshot::take()?;
    for after in [1, 3, 5, 8, 12, 20, 40] {
        let session = ctx.script(EVERYTHING).begin()?;
        std::thread::sleep(std::time::Duration::from_millis(after) * ctx.patience);
        session.signal(libc::SIGKILL)?;
        session.wait()?;
    }
    before.nothing_left(ctx.patience)
}

fn second_ctrl_c(ctx: &Ctx) -> Result<()> {
    // More text than a pipe holds, and nobody reads it: the first Ctrl-C cannot be done with it.
    let script = r#"BEGIN { @[1] = 1; } END { unroll(20) { print(@); printf("%0200d%0200d%0200d%0200d\n", 1, 2, 3, 4);
        printf("%0999d%0999d%0999d%0999d%0999d%0999d\n", 1, 2, 3, 4, 5, 6); } }"#;
    let mut session = ctx.script(script).hold_output().start()?;
    session.signal(libc::SIGINT)?;
    std::thread::sleep(std::time::Duration::from_millis(300) * ctx.patience);
    // It may have ended: pipes differ. Otherwise this must end it, unread output or not.
    let _ = session.signal(libc::SIGINT);
    session.wait_held().map(drop)
}

fn command_ends(ctx: &Ctx) -> Result<()> {
    let out = ctx
        .script("BEGIN { @ = 1; } END { printf(\"end\\n\"); }")
        .workload("nothing")
        .finish()?
        .success()?;
    out.lines_are(&["end", "@: 1"])
}

/// A block that ends the run does nothing more, however often its probe fires before it is detached.
fn exit_is_the_last_run(ctx: &Ctx) -> Result<()> {
    let script = "uprobe:{exe}:live_value { @ = count(); if (arg0 >= 0) { exit(3); } @after = 1; }";
    let out = ctx.script(script).json().workload("calls 5000").finish()?.exited(3)?;
    out.same("runs", out.number("@")?, 1)?;
    out.check(!out.stdout.contains("@after"), "the block went on behind exit()")
}

/// Programs whose probes are all filtered away are not even loaded, whatever kernels say of them.
fn filtered_away(ctx: &Ctx) -> Result<()> {
    let script =
        "fentry:vfs_read { @ = 1; } iter:task { @ = 2; } interval:ms:1 { print(3); exit(); }";
    let out = ctx.script(script).args(&["--probe-filter", "^interval", "--stats"]).finish()?;
    let out = out.success()?;
    out.lines_are(&["3"])?;
    out.complains("interval:ms:1")?;
    out.check(!out.stderr.contains("fentry"), "the table names what is not loaded")
}

fn command_runs_unseen(ctx: &Ctx) -> Result<()> {
    let out = ctx.script("BEGIN { @ = 1; }").command("/bin/sh -c 'echo it ran'").finish()?;
    out.success()?.has_line("it ran")
}

fn command_waits_for_probes(ctx: &Ctx) -> Result<()> {
    // The very first thing that the command does is seen.
    for _ in 0..3 {
        let out = ctx
            .script("uprobe:{exe}:live_value { @ = count(); }")
            .json()
            .workload("calls 1")
            .finish()?
            .success()?;
        out.same("calls", out.number("@")?, 1)?;
    }
    Ok(())
}

fn command_not_found(ctx: &Ctx) -> Result<()> {
    let out = ctx.script("BEGIN { @ = 1; }").command("/no/such/command").finish()?.exited(1)?;
    out.complains("/no/such/command")
}

fn command_is_ended(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN { printf("%d\n", cpid); } interval:ms:50 { exit(); }"#;
    let out = ctx.script(script).workload("sleep 1 100000").finish()?.success()?;
    let pid: i32 = out.lines().first().and_then(|line| line.parse().ok()).unwrap_or(0);
    out.check(pid > 0, "cpid is not a process id")?;
    let gone = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.contains(") Z"));
    out.check(gone, format_args!("the command, {pid}, still runs"))
}

fn process_not_found(ctx: &Ctx) -> Result<()> {
    let out = ctx.script("interval:s:1 { @ = 1; }").args(&["-p", "4194303"]).finish()?.exited(1)?;
    out.complains("4194303")
}

fn closed_output(ctx: &Ctx) -> Result<()> {
    let before = Snapshot::take()?;
    let session = ctx.script("interval:ms:5 { printf(\"line\\n\"); }").start()?;
    session.close_output()?;
    before.nothing_left(ctx.patience)
}

fn service_manager_is_told(ctx: &Ctx) -> Result<()> {
    let name = format!("rbtrace-live-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    socket.set_read_timeout(Some(Duration::from_secs(60) * ctx.patience))?;
    let mut command = Command::new(&ctx.rbtrace);
    command.args(["-q", "-e", "interval:hz:1 { }"]).env("NOTIFY_SOCKET", format!("@{name}"));
    sys::die_with_parent(&mut command);
    let mut rbtrace = command.spawn()?;
    let mut buffer = [0; 64];
    let ready = socket.recv(&mut buffer)?;
    ensure!(buffer[..ready] == *b"READY=1\n", "{:?}", buffer[..ready].escape_ascii());
    sys::kill(rbtrace.id() as i32, libc::SIGINT)?;
    let stopping = socket.recv(&mut buffer)?;
    ensure!(buffer[..stopping] == *b"STOPPING=1\n", "{:?}", buffer[..stopping].escape_ascii());
    ensure!(rbtrace.wait()?.success(), "rbtrace ended with a failure");
    Ok(())
}
