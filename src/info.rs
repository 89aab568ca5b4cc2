//! `--info`: what this kernel can do, and what this build is.

use std::io::{self, Write};

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_runtime::features::{self, Info};

use crate::privileges;

/// Writes it.
pub fn write(out: &mut dyn Write) -> io::Result<()> {
    let info = features::info();
    let have = info.capabilities;
    writeln!(out, "System")?;
    writeln!(out, "  Kernel: Linux {}", info.release)?;
    writeln!(out, "  Arch: {}", info.machine)?;
    writeln!(out, "  CPUs: {}", info.cpus)?;
    writeln!(out, "  Lockdown: {}", info.lockdown.as_deref().unwrap_or("unknown"))?;
    writeln!(out, "\nBuild\n  rbtrace {}", env!("CARGO_PKG_VERSION"))?;
    // bpftrace's words, which programs that call it look for.
    writeln!(out, "  libdw (DWARF support): yes, by gimli")?;
    writeln!(out, "  blazesym (advanced symbolization): yes")?;
    writeln!(out, "  dwunwind (DWARF stack unwinding): {}", yes(cfg!(target_arch = "x86_64")))?;
    writeln!(out, "\nThis process may")?;
    for (what, may) in [
        ("load programs (CAP_BPF)", have.bpf()),
        ("trace (CAP_PERFMON)", have.perfmon()),
        ("attach to networks (CAP_NET_ADMIN)", have.net_admin()),
        ("copy packets (CAP_NET_RAW)", have.net_raw()),
        ("mount tracefs (CAP_SYS_ADMIN)", have.sys_admin()),
    ] {
        writeln!(out, "  {what}: {}", yes(may))?;
    }
    writeln!(out, "\nKernel features")?;
    for feature in &info.features {
        write!(out, "  {}: {}", feature.name, yes(feature.present))?;
        if feature.note.is_empty() { writeln!(out)? } else { writeln!(out, " ({})", feature.note)? }
    }
    writeln!(out, "\nKernel features, as bpftrace calls them")?;
    for (name, present) in features::known_to_bpftrace(&info) {
        writeln!(out, "  {name}: {}", yes(present))?;
    }
    writeln!(out, "\nProbe kinds")?;
    for kind in ProbeKind::ALL {
        let name = kind.spec().name;
        match obstacle(kind, &info) {
            None => writeln!(out, "  {name}: yes")?,
            Some(why) => writeln!(out, "  {name}: no, {why}")?,
        }
    }
    Ok(())
}

/// Why probes of a kind cannot be attached here, and what would help; `None` where they can.
fn obstacle(kind: ProbeKind, info: &Info) -> Option<String> {
    let missing = privileges::missing([kind]);
    if !missing.is_empty() {
        return Some(privileges::sentence(&missing));
    }
    let needed = needed_feature(kind)?;
    let feature = info.features.iter().find(|f| f.name == needed && !f.present)?;
    let lacks = format!("the kernel lacks it ({})", feature.note);
    Some(match kind {
        ProbeKind::Kprobe | ProbeKind::Kretprobe => {
            format!("{lacks}; tracepoints serve, and kernels of distributions have it")
        }
        _ => lacks,
    })
}

/// Name of the feature that a kind cannot do without, where it is one that is looked for.
fn needed_feature(kind: ProbeKind) -> Option<&'static str> {
    match kind.spec().name {
        "begin" | "end" => Some("begin and end (program test run)"),
        "interval" | "profile" | "software" | "hardware" => Some("perf events"),
        "kprobe" | "kretprobe" => Some("kprobe"),
        "uprobe" | "uretprobe" | "usdt" => Some("uprobe"),
        "fentry" | "fexit" => Some("fentry"),
        "iter" => Some("iter"),
        "lsm" => Some("BPF LSM"),
        "tracepoint" => Some("tracepoint"),
        "xdp" => Some("XDP link"),
        "cgroup_skb" => Some("cgroup2"),
        _ => None,
    }
}

fn yes(answer: bool) -> &'static str {
    if answer { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_that_is_needed_is_one_that_is_looked_for() {
        let info = features::info();
        for kind in ProbeKind::ALL {
            if let Some(name) = needed_feature(kind) {
                assert!(info.features.iter().any(|f| f.name == name), "{name}");
            }
        }
    }

    #[test]
    fn kinds_are_listed() {
        let mut text = Vec::new();
        write(&mut text).expect("written to memory");
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.contains("\nProbe kinds\n  begin: "), "{text}");
    }
}
