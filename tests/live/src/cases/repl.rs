//! The prompt, its lines coming through a pipe.

use anyhow::{Result, ensure};

use crate::ctx::Ctx;
use crate::features::Feature::{Root, Uprobe};
use crate::kernel::Snapshot;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("repl/blocks_side_by_side", &[Root, Uprobe], blocks_side_by_side),
    Test::new("repl/expressions", &[Root], expressions),
    Test::new("repl/a_mistake_costs_nothing", &[Root, Uprobe], a_mistake_costs_nothing),
    Test::new("repl/detach", &[Root, Uprobe], detach),
    Test::new("repl/load_and_save", &[Root], load_and_save),
    Test::new("repl/quit_leaves_nothing", &[Root, Uprobe], quit_leaves_nothing),
];

/// A block that counts calls in `map`, as it is typed.
fn counter(ctx: &Ctx, map: &str) -> String {
    ctx.fill(&format!("uprobe:{{exe}}:live_value {{ {map} = count(); }}"))
}

/// Has `live_value` called.
fn call(ctx: &Ctx, calls: u32) -> Result<()> {
    ctx.start_workload(&["calls", &calls.to_string()])?.go()
}

fn blocks_side_by_side(ctx: &Ctx) -> Result<()> {
    let mut prompt = ctx.rbtrace().prompt()?;
    prompt.type_line(&counter(ctx, "@first"))?;
    prompt.ask(r#"printf("one %s\n", "attached")"#, "one attached")?;
    call(ctx, 7)?;
    prompt.type_line(&counter(ctx, "@second"))?;
    prompt.ask(r#"printf("two %s\n", "attached")"#, "two attached")?;
    call(ctx, 5)?;
    prompt.ask("@first", "@first: 12")?;
    prompt.ask("@second", "@second: 5")?;
    prompt.type_line(":quit")?;
    prompt.wait()?.success().map(drop)
}

fn expressions(ctx: &Ctx) -> Result<()> {
    let mut prompt = ctx.rbtrace().prompt()?;
    prompt.ask("20 * 7 + 3", "143")?;
    prompt.type_line("@kept = 21;")?;
    prompt.type_line("@kept *= 2;")?;
    prompt.ask("@kept", "@kept: 42")?;
    prompt.ask(":maps", "@kept")?;
    prompt.type_line(":clear @kept")?;
    prompt.type_line("BEGIN {")?;
    prompt.type_line("  printf(\"%s lines\\n\", \"several\");")?;
    prompt.ask("}", "several lines")?;
    prompt.ask(":help", ":detach")?;
    prompt.ask(":help bswap", "bswap(number)")?;
    prompt.type_line(":quit")?;
    prompt.wait()?.success().map(drop)
}

fn a_mistake_costs_nothing(ctx: &Ctx) -> Result<()> {
    let mut prompt = ctx.rbtrace().prompt()?;
    prompt.type_line(&counter(ctx, "@calls"))?;
    prompt.ask("prinft(1)", "printf")?;
    prompt.ask("uprobe:/no/such/file:f { @x = 1; }", "/no/such/file")?;
    prompt.ask(r#"@calls = "text""#, "@calls")?;
    call(ctx, 9)?;
    prompt.ask("@calls", "@calls: 9")?;
    prompt.type_line(":quit")?;
    prompt.wait()?.success().map(drop)
}

fn detach(ctx: &Ctx) -> Result<()> {
    let mut prompt = ctx.rbtrace().prompt()?;
    prompt.type_line(&counter(ctx, "@calls"))?;
    prompt.ask(":probes", "live_value")?;
    call(ctx, 3)?;
    prompt.type_line(":detach 1")?;
    prompt.ask(r#"printf("now %s\n", "detached")"#, "now detached")?;
    call(ctx, 4)?;
    prompt.ask("@calls", "@calls: 3")?;
    prompt.type_line(":quit")?;
    prompt.wait()?.success().map(drop)
}

fn load_and_save(ctx: &Ctx) -> Result<()> {
    let script =
        ctx.file("load.rt", "BEGIN { @loaded = 77; printf(\"%s here\\n\", \"loaded\"); }")?;
    let saved = ctx.dir.join("saved.rt");
    let mut prompt = ctx.rbtrace().prompt()?;
    prompt.ask(&format!(":load {}", script.display()), "loaded here")?;
    prompt.ask("@loaded", "@loaded: 77")?;
    prompt.type_line("interval:s:100 { @ticks = count(); }")?;
    prompt.type_line(&format!(":save {}", saved.display()))?;
    prompt.type_line(":quit")?;
    prompt.wait()?.success()?;
    let text = std::fs::read_to_string(&saved)?;
    ensure!(text.contains("interval:s:100"), "the saved script is {text:?}");
    ctx.rbtrace().arg(&saved).arg("--dry-run").finish()?.success().map(drop)
}

fn quit_leaves_nothing(ctx: &Ctx) -> Result<()> {
    let before = Snapshot::take()?;
    let mut prompt = ctx.rbtrace().prompt()?;
    prompt.type_line(&counter(ctx, "@calls"))?;
    prompt.ask(r#"printf("all %s\n", "attached")"#, "all attached")?;
    ensure!(before.new_programs()? >= 1, "no program was loaded, so that nothing is proven");
    prompt.type_line(":quit")?;
    prompt.wait()?.success()?;
    before.nothing_left(ctx.patience)
}
