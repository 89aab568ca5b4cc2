//! What programs are tied to when they are loaded: functions of the kernel, by BTF.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rbtrace_probes_ebpf::btf::{Btf, Kind};
use rbtrace_probes_ebpf::kinds::{ProbeKind, iter, lsm};
use rbtrace_probes_ebpf::plan::{KernelFunction, Plan, Program, Target};
use rbtrace_probes_ebpf::profile::KernelVersion;

use crate::attach::kprobe;
use crate::error::{Error, Unsupported};
use crate::features::{Need, VMLINUX_BTF};
use crate::programs;
use crate::symbols::kernel::KernelSymbols;
use crate::sys::bpf::TargetFunction;
use crate::sys::btf;

/// A function that a program is tied to; none for programs that are attached later.
#[derive(Debug, Default)]
pub(crate) struct Function {
    number: u32,
    /// The BTF of the module that it is of, or the eBPF program; none for the kernel itself.
    owner: Option<OwnedFd>,
}

impl Function {
    /// As the kernel is told.
    pub fn borrow(&self) -> TargetFunction<'_> {
        TargetFunction { number: self.number, owner: self.owner.as_ref().map(AsFd::as_fd) }
    }
}

/// The kernel's types, read when they are first asked for.
#[derive(Default)]
pub(super) struct Targets(Option<Arc<Btf<'static>>>);

impl Targets {
    /// The function that a program is for.
    pub fn of(&mut self, plan: &Plan, program: &Program) -> Result<Function, Error> {
        if !program.kind.binds_at_load() {
            return Ok(Function::default());
        }
        let probe = program.probes.first().and_then(|index| plan.probes.get(*index as usize));
        match probe.map(|probe| &probe.target) {
            Some(Target::Fentry(function) | Target::Fexit(function)) => {
                match kprobe::module(function) {
                    Some(module) => self.of_module(module, function),
                    None => self.of_kernel(program.kind, &function.function),
                }
            }
            Some(Target::ProgramEntry(function) | Target::ProgramExit(function)) => {
                let (program, number) = programs::find(function)?;
                Ok(Function { number, owner: Some(program) })
            }
            Some(Target::Iter { object, .. }) => {
                self.of_kernel(program.kind, &iter::function(object))
            }
            Some(Target::Lsm { hook }) => self.of_kernel(program.kind, &lsm::function(hook)),
            _ => Err(Error::Malformed(format!("{} has no function", program.symbol))),
        }
    }

    fn types(&mut self, kind: ProbeKind) -> Result<Arc<Btf<'static>>, Error> {
        if self.0.is_none() {
            let read = fs::read(VMLINUX_BTF).ok().and_then(|data| Btf::parse(data, None).ok());
            self.0 = read.map(Arc::new);
        }
        self.0.clone().ok_or_else(|| no_btf(kind).into())
    }

    fn of_kernel(&mut self, kind: ProbeKind, name: &str) -> Result<Function, Error> {
        let types = self.types(kind)?;
        Ok(Function { number: number(&types, name, "the kernel's types")?, owner: None })
    }

    fn of_module(&mut self, module: &str, function: &KernelFunction) -> Result<Function, Error> {
        let place = format!("the types of module {module}");
        let base = self.types(ProbeKind::Fentry)?;
        let file = Path::new(VMLINUX_BTF).with_file_name(module);
        let read = fs::read(file).ok().and_then(|data| Btf::parse(data, Some(base)).ok());
        let Some(types) = read else { return Err(no_types(module, function).into()) };
        let number = number(&types, &function.function, &place)?;
        let failed = |e| Error::privileged(format!("look up {place}"), Need::SystemAdmin, e);
        match btf::module_types(module).map_err(failed)? {
            Some(module) => Ok(Function { number, owner: Some(module) }),
            None => Err(no_types(module, function).into()),
        }
    }
}

/// The number of a function among the types of the kernel or a module.
fn number(types: &Btf<'_>, name: &str, place: &str) -> Result<u32, Error> {
    let found = types.find(&[Kind::Func], name);
    found.map(|function| function.id()).ok_or_else(|| Error::UnknownSymbol {
        name: name.to_owned(),
        place: place.to_owned(),
        similar: KernelSymbols::read().unwrap_or_default().similar(name, 3),
    })
}

fn no_types(module: &str, function: &KernelFunction) -> Unsupported {
    Unsupported {
        feature: "types of this module, which fentry and fexit need",
        since: Some(KernelVersion::new(5, 11)),
        config: Some("CONFIG_DEBUG_INFO_BTF_MODULES"),
        hint: Some(format!("kprobe:{module}:{} does without", function.function)),
    }
}

fn no_btf(kind: ProbeKind) -> Unsupported {
    let (feature, since, hint) = match kind {
        ProbeKind::Iter => {
            ("BTF of its own types, which iterators need", KernelVersion::new(5, 8), None)
        }
        ProbeKind::Lsm => {
            ("BTF of its own types, which security modules need", KernelVersion::new(5, 7), None)
        }
        _ => (
            "BTF of its own types, which fentry and fexit need",
            KernelVersion::new(5, 5),
            Some("kprobe and kretprobe do without".into()),
        ),
    };
    let config = Some("CONFIG_DEBUG_INFO_BTF");
    Unsupported { feature, since: Some(since), config, hint }
}

/// What it means that the kernel lets nobody load a program of a kind.
pub(super) fn refused(kind: ProbeKind) -> Option<Unsupported> {
    let (feature, hint) = match kind {
        ProbeKind::Fentry | ProbeKind::Fexit => {
            ("fentry and fexit", "kprobe, kretprobe and tracepoints serve for much")
        }
        ProbeKind::Iter => ("iterators", "it lets nobody load programs for them"),
        ProbeKind::Lsm => ("eBPF in its security modules", "it lets nobody load programs for them"),
        _ => return None,
    };
    Some(Unsupported { feature, since: None, config: None, hint: Some(hint.into()) })
}

/// What the verifier's log says of the target of a program, where that is the reason.
pub(super) fn not_there(kind: ProbeKind, log: &str) -> Option<Unsupported> {
    // `bpf_lsm_verify_prog` in kernel/bpf/bpf_lsm.c
    let disabled = kind == ProbeKind::Lsm && log.contains("points to disabled hook");
    disabled.then(|| Unsupported {
        feature: "place for eBPF programs on this hook",
        since: None,
        config: None,
        hint: Some("`rbtrace -l 'lsm:*'` lists those that have one".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_that_take_no_programs_are_told_from_mistakes() {
        let log = "attach_btf_id 1234 points to disabled hook bpf_lsm_getprocattr\n";
        assert!(not_there(ProbeKind::Lsm, log).is_some());
        assert_eq!(not_there(ProbeKind::Lsm, "0: (95) exit\n"), None);
        assert_eq!(not_there(ProbeKind::Fentry, log), None);
    }
}
