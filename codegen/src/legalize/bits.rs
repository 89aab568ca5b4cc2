//! Expansions of operations on single bits.

use cranelift_codegen::ir::{InstBuilder, Value};

use super::Expander;

/// Masks of every other group of one, two and four bits.
const PAIRS: u64 = 0x5555_5555_5555_5555;
const NIBBLES: u64 = 0x3333_3333_3333_3333;
const BYTES: u64 = 0x0f0f_0f0f_0f0f_0f0f;

impl Expander<'_, '_> {
    fn shift_right(&mut self, x: Value, count: u32) -> Value {
        let count = self.constant(count.into());
        self.pos.ins().ushr(x, count)
    }

    fn and(&mut self, x: Value, mask: u64) -> Value {
        let mask = self.constant(mask);
        self.pos.ins().band(x, mask)
    }

    /// Counts are taken modulo the width, so a negated count shifts by the rest.
    pub(super) fn rotate(&mut self, left: bool) -> Value {
        let [x, count] = self.args();
        let rest = self.pos.ins().ineg(count);
        let (left, right) = if left { (count, rest) } else { (rest, count) };
        let high = self.pos.ins().ishl(x, left);
        let low = self.pos.ins().ushr(x, right);
        self.pos.ins().bor(high, low)
    }

    pub(super) fn popcount(&mut self) -> Value {
        let [x] = self.args();
        self.popcount_of(x)
    }

    fn popcount_of(&mut self, x: Value) -> Value {
        let half = self.shift_right(x, 1);
        let odd = self.and(half, PAIRS);
        let pairs = self.pos.ins().isub(x, odd);
        let low = self.and(pairs, NIBBLES);
        let shifted = self.shift_right(pairs, 2);
        let high = self.and(shifted, NIBBLES);
        let nibbles = self.pos.ins().iadd(low, high);
        let shifted = self.shift_right(nibbles, 4);
        let sum = self.pos.ins().iadd(nibbles, shifted);
        let bytes = self.and(sum, BYTES);
        if self.ty.bits() == 8 {
            return bytes;
        }
        let ones = self.constant(0x0101_0101_0101_0101);
        let total = self.pos.ins().imul(bytes, ones);
        self.shift_right(total, self.ty.bits() - 8)
    }

    pub(super) fn leading_zeros(&mut self) -> Value {
        let [x] = self.args();
        self.leading_zeros_of(x)
    }

    fn leading_zeros_of(&mut self, x: Value) -> Value {
        let mut filled = x;
        let mut distance = 1;
        while distance < self.ty.bits() {
            let shifted = self.shift_right(filled, distance);
            filled = self.pos.ins().bor(filled, shifted);
            distance *= 2;
        }
        let above = self.pos.ins().bnot(filled);
        self.popcount_of(above)
    }

    pub(super) fn leading_signs(&mut self) -> Value {
        let [x] = self.args();
        let count = self.constant((self.ty.bits() - 1).into());
        let sign = self.pos.ins().sshr(x, count);
        let differing = self.pos.ins().bxor(x, sign);
        let zeros = self.leading_zeros_of(differing);
        let minus_one = self.constant(u64::MAX);
        self.pos.ins().iadd(zeros, minus_one)
    }

    pub(super) fn trailing_zeros(&mut self) -> Value {
        let [x] = self.args();
        let minus_one = self.constant(u64::MAX);
        let below = self.pos.ins().iadd(x, minus_one);
        let unset = self.pos.ins().bnot(x);
        let trailing = self.pos.ins().band(below, unset);
        self.popcount_of(trailing)
    }

    pub(super) fn reverse_bits(&mut self) -> Value {
        let [mut x] = self.args();
        for (mask, distance) in [(PAIRS, 1), (NIBBLES, 2), (BYTES, 4)] {
            let shifted = self.shift_right(x, distance);
            let high = self.and(shifted, mask);
            let low = self.and(x, mask);
            let count = self.constant(distance.into());
            let low = self.pos.ins().ishl(low, count);
            x = self.pos.ins().bor(high, low);
        }
        if self.ty.bits() == 8 { x } else { self.pos.ins().bswap(x) }
    }
}
