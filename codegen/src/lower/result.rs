//! What a program returns, kept within what the kernel takes.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_probes_ebpf::kinds::{ProbeKind, Results, cgroup_skb, lsm, tc};
use rbtrace_probes_ebpf::plan::Target;
use rbtrace_probes_ebpf::profile::KernelVersion;

use super::func::FnBuilder;

/// First kernel with links for `tc` programs.
const TCX_SINCE: KernelVersion = KernelVersion::new(6, 6);

impl FnBuilder<'_, '_, '_> {
    /// What the program may return, where not everything is allowed.
    pub(super) fn results(&self) -> Option<Results> {
        match self.target() {
            Some(Target::Lsm { hook }) => Some(lsm::results(hook)),
            Some(Target::CgroupSkb { .. }) => Some(cgroup_skb::RESULTS),
            _ => None,
        }
    }

    /// A verdict that the kernel knows: a packet that is to vanish does, with or without links.
    pub(super) fn known_verdict(&mut self, verdict: Value) -> Value {
        if self.block.kind != ProbeKind::Tc || self.unit.profile.kernel < TCX_SINCE {
            return verdict;
        }
        let shot = self.iconst(tc::SHOT);
        tc::NOT_BEHIND_LINKS.into_iter().fold(verdict, |verdict, unknown| {
            let is_unknown = self.b.ins().icmp_imm_s(IntCC::Equal, verdict, unknown);
            self.b.ins().select(is_unknown, shot, verdict)
        })
    }

    /// Returns a value, or the one that stands for all that are not allowed; code after it is
    /// unreachable. The verifier has to see the bounds, and older kernels check no verdicts.
    pub(super) fn return_within(&mut self, value: Value, results: &Results) {
        let high_enough = self.b.create_block();
        let within = self.b.create_block();
        let outside = self.b.create_block();
        let (least, most) = (*results.range.start(), *results.range.end());
        let low = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, value, least);
        self.b.ins().brif(low, high_enough, &[], outside, &[]);
        self.enter(high_enough);
        let high = self.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, value, most);
        self.b.ins().brif(high, within, &[], outside, &[]);
        self.enter(within);
        self.b.ins().return_(&[value]);
        self.enter(outside);
        let otherwise = self.iconst(results.otherwise);
        self.return_from_function(otherwise);
    }
}
