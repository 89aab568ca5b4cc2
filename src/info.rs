//! `--info`: what this kernel can do, and what this build is.

use std::io::{self, Write};

use rbtrace_runtime::features;

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
    writeln!(out, "\nThis process may")?;
    for (what, may) in [
        ("load programs (CAP_BPF)", have.bpf()),
        ("trace (CAP_PERFMON)", have.perfmon()),
        ("attach to networks (CAP_NET_ADMIN)", have.net_admin()),
        ("mount tracefs (CAP_SYS_ADMIN)", have.sys_admin()),
    ] {
        writeln!(out, "  {what}: {}", yes(may))?;
    }
    writeln!(out, "\nKernel features")?;
    for feature in &info.features {
        write!(out, "  {}: {}", feature.name, yes(feature.present))?;
        if feature.note.is_empty() { writeln!(out)? } else { writeln!(out, " ({})", feature.note)? }
    }
    Ok(())
}

fn yes(answer: bool) -> &'static str {
    if answer { "yes" } else { "no" }
}
