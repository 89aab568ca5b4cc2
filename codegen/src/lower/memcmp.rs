//! `memcmp`: the first difference between the bytes of two values of any type.
//!
//! As with strings, a short loop is the program's own and a longer one is left to `bpf_loop`.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use cranelift_frontend::FunctionBuilder;
use rbtrace_lang::hir::{Expr, ExprKind, Int};

use super::func::FnBuilder;
use super::mem::{Place, SLACK};
use super::memory::Tail;
use super::search::{INLINE_ROUNDS, LEFT, RIGHT, STATE, answer, answer_with, byte, inside};
use crate::error::Error;

/// A byte as it is compared.
const BYTE: Int = Int { size: 1, signed: true };

impl FnBuilder<'_, '_, '_> {
    /// The difference of the first bytes that differ; 0 if there are none.
    pub(super) fn memcmp(&mut self, left: &Expr, right: &Expr, len: &Expr) -> Result<Value, Error> {
        let size = [left, right].map(|side| self.unit.layout(&side.ty).size());
        let size = size[0].max(size[1]);
        let places = [self.bytes_of(left, size)?, self.bytes_of(right, size)?];
        let (rounds, len) = match len.kind {
            ExprKind::Int(n) => (u32::try_from(n as u64).unwrap_or(u32::MAX).min(size), None),
            _ => (size, Some(self.scalar(len)?)),
        };
        if rounds > INLINE_ROUNDS {
            return self.first_difference_by_callback(places, rounds, len);
        }
        self.first_difference(places, rounds, len)
    }

    /// A value in memory, with zeros behind it up to `size` bytes.
    fn bytes_of(&mut self, e: &Expr, size: u32) -> Result<Place, Error> {
        if !e.ty.is_scalar() && self.unit.layout(&e.ty).size() == size {
            return self.memory_of(e);
        }
        let place = self.temp_bytes(size + SLACK)?;
        self.zero(place, size)?;
        self.put(e, place, Tail::Zeroed)?;
        Ok(place)
    }

    fn first_difference(
        &mut self,
        [left, right]: [Place; 2],
        rounds: u32,
        len: Option<Value>,
    ) -> Result<Value, Error> {
        let done = self.b.create_block();
        let result = self.b.append_block_param(done, I64);
        let same = self.iconst(0);
        self.repeat(rounds, |f, index, _| {
            if let Some(len) = len {
                let wanted = f.b.create_block();
                let more = f.b.ins().icmp(IntCC::UnsignedLessThan, index, len);
                f.b.ins().brif(more, wanted, &[], done, &[same.into()]);
                f.enter(wanted);
            }
            let mut byte = |place| {
                let place = f.indexed(place, index);
                f.load(place, BYTE)
            };
            let (a, b) = (byte(left), byte(right));
            let difference = f.b.ins().isub(a, b);
            let next = f.b.create_block();
            f.b.ins().brif(difference, done, &[difference.into()], next, &[]);
            f.enter(next);
            Ok(())
        })?;
        self.b.ins().jump(done, &[same.into()]);
        self.enter(done);
        Ok(result)
    }

    fn first_difference_by_callback(
        &mut self,
        places: [Place; 2],
        rounds: u32,
        len: Option<Value>,
    ) -> Result<Value, Error> {
        let same = self.iconst(0);
        let context = self.search_context(places, same);
        let len = len.unwrap_or_else(|| self.iconst(i64::from(rounds)));
        self.store(context.plus(STATE as u32), 8, len);
        let name = format!("memcmp_{rounds}");
        self.run_search(context, rounds.into(), &name, |b, index, context| {
            difference_round(b, index, context, rounds);
        })
    }
}

/// Compares one byte; the state says how many there are to compare.
fn difference_round(b: &mut FunctionBuilder<'_>, index: Value, context: Value, size: u32) {
    inside(b, index, size);
    let len = b.ins().load(I64, MemFlagsData::new(), context, STATE);
    let (wanted, enough) = (b.create_block(), b.create_block());
    let more = b.ins().icmp(IntCC::UnsignedLessThan, index, len);
    b.ins().brif(more, wanted, &[], enough, &[]);
    b.switch_to_block(enough);
    answer(b, true);

    b.switch_to_block(wanted);
    let mut signed = |text| {
        let byte = byte(b, context, text, index);
        let high = b.ins().ishl_imm_u(byte, 56);
        b.ins().sshr_imm_u(high, 56)
    };
    let (left, right) = (signed(LEFT), signed(RIGHT));
    let difference = b.ins().isub(left, right);
    let (differ, going_on) = (b.create_block(), b.create_block());
    b.ins().brif(difference, differ, &[], going_on, &[]);
    b.switch_to_block(differ);
    answer_with(b, context, difference);
    b.switch_to_block(going_on);
    answer(b, false);
}
