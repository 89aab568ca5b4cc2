//! Keeps the frames of programs on the stack of the task that runs them.
//!
//! From Linux 6.13 on the kernel moves the larger ones to a stack that belongs to the program and the
//! CPU (`bpf_enable_priv_stack` of kernel/bpf/verifier.c), on the ground that it never runs a program
//! while that is under way on the CPU. With uprobes it does, where it may preempt tasks: two runs then
//! have one stack. Programs that make tail calls are exempt, so these get one that is never made, which
//! the verifier finds out and removes after it has counted it.

use aya_obj::generated::bpf_insn;
use rbtrace_probes_ebpf::helpers::TAIL_CALL;
use rbtrace_probes_ebpf::profile::KernelVersion;

use super::Image;
use super::instruction::{CALL, JEQ, MOV, instruction};

/// First kernel with such stacks.
const SINCE: KernelVersion = KernelVersion::new(6, 13);
/// Bytes of a `struct bpf_func_info` and of a `struct bpf_line_info`, which begin with the index of an
/// instruction.
const FUNC_INFO: usize = 8;
const LINE_INFO: usize = 16;

impl Image {
    /// Has no such stack made for a program whose runs can come in between of each other.
    pub(super) fn refuse_private_stack(&mut self, kernel: KernelVersion) {
        if self.kind.interleaves() && kernel >= SINCE {
            self.prepend([
                instruction(MOV, 0, 0, 0),
                instruction(JEQ, 0, 1, 0),
                instruction(CALL, 0, 0, TAIL_CALL.id.cast_signed()),
            ]);
        }
    }

    /// Puts instructions before the others, whose jumps and calls are relative. They are of the first
    /// function and line.
    fn prepend<const N: usize>(&mut self, first: [bpf_insn; N]) {
        self.instructions.splice(0..0, first);
        shift::<FUNC_INFO>(&mut self.functions, N);
        shift::<LINE_INFO>(&mut self.lines, N);
    }
}

/// Moves all records but the first by `count` instructions.
fn shift<const SIZE: usize>(records: &mut [u8], count: usize) {
    for record in records.as_chunks_mut::<SIZE>().0.iter_mut().skip(1) {
        if let Some(index) = record.first_chunk_mut() {
            let moved = u32::from_ne_bytes(*index).saturating_add(count as u32);
            *index = moved.to_ne_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use rbtrace_probes_ebpf::kinds::ProbeKind;

    use super::super::instruction::EXIT;
    use super::super::target::Function;
    use super::*;

    fn image(kind: ProbeKind) -> Image {
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        Image {
            name: c"test".into(),
            license: c"GPL".into(),
            kind,
            attach_type: 0,
            target: Function::default(),
            instructions: vec![instruction(MOV, 0, 0, 0), instruction(EXIT, 0, 0, 0)],
            functions: words(&[0, 7, 5, 8]),
            lines: words(&[0, 1, 2, 3, 1, 1, 2, 4]),
            symbol: "test".into(),
        }
    }

    #[test]
    fn what_follows_moves() {
        let mut changed = image(ProbeKind::Uprobe);
        changed.refuse_private_stack(SINCE);
        let codes: Vec<u8> = changed.instructions.iter().map(|i| i.code).collect();
        assert_eq!(codes, [MOV, JEQ, CALL, MOV, EXIT]);
        let words = |bytes: &[u8]| -> Vec<u32> {
            bytes.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word)).collect()
        };
        assert_eq!(words(&changed.functions), [0, 7, 8, 8]);
        assert_eq!(words(&changed.lines), [0, 1, 2, 3, 4, 1, 2, 4]);
    }

    #[test]
    fn programs_that_do_not_interleave_stay() {
        for (kind, kernel) in
            [(ProbeKind::Kprobe, SINCE), (ProbeKind::Uprobe, KernelVersion::new(6, 12))]
        {
            let mut same = image(kind);
            same.refuse_private_stack(kernel);
            assert_eq!(same.instructions.len(), 2);
        }
    }
}
