//! Development tasks, run as `cargo xtask TASK`.

mod kinds;
mod lint;
mod process;
mod programs;
mod setup;
mod summary;
mod test;
mod vm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Development tasks.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every test: hermetic ones, live ones on this kernel, live ones on other kernels
    Test(test::Args),
    /// Boots another kernel with rbtrace in it and runs a command there; a shell without one
    Vm(vm::Args),
    /// Writes what the golden, layout and diagnostics tests expect anew, from what the compiler does
    /// now
    Bless,
    /// Writes docs/functions.md and the tables of docs/language.md anew
    Docs,
    /// Checks formatting, clippy and documentation, warnings being errors
    Lint,
}

fn main() -> ExitCode {
    let outcome = run(Cli::parse().task);
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Test(args) => test::run(&args),
        Task::Vm(args) => vm::run(&args),
        Task::Bless => {
            bless(&["golden", "ui", "fmt", "docs"])?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Docs => {
            bless(&["docs"])?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Lint => {
            lint::run()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs tests in the mode in which they write what they expect.
fn bless(tests: &[&str]) -> Result<()> {
    let names = tests.iter().flat_map(|test| ["--test", test]);
    process::run(
        workspace::cargo().args(["test", "--workspace"]).args(names).env("RBTRACE_BLESS", "1"),
    )
}
