//! `-l`: the probes that a pattern or a script names.

mod types;

use std::io::{self, Write};

use anyhow::{Result, bail};
use rbtrace_lang::catalog::Catalog;
use rbtrace_lang::resolve::Resolved;
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Object, Target};

use crate::catalog::{Machine, format, glob};

/// Units that the timer probes take.
const UNITS: [&str; 4] = ["hz", "ms", "s", "us"];

/// Writes the probes that a list of patterns names, separated by commas.
pub fn patterns(
    patterns: &str,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> Result<()> {
    for pattern in patterns.split(',').map(str::trim) {
        if !types::named(pattern, machine, fields, out)? {
            one(pattern, machine, fields, out)?;
        }
    }
    Ok(())
}

/// `KIND:REST`; a pattern without a colon is looked for in the names of all kinds.
fn one(pattern: &str, machine: &Machine, fields: bool, out: &mut dyn Write) -> Result<()> {
    let (kind, rest) = match pattern.split_once(':') {
        Some((kind, rest)) => (kind, rest),
        None if ProbeKind::from_name(pattern).is_some() => (pattern, "*"),
        None if pattern.is_empty() => ("*", "*"),
        None => ("*", pattern),
    };
    let every = glob::is_glob(kind);
    let kinds: Vec<ProbeKind> = match ProbeKind::from_name(kind) {
        Some(kind) => vec![kind],
        None => ProbeKind::ALL.into_iter().filter(|k| glob::matches(kind, k.spec().name)).collect(),
    };
    if kinds.is_empty() {
        let names: Vec<&str> = ProbeKind::ALL.iter().map(|kind| kind.spec().name).collect();
        bail!("there is no probe kind `{kind}`; there are {}", names.join(", "));
    }
    for kind in kinds {
        of_kind(kind, rest, every, machine, fields, out)?;
    }
    Ok(())
}

/// `every`: the kind was a pattern, so that what would name a thing twice, or needs a file, is
/// left out.
fn of_kind(
    kind: ProbeKind,
    rest: &str,
    every: bool,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let name = kind.spec().name;
    match kind {
        ProbeKind::Tracepoint => return tracepoints(rest, every, machine, fields, out),
        ProbeKind::Kprobe => kernel_functions(name, rest, every, machine, out)?,
        ProbeKind::Kretprobe if !every => kernel_functions(name, rest, every, machine, out)?,
        ProbeKind::Uprobe | ProbeKind::Uretprobe if !every => {
            user_functions(name, rest, machine, fields, out)?;
        }
        ProbeKind::Xdp => {
            for interface in machine.interfaces(rest).unwrap_or_default() {
                writeln!(out, "{name}:{interface}")?;
            }
        }
        ProbeKind::Interval | ProbeKind::Profile if !every => {
            for unit in UNITS.iter().filter(|unit| glob::matches(rest, unit)) {
                writeln!(out, "{name}:{unit}:")?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn tracepoints(
    rest: &str,
    every: bool,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let (category, name) = rest.split_once(':').unwrap_or(("*", rest));
    let Some(found) = machine.tracepoints(category, name) else {
        if every {
            return Ok(());
        }
        bail!("tracepoints cannot be listed: tracefs cannot be read, which takes root");
    };
    for (category, name) in found {
        tracepoint(&category, &name, machine, fields, out)?;
    }
    Ok(())
}

fn tracepoint(
    category: &str,
    name: &str,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "tracepoint:{category}:{name}")?;
    if fields {
        let text = machine.tracepoint_format(category, name).unwrap_or_default();
        for declaration in format::declarations(&text) {
            writeln!(out, "    {declaration}")?;
        }
    }
    Ok(())
}

fn kernel_functions(
    kind: &str,
    rest: &str,
    every: bool,
    machine: &Machine,
    out: &mut dyn Write,
) -> Result<()> {
    let (module, pattern) = match rest.split_once(':') {
        Some((module, pattern)) => (Some(module), pattern),
        None => (None, rest),
    };
    // Without kprobes in the kernel, none of its functions is a probe.
    if !has_kprobes() {
        if every {
            return Ok(());
        }
        bail!("this kernel has no kprobes (CONFIG_KPROBES is off); tracepoints serve for much");
    }
    let Some(functions) = machine.kernel_functions(module, pattern) else {
        if every {
            return Ok(());
        }
        bail!(
            "kernel functions cannot be listed: neither available_filter_functions in tracefs nor \
               /proc/kallsyms can be read"
        );
    };
    for function in functions {
        match module {
            Some(module) if !glob::is_glob(module) => writeln!(out, "{kind}:{module}:{function}")?,
            _ => writeln!(out, "{kind}:{function}")?,
        }
    }
    Ok(())
}

fn has_kprobes() -> bool {
    std::path::Path::new("/sys/bus/event_source/devices/kprobe").exists()
}

fn user_functions(
    kind: &str,
    rest: &str,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let (binary, pattern) = rest.rsplit_once(':').unwrap_or((rest, "*"));
    let binary = if binary.is_empty() { "*" } else { binary };
    let binaries = machine.binaries(binary);
    if binaries.is_empty() {
        bail!("there is no program or library `{binary}`");
    }
    for path in binaries {
        for function in machine.user_functions(&path, pattern).unwrap_or_default() {
            writeln!(out, "{kind}:{path}:{function}")?;
            if fields {
                types::user_arguments(&path, &function, machine, out)?;
            }
        }
    }
    Ok(())
}

/// Writes the probes of a script, `BEGIN` and `END` left out.
pub fn script(
    resolved: &Resolved,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut seen = Vec::new();
    for point in resolved.blocks.iter().flat_map(|block| &block.points) {
        let probe = &point.probe;
        if matches!(probe.target, Target::Begin | Target::End) || seen.contains(&probe.name) {
            continue;
        }
        seen.push(probe.name.clone());
        match &probe.target {
            Target::Tracepoint { category, name } => {
                tracepoint(category, name, machine, fields, out)?
            }
            _ => writeln!(out, "{}", probe.name)?,
        }
    }
    Ok(())
}

/// Writes the probes of an object, `BEGIN` and `END` left out.
pub fn object(object: &Object, out: &mut dyn Write) -> io::Result<()> {
    for probe in &object.plan.probes {
        if !matches!(probe.target, Target::Begin | Target::End) {
            writeln!(out, "{}", probe.name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(pattern: &str) -> Result<String> {
        let mut out = Vec::new();
        patterns(pattern, &Machine::default(), false, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn patterns_of_kinds_and_names() {
        assert_eq!(listed("xdp:l?").expect("listed"), "xdp:lo\n");
        assert_eq!(
            listed("interval:*s,p:hz").expect("listed"),
            "interval:ms:\ninterval:s:\ninterval:us:\nprofile:hz:\n"
        );
        assert!(listed("uprobe:/no/such:x").is_err());
        let error = listed("foo:bar").expect_err("no such kind").to_string();
        assert!(error.contains("tracepoint, uprobe"), "{error}");
    }
}
