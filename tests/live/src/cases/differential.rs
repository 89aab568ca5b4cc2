//! Generated scripts against an interpreter of the typed program; see `tests/differential`.
//! `RBTRACE_DIFFERENTIAL` is how many values all of these tests together print.

use anyhow::{Context, Result, anyhow};
use rbtrace_differential::{CASES, Tracers, check};

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

/// Values that all of them print where nothing else is said.
const VALUES: u64 = 3_000;

/// The scripts whose seeds end in `PART`.
fn programs<const PART: u64>(ctx: &Ctx) -> Result<()> {
    let values = match std::env::var("RBTRACE_DIFFERENTIAL") {
        Ok(text) => text.parse().with_context(|| format!("RBTRACE_DIFFERENTIAL={text}"))?,
        Err(_) => ctx.scaled(VALUES),
    };
    let scripts = values.div_ceil(CASES as u64).div_ceil(PARTS);
    let tracers = Tracers { rbtrace: ctx.rbtrace.clone(), bpftrace: None };
    for script in 0..scripts {
        check(&tracers, script * PARTS + PART).map_err(|problem| anyhow!(problem))?;
    }
    Ok(())
}
