//! Captured stacks: the frames go to a map of stacks, and a value holds their key. Equal stacks
//! have equal keys.

use cranelift_codegen::ir::{InstBuilder, Value, condcodes::IntCC, types::I64};
use rbtrace_lang::hir::{Expr, Int, StackType, Type};
use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::types::{STACK_FRAMES_MASK, StackMode};

use super::func::FnBuilder;
use super::mem::Place;
use super::own_maps::{OwnMap, STACK_FRAMES};
use crate::error::Error;

/// `BPF_F_USER_STACK` and `BPF_F_USER_BUILD_ID` of linux/bpf.h.
const USER_STACK: i64 = 1 << 8;
const USER_BUILD_ID: i64 = 1 << 11;
/// An odd number without pattern: 2^64 divided by the golden ratio.
const MIX: i64 = 0x9e37_79b9_7f4a_7c15_u64.cast_signed();

/// Bytes of a frame as the kernel writes it, as a power of two.
fn frame_shift(mode: StackMode) -> u32 {
    if mode == StackMode::BuildId { 5 } else { 3 }
}

impl FnBuilder<'_, '_, '_> {
    /// Captures a stack, by unwind data or by frame pointers: see the plan's `Stack` for what is
    /// written.
    pub(super) fn put_stack(&mut self, ty: &Type, unwind: bool, to: Place) -> Result<(), Error> {
        let (stack, user) = match *ty {
            Type::UStack(stack) => (stack, true),
            Type::KStack(stack) => (stack, false),
            _ => return Err(self.bug("a stack of another type")),
        };
        let mark = self.mark();
        let frames = self.temp_bytes(STACK_FRAMES << frame_shift(stack.mode))?;
        let written = match unwind {
            true => self.unwind(stack, frames)?,
            false => self.capture(stack, user, frames),
        };
        let any = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, written, 0);
        let key = self.choose(
            any,
            |f| {
                let key = f.stack_key(stack, frames, written)?;
                f.keep_stack(stack, key, frames)?;
                Ok(key)
            },
            |f| Ok(f.iconst(0)),
        )?;
        self.release(mark);
        self.store(to, 8, key);
        if user {
            return self.put_origin(to);
        }
        let zero = self.iconst(0);
        self.store(to.plus(8), 8, zero);
        Ok(())
    }

    /// Writes the frames as the kernel finds them; the result is the number of their bytes, or
    /// negative.
    pub(super) fn capture(&mut self, stack: StackType, user: bool, frames: Place) -> Value {
        let shift = frame_shift(stack.mode);
        let bytes = self.iconst(i64::from(stack.limit.min(STACK_FRAMES) << shift));
        let mut flags = if user { USER_STACK } else { 0 };
        if stack.mode == StackMode::BuildId {
            flags |= USER_BUILD_ID;
        }
        let flags = self.iconst(flags);
        let (ctx, address) = (self.ctx, self.address(frames));
        self.helper(helpers::GET_STACK, &[ctx, address, bytes, flags])
    }

    /// A hash of the frames, with their number in its lowest bits.
    fn stack_key(
        &mut self,
        stack: StackType,
        frames: Place,
        written: Value,
    ) -> Result<Value, Error> {
        let shift = frame_shift(stack.mode);
        let words = stack.limit.min(STACK_FRAMES) << (shift - 3);
        let count = self.b.ins().ushr_imm_s(written, 3);
        let hash = self.b.declare_var(I64);
        let start = self.iconst(MIX);
        self.b.def_var(hash, start);
        self.repeat(words, |f, index, after| {
            let inside = f.b.create_block();
            let more = f.b.ins().icmp(IntCC::UnsignedLessThan, index, count);
            f.b.ins().brif(more, inside, &[], after, &[]);
            f.enter(inside);
            let bytes = f.b.ins().ishl_imm_s(index, 3);
            let start = f.address(frames);
            let address = f.b.ins().iadd(start, bytes);
            let word = f.load(Place::pointer(address), Int { size: 8, signed: false });
            let old = f.b.use_var(hash);
            let mixed = f.b.ins().bxor(old, word);
            let mixed = f.b.ins().imul_imm_s(mixed, MIX);
            let high = f.b.ins().ushr_imm_s(mixed, 32);
            let mixed = f.b.ins().bxor(mixed, high);
            f.b.def_var(hash, mixed);
            Ok(())
        })?;
        let hash = self.b.use_var(hash);
        let upper = self.b.ins().band_imm_s(hash, !STACK_FRAMES_MASK.cast_signed());
        let count = self.b.ins().ushr_imm_s(written, i64::from(shift));
        Ok(self.b.ins().bor(upper, count))
    }

    /// Puts the frames into the map of stacks unless they are there.
    fn keep_stack(&mut self, stack: StackType, key: Value, frames: Place) -> Result<(), Error> {
        let map = self.unit.own_map(OwnMap::stacks(stack.mode));
        let place = self.temp_bytes(8)?;
        self.store(place, 8, key);
        let (map_value, at) = (self.map_ref(map), self.address(place));
        let found = self.helper(helpers::MAP_LOOKUP_ELEM, &[map_value, at]);
        let missing = self.b.ins().icmp_imm_s(IntCC::Equal, found, 0);
        self.when(missing, |f| {
            let (map, at, frames) = (f.map_ref(map), f.address(place), f.address(frames));
            let flags = f.iconst(0);
            let result = f.helper(helpers::MAP_UPDATE_ELEM, &[map, at, frames, flags]);
            f.count_if_full(result)
        })
    }

    /// Number of frames.
    pub(super) fn stack_len(&mut self, stack: &Expr) -> Result<Value, Error> {
        let place = self.memory_of(stack)?;
        let key = self.load(place, Int { size: 8, signed: false });
        Ok(self.b.ins().band_imm_s(key, STACK_FRAMES_MASK.cast_signed()))
    }
}
