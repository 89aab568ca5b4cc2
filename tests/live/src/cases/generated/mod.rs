//! Scripts made at random, the same in every run, against what an evaluator here makes of them.
//! `RBTRACE_GENERATED` is how many scripts each test makes, `RBTRACE_GENERATED_SEED` where they
//! start.

mod expr;
mod make;
mod values;

use std::fmt::Display;

use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value, json};

use crate::ctx::{Ctx, Run};
use crate::features::Feature::{Root, Uprobe};
use crate::output::Output;
use crate::runner::Test;
use expr::{Expr, INPUTS, Rng, SIGNED, State, name};
use make::{MAPS, Maker};

pub const TESTS: &[Test] = &[
    Test::new("generated/expressions", &[Root, Uprobe], expressions),
    Test::new("generated/conditions", &[Root, Uprobe], conditions),
    Test::new("generated/blocks", &[Root, Uprobe], blocks),
    Test::new("generated/nested_ranges", &[Root, Uprobe], nested_ranges),
    Test::new("generated/tuples", &[Root, Uprobe], values::tuples),
    Test::new("generated/strings", &[Root, Uprobe], values::strings),
    Test::new("generated/aggregations", &[Root, Uprobe], values::aggregations),
];

/// How many scripts a test makes when it is not told.
const SCRIPTS: u64 = 3;
/// How often a block runs, each time with other inputs.
const ROUNDS: usize = 8;

fn setting(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
        Err(_) => Ok(default),
    }
}

/// Calls `test` with the seed of each script.
fn each_seed(mut test: impl FnMut(u64) -> Result<()>) -> Result<()> {
    let first = setting("RBTRACE_GENERATED_SEED", 1)?;
    for seed in first..first + setting("RBTRACE_GENERATED", SCRIPTS)? {
        test(seed).with_context(|| format!("with RBTRACE_GENERATED_SEED={seed}"))?;
    }
    Ok(())
}

/// Runs a script that must get past the verifier; a failure shows all of it.
fn finish(run: Run<'_>, script: &str) -> Result<Output> {
    let whole = |error| anyhow!("{error}\n--- script\n{script}");
    let out = run.finish()?.success().map_err(whole)?;
    out.check(!out.stderr.contains("rejected"), "rejected").map_err(whole)?;
    Ok(out)
}

/// Inputs for [`ROUNDS`] runs of a block.
fn inputs(rng: &mut Rng) -> Vec<[u64; INPUTS]> {
    (0..ROUNDS).map(|_| std::array::from_fn(|_| expr::input(rng))).collect()
}

/// Runs `body` once for each of `inputs`, which are in its variables, as JSON. What is printed
/// must be `expected`; `what` says what each text is.
fn run_block(
    ctx: &Ctx,
    body: &str,
    inputs: &[[u64; INPUTS]],
    expected: &[(String, String)],
) -> Result<Output> {
    let load: String = (0..INPUTS)
        .map(|at| {
            let ty = if at < SIGNED { "int64" } else { "uint64" };
            format!("{} = ({ty})@in[{at}]; ", name(at))
        })
        .collect();
    let script = format!(
        "BEGIN {{ @seen = (int64)0; }}
uprobe:{{exe}}:live_value {{
@seen++; @in[@seen % {INPUTS}] = (uint64)arg0; if (@seen % {INPUTS} != 0) {{ return; }}
{load}
{body}}}
END {{ clear(@in); clear(@seen); }}"
    );
    // The last of a round is at index 0.
    let values: Vec<i64> = inputs
        .iter()
        .flat_map(|round| round.iter().cycle().skip(1).take(INPUTS).map(|value| *value as i64))
        .collect();
    let file = ctx.values(&values)?;
    let workload = format!("values {}", file.display());
    let out = finish(ctx.script(&script).json().workload(&workload), &script)?;
    let printed = out.printed()?;
    for (round, (got, (what, wanted))) in printed.iter().zip(expected).enumerate() {
        if got != wanted {
            return Err(anyhow!(
                "text {round} is {got:?}, expected {wanted:?}: {what}\ninputs {inputs:?}\n{script}"
            ));
        }
    }
    out.same("the number of texts", printed.len(), expected.len())?;
    Ok(out)
}

/// A map as JSON has it; nothing if it was empty.
fn map_of(out: &Output, name: &str) -> Value {
    exact(out.map(name).unwrap_or_else(|_| json!({})))
}

/// Numbers that JSON output quotes since readers would round them, as numbers.
fn exact(value: Value) -> Value {
    match value {
        Value::String(text) => match (text.parse::<i64>(), text.parse::<u64>()) {
            (Ok(number), _) => json!(number),
            (_, Ok(number)) => json!(number),
            _ => Value::String(text),
        },
        Value::Array(members) => members.into_iter().map(exact).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, exact(value))).collect()
        }
        other => other,
    }
}

/// How printf shows a number: `%lld` or `%llu`.
fn shown(signed: bool, value: u64) -> String {
    if signed { (value as i64).to_string() } else { value.to_string() }
}

fn format_of(signed: bool) -> &'static str {
    if signed { "%lld" } else { "%llu" }
}

/// Prints `exprs` in groups, so that many values are alive at once, and compares.
fn print_all(ctx: &Ctx, maker: &mut Maker, exprs: &[Expr]) -> Result<()> {
    let groups: Vec<&[Expr]> = exprs.chunks(6).collect();
    let mut body = String::new();
    for group in &groups {
        let formats: Vec<&str> = group.iter().map(|e| format_of(e.signed())).collect();
        let args: Vec<String> = group.iter().map(Expr::text).collect();
        body += &format!("printf(\"{}\\n\", {});\n", formats.join(" "), args.join(", "));
    }
    let inputs = inputs(&mut maker.rng);
    let mut expected = Vec::new();
    for round in &inputs {
        let mut state = State { vars: round.to_vec(), ..State::default() };
        for group in &groups {
            let values: Vec<String> =
                group.iter().map(|e| shown(e.signed(), e.eval(&mut state))).collect();
            let texts: Vec<String> = group.iter().map(Expr::text).collect();
            let what = format!("{}\ninputs {round:?}", texts.join("\n"));
            expected.push((what, values.join(" ") + "\n"));
        }
    }
    run_block(ctx, &body, &inputs, &expected).map(drop)
}

fn expressions(ctx: &Ctx) -> Result<()> {
    each_seed(|seed| {
        let mut maker = Maker::new(seed);
        maker.effects = seed % 2 == 0;
        let exprs: Vec<Expr> = (0..18)
            .map(|at| {
                let signed = maker.rng.once_in(2);
                maker.typed(signed, 2 + at % 3)
            })
            .collect();
        print_all(ctx, &mut maker, &exprs)
    })
}

fn conditions(ctx: &Ctx) -> Result<()> {
    each_seed(|seed| {
        let mut maker = Maker::new(seed ^ 0x100);
        maker.effects = seed % 2 == 1;
        let exprs: Vec<Expr> = (0..12)
            .map(|at| Expr::Cast { bytes: 8, signed: true, of: Box::new(maker.cond(1 + at % 3)) })
            .collect();
        print_all(ctx, &mut maker, &exprs)
    })
}

fn blocks(ctx: &Ctx) -> Result<()> {
    each_seed(|seed| {
        let mut maker = Maker::new(seed ^ 0x200);
        (maker.effects, maker.maps) = (true, true);
        let stmts = maker.block(7, 2);
        let formats: Vec<&str> = (0..INPUTS).map(|var| format_of(var < SIGNED)).collect();
        let names: Vec<String> = (0..INPUTS).map(name).collect();
        let body = format!(
            "{}printf(\"{}\\n\", {});\n",
            make::text(&stmts),
            formats.join(" "),
            names.join(", ")
        );
        // Every map is there, whatever was generated.
        let mention: String = ["@m0", "@m1[9]", "@m2[9, \"\"]", "@m3[9, 9, \"\"]", "@m4[\"\"]"]
            .map(|map| format!("{map} = (int64)0;\n"))
            .concat();
        let body = mention + &body;
        let inputs = inputs(&mut maker.rng);
        let mut state = State::default();
        let mut expected = Vec::new();
        for round in &inputs {
            for (map, key) in [(0, ""), (1, "9"), (2, "9,"), (3, "9,9,"), (4, "")] {
                state.maps.insert((map, key.to_owned()), 0);
            }
            state.vars = round.to_vec();
            state.vars.resize(maker.vars, 0);
            make::run(&stmts, &mut state);
            let values: Vec<String> =
                (0..INPUTS).map(|var| shown(var < SIGNED, state.vars[var])).collect();
            expected.push((format!("inputs {round:?}"), values.join(" ") + "\n"));
        }
        let out = run_block(ctx, &body, &inputs, &expected)?;
        for map in 0..MAPS.len() {
            let entries = state.maps.iter().filter(|((of, _), _)| *of == map);
            let entries: Map<String, Value> =
                entries.map(|((_, key), value)| (key.clone(), json!(*value as i64))).collect();
            let truth = match (map, entries.get("")) {
                (0, Some(value)) => value.clone(),
                _ => Value::Object(entries),
            };
            let got = map_of(&out, &format!("@m{map}"));
            same(&format!("@m{map}"), &got, &truth, &body)?;
        }
        Ok(())
    })
}

/// A loop within a loop, both of them run by the kernel, sees the variable of the outer one.
fn nested_ranges(ctx: &Ctx) -> Result<()> {
    let script = r#"uprobe:{exe}:live_args { for ($i : 0..arg0) { for ($j : 0..arg1) {
        printf("%d %d\n", $i, $j); } printf("%d\n", $i); } }"#;
    let out = ctx.script(script).workload("args 2 2 0 0 0 0").finish()?.success()?;
    out.lines_are(&["0 0", "0 1", "0", "1 0", "1 1", "1"])
}

/// Fails unless the two are equal, and shows the script.
fn same<T: PartialEq + Display + ?Sized>(what: &str, got: &T, truth: &T, body: &str) -> Result<()> {
    if got == truth {
        return Ok(());
    }
    Err(anyhow!("{what} is\n{got}\nexpected\n{truth}\n--- script\n{body}"))
}
