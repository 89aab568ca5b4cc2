//! What programs are tied to when they are loaded: functions of the kernel, by BTF.

use aya_obj::btf::{Btf, BtfKind};
use rbtrace_probes_ebpf::plan::{KernelFunction, Plan, Program, Target};
use rbtrace_probes_ebpf::profile::KernelVersion;

use crate::attach::kprobe;
use crate::error::{Error, Unsupported};
use crate::symbols::kernel::KernelSymbols;

/// First kernel with `fentry` and `fexit`.
const SINCE: KernelVersion = KernelVersion::new(5, 5);

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
            Some(Target::Fentry(function) | Target::Fexit(function)) => self.function(function),
            // All of its probes may have been filtered away.
            _ => Err(Error::Malformed(format!("{} has no function", program.symbol))),
        }
    }

    fn function(&mut self, function: &KernelFunction) -> Result<u32, Error> {
        if let Some(module) = kprobe::module(function) {
            return Err(Unsupported {
                feature: "types of its modules that rbtrace reads",
                since: None,
                config: None,
                hint: Some(format!("kprobe:{module}:{} works", function.function)),
            }
            .into());
        }
        let btf = match &mut self.0 {
            Some(btf) => btf,
            none => none.insert(Btf::from_sys_fs().map_err(|_| no_btf())?),
        };
        let name = &function.function;
        btf.id_by_type_name_kind(name, BtfKind::Func).map_err(|_| Error::UnknownSymbol {
            name: name.clone(),
            place: "the kernel's types".into(),
            similar: KernelSymbols::read().unwrap_or_default().similar(name, 3),
        })
    }
}

fn no_btf() -> Error {
    Unsupported {
        feature: "BTF of its own types, which fentry and fexit need",
        since: Some(SINCE),
        config: Some("CONFIG_DEBUG_INFO_BTF"),
        hint: Some("kprobe and kretprobe do without".into()),
    }
    .into()
}
