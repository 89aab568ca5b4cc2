//! What this process may not do, said before the kernel says only "permission denied".

use rbtrace_probes_ebpf::kinds::{ProbeKind, ProgramType};
use rbtrace_runtime::features::Capabilities;

/// A capability that is missing, and what for: `CAP_BPF to load programs`.
pub type Missing = String;

/// Those missing to run programs of these kinds.
pub fn missing(kinds: impl IntoIterator<Item = ProbeKind>) -> Vec<Missing> {
    missing_of(Capabilities::current(), kinds)
}

fn missing_of(have: Capabilities, kinds: impl IntoIterator<Item = ProbeKind>) -> Vec<Missing> {
    let (mut tracing, mut network, mut packets) = (false, false, false);
    for kind in kinds {
        match kind.spec().program {
            ProgramType::SocketFilter => packets = true,
            program if program.is_for_packets() => network = true,
            _ => tracing = true,
        }
    }
    let needed = [
        (true, have.bpf(), "CAP_BPF to load programs"),
        (tracing, have.perfmon(), "CAP_PERFMON to trace"),
        (network, have.net_admin(), "CAP_NET_ADMIN to decide on packets"),
        (packets, have.net_raw(), "CAP_NET_RAW to get copies of packets"),
    ];
    let missing = needed.iter().filter(|(needed, have, _)| *needed && !have);
    missing.map(|(.., what)| (*what).to_owned()).collect()
}

/// `CAP_BPF to load programs and CAP_PERFMON to trace: run as root`.
pub fn sentence(missing: &[Missing]) -> String {
    let list = match missing.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => missing.concat(),
    };
    format!("this process lacks {list}: run as root")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing_for_what() {
        let some = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(sentence(&some(&["A to x"])), "this process lacks A to x: run as root");
        let three = sentence(&some(&["A to x", "B to y", "C to z"]));
        assert_eq!(three, "this process lacks A to x, B to y and C to z: run as root");
    }
}
