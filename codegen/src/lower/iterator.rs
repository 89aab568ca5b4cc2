//! Iterators: what they have come to, and the file by which they are read.

use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::hir::{Expr, Int, SeqPiece};
use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::kinds::Context;
use rbtrace_probes_ebpf::plan::Target;

use super::func::FnBuilder;
use super::mem::Place;
use crate::error::Error;

/// Number of the argument that tells of the iterator itself, a `struct bpf_iter_meta` of linux/bpf.h.
const META: u32 = 0;
/// Offset of its member `seq`, the file.
const SEQ: u32 = 0;
/// Bytes of a value that the kernel formats.
const WORD: u32 = 8;

impl FnBuilder<'_, '_, '_> {
    /// Loads the pointers in the context and ends the function where one is null, which the verifier
    /// wants to see. When it has come to the end, the kernel runs the program once more without any.
    pub(super) fn load_objects(&mut self) {
        let block = self.block;
        for &number in &block.objects {
            let object = self.load_context(8 * number, Int::U64);
            let there = self.b.create_block();
            let missing = self.b.create_block();
            self.b.ins().brif(object, there, &[], missing, &[]);
            self.enter(missing);
            self.return_default();
            self.enter(there);
            self.objects.push((number, object));
        }
    }

    /// An argument of an iterator.
    pub(super) fn object(&mut self, number: u32) -> Value {
        match self.objects.iter().find(|(n, _)| *n == number) {
            Some((_, object)) => *object,
            None => self.load_context(8 * number, Int::U64),
        }
    }

    /// Writes a byte into the file for each object, unless others are to read it: so user space comes
    /// to read the records, of which the ring buffer takes only so many, every few objects.
    pub(super) fn mark_object(&mut self) {
        let is_pinned = self.target().is_some_and(Target::is_pinned);
        if self.kind().context != Context::Objects || is_pinned {
            return;
        }
        let seq = self.seq_file();
        let zeros = self.unit.zeros(1);
        let (byte, size) = (self.bss(zeros), self.iconst(1));
        self.helper(helpers::SEQ_WRITE, &[seq, byte, size]);
    }

    fn seq_file(&mut self) -> Value {
        let meta = self.load_context(8 * META, Int::U64);
        self.load(Place::pointer(meta).plus(SEQ), Int::U64)
    }

    /// `printf()` into the file. Pieces go in one by one: a format of the kernel's takes neither all
    /// text nor many values.
    pub(super) fn seq_printf(&mut self, pieces: &[SeqPiece]) -> Result<(), Error> {
        for piece in pieces {
            match piece {
                SeqPiece::Text(text) => {
                    let seq = self.seq_file();
                    let offset = self.unit.bytes(text.as_bytes());
                    let (text, size) = (self.rodata(offset), self.iconst(text.len() as i64));
                    self.helper(helpers::SEQ_WRITE, &[seq, text, size]);
                }
                SeqPiece::Value { format, value } => self.seq_value(format, value)?,
            }
        }
        Ok(())
    }

    /// Text is handed over by its address.
    fn seq_value(&mut self, format: &str, value: &Expr) -> Result<(), Error> {
        let word = if value.ty.is_scalar() {
            self.scalar(value)?
        } else {
            let place = self.memory_of(value)?;
            self.address(place)
        };
        let values = self.temp_bytes(WORD)?;
        self.store(values, WORD, word);
        let format = [format.as_bytes(), b"\0"].concat();
        let offset = self.unit.bytes(&format);
        let seq = self.seq_file();
        let (text, length) = (self.rodata(offset), self.iconst(format.len() as i64));
        let (values, size) = (self.address(values), self.iconst(WORD.into()));
        self.helper(helpers::SEQ_PRINTF, &[seq, text, length, values, size]);
        Ok(())
    }
}
