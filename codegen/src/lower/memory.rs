//! Expressions whose value is memory: strings, tuples, records, arrays, addresses.
//!
//! [`FnBuilder::put`] builds a value where it is wanted; [`FnBuilder::memory_of`] answers where
//! a value is, making a temporary only if it is nowhere yet.

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::IntCC;
use rbtrace_lang::hir::{Builtin, Call, Expr, ExprKind, Int, Space, Type};
use rbtrace_probes_ebpf::helpers;

use super::access::is_part;
use super::func::{FnBuilder, Storage};
use super::mem::Place;
use super::types::has_gaps;
use crate::error::Error;

/// What is done about the bytes of a place that a value leaves unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// They become zero, so that equal values are equal bytes.
    Zero,
    /// They are zero already.
    Zeroed,
    /// They stay as they are.
    Keep,
}

/// Bytes of a thread's name (`TASK_COMM_LEN`).
const COMM_BYTES: u32 = 16;

impl FnBuilder<'_, '_, '_> {
    /// Where the value of an expression is.
    pub(super) fn memory_of(&mut self, e: &Expr) -> Result<Place, Error> {
        match &e.kind {
            ExprKind::Local(id) => match self.local(*id)? {
                Storage::Memory(place) => Ok(place),
                Storage::Register(_) => Err(self.bug("a scalar where memory is expected")),
                Storage::Members => Err(self.bug("a tuple in parts where it is wanted whole")),
            },
            ExprKind::Block { stmts, value } => {
                self.stmts(stmts)?;
                self.memory_of(value)
            }
            _ => {
                if is_part(e)
                    && let Some(place) = self.part_in_place(e)?
                {
                    return Ok(place);
                }
                let place = self.temp(&e.ty)?;
                self.put(e, place, Tail::Zero)?;
                Ok(place)
            }
        }
    }

    /// Builds the value of an expression at a place of its type's size and some slack.
    pub(super) fn put(&mut self, e: &Expr, to: Place, tail: Tail) -> Result<(), Error> {
        if e.ty.is_scalar() {
            let value = self.scalar(e)?;
            return self.store_typed(to, &e.ty, value);
        }
        match &e.kind {
            ExprKind::Str(text) => self.put_text(text, &e.ty, to, tail),
            ExprKind::Builtin(Builtin::Comm) => {
                self.at(e.span);
                // Linux 6.0 and 6.1 write nothing behind the name.
                self.prepare(to, COMM_BYTES, tail)?;
                let address = self.address(to);
                let size = self.iconst(i64::from(COMM_BYTES));
                self.helper(helpers::GET_CURRENT_COMM, &[address, size]);
                Ok(())
            }
            ExprKind::Tuple(values) => self.put_tuple(values, &e.ty, to, tail),
            ExprKind::Cast(operand) => self.put_cast(operand, &e.ty, to, tail),
            ExprKind::MapGet { map, key } => self.map_get_memory(*map, key.as_deref(), e, to),
            ExprKind::Load(pointer) => {
                self.at(e.span);
                let address = self.scalar(pointer)?;
                let space = self.space_of(&pointer.ty);
                let size = self.unit.layout(&e.ty).size();
                self.read_foreign(to, size, address, space)
            }
            ExprKind::Field { base, field } => match base.kind {
                ExprKind::TracepointRecord => {
                    self.put_tracepoint_field(base, *field, &e.ty, to, tail)
                }
                _ => self.put_part(e, to, tail),
            },
            ExprKind::Index { .. } => self.put_part(e, to, tail),
            ExprKind::Zero => {
                let size = self.unit.layout(&e.ty).size();
                self.zero(to, size)
            }
            ExprKind::Call(call) => {
                self.at(e.span);
                self.put_call(call, &e.ty, to, tail)
            }
            ExprKind::Ternary { cond, then, otherwise } => {
                let cond = self.forgetting(true, |f| f.condition(cond))?;
                self.either(cond, |f| f.put(then, to, tail), |f| f.put(otherwise, to, tail))
            }
            ExprKind::Block { stmts, value } => {
                self.stmts(stmts)?;
                self.put(value, to, tail)
            }
            ExprKind::Local(_) => {
                let from = self.memory_of(e)?;
                let size = self.unit.layout(&e.ty).size();
                self.copy(to, from, size)
            }
            _ => Err(self.bug("an expression that has no value in memory")),
        }
    }

    /// Clears a place of this size if the tail is to become zero; says how the tail is then.
    pub(super) fn prepare(&mut self, to: Place, size: u32, tail: Tail) -> Result<Tail, Error> {
        if tail == Tail::Zero {
            self.zero(to, size)?;
            return Ok(Tail::Zeroed);
        }
        Ok(tail)
    }

    fn put_text(&mut self, text: &[u8], ty: &Type, to: Place, tail: Tail) -> Result<(), Error> {
        let size = self.unit.layout(ty).size();
        let mut bytes = text.to_vec();
        bytes.truncate(size as usize);
        match tail {
            Tail::Zero if size <= 64 => bytes.resize(size as usize, 0),
            Tail::Zero => {
                self.zero(to, size)?;
            }
            Tail::Keep if bytes.len() < size as usize => bytes.push(0),
            _ => {}
        }
        self.write_bytes(to, &bytes)
    }

    fn put_tuple(
        &mut self,
        values: &[Expr],
        ty: &Type,
        to: Place,
        tail: Tail,
    ) -> Result<(), Error> {
        let layout = self.unit.layout(ty);
        let tail = if has_gaps(&layout) { self.prepare(to, layout.size(), tail)? } else { tail };
        for (index, value) in values.iter().enumerate() {
            let (offset, _) = self.member(ty, index as u32)?;
            self.put(value, to.plus(offset), tail)?;
        }
        Ok(())
    }

    /// Conversions in memory: strings of other sizes, tuples member by member, integers to
    /// arrays of the same size.
    fn put_cast(&mut self, operand: &Expr, ty: &Type, to: Place, tail: Tail) -> Result<(), Error> {
        if *ty == Type::Inet && operand.ty.is_inet() {
            return self.put_inet(None, operand, to);
        }
        if operand.ty.is_scalar() {
            let value = self.scalar(operand)?;
            let has = self.unit.layout(&operand.ty).size();
            let size = self.unit.layout(ty).size();
            if has <= size {
                return self.store_typed(to, &operand.ty, value);
            }
            // An array of three bytes, say.
            let temp = self.temp_bytes(has)?;
            self.store_typed(temp, &operand.ty, value)?;
            return self.copy(to, temp, size);
        }
        let size = self.unit.layout(ty).size();
        let has = self.unit.layout(&operand.ty).size();
        if matches!((ty, &operand.ty), (Type::Tuple(_), Type::Tuple(_))) {
            return self.put_converted_tuple(operand, ty, to, tail);
        }
        if has <= size {
            let tail = self.prepare(to, size, tail)?;
            return self.put(operand, to, tail);
        }
        let from = self.memory_of(operand)?;
        self.copy(to, from, size)
    }

    fn put_converted_tuple(
        &mut self,
        operand: &Expr,
        ty: &Type,
        to: Place,
        tail: Tail,
    ) -> Result<(), Error> {
        let (Type::Tuple(from_members), Type::Tuple(to_members)) = (&operand.ty, ty) else {
            return Err(self.bug("a tuple conversion of what is no tuple"));
        };
        let size = self.unit.layout(ty).size();
        let tail = self.prepare(to, size, tail)?;
        for (index, ((_, from_type), (_, to_type))) in
            from_members.iter().zip(to_members).enumerate()
        {
            let (offset, _) = self.member(ty, index as u32)?;
            let member = match &operand.kind {
                ExprKind::Tuple(values) => match values.get(index) {
                    Some(value) => value.clone(),
                    None => return Err(self.bug("a tuple that lacks a member of its type")),
                },
                _ => Expr {
                    kind: ExprKind::Field { base: Box::new(operand.clone()), field: index as u32 },
                    ty: from_type.clone(),
                    span: operand.span,
                },
            };
            let converted = if from_type == to_type {
                member
            } else {
                let span = member.span;
                Expr { kind: ExprKind::Cast(Box::new(member)), ty: to_type.clone(), span }
            };
            self.put(&converted, to.plus(offset), tail)?;
        }
        Ok(())
    }

    fn put_tracepoint_field(
        &mut self,
        base: &Expr,
        field: u32,
        ty: &Type,
        to: Place,
        tail: Tail,
    ) -> Result<(), Error> {
        let Type::Record(id) = base.ty else {
            return Err(self.bug("a tracepoint's record that is no record"));
        };
        let records = &self.unit.program.records;
        let found = records.get(id.index()).and_then(|r| r.fields.get(field as usize));
        let Some(field) = found else {
            return Err(self.bug("a field that its tracepoint does not have"));
        };
        let (offset, data_loc) = (field.offset, field.data_loc);
        let address = match data_loc {
            Some(_) => self.data_address(offset, data_loc),
            None => self.b.ins().iadd_imm_s(self.ctx, i64::from(offset)),
        };
        let size = self.unit.layout(ty).size();
        if matches!(ty, Type::Str { .. }) {
            return self.read_string(to, size, address, Space::Kernel, tail);
        }
        self.read_foreign(to, size, address, Space::Kernel)
    }

    /// Reads NUL-terminated text at an address into `size` bytes. A text that does not fit
    /// fills them to the last without a NUL, which goes into the slack after them.
    pub(super) fn read_string(
        &mut self,
        to: Place,
        size: u32,
        address: cranelift_codegen::ir::Value,
        space: Space,
        tail: Tail,
    ) -> Result<(), Error> {
        let count = self.iconst(i64::from(string_capacity(size)));
        self.read_string_of(to, size, count, address, space, tail)
    }

    /// As [`FnBuilder::read_string`], at most `count` bytes with the NUL.
    pub(super) fn read_string_of(
        &mut self,
        to: Place,
        size: u32,
        count: cranelift_codegen::ir::Value,
        address: cranelift_codegen::ir::Value,
        space: Space,
        tail: Tail,
    ) -> Result<(), Error> {
        if tail == Tail::Zero {
            self.zero(to, size)?;
        } else if tail == Tail::Keep {
            // If nothing can be read the kernel leaves the memory as it is.
            let zero = self.iconst(0);
            self.store(to, 1, zero);
        }
        let place = self.address(to);
        let args = [place, count, address];
        self.by_space(address, space, move |f, kernel| {
            let helper =
                if kernel { helpers::PROBE_READ_KERNEL_STR } else { helpers::PROBE_READ_USER_STR };
            f.watched_helper(helper, &args)
        })?;
        Ok(())
    }

    fn put_call(&mut self, call: &Call, ty: &Type, to: Place, tail: Tail) -> Result<(), Error> {
        let size = self.unit.layout(ty).size();
        match call {
            Call::Str { ptr, len } => {
                let address = self.scalar(ptr)?;
                let space = self.space_of(&ptr.ty);
                match len {
                    None => self.read_string(to, size, address, space, tail),
                    Some(len) => {
                        let len = self.scalar(len)?;
                        let count = self.at_most(len, size)?;
                        self.read_string_of(to, size, count, address, space, tail)
                    }
                }
            }
            Call::Buf { ptr, len } => {
                let address = self.scalar(ptr)?;
                let space = self.space_of(&ptr.ty);
                let len = self.scalar(len)?;
                let capacity = size.saturating_sub(4);
                let count = self.at_most(len, capacity)?;
                if tail == Tail::Zero {
                    self.zero(to, size)?;
                }
                self.store(to, 4, count);
                let data = self.address(to.plus(4));
                let args = [data, count, address];
                self.by_space(address, space, move |f, kernel| {
                    let helper =
                        if kernel { helpers::PROBE_READ_KERNEL } else { helpers::PROBE_READ_USER };
                    f.watched_helper(helper, &args)
                })?;
                Ok(())
            }
            Call::Cut { text, len } => self.put_cut(text, len, ty, to, tail),
            Call::StrConcat { left, right } => self.put_concatenation(left, right, ty, to),
            Call::TextOf { number, names } => self.put_text_of(number, *names, ty, to, tail),
            Call::BufOf { data, len } => self.put_buf_of(data, len, ty, to, tail),
            Call::Mark(operand) => self.put_marked(operand, ty, to),
            Call::Ntop { family, addr } => self.put_inet(family.as_ref(), addr, to),
            Call::MacAddr(addr) => {
                let from = self.memory_of(addr)?;
                self.copy(to, from, size)
            }
            Call::PayloadBytes { payload, len } => self.put_payload(payload, len, ty, to, tail),
            Call::Path(of) => {
                let address = self.scalar(of)?;
                // A path that is too long leaves its end there.
                self.zero(to, size)?;
                let (place, size) = (self.address(to), self.iconst(i64::from(size)));
                self.watched_helper(helpers::D_PATH, &[address, place, size])?;
                Ok(())
            }
            Call::Stack { unwind } => self.put_stack(ty, *unwind, to),
            _ => Err(self.bug("a function that has no value in memory")),
        }
    }

    /// The smaller of a value and a constant, in a form that the verifier keeps track of.
    pub(super) fn at_most(
        &mut self,
        value: cranelift_codegen::ir::Value,
        limit: u32,
    ) -> Result<cranelift_codegen::ir::Value, Error> {
        let fits = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThanOrEqual, value, i64::from(limit));
        self.choose(fits, |_| Ok(value), |f| Ok(f.iconst(i64::from(limit))))
    }

    /// A user address with the process that it is of.
    fn put_marked(&mut self, operand: &Expr, ty: &Type, to: Place) -> Result<(), Error> {
        if *ty != Type::USym {
            return Err(self.bug("a mark that makes memory"));
        }
        let address = self.scalar(operand)?;
        self.store(to, 8, address);
        self.put_origin(to)
    }

    /// Process id and probe number, after an address or a stack id of 8 bytes.
    pub(super) fn put_origin(&mut self, to: Place) -> Result<(), Error> {
        let pid = self.builtin(Builtin::Pid)?;
        self.store(to.plus(8), 4, pid);
        let probe = self.probe_number();
        self.store(to.plus(12), 4, probe);
        Ok(())
    }

    /// Reads an unsigned byte at `index` bytes from a place.
    pub(super) fn byte_at(
        &mut self,
        place: Place,
        index: cranelift_codegen::ir::Value,
    ) -> cranelift_codegen::ir::Value {
        let byte = self.indexed(place, index);
        self.load(byte, Int { size: 1, signed: false })
    }
}

/// Bytes that a string of this type is read with, its NUL included: one more than its size
/// tells a text that was cut from one that just fits. Strings of 1 KiB and more have none to
/// spare, as in bpftrace.
fn string_capacity(size: u32) -> u32 {
    if size < 1024 { size + 1 } else { size }
}
