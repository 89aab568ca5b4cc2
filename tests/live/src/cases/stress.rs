//! Thousands of probes, attached and detached over and over; a few where the kernel attaches one after
//! another, which takes it long.

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

/// How often all probes are attached, on a plain machine and on one without the means to attach many
/// at once or as slow as a virtual machine's.
const ROUNDS: u64 = 50;
const FEW_ROUNDS: u64 = 3;

/// The functions of the program that are probed, by pattern and number, and how many of the kernel.
fn functions(ctx: &Ctx) -> (&'static str, i64, usize) {
    let at_once = ctx.has(Feature::KprobeMulti) || !ctx.has(Feature::Kprobe);
    if at_once { ("many_*", 2000, 1000) } else { ("many_a0*", 100, 50) }
}

/// What probes functions of a program, and of the kernel where it lets them be probed.
fn script(ctx: &Ctx) -> Result<String> {
    let program = ctx.programs.join("many");
    let (pattern, _, of_kernel) = functions(ctx);
    let kernel = match ctx.has(Feature::Kprobe) {
        true => {
            let out = ctx.rbtrace().args(&["-l", "kprobe:*_show"]).finish()?.success()?;
            let lines = out.lines();
            ensure!(lines.len() >= of_kernel, "the kernel has only {} of them", lines.len());
            format!("{} {{ @kernel = count(); }}", lines[..of_kernel].join(", "))
        }
        false => String::new(),
    };
    Ok(format!(
        // Some names are of several functions, one of which is gone after the kernel has started.
        "config = {{ max_probes = 4096; missing_probes = \"ignore\" }} uprobe:{}:{pattern} {{ @ = count(); }} {kernel}",
        program.display()
    ))
}

fn rounds(ctx: &Ctx) -> u64 {
    if ctx.patience == 1 { ROUNDS } else { FEW_ROUNDS }
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
    for _ in 0..rounds(ctx) {
        let out = ctx.rbtrace().json().arg(&file).command(&command).finish()?.success()?;
        out.same("calls", out.number("@")?, 3 * functions(ctx).1)?;
    }
    before.nothing_left(ctx.patience)?;
    ensure!(trace_events() == events, "trace events are left behind");
    Ok(())
}

/// Killed at moments that are spread over all that a run does.
fn kill(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("all.bt", script(ctx)?)?.to_string_lossy().into_owned();
    let (before, events) = (Snapshot::take()?, trace_events());
    for round in 0..rounds(ctx) {
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
    out.same("calls", out.number("@")?, functions(ctx).1)
}
