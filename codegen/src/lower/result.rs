//! What a program returns, kept within what the kernel takes.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_probes_ebpf::kinds::{Results, lsm};
use rbtrace_probes_ebpf::plan::Target;

use super::func::FnBuilder;

impl FnBuilder<'_, '_, '_> {
    /// What the program may return, where not everything is allowed.
    pub(super) fn results(&self) -> Option<Results> {
        match self.target() {
            Some(Target::Lsm { hook }) => Some(lsm::results(hook)),
            _ => None,
        }
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
