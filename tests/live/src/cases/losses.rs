//! What cannot be kept up with is counted, never dropped without a word.

use anyhow::Result;
use serde_json::Value;

use crate::ctx::{COMM, Ctx};
use crate::features::Feature::{Root, Tracepoint};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("losses/a_million_events", &[Root, Tracepoint], a_million_events),
    Test::new("losses/a_stopped_reader", &[Root, Tracepoint], a_stopped_reader),
    Test::new("losses/a_million_counted", &[Root, Tracepoint], a_million_counted),
];

fn script() -> String {
    format!(
        r#"tracepoint:syscalls:sys_enter_getpgid /comm == "{COMM}"/ {{ printf("%d\n", nsecs); @ = count(); }}"#
    )
}

/// Events printed and events reported as lost.
fn accounted(out: &crate::output::Output) -> Result<(u64, u64)> {
    let records = out.records()?;
    let printed = records.iter().filter(|record| record["type"] == "printf").count() as u64;
    let lost = records.iter().filter(|record| record["type"] == "lost_events");
    Ok((printed, lost.filter_map(|record| record["data"]["events"].as_u64()).sum()))
}

fn a_million_events(ctx: &Ctx) -> Result<()> {
    let sent = ctx.scaled(1_000_000);
    let out =
        ctx.script(&script()).json().workload(&format!("syscalls {sent}")).finish()?.success()?;
    let (printed, lost) = accounted(&out)?;
    out.same("events counted", out.number("@")? as u64, sent)?;
    out.check(printed > 0, "nothing was printed")?;
    out.check(
        printed + lost == sent,
        format_args!("{sent} sent, {printed} printed, {lost} reported as lost"),
    )
}

fn a_stopped_reader(ctx: &Ctx) -> Result<()> {
    // Far more than the ring buffer takes while nobody reads what rbtrace prints.
    let sent = ctx.scaled(400_000);
    let session = ctx.script(&script()).json().args(&["-B", "line"]).hold_output().start()?;
    ctx.start_workload(&["syscalls", &sent.to_string()])?.go()?;
    session.release();
    let out = session.interrupt()?.success()?;
    let (printed, lost) = accounted(&out)?;
    out.check(
        printed + lost == sent,
        format_args!("{sent} sent, {printed} printed, {lost} reported as lost"),
    )?;
    let told = out.stderr.to_lowercase().contains("lost") || out.records()?.iter().any(is_loss);
    out.check(lost == 0 || told, "the loss was not told")
}

fn is_loss(record: &Value) -> bool {
    record["type"] == "lost_events"
}

fn a_million_counted(ctx: &Ctx) -> Result<()> {
    let sent = ctx.scaled(1_000_000);
    let script = format!(
        r#"tracepoint:syscalls:sys_enter_getpgid /comm == "{COMM}"/ {{ @c = count(); @s = sum(2); }}"#
    );
    let out =
        ctx.script(&script).json().workload(&format!("syscalls {sent}")).finish()?.success()?;
    out.same("@c", out.number("@c")? as u64, sent)?;
    out.same("@s", out.number("@s")? as u64, 2 * sent)
}
