//! `-l 'struct NAME'` and, with `-v`, the arguments of functions.

use std::io::{self, Write};

use anyhow::{Result, bail};
use rbtrace_probes_ebpf::btf::Kind;
use rbtrace_probes_ebpf::glob;
use rbtrace_probes_ebpf::kinds::{iter, lsm};
use rbtrace_probes_ebpf::plan::Target;

use crate::catalog::Machine;

/// The kinds of types that a pattern can be of: `struct NAME`.
const TAGS: [(&str, &[Kind]); 3] =
    [("struct", &[Kind::Struct]), ("union", &[Kind::Union]), ("enum", &[Kind::Enum, Kind::Enum64])];

/// Writes the types of the kernel and its modules that a pattern names, `definitions` and all.
/// `false`: the pattern is not one of types.
pub fn named(
    pattern: &str,
    machine: &Machine,
    definitions: bool,
    out: &mut dyn Write,
) -> Result<bool> {
    let Some((tag, name)) = pattern.split_once(char::is_whitespace) else { return Ok(false) };
    let Some((_, kinds)) = TAGS.into_iter().find(|(t, _)| *t == tag) else { return Ok(false) };
    let name = name.trim();
    let types = machine.kernel_types();
    let mut found = Vec::new();
    let mut readable = false;
    for at in types.of(None) {
        readable = true;
        match glob::is_glob(name) {
            false => found.extend(at.btf.named(kinds, name).map(|id| (name.to_owned(), at, id))),
            true => found.extend(
                at.btf
                    .types()
                    .filter(|ty| kinds.contains(&ty.kind()) && !ty.name().is_empty())
                    .filter(|ty| glob::matches(name, ty.name()))
                    .map(|ty| (ty.name().to_owned(), at, ty.id())),
            ),
        }
    }
    if !readable {
        bail!(
            "the kernel's types cannot be listed: there is no /sys/kernel/btf/vmlinux, which a \
             kernel with CONFIG_DEBUG_INFO_BTF has"
        );
    }
    found.sort_by(|a, b| (&a.0, a.1.source).cmp(&(&b.0, b.1.source)));
    // What several modules have is of the first.
    found.dedup_by(|b, a| a.0 == b.0);
    for (name, at, id) in found {
        match definitions {
            true => {
                let file = types.name_of(at.source).unwrap_or_default();
                writeln!(out, "{file}: {};\n", at.btf.definition(id))?;
            }
            false => writeln!(out, "{tag} {name}")?,
        }
    }
    Ok(true)
}

/// Writes the arguments of a probe that is no tracepoint, if anything tells.
pub fn arguments(target: &Target, machine: &Machine, out: &mut dyn Write) -> io::Result<()> {
    match target {
        Target::RawTracepoint { name, .. } => raw_arguments(name, machine, out),
        Target::Fentry(at) | Target::Fexit(at) => {
            let module = at.module.as_deref().unwrap_or("vmlinux");
            kernel_arguments(module, &at.function, machine, out)
        }
        Target::Iter { object, .. } => objects(object, machine, out),
        Target::Lsm { hook } => hook_arguments(hook, machine, out),
        _ => Ok(()),
    }
}

/// Writes the arguments of a function of the kernel and what it returns, if the kernel's types tell.
pub fn kernel_arguments(
    module: &str,
    function: &str,
    machine: &Machine,
    out: &mut dyn Write,
) -> io::Result<()> {
    let types = machine.kernel_types();
    let declarations = types.declarations(Some(module), function).unwrap_or_default();
    declarations.iter().try_for_each(|declaration| writeln!(out, "    {declaration}"))
}

/// Writes what an iterator comes to, if the kernel's types tell.
pub fn objects(object: &str, machine: &Machine, out: &mut dyn Write) -> io::Result<()> {
    let declarations = machine.kernel_types().parameters(&iter::function(object));
    // The first tells of the iterator itself.
    let mut declarations = declarations.into_iter().flatten().skip(1);
    declarations.try_for_each(|declaration| writeln!(out, "    {declaration}"))
}

/// Writes the arguments of a hook of security modules, if the kernel's types tell.
pub fn hook_arguments(hook: &str, machine: &Machine, out: &mut dyn Write) -> io::Result<()> {
    let declarations = machine.kernel_types().parameters(&lsm::function(hook)).unwrap_or_default();
    declarations.iter().try_for_each(|declaration| writeln!(out, "    {declaration}"))
}

/// Writes the arguments of a raw tracepoint, if the kernel's types tell.
pub fn raw_arguments(name: &str, machine: &Machine, out: &mut dyn Write) -> io::Result<()> {
    let declarations = machine.kernel_types().raw_declarations(name).unwrap_or_default();
    declarations.iter().try_for_each(|declaration| writeln!(out, "    {declaration}"))
}

/// Writes the arguments of a function of a program or library, if its debug information tells.
pub fn user_arguments(
    path: &str,
    function: &str,
    machine: &Machine,
    out: &mut dyn Write,
) -> io::Result<()> {
    let declarations = machine.user_types().parameters(path, function).unwrap_or_default();
    declarations.iter().try_for_each(|declaration| writeln!(out, "    {declaration}"))
}
