//! Strings in memory: their length, comparison, and the search for one in another.
//!
//! Short loops are the program's own, which the verifier walks round by round. Longer ones are
//! left to `bpf_loop`, whose callback it walks once.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, UserFuncName, Value};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use rbtrace_lang::hir::{Expr, ExprKind, Int, Type};
use rbtrace_probes_ebpf::helpers;

use super::func::{FnBuilder, signature};
use super::mem::Place;
use crate::carrier::carrier;
use crate::clif::{Function, Role};
use crate::error::Error;

/// Most rounds of a loop that the program runs itself. Each leaves two branches for the verifier
/// to come back to, of which it keeps 8192 (`BPF_COMPLEXITY_LIMIT_JMP_SEQ`).
pub(super) const INLINE_ROUNDS: u32 = 1024;
/// Most bytes of a constant that is searched for without a callback.
const INLINE_SEARCH: usize = 64;
/// Most rounds of `bpf_loop` (`BPF_MAX_LOOPS` of linux/bpf.h).
const MAX_ROUNDS: u64 = 1 << 23;

/// Offsets of what callbacks share with the program.
pub(super) const LEFT: i32 = 0;
pub(super) const RIGHT: i32 = 8;
const RESULT: i32 = 16;
pub(super) const STATE: i32 = 24;
const CONTEXT_SIZE: u32 = 32;

impl FnBuilder<'_, '_, '_> {
    /// Bytes before the NUL, or all of them.
    pub(super) fn str_len(&mut self, text: &Expr) -> Result<Value, Error> {
        if let ExprKind::Str(bytes) = &text.kind {
            let len = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
            return Ok(self.iconst(len as i64));
        }
        let size = self.unit.layout(&text.ty).size();
        let place = self.memory_of(text)?;
        Ok(self.first_nul(place, size))
    }

    /// Where the zeros begin that a text of `size` bytes is padded with, by halves: the fewest
    /// bytes are looked at, and no branch leaves the verifier a path for each length.
    fn first_nul(&mut self, place: Place, size: u32) -> Value {
        let mut length = self.iconst(0);
        let mut left = size;
        while left > 0 {
            let step = left.div_ceil(2);
            let byte = self.byte_at(place.plus(step - 1), length);
            // 1 if it is not 0.
            let above = self.b.ins().iadd_imm_s(byte, 0xff);
            let goes_on = self.b.ins().ushr_imm_s(above, 8);
            let more = self.b.ins().imul_imm_s(goes_on, i64::from(step));
            length = self.b.ins().iadd(length, more);
            left -= step;
        }
        length
    }

    /// 0 if the first `len` bytes are the same, else 1.
    pub(super) fn strncmp(&mut self, left: &Expr, right: &Expr, len: u64) -> Result<Value, Error> {
        if let (other, ExprKind::Str(text)) | (ExprKind::Str(text), other) =
            (&left.kind, &right.kind)
        {
            let side = if matches!(other, ExprKind::Str(_)) || std::ptr::eq(other, &left.kind) {
                left
            } else {
                right
            };
            let size = self.unit.layout(&side.ty).size();
            let mut wanted = text.clone();
            wanted.push(0);
            wanted.truncate(usize::try_from(len).unwrap_or(usize::MAX));
            if wanted.len() as u32 > size {
                return Ok(self.iconst(1));
            }
            let place = self.memory_of(side)?;
            let same = self.same_as_bytes(place, &wanted, size)?;
            return Ok(self.b.ins().bxor_imm_s(same, 1));
        }
        let sizes = [left, right].map(|side| self.unit.layout(&side.ty).size());
        let places = [self.memory_of(left)?, self.memory_of(right)?];
        let same = self.same_strings(places, sizes, u32::try_from(len).unwrap_or(u32::MAX))?;
        Ok(self.b.ins().bxor_imm_s(same, 1))
    }

    /// Compares the first `len` bytes of two strings, which are padded with zeros: those that both
    /// have, and that the longer one ends with them. A cut text equals another cut at its length.
    pub(super) fn same_strings(
        &mut self,
        [l, r]: [Place; 2],
        sizes: [u32; 2],
        len: u32,
    ) -> Result<Value, Error> {
        let shorter = sizes[0].min(sizes[1]);
        let longer_goes_on = sizes[0] != sizes[1] && len > shorter;
        let common = len.min(shorter);
        if common > INLINE_ROUNDS {
            return self.same_text(l, r, common, !longer_goes_on);
        }
        let mut differences = self.differences(l, r, common)?;
        if longer_goes_on {
            let longer = if sizes[0] > shorter { l } else { r };
            let next = self.load(longer.plus(shorter), Int { size: 1, signed: false });
            differences = self.b.ins().bor(differences, next);
        }
        Ok(self.is_zero(differences))
    }

    /// Compares two long texts byte by byte up to a NUL in both, or `count` bytes: 1 if they are the
    /// same. `at_end` is the answer where neither has ended by then.
    fn same_text(&mut self, l: Place, r: Place, count: u32, at_end: bool) -> Result<Value, Error> {
        let end = self.iconst(i64::from(at_end));
        let name = format!("same_text_{count}");
        self.search([l, r], u64::from(count), end, &name, |b, index, context| {
            same_round(b, index, context, count);
        })
    }

    /// Where a text first occurs in another; -1 if it does not.
    pub(super) fn str_str(&mut self, haystack: &Expr, needle: &Expr) -> Result<Value, Error> {
        let size = self.unit.layout(&haystack.ty).size();
        if let ExprKind::Str(text) = &needle.kind {
            let text: Vec<u8> = text.iter().copied().take_while(|&b| b != 0).collect();
            if text.is_empty() {
                return Ok(self.iconst(0));
            }
            if text.len() as u32 > size {
                return Ok(self.iconst(-1));
            }
            if size <= INLINE_ROUNDS && text.len() <= INLINE_SEARCH {
                let place = self.memory_of(haystack)?;
                return self.find_constant(place, size, &text);
            }
        }
        let part = self.unit.layout(&needle.ty).size();
        let left = self.memory_of(haystack)?;
        let right = self.memory_of(needle)?;
        // Where the search is: a start, and how far the part agrees from there. In scratch
        // memory, whose contents the verifier does not keep track of.
        let state = self.scratch(16)?;
        self.zero(state, 16)?;
        let state = self.address(state);
        let rounds = (u64::from(size) * (u64::from(part) + 1)).min(MAX_ROUNDS);
        let none = self.iconst(-1);
        let context = self.search_context([left, right], none);
        self.store(context.plus(STATE as u32), 8, state);
        let name = format!("find_{part}_in_{size}");
        self.run_search(context, rounds, &name, |b, _, context| {
            find_round(b, context, size, part);
        })
    }

    /// A loop of the kernel's over two texts, whose callback leaves its result in the context.
    fn search(
        &mut self,
        texts: [Place; 2],
        rounds: u64,
        otherwise: Value,
        name: &str,
        round: impl FnOnce(&mut FunctionBuilder<'_>, Value, Value),
    ) -> Result<Value, Error> {
        let context = self.search_context(texts, otherwise);
        self.run_search(context, rounds, name, round)
    }

    pub(super) fn search_context(&mut self, texts: [Place; 2], result: Value) -> Place {
        let context = self.shared_memory(CONTEXT_SIZE);
        for (place, offset) in texts.into_iter().zip([LEFT, RIGHT]) {
            let address = self.address(place);
            self.store(context.plus(offset as u32), 8, address);
        }
        self.store(context.plus(RESULT as u32), 8, result);
        context
    }

    pub(super) fn run_search(
        &mut self,
        context: Place,
        rounds: u64,
        name: &str,
        round: impl FnOnce(&mut FunctionBuilder<'_>, Value, Value),
    ) -> Result<Value, Error> {
        let callback = self.callback_of_its_own(name, round)?;
        let function = self.function_address(callback, 2);
        let rounds = self.iconst(rounds as i64);
        let shared = self.address(context);
        let flags = self.iconst(0);
        self.helper(helpers::LOOP, &[rounds, function, shared, flags]);
        self.load_typed(context.plus(RESULT as u32), &Type::I64)
    }

    /// A callback of `bpf_loop` that has nothing to do with the script: `round` gets the number
    /// of the round and the context.
    fn callback_of_its_own(
        &mut self,
        name: &str,
        round: impl FnOnce(&mut FunctionBuilder<'_>, Value, Value),
    ) -> Result<u32, Error> {
        let mut ir = ir::Function::with_name_signature(UserFuncName::testcase(name), signature(2));
        let mut context = FunctionBuilderContext::new();
        let mut b = FunctionBuilder::new(&mut ir, &mut context);
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let (index, shared) = (b.block_params(entry)[0], b.block_params(entry)[1]);
        round(&mut b, index, shared);
        b.seal_all_blocks();
        let isa = carrier().map_err(|reason| Error::internal("lower", b.func, reason))?;
        b.finalize(isa.frontend_config());
        let function = Function { name: name.into(), role: Role::Subprogram, ir };
        Ok(self.unit.shared_function(name, |_| function))
    }
}

/// Ends a round: 0 goes on, 1 ends the loop.
pub(super) fn answer(b: &mut FunctionBuilder<'_>, stop: bool) {
    let value = b.ins().iconst(I64, i64::from(stop));
    b.ins().return_(&[value]);
}

/// Stores the result and ends the loop.
pub(super) fn answer_with(b: &mut FunctionBuilder<'_>, context: Value, result: Value) {
    b.ins().store(MemFlagsData::new(), result, context, RESULT);
    answer(b, true);
}

/// The byte at `index` of the text whose address is at `text` of the context.
pub(super) fn byte(b: &mut FunctionBuilder<'_>, context: Value, text: i32, index: Value) -> Value {
    let flags = MemFlagsData::new();
    let start = b.ins().load(I64, flags, context, text);
    let address = b.ins().iadd(start, index);
    b.ins().uload8(I64, flags, address, 0)
}

/// Goes on in a block of its own if `index` is below `limit`; otherwise the loop ends.
pub(super) fn inside(b: &mut FunctionBuilder<'_>, index: Value, limit: u32) {
    let (within, beyond) = (b.create_block(), b.create_block());
    let is = b.ins().icmp_imm_s(IntCC::UnsignedLessThan, index, i64::from(limit));
    b.ins().brif(is, within, &[], beyond, &[]);
    b.switch_to_block(beyond);
    answer(b, true);
    b.switch_to_block(within);
}

fn same_round(b: &mut FunctionBuilder<'_>, index: Value, context: Value, count: u32) {
    inside(b, index, count);
    let left = byte(b, context, LEFT, index);
    let right = byte(b, context, RIGHT, index);
    let (differ, same) = (b.create_block(), b.create_block());
    let (ended, going_on) = (b.create_block(), b.create_block());
    let is = b.ins().icmp(IntCC::Equal, left, right);
    b.ins().brif(is, same, &[], differ, &[]);
    b.switch_to_block(differ);
    let no = b.ins().iconst(I64, 0);
    answer_with(b, context, no);
    b.switch_to_block(same);
    b.ins().brif(left, going_on, &[], ended, &[]);
    b.switch_to_block(ended);
    let yes = b.ins().iconst(I64, 1);
    answer_with(b, context, yes);
    b.switch_to_block(going_on);
    answer(b, false);
}

/// Compares one byte; the state says which.
fn find_round(b: &mut FunctionBuilder<'_>, context: Value, size: u32, part: u32) {
    let flags = MemFlagsData::new();
    let state = b.ins().load(I64, flags, context, STATE);
    let start = b.ins().load(I64, flags, state, 0);
    let matched = b.ins().load(I64, flags, state, 8);

    let (whole, more) = (b.create_block(), b.create_block());
    let found = b.create_block();
    let is = b.ins().icmp_imm_s(IntCC::UnsignedLessThan, matched, i64::from(part));
    b.ins().brif(is, more, &[], whole, &[]);
    b.switch_to_block(whole);
    b.ins().jump(found, &[]);

    b.switch_to_block(more);
    let wanted = byte(b, context, RIGHT, matched);
    let compare = b.create_block();
    b.ins().brif(wanted, compare, &[], found, &[]);

    b.switch_to_block(compare);
    let at = b.ins().iadd(start, matched);
    inside(b, at, size);
    let has = byte(b, context, LEFT, at);
    let (same, differ) = (b.create_block(), b.create_block());
    let is = b.ins().icmp(IntCC::Equal, has, wanted);
    b.ins().brif(is, same, &[], differ, &[]);

    b.switch_to_block(same);
    let further = b.ins().iadd_imm_s(matched, 1);
    b.ins().store(flags, further, state, 8);
    answer(b, false);

    b.switch_to_block(differ);
    let (ended, next) = (b.create_block(), b.create_block());
    b.ins().brif(has, next, &[], ended, &[]);
    b.switch_to_block(ended);
    answer(b, true);
    b.switch_to_block(next);
    let after = b.ins().iadd_imm_s(start, 1);
    b.ins().store(flags, after, state, 0);
    let none = b.ins().iconst(I64, 0);
    b.ins().store(flags, none, state, 8);
    answer(b, false);

    b.switch_to_block(found);
    answer_with(b, context, start);
}
