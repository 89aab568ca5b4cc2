//! Stage `legalize`: replaces, in place, the operations that eBPF lacks by ones that it has.
//!
//! Runs after the optimizer, whose rules introduce some of them. `expansion` is the whole table.

mod bits;
mod control;
mod reuse;
mod wide;

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Function, Inst, InstBuilder, Opcode, Type, Value};

use crate::carrier::verify;
use crate::error::Error;
use crate::select::facts::Facts;

/// Makes `func` a function of instructions that selection accepts, but for those that have no
/// place in eBPF at all; selection reports these.
pub fn legalize(func: &mut Function) -> Result<(), Error> {
    control::legalize(func);
    reuse::reuse(func);
    expand_all(func);
    func.dfg.resolve_all_aliases();
    if cfg!(debug_assertions) {
        verify("legalize", func)?;
    }
    Ok(())
}

/// Replaces the value of one instruction by other instructions before it.
type Expand = fn(&mut Expander<'_, '_>) -> Value;

/// How an operation that gives one value is expressed by simpler ones.
fn expansion(opcode: Opcode) -> Option<Expand> {
    Some(match opcode {
        // x <= y ? x : y, and so on.
        Opcode::Smin => |e| e.choose(IntCC::SignedLessThanOrEqual),
        Opcode::Smax => |e| e.choose(IntCC::SignedGreaterThanOrEqual),
        Opcode::Umin => |e| e.choose(IntCC::UnsignedLessThanOrEqual),
        Opcode::Umax => |e| e.choose(IntCC::UnsignedGreaterThanOrEqual),
        // x < 0 ? -x : x.
        Opcode::Iabs => |e| e.absolute(),
        // x != 0 ? -1 : 0.
        Opcode::Bmask => |e| e.mask(),
        // ((x ^ y) & c) ^ y.
        Opcode::Bitselect => |e| e.bit_select(),
        // eBPF cannot be attacked through this: the verifier sanitizes.
        Opcode::SelectSpectreGuard => |e| e.plain_select(),
        // Absolute values divided unsigned, the sign put back.
        Opcode::Sdiv => |e| e.divide_signed(),
        Opcode::Srem => |e| e.remainder_signed(),
        // Two shifts.
        Opcode::Rotl => |e| e.rotate(true),
        Opcode::Rotr => |e| e.rotate(false),
        // Parallel sums.
        Opcode::Popcnt => |e| e.popcount(),
        // Ones of the number with all bits below its highest set.
        Opcode::Clz => |e| e.leading_zeros(),
        // Leading zeros of x ^ (x >> (width - 1)), less one.
        Opcode::Cls => |e| e.leading_signs(),
        // Ones below the lowest set bit.
        Opcode::Ctz => |e| e.trailing_zeros(),
        // Swaps of ever larger groups.
        Opcode::Bitrev => |e| e.reverse_bits(),
        // Products of halves; of narrow types, in 64 bits.
        Opcode::Umulhi => |e| e.multiply_high(false),
        Opcode::Smulhi => |e| e.multiply_high(true),
        _ => return None,
    })
}

fn expand_all(func: &mut Function) {
    let mut pos = FuncCursor::new(func);
    while pos.next_block().is_some() {
        while let Some(inst) = pos.next_inst() {
            let Some(expand) = expansion(pos.func.dfg.insts[inst].opcode()) else { continue };
            let Some(&result) = pos.func.dfg.inst_results(inst).first() else { continue };
            let ty = pos.func.dfg.value_type(result);
            if !ty.is_int() || ty.bits() > 64 {
                continue;
            }
            pos.use_srcloc(inst);
            let value = expand(&mut Expander { pos: &mut pos, inst, ty });
            pos.func.dfg.clear_results(inst);
            pos.func.dfg.change_to_alias(result, value);
            pos.remove_inst_and_step_back();
        }
    }
}

/// Inserts instructions before the one to be replaced.
struct Expander<'a, 'f> {
    pos: &'a mut FuncCursor<'f>,
    inst: Inst,
    /// The result's type.
    ty: Type,
}

impl Expander<'_, '_> {
    fn args<const N: usize>(&self) -> [Value; N] {
        let args = self.pos.func.dfg.inst_args(self.inst);
        std::array::from_fn(|n| args[n])
    }

    /// A constant of the result's type.
    fn constant(&mut self, bits: u64) -> Value {
        self.constant_of(self.ty, bits)
    }

    fn constant_of(&mut self, ty: Type, bits: u64) -> Value {
        let unused = 64 - ty.bits();
        self.pos.ins().iconst(ty, ((bits << unused) >> unused) as i64)
    }

    fn choose(&mut self, cond: IntCC) -> Value {
        let [x, y] = self.args();
        let first = self.pos.ins().icmp(cond, x, y);
        self.pos.ins().select(first, x, y)
    }

    fn is_negative(&mut self, x: Value) -> Value {
        let zero = self.constant(0);
        self.pos.ins().icmp(IntCC::SignedLessThan, x, zero)
    }

    fn absolute(&mut self) -> Value {
        let [x] = self.args();
        self.absolute_of(x)
    }

    fn absolute_of(&mut self, x: Value) -> Value {
        let negative = self.is_negative(x);
        let negated = self.pos.ins().ineg(x);
        self.pos.ins().select(negative, negated, x)
    }

    fn mask(&mut self) -> Value {
        let [x] = self.args();
        let from = self.pos.func.dfg.value_type(x);
        let zero = self.constant_of(from, 0);
        let set = self.pos.ins().icmp(IntCC::NotEqual, x, zero);
        let (ones, zeros) = (self.constant(u64::MAX), self.constant(0));
        self.pos.ins().select(set, ones, zeros)
    }

    fn bit_select(&mut self) -> Value {
        let [mask, x, y] = self.args();
        let differing = self.pos.ins().bxor(x, y);
        let wanted = self.pos.ins().band(differing, mask);
        self.pos.ins().bxor(wanted, y)
    }

    fn plain_select(&mut self) -> Value {
        let [cond, x, y] = self.args();
        self.pos.ins().select(cond, x, y)
    }

    // Without branches: each would be a path of its own for the verifier.

    /// The sign of every bit of `x`: all ones if it is negative, else 0.
    fn sign_mask(&mut self, x: Value) -> Value {
        let bits = self.pos.func.dfg.value_type(x).bits();
        self.pos.ins().sshr_imm_u(x, i64::from(bits) - 1)
    }

    /// `x` if `mask` is 0, `-x` if it is all ones.
    fn negate_if(&mut self, x: Value, mask: Value) -> Value {
        let flipped = self.pos.ins().bxor(x, mask);
        self.pos.ins().isub(flipped, mask)
    }

    /// The absolute value of a divisor and the sign that it gives a quotient, a mask; none if it
    /// is known to be positive.
    fn divisor(&mut self, y: Value) -> (Value, Option<Value>) {
        match (Facts { func: self.pos.func }).signed_constant(y) {
            Some(known) if known > 0 => (y, None),
            Some(known) if known < 0 => {
                let minus_one = self.constant(u64::MAX);
                (self.constant(known.unsigned_abs()), Some(minus_one))
            }
            _ => {
                let sign = self.sign_mask(y);
                (self.negate_if(y, sign), Some(sign))
            }
        }
    }

    fn divide_signed(&mut self) -> Value {
        let [x, y] = self.args();
        let x_sign = self.sign_mask(x);
        let dividend = self.negate_if(x, x_sign);
        let (divisor, y_sign) = self.divisor(y);
        let quotient = self.pos.ins().udiv(dividend, divisor);
        let sign = match y_sign {
            None => x_sign,
            Some(y_sign) => self.pos.ins().bxor(x_sign, y_sign),
        };
        self.negate_if(quotient, sign)
    }

    fn remainder_signed(&mut self) -> Value {
        let [x, y] = self.args();
        let x_sign = self.sign_mask(x);
        let dividend = self.negate_if(x, x_sign);
        let (divisor, _) = self.divisor(y);
        let remainder = self.pos.ins().urem(dividend, divisor);
        self.negate_if(remainder, x_sign)
    }
}
