//! What a run gives up once everything is attached.

use std::io;

use rbtrace_probes_ebpf::plan::{Action, MapRole, Plan, Target};
use rbtrace_probes_ebpf::profile::KernelVersion;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::features;
use crate::watched;

/// From this version on whoever has a descriptor may use maps and programs without a capability,
/// whatever kernel.unprivileged_bpf_disabled says (`__sys_bpf` in kernel/bpf/syscall.c).
const DESCRIPTORS_SUFFICE: KernelVersion = KernelVersion::new(5, 19);

/// Gives up the capabilities (capabilities(7)) that the run of objects with these plans needs no more.
/// The calling thread gives them up; those that it starts later never have them.
pub(crate) fn give_up<'a>(plans: impl Iterator<Item = &'a Plan>) -> io::Result<()> {
    let kernel = features::kernel_version();
    let needed = plans.fold(CapabilitySet::empty(), |all, plan| all | still_needed(plan, kernel));
    let has = capabilities(None)?;
    let left = CapabilitySets {
        effective: has.effective & needed,
        permitted: has.permitted & needed,
        inheritable: has.inheritable & needed,
    };
    Ok(set_capabilities(None, left)?)
}

/// What the run of an object needs after it is attached.
fn still_needed(plan: &Plan, kernel: KernelVersion) -> CapabilitySet {
    // To read the files of other users, and in the mount namespaces of other processes.
    let files = CapabilitySet::DAC_READ_SEARCH;
    let user_code = files | CapabilitySet::SYS_PTRACE | CapabilitySet::CHECKPOINT_RESTORE;
    let has_action = |is: fn(&Action) -> bool| plan.actions.iter().any(is);
    let has_map = |role| plan.maps.iter().any(|map| map.role == role);
    let on_interfaces = |is: fn(&Target) -> bool| {
        let targets = plan.probes.iter().map(|probe| &probe.target);
        targets.filter(|target| target.interface().is_some()).any(is)
    };
    // For another interface its programs may have to be loaded anew.
    let calls_next = plan.programs.iter().any(|program| program.passes_on);
    let needs = [
        // Commands run as they would without rbtrace.
        (has_action(|action| matches!(action, Action::System { .. })), CapabilitySet::all()),
        (has_action(|action| matches!(action, Action::Cat { .. })), files),
        (watched::shows_user_code(plan), user_code),
        (watched::shows_kernel_code(plan), CapabilitySet::SYSLOG),
        // Tables grow.
        (plan.unwinds(), user_code | CapabilitySet::BPF),
        (has_map(MapRole::Packets), CapabilitySet::DAC_OVERRIDE),
        // Interfaces come while it runs.
        (
            on_interfaces(|target| !matches!(target, Target::Socket { .. })),
            CapabilitySet::NET_ADMIN,
        ),
        (on_interfaces(|target| matches!(target, Target::Socket { .. })), CapabilitySet::NET_RAW),
        (calls_next, CapabilitySet::BPF | CapabilitySet::PERFMON),
        (kernel < DESCRIPTORS_SUFFICE, CapabilitySet::BPF | CapabilitySet::SYS_ADMIN),
    ];
    needs
        .iter()
        .filter(|(needed, _)| *needed)
        .fold(CapabilitySet::empty(), |all, (_, set)| all | *set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::empty_plan;

    const NOW: KernelVersion = KernelVersion::new(6, 1);

    #[test]
    fn only_what_a_script_does_later_is_kept() {
        let mut plan = empty_plan();
        assert_eq!(still_needed(&plan, NOW), CapabilitySet::empty());
        let old = KernelVersion::new(5, 15);
        assert!(still_needed(&plan, old).contains(CapabilitySet::BPF));
        plan.actions.push(Action::Cat { format: String::new(), args: Vec::new() });
        assert_eq!(still_needed(&plan, NOW), CapabilitySet::DAC_READ_SEARCH);
    }
}
