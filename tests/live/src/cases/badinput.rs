//! What a mistake gets: a place, a reason, exit status 1, and nothing attached.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};

use crate::ctx::Ctx;
use crate::features::Feature::{Root, Tracepoint, Uprobe};
use crate::kernel::Snapshot;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("badinput/syntax", &[], syntax),
    Test::new("badinput/types", &[], types),
    Test::new("badinput/unknown_names", &[], unknown_names),
    Test::new("badinput/unknown_tracepoint", &[Root, Tracepoint], unknown_tracepoint),
    Test::new("badinput/unknown_field", &[Root, Tracepoint], unknown_field),
    Test::new("badinput/unknown_symbol", &[Uprobe], unknown_symbol),
    Test::new("badinput/unknown_binary", &[], unknown_binary),
    Test::new("badinput/nothing_is_attached", &[Root, Uprobe], nothing_is_attached),
    Test::new("badinput/files_that_are_no_scripts", &[], files_that_are_no_scripts),
    Test::new("badinput/ten_megabytes_of_braces", &[], ten_megabytes_of_braces),
    Test::new("badinput/deep_nesting", &[], deep_nesting),
    Test::new("badinput/not_root", &[Root], not_root),
    Test::new("badinput/failed_reads_are_told", &[Root], failed_reads_are_told),
];

/// Fails unless `script` is refused with a place and all of `said`.
fn refused(ctx: &Ctx, script: &str, said: &[&str]) -> Result<()> {
    let out =
        ctx.script(script).finish()?.exited(1).with_context(|| format!("script {script:?}"))?;
    out.check(out.stdout.trim().is_empty(), "something was printed on standard output")?;
    said.iter().try_for_each(|text| out.complains(text))
}

fn syntax(ctx: &Ctx) -> Result<()> {
    refused(ctx, r#"BEGIN { printf("x" }"#, &["^", "expected", r#"BEGIN { printf("x" }"#])?;
    refused(ctx, "BEGIN { @x = ; }", &["^", "expected"])?;
    refused(ctx, "BEGIN { @x = 1;", &["^", "never closed", "missing"])?;
    refused(ctx, r#"BEGIN { printf("open); }"#, &["^"])?;
    refused(ctx, "BEGIN", &["^", "expected"])
}

fn types(ctx: &Ctx) -> Result<()> {
    refused(ctx, r#"BEGIN { @a = 1; @a = "text"; }"#, &["^", "@a"])?;
    refused(ctx, r#"BEGIN { @a[1] = 1; @a["k"] = 1; }"#, &["^", "@a"])?;
    refused(ctx, r#"BEGIN { printf("%d\n", "text"); }"#, &["^", "%d"])?;
    refused(ctx, r#"BEGIN { printf("%d %d\n", 1); }"#, &["^"])?;
    refused(ctx, r#"BEGIN { $x = 1 + "a"; }"#, &["^"])
}

fn unknown_names(ctx: &Ctx) -> Result<()> {
    refused(ctx, r#"BEGIN { printf("%d\n", pidd); }"#, &["^", "pid"])?;
    refused(ctx, r#"BEGIN { prinft("x"); }"#, &["^", "printf"])?;
    refused(ctx, "intervall:s:1 { exit(); }", &["^", "interval"])?;
    refused(ctx, "BEGIN { print($x); }", &["^", "$x"])
}

fn unknown_tracepoint(ctx: &Ctx) -> Result<()> {
    refused(ctx, "tracepoint:syscalls:sys_enter_opeant { exit(); }", &["sys_enter_openat"])?;
    refused(ctx, "tracepoint:syscals:sys_enter_openat { exit(); }", &["syscalls"])
}

fn unknown_field(ctx: &Ctx) -> Result<()> {
    refused(
        ctx,
        "tracepoint:syscalls:sys_enter_openat { print(str(args.filenam)); }",
        &["^", "filename"],
    )
}

fn unknown_symbol(ctx: &Ctx) -> Result<()> {
    refused(ctx, "uprobe:{exe}:live_valeu { exit(); }", &["live_value"])
}

fn unknown_binary(ctx: &Ctx) -> Result<()> {
    refused(ctx, "uprobe:/no/such/program:main { exit(); }", &["/no/such/program"])
}

fn nothing_is_attached(ctx: &Ctx) -> Result<()> {
    let before = Snapshot::take()?;
    let script = "BEGIN { @ = 1; } uprobe:{exe}:live_value { @c = count(); } uprobe:{exe}:no_such_function { @c = count(); }";
    let out = ctx.script(script).finish()?.exited(1)?;
    out.complains("no_such_function")?;
    before.nothing_left(ctx.patience)
}

fn files_that_are_no_scripts(ctx: &Ctx) -> Result<()> {
    let foreign_elf = ctx.exe.clone();
    let noise: Vec<u8> =
        (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let files = [
        ctx.file("empty.rt", "")?,
        ctx.file("blank.rt", " \n\t\n// only a comment\n")?,
        ctx.file("noise.rt", noise)?,
        ctx.file("zeros.rt", vec![0; 100_000])?,
        ctx.file("cut.elf", &std::fs::read(&foreign_elf)?[..100])?,
        foreign_elf,
        ctx.dir.clone(),
        ctx.dir.join("missing.rt"),
    ];
    for file in files {
        let out = ctx.rbtrace().arg(&file).finish()?.exited(1)?;
        out.check(!out.stderr.trim().is_empty(), "it says nothing")?;
        out.check(out.stderr.len() < 20_000, "it says far too much")?;
    }
    Ok(())
}

fn ten_megabytes_of_braces(ctx: &Ctx) -> Result<()> {
    for brace in ["{", "}", "{}", "(", "BEGIN{"] {
        let file = ctx.file("braces.rt", brace.repeat(10_000_000 / brace.len()))?;
        let out = ctx.rbtrace().arg(&file).finish()?.exited(1)?;
        out.check(!out.stderr.trim().is_empty() && out.stderr.len() < 20_000, "no short message")?;
    }
    Ok(())
}

fn deep_nesting(ctx: &Ctx) -> Result<()> {
    for depth in [1_000, ctx.scaled(100_000) as usize] {
        for (open, middle, close) in [
            ("(", "1", ")"),
            ("!", "1", ""),
            ("-", "1", ""),
            ("1+(", "1", ")"),
            ("@[", "1", "]"),
            ("(int8)", "1", ""),
        ] {
            let expression = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
            survives(ctx, &format!("BEGIN {{ print({expression}); exit(); }}"))?;
        }
        survives(
            ctx,
            &format!("BEGIN {{ {}{} exit(); }}", "if (pid) { ".repeat(depth), "}".repeat(depth)),
        )?;
        survives(ctx, &format!("BEGIN {{ print({}); exit(); }}", vec!["1"; depth].join("+")))?;
        survives(ctx, &format!("BEGIN {{ {} exit(); }}", "@x += pid;".repeat(depth)))?;
    }
    Ok(())
}

/// Fails where rbtrace crashes; whether it takes such a script or refuses it is its own affair.
fn survives(ctx: &Ctx, script: &str) -> Result<()> {
    let file = ctx.file("nested.rt", script)?;
    let out = ctx.rbtrace().arg(&file).arg("--dry-run").finish()?;
    match out.status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(out.failure(format_args!("a crash on {:?}...", &script[..60]))),
    }
}

fn not_root(ctx: &Ctx) -> Result<()> {
    // A copy that anybody may run.
    let program = ctx.dir.join("rbtrace");
    std::fs::copy(&ctx.rbtrace, &program)?;
    for path in [&program, &ctx.dir] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    let out = ctx
        .script(r#"BEGIN { printf("hello\n"); exit(); }"#)
        .by_user(65534, &program)
        .finish()?
        .exited(1)?;
    out.complains("CAP_")?;
    out.complains("root")
}

fn failed_reads_are_told(ctx: &Ctx) -> Result<()> {
    let script = "BEGIN { @[1] = 1; @y = @[2]; printf(\"%s.\\n\", str(uptr(1))); exit(); }";
    let out = ctx.script(script).args(&["-k"]).finish()?.success()?;
    for part in [
        "WARNING: Can't lookup map element because it does not exist.",
        "helper: map_lookup_elem, retcode: 0",
        "WARNING: Bad address",
        "helper: probe_read_user_str, retcode: -14",
    ] {
        out.complains(part)?;
    }
    let quiet = ctx.script(script).finish()?.success()?;
    quiet.check(!quiet.stderr.contains("Bad address"), "it was not asked for")
}
