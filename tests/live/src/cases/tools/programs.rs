//! Tools that show programs and what is typed.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::rows_of;
use crate::ctx::Ctx;
use crate::sys;

pub fn execsnoop(ctx: &Ctx) -> Result<()> {
    let session = ctx.tool("execsnoop").start()?;
    let mut child =
        Command::new(&ctx.exe).args(["workload", "nothing", "a", "b c", "ç"]).spawn()?;
    let pid = child.id();
    ensure!(child.wait()?.success(), "the workload failed");
    let missing = Command::new("/does/not/exist").arg("at all").spawn();
    ensure!(missing.is_err(), "there is a program /does/not/exist");
    let out = session.interrupt()?.success()?;
    // The columns are time, process, parent, arguments.
    let parent = std::process::id().to_string();
    let arguments = format!("{} workload nothing a b c ç", ctx.exe_name());
    let [row] = rows_of(&out, 1, pid).try_into().map_err(|rows| {
        out.failure(format_args!("one program was started as {pid}, shown are {rows:?}"))
    })?;
    out.same("parent", row[2], &parent)?;
    out.same("arguments", row[3..].join(" "), arguments)?;
    // That a program is not there is found out in the child, whose parent is this one.
    let failed = out.stdout.lines().find(|line| line.ends_with(" /does/not/exist at all"));
    let words = failed.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let words = words.ok_or_else(|| out.failure("what could not be started is not shown"))?;
    out.same("parent of what failed", words[2], &parent)
}

pub fn bashreadline(ctx: &Ctx) -> Result<()> {
    let commands = ["echo birinci", "no-such-command --ç \"a  b\"", ": third", "exit 7"];
    let session = ctx.tool("bashreadline").start()?;
    let mut command = Command::new("/bin/bash");
    command.args(["--norc", "--noprofile", "-i"]).env("HISTFILE", "").env("TERM", "dumb");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    sys::die_with_parent(&mut command);
    let mut shell = command.spawn().context("starting bash")?;
    let pid = shell.id();
    let mut typed = shell.stdin.take().context("the shell's input")?;
    commands.iter().try_for_each(|command| writeln!(typed, "{command}"))?;
    drop(typed);
    ensure!(shell.wait()?.code() == Some(7), "the shell did not come to its last command");
    let out = session.interrupt()?.success()?;
    // The columns are time, process, command; a command is shown as it was typed.
    let begin = format!("{pid:<6} ");
    let shown = out.stdout.lines().filter_map(|line| line.split_once(&begin));
    let shown: Vec<&str> = shown.map(|(_, command)| command).collect();
    out.same("commands", shown, commands.to_vec())
}
