//! Every tool compiles, and attaches where the machine has what it probes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::expected::{self, Lack, Then};
use crate::ctx::{Ctx, Run};
use crate::output::Output;

/// The number of tools that 0.17 has; newer versions have more.
const LEAST: usize = 38;

pub fn sid_compile(ctx: &Ctx) -> Result<()> {
    each_tool(ctx, "sid", Mode::Compile)
}

pub fn bookworm_compile(ctx: &Ctx) -> Result<()> {
    each_tool(ctx, "bookworm", Mode::Compile)
}

pub fn sid_attach(ctx: &Ctx) -> Result<()> {
    each_tool(ctx, "sid", Mode::Attach)
}

pub fn bookworm_attach(ctx: &Ctx) -> Result<()> {
    each_tool(ctx, "bookworm", Mode::Attach)
}

/// How far a tool is to come.
#[derive(Clone, Copy)]
enum Mode {
    /// To an object.
    Compile,
    /// To probes that are attached.
    Attach,
}

impl Mode {
    fn run<'a>(self, ctx: &'a Ctx, tool: &Path) -> Run<'a> {
        match self {
            Mode::Compile => ctx.rbtrace().arg(tool).args(&["--emit-elf", "/dev/null"]),
            Mode::Attach => ctx.rbtrace().arg(tool).args(&["--dry-run", "-v"]),
        }
    }

    /// Fails unless it came that far. Where `idle` tells, one that allows for missing probes must
    /// have found an event, or none.
    fn check(self, out: Output, idle: Option<bool>) -> Result<()> {
        let out = out.success()?;
        let (Mode::Attach, Some(idle)) = (self, idle) else { return Ok(()) };
        let attached = out.stderr.lines().filter_map(|line| line.strip_prefix("Attached "));
        let events = attached.filter(|name| !name.starts_with("interval:")).count();
        out.check((events == 0) == idle, format_args!("it is attached to {events} events"))
    }
}

/// Tries every tool of a version, and fails with all that went otherwise than expected.
fn each_tool(ctx: &Ctx, version: &str, mode: Mode) -> Result<()> {
    let tools = tools_of(ctx, version)?;
    let mut failures = Vec::new();
    for (name, path) in &tools {
        let outcome = match &ctx.kernel {
            Some(kernel) => match expected::on(kernel, version, name) {
                Some(lack) => lacking(ctx, path, lack, mode),
                None => {
                    let idle = expected::is_idle(kernel, version, name);
                    mode.run(ctx, path).finish().and_then(|out| mode.check(out, Some(idle)))
                }
            },
            None => may_lack(ctx, path, &expected::anywhere(version, name), mode),
        };
        if let Err(error) = outcome {
            failures.push(format!("{version}/{name}: {error:#}"));
        }
    }
    for gone in expected::tools(version).filter(|tool| tools.iter().all(|(name, _)| name != tool)) {
        failures.push(format!("there is no {gone} among the tools of {version}"));
    }
    ensure!(failures.is_empty(), "{} of {}:\n{}", failures.len(), tools.len(), failures.join("\n"));
    Ok(())
}

/// Names and paths of the tools of a version, sorted by name.
fn tools_of(ctx: &Ctx, version: &str) -> Result<Vec<(String, PathBuf)>> {
    let folder = ctx.tools.join(version);
    let mut tools = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
        tools.push((name.unwrap_or_default(), path));
    }
    tools.sort();
    ensure!(tools.len() >= LEAST, "{} tools in {}", tools.len(), folder.display());
    Ok(tools)
}

/// A tool is refused that needs what is not there, which is named. Where that leaves something of
/// it, it runs without, once that is allowed.
fn lacking(ctx: &Ctx, tool: &Path, lack: &Lack, mode: Mode) -> Result<()> {
    let out = mode.run(ctx, tool).finish()?.exited(1)?;
    lack.names.iter().try_for_each(|name| names(&out, name))?;
    match lack.then {
        Then::Runs => {
            let run = mode.run(ctx, tool).env("BPFTRACE_MISSING_PROBES", "ignore");
            mode.check(run.finish()?, Some(false))
        }
        Then::Useless => Ok(()),
    }
}

fn names(out: &Output, name: &str) -> Result<()> {
    out.complains(&format!("`{name}`"))
}

/// On a kernel that nothing is known of, a tool may lack what it lacks on others, and only that.
fn may_lack(ctx: &Ctx, tool: &Path, lacks: &[&str], mode: Mode) -> Result<()> {
    let out = mode.run(ctx, tool).finish()?;
    if out.status.success() || lacks.is_empty() {
        return mode.check(out, None);
    }
    let out = out.exited(1)?;
    let named = lacks.iter().any(|name| names(&out, name).is_ok());
    out.check(named, format_args!("it fails, and not for want of {lacks:?}"))
}
