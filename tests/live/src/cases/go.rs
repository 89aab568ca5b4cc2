//! Functions of Go: arguments in the registers that Go has for them, and returns from stacks that move.

use anyhow::Result;

use crate::ctx::{Ctx, Run};
use crate::features::Feature::{Root, Uprobe};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("go/arguments_by_number", &[Root, Uprobe], arguments_by_number),
    Test::new("go/arguments_by_name", &[Root, Uprobe], arguments_by_name),
    Test::new("go/all_arguments", &[Root, Uprobe], all_arguments),
    Test::new("go/strings", &[Root, Uprobe], strings),
    Test::new("go/structs_and_slices", &[Root, Uprobe], structs_and_slices),
    Test::new("go/arguments_on_the_stack", &[Root, Uprobe], arguments_on_the_stack),
    Test::new("go/methods_and_generics", &[Root, Uprobe], methods_and_generics),
    Test::new("go/results", &[Root, Uprobe], results),
    Test::new("go/returns_of_many", &[Root, Uprobe], returns_of_many),
    Test::new("go/moving_stacks", &[Root, Uprobe], moving_stacks),
    Test::new("go/never_returns", &[Root, Uprobe], never_returns),
];

/// What one round of `frames_go` calls: see its source.
const ROUNDS: i64 = 10;

/// rbtrace with a script while `frames_go` does its rounds; `{go}` in it is the path of the program.
fn script<'a>(ctx: &'a Ctx, script: &str) -> Run<'a> {
    let program = ctx.programs.join("frames_go").display().to_string();
    let script = script.replace("{go}", &program);
    ctx.script(&script).command(&format!("{program} {ROUNDS}"))
}

fn arguments_by_number(ctx: &Ctx) -> Result<()> {
    let text = r#"uprobe:{go}:main.add { printf("%d %d %d\n", arg0, arg1, (int8)arg2); }"#;
    let out = script(ctx, text).finish()?.success()?;
    out.lines_are(&(0..ROUNDS).map(|i| format!("{i} 2 -3")).collect::<Vec<_>>())
}

fn arguments_by_name(ctx: &Ctx) -> Result<()> {
    let text = r#"uprobe:{go}:main.add { printf("%d %d %d\n", args.a, args.b, args.c); }"#;
    let out = script(ctx, text).finish()?.success()?;
    out.lines_are(&(0..ROUNDS).map(|i| format!("{i} 2 -3")).collect::<Vec<_>>())
}

fn all_arguments(ctx: &Ctx) -> Result<()> {
    let out = script(ctx, "uprobe:{go}:main.add { print(args); }").finish()?.success()?;
    out.lines_are(
        &(0..ROUNDS).map(|i| format!("{{ .a = {i}, .b = 2, .c = -3 }}")).collect::<Vec<_>>(),
    )
}

fn strings(ctx: &Ctx) -> Result<()> {
    // The number in a floating-point register is in nobody's way.
    let text = r#"uprobe:{go}:main.greet {
        printf("%s %d %d %d %s %s\n", str(args.name), args.name.len, args.times, args.loud,
            str(args.name, 3), str(args.name.str, 2)); }"#;
    let out = script(ctx, text).finish()?.success()?;
    out.lines_are(&(0..ROUNDS).map(|i| format!("name{i} 5 {i} 1 na n")).collect::<Vec<_>>())
}

fn structs_and_slices(ctx: &Ctx) -> Result<()> {
    let text = r#"uprobe:{go}:main.total {
        printf("%d %d %d|", args.numbers.len, args.numbers.cap, args.numbers.array[2]);
        printf("%d %d %d\n", args.at.x, args.at.y, args.at.z); }"#;
    let out = script(ctx, text).finish()?.success()?;
    out.lines_are(&(0..ROUNDS).map(|i| format!("3 3 {i}|7 {i} 1")).collect::<Vec<_>>())
}

fn arguments_on_the_stack(ctx: &Ctx) -> Result<()> {
    let text = r#"uprobe:{go}:main.many {
        printf("%d %d %d %d %d\n", args.a, args.i, args.j, args.k, args.l); }"#;
    let out = script(ctx, text).finish()?.success()?;
    out.lines_are(&(0..ROUNDS).map(|i| format!("1 9 10 11 {i}")).collect::<Vec<_>>())
}

fn methods_and_generics(ctx: &Ctx) -> Result<()> {
    let text = r#"uprobe:{go}:"main.each[go.shape.int64_0]" { printf("%s %d\n", str(args.c.name), args.times); }
        uprobe:{go}:"main.(*circle).draw" { printf("%s %d\n", str(args.c.name), args.at.x); }"#;
    script(ctx, text).finish()?.success()?.lines_are(&["circle 1", "circle 0"])
}

fn results(ctx: &Ctx) -> Result<()> {
    // Three places to return from; the second result is not nil where there is an error.
    let text =
        r#"uretprobe:{go}:main.divide { printf("%d %d\n", (int64)retval, reg("bx") != 0); }"#;
    let out = script(ctx, text).finish()?.success()?;
    let expected = (0..ROUNDS).map(|i| match i % 3 {
        0 => "-1 1".to_owned(),
        divisor => format!("{} 0", i / divisor),
    });
    out.lines_are(&expected.collect::<Vec<_>>())
}

fn returns_of_many(ctx: &Ctx) -> Result<()> {
    let text = "uretprobe:{go}:main.add, uretprobe:{go}:main.gr*, uretprobe:{go}:main.total {
        @[func] = count(); @s[func] = sum((int64)retval); }";
    let out = script(ctx, text).json().finish()?.success()?;
    let indices: i64 = (0..ROUNDS).sum();
    for (name, sum) in [
        ("main.add", indices - ROUNDS),
        ("main.greet", 5 * indices),
        ("main.total", indices + 10 * ROUNDS),
    ] {
        out.same(name, out.number_at("@", name)?, ROUNDS)?;
        out.same(name, out.number_at("@s", name)?, sum)?;
    }
    Ok(())
}

/// Stacks that move with a return address of the kernel's on them end the program, and functions that find
/// them too small begin anew.
fn moving_stacks(ctx: &Ctx) -> Result<()> {
    let text = "uprobe:{go}:main.deep { @calls = count(); @sum = sum(arg0); }
        uretprobe:{go}:main.deep { @returns = count(); }";
    let out = script(ctx, text).json().finish()?.success()?;
    out.same("calls", out.number("@calls")?, 501 * ROUNDS)?;
    out.same("the sum of the arguments", out.number("@sum")?, ROUNDS * (0..=500).sum::<i64>())?;
    out.same("returns", out.number("@returns")?, 501 * ROUNDS)?;
    out.check(!out.stderr.contains("fatal error"), "the program failed")
}

fn never_returns(ctx: &Ctx) -> Result<()> {
    let out =
        script(ctx, "uretprobe:{go}:runtime.panicdivide { @ = count(); }").finish()?.exited(1)?;
    out.complains("no instruction in runtime.panicdivide returns")
}
