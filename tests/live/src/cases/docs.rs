//! The examples of the reference in `docs/`: they print what it says, byte for byte.

use anyhow::{Result, anyhow, ensure};
use rbtrace_lang::reference::examples::{How, examples};

use crate::ctx::Ctx;
use crate::features::Feature::{Btf, Root};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("docs/functions", &[Root, Btf], |ctx| {
        run(ctx, "functions.md", include_str!("../../../../docs/functions.md"))
    }),
    Test::new("docs/language", &[Root, Btf], |ctx| {
        run(ctx, "language.md", include_str!("../../../../docs/language.md"))
    }),
];

/// Runs the examples of a document that are marked so.
fn run(ctx: &Ctx, name: &str, document: &str) -> Result<()> {
    let found = examples(document).map_err(|error| anyhow!("docs/{name}: {error}"))?;
    let mut count = 0;
    for example in &found {
        let How::Run { output, errors } = &example.how else { continue };
        let words: Vec<&str> = example.words.iter().map(String::as_str).collect();
        let out = ctx.rbtrace().args(&["-e", &example.script]).args(&words).finish()?;
        let place = format!("docs/{name}:{}", example.line);
        let printed = out.stdout.trim_matches('\n');
        out.same(&format!("{place}: standard output"), printed, output.trim_matches('\n'))?;
        let said = without_count(&out.stderr);
        out.same(&format!("{place}: standard error"), said.as_str(), errors.as_str())?;
        count += 1;
    }
    ensure!(count >= 20, "only {count} examples in docs/{name} are run");
    Ok(())
}

/// Standard error without the line that says how many probes are attached.
fn without_count(text: &str) -> String {
    let lines = text.split_inclusive('\n').filter(|line| {
        let counted = line.strip_prefix("Attached ").and_then(|rest| rest.split_once(" probe"));
        counted.is_none_or(|(count, _)| count.parse::<u32>().is_err())
    });
    lines.collect()
}
