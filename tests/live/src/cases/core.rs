//! BEGIN, END, interval, profile, where scripts come from and where output goes.

use anyhow::{Context, Result};

use crate::ctx::Ctx;
use crate::features::Feature::{Root, Uprobe};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("core/hello", &[Root], hello),
    Test::new("core/end_after_begin", &[Root], end_after_begin),
    Test::new("core/exit_stops_the_block", &[Root], exit_stops_the_block),
    Test::new("core/json", &[Root], json),
    Test::new("core/file_and_stdin", &[Root], file_and_stdin),
    Test::new("core/output_file", &[Root], output_file),
    Test::new("core/angle_block", &[Root], angle_block),
    Test::new("core/positional_parameters", &[Root], positional_parameters),
    Test::new("core/parameter_defaults", &[Root], parameter_defaults),
    Test::new("core/dry_run", &[Root], dry_run),
    Test::new("core/version_help_info", &[Root], version_help_info),
    Test::new("core/interval", &[Root], interval),
    Test::new("core/profile_on_every_cpu", &[Root], profile_on_every_cpu),
    Test::new("core/printf_conversions", &[Root], printf_conversions),
    Test::new("core/clock", &[Root], clock),
    Test::new("core/ids_of_the_traced", &[Root, Uprobe], ids_of_the_traced),
    Test::new("core/predicate", &[Root, Uprobe], predicate),
    Test::new("core/attached_is_told", &[Root], attached_is_told),
];

fn hello(ctx: &Ctx) -> Result<()> {
    let out = ctx.script(r#"BEGIN { printf("hello\n"); exit(); }"#).finish()?.success()?;
    out.lines_are(&["hello"])
}

fn end_after_begin(ctx: &Ctx) -> Result<()> {
    let script = r#"END { printf("end %d\n", @x); } BEGIN { @x = 7; printf("begin\n"); exit(); }"#;
    ctx.script(script).finish()?.success()?.lines_are(&["begin", "end 7", "@x: 7"])
}

fn exit_stops_the_block(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN { printf("one\n"); exit(); printf("two\n"); }"#;
    ctx.script(script).finish()?.success()?.lines_are(&["one"])
}

fn json(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN { printf("say \"%s\" %d\n", "ü", 3); @n = 4; @k["a", 1] = 5; exit(); }"#;
    let out = ctx.script(script).json().finish()?.success()?;
    out.same("printf", out.printed()?, vec!["say \"ü\" 3\n".to_owned()])?;
    out.same("@n", out.number("@n")?, 4)?;
    out.same("@k[a,1]", out.number_at("@k", "a,1")?, 5)?;
    out.has_line(r#"{"type": "attached_probes", "count": 1, "data": {"probes": 1}}"#)?;
    out.has_line(r#"{"type": "map", "data": {"@n": 4}}"#)
}

fn file_and_stdin(ctx: &Ctx) -> Result<()> {
    let text = "BEGIN\n{\n  // from a file\n  printf(\"%s\\n\", \"here\");\n  exit();\n}\n";
    let file = ctx.file("script.rt", text)?;
    ctx.rbtrace().arg(&file).finish()?.success()?.lines_are(&["here"])?;
    ctx.rbtrace().arg("-").stdin(text).finish()?.success()?.lines_are(&["here"])
}

fn output_file(ctx: &Ctx) -> Result<()> {
    let path = ctx.dir.join("out.txt");
    let out = ctx
        .rbtrace()
        .arg("-o")
        .arg(&path)
        .args(&["-e", r#"BEGIN { printf("to a file\n"); exit(); }"#]);
    let out = out.finish()?.success()?;
    let written = std::fs::read_to_string(&path).context("the output file")?;
    out.check(
        written.lines().any(|line| line == "to a file"),
        format_args!("the file holds {written:?}"),
    )?;
    out.check(!out.stdout.contains("to a file"), "it is on standard output too")
}

fn angle_block(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN < if (1 > 0) { printf("%d\n", 2 > 1) } exit() >"#;
    ctx.script(script).finish()?.success()?.lines_are(&["1"])
}

fn positional_parameters(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN { printf("%d %s %d\n", $1, str($2), $#); exit(); }"#;
    ctx.script(script).args(&["42", "metin"]).finish()?.success()?.lines_are(&["42 metin 2"])
}

fn parameter_defaults(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN { printf("%d\n", ${1:-7}); exit(); }"#;
    ctx.script(script).finish()?.success()?.lines_are(&["7"])?;
    ctx.script(script).arg("9").finish()?.success()?.lines_are(&["9"])
}

fn dry_run(ctx: &Ctx) -> Result<()> {
    let out = ctx.script(r#"BEGIN { printf("ran\n"); }"#).arg("--dry-run").finish()?.success()?;
    out.check(!out.stdout.contains("ran"), "the script ran")
}

fn version_help_info(ctx: &Ctx) -> Result<()> {
    let version = ctx.rbtrace().arg("-V").finish()?.success()?;
    version.check(version.stdout.starts_with("rbtrace "), "no name and version")?;
    let help = ctx.rbtrace().arg("-h").finish()?.success()?;
    for flag in
        ["-e", "-c", "-p", "-f", "-o", "-l", "--dry-run", "--emit-elf", "--unsafe", "--info"]
    {
        help.check(help.stdout.contains(flag), format_args!("{flag} is not in the help"))?;
    }
    let info = ctx.rbtrace().arg("--info").finish()?.success()?;
    info.check(info.stdout.contains("kprobe"), "nothing about kprobes in --info")
}

fn interval(ctx: &Ctx) -> Result<()> {
    let script = "BEGIN { @start = nsecs; }
        interval:ms:20 { @n++; if (@n == 5) { printf(\"%d %llu\\n\", @n, nsecs - @start); clear(@start); exit(); } }";
    let out = ctx.script(script).finish()?.success()?;
    let lines = out.lines();
    let mut numbers = lines.first().context("a line")?.split(' ').map(str::parse::<u64>);
    let (count, took) = (numbers.next().context("count")??, numbers.next().context("time")??);
    out.same("the count", count, 5)?;
    // The first comes a period after attaching, which is after BEGIN.
    out.check(took >= 80_000_000, format_args!("five periods of 20 ms took {took} ns"))
}

fn profile_on_every_cpu(ctx: &Ctx) -> Result<()> {
    let session =
        ctx.script("profile:hz:199 { @[cpu] = count(); } BEGIN { @n = ncpus; }").json().start()?;
    ctx.start_workload(&["spin", "500"])?.go()?;
    let out = session.interrupt()?.success()?;
    let cpus = std::thread::available_parallelism()?.get();
    for cpu in 0..cpus {
        out.check(
            out.number_at("@", &cpu.to_string())? > 0,
            format_args!("no sample on CPU {cpu}"),
        )?;
    }
    out.check(out.number("@n")? >= cpus as i64, "ncpus is too small")
}

fn printf_conversions(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN {
        printf("%d %i %u %x %X %o\n", -5, -6, 7, 255, 255, 8);
        printf("%ld %lld %lu %llu %lx\n", -9223372036854775807, -1, 18446744073709551615, 1, 4096);
        printf("%hhd %hd %hhu\n", -1, -2, 200);
        printf("[%5d] [%-5d] [%05d] [%+d] [%#x]\n", 42, 42, 42, 42, 42);
        printf("[%s] [%8s] [%-8s]\n", "abcdef", "abc", "abc");
        printf("%c%c%c 100%% %s\n", 65, 66, 67, "çğıöşü €");
        exit();
    }"#;
    ctx.script(script).finish()?.success()?.lines_are(&[
        "-5 -6 7 ff FF 10",
        "-9223372036854775807 -1 18446744073709551615 1 1000",
        "-1 -2 200",
        "[   42] [42   ] [00042] [+42] [0x2a]",
        "[abcdef] [     abc] [abc     ]",
        "ABC 100% çğıöşü €",
    ])
}

fn clock(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN { $a = nsecs; $b = nsecs; printf("%d\n", $b >= $a); time("%Y\n");
        printf("%s\n", strftime("%Y-%m-%d", nsecs)); @e = elapsed; printf("%d\n", @e < 60000000000); clear(@e); exit(); }"#;
    let out = ctx.script(script).finish()?.success()?;
    let lines = out.lines();
    let [order, year, date, elapsed, ..] = lines[..] else {
        return Err(out.failure("too few lines"));
    };
    out.same("the order of nsecs", order, "1")?;
    out.check(
        year.len() == 4 && year.parse::<u32>().is_ok_and(|year| year >= 2024),
        "no year from time()",
    )?;
    out.check(date.starts_with(year) && date.len() == 10, "strftime and time differ")?;
    out.same("elapsed below a minute", elapsed, "1")
}

fn ids_of_the_traced(ctx: &Ctx) -> Result<()> {
    let script = r#"uprobe:{exe}:live_value { printf("own %d %d %d %d\n", pid, tid, uid, gid);
        printf("%s %d\n", comm, cpu < ncpus); }"#;
    let out = ctx.script(script).workload("ids").finish()?.success()?;
    let lines = out.lines();
    let own = out
        .stderr
        .lines()
        .find(|line| line.starts_with("own "))
        .context("the workload's own word")?;
    out.same("pid, tid, uid and gid", lines.first().copied(), Some(own))?;
    out.same("comm", lines.get(1).copied(), Some("rbt-workload 1"))
}

fn predicate(ctx: &Ctx) -> Result<()> {
    let values = ctx.values(&(0..100).collect::<Vec<_>>())?;
    let script =
        "uprobe:{exe}:live_value /arg0 % 3 == 0 && arg0 > 10/ { @n = count(); @s = sum(arg0); }";
    let out = ctx
        .script(script)
        .json()
        .workload(&format!("values {}", values.display()))
        .finish()?
        .success()?;
    let chosen: Vec<i64> = (0..100).filter(|value| value % 3 == 0 && *value > 10).collect();
    out.same("@n", out.number("@n")?, chosen.len() as i64)?;
    out.same("@s", out.number("@s")?, chosen.iter().sum())
}

fn attached_is_told(ctx: &Ctx) -> Result<()> {
    let session = ctx.script("interval:ms:10 { @n++; }").start()?;
    session.interrupt()?.success().map(drop)
}
