//! Generated scripts: what the kernel computes against an interpreter of the typed program and,
//! where it is installed, against bpftrace.
//!
//! A script is a `BEGIN` block that prints a few dozen values of every type and fills maps. One
//! that fails is made smaller until every step less makes it pass.

pub mod compare;
pub mod generate;
pub mod interpret;
pub mod node;
pub mod rng;

use std::path::PathBuf;
use std::process::Command;

use compare::{difference, expected, observed};
use generate::Script;

/// Values that a script prints.
pub const CASES: usize = 15;

/// The longest that a failing script is made smaller for, in runs.
const MOST_RUNS: u32 = 400;

/// What runs scripts.
#[derive(Clone, Debug)]
pub struct Tracers {
    /// rbtrace.
    pub rbtrace: PathBuf,
    /// bpftrace, if it is to agree as well.
    pub bpftrace: Option<PathBuf>,
}

/// Checks the script that follows from a seed.
///
/// # Errors
///
/// What is wrong, and a small script that shows it.
pub fn check(tracers: &Tracers, seed: u64) -> Result<(), String> {
    let script = Script::generate(seed, CASES);
    let Err(first) = verdict(tracers, &script) else { return Ok(()) };
    let (script, problem) = shrink(tracers, script, first);
    Err(format!("seed {seed}: {problem}\n--- script\n{}", script.text()))
}

/// Runs a script; an error says how the tracers and the interpreter disagree.
fn verdict(tracers: &Tracers, script: &Script) -> Result<(), String> {
    let text = script.text();
    let wanted = expected(&text)?;
    let got = run(&tracers.rbtrace, &text)?;
    if let Some(problem) = difference(&wanted, &got) {
        return Err(format!("rbtrace: {problem}"));
    }
    if let Some(bpftrace) = &tracers.bpftrace {
        let got = run(bpftrace, &text)?;
        if let Some(problem) = difference(&wanted, &got) {
            return Err(format!("bpftrace: {problem}"));
        }
    }
    Ok(())
}

fn run(program: &PathBuf, script: &str) -> Result<compare::Outcome, String> {
    // The script ends by itself once it has printed all.
    let script = script.strip_suffix("}\n").map(|text| format!("{text}exit();\n}}\n"));
    let output = Command::new(program)
        .args(["-q", "-f", "json", "-e", &script.unwrap_or_default()])
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let start: String = stderr.chars().take(600).collect();
        return Err(format!("{} failed: {start}", program.display()));
    }
    observed(&String::from_utf8_lossy(&output.stdout))
}

/// The smallest script that is found to fail as the first did.
fn shrink(tracers: &Tracers, mut script: Script, mut problem: String) -> (Script, String) {
    let kind = |problem: &str| problem.split([':', ' ']).next().unwrap_or_default().to_owned();
    let first = kind(&problem);
    let mut runs = 0;
    'smaller: loop {
        for candidate in script.smaller() {
            runs += 1;
            if runs > MOST_RUNS {
                return (script, problem);
            }
            if let Err(other) = verdict(tracers, &candidate)
                && kind(&other) == first
            {
                (script, problem) = (candidate, other);
                continue 'smaller;
            }
        }
        return (script, problem);
    }
}

#[cfg(test)]
mod tests {
    use rbtrace_lang::fmt;
    use rbtrace_lang::span::Sources;

    use super::*;

    fn formatted(text: &str) -> String {
        let mut sources = Sources::default();
        let file = sources.add("generated", text);
        fmt::format(&sources, file).unwrap_or_else(|errors| panic!("{text}\n{errors:?}"))
    }

    /// The formatter makes sure by itself that the tree stays the same.
    #[test]
    fn generated_scripts_can_be_formatted() {
        for seed in 0..50 {
            let text = formatted(&Script::generate(seed, CASES).text());
            assert_eq!(formatted(&text), text, "seed {seed}");
        }
    }
}
