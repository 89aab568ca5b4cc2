//! Every tool compiles, and attaches where the machine has what it probes.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::expected::{self, Lack, Then};
use crate::ctx::{Ctx, Run};
use crate::output::Output;

/// The number of tools that 0.17 has; newer versions have more.
const LEAST: usize = 38;

pub fn sid_compile(ctx: &Ctx) -> Result<()> {
    each_tool(ctx, "sid", |run| run.arg("--emit-elf").arg("/dev/null"))
}

pub fn bookworm_compile(ctx: &Ctx) -> Result<()> {
    each_tool(ctx, "bookworm", |run| run.arg("--emit-elf").arg("/dev/null"))
}

pub fn sid_attach(ctx: &Ctx) -> Result<()> {
    each_tool(ctx, "sid", |run| run.arg("--dry-run"))
}

pub fn bookworm_attach(ctx: &Ctx) -> Result<()> {
    each_tool(ctx, "bookworm", |run| run.arg("--dry-run"))
}

/// Tries every tool of a version, and fails with all that went otherwise than expected.
fn each_tool(ctx: &Ctx, version: &str, mode: fn(Run<'_>) -> Run<'_>) -> Result<()> {
    let tools = tools_of(ctx, version)?;
    let mut failures = Vec::new();
    for (name, path) in &tools {
        let run = || mode(ctx.rbtrace().arg(path));
        let outcome = match &ctx.kernel {
            Some(kernel) => match expected::on(kernel, version, name) {
                Some(lack) => lacking(&run, lack),
                None => run().finish().and_then(Output::success).map(drop),
            },
            None => run().finish().and_then(|out| may_lack(out, expected::anywhere(version, name))),
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
fn lacking<'a>(run: &impl Fn() -> Run<'a>, lack: &Lack) -> Result<()> {
    let out = run().finish()?.exited(1)?;
    lack.names.iter().try_for_each(|name| names(&out, name))?;
    if lack.then == Then::Runs {
        run().env("BPFTRACE_MISSING_PROBES", "ignore").finish()?.success()?;
    }
    Ok(())
}

fn names(out: &Output, name: &str) -> Result<()> {
    out.complains(&format!("`{name}`"))
}

/// On a kernel that nothing is known of, a tool may lack what it lacks on others, and only that.
fn may_lack(out: Output, lacks: Vec<&str>) -> Result<()> {
    if out.status.success() || lacks.is_empty() {
        return out.success().map(drop);
    }
    let out = out.exited(1)?;
    let named = lacks.iter().any(|name| names(&out, name).is_ok());
    out.check(named, format_args!("it fails, and not for want of {lacks:?}"))
}
