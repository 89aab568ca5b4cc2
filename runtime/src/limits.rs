//! How many files this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::features;

/// Descriptors that are in use beside those of probes, at most: files that hold the code of
/// processes for the most part.
const OTHER_FILES: u64 = 4096;

/// Makes room for the descriptors of many probes, as far as the system allows: an event and a link,
/// of timers on each CPU.
pub(crate) fn raise_for(probes: u64) {
    let per_probe = 2 * u64::from(features::possible_cpus());
    let wanted = probes.saturating_mul(per_probe).saturating_add(OTHER_FILES);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|soft| soft >= wanted) {
        return;
    }
    let may = maximum.map_or(wanted, |hard| wanted.min(hard));
    let higher = Rlimit { current: Some(wanted), maximum: maximum.map(|hard| hard.max(wanted)) };
    // What not everybody may, and if that fails what everybody may. If both do, so does attaching, and
    // that says why.
    if setrlimit(Resource::Nofile, higher).is_err() {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(may), maximum });
    }
}
