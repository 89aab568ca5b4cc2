//! Packets for user space. They come by a perf buffer, since the kernel copies a packet that is in
//! several pieces into nothing else.

use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::hir::Expr;
use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::plan;
use rbtrace_probes_ebpf::record::{
    ACTION_OFFSET, Loss, PACKET_DATA, PACKET_LENGTH, PACKET_TIME, PROGRAM_OFFSET,
};

use super::func::FnBuilder;
use super::own_maps::OwnMap;
use crate::error::Error;

/// `BPF_F_CURRENT_CPU` of linux/bpf.h.
const CURRENT_CPU: i64 = 0xffff_ffff;
/// Where the number of bytes of the packet is in the flags (`BPF_F_CTXLEN_MASK`).
const LENGTH_SHIFT: i64 = 32;
/// `-ENOSPC`: what the kernel answers if the buffer is full.
const NO_ROOM: i64 = -28;

impl FnBuilder<'_, '_, '_> {
    /// Sends a packet to be written to a file, and answers what the kernel says of it.
    pub(super) fn skb_output(
        &mut self,
        file: &str,
        skb: &Expr,
        len: &Expr,
        offset: u64,
    ) -> Result<Value, Error> {
        let action = self.unit.action(plan::Action::Packet { file: file.into(), offset });
        let (skb, len) = (self.scalar(skb)?, self.scalar(len)?);
        let record = self.temp_bytes(PACKET_DATA)?;
        let number = self.iconst(i64::from(action));
        self.store(record.plus(ACTION_OFFSET), 4, number);
        let program = self.iconst(i64::from(self.index));
        self.store(record.plus(PROGRAM_OFFSET), 4, program);
        let now = self.helper(helpers::KTIME_GET_BOOT_NS, &[]);
        self.store(record.plus(PACKET_TIME), 8, now);
        self.store(record.plus(PACKET_LENGTH), 8, len);

        let buffer = self.unit.own_map(OwnMap::Packets);
        let buffer = self.map_ref(buffer);
        let high = self.b.ins().ishl_imm_s(len, LENGTH_SHIFT);
        let flags = self.b.ins().bor_imm_s(high, CURRENT_CPU);
        let (record, size) = (self.address(record), self.iconst(i64::from(PACKET_DATA)));
        let sent = self.watched_helper(helpers::SKB_OUTPUT, &[skb, buffer, flags, record, size])?;
        let full = self.iconst(NO_ROOM);
        let full = self.b.ins().bxor(sent, full);
        let full = self.is_zero(full);
        self.when(full, |f| f.count_loss(Loss::RingFull))?;
        Ok(sent)
    }
}
