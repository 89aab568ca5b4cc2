//! User stacks without frame pointers: `dw_ustack()` finds the calls that the program made.

use anyhow::Result;

use crate::ctx::{Ctx, Run, go_together};
use crate::features::Feature::{LibcShared, Root, Tracepoint, Uprobe};
use crate::output::Output;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("unwind/a_command", &[Root, Uprobe, LibcShared], a_command),
    Test::new("unwind/equal_stacks_are_one_key", &[Root, Uprobe, LibcShared], one_key),
    Test::new("unwind/a_running_process", &[Root, Uprobe, LibcShared], a_running_process),
    Test::new("unwind/a_named_process_and_others", &[Root, Uprobe, LibcShared], named_and_others),
    Test::new("unwind/needs_a_process", &[Root], needs_a_process),
    Test::new("unwind/limit_and_modes", &[Root, Uprobe, LibcShared], limit_and_modes),
    Test::new("unwind/as_by_frame_pointers", &[Root, Uprobe, LibcShared], as_by_frame_pointers),
    Test::new("unwind/in_a_system_call", &[Root, Tracepoint, LibcShared], in_a_system_call),
    Test::new("unwind/samples", &[Root, LibcShared], samples),
    Test::new("unwind/through_a_signal", &[Root, Uprobe, LibcShared], through_a_signal),
    Test::new("unwind/under_return_probes", &[Root, Uprobe, LibcShared], under_return_probes),
    Test::new("unwind/a_library_mapped_later", &[Root, Uprobe, LibcShared], a_late_library),
    Test::new("unwind/a_child", &[Root, Uprobe, LibcShared], a_child),
    Test::new("unwind/many_at_once", &[Root, Uprobe, LibcShared], many_at_once),
    Test::new("unwind/in_loops_and_values", &[Root, Uprobe, LibcShared], in_loops_and_values),
];

/// The calls that lead to `chain_four`, the innermost first.
const CHAIN: [&str; 5] = ["chain_four", "chain_three", "chain_two", "chain_one", "main"];
/// Where every stack ends that is whole.
const OUTERMOST: &str = "_start";
const NO_DATA: &str = "No DWARF unwind data available for this process";

/// rbtrace with a script; `{unwound}` in it is the path of the program.
fn script<'a>(ctx: &'a Ctx, script: &str) -> Run<'a> {
    let script = script.replace("{unwound}", &program(ctx));
    ctx.script(&format!("config = {{ unstable_dw_ustack=enable; show_debug_info=0 }} {script}"))
}

fn program(ctx: &Ctx) -> String {
    ctx.programs.join("unwound").display().to_string()
}

fn run(ctx: &Ctx, text: &str, arguments: &str) -> Result<Output> {
    let command = format!("{} {arguments}", program(ctx));
    script(ctx, text).command(&command).finish()?.success()
}

/// The names of functions in lines of a stack.
fn names<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let name = |line: &'a str| line.trim().split('+').next();
    lines.into_iter().filter(|line| line.starts_with([' ', '\t'])).filter_map(name).collect()
}

/// Confirms that a stack has the chain first and is whole.
fn is_whole(out: &Output, found: &[&str]) -> Result<()> {
    out.check(found.starts_with(&CHAIN), format_args!("the calls are {found:?}"))?;
    out.check(found.last() == Some(&OUTERMOST), format_args!("the last call is not {OUTERMOST}"))
}

fn a_command(ctx: &Ctx) -> Result<()> {
    let out = run(ctx, "uprobe:{unwound}:chain_four { print(dw_ustack); }", "chain 1")?;
    out.check(out.stderr.lines().count() <= 1, "there are warnings")?;
    is_whole(&out, &names(out.stdout.lines()))
}

fn one_key(ctx: &Ctx) -> Result<()> {
    let text = "uprobe:{unwound}:chain_four { @[dw_ustack(raw)] = count(); }";
    let calls = ctx.scaled(20_000);
    let command = format!("{} chain {calls}", program(ctx));
    let out = script(ctx, text).json().command(&command).finish()?.success()?;
    out.same("counts", out.counts("@")?, vec![calls])
}

fn a_running_process(ctx: &Ctx) -> Result<()> {
    let process = ctx.start_program("unwound", &["chain", "3"])?;
    let text = "uprobe:{unwound}:chain_four { @[dw_ustack()] = count(); }";
    let session = script(ctx, text).args(&["-p", &process.pid().to_string()]).start()?;
    process.go()?;
    let out = session.wait()?.success()?;
    is_whole(&out, &names(out.stdout.lines()))?;
    out.has_line("]: 3")
}

fn named_and_others(ctx: &Ctx) -> Result<()> {
    let named = ctx.start_program("unwound", &["chain", "2"])?;
    let other = ctx.start_program("unwound", &["chain", "5"])?;
    let text = "uprobe:{unwound}:chain_four { @n[pid] = count(); @[pid, dw_ustack()] = count(); }";
    let pid = named.pid().to_string();
    let mut session = script(ctx, text).args(&["--dwarf-pid", &pid]).start()?;
    named.go()?;
    let unknown = other.pid();
    other.go()?;
    session.wait_for_error(NO_DATA)?;
    let out = session.interrupt()?.success()?;
    out.has_line(&format!("@n[{pid}]: 2"))?;
    out.has_line(&format!("@n[{unknown}]: 5"))?;
    out.same("warnings", out.stderr.matches(NO_DATA).count(), 1)?;
    let lines = out.stdout.lines().skip_while(|line| *line != format!("@[{pid}, "));
    is_whole(&out, &names(lines.take_while(|line| !line.starts_with(']'))))
}

fn needs_a_process(ctx: &Ctx) -> Result<()> {
    let out = script(ctx, "interval:s:1 { print(dw_ustack()); }").finish()?.exited(1)?;
    out.complains("dw_ustack requires a target process")?;
    out.complains("-p, -c or --dwarf-pid")?;
    let out = script(ctx, "interval:s:1 { print(dw_ustack()); }");
    out.args(&["--dwarf-pid", "4194303"]).finish()?.exited(1)?.complains("no process 4194303")
}

fn limit_and_modes(ctx: &Ctx) -> Result<()> {
    let text = "uprobe:{unwound}:chain_four { print(len(dw_ustack(3))); print(dw_ustack(perf, 2));
        print(dw_ustack(raw, 2)); }";
    let out = run(ctx, text, "chain 1")?;
    let lines = out.lines();
    out.same("the length", lines.first().copied(), Some("3"))?;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let perf: Vec<Vec<String>> = lines.iter().skip(1).take(2).map(|line| words(line)).collect();
    let raw: Vec<&str> = lines.iter().skip(3).copied().collect();
    let address = |at: usize| perf.get(at).and_then(|words| words.first()).map(String::as_str);
    out.same("addresses", raw, [address(0), address(1)].into_iter().flatten().collect())?;
    let named = |at: usize, name: &str| {
        perf.get(at).and_then(|words| words.get(1)).is_some_and(|word| word.starts_with(name))
    };
    out.check(named(0, "chain_four+0") && named(1, "chain_three+"), "the frames are not named")
}

fn as_by_frame_pointers(ctx: &Ctx) -> Result<()> {
    let text = "uprobe:{unwound}:framed_place {
        @pointers[ustack(raw, 3)] = count(); @data[dw_ustack(raw, 3)] = count(); }";
    let command = format!("{} framed 10", program(ctx));
    let out = script(ctx, text).json().command(&command).finish()?.success()?;
    out.same("stacks", out.map("@data")?.to_string(), out.map("@pointers")?.to_string())?;
    let text = "uprobe:{unwound}:framed_place { print(dw_ustack(2)); }";
    let out = run(ctx, text, "framed 1")?;
    out.same("calls", names(out.stdout.lines()), vec!["framed_place", "framed_one"])
}

fn in_a_system_call(ctx: &Ctx) -> Result<()> {
    let text = r#"tracepoint:syscalls:sys_enter_getppid /comm == "unwound"/ {
        @[dw_ustack()] = count(); }"#;
    let out = run(ctx, text, "parent 7")?;
    let found = names(out.stdout.lines());
    out.check(found.get(1..3) == Some(&["ask_parent", "main"]), format_args!("{found:?}"))?;
    out.check(found.last() == Some(&OUTERMOST), format_args!("{found:?}"))?;
    out.has_line("]: 7")
}

/// Wherever a function is interrupted, its callers are found.
fn samples(ctx: &Ctx) -> Result<()> {
    let milliseconds = 1000 * u64::from(ctx.patience);
    let out = run(
        ctx,
        "profile:hz:999 { @[dw_ustack(perf)] = count(); }",
        &format!("spin {milliseconds}"),
    )?;
    let mut seen = 0;
    for stack in out.stdout.split("@[\n").skip(1) {
        let has = |name: &str| stack.lines().any(|line| line.contains(&format!(" {name}+")));
        if has("burn") || has("burn_a_while") {
            seen += 1;
            let whole = (!has("burn") || has("burn_a_while")) && has("main") && has(OUTERMOST);
            out.check(whole, format_args!("a stack lacks calls: {stack}"))?;
        }
    }
    out.check(seen > 1, "there are no samples")
}

fn through_a_signal(ctx: &Ctx) -> Result<()> {
    let out = run(ctx, "uprobe:{unwound}:chain_four { print(dw_ustack()); }", "signal")?;
    let found = names(out.stdout.lines());
    let handler = [&CHAIN[..4], &["handle"]].concat();
    out.check(found.starts_with(&handler), format_args!("the calls are {found:?}"))?;
    let interrupted = found.iter().position(|name| *name == "interrupted");
    let before = interrupted.and_then(|at| found.get(at + 1));
    out.same("what called the function that was interrupted", before, Some(&"main"))?;
    out.check(found.last() == Some(&OUTERMOST), format_args!("{found:?}"))
}

/// Return probes put an address of their own in place of the one to return to.
fn under_return_probes(ctx: &Ctx) -> Result<()> {
    let text = "uprobe:{unwound}:chain_four { @[dw_ustack()] = count(); }
        uretprobe:{unwound}:chain_* { @returns = count(); }";
    let out = run(ctx, text, "chain 5")?;
    is_whole(&out, &names(out.stdout.lines()))?;
    out.has_line("]: 5")?;
    out.has_line("@returns: 20")
}

/// Ends with the first whole stack, which has so many frames and those of its surroundings.
const FIRST_WHOLE: &str = "uprobe:{unwound}:chain_four {
    $stack = dw_ustack(); if (len($stack) >= FRAMES) { print($stack); exit(); } }";

fn a_late_library(ctx: &Ctx) -> Result<()> {
    let library = ctx.programs.join("late.so");
    let text = FIRST_WHOLE.replace("FRAMES", "7");
    let out = run(ctx, &text, &format!("late {}", library.display()))?;
    let found = names(out.stdout.lines());
    let expected = [&CHAIN[..4], &["late_call", "call_late", "main"]].concat();
    // The compiler may have put one of them into another.
    let expected: Vec<&str> = expected.into_iter().filter(|name| found.contains(name)).collect();
    out.check(found.starts_with(&expected), format_args!("the calls are {found:?}"))?;
    out.check(found.contains(&"late_call"), format_args!("the calls are {found:?}"))?;
    out.check(found.last() == Some(&OUTERMOST), format_args!("{found:?}"))
}

fn a_child(ctx: &Ctx) -> Result<()> {
    let mut process = ctx.start_program("unwound", &["child"])?;
    let text = FIRST_WHOLE.replace("FRAMES", "7");
    let session = script(ctx, &text).args(&["--dwarf-pid", &process.pid().to_string()]).start()?;
    process.release();
    let out = session.wait()?.success()?;
    is_whole(&out, &names(out.stdout.lines()))
}

/// Where the kernel may preempt a program, others run it meanwhile.
fn many_at_once(ctx: &Ctx) -> Result<()> {
    const PROCESSES: usize = 6;
    let calls = ctx.scaled(20_000);
    let arguments = ["chain", &calls.to_string()];
    let processes: Vec<_> =
        (0..PROCESSES).map(|_| ctx.start_program("unwound", &arguments)).collect::<Result<_>>()?;
    let text = "uprobe:{unwound}:chain_four { @[dw_ustack(raw, 5)] = count(); }
        uprobe:{unwound}:chain_three { @three[dw_ustack(raw, 4)] = count(); }";
    let mut run = script(ctx, text).json();
    for process in &processes {
        run = run.args(&["--dwarf-pid", &process.pid().to_string()]);
    }
    let session = run.start()?;
    go_together(processes)?;
    let out = session.interrupt()?.success()?;
    // Each process has its own addresses.
    for map in ["@", "@three"] {
        out.same(map, out.counts(map)?, vec![calls; PROCESSES])?;
    }
    Ok(())
}

/// However much else a program does with its stack.
fn in_loops_and_values(ctx: &Ctx) -> Result<()> {
    let text = r#"uprobe:{unwound}:chain_four {
            @all[1] = 1; @all[2] = 2;
            for ($kv : @all) { @map[$kv.0, dw_ustack(raw, 3)] = count(); }
            for ($i : 0..arg0) { @range[dw_ustack(raw, 3), ustack(raw, 1), str("text")] = count(); }
            $stack = dw_ustack(raw, 3);
            @value = ($stack, comm, arg0);
            if (arg0 == 2) { @last = dw_ustack(raw, 3); }
            printf("%d %s\n", len($stack), comm);
        }"#;
    let out = run(ctx, text, "chain 3")?;
    let lines: Vec<&str> = out.lines().into_iter().take(3).collect();
    out.same("lengths", lines, vec!["3 unwound"; 3])?;
    // Calls have the arguments 2, 3 and 4.
    out.same("rounds over a map", out.stdout.matches("]: 3\n").count(), 2)?;
    out.same("rounds over a range", out.stdout.matches(", text]: 9\n").count(), 1)
}
