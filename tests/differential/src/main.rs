//! `rbtrace-differential RBTRACE [CASES [SEED [BPFTRACE]]]`: checks scripts with at least so many
//! printed values, seeds from SEED on.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use rbtrace_differential::{CASES, Tracers, check};

fn main() -> Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let rbtrace = PathBuf::from(args.next().context("the path of rbtrace is missing")?);
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (cases, seed) = (number(20_000)?, number(1)?);
    let tracers = Tracers { rbtrace, bpftrace: args.next().map(PathBuf::from) };
    let scripts = cases.div_ceil(CASES as u64);
    let mut failed = 0;
    for seed in seed..seed + scripts {
        if let Err(problem) = check(&tracers, seed) {
            failed += 1;
            println!("{problem}");
        }
    }
    println!("{scripts} scripts, {} values each at least: {failed} failed", CASES);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
