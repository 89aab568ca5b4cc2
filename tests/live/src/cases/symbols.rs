//! Names of user code: of programs in several languages, with their debug information in a file apart, of
//! code that is made while it runs. What is printed is compared with what addr2line(1) says of the same
//! addresses.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::ctx::Ctx;
use crate::features::Feature::{Addr2line, LibcShared, Root, Tracepoint};
use crate::output::Output;
use crate::runner::Test;
use crate::sys;

pub const TESTS: &[Test] = &[
    Test::new("symbols/c", &[Root, Tracepoint, LibcShared, Addr2line], of_c),
    Test::new("symbols/cpp", &[Root, Tracepoint, LibcShared, Addr2line], of_cpp),
    Test::new("symbols/rust", &[Root, Tracepoint, LibcShared, Addr2line], of_rust),
    Test::new("symbols/go", &[Root, Tracepoint, Addr2line], of_go),
    Test::new("symbols/stripped", &[Root, Tracepoint, LibcShared], stripped),
    Test::new("symbols/by_build_id", &[Root, Tracepoint, LibcShared, Addr2line], by_build_id),
    Test::new("symbols/by_debug_link", &[Root, Tracepoint, LibcShared, Addr2line], by_debug_link),
    Test::new(
        "symbols/in_another_mount_namespace",
        &[Root, Tracepoint, LibcShared, Addr2line],
        in_another_mount_namespace,
    ),
    Test::new("symbols/of_brief_processes", &[Root, Tracepoint, Addr2line], of_brief_processes),
    Test::new("symbols/made_while_running", &[Root, Tracepoint, LibcShared], made_while_running),
    Test::new(
        "symbols/made_in_other_namespaces",
        &[Root, Tracepoint, LibcShared],
        made_in_other_namespaces,
    ),
];

/// What `frames` calls, the innermost first.
const OF_C: [&str; 5] = ["innermost", "inlined", "middle", "outermost", "main"];

/// A frame of a stack as `perf` shows it.
#[derive(Debug)]
struct Frame<'a> {
    address: u64,
    /// Functions that were inlined, the innermost first, and then the one that they are in.
    names: Vec<&'a str>,
    /// The file.
    module: &'a str,
}

/// The frames of all stacks that were printed.
fn frames(out: &Output) -> Vec<Frame<'_>> {
    let (mut found, mut inlined) = (Vec::new(), Vec::new());
    for line in out.stdout.lines().filter_map(|line| line.strip_prefix('\t')) {
        let Some((address, rest)) = line.split_once(' ') else { continue };
        if let Some(name) = rest.strip_suffix(" (inlined)") {
            inlined.push(name);
            continue;
        }
        let (place, module) = rest.rsplit_once(" (").unwrap_or((rest, ")"));
        let mut names = std::mem::take(&mut inlined);
        names.push(place.rsplit_once('+').map_or(place, |(name, _)| name));
        let address = u64::from_str_radix(address, 16).unwrap_or_default();
        found.push(Frame { address, names, module: module.trim_end_matches(')') });
    }
    found
}

/// The names of a frame by addr2line(1). `base` is what the addresses of `file` are away from it.
fn truth(file: &Path, base: u64, frame: &Frame<'_>) -> Result<Vec<String>> {
    let address = frame.address.checked_sub(base).context("an address of the file")?;
    let mut command = Command::new("addr2line");
    command.args(["-f", "-C", "-i", "-e"]).arg(file).arg(format!("{address:#x}"));
    let output = command.output().context("running addr2line")?;
    ensure!(output.status.success(), "addr2line: {}", String::from_utf8_lossy(&output.stderr));
    // A line with a name, a line with a place. The symbols of Go's assembly say how it is called, too.
    let text = String::from_utf8(output.stdout)?;
    let names = text.lines().step_by(2).map(|name| name.trim_end_matches(".abi0"));
    Ok(names.map(str::to_owned).collect())
}

/// Where a program is mapped that has said so on standard error: 0 if it is where its symbols say.
fn base(out: &Output, module: &str) -> Result<u64> {
    /// `e_type` of elf(5), and what it is of a program that may be anywhere.
    const TYPE: usize = 16;
    const ET_DYN: u8 = 3;
    if std::fs::read(module)?.get(TYPE) != Some(&ET_DYN) {
        return Ok(0);
    }
    let line = out.stderr.lines().find(|line| line.ends_with(&format!(" {module}")));
    let start = line.and_then(|line| line.split('-').next()).context("where it is mapped")?;
    Ok(u64::from_str_radix(start, 16)?)
}

/// Fails unless the frames of a program are named as addr2line names them, by the program itself or the
/// one with its debug information, and are those of `calls` among others.
fn agrees(out: &Output, module: &str, file: &Path, base: u64, calls: &[&str]) -> Result<()> {
    let frames: Vec<_> = frames(out).into_iter().filter(|frame| frame.module == module).collect();
    for frame in &frames {
        let names: Vec<String> = frame.names.iter().map(|name| (*name).to_owned()).collect();
        out.same(&format!("{:#x}", frame.address), names, truth(file, base, frame)?)?;
    }
    let mut names = frames.iter().flat_map(|frame| &frame.names);
    let lacks = calls.iter().find(|call| !names.any(|name| name == *call));
    out.check(lacks.is_none(), format_args!("there is no {lacks:?} in its place"))
}

/// Prints the stack of the first getpgid(2) of a program.
fn script(comm: &str, then: &str) -> String {
    format!(
        r#"tracepoint:syscalls:sys_enter_getpgid /comm == "{comm}"/ {{ print(ustack(perf)); {then} }}"#
    )
}

/// Runs a program, whose name the kernel has in full.
fn run(ctx: &Ctx, program: &Path) -> Result<Output> {
    let name = program.file_name().context("a name")?.to_string_lossy();
    let script = script(&name, "");
    ctx.script(&script).command(&program.display().to_string()).finish()?.success()
}

/// Fails unless the names in the stack of a program are right.
fn names_are_right(ctx: &Ctx, name: &str, calls: &[&str]) -> Result<()> {
    let program = ctx.programs.join(name);
    let out = run(ctx, &program)?;
    let module = program.display().to_string();
    agrees(&out, &module, &program, base(&out, &module)?, calls)
}

fn of_c(ctx: &Ctx) -> Result<()> {
    names_are_right(ctx, "frames", &OF_C)
}

fn of_cpp(ctx: &Ctx) -> Result<()> {
    let calls = [
        "geometry::circle::draw(geometry::point const&) const",
        "geometry::circle::operator+=(geometry::point const&)",
        "void geometry::each<geometry::circle, 1>(geometry::circle&, geometry::point const&)",
        "(anonymous namespace)::nameless(geometry::circle&)",
        "main",
    ];
    names_are_right(ctx, "frames_cpp", &calls)
}

fn of_rust(ctx: &Ctx) -> Result<()> {
    let calls = [
        "<frames_rust::geometry::Circle as frames_rust::geometry::Shape>::draw",
        "frames_rust::geometry::each",
        "frames_rust::outermost",
        "frames_rust::main",
    ];
    names_are_right(ctx, "frames_rust", &calls)
}

fn of_go(ctx: &Ctx) -> Result<()> {
    let calls = [
        "main.innermost",
        "main.(*circle).draw",
        "main.each[go.shape.int64_0]",
        "main.main",
        "runtime.main",
    ];
    names_are_right(ctx, "frames_go", &calls)
}

/// Nothing but debug information tells the names.
fn stripped(ctx: &Ctx) -> Result<()> {
    let out = run(ctx, &ctx.programs.join("frames_by_id"))?;
    let all = frames(&out);
    out.check(!all.is_empty(), "there is no stack")?;
    let named = all.iter().flat_map(|frame| &frame.names).find(|name| OF_C.contains(name));
    out.check(named.is_none(), format_args!("there is a {named:?}"))
}

/// The build id of a program, in hexadecimal.
fn build_id(ctx: &Ctx, program: &Path) -> Result<String> {
    let script = script("frames_by_id", "").replace("perf", "build_id, 1");
    let out = ctx.script(&script).command(&program.display().to_string()).finish()?.success()?;
    let lines = out.lines();
    let line = lines.first().and_then(|line| line.split_once(' '));
    Ok(line.context("a build id")?.0.to_owned())
}

fn by_build_id(ctx: &Ctx) -> Result<()> {
    const FOLDER: &str = "/usr/lib/debug";
    let program = ctx.programs.join("frames_by_id");
    let id = build_id(ctx, &program)?;
    let (first, rest) = id.split_at_checked(2).context("a build id")?;
    // What is installed there is out of sight of this test alone.
    sys::unshare_mounts()?;
    std::fs::create_dir_all(FOLDER)?;
    sys::mount(c"tmpfs", FOLDER)?;
    let folder = Path::new(FOLDER).join(".build-id").join(first);
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(ctx.programs.join("frames.debug"), folder.join(format!("{rest}.debug")))?;
    let out = run(ctx, &program)?;
    let module = program.display().to_string();
    agrees(&out, &module, &ctx.programs.join("frames"), base(&out, &module)?, &OF_C)
}

fn by_debug_link(ctx: &Ctx) -> Result<()> {
    let program = ctx.dir.join("frames_by_link");
    let beside = ctx.dir.join(".debug");
    std::fs::copy(ctx.programs.join("frames_by_link"), &program)?;
    std::fs::create_dir(&beside)?;
    std::fs::copy(ctx.programs.join("frames.debug"), beside.join("frames.debug"))?;
    let out = run(ctx, &program)?;
    let module = program.display().to_string();
    agrees(&out, &module, &ctx.programs.join("frames"), base(&out, &module)?, &OF_C)
}

/// Runs a shell script, with the paths of the test's folder and of the programs in `$dir` and `$programs`.
/// What it starts goes on until the first stack was printed.
fn until_printed(ctx: &Ctx, comm: &str, how: &str) -> Result<Output> {
    let (dir, programs) = (ctx.dir.display(), ctx.programs.display());
    let text = format!("set -e\ndir={dir} programs={programs}\n{how}\n");
    let shell: PathBuf = ctx.file("run.sh", text)?;
    let script = script(comm, "exit();");
    ctx.script(&script).command(&format!("sh {}", shell.display())).finish()?.success()
}

fn in_another_mount_namespace(ctx: &Ctx) -> Result<()> {
    let how = "mkdir $dir/m; exec unshare -m sh -ec \"mount -t tmpfs none $dir/m; \
        cp $programs/frames $dir/m/frames; exec $dir/m/frames forever\"";
    let out = until_printed(ctx, "frames", how)?;
    let module = ctx.dir.join("m/frames").display().to_string();
    out.check(!Path::new(&module).exists(), "the program can be seen from here")?;
    let start = out.stderr.lines().find(|line| line.ends_with(&format!(" {module}")));
    let start = start.and_then(|line| line.split('-').next()).context("where it is mapped")?;
    let base = u64::from_str_radix(start, 16)?;
    agrees(&out, &module, &ctx.programs.join("frames"), base, &OF_C)
}

fn of_brief_processes(ctx: &Ctx) -> Result<()> {
    const PROCESSES: usize = 20;
    let program = ctx.programs.join("brief");
    let module = program.display().to_string();
    let shell = ctx.file("run.sh", format!("{module}\n").repeat(PROCESSES))?;
    let script = format!(
        r#"tracepoint:sched:sched_process_exec /comm == "brief"/ {{ @start[pid] = nsecs; }}
        {}
        tracepoint:sched:sched_process_exit /@start[pid]/ {{
            printf("lived %d\n", nsecs - @start[pid]); delete(@start, pid); }}"#,
        script("brief", "")
    );
    let out =
        ctx.script(&script).command(&format!("sh {}", shell.display())).finish()?.success()?;
    let lives: Vec<u64> =
        out.stdout.lines().filter_map(|line| line.strip_prefix("lived ")?.parse().ok()).collect();
    out.same("processes", lives.len(), PROCESSES)?;
    let shortest = lives.iter().min().copied().unwrap_or(u64::MAX);
    let brief = 1_000_000 * u64::from(ctx.patience);
    out.check(shortest < brief, format_args!("the shortest life took {shortest} ns"))?;
    let calls = ["briefly", "hurry", "_start"];
    let all = frames(&out);
    let named = |call| all.iter().filter(|frame| frame.names == [call]).count();
    out.same("stacks", calls.map(named), [PROCESSES; 3])?;
    agrees(&out, &module, &program, 0, &calls)
}

/// Fails unless the frame within the function that `jit` has made is named as that has told.
fn is_named_as_made(out: &Output) -> Result<()> {
    let made = out.stderr.lines().find_map(|line| line.strip_prefix("made "));
    let made = u64::from_str_radix(made.context("where the function is")?, 16)?;
    let all = frames(out);
    let innermost = all.first().context("a stack")?;
    out.check(innermost.address > made, "the first frame is not in the function")?;
    let offset = innermost.address - made;
    let line = format!("\t{:x} made while running+{offset} (", innermost.address);
    out.check(out.stdout.contains(&line), format_args!("there is no {line:?}"))?;
    let caller = all.get(1).map(|frame| frame.names.clone());
    out.same("the caller", caller, Some(vec!["call_made"]))
}

/// The process may have ended when its stack is printed; the file that it wrote is left.
fn made_while_running(ctx: &Ctx) -> Result<()> {
    let out = run(ctx, &ctx.programs.join("jit"))?;
    let all = frames(&out);
    let map = all.first().map(|frame| frame.module).context("a stack")?;
    is_named_as_made(&out)?;
    Ok(std::fs::remove_file(map)?)
}

/// There, the process has another number, and the file is in another /tmp.
fn made_in_other_namespaces(ctx: &Ctx) -> Result<()> {
    let how =
        "exec unshare -m -p -f sh -ec \"mount -t tmpfs none /tmp; exec $programs/jit forever\"";
    let out = until_printed(ctx, "jit", how)?;
    is_named_as_made(&out)
}
