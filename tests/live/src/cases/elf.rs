//! Objects that were compiled earlier.

use anyhow::Result;

use crate::ctx::Ctx;
use crate::features::Feature::{Root, Tracepoint, Uprobe};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("elf/hello", &[Root], hello),
    Test::new("elf/uprobe", &[Root, Uprobe], uprobe),
    Test::new("elf/tracepoint", &[Root, Tracepoint], tracepoint),
    Test::new("elf/same_bytes", &[], same_bytes),
];

fn emit(ctx: &Ctx, name: &str, script: &str) -> Result<std::path::PathBuf> {
    let path = ctx.dir.join(name);
    let out = ctx.script(script).arg("--emit-elf").arg(&path).finish()?.success()?;
    let bytes = std::fs::read(&path).map_err(|error| out.failure(error))?;
    out.check(bytes.starts_with(b"\x7fELF"), "no ELF object was written")?;
    Ok(path)
}

fn hello(ctx: &Ctx) -> Result<()> {
    let object = emit(
        ctx,
        "hello.o",
        r#"BEGIN { printf("hello %d %s\n", 42, "çok"); @a[1] = 2; exit(); }"#,
    )?;
    ctx.rbtrace().arg(&object).finish()?.success()?.lines_are(&["hello 42 çok", "@a[1]: 2"])
}

fn uprobe(ctx: &Ctx) -> Result<()> {
    let object = emit(
        ctx,
        "uprobe.o",
        "uprobe:{exe}:live_value { @ = count(); @h = hist(arg0); @s = stats(arg0); }",
    )?;
    let out = ctx.rbtrace().arg(&object).json().workload("calls 64").finish()?.success()?;
    out.same("calls", out.number("@")?, 64)?;
    out.same("total", out.number_at("@s", "total")?, (0..64).sum())
}

fn tracepoint(ctx: &Ctx) -> Result<()> {
    let script =
        r#"tracepoint:syscalls:sys_enter_getpgid /comm == "rbt-workload"/ { @[probe] = count(); }"#;
    let object = emit(ctx, "tracepoint.o", script)?;
    let out = ctx.rbtrace().arg(&object).json().workload("syscalls 33").finish()?.success()?;
    out.same("calls", out.number_at("@", "tracepoint:syscalls:sys_enter_getpgid")?, 33)
}

fn same_bytes(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN { @a[pid, comm] = count(); @b = hist(nsecs); printf("%d %s\n", tid, comm); } END { clear(@a); }"#;
    let first = std::fs::read(emit(ctx, "one.o", script)?)?;
    let second = std::fs::read(emit(ctx, "two.o", script)?)?;
    anyhow::ensure!(first == second, "the same script gave two different objects");
    Ok(())
}
