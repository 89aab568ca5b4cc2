//! Memory of the program's own: places, temporaries, loads, stores and copies.
//!
//! Temporaries live on the eBPF stack while they are small and it has room, else in the
//! program's entry of the scratch map. A string in memory is padded with zeros to its size,
//! so that equal strings are equal bytes; only ring buffer records may leave the tail as it is.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    InstBuilder, MemFlagsData, StackSlot, StackSlotData, StackSlotKind, Value, types::I64,
};
use rbtrace_lang::hir::{Int, Type};
use rbtrace_probes_ebpf::helpers;

use super::func::FnBuilder;
use crate::error::Error;

/// Largest temporary on the eBPF stack, in bytes.
const STACK_OBJECT: u32 = 64;
/// How much of a function's stack its temporaries and variables may take; the rest is for spilled
/// registers and for the frames of callbacks, which count with their caller's (`MAX_BPF_STACK` of
/// linux/filter.h). What finds no place lies in scratch memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackUse {
    /// As much as leaves room for what is usually spilled.
    Usual,
    /// Next to nothing, and variables are in scratch memory instead of registers: for programs that
    /// spill more than usual.
    Least,
}

impl StackUse {
    /// Bytes for a program's temporaries and variables.
    const fn program(self) -> u32 {
        match self {
            StackUse::Usual => 288,
            StackUse::Least => 64,
        }
    }

    /// Bytes for those of a callback.
    const fn callback(self) -> u32 {
        match self {
            StackUse::Usual => 96,
            StackUse::Least => 32,
        }
    }
}

/// Copies and fills up to this many bytes are written out.
const INLINE_BYTES: u32 = 128;
/// Bytes after every temporary that a string read may overrun by its NUL.
pub(super) const SLACK: u32 = 8;

/// A place in the program's own memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    base: Base,
    /// Bytes from the base, which is aligned to 8.
    pub(super) offset: u32,
}

#[derive(Clone, Copy, Debug)]
enum Base {
    Slot(StackSlot),
    Pointer(Value),
}

impl Place {
    /// A pointer to memory that the verifier knows, aligned to 8.
    pub(super) fn pointer(pointer: Value) -> Self {
        Place { base: Base::Pointer(pointer), offset: 0 }
    }

    /// `bytes` further on.
    pub(super) fn plus(self, bytes: u32) -> Self {
        Place { offset: self.offset + bytes, ..self }
    }
}

/// What a function uses of the stack and of the scratch map.
pub(super) struct Memory {
    /// Pointer to the program's entry of the scratch map.
    scratch: Option<Value>,
    /// A temporary found no place: lower again with scratch memory.
    pub(super) wants_scratch: bool,
    scratch_used: u32,
    stack_limit: u32,
    /// Most bytes of the scratch entry ever in use.
    pub(super) scratch_high: u32,
    stack_used: u32,
    free: Vec<(u32, StackSlot)>,
    live: Vec<(u32, StackSlot)>,
    /// What callbacks without a context get for one.
    no_context: Option<Place>,
}

impl Memory {
    /// Of a program, whose entry of the scratch map begins with so many bytes that are not for values.
    pub(super) fn program(stack: StackUse, reserved: u32) -> Self {
        Self { scratch_high: 0, ..Self::new(stack.program(), reserved) }
    }

    /// Of a callback: its scratch memory begins after what its caller uses.
    pub(super) fn callback(&self, stack: StackUse) -> Self {
        Self::new(stack.callback(), self.scratch_used)
    }

    fn new(stack_limit: u32, scratch_used: u32) -> Self {
        Self {
            scratch: None,
            wants_scratch: false,
            scratch_used,
            scratch_high: scratch_used,
            stack_limit,
            stack_used: 0,
            free: Vec::new(),
            live: Vec::new(),
            no_context: None,
        }
    }

    /// Pointer to the program's scratch memory, if it has begun by looking that up.
    pub(super) fn scratch(&self) -> Option<Value> {
        self.scratch
    }

    /// The program's scratch memory is here.
    pub(super) fn use_scratch(&mut self, pointer: Value) {
        self.scratch = Some(pointer);
    }

    /// Takes over what a callback needs.
    pub(super) fn absorb(&mut self, callback: &Memory) {
        self.wants_scratch |= callback.wants_scratch;
        self.scratch_high = self.scratch_high.max(callback.scratch_high);
    }
}

/// Temporaries that existed at some point; those made after it can be given back.
#[derive(Clone, Copy)]
pub(super) struct TempMark {
    scratch: u32,
    live: usize,
}

impl FnBuilder<'_, '_, '_> {
    /// Temporaries up to here stay.
    pub(super) fn mark(&self) -> TempMark {
        TempMark { scratch: self.memory.scratch_used, live: self.memory.live.len() }
    }

    /// Gives back the temporaries made since `mark`.
    pub(super) fn release(&mut self, mark: TempMark) {
        let memory = &mut self.memory;
        memory.scratch_used = mark.scratch;
        let given_back = memory.live.split_off(mark.live.min(memory.live.len()));
        memory.free.extend(given_back);
    }

    /// Memory for a variable: never given back, so it must be made before any temporary.
    pub(super) fn lasting(&mut self, ty: &Type) -> Result<Place, Error> {
        let size = self.unit.layout(ty).size() + SLACK;
        if let Some(slot) = self.stack_slot(size) {
            return Ok(Place { base: Base::Slot(slot), offset: 0 });
        }
        self.scratch(size)
    }

    /// Memory on the stack that callbacks get a pointer to.
    pub(super) fn shared_memory(&mut self, size: u32) -> Place {
        self.memory.stack_used += size;
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3);
        Place { base: Base::Slot(self.b.create_sized_stack_slot(data)), offset: 0 }
    }

    /// The context of callbacks that need none: a place on the stack, since the verifier takes no
    /// other memory for it.
    pub(super) fn no_context(&mut self) -> Place {
        if let Some(place) = self.memory.no_context {
            return place;
        }
        let place = self.shared_memory(8);
        self.memory.no_context = Some(place);
        place
    }

    /// A temporary of a value's size, with slack after it if the value is memory.
    pub(super) fn temp(&mut self, ty: &Type) -> Result<Place, Error> {
        let size = self.unit.layout(ty).size();
        self.temp_bytes(if ty.is_scalar() { size } else { size + SLACK })
    }

    /// A temporary of `size` bytes.
    pub(super) fn temp_bytes(&mut self, size: u32) -> Result<Place, Error> {
        let rounded = size.next_multiple_of(8);
        if let Some(at) = self.memory.free.iter().position(|(s, _)| *s == rounded) {
            let entry = self.memory.free.swap_remove(at);
            self.memory.live.push(entry);
            return Ok(Place { base: Base::Slot(entry.1), offset: 0 });
        }
        match self.stack_slot(size) {
            Some(slot) => {
                self.memory.live.push((rounded, slot));
                Ok(Place { base: Base::Slot(slot), offset: 0 })
            }
            None => self.scratch(size),
        }
    }

    fn stack_slot(&mut self, size: u32) -> Option<StackSlot> {
        let size = size.next_multiple_of(8);
        if size > STACK_OBJECT || self.memory.stack_used + size > self.memory.stack_limit {
            return None;
        }
        self.memory.stack_used += size;
        Some(self.b.create_sized_stack_slot(StackSlotData::new(
            StackSlotKind::ExplicitSlot,
            size,
            3,
        )))
    }

    /// Memory in the program's entry of the scratch map.
    pub(super) fn scratch(&mut self, size: u32) -> Result<Place, Error> {
        let offset = self.memory.scratch_used;
        self.memory.scratch_used = offset + size.next_multiple_of(8);
        self.memory.scratch_high = self.memory.scratch_high.max(self.memory.scratch_used);
        Ok(self.scratch_place(offset))
    }

    /// The place at an offset of the program's entry of the scratch map.
    pub(super) fn scratch_place(&mut self, offset: u32) -> Place {
        let pointer = match self.memory.scratch {
            Some(pointer) => pointer,
            None => {
                // The function will be lowered again; this copy only has to be well-formed.
                self.memory.wants_scratch = true;
                self.iconst(0)
            }
        };
        Place { base: Base::Pointer(pointer), offset }
    }

    /// Address of a place.
    pub(super) fn address(&mut self, place: Place) -> Value {
        match place.base {
            Base::Slot(slot) => self.b.ins().stack_addr(I64, slot, place.offset as i32),
            Base::Pointer(pointer) if place.offset == 0 => pointer,
            Base::Pointer(pointer) => self.b.ins().iadd_imm_s(pointer, i64::from(place.offset)),
        }
    }

    /// The place so many bytes further on. The constant part of its distance stays one, so that
    /// many places in one piece of memory share an address.
    pub(super) fn indexed(&mut self, place: Place, bytes: Value) -> Place {
        let (base, _) = self.based(place);
        let pointer = self.b.ins().iadd(base, bytes);
        Place { base: Base::Pointer(pointer), offset: place.offset }
    }

    fn based(&mut self, place: Place) -> (Value, i32) {
        match place.base {
            Base::Slot(slot) => (self.b.ins().stack_addr(I64, slot, 0), place.offset as i32),
            Base::Pointer(pointer) => (pointer, place.offset as i32),
        }
    }

    /// Loads an integer, extended to 64 bits.
    pub(super) fn load(&mut self, place: Place, int: Int) -> Value {
        let (base, offset) = self.based(place);
        self.load_at(base, offset, int, MemFlagsData::new())
    }

    /// Loads an integer from the context, which never changes.
    pub(super) fn load_context(&mut self, offset: u32, int: Int) -> Value {
        let flags = MemFlagsData::trusted().with_readonly();
        self.load_at(self.ctx, offset as i32, int, flags)
    }

    fn load_at(&mut self, base: Value, offset: i32, int: Int, flags: MemFlagsData) -> Value {
        let ins = self.b.ins();
        match (int.size, int.signed) {
            (1, false) => ins.uload8(I64, flags, base, offset),
            (1, true) => ins.sload8(I64, flags, base, offset),
            (2, false) => ins.uload16(I64, flags, base, offset),
            (2, true) => ins.sload16(I64, flags, base, offset),
            (4, false) => ins.uload32(flags, base, offset),
            (4, true) => ins.sload32(flags, base, offset),
            _ => ins.load(I64, flags, base, offset),
        }
    }

    /// Stores the low `size` bytes (1, 2, 4 or 8) of a value.
    pub(super) fn store(&mut self, place: Place, size: u32, value: Value) {
        let (base, offset) = self.based(place);
        let flags = MemFlagsData::new();
        let ins = self.b.ins();
        match size {
            1 => ins.istore8(flags, value, base, offset),
            2 => ins.istore16(flags, value, base, offset),
            4 => ins.istore32(flags, value, base, offset),
            _ => ins.store(flags, value, base, offset),
        };
    }

    /// Fills with zeros.
    pub(super) fn zero(&mut self, place: Place, size: u32) -> Result<(), Error> {
        if size > INLINE_BYTES && self.is_tracing() {
            let zeros = self.unit.zeros(size);
            let source = self.bss(zeros);
            self.read_kernel(place, size, source);
            return Ok(());
        }
        let zero = self.iconst(0);
        for (at, chunk) in chunks([place.offset; 2], size) {
            self.store(place.plus(at), chunk, zero);
        }
        Ok(())
    }

    /// Copies `size` bytes between two places of the program's own.
    pub(super) fn copy(&mut self, to: Place, from: Place, size: u32) -> Result<(), Error> {
        if size > INLINE_BYTES && self.is_tracing() {
            let source = self.address(from);
            self.read_kernel(to, size, source);
            return Ok(());
        }
        for (at, chunk) in chunks([to.offset, from.offset], size) {
            let int = Int { size: chunk as u8, signed: false };
            let value = self.load(from.plus(at), int);
            self.store(to.plus(at), chunk, value);
        }
        Ok(())
    }

    /// Writes these bytes.
    pub(super) fn write_bytes(&mut self, place: Place, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() as u32 > INLINE_BYTES && self.is_tracing() {
            let offset = self.unit.bytes(bytes);
            let source = self.rodata(offset);
            self.read_kernel(place, bytes.len() as u32, source);
            return Ok(());
        }
        for (at, chunk) in chunks([place.offset; 2], bytes.len() as u32) {
            let mut word = [0; 8];
            word[..chunk as usize].copy_from_slice(&bytes[at as usize..(at + chunk) as usize]);
            let value = self.iconst(i64::from_le_bytes(word));
            self.store(place.plus(at), chunk, value);
        }
        Ok(())
    }

    /// Copies kernel memory; what cannot be read becomes zero.
    pub(super) fn read_kernel(&mut self, to: Place, size: u32, source: Value) -> Value {
        let to = self.address(to);
        let size = self.iconst(i64::from(size));
        self.helper(helpers::PROBE_READ_KERNEL, &[to, size, source])
    }

    /// Whether an address is the kernel's: on every supported machine the upper half of the
    /// address space is.
    pub(super) fn is_kernel_address(&mut self, address: Value) -> Value {
        self.b.ins().icmp_imm_s(IntCC::SignedLessThan, address, 0)
    }
}

/// Splits `size` bytes at two offsets into chunks of 8, 4, 2 and 1 that are aligned at both.
pub(super) fn chunks(offsets: [u32; 2], size: u32) -> impl Iterator<Item = (u32, u32)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = size - at;
        if left == 0 {
            return None;
        }
        let aligned = offsets.map(|o| 1 << (o + at).trailing_zeros().min(3));
        let chunk = aligned[0].min(aligned[1]).min(1 << left.ilog2());
        let start = at;
        at += chunk;
        Some((start, chunk))
    })
}

#[cfg(test)]
mod tests {
    use super::chunks;

    #[test]
    fn chunks_are_aligned_and_cover_everything() {
        let of = |a, b, size| chunks([a, b], size).collect::<Vec<_>>();
        assert_eq!(of(0, 0, 16), [(0, 8), (8, 8)]);
        assert_eq!(of(0, 8, 7), [(0, 4), (4, 2), (6, 1)]);
        assert_eq!(of(3, 3, 6), [(0, 1), (1, 4), (5, 1)]);
        assert_eq!(of(0, 4, 12), [(0, 4), (4, 4), (8, 4)]);
        assert_eq!(of(0, 0, 0), []);
    }
}
