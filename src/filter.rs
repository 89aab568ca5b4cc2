//! `--probe-filter`: the probes whose names match.

use anyhow::{Result, anyhow, bail};
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::Plan;
use regex_lite::Regex;

/// Leaves only those probes in the plan's programs in whose names `pattern` matches, and `begin`
/// and `end`.
///
/// # Errors
///
/// `pattern` is no regular expression, or matches no probe.
pub fn apply(pattern: &str, plan: &mut Plan) -> Result<()> {
    let regex = Regex::new(pattern)
        .map_err(|error| anyhow!("Invalid --probe-filter regex '{pattern}': {error}"))?;
    let probes = &plan.probes;
    let mut left = 0;
    for program in &mut plan.programs {
        if !matches!(program.kind, ProbeKind::Begin | ProbeKind::End) {
            program.probes.retain(|probe| {
                probes.get(*probe as usize).is_some_and(|probe| regex.is_match(&probe.name))
            });
        }
        left += program.probes.len();
    }
    if left == 0 {
        bail!("No probes to attach: none has a name that --probe-filter '{pattern}' matches");
    }
    Ok(())
}
