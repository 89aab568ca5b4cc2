//! `fentry` and `fexit`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{KernelFunction, Probe, ProgramFunction, Target};

use super::point::{Point, number};
use super::{Context, Expansion, Failure, did_you_mean, kprobe};
use crate::diag::Diagnostic;

/// The module that functions without one are in, as bpftrace names it.
const KERNEL: &str = "vmlinux";

pub(super) fn expand(kind: ProbeKind, point: &Point, cx: &Context<'_>) -> Expansion {
    let (module, name, index) = match point.texts().as_slice() {
        ["bpf", name] if !name.is_empty() => return of_programs(kind, None, name, point, cx),
        ["bpf", program, name] if !name.is_empty() => {
            let Some(id) = number(program).and_then(|id| u32::try_from(id).ok()) else {
                let error = point.bad_part(1, "this is no id of an eBPF program");
                return Err(Failure::Malformed(
                    error.help("the function of all programs is fentry:bpf:FUNCTION"),
                ));
            };
            return of_programs(kind, Some(id), name, point, cx);
        }
        [name] if !name.is_empty() => (None, *name, 0),
        [module, name] if !module.is_empty() && !name.is_empty() => (Some(*module), *name, 1),
        _ => return Err(point.wrong_form(kind.spec().forms)),
    };
    if name.contains('+') {
        let message = format!("a {} probe takes no offset", kind.spec().name);
        return Err(Failure::Malformed(
            point.bad_part(index, message).help("a kprobe can be on any instruction"),
        ));
    }
    let functions = kprobe::find(module, name, point, index, cx)?;
    Ok(functions.into_iter().map(|function| probe(kind, module, function)).collect())
}

/// Functions of eBPF programs that are loaded now.
fn of_programs(
    kind: ProbeKind,
    program: Option<u32>,
    name: &str,
    point: &Point,
    cx: &Context<'_>,
) -> Expansion {
    let last = point.parts.len() - 1;
    let whose = program.map_or("any eBPF program".to_owned(), |id| format!("eBPF program {id}"));
    let missing = |code, message: String| Diagnostic::error(code, point.part_span(last), message);
    let Some(found) = cx.catalog.program_functions(program, name) else {
        let error = missing("no-probe-list", "the eBPF programs cannot be listed".into());
        return Err(Failure::Missing(error.note("that takes CAP_SYS_ADMIN")));
    };
    if found.is_empty() {
        let error = missing("no-match", format!("no function of {whose} matches `{name}`"));
        let all = cx.catalog.program_functions(program, "*").unwrap_or_default();
        let error = error
            .note("only those can be probed that were loaded with types, and no fentry or fexit");
        return Err(Failure::Missing(did_you_mean(
            error,
            name,
            all.iter().map(|at| at.function.as_str()),
        )));
    }
    Ok(found.into_iter().map(|at| program_probe(kind, at)).collect())
}

fn program_probe(kind: ProbeKind, at: ProgramFunction) -> Probe {
    let name = format!("{}:bpf:{}:{}", kind.spec().name, at.program, at.function);
    let target = match kind {
        ProbeKind::Fexit => Target::ProgramExit(at),
        _ => Target::ProgramEntry(at),
    };
    Probe { name, target }
}

fn probe(kind: ProbeKind, module: Option<&str>, function: String) -> Probe {
    let name = format!("{}:{}:{function}", kind.spec().name, module.unwrap_or(KERNEL));
    let place = KernelFunction { module: module.map(str::to_owned), function, offset: 0 };
    let target = match kind {
        ProbeKind::Fexit => Target::Fexit(place),
        _ => Target::Fentry(place),
    };
    Probe { name, target }
}
