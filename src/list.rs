//! `-l`: the probes that a pattern or a script names.

mod types;

use std::io::{self, Write};

use anyhow::{Result, bail};
use rbtrace_lang::catalog::Catalog;
use rbtrace_lang::resolve::Resolved;
use rbtrace_probes_ebpf::glob;
use rbtrace_probes_ebpf::kinds::{Counter, ProbeKind};
use rbtrace_probes_ebpf::plan::{Direction, Object, Target};
use rbtrace_runtime::cgroups::{Hierarchy, unified};
use rbtrace_runtime::symbols::cpp;

use crate::catalog::{Machine, format};

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
    let scope = match ProbeKind::from_name(kind) {
        Some(_) => Scope::One,
        None if machine.pid().is_some() || rest.contains('/') => Scope::User,
        None => Scope::Kernel,
    };
    let kinds: Vec<ProbeKind> = match ProbeKind::from_name(kind) {
        Some(kind) => vec![kind],
        None => ProbeKind::ALL.into_iter().filter(|k| glob::matches(kind, k.spec().name)).collect(),
    };
    if kinds.is_empty() {
        let names: Vec<&str> = ProbeKind::ALL.iter().map(|kind| kind.spec().name).collect();
        bail!("there is no probe kind `{kind}`; there are {}", names.join(", "));
    }
    for kind in kinds {
        if scope.has(kind) {
            of_kind(kind, rest, scope, machine, fields, out)?;
        }
    }
    Ok(())
}

/// What a pattern may list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The one kind that it names.
    One,
    /// All kinds that are in files: it has a path, or a process is given.
    User,
    /// All other kinds.
    Kernel,
}

impl Scope {
    /// Whether a kind is listed. What would name a thing twice, or has no names, is not.
    fn has(self, kind: ProbeKind) -> bool {
        match self {
            Scope::One => true,
            Scope::User => matches!(kind, ProbeKind::Uprobe | ProbeKind::Usdt),
            Scope::Kernel => matches!(
                kind,
                ProbeKind::Hardware
                    | ProbeKind::Software
                    | ProbeKind::Kprobe
                    | ProbeKind::Fentry
                    | ProbeKind::Iter
                    | ProbeKind::Lsm
                    | ProbeKind::RawTracepoint
                    | ProbeKind::Tracepoint
                    | ProbeKind::Xdp
                    | ProbeKind::Tc
                    | ProbeKind::Socket
            ),
        }
    }
}

fn of_kind(
    kind: ProbeKind,
    rest: &str,
    scope: Scope,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let name = kind.spec().name;
    let every = scope != Scope::One;
    match kind {
        ProbeKind::Tracepoint => return tracepoints(rest, every, machine, fields, out),
        ProbeKind::Kprobe | ProbeKind::Kretprobe => {
            kernel_functions(name, rest, every, machine, out)?;
        }
        ProbeKind::Fentry | ProbeKind::Fexit => {
            trampolines(name, rest, every, machine, fields, out)?;
        }
        ProbeKind::Iter | ProbeKind::Lsm => bound(kind, rest, every, machine, fields, out)?,
        ProbeKind::RawTracepoint => raw_tracepoints(rest, every, machine, fields, out)?,
        ProbeKind::Uprobe | ProbeKind::Uretprobe => {
            user_functions(name, rest, every, machine, fields, out)?;
        }
        ProbeKind::Usdt => usdt(rest, every, machine, out)?,
        ProbeKind::Xdp | ProbeKind::Tc | ProbeKind::Socket => interfaces(kind, rest, machine, out)?,
        ProbeKind::CgroupSkb => cgroups(rest, out)?,
        ProbeKind::Software | ProbeKind::Hardware => counters(kind, rest, out)?,
        ProbeKind::Interval | ProbeKind::Profile => {
            for unit in UNITS.iter().filter(|unit| glob::matches(rest, unit)) {
                writeln!(out, "{name}:{unit}:")?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Network interfaces, both ways where packets are told apart by that; a mode is of no matter.
fn interfaces(
    kind: ProbeKind,
    rest: &str,
    machine: &Machine,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (pattern, direction) = rest.split_once(':').unwrap_or((rest, "*"));
    let name = kind.spec().name;
    for interface in machine.interfaces(pattern).unwrap_or_default() {
        match kind {
            ProbeKind::Tc => directions(&format!("{name}:{interface}"), direction, out)?,
            _ => writeln!(out, "{name}:{interface}")?,
        }
    }
    Ok(())
}

/// What a place is called for packets that go in each direction that the pattern matches.
fn directions(place: &str, pattern: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut wanted = Direction::ALL.into_iter().filter(|one| glob::matches(pattern, one.name()));
    wanted.try_for_each(|direction| writeln!(out, "{place}:{}", direction.name()))
}

/// Cgroups of version 2, by their paths from the hierarchy's root.
fn cgroups(rest: &str, out: &mut dyn Write) -> Result<()> {
    let (pattern, direction) = rest.split_once(':').unwrap_or((rest, "*"));
    let mut paths: Vec<String> = unified()?.iter().flat_map(Hierarchy::paths).collect();
    // The hierarchy may be mounted several times.
    paths.sort_unstable();
    paths.dedup();
    for path in paths.iter().filter(|path| glob::matches(pattern, path)) {
        directions(&format!("cgroup_skb:{path}"), direction, out)?;
    }
    Ok(())
}

/// Events that can be counted, by both names; a count behind them is of no matter.
fn counters(kind: ProbeKind, rest: &str, out: &mut dyn Write) -> io::Result<()> {
    let pattern = rest.split(':').next().unwrap_or_default();
    let names = Counter::all(kind).iter().flat_map(Counter::names);
    let mut found: Vec<String> = names
        .filter(|name| glob::matches(pattern, name))
        .map(|name| format!("{}:{name}:", kind.spec().name))
        .collect();
    found.sort_unstable();
    found.iter().try_for_each(|name| writeln!(out, "{name}"))
}

/// What was found; where the list cannot be read, nothing among others (`every`), else an error that
/// says why.
fn readable<T>(found: Option<Vec<T>>, every: bool, why: &str) -> Result<Vec<T>> {
    match found {
        None if !every => bail!("{why}"),
        found => Ok(found.unwrap_or_default()),
    }
}

fn tracepoints(
    rest: &str,
    every: bool,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let (category, name) = rest.split_once(':').unwrap_or(("*", rest));
    let found = machine.tracepoints(category, name);
    let why = "tracepoints cannot be listed: tracefs cannot be read, which takes root";
    for (category, name) in readable(found, every, why)? {
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
    let (functions, why) = match has_kprobes() {
        true => (
            machine.kernel_functions(module, pattern),
            "kernel functions cannot be listed: neither available_filter_functions in tracefs nor \
               /proc/kallsyms can be read",
        ),
        // None of the kernel's functions is a probe.
        false => {
            (None, "this kernel has no kprobes (CONFIG_KPROBES is off); tracepoints serve for much")
        }
    };
    for function in readable(functions, every, why)? {
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

/// Functions that the kernel's trampolines can be attached to, with the kernel as their module.
fn trampolines(
    kind: &str,
    rest: &str,
    every: bool,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let (module, pattern) = rest.split_once(':').unwrap_or(("vmlinux", rest));
    if module == "bpf" {
        return program_functions(kind, pattern, every, machine, out);
    }
    let functions = machine.kernel_functions(Some(module), pattern);
    let why = "kernel functions cannot be listed: /proc/kallsyms cannot be read";
    for function in readable(functions, every, why)? {
        writeln!(out, "{kind}:{module}:{function}")?;
        if fields {
            types::kernel_arguments(module, &function, machine, out)?;
        }
    }
    Ok(())
}

/// `[PROGRAM:]FUNCTION` of eBPF programs that are loaded.
fn program_functions(
    kind: &str,
    rest: &str,
    every: bool,
    machine: &Machine,
    out: &mut dyn Write,
) -> Result<()> {
    let (program, pattern) = match rest.split_once(':') {
        Some((program, pattern)) => (Some(program.parse()?), pattern),
        None => (None, rest),
    };
    let found = machine.program_functions(program, pattern);
    let why = "eBPF programs cannot be listed: that takes CAP_SYS_ADMIN";
    for at in readable(found, every, why)? {
        writeln!(out, "{kind}:bpf:{}:{}", at.program, at.function)?;
    }
    Ok(())
}

/// Iterators and hooks of security modules.
fn bound(
    kind: ProbeKind,
    rest: &str,
    every: bool,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let name = kind.spec().name;
    // A pin is of no matter.
    let pattern = rest.split(':').next().unwrap_or_default();
    let found = match kind {
        ProbeKind::Iter => machine.iterators(pattern),
        _ => machine.lsm_hooks(pattern),
    };
    let why = format!("{name} probes cannot be listed: the kernel has no types in /sys/kernel/btf");
    for one in readable(found, every, &why)? {
        writeln!(out, "{name}:{one}")?;
        match kind {
            _ if !fields => {}
            ProbeKind::Iter => types::objects(&one, machine, out)?,
            _ => types::hook_arguments(&one, machine, out)?,
        }
    }
    Ok(())
}

fn raw_tracepoints(
    rest: &str,
    every: bool,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let (module, pattern) = match rest.split_once(':') {
        Some((module, pattern)) => (Some(module), pattern),
        None => (None, rest),
    };
    let found = machine.raw_tracepoints(module, pattern);
    let why = "raw tracepoints cannot be listed: the kernel has no types in /sys/kernel/btf";
    for (module, name) in readable(found, every, why)? {
        writeln!(out, "rawtracepoint:{module}:{name}")?;
        if fields {
            types::raw_arguments(&name, machine, out)?;
        }
    }
    Ok(())
}

/// `BINARY[:PROVIDER]:NAME`
fn usdt(rest: &str, every: bool, machine: &Machine, out: &mut dyn Write) -> Result<()> {
    let parts: Vec<&str> = rest.split(':').collect();
    let (binary, provider, name) = match parts.as_slice() {
        [name] => match machine.pid() {
            Some(_) => ("*", "*", *name),
            None => (*name, "*", "*"),
        },
        [binary, name] => (*binary, "*", *name),
        [binary, provider, name, ..] => (*binary, *provider, *name),
        [] => ("*", "*", "*"),
    };
    let provider = if provider.is_empty() { "*" } else { provider };
    let binaries = match binary {
        "" | "*" => machine.running_binaries(),
        binary => machine.binaries(binary),
    };
    if binaries.is_empty() && !every {
        bail!("there is no program or library `{binary}`");
    }
    for path in binaries {
        let all = machine.usdt_probes(&path).unwrap_or_default();
        let wanted = all
            .iter()
            .filter(|p| glob::matches(provider, &p.provider) && glob::matches(name, &p.name));
        for probe in wanted {
            writeln!(out, "usdt:{path}:{}:{}", probe.provider, probe.name)?;
        }
    }
    Ok(())
}

fn user_functions(
    kind: &str,
    rest: &str,
    every: bool,
    machine: &Machine,
    fields: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let by_cpp = rest.split_once(":cpp:");
    let (binary, pattern) = by_cpp.or_else(|| rest.rsplit_once(':')).unwrap_or((rest, "*"));
    let binary = if binary.is_empty() { "*" } else { binary };
    let binaries = machine.binaries(binary);
    if binaries.is_empty() && !every {
        bail!("there is no program or library `{binary}`");
    }
    for path in binaries {
        if by_cpp.is_some() {
            for symbol in machine.cpp_functions(&path, pattern).unwrap_or_default() {
                let function = cpp::signature(&symbol).unwrap_or(symbol);
                writeln!(out, "{kind}:{path}:cpp:\"{function}\"")?;
            }
            continue;
        }
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
        let name = name_in_list(&probe.name, &probe.target);
        if point.kind.is_run() || seen.contains(&name) {
            continue;
        }
        seen.push(name.clone());
        match &probe.target {
            Target::Tracepoint { category, name } => {
                tracepoint(category, name, machine, fields, out)?;
            }
            target => {
                writeln!(out, "{name}")?;
                if fields {
                    types::arguments(target, machine, out)?;
                }
            }
        }
    }
    Ok(())
}

/// How a probe is listed: the number of events or of units of time does not matter.
fn name_in_list(name: &str, target: &Target) -> String {
    let numbered = matches!(
        target,
        Target::Interval { .. }
            | Target::Profile(_)
            | Target::Software { .. }
            | Target::Hardware { .. }
    );
    let mut parts = name.splitn(3, ':');
    match (numbered, parts.next(), parts.next()) {
        (true, Some(kind), Some(what)) => format!("{kind}:{what}:"),
        _ => name.to_owned(),
    }
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
        assert_eq!(listed("socket:l?").expect("listed"), "socket:lo\n");
        assert_eq!(listed("tc:lo").expect("listed"), "tc:lo:ingress\ntc:lo:egress\n");
        assert_eq!(listed("tc:*o:in*").expect("listed"), "tc:lo:ingress\n");
        assert_eq!(
            listed("interval:*s,p:hz").expect("listed"),
            "interval:ms:\ninterval:s:\ninterval:us:\nprofile:hz:\n"
        );
        assert!(listed("uprobe:/no/such:x").is_err());
        let error = listed("foo:bar").expect_err("no such kind").to_string();
        assert!(error.contains("tracepoint, uprobe"), "{error}");
    }
}
