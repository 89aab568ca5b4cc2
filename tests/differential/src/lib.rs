//! Generated scripts: what the kernel computes against an interpreter of the typed program and,
//! where it is installed, against bpftrace.
//!
//! A script is a `BEGIN` block that prints a few dozen values of every type and fills maps. One
//! that fails is made smaller until every step less makes it pass.

pub mod compare;
pub mod generate;
pub mod interpret;
pub mod node;
pub mod prepared;
pub mod rng;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use compare::{Outcome, difference, expected};
use generate::{Dialect, Script};

/// Values that a script prints.
pub const CASES: usize = 15;

/// The longest that a failing script is made smaller for.
const PATIENCE: Duration = Duration::from_secs(60);

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
    let dialect = match tracers.bpftrace {
        Some(_) => Dialect::Shared,
        None => Dialect::Own,
    };
    let script = Script::generate(seed, CASES, dialect);
    let Err(first) = verdict(tracers, &script) else { return Ok(()) };
    let (script, problem) = shrink(tracers, script, first);
    Err(format!("seed {seed}: {problem}\n--- script\n{}", script.text()))
}

/// Runs a script; an error says how the tracers and the interpreter disagree.
fn verdict(tracers: &Tracers, script: &Script) -> Result<(), String> {
    let text = script.text();
    let wanted = expected(&text)?;
    let named = [("rbtrace", Some(&tracers.rbtrace)), ("bpftrace", tracers.bpftrace.as_ref())];
    for (name, tracer) in named {
        let Some(tracer) = tracer else { continue };
        agree(name, &wanted, tracer, &["-e".as_ref(), text.as_ref()])?;
    }
    Ok(())
}

fn agree(name: &str, wanted: &Outcome, tracer: &Path, script: &[&OsStr]) -> Result<(), String> {
    let got = match compare::run(tracer, script) {
        Err(problem) if name == "bpftrace" && has_no_answer(&problem) => return Ok(()),
        got => got?,
    };
    difference(wanted, &got).map_or(Ok(()), |problem| Err(format!("{name}: {problem}")))
}

/// Whether bpftrace could not run a script at all: LLVM has no room for what is kept on the stack, or
/// the kernel's verifier refuses its program.
fn has_no_answer(problem: &str) -> bool {
    ["stack limit is exceeded", "Error loading BPF program"].iter().any(|why| problem.contains(why))
}

/// The smallest script that is found to fail as the first did.
fn shrink(tracers: &Tracers, mut script: Script, mut problem: String) -> (Script, String) {
    let kind = |problem: &str| problem.split([':', ' ']).next().unwrap_or_default().to_owned();
    let first = kind(&problem);
    let deadline = Instant::now() + PATIENCE;
    'smaller: loop {
        for candidate in script.smaller() {
            if Instant::now() > deadline {
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
            let text = formatted(&Script::generate(seed, CASES, Dialect::Own).text());
            assert_eq!(formatted(&text), text, "seed {seed}");
        }
    }
}
