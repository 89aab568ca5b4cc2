//! Generated scripts against an interpreter of the typed program; see `tests/differential`.
//! `RBTRACE_DIFFERENTIAL` is how many values all of these tests together print.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use rbtrace_differential::{CASES, Tracers, check, prepared};

use crate::ctx::Ctx;
use crate::features::Feature::Root;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("differential/programs_0", &[Root], programs::<0>),
    Test::new("differential/programs_1", &[Root], programs::<1>),
    Test::new("differential/programs_2", &[Root], programs::<2>),
    Test::new("differential/programs_3", &[Root], programs::<3>),
    Test::new("differential/programs_4", &[Root], programs::<4>),
    Test::new("differential/programs_5", &[Root], programs::<5>),
    Test::new("differential/programs_6", &[Root], programs::<6>),
    Test::new("differential/programs_7", &[Root], programs::<7>),
    Test::new("differential/programs_8", &[Root], programs::<8>),
    Test::new("differential/programs_9", &[Root], programs::<9>),
];

/// Tests above.
const PARTS: u64 = 10;

/// Scripts of each test that bpftrace runs as well, where there is one: it takes much longer.
const BESIDE: usize = 8;

/// Values that all of them print where nothing else is said.
const VALUES: u64 = 20_000;

/// The scripts whose seeds end in `PART`: those that were prepared, if any were.
fn programs<const PART: u64>(ctx: &Ctx) -> Result<()> {
    let outcome = match &ctx.prepared {
        Some(folder) => {
            let seeds = prepared::seeds(folder).map_err(|problem| anyhow!(problem))?;
            let mut ours = seeds.into_iter().filter(|seed| seed % PARTS == PART);
            ours.try_for_each(|seed| prepared::check(&ctx.rbtrace, folder, seed))
        }
        None => {
            let alone = Tracers { rbtrace: ctx.rbtrace.clone(), bpftrace: None };
            let beside = bpftrace().map(|path| Tracers { bpftrace: Some(path), ..alone.clone() });
            let all = scripts(values()?);
            let ours = || (0..all).filter(|seed| seed % PARTS == PART);
            let mut together = ours().take(if beside.is_some() { BESIDE } else { 0 });
            let alone = ours().try_for_each(|seed| check(&alone, seed));
            alone.and_then(|()| {
                together.try_for_each(|seed| beside.iter().try_for_each(|all| check(all, seed)))
            })
        }
    };
    outcome.map_err(|problem| anyhow!(problem))
}

/// A bpftrace that computes as the scripts are compared with: 0.27 or later, on the path or named by
/// `RBTRACE_BENCH_BPFTRACE`.
fn bpftrace() -> Option<PathBuf> {
    let path =
        PathBuf::from(std::env::var_os("RBTRACE_BENCH_BPFTRACE").unwrap_or("bpftrace".into()));
    let said = Command::new(&path).arg("--version").output().ok()?.stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let version = said.trim().strip_prefix("bpftrace v0.")?;
    let minor: u32 = version.split('.').next()?.parse().ok()?;
    (minor >= 27).then_some(path)
}

fn values() -> Result<u64> {
    match std::env::var("RBTRACE_DIFFERENTIAL") {
        Ok(text) => text.parse().with_context(|| format!("RBTRACE_DIFFERENTIAL={text}")),
        Err(_) => Ok(VALUES),
    }
}

/// Scripts that print so many values, as many for each test.
fn scripts(values: u64) -> u64 {
    values.div_ceil(CASES as u64).next_multiple_of(PARTS)
}

/// Compiles the scripts of these tests into `folder`.
pub fn prepare(folder: &Path) -> Result<()> {
    prepared::write(folder, 0..scripts(values()?)).map_err(|problem| anyhow!(problem))
}
