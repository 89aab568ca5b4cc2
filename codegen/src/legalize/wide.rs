//! Expansions of multiplications whose product is wider than a register.

use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::Expander;

impl Expander<'_, '_> {
    /// The upper half of a product.
    pub(super) fn multiply_high(&mut self, signed: bool) -> Value {
        let [x, y] = self.args();
        match (self.ty.bits() < 64, signed) {
            (true, _) => self.multiply_high_narrow(x, y, signed),
            (false, false) => self.multiply_high_unsigned(x, y),
            (false, true) => self.multiply_high_signed(x, y),
        }
    }

    fn multiply_high_narrow(&mut self, x: Value, y: Value, signed: bool) -> Value {
        let mut extend = |value| match signed {
            true => self.pos.ins().sextend(types::I64, value),
            false => self.pos.ins().uextend(types::I64, value),
        };
        let (x, y) = (extend(x), extend(y));
        let product = self.pos.ins().imul(x, y);
        let count = self.constant_of(types::I64, self.ty.bits().into());
        let high = self.pos.ins().ushr(product, count);
        self.pos.ins().ireduce(self.ty, high)
    }

    /// Schoolbook multiplication of 32-bit digits.
    fn multiply_high_unsigned(&mut self, x: Value, y: Value) -> Value {
        let (x0, x1) = self.digits(x);
        let (y0, y1) = self.digits(y);
        let low = self.pos.ins().imul(x0, y0);
        let (_, carry) = self.digits(low);
        let cross = self.pos.ins().imul(x1, y0);
        let cross = self.pos.ins().iadd(cross, carry);
        let (middle, carry) = self.digits(cross);
        let cross = self.pos.ins().imul(x0, y1);
        let cross = self.pos.ins().iadd(cross, middle);
        let (_, second_carry) = self.digits(cross);
        let high = self.pos.ins().imul(x1, y1);
        let high = self.pos.ins().iadd(high, carry);
        self.pos.ins().iadd(high, second_carry)
    }

    /// The unsigned product's upper half, less each factor whose other one is negative.
    fn multiply_high_signed(&mut self, x: Value, y: Value) -> Value {
        let mut high = self.multiply_high_unsigned(x, y);
        for (factor, other) in [(x, y), (y, x)] {
            let count = self.constant(63);
            let sign = self.pos.ins().sshr(other, count);
            let correction = self.pos.ins().band(factor, sign);
            high = self.pos.ins().isub(high, correction);
        }
        high
    }

    /// The lower and upper 32 bits.
    fn digits(&mut self, x: Value) -> (Value, Value) {
        let mask = self.constant(u32::MAX.into());
        let low = self.pos.ins().band(x, mask);
        let count = self.constant(32);
        (low, self.pos.ins().ushr(x, count))
    }
}
