//! Captured stacks: their frames, their names, how they count.

use anyhow::Result;

use crate::ctx::{COMM, Ctx, go_together};
use crate::features::Feature::{LibcShared, Root, Tracepoint, Uprobe};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("stack/names_the_function", &[Root, Uprobe], names_the_function),
    Test::new("stack/equal_stacks_are_one_key", &[Root, Uprobe], equal_stacks_are_one_key),
    Test::new("stack/length_and_limit", &[Root, Uprobe], length_and_limit),
    Test::new("stack/in_key_and_value", &[Root, Uprobe], in_key_and_value),
    Test::new("stack/build_ids", &[Root, Uprobe], build_ids),
    Test::new("stack/in_another_mount_namespace", &[Root, Tracepoint], in_another_mount_namespace),
    Test::new(
        "stack/of_a_file_that_hides_another",
        &[Root, Tracepoint],
        of_a_file_that_hides_another,
    ),
    Test::new("stack/of_a_deleted_file", &[Root, Tracepoint], of_a_deleted_file),
    Test::new("stack/in_a_chroot", &[Root, Tracepoint], in_a_chroot),
    Test::new("stack/of_several_processes", &[Root, Uprobe, LibcShared], of_several_processes),
    Test::new("stack/kernel", &[Root], kernel),
    Test::new("stack/loop_over_stacks", &[Root], loop_over_stacks),
];

fn names_the_function(ctx: &Ctx) -> Result<()> {
    // The command has ended when its stacks are printed.
    let script = "uprobe:{exe}:live_value { @[ustack(1), usym(reg(\"ip\"))] = count(); }";
    let out = ctx.script(script).workload("calls 7").finish()?.success()?;
    out.check(out.stdout.contains("\n        live_value+0"), "the frame is not named")?;
    out.check(out.stdout.contains(", live_value]: 7"), "the address is not named")
}

fn equal_stacks_are_one_key(ctx: &Ctx) -> Result<()> {
    let script = "uprobe:{exe}:live_value { @[ustack(raw, 1)] = count(); }";
    let out = ctx.script(script).json().workload("calls 1000").finish()?.success()?;
    let counts: Vec<i64> = out
        .map("@")?
        .as_object()
        .map(|map| map.values().filter_map(serde_json::Value::as_i64).collect())
        .unwrap_or_default();
    out.same("counts", counts, vec![1000])
}

fn length_and_limit(ctx: &Ctx) -> Result<()> {
    let script = "uprobe:{exe}:live_value { $s = ustack(2); @two = len($s); @one = len(ustack(1));
        @none = len(kstack(raw, 1)) <= 1; }";
    let out = ctx.script(script).json().workload("calls 1").finish()?.success()?;
    out.same("one frame", out.number("@one")?, 1)?;
    out.check(out.number("@two")? <= 2, "a stack is longer than asked for")?;
    out.same("frames of a short kernel stack", out.map("@none")?.to_string(), "true".into())
}

fn in_key_and_value(ctx: &Ctx) -> Result<()> {
    let script =
        "uprobe:{exe}:live_value { @a[ustack(1)] = 5; @b = ustack(1); @c = (1, ustack(perf, 1)); }";
    let out = ctx.script(script).workload("calls 1").finish()?.success()?;
    out.check(out.stdout.matches("live_value+0").count() == 3, "three stacks are not shown")?;
    out.check(out.stdout.contains("]: 5"), "the value under a stack is not shown")
}

fn build_ids(ctx: &Ctx) -> Result<()> {
    let script = "uprobe:{exe}:live_value { print(ustack(build_id, 1)); }";
    let out = ctx.script(script).workload("calls 1").finish()?.success()?;
    // Without a build id in the file the address itself is shown.
    let place = |line: &&str| {
        let (id, offset) = line.split_once(" 0x").unwrap_or((line, "0"));
        let hex = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_hexdigit());
        hex(id) && hex(offset)
    };
    out.check(out.lines().iter().any(place), "there is no place in a file")
}

/// Runs a shell script that starts `$1` as the workload. Its first system call is caught, and the run
/// ends while the workload goes on.
fn names_what_calls(ctx: &Ctx, how: &str) -> Result<()> {
    let dir = ctx.dir.display();
    let endless =
        format!("exe={} dir={dir} endless='workload syscalls 1000000000000'", ctx.exe_name());
    let shell = ctx.file("run.sh", format!("set -e\n{endless}\n{how}\n"))?;
    let script = format!(
        r#"tracepoint:syscalls:sys_enter_getpgid /comm == "{COMM}"/ {{ print(ustack(1)); exit(); }}"#
    );
    let out =
        ctx.script(&script).command(&format!("sh {}", shell.display())).finish()?.success()?;
    out.check(out.stdout.contains("syscall+"), "the function is not named")
}

fn in_another_mount_namespace(ctx: &Ctx) -> Result<()> {
    let how = "mkdir $dir/m; exec unshare -m sh -ec \
        \"mount -t tmpfs none $dir/m; cp $exe $dir/m/x; exec $dir/m/x $endless\"";
    names_what_calls(ctx, how)
}

/// Out here the file at that path is another one, whose functions are elsewhere.
fn of_a_file_that_hides_another(ctx: &Ctx) -> Result<()> {
    let how = "cp /proc/$PPID/exe $dir/x; exec unshare -m sh -ec \
        \"mount --bind $exe $dir/x; exec $dir/x $endless\"";
    names_what_calls(ctx, how)
}

fn of_a_deleted_file(ctx: &Ctx) -> Result<()> {
    names_what_calls(ctx, "cp $exe $dir/x; exec 9<$dir/x; rm $dir/x; exec /proc/self/fd/9 $endless")
}

fn in_a_chroot(ctx: &Ctx) -> Result<()> {
    names_what_calls(ctx, "mkdir $dir/r; cp $exe $dir/r/x; exec chroot $dir/r /x $endless")
}

/// One may come in between while the program runs for another.
fn of_several_processes(ctx: &Ctx) -> Result<()> {
    const PROCESSES: usize = 6;
    let calls = ctx.scaled(200_000);
    let program = ctx.programs.join("unwound");
    let processes: Vec<_> = (0..PROCESSES)
        .map(|_| ctx.start_program("unwound", &["framed", &calls.to_string()]))
        .collect::<Result<_>>()?;
    let script =
        format!("uprobe:{}:framed_place {{ @[ustack(raw, 20)] = count(); }}", program.display());
    let session = ctx.script(&script).json().start()?;
    go_together(processes)?;
    let out = session.interrupt()?.success()?;
    let counts = out.counts("@")?;
    out.same("counts", counts, vec![calls; PROCESSES])
}

fn kernel(ctx: &Ctx) -> Result<()> {
    // Whoever has the number of the frames has the frames.
    let script = "interval:ms:20 { $s = kstack(raw); @n = len($s); print($s); exit(); }";
    let out = ctx.script(script).finish()?.success()?;
    let frames =
        out.lines().iter().filter(|line| line.len() == 16 && line.starts_with("ffff")).count();
    out.has_line(&format!("@n: {frames}"))
}

fn loop_over_stacks(ctx: &Ctx) -> Result<()> {
    let script =
        "BEGIN { @map[kstack(raw)] = count(); for ($kv : @map) { print($kv.1); } exit(); }";
    let out = ctx.script(script).finish()?.success()?;
    out.has_line("1")
}
