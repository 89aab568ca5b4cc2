//! Parts of values: members of records and tuples, elements of arrays.
//!
//! A chain of members and elements is followed to where it starts, so that only the part is
//! read, not what it is a part of.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::catalog::DataLoc;
use rbtrace_lang::hir::{Expr, ExprKind, Int, Space, Type};

use super::func::{FnBuilder, Storage};
use super::mem::Place;
use super::memory::Tail;
use crate::error::Error;

/// A part of a value.
struct Part {
    spot: Spot,
    /// 0 if an index lies outside of its array, which makes the part zero.
    inside: Option<Value>,
}

/// Where a part lies.
#[derive(Clone, Copy)]
enum Spot {
    /// In the program's own memory, at a multiple of `align` bytes but for the place's offset.
    Own { place: Place, align: u32 },
    /// Where a pointer leads.
    Foreign { address: Value, offset: u32, space: Space },
}

impl Part {
    fn own(place: Place) -> Self {
        Self { spot: Spot::Own { place, align: 8 }, inside: None }
    }

    fn plus(self, bytes: u32) -> Self {
        let spot = match self.spot {
            Spot::Own { place, align } => Spot::Own { place: place.plus(bytes), align },
            Spot::Foreign { address, offset, space } => {
                Spot::Foreign { address, offset: offset + bytes, space }
            }
        };
        Self { spot, ..self }
    }
}

/// Whether an expression is a part of something that [`FnBuilder::part_scalar`] and its kin find.
pub(super) fn is_part(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Field { base, .. } => !matches!(base.kind, ExprKind::TracepointRecord),
        ExprKind::Index { .. } => true,
        _ => false,
    }
}

impl FnBuilder<'_, '_, '_> {
    /// Finds a part, or a whole.
    fn part(&mut self, e: &Expr) -> Result<Part, Error> {
        match &e.kind {
            ExprKind::Field { base, field } if is_part(e) => {
                let part = self.part(base)?;
                let (offset, _) = self.member(&base.ty, *field)?;
                Ok(part.plus(offset))
            }
            ExprKind::Index { base, index } => self.element(base, index),
            ExprKind::Load(pointer) => {
                let address = self.scalar(pointer)?;
                self.at(e.span);
                Ok(match self.space_of(&pointer.ty) {
                    Space::Own => Part::own(Place::pointer(address)),
                    space => {
                        Part { spot: Spot::Foreign { address, offset: 0, space }, inside: None }
                    }
                })
            }
            ExprKind::Block { stmts, value } => {
                self.stmts(stmts)?;
                self.part(value)
            }
            ExprKind::MapGet { map, key } => {
                let size = self.unit.layout(&e.ty).size();
                let key = self.key(*map, key.as_deref())?;
                let found = self.look_up(*map, key);
                let zeros = self.unit.zeros(size);
                let entry = self.choose(found, |_| Ok(found), |f| Ok(f.bss(zeros)))?;
                Ok(Part::own(Place::pointer(entry)))
            }
            _ => Ok(Part::own(self.memory_of(e)?)),
        }
    }

    /// An element of an array, or a byte of a string.
    fn element(&mut self, base: &Expr, index: &Expr) -> Result<Part, Error> {
        let (elem, len) = match &base.ty {
            Type::Array { elem, len } => (self.unit.layout(elem).size(), *len),
            Type::Str { size } => (1, *size),
            _ => return Err(self.bug("an index into what is no array")),
        };
        let part = self.part(base)?;
        if let ExprKind::Int(n) = index.kind
            && let Ok(n) = u32::try_from(n)
            && (n < len || len == 0)
        {
            return Ok(part.plus(n.saturating_mul(elem)));
        }
        let index = self.scalar(index)?;
        let inside = (len > 0)
            .then(|| self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, index, i64::from(len)));
        let spot = match (part.spot, inside) {
            (Spot::Foreign { address, offset, space }, _) => {
                let distance = self.b.ins().imul_imm_s(index, i64::from(elem));
                Spot::Foreign { address: self.b.ins().iadd(address, distance), offset, space }
            }
            // The verifier must see that the index is within.
            (Spot::Own { place, align }, Some(inside)) => {
                let index = self.choose(inside, |_| Ok(index), |f| Ok(f.iconst(0)))?;
                let distance = self.b.ins().imul_imm_s(index, i64::from(elem));
                let start = self.address(place);
                let address = self.b.ins().iadd(start, distance);
                let before = 1 << place.offset.trailing_zeros().min(3);
                let step = 1 << elem.max(1).trailing_zeros().min(3);
                Spot::Own { place: Place::pointer(address), align: align.min(before).min(step) }
            }
            (own, None) => own,
        };
        let inside = match (part.inside, inside) {
            (Some(a), Some(b)) => Some(self.b.ins().band(a, b)),
            (a, b) => a.or(b),
        };
        Ok(Part { spot, inside })
    }

    /// A part that is a scalar.
    pub(super) fn part_scalar(&mut self, e: &Expr) -> Result<Value, Error> {
        if let Some(value) = self.member_in_register(e)? {
            return Ok(value);
        }
        let (storage, bits) = self.storage_of(e)?;
        let part = self.part(e)?;
        let value = match part.spot {
            Spot::Own { place, align } => self.load_part(place, align, storage)?,
            Spot::Foreign { address, offset, space } => {
                let address = self.b.ins().iadd_imm_s(address, i64::from(offset));
                self.load_foreign(address, space, storage)?
            }
        };
        let value = match bits {
            Some(bits) => {
                let value = self.extract_bits(value, bits);
                let declared = self.int_of(&e.ty)?;
                self.fit(value, declared)
            }
            None => value,
        };
        Ok(match part.inside {
            Some(inside) => {
                let zero = self.iconst(0);
                self.b.ins().select(inside, value, zero)
            }
            None => value,
        })
    }

    /// Loads an integer whose place may be misaligned, which the verifier does not allow on the
    /// stack.
    fn load_part(&mut self, place: Place, align: u32, int: Int) -> Result<Value, Error> {
        let size = u32::from(int.size);
        if size <= align && place.offset.is_multiple_of(size) {
            return Ok(self.load(place, int));
        }
        let temp = self.temp_bytes(8)?;
        self.copy_part(temp, place, align, size)?;
        Ok(self.load(temp, int))
    }

    fn copy_part(&mut self, to: Place, from: Place, align: u32, size: u32) -> Result<(), Error> {
        if align < 8 && self.is_tracing() {
            let source = self.address(from);
            self.read_kernel(to, size, source);
            return Ok(());
        }
        self.copy(to, from, size)
    }

    /// Copies a part that is memory.
    pub(super) fn put_part(&mut self, e: &Expr, to: Place, tail: Tail) -> Result<(), Error> {
        let size = self.unit.layout(&e.ty).size();
        let part = self.part(e)?;
        let is_text = matches!(e.ty, Type::Str { .. });
        let read = move |f: &mut Self| match part.spot {
            Spot::Own { place, align } => f.copy_part(to, place, align, size),
            Spot::Foreign { address, offset, space } => {
                let address = f.b.ins().iadd_imm_s(address, i64::from(offset));
                if is_text {
                    return f.read_string(to, size, address, space, tail);
                }
                f.read_foreign(to, size, address, space)
            }
        };
        match part.inside {
            Some(inside) => self.either(inside, read, |f| f.zero(to, size)),
            None => read(self),
        }
    }

    /// Where a part of the program's own memory is, without a copy; `None` if it lies elsewhere
    /// or may be outside of its array.
    pub(super) fn part_in_place(&mut self, e: &Expr) -> Result<Option<Place>, Error> {
        if !starts_in_place(e) {
            return Ok(None);
        }
        match self.part(e)? {
            Part { spot: Spot::Own { place, align: 8 }, inside: None } => Ok(Some(place)),
            _ => Err(self.bug("a part that is not where it starts")),
        }
    }

    /// The integer that holds a part, and which bits of it, if not all.
    fn storage_of(&self, e: &Expr) -> Result<(Int, Option<(u8, u8)>), Error> {
        if let ExprKind::Field { base, field } = &e.kind
            && let Type::Record(id) = &base.ty
        {
            let records = &self.unit.program.records;
            let found = records.get(id.index()).and_then(|r| r.fields.get(*field as usize));
            let Some(found) = found else {
                return Err(self.bug("a member that its record does not have"));
            };
            return Ok((self.int_of(&found.ty)?, found.bits));
        }
        Ok((self.int_of(&e.ty)?, None))
    }

    /// Cuts a bitfield out of the integer that holds it, unsigned.
    pub(super) fn extract_bits(&mut self, value: Value, (first, width): (u8, u8)) -> Value {
        let (first, width) = (i64::from(first), i64::from(width.clamp(1, 64)));
        let left = self.b.ins().ishl_imm_s(value, 64 - first - width);
        self.b.ins().ushr_imm_s(left, 64 - width)
    }

    /// Offset of a member in bytes, and its bits if it is a bitfield.
    pub(super) fn member(
        &mut self,
        base: &Type,
        field: u32,
    ) -> Result<(u32, Option<(u8, u8)>), Error> {
        use rbtrace_probes_ebpf::types::Type as Layout;
        let found = match base {
            Type::Record(id) => {
                let record = self.unit.program.records.get(id.index());
                record.and_then(|r| r.fields.get(field as usize)).map(|f| (f.offset, f.bits))
            }
            _ => match self.unit.layout(base) {
                Layout::Record(r) => r.fields.get(field as usize).map(|f| (f.offset, f.bits)),
                _ => return Err(self.bug("a member of what is no record")),
            },
        };
        found.ok_or_else(|| self.bug("a member that its record does not have"))
    }

    /// A member of a tracepoint's record that is a scalar.
    pub(super) fn tracepoint_scalar(
        &mut self,
        record: usize,
        field: usize,
        ty: &Type,
    ) -> Result<Value, Error> {
        let found = self.unit.program.records.get(record).and_then(|r| r.fields.get(field));
        let Some(field) = found else {
            return Err(self.bug("a field that its tracepoint does not have"));
        };
        let (offset, bits, data_loc) = (field.offset, field.bits, field.data_loc);
        if data_loc.is_some() {
            return Ok(self.data_address(offset, data_loc));
        }
        let int = self.int_of(ty)?;
        let value = self.load_context(offset, int);
        Ok(match bits {
            Some(bits) => self.extract_bits(value, bits),
            None => value,
        })
    }

    /// Address of the data that a `__data_loc` field at `offset` refers to.
    pub(super) fn data_address(&mut self, offset: u32, base: Option<DataLoc>) -> Value {
        let location = self.load_context(offset, Int::U32);
        let distance = self.b.ins().band_imm_s(location, 0xffff);
        let address = self.b.ins().iadd(self.ctx, distance);
        match base {
            Some(DataLoc::Field) => self.b.ins().iadd_imm_s(address, i64::from(offset) + 4),
            _ => address,
        }
    }

    /// Address of a variable, which lives in memory.
    pub(super) fn local_address(&mut self, id: rbtrace_lang::hir::LocalId) -> Result<Value, Error> {
        match self.local(id)? {
            Storage::Memory(place) => Ok(self.address(place)),
            Storage::Register(_) | Storage::Members => Err(self.bug("the address of a register")),
        }
    }
}

/// Whether a part is in memory of the program's own, at a place that is known when compiling.
fn starts_in_place(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Field { base, .. } => starts_in_place(base),
        ExprKind::Index { base, index } => {
            let len = match base.ty {
                Type::Array { len, .. } | Type::Str { size: len } => i64::from(len),
                _ => 0,
            };
            matches!(index.kind, ExprKind::Int(n) if (0..len).contains(&n)) && starts_in_place(base)
        }
        ExprKind::Block { value, .. } => starts_in_place(value),
        ExprKind::Load(_) | ExprKind::TracepointRecord | ExprKind::MapGet { .. } => false,
        _ => true,
    }
}
