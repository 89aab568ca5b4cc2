//! What programs are tied to when they are loaded: functions of the kernel, by BTF.

use aya_obj::btf::{Btf, BtfKind};
use rbtrace_probes_ebpf::kinds::{ProbeKind, iter, lsm};
use rbtrace_probes_ebpf::plan::{KernelFunction, Plan, Program, Target};
use rbtrace_probes_ebpf::profile::KernelVersion;

use crate::attach::kprobe;
use crate::error::{Error, Unsupported};
use crate::symbols::kernel::KernelSymbols;

/// The kernel's types, read when they are first asked for.
#[derive(Default)]
pub(super) struct Targets(Option<Btf>);

impl Targets {
    /// Number of the function that a program is for; 0 for programs that are attached later.
    pub fn of(&mut self, plan: &Plan, program: &Program) -> Result<u32, Error> {
        if !program.kind.binds_at_load() {
            return Ok(0);
        }
        let probe = program.probes.first().and_then(|index| plan.probes.get(*index as usize));
        match probe.map(|probe| &probe.target) {
            Some(Target::Fentry(function) | Target::Fexit(function)) => self.traced(function),
            Some(Target::Iter { object, .. }) => {
                self.function(program.kind, &iter::function(object))
            }
            Some(Target::Lsm { hook }) => self.function(program.kind, &lsm::function(hook)),
            _ => Err(Error::Malformed(format!("{} has no function", program.symbol))),
        }
    }

    fn traced(&mut self, function: &KernelFunction) -> Result<u32, Error> {
        if let Some(module) = kprobe::module(function) {
            return Err(Unsupported {
                feature: "types of its modules that rbtrace reads",
                since: None,
                config: None,
                hint: Some(format!("kprobe:{module}:{} works", function.function)),
            }
            .into());
        }
        self.function(ProbeKind::Fentry, &function.function)
    }

    fn function(&mut self, kind: ProbeKind, name: &str) -> Result<u32, Error> {
        let btf = match &mut self.0 {
            Some(btf) => btf,
            none => none.insert(Btf::from_sys_fs().map_err(|_| no_btf(kind))?),
        };
        btf.id_by_type_name_kind(name, BtfKind::Func).map_err(|_| Error::UnknownSymbol {
            name: name.to_owned(),
            place: "the kernel's types".into(),
            similar: KernelSymbols::read().unwrap_or_default().similar(name, 3),
        })
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
