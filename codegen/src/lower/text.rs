//! Functions that make strings and buffers of values in memory.

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::IntCC;
use rbtrace_lang::hir::{Expr, Type};
use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::names::Names;

use super::func::FnBuilder;
use super::mem::{Place, SLACK};
use super::memory::Tail;
use crate::error::Error;

/// Bytes of a buffer's length.
pub(super) const BUF_HEADER: u32 = 4;

impl FnBuilder<'_, '_, '_> {
    /// `str(s, n)`: as much of a string as fits into `n` bytes, NUL included.
    pub(super) fn put_cut(
        &mut self,
        text: &Expr,
        len: &Expr,
        ty: &Type,
        to: Place,
        tail: Tail,
    ) -> Result<(), Error> {
        let size = self.unit_size(ty);
        let from = self.memory_of(text)?;
        let len = self.scalar(len)?;
        // A string that fills its memory has its NUL behind that.
        let count = self.at_most(len, size + 1)?;
        if self.prepare(to, size, tail)? == Tail::Keep {
            let zero = self.iconst(0);
            self.store(to, 1, zero);
        }
        let (to, from) = (self.address(to), self.address(from));
        self.helper(helpers::PROBE_READ_KERNEL_STR, &[to, count, from]);
        Ok(())
    }

    /// `str_concat(s, t)`: both are put together where there is room for all of them, since the
    /// verifier does not see that what the one leaves is enough for the other.
    pub(super) fn put_concatenation(
        &mut self,
        left: &Expr,
        right: &Expr,
        ty: &Type,
        to: Place,
    ) -> Result<(), Error> {
        let size = self.unit_size(ty);
        let first = self.unit.layout(&left.ty).size();
        let second = self.unit.layout(&right.ty).size();
        let (left, right) = (self.memory_of(left)?, self.memory_of(right)?);
        let room = (first + second).max(size);
        let both = self.temp_bytes(room + SLACK)?;
        self.zero(both, room)?;
        let (start, from) = (self.address(both), self.address(left));
        let bytes = self.iconst(i64::from(first + 1));
        let read = self.helper(helpers::PROBE_READ_KERNEL_STR, &[start, bytes, from]);
        let length = self.b.ins().iadd_imm_s(read, -1);
        let fits =
            self.b.ins().icmp_imm_s(IntCC::UnsignedLessThanOrEqual, length, i64::from(first));
        let length = self.choose(fits, |_| Ok(length), |f| Ok(f.iconst(0)))?;
        let end = self.b.ins().iadd(start, length);
        let from = self.address(right);
        let bytes = self.iconst(i64::from(second + 1));
        self.helper(helpers::PROBE_READ_KERNEL_STR, &[end, bytes, from]);
        if first + second >= size {
            let zero = self.iconst(0);
            self.store(both.plus(size - 1), 1, zero);
        }
        self.copy(to, both, size)
    }

    /// The text of a number, from a table in read-only data.
    pub(super) fn put_text_of(
        &mut self,
        number: &Expr,
        names: Names,
        ty: &Type,
        to: Place,
        tail: Tail,
    ) -> Result<(), Error> {
        let texts = names.texts();
        let longest = texts.iter().chain([&names.otherwise()]).map(|t| t.len()).max().unwrap_or(0);
        let row = (longest as u32 + 1).next_multiple_of(8).min(self.unit_size(ty));
        let mut table = Vec::with_capacity((texts.len() + 1) * row as usize);
        for text in texts.iter().chain([&""]) {
            let text = if text.is_empty() { names.otherwise() } else { text };
            table.extend_from_slice(text.as_bytes());
            table.resize(table.len().next_multiple_of(row as usize), 0);
        }
        let table = self.unit.bytes(&table);
        let mut number = self.scalar(number)?;
        if names == Names::Errors {
            number = self.b.ins().iabs(number);
        }
        let index = self.at_most(number, texts.len() as u32)?;
        let offset = self.b.ins().imul_imm_s(index, i64::from(row));
        let start = self.rodata(table);
        let text = self.b.ins().iadd(start, offset);
        let size = self.unit_size(ty);
        self.prepare(to, size, tail)?;
        self.copy(to, Place::pointer(text), row)
    }

    /// `buf(s, n)`: bytes of a value.
    pub(super) fn put_buf_of(
        &mut self,
        data: &Expr,
        len: &Expr,
        ty: &Type,
        to: Place,
        tail: Tail,
    ) -> Result<(), Error> {
        let size = self.unit_size(ty);
        let capacity = size.saturating_sub(BUF_HEADER);
        let from = self.memory_of(data)?;
        let len = self.scalar(len)?;
        let count = self.at_most(len, capacity)?;
        self.prepare(to, size, tail)?;
        self.store(to, BUF_HEADER, count);
        let (to, from) = (self.address(to.plus(BUF_HEADER)), self.address(from));
        self.helper(helpers::PROBE_READ_KERNEL, &[to, count, from]);
        Ok(())
    }

    /// Bytes that a value of a type takes.
    fn unit_size(&mut self, ty: &Type) -> u32 {
        self.unit.layout(ty).size()
    }
}
