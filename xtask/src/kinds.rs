//! Which kinds of probes work on which kernel: docs/kernels.md.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::setup::kernel::Kernel;
use crate::summary::{Outcome, Summary};
use crate::workspace;

/// What the names of the tests of kinds begin with.
const PREFIX: &str = "kinds/";

const INTRODUCTION: &str = "\
# Kinds of probes by kernel

What each kind does on Debian's kernels, in virtual machines without counters of the processor. A test
a kind compares what a script says with what a workload did; where the kernel lacks something, it checks
that the script is refused with this reason. `cargo xtask test --live kinds/ --write-kernels` writes this
table, a whole run of the tests compares it. What another kernel can do, `rbtrace --info` tells there.

";

/// A table in Markdown: a row a kind, a column a place. Empty where no kind was tried.
pub fn table(summary: &Summary, places: &[String]) -> String {
    let Some(first) = places.first() else { return String::new() };
    let kinds: Vec<&str> = summary.group(PREFIX, first).map(|(kind, _)| kind).collect();
    if kinds.is_empty() {
        return String::new();
    }
    let columns: Vec<Vec<String>> = places
        .iter()
        .map(|place| summary.group(PREFIX, place).map(|(_, outcome)| cell(outcome)).collect())
        .collect();
    let names: Vec<String> = kinds.iter().map(|kind| kind.replace('_', " ")).collect();
    let mut text = row("kind", places);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "|{}", "---|".repeat(places.len() + 1));
    for (index, name) in names.iter().enumerate() {
        let cells: Vec<String> = columns.iter().map(|column| column[index].clone()).collect();
        text += &row(name, &cells);
    }
    text
}

fn row(name: &str, cells: &[String]) -> String {
    format!("| {name} | {} |\n", cells.join(" | "))
}

fn cell(outcome: Option<&Outcome>) -> String {
    match outcome {
        None => "-".to_owned(),
        Some(Outcome::Ok(note)) if note.is_empty() => "yes".to_owned(),
        Some(Outcome::Ok(note)) => note.clone(),
        Some(Outcome::Failed(_)) => "FAILED".to_owned(),
        Some(Outcome::Missing(feature)) => format!("missing {feature}"),
    }
}

/// The document, of the kernels of virtual machines.
fn document(summary: &Summary) -> Result<String> {
    let kernels = [Kernel::V6_1, Kernel::V6_12, Kernel::V7_2].map(|k| k.version().to_owned());
    for kernel in &kernels {
        ensure!(summary.places().contains(kernel), "Linux {kernel} was not tried");
    }
    Ok(format!("{INTRODUCTION}{}", table(summary, &kernels)))
}

fn path() -> PathBuf {
    workspace::root().join("docs/kernels.md")
}

/// Writes the document anew.
pub fn write(summary: &Summary) -> Result<()> {
    std::fs::write(path(), document(summary)?).context("docs/kernels.md")
}

/// Fails unless the document says what became of the kinds.
pub fn check(summary: &Summary) -> Result<()> {
    let written = std::fs::read_to_string(path()).context("docs/kernels.md")?;
    if written != document(summary)? {
        bail!("it says otherwise; cargo xtask test --live kinds/ --write-kernels writes it anew");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_say_what_was_noted() {
        let mut summary = Summary::default();
        for place in ["a", "b"] {
            summary.add_place(place);
        }
        summary.add("a", "kinds/x_y", Outcome::Ok(String::new()));
        summary.add("b", "kinds/x_y", Outcome::Ok("no: why".into()));
        summary.add("a", "other/z", Outcome::Ok(String::new()));
        let places = ["a", "b"].map(str::to_owned);
        let expected = "| kind | a | b |\n|---|---|---|\n| x y | yes | no: why |\n";
        assert_eq!(table(&summary, &places), expected);
    }
}
