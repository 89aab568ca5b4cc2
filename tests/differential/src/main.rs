//! Checks generated scripts, or compiles them for a machine where that would take too long.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use rbtrace_differential::generate::{Dialect, Script};
use rbtrace_differential::{CASES, Tracers, check, prepared};

const USAGE: &str = "usage: rbtrace-differential check RBTRACE [CASES [SEED [BPFTRACE]]]
       rbtrace-differential prepare FOLDER CASES [SEED]
       rbtrace-differential prepared RBTRACE FOLDER
       rbtrace-differential show SEED

CASES is how many values the scripts print at least, SEED the first script's.";

fn main() -> Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let action = args.next().context(USAGE)?;
    let mut rest = args.collect::<Vec<_>>().into_iter();
    let problems: Vec<String> = match action.as_str() {
        "check" => {
            let rbtrace = path(&mut rest)?;
            let seeds = seeds(&mut rest)?;
            let tracers = Tracers { rbtrace, bpftrace: rest.next().map(PathBuf::from) };
            seeds
                .filter_map(|seed| check(&tracers, seed).err())
                .inspect(|p| println!("{p}"))
                .collect()
        }
        "prepare" => {
            let folder = path(&mut rest)?;
            prepared::write(&folder, seeds(&mut rest)?).map_err(|problem| anyhow!(problem))?;
            Vec::new()
        }
        "prepared" => {
            let (rbtrace, folder) = (path(&mut rest)?, path(&mut rest)?);
            run_prepared(&rbtrace, &folder)?
        }
        "show" => {
            let seed = rest.next().context(USAGE)?.parse().context("SEED")?;
            println!("{}", Script::generate(seed, CASES, Dialect::Own).text());
            Vec::new()
        }
        _ => bail!(USAGE),
    };
    if problems.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        println!("{} failed", problems.len());
        Ok(ExitCode::FAILURE)
    }
}

fn path(args: &mut impl Iterator<Item = String>) -> Result<PathBuf> {
    args.next().map(PathBuf::from).context(USAGE)
}

fn run_prepared(rbtrace: &Path, folder: &Path) -> Result<Vec<String>> {
    let seeds = prepared::seeds(folder).map_err(|problem| anyhow!(problem))?;
    let problems =
        seeds.into_iter().filter_map(|seed| prepared::check(rbtrace, folder, seed).err());
    Ok(problems.inspect(|problem| println!("{problem}")).collect())
}

/// The seeds of as many scripts as print so many values.
fn seeds(args: &mut impl Iterator<Item = String>) -> Result<std::ops::Range<u64>> {
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (cases, first) = (number(20_000)?, number(1)?);
    Ok(first..first + cases.div_ceil(CASES as u64))
}
