//! Functions of user programs: where they are found and what is seen of them.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::ctx::Ctx;
use crate::features::Feature::{LibcShared, Root, Uprobe};
use crate::output::Output;
use crate::runner::Test;
use crate::targets;

pub const TESTS: &[Test] = &[
    Test::new("uprobe/symbol", &[Root, Uprobe], symbol),
    Test::new("uprobe/arguments", &[Root, Uprobe], arguments),
    Test::new("uprobe/return_value", &[Root, Uprobe], return_value),
    Test::new("uprobe/strings", &[Root, Uprobe], strings),
    Test::new("uprobe/long_string_is_cut", &[Root, Uprobe], long_string_is_cut),
    Test::new("uprobe/symbol_and_offset", &[Root, Uprobe], symbol_and_offset),
    Test::new("uprobe/absolute_address", &[Root, Uprobe], absolute_address),
    Test::new("uprobe/wildcard", &[Root, Uprobe], wildcard),
    Test::new("uprobe/function_name", &[Root, Uprobe], function_name),
    Test::new("uprobe/library_by_name", &[Root, Uprobe, LibcShared], library_by_name),
    Test::new("uprobe/library_in_an_archive", &[Root, Uprobe, LibcShared], library_in_an_archive),
    Test::new("uprobe/one_process", &[Root, Uprobe], one_process),
    Test::new("uprobe/several_attach_points", &[Root, Uprobe], several_attach_points),
    Test::new("uprobe/latency", &[Root, Uprobe], latency),
    Test::new("uprobe/latency_histogram", &[Root, Uprobe], latency_histogram),
    Test::new("uprobe/listing", &[Root, Uprobe], listing),
];

fn symbol(ctx: &Ctx) -> Result<()> {
    let out = ctx.script("uprobe:{exe}:live_value { @ = count(); }").json().workload("calls 1234");
    let out = out.finish()?.success()?;
    out.same("calls", out.number("@")?, 1234)
}

fn arguments(ctx: &Ctx) -> Result<()> {
    let script = r#"uprobe:{exe}:live_args { printf("%d %d %d %d %d %llu\n", arg0, arg1, arg2, arg3, arg4, arg5); }"#;
    let numbers = format!("1 22 333 4444 55555 {}", u64::MAX >> 1);
    let out = ctx.script(script).workload(&format!("args {numbers}")).finish()?.success()?;
    out.lines_are(&[numbers])
}

fn return_value(ctx: &Ctx) -> Result<()> {
    let values = ctx.values(&[3, -4, 0, 1 << 40])?;
    let script = r#"uretprobe:{exe}:live_value { printf("%lld\n", (int64)retval); }"#;
    let out =
        ctx.script(script).workload(&format!("values {}", values.display())).finish()?.success()?;
    out.lines_are(&["6", "-8", "0", &(2_i64 << 40).to_string()])
}

fn strings(ctx: &Ctx) -> Result<()> {
    let script = r#"uprobe:{exe}:live_string { printf("[%s]\n", str(arg0)); @[str(arg0)] = count(); @n = str(arg0, 3); }"#;
    let out = ctx.script(script).workload("strings one iki çğşü one").finish()?.success()?;
    out.check(out.stdout.contains("[one]\n[iki]\n[çğşü]\n[one]\n"), "the strings differ")?;
    for line in ["@[one]: 2", "@[iki]: 1", "@[çğşü]: 1"] {
        out.has_line(line)?;
    }
    Ok(())
}

fn long_string_is_cut(ctx: &Ctx) -> Result<()> {
    let long = "x".repeat(3000);
    let script = r#"uprobe:{exe}:live_string { printf("%s\n", str(arg0)); }"#;
    let out = ctx.script(script).workload(&format!("strings {long}")).finish()?.success()?;
    let lines = out.lines();
    let line = lines.first().context("a line")?;
    let kept = line.chars().take_while(|letter| *letter == 'x').count();
    out.check((1000..3000).contains(&kept), format_args!("{kept} letters of the string were kept"))
}

fn symbol_and_offset(ctx: &Ctx) -> Result<()> {
    let offset = if cfg!(target_arch = "x86_64") { 3 } else { 4 };
    let script = format!("uprobe:{{exe}}:live_offsets+{offset} {{ @ = count(); }}");
    let out = ctx.script(&script).json().workload("offsets 321").finish()?.success()?;
    out.same("calls", out.number("@")?, 321)
}

fn absolute_address(ctx: &Ctx) -> Result<()> {
    let address = targets::offsets_address().context("the address of a function of our own")?;
    let script = format!("uprobe:{{exe}}:{address:#x} {{ @ = count(); }}");
    let out = ctx.script(&script).json().workload("offsets 77").finish()?.success()?;
    out.same("calls", out.number("@")?, 77)
}

fn wildcard(ctx: &Ctx) -> Result<()> {
    let out = ctx.script("uprobe:{exe}:live_wild_* { @[probe] = count(); }").json();
    let out = out.workload("wild 5 7 11").finish()?.success()?;
    for (name, calls) in [("live_wild_one", 5), ("live_wild_two", 7), ("live_wild_three", 11)] {
        let probe = format!("uprobe:{}:{name}", ctx.exe_name());
        out.same(name, out.number_at("@", &probe)?, calls)?;
    }
    out.same("probes", out.map("@")?.as_object().map(serde_json::Map::len), Some(3))
}

fn function_name(ctx: &Ctx) -> Result<()> {
    // The process is still there when its address is looked up.
    let script = r#"uprobe:{exe}:live_sl* { printf("%s\n", func); }"#;
    let out = ctx.script(script).workload("sleep 1 500").finish()?.success()?;
    out.lines_are(&["live_sleep"])
}

fn library_by_name(ctx: &Ctx) -> Result<()> {
    let program = ctx.programs.join("libc_calls");
    let out = ctx.script(r#"uprobe:libc:getppid /comm == "libc_calls"/ { @ = count(); }"#).json();
    let out = out.command(&format!("{} 55", program.display())).finish()?.success()?;
    out.same("calls", out.number("@")?, 55)
}

/// A library that is mapped from a ZIP archive, where it is stored as it is.
fn library_in_an_archive(ctx: &Ctx) -> Result<()> {
    let program = ctx.programs.join("archived");
    let path = ctx.dir.join("app.zip");
    let start = archive(&path, "lib/one.so", &std::fs::read(&program)?)?;
    let (path, program) = (path.display(), program.display());
    let script =
        format!(r#"uprobe:"{path}!/lib/one.so":archived {{ @ = count(); @s = sum(arg0); }}"#);
    let out = ctx.script(&script).json().command(&format!("{program} {path} {start} 30"));
    let out = out.finish()?.success()?;
    out.same("calls", out.number("@")?, 30)?;
    out.same("the sum of the arguments", out.number("@s")?, (0..30).sum())
}

/// Makes an archive with one member; where in it the member's content begins.
fn archive(path: &Path, name: &str, content: &[u8]) -> Result<u64> {
    let mut archive = rawzip::ZipArchiveWriter::new(std::fs::File::create(path)?);
    let (mut entry, config) = archive.new_file(name).start()?;
    let start = entry.stream_offset();
    let mut writer = config.wrap(&mut entry);
    writer.write_all(content)?;
    let (_, output) = writer.finish()?;
    entry.finish(output)?;
    archive.finish()?;
    Ok(start)
}

fn one_process(ctx: &Ctx) -> Result<()> {
    let (traced, other) =
        (ctx.start_workload(&["calls", "40"])?, ctx.start_workload(&["calls", "70"])?);
    let pid = traced.pid();
    let script = "uprobe:{exe}:live_value { @[pid] = count(); }";
    let session = ctx.script(script).json().arg("-p").arg(pid.to_string()).start()?;
    other.go()?;
    traced.go()?;
    // The process that it was to trace has ended, and so it ends by itself.
    let out = session.wait()?.success()?;
    out.same("calls", out.number_at("@", &pid.to_string())?, 40)?;
    out.same("processes", out.map("@")?.as_object().map(serde_json::Map::len), Some(1))
}

fn several_attach_points(ctx: &Ctx) -> Result<()> {
    let script = "uprobe:{exe}:live_wild_one, uprobe:{exe}:live_wild_two { @ = count(); }
        uprobe:{exe}:live_wild_one { @one = count(); }";
    let out = ctx.script(script).json().workload("wild 4 5 6").finish()?.success()?;
    out.same("@", out.number("@")?, 9)?;
    out.same("@one", out.number("@one")?, 4)
}

/// Latencies by the workload's own clock: it looks before and after each call, so that each is
/// at least what a probe inside the call measures.
pub fn own_latencies(out: &Output) -> Vec<u64> {
    out.stderr.lines().filter_map(|line| line.strip_prefix("took ")?.parse().ok()).collect()
}

/// Fails unless each of `measured` lies between 5 ms and what the workload saw.
pub fn check_latencies(out: &Output, measured: &[u64]) -> Result<()> {
    let outer = own_latencies(out);
    out.same("latencies", measured.len(), outer.len())?;
    for (inner, outer) in measured.iter().zip(&outer) {
        out.check(
            (5_000_000..=*outer).contains(inner),
            format_args!("{inner} ns is not in 5 ms..={outer} ns"),
        )?;
    }
    Ok(())
}

fn latency(ctx: &Ctx) -> Result<()> {
    let script = r#"uprobe:{exe}:live_sleep { @start[tid] = nsecs; }
        uretprobe:{exe}:live_sleep { printf("Süre: %d ns\n", nsecs - @start[tid]); delete(@start[tid]); }"#;
    let out = ctx.script(script).workload("sleep 30 5").finish()?.success()?;
    let number = |line: &&str| line.strip_prefix("Süre: ")?.strip_suffix(" ns")?.parse().ok();
    let measured: Vec<u64> = out.lines().iter().filter_map(number).collect();
    check_latencies(&out, &measured)
}

fn latency_histogram(ctx: &Ctx) -> Result<()> {
    let script = "uprobe:{exe}:live_sleep { @start[tid] = nsecs; }
        uretprobe:{exe}:live_sleep /@start[tid]/ { @ = hist(nsecs - @start[tid]); delete(@start, tid); }";
    let out = ctx.script(script).json().workload("sleep 40 5").finish()?.success()?;
    let outer = own_latencies(&out);
    ensure!(outer.len() == 40, out.failure("the workload did not say how long its calls took"));
    let map = out.map("@")?;
    let buckets = map.as_array().context("a histogram")?;
    let count = |from: u64| -> u64 {
        buckets
            .iter()
            .filter(|one| one["min"].as_u64() == Some(from))
            .filter_map(|one| one["count"].as_u64())
            .sum()
    };
    let total: u64 = buckets.iter().filter_map(|one| one["count"].as_u64()).sum();
    out.same("calls", total, 40)?;
    // 5 ms lies in [2^22, 2^23) ns, and so does whatever took less than 2^23 even from outside.
    let certain = outer.iter().filter(|nanos| **nanos < 1 << 23).count() as u64;
    let in_bucket = count(1 << 22);
    out.check(
        in_bucket >= certain.max(1),
        format_args!("{in_bucket} calls in [4M, 8M), expected {certain}"),
    )?;
    let longest = outer.iter().max().copied().unwrap_or(0);
    for bucket in buckets.iter().filter(|one| one["count"] != 0) {
        let min = bucket["min"].as_u64().unwrap_or(0);
        out.check(
            min >= 1 << 22 && min <= longest,
            format_args!("a latency of {min} ns and more"),
        )?;
    }
    Ok(())
}

fn listing(ctx: &Ctx) -> Result<()> {
    let pattern = format!("uprobe:{}:live_wild_*", ctx.exe_name());
    let out = ctx.rbtrace().args(&["-l", &pattern]).finish()?.success()?;
    let mut lines = out.lines();
    lines.sort_unstable();
    let expected =
        ["one", "three", "two"].map(|name| format!("uprobe:{}:live_wild_{name}", ctx.exe_name()));
    out.same("the list", lines, expected.iter().map(String::as_str).collect())
}
