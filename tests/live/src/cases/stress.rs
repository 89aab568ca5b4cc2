//! Thousands of probes, attached and detached over and over.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::ctx::Ctx;
use crate::features::Feature::{self, LibcShared, Root, Uprobe};
use crate::kernel::Snapshot;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("stress/attach_and_detach", &[Root, Uprobe, LibcShared], attach_and_detach),
    Test::new("stress/kill", &[Root, Uprobe, LibcShared], kill),
];

/// How often all probes are attached, on a plain machine.
const ROUNDS: u64 = 50;
/// Functions of the program that is probed.
const FUNCTIONS: i64 = 2000;

/// What probes 2000 functions of a program, and 1000 of the kernel where it lets them be probed.
fn script(ctx: &Ctx) -> Result<String> {
    let program = ctx.programs.join("many");
    let kernel = match ctx.has(Feature::Kprobe) {
        true => {
            let out = ctx.rbtrace().args(&["-l", "kprobe:*_show"]).finish()?.success()?;
            let lines = out.lines();
            ensure!(lines.len() >= 1000, "the kernel has only {} such functions", lines.len());
            format!("{} {{ @kernel = count(); }}", lines[..1000].join(", "))
        }
        false => String::new(),
    };
    Ok(format!(
        // Some names are of several functions, one of which is gone after the kernel has started.
        "config = {{ max_probes = 4096; missing_probes = \"ignore\" }} uprobe:{}:many_* {{ @ = count(); }} {kernel}",
        program.display()
    ))
}

/// Events that tracefs has for probes, which outlive who made them.
fn trace_events() -> BTreeSet<String> {
    let events = |name| fs::read_to_string(format!("/sys/kernel/tracing/{name}"));
    let all = ["kprobe_events", "uprobe_events"].map(|name| events(name).unwrap_or_default());
    all.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

fn attach_and_detach(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("all.bt", script(ctx)?)?.to_string_lossy().into_owned();
    let command = format!("{} 3", ctx.programs.join("many").display());
    let (before, events) = (Snapshot::take()?, trace_events());
    for _ in 0..ctx.scaled(ROUNDS) {
        let out = ctx.rbtrace().json().arg(&file).command(&command).finish()?.success()?;
        out.same("calls", out.number("@")?, 3 * FUNCTIONS)?;
    }
    before.nothing_left(ctx.patience)?;
    ensure!(trace_events() == events, "trace events are left behind");
    Ok(())
}

/// Killed at moments that are spread over all that a run does.
fn kill(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("all.bt", script(ctx)?)?.to_string_lossy().into_owned();
    let (before, events) = (Snapshot::take()?, trace_events());
    let rounds = ctx.scaled(ROUNDS);
    for round in 0..rounds {
        let session = ctx.rbtrace().arg(&file).begin()?;
        // Up to half a second; the golden ratio spreads the moments, in no order.
        let part = (round as f64 * 0.618_034).fract();
        std::thread::sleep(Duration::from_millis(500).mul_f64(part) * ctx.patience);
        session.signal(libc::SIGKILL)?;
        session.wait()?;
    }
    before.nothing_left(ctx.patience)?;
    ensure!(trace_events() == events, "trace events are left behind");
    // Nothing is in the way of another run.
    let command = format!("{} 1", ctx.programs.join("many").display());
    let out = ctx.rbtrace().json().arg(&file).command(&command).finish()?.success()?;
    out.same("calls", out.number("@")?, FUNCTIONS)
}
