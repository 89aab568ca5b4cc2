//! The search for a constant text: a window as long as the text passes over the string, rather
//! than comparing at each place, which would be many paths for the verifier.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::Variable;

use super::func::FnBuilder;
use super::mem::Place;
use crate::error::Error;

impl FnBuilder<'_, '_, '_> {
    /// Where in the `size` bytes at a place `text` begins first; -1 if it does not. The text is
    /// neither empty nor holds a NUL.
    pub(super) fn find_constant(
        &mut self,
        place: Place,
        size: u32,
        text: &[u8],
    ) -> Result<Value, Error> {
        let wanted = window(text);
        let unused = (8 * wanted.len() - text.len()) as i64;
        let zero = self.iconst(0);
        let words: Vec<Variable> = wanted.iter().map(|_| self.b.declare_var(I64)).collect();
        for &word in &words {
            self.b.def_var(word, zero);
        }
        let done = self.b.create_block();
        let result = self.b.append_block_param(done, I64);
        let none = self.iconst(-1);
        self.repeat(size, |f, index, _| {
            let byte = f.byte_at(place, index);
            f.shift_in(&words, byte);
            let differences = f.window_differences(&words, &wanted, unused);
            let start = f.b.ins().iadd_imm_s(index, 1 - text.len() as i64);
            let differ = f.b.create_block();
            let next = f.b.create_block();
            f.b.ins().brif(differences, differ, &[], done, &[start.into()]);
            f.enter(differ);
            f.b.ins().brif(byte, next, &[], done, &[none.into()]);
            f.enter(next);
            Ok(())
        })?;
        self.b.ins().jump(done, &[none.into()]);
        self.enter(done);
        Ok(result)
    }

    /// Shifts a byte into the last word of a window, and the first byte of the first one out.
    fn shift_in(&mut self, words: &[Variable], byte: Value) {
        let mut entering = byte;
        for &word in words.iter().rev() {
            let old = self.b.use_var(word);
            let rest = self.b.ins().ushr_imm_u(old, 8);
            let top = self.b.ins().ishl_imm_u(entering, 56);
            let new = self.b.ins().bor(rest, top);
            self.b.def_var(word, new);
            entering = old;
        }
    }

    /// 0 if the words of a window are the wanted ones but for the first `unused` bytes.
    fn window_differences(&mut self, words: &[Variable], wanted: &[u64], unused: i64) -> Value {
        let mut differences = None;
        for (&word, &wanted) in words.iter().zip(wanted) {
            let mut word = self.b.use_var(word);
            let mut wanted = wanted;
            if differences.is_none() && unused > 0 {
                word = self.b.ins().ushr_imm_u(word, 8 * unused);
                wanted >>= 8 * unused;
            }
            let wanted = self.iconst(wanted as i64);
            let difference = self.b.ins().bxor(word, wanted);
            differences = Some(match differences {
                None => difference,
                Some(so_far) => self.b.ins().bor(so_far, difference),
            });
        }
        differences.unwrap_or_else(|| self.iconst(0))
    }
}

/// A text as the last bytes of so many little-endian words.
fn window(text: &[u8]) -> Vec<u64> {
    let mut bytes = vec![0; text.len().next_multiple_of(8) - text.len()];
    bytes.extend_from_slice(text);
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}
