//! `fentry` and `fexit`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{KernelFunction, Probe, Target};

use super::point::Point;
use super::{Context, Expansion, Failure, kprobe};

/// The module that functions without one are in, as bpftrace names it.
const KERNEL: &str = "vmlinux";

pub(super) fn expand(kind: ProbeKind, point: &Point, cx: &Context<'_>) -> Expansion {
    let (module, name, index) = match point.texts().as_slice() {
        ["bpf", ..] => {
            let error = point.bad_part(0, "attaching to eBPF programs is not supported yet");
            return Err(Failure::Malformed(error));
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

fn probe(kind: ProbeKind, module: Option<&str>, function: String) -> Probe {
    let name = format!("{}:{}:{function}", kind.spec().name, module.unwrap_or(KERNEL));
    let place = KernelFunction { module: module.map(str::to_owned), function, offset: 0 };
    let target = match kind {
        ProbeKind::Fexit => Target::Fexit(place),
        _ => Target::Fentry(place),
    };
    Probe { name, target }
}
