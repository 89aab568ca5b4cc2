//! Iterators, compared with what /proc says of a process that stays as it is.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::ctx::{Ctx, Workload};
use crate::features::Feature::{Iter, Root};
use crate::kernel::Snapshot;
use crate::output::Output;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("iter/threads", &[Root, Iter], threads),
    Test::new("iter/files", &[Root, Iter], files),
    Test::new("iter/mappings", &[Root, Iter], mappings),
    Test::new("iter/one_process", &[Root, Iter], one_process),
    Test::new("iter/order", &[Root, Iter], order),
    Test::new("iter/exit_waits_for_the_end", &[Root, Iter], exit_waits_for_the_end),
    Test::new("iter/leaves_loops", &[Root, Iter], leaves_loops),
    Test::new("iter/loses_nothing", &[Root, Iter], loses_nothing),
    Test::new("iter/beside_others", &[Root, Iter], beside_others),
    Test::new("iter/every_kind", &[Root, Iter], every_kind),
    Test::new("iter/listing", &[Root, Iter], listing),
    Test::new("iter/pinned", &[Root, Iter], pinned),
    Test::new("iter/pinned_by_path", &[Root, Iter], pinned_by_path),
    Test::new("iter/pins_that_cannot_be", &[Root, Iter], pins_that_cannot_be),
    Test::new("iter/at_the_prompt", &[Root, Iter], at_the_prompt),
];

/// The name of the workload's process, which no other has.
fn name() -> String {
    format!("rbt-{}", std::process::id())
}

/// A predicate that leaves the workload.
fn its_own() -> String {
    format!(r#"/ctx.task.group_leader.comm == "{}"/"#, name())
}

/// Threads of the workload beside its first: more than an iterator goes over in one read.
const THREADS: usize = 70;
/// Files that it opens, for the same reason.
const FILES: usize = 140;

/// A process with threads and files of its own.
fn held(ctx: &Ctx) -> Result<Workload> {
    let (one, two) = (ctx.file("birinci", "")?, ctx.file("dosya-ç", "")?);
    let (one, two) = (one.to_string_lossy(), two.to_string_lossy());
    let files: Vec<&str> =
        [&*one, &*two, "/dev/null", "/proc"].into_iter().cycle().take(FILES).collect();
    ctx.hold(&name(), THREADS, &files)
}

/// The names of its threads, as /proc has them.
fn true_threads(workload: &Workload) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for thread in fs::read_dir(format!("/proc/{}/task", workload.pid()))? {
        names.push(fs::read_to_string(thread?.path().join("comm"))?.trim().to_owned());
    }
    names.sort_unstable();
    ensure!(names.len() == THREADS + 1, "its threads are {names:?}");
    Ok(names)
}

/// Its open files: number and path.
fn true_files(workload: &Workload) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for file in fs::read_dir(format!("/proc/{}/fd", workload.pid()))? {
        let file = file?;
        let path = fs::read_link(file.path())?;
        files.push(format!("{} {}", file.file_name().to_string_lossy(), path.display()));
    }
    files.sort_unstable();
    ensure!(files.len() >= FILES + 3, "only {files:?} are open");
    Ok(files)
}

/// Its mappings: first address and the one behind the last.
fn true_mappings(workload: &Workload) -> Result<Vec<String>> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", workload.pid()))?;
    // Every process is shown this one, and none has it.
    let lines = maps.lines().filter(|line| !line.ends_with("[vsyscall]"));
    let range = |line: &str| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        Some(format!("{:x}-{:x}", address(start)?, address(end)?))
    };
    let mut ranges: Vec<String> = lines.filter_map(range).collect();
    ranges.sort_unstable();
    ensure!(ranges.len() > THREADS, "only {ranges:?} are mapped");
    Ok(ranges)
}

fn same_lines(out: &Output, what: &str, expected: &[String]) -> Result<()> {
    let mut lines = out.lines();
    lines.sort_unstable();
    out.same(what, lines, expected.iter().map(String::as_str).collect())
}

fn threads(ctx: &Ctx) -> Result<()> {
    let (workload, its_own) = (held(ctx)?, its_own());
    let script = format!(r#"iter:task {its_own} {{ printf("%s\n", ctx.task.comm); }}"#);
    let out = ctx.script(&script).finish()?.success()?;
    same_lines(&out, "threads", &true_threads(&workload)?)?;
    workload.go()
}

fn files(ctx: &Ctx) -> Result<()> {
    let (workload, its_own) = (held(ctx)?, its_own());
    let script = format!(
        r#"iter:task_file {its_own} {{ printf("%d %s\n", ctx.fd, path(ctx.file.f_path)); }}"#
    );
    let out = ctx.script(&script).finish()?.success()?;
    same_lines(&out, "files", &true_files(&workload)?)?;
    workload.go()
}

fn mappings(ctx: &Ctx) -> Result<()> {
    let (workload, its_own) = (held(ctx)?, its_own());
    let script = format!(
        r#"iter:task_vma {its_own} {{ printf("%lx-%lx\n", ctx->vma->vm_start, ctx->vma->vm_end); }}"#
    );
    let out = ctx.script(&script).finish()?.success()?;
    same_lines(&out, "mappings", &true_mappings(&workload)?)?;
    workload.go()
}

fn one_process(ctx: &Ctx) -> Result<()> {
    let workload = held(ctx)?;
    let script = r#"iter:task { @threads[ctx.task.comm] = count(); }
        iter:task_file { @files[ctx.fd] = count(); } iter:task_vma { @mappings = count(); }"#;
    let pid = workload.pid().to_string();
    let out = ctx.script(script).args(&["-p", &pid]).json().finish()?.success()?;
    let keys = |map: &str| -> Result<Vec<String>> {
        let map = out.map(map)?;
        let map = map.as_object().context("a map with keys")?;
        let mut keys: Vec<String> = map.keys().cloned().collect();
        keys.sort_unstable();
        ensure!(map.values().all(|count| *count == 1), "{map:?}");
        Ok(keys)
    };
    out.same("threads", keys("@threads")?, true_threads(&workload)?)?;
    out.same("files", keys("@files")?.len(), true_files(&workload)?.len())?;
    let mapped = true_mappings(&workload)?.len();
    out.same("mappings", out.number("@mappings")?, mapped as i64)?;
    workload.go()
}

fn order(ctx: &Ctx) -> Result<()> {
    let (workload, its_own) = (held(ctx)?, its_own());
    let script = format!(
        r#"BEGIN {{ printf("begin\n"); }} END {{ printf("end\n"); }}
        iter:task_file {its_own} {{ if (ctx.fd == 2) {{ printf("%s %s\n", probe, probetype); }} }}
        it:task {its_own} {{ if (ctx.task.comm == "{}") {{ printf("%s\n", probe); }} }}"#,
        name()
    );
    let out = ctx.script(&script).finish()?.success()?;
    out.lines_are(&["begin", "iter:task_file iter", "iter:task", "end"])?;
    workload.go()
}

fn exit_waits_for_the_end(ctx: &Ctx) -> Result<()> {
    let (workload, its_own) = (held(ctx)?, its_own());
    let script = format!(
        r#"BEGIN {{ exit(3); }} iter:task {its_own} {{ @seen = count(); exit(7); printf("never\n"); }}
        iter:task {its_own} {{ printf("%s\n", ctx.task.comm); }} interval:s:1000 {{ }}"#
    );
    let out = ctx.script(&script).finish()?.exited(3)?;
    let threads = true_threads(&workload)?;
    let seen = format!("@seen: {}", threads.len());
    same_lines(&out, "lines", &[&[seen], &*threads].concat())?;
    workload.go()
}

fn leaves_loops(ctx: &Ctx) -> Result<()> {
    let (workload, its_own) = (held(ctx)?, its_own());
    let script = format!(
        r#"BEGIN {{ @m[1] = 1; @m[2] = 2; }}
        iter:task {its_own} {{ for ($i : 0..200) {{ if ($i == 150) {{ return; }} @rounds = count(); }}
            @never = count(); }}
        iter:task {its_own} {{ for ($entry : @m) {{ @entries = count(); exit(); }} @never = count(); }}
        END {{ clear(@m); }}"#
    );
    let out = ctx.script(&script).json().finish()?.success()?;
    let threads = true_threads(&workload)?.len() as i64;
    out.same("rounds", out.number("@rounds")?, threads * 150)?;
    out.same("entries", out.number("@entries")?, threads)?;
    out.check(out.map("@never").is_err(), "a block went on after `return`")?;
    workload.go()
}

fn loses_nothing(ctx: &Ctx) -> Result<()> {
    let script =
        r#"iter:ksym { @ = count(); printf("%d %s\n", ctx.meta.seq_num, str(ctx.ksym.name)); }"#;
    let out = ctx.script(script).finish()?.success()?;
    let lines = out.lines();
    let (counted, printed) = lines.split_last().context("some output")?;
    ensure!(printed.len() > 10_000, "a kernel has more than {} symbols", printed.len());
    out.same("symbols", *counted, &format!("@: {}", printed.len()))?;
    // The kernel tells the last one twice.
    let first = printed.iter().enumerate().take(printed.len() - 1);
    let numbered = first.into_iter().all(|(n, line)| line.starts_with(&format!("{n} ")));
    out.check(numbered, "not all of them came in order")?;
    out.check(!out.stderr.contains("Lost"), "something was lost")
}

fn beside_others(ctx: &Ctx) -> Result<()> {
    let script = r#"iter:task { @tasks = count(); } interval:ms:20 { @ticks = count();
        if (@ticks == 3) { exit(); } }"#;
    let out = ctx.script(script).json().finish()?.success()?;
    out.check(out.number("@tasks")? > 1, "there are no tasks")?;
    out.same("ticks", out.number("@ticks")?, 3)
}

fn every_kind(ctx: &Ctx) -> Result<()> {
    let before = Snapshot::take()?;
    let list = ctx.rbtrace().args(&["-l", "iter:*"]).finish()?.success()?;
    let script: String = list
        .lines()
        .iter()
        .map(|iterator| format!("{iterator} {{ @[probe] = count(); }}\n"))
        .collect();
    let out = ctx.script(&script).json().finish()?.success()?;
    for (object, least) in [("task", 2), ("bpf_prog", 1), ("bpf_map", 1), ("ksym", 10_000)] {
        let found = out.number_at("@", &format!("iter:{object}"))?;
        out.check(found >= least, format_args!("only {found} objects of kind {object}"))?;
    }
    before.nothing_left(ctx.patience)
}

fn listing(ctx: &Ctx) -> Result<()> {
    let out = ctx.rbtrace().args(&["-lv", "iter:task_file"]).finish()?.success()?;
    out.lines_are(&[
        "iter:task_file",
        "    struct task_struct * task",
        "    u32 fd",
        "    struct file * file",
    ])?;
    let all = ctx.rbtrace().args(&["-l", "it:task*"]).finish()?.success()?;
    all.lines_are(&["iter:task", "iter:task_file", "iter:task_vma"])?;
    let script = "iter:task:pin { } iter:task_vma { }";
    let of_script = ctx.rbtrace().args(&["-l", "-e", script]).finish()?.success()?;
    of_script.lines_are(&["iter:task", "iter:task_vma"])
}

/// A pin that goes when the test does.
struct Pin(String);

impl Drop for Pin {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_file(&self.0);
    }
}

/// A name of a pin that no other test has.
fn pin_name(name: &str) -> String {
    format!("rbtrace-live-{}-{name}", std::process::id())
}

fn pinned(ctx: &Ctx) -> Result<()> {
    let before = Snapshot::take()?;
    let (workload, its_own) = (held(ctx)?, its_own());
    let name = pin_name("files");
    let pin = Pin(format!("/sys/fs/bpf/{name}"));
    let script = format!(
        r#"BEGIN {{ printf("begin\n"); }} iter:task_file:{name} {its_own} {{
            printf("%d %s\n", ctx.fd, path(ctx.file.f_path)); }}"#
    );
    let out = ctx.script(&script).finish()?.success()?;
    out.lines_are(&["begin", &format!("Program pinned to {}", pin.0)])?;
    // Each reader has it run anew.
    for _ in 0..2 {
        let text = fs::read_to_string(&pin.0).context("reading the pin")?;
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        out.same("files", lines, true_files(&workload)?.iter().map(String::as_str).collect())?;
    }
    workload.go()?;
    out.same("what is left of it", fs::read_to_string(&pin.0)?, String::new())?;
    drop(pin);
    before.nothing_left(ctx.patience)
}

fn pinned_by_path(ctx: &Ctx) -> Result<()> {
    let workload = held(ctx)?;
    let pin = Pin(format!("/sys/fs/bpf/{}", pin_name("tasks")));
    // What is read is what user space would print, and the reader is the one who is current.
    let format = r#""%-12s|%s|%5d|%03hhx|%u|%+d|%c|%llx|%s|%s ç 100%%\n", ctx.task.comm, ctx.task.comm,
        7, 0x1ff, (uint32)-1, 42, 65, 1 << 40, ctx.fd > 1, probe"#;
    let condition = format!(r#"/ctx.task.group_leader.comm == "{}" && ctx.fd < 3/"#, name());
    let script = |point: &str| format!("iter:task_file{point} {condition} {{ printf({format}); }}");
    let by_user_space = ctx.script(&script("")).finish()?.success()?;
    by_user_space.same("lines", by_user_space.lines().len(), 3)?;
    ctx.script(&script(&format!(":{}", pin.0)))
        .finish()?
        .success()?
        .has_line(&format!("Program pinned to {}", pin.0))?;
    let text = fs::read_to_string(&pin.0).context("reading the pin")?;
    by_user_space.same("what the kernel prints", text.lines().collect(), by_user_space.lines())?;
    workload.go()
}

fn pins_that_cannot_be(ctx: &Ctx) -> Result<()> {
    let before = Snapshot::take()?;
    let pin = Pin(format!("/sys/fs/bpf/{}", pin_name("twice")));
    let script = |path: &str| format!(r#"iter:task:{path} {{ printf("x"); }}"#);
    // Nothing is attached, and nothing pinned.
    ctx.script(&script(&pin.0)).args(&["--dry-run"]).finish()?.success()?;
    ensure!(!Path::new(&pin.0).exists(), "a dry run has pinned something");
    ctx.script(&script(&pin.0)).finish()?.success()?;
    let twice = ctx.script(&script(&pin.0)).finish()?.exited(1)?;
    twice.complains("there is a file already")?;
    let plain = ctx.dir.join("plain").to_string_lossy().into_owned();
    let elsewhere = ctx.script(&script(&plain)).finish()?.exited(1)?;
    elsewhere.complains("it is in no BPF file system")?;
    let nowhere = ctx.script(&script("/sys/fs/bpf/no/such/folder")).finish()?.exited(1)?;
    nowhere.complains("there is no such folder")?;
    drop(pin);
    before.nothing_left(ctx.patience)
}

fn at_the_prompt(ctx: &Ctx) -> Result<()> {
    let mut session = ctx.rbtrace().prompt()?;
    session.ask(r#"interval:s:1000 { }"#, "[1]")?;
    session.ask(
        r#"iter:task /ctx.task.pid == 2/ { printf("come to %s\n", ctx.task.comm); }"#,
        "come to ",
    )?;
    // It has run, and the other block runs on.
    session.ask(":probes", "interval:s:1000")?;
    session.type_line(":quit")?;
    let out = session.wait()?.success()?;
    out.check(!out.stdout.contains("iter:task\n"), "the iterator is still listed")
}
