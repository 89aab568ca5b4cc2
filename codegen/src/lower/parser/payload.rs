//! What follows the last header.
//!
//! It is copied by the kernel's helpers, which find it wherever it lies: only headers are sure to be in
//! the first piece of a packet.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::hir::{Expr, Int, Payload, Space, Type};
use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::kinds::Context;
use rbtrace_probes_ebpf::packet::Property;

use super::super::func::FnBuilder;
use super::super::mem::Place;
use super::super::memory::Tail;
use super::super::text::BUF_HEADER;
use crate::error::Error;

impl FnBuilder<'_, '_, '_> {
    /// Where it begins, and how many bytes it has.
    fn payload_extent(&mut self, payload: &Payload) -> Result<(Value, Value), Error> {
        let start = self.scalar(&payload.start)?;
        let claimed = self.scalar(&payload.end)?;
        let there = self.packet_property(Property::Length);
        // Without a header of IP nothing says that a frame was filled up.
        let unknown = self.b.ins().icmp_imm_s(IntCC::Equal, claimed, 0);
        let claimed = self.b.ins().select(unknown, there, claimed);
        let end = self.smaller(claimed, there);
        let any = self.b.ins().icmp(IntCC::UnsignedGreaterThan, end, start);
        let bytes = self.b.ins().isub(end, start);
        let none = self.iconst(0);
        Ok((start, self.b.ins().select(any, bytes, none)))
    }

    fn smaller(&mut self, a: Value, b: Value) -> Value {
        let first = self.b.ins().icmp(IntCC::UnsignedLessThan, a, b);
        self.b.ins().select(first, a, b)
    }

    /// How many bytes it has.
    pub(in super::super) fn payload_len(&mut self, payload: &Payload) -> Result<Value, Error> {
        self.payload_extent(payload).map(|(_, bytes)| bytes)
    }

    /// One of its bytes; 0 behind its end.
    pub(in super::super) fn payload_byte(
        &mut self,
        payload: &Payload,
        at: &Expr,
    ) -> Result<Value, Error> {
        let at = self.scalar(at)?;
        let (start, bytes) = self.payload_extent(payload)?;
        let copy = self.temp_bytes(8)?;
        let zero = self.iconst(0);
        self.store(copy, 8, zero);
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, at, bytes);
        self.when(inside, |f| {
            let from = f.b.ins().iadd(start, at);
            let one = f.iconst(1);
            f.load_bytes(from, copy, one);
            Ok(())
        })?;
        Ok(self.load(copy, Int { size: 1, signed: false }))
    }

    /// Its first `len` bytes, or as many as there are, as text or as bytes.
    pub(in super::super) fn put_payload(
        &mut self,
        payload: &Payload,
        len: &Expr,
        ty: &Type,
        to: Place,
        tail: Tail,
    ) -> Result<(), Error> {
        let size = self.unit.layout(ty).size();
        let len = self.scalar(len)?;
        let (start, bytes) = self.payload_extent(payload)?;
        let count = self.smaller(len, bytes);
        if let Type::Str { .. } = ty {
            return self.put_payload_text(start, count, size, to, tail);
        }
        let capacity = size.saturating_sub(BUF_HEADER);
        let count = self.at_most(count, capacity)?;
        self.prepare(to, size, tail)?;
        self.store(to, BUF_HEADER, count);
        self.copy_some(start, to.plus(BUF_HEADER), count, capacity, |_| Ok(()))
    }

    /// Text ends at its first NUL, and what is behind that is not to be seen.
    fn put_payload_text(
        &mut self,
        start: Value,
        count: Value,
        size: u32,
        to: Place,
        tail: Tail,
    ) -> Result<(), Error> {
        let room = size.saturating_sub(1).max(1);
        let count = self.at_most(count, room)?;
        let copy = self.temp_bytes(size + 8)?;
        let nul = self.iconst(0);
        self.store(copy, 1, nul);
        self.copy_some(start, copy, count, room, |f| {
            let end = f.indexed(copy, count);
            f.store(end, 1, nul);
            Ok(())
        })?;
        let address = self.address(copy);
        self.read_string(to, size, address, Space::Kernel, tail)
    }

    /// Copies `count` bytes, at most `most`, and does `then`, unless there are none.
    fn copy_some(
        &mut self,
        start: Value,
        to: Place,
        count: Value,
        most: u32,
        then: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // The verifier takes no size that may be 0, and before Linux 6.8 learns nothing from a
        // comparison with 0.
        let before_last = self.b.ins().iadd_imm_s(count, -1);
        let before_last = self.settled(before_last);
        let any = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, before_last, i64::from(most));
        self.when(any, |f| {
            let size = f.b.ins().iadd_imm_s(before_last, 1);
            f.load_bytes(start, to, size);
            then(f)
        })
    }

    fn load_bytes(&mut self, from: Value, to: Place, size: Value) {
        let is_xdp = self.kind().context == Context::Xdp;
        let helper = if is_xdp { helpers::XDP_LOAD_BYTES } else { helpers::SKB_LOAD_BYTES };
        let (ctx, to) = (self.ctx, self.address(to));
        self.helper(helper, &[ctx, from, to, size]);
    }
}
