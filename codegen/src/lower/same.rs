//! Comparison of values in memory.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::hir::{Expr, ExprKind, Int, Type};

use super::func::FnBuilder;
use super::mem::{Place, chunks};
use super::members::are_scalars;
use crate::error::Error;

/// Comparisons of up to this many bytes are written out.
const WRITTEN_OUT: u32 = 128;

impl FnBuilder<'_, '_, '_> {
    /// 1 if two values of one kind are the same, else 0.
    pub(super) fn same(&mut self, left: &Expr, right: &Expr) -> Result<Value, Error> {
        match (&left.kind, &right.kind) {
            (_, ExprKind::Str(text)) => self.same_as_text(left, text),
            (ExprKind::Str(text), _) => self.same_as_text(right, text),
            _ if are_scalars(left) && are_scalars(right) => {
                let (l, r) = (self.scalars(left)?, self.scalars(right)?);
                let mut all = self.iconst(1);
                for (x, y) in l.into_iter().zip(r) {
                    let one = self.same_scalars(x, y);
                    all = self.b.ins().band(all, one);
                }
                Ok(all)
            }
            _ => {
                let l = self.memory_of(left)?;
                let r = self.memory_of(right)?;
                self.same_places(l, &left.ty, r, &right.ty)
            }
        }
    }

    fn same_places(&mut self, l: Place, lt: &Type, r: Place, rt: &Type) -> Result<Value, Error> {
        match (lt, rt) {
            (Type::Str { size: a }, Type::Str { size: b }) => {
                self.same_strings([l, r], [*a, *b], u32::MAX)
            }
            (Type::Tuple(members), Type::Tuple(others)) => {
                let mut all = self.iconst(1);
                for (index, ((_, a), (_, b))) in members.iter().zip(others).enumerate() {
                    let (at, _) = self.member(lt, index as u32)?;
                    let (bt, _) = self.member(rt, index as u32)?;
                    let one = if a.is_scalar() {
                        let x = self.load_typed(l.plus(at), a)?;
                        let y = self.load_typed(r.plus(bt), b)?;
                        self.same_scalars(x, y)
                    } else {
                        self.same_places(l.plus(at), a, r.plus(bt), b)?
                    };
                    all = self.b.ins().band(all, one);
                }
                Ok(all)
            }
            _ => {
                let size = self.unit.layout(lt).size();
                let differences = self.differences(l, r, size)?;
                Ok(self.is_zero(differences))
            }
        }
    }

    /// 1 if both are the same, else 0.
    fn same_scalars(&mut self, x: Value, y: Value) -> Value {
        let is = self.b.ins().icmp(IntCC::Equal, x, y);
        self.b.ins().uextend(I64, is)
    }

    /// 1 if the value is 0, else 0.
    pub(super) fn is_zero(&mut self, value: Value) -> Value {
        let is = self.b.ins().icmp_imm_s(IntCC::Equal, value, 0);
        self.b.ins().uextend(I64, is)
    }

    /// 0 if `size` bytes at two places are the same. Without a branch on any of them: each would
    /// be a path of its own for the verifier.
    pub(super) fn differences(&mut self, l: Place, r: Place, size: u32) -> Result<Value, Error> {
        let mut differences = self.iconst(0);
        let mut done = 0;
        if size > WRITTEN_OUT {
            let width = 1 << (l.offset | r.offset).trailing_zeros().min(3);
            let words = size / width;
            differences = self.word_differences(l, r, words, width)?;
            done = words * width;
        }
        let (l, r) = (l.plus(done), r.plus(done));
        for (at, chunk) in chunks([l.offset, r.offset], size - done) {
            let int = Int { size: chunk as u8, signed: false };
            let a = self.load(l.plus(at), int);
            let b = self.load(r.plus(at), int);
            let difference = self.b.ins().bxor(a, b);
            differences = self.b.ins().bor(differences, difference);
        }
        Ok(differences)
    }

    /// As [`FnBuilder::differences`], of words of `width` bytes, by a loop.
    fn word_differences(
        &mut self,
        l: Place,
        r: Place,
        words: u32,
        width: u32,
    ) -> Result<Value, Error> {
        let differences = self.b.declare_var(I64);
        let none = self.iconst(0);
        self.b.def_var(differences, none);
        self.repeat(words, |f, index, _| {
            let at = f.b.ins().imul_imm_s(index, i64::from(width));
            let int = Int { size: width as u8, signed: false };
            let mut word = |place| {
                let word = f.indexed(place, at);
                f.load(word, int)
            };
            let (a, b) = (word(l), word(r));
            let difference = f.b.ins().bxor(a, b);
            let so_far = f.b.use_var(differences);
            let all = f.b.ins().bor(so_far, difference);
            f.b.def_var(differences, all);
            Ok(())
        })?;
        Ok(self.b.use_var(differences))
    }

    /// Compares a string with a constant: the text and its NUL, if the string has room for one.
    fn same_as_text(&mut self, e: &Expr, text: &[u8]) -> Result<Value, Error> {
        let size = self.unit.layout(&e.ty).size();
        if text.len() as u32 > size {
            return Ok(self.iconst(0));
        }
        let place = self.memory_of(e)?;
        let mut wanted = text.to_vec();
        if (wanted.len() as u32) < size {
            wanted.push(0);
        }
        self.same_as_bytes(place, &wanted, size)
    }

    /// Whether the first bytes at a place are these. Reads whole words as far as `size` bytes
    /// reach and masks what is past the end.
    pub(super) fn same_as_bytes(
        &mut self,
        place: Place,
        wanted: &[u8],
        size: u32,
    ) -> Result<Value, Error> {
        let mut differences = None;
        let mut at = 0u32;
        while (at as usize) < wanted.len() {
            let (chunk, width) = self.word(place, at, size, wanted.len() as u32);
            let mut word = [0; 8];
            let take = (wanted.len() - at as usize).min(width as usize);
            word[..take].copy_from_slice(&wanted[at as usize..at as usize + take]);
            let mut difference = self.b.ins().bxor_imm_s(chunk, i64::from_le_bytes(word));
            if take < width as usize {
                let mask = (1u64 << (8 * take)) - 1;
                difference = self.b.ins().band_imm_s(difference, mask as i64);
            }
            differences = Some(match differences {
                None => difference,
                Some(so_far) => self.b.ins().bor(so_far, difference),
            });
            at += width;
        }
        let Some(differences) = differences else { return Ok(self.iconst(1)) };
        Ok(self.is_zero(differences))
    }

    /// Loads the widest aligned word at `at` that ends within `size` bytes and is no wider than
    /// what covers the `wanted` bytes.
    fn word(&mut self, place: Place, at: u32, size: u32, wanted: u32) -> (Value, u32) {
        let left = (wanted - at).next_power_of_two().min(8);
        let aligned = 1u32 << (place.offset + at).trailing_zeros().min(3);
        let mut width = left.min(aligned);
        while at + width > size {
            width /= 2;
        }
        let int = Int { size: width as u8, signed: false };
        (self.load(place.plus(at), int), width)
    }
}
