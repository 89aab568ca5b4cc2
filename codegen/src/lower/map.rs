//! Maps of the script: reading, writing and modifying entries.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, Value};
use rbtrace_lang::hir::visit::any_stmt_within;
use rbtrace_lang::hir::{self, BinaryOp, Expr, ExprKind, Int, MapId, Type};
use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::record::Loss;

use super::func::FnBuilder;
use super::mem::Place;
use super::memory::Tail;
use super::own_maps::OwnMap;
use crate::error::Error;

/// `BPF_ANY` of linux/bpf.h: make the entry or change it.
pub(super) const ANY: i64 = 0;
/// `BPF_NOEXIST` of linux/bpf.h: make the entry, leave one that is there.
pub(super) const NO_EXIST: i64 = 1;

impl<'p> FnBuilder<'_, '_, 'p> {
    /// The map's declaration.
    pub(super) fn map_type(&self, map: MapId) -> Result<&'p hir::Map, Error> {
        let program: &'p hir::Program = self.unit.program;
        program.maps.get(map.index()).ok_or_else(|| self.bug("a map that is not declared"))
    }

    /// Address of the key in memory. A scalar map has the `u32` 0.
    pub(super) fn key(&mut self, map: MapId, key: Option<&Expr>) -> Result<Value, Error> {
        self.key_before(map, key, None)
    }

    /// As [`FnBuilder::key`], where something else is evaluated before the kernel gets the key.
    pub(super) fn key_before(
        &mut self,
        map: MapId,
        key: Option<&Expr>,
        next: Option<&Expr>,
    ) -> Result<Value, Error> {
        let ty = &self.map_type(map)?.key;
        let place = match key {
            None => {
                let place = self.temp_bytes(4)?;
                let zero = self.iconst(0);
                self.store(place, 4, zero);
                place
            }
            Some(key) => self.handed_over(key, ty, next)?,
        };
        Ok(self.address(place))
    }

    /// Where a value is that the kernel gets as a key or a value of this type: where its variable
    /// is, or in a temporary. `next` is evaluated before the kernel gets it; if there are statements in
    /// that, they may change the variable.
    fn handed_over(
        &mut self,
        value: &Expr,
        ty: &Type,
        next: Option<&Expr>,
    ) -> Result<Place, Error> {
        let stays = !next.is_some_and(|next| any_stmt_within(next, &mut |_| true));
        if stays && matches!(value.kind, ExprKind::Local(_)) && !ty.is_scalar() && value.ty == *ty {
            return self.memory_of(value);
        }
        let place = self.temp(ty)?;
        self.put(value, place, Tail::Zero)?;
        Ok(place)
    }

    /// Pointer to an entry's value on this CPU, or 0.
    pub(super) fn look_up(&mut self, map: MapId, key: Value) -> Value {
        let map = self.map_ref(map.0);
        self.helper(helpers::MAP_LOOKUP_ELEM, &[map, key])
    }

    /// Pointer to a value of one of rbtrace's own maps, or 0.
    pub(super) fn look_up_own(&mut self, map: OwnMap, key: Place) -> Value {
        let map = self.unit.own_map(map);
        let (map, key) = (self.map_ref(map), self.address(key));
        self.helper(helpers::MAP_LOOKUP_ELEM, &[map, key])
    }

    /// Writes an entry; counts the loss if the map is full.
    pub(super) fn update(
        &mut self,
        map: MapId,
        key: Value,
        value: Value,
        flags: i64,
    ) -> Result<(), Error> {
        let map = self.map_ref(map.0);
        let how = self.iconst(flags);
        let result = self.helper(helpers::MAP_UPDATE_ELEM, &[map, key, value, how]);
        self.count_if_full(result)
    }

    /// Counts the loss if an update of a map answered that it is full.
    pub(super) fn count_if_full(&mut self, result: Value) -> Result<(), Error> {
        /// `E2BIG` of asm-generic/errno-base.h; with `BPF_NOEXIST` an entry that another CPU
        /// has just made is `EEXIST` and no loss.
        const FULL: i64 = -7;
        let full = self.status_is(result, FULL);
        self.when(full, |f| f.count_loss(Loss::MapFull))
    }

    /// Whether a map operation answered `status`. Before Linux 6.4 the kernel calls the map's
    /// own function, which answers an `int`: the upper half of the register means nothing.
    pub(super) fn status_is(&mut self, result: Value, status: i64) -> Value {
        let status32 = self.b.ins().ireduce(I32, result);
        self.b.ins().icmp_imm_s(IntCC::Equal, status32, status)
    }

    /// Adds one to a loss counter of this program. Atomically, rather than for each CPU: that
    /// takes no lookup, and losses are rare.
    pub(super) fn count_loss(&mut self, loss: Loss) -> Result<(), Error> {
        let offset = self.unit.loss_counter(self.index, loss);
        let counter = self.bss(offset);
        let one = self.iconst(1);
        self.b.ins().atomic_rmw(I64, MemFlagsData::new(), AtomicRmwOp::Add, counter, one);
        Ok(())
    }

    /// Pointer to the value of an entry that is read, or 0, which user space is told where it wants
    /// to know.
    fn look_up_to_read(&mut self, map: MapId, key: Value, e: &Expr) -> Result<Value, Error> {
        let found = self.look_up(map, key);
        if self.unit.program.helper_errors {
            self.place = e.span;
            let missing = self.b.ins().icmp_imm_s(IntCC::Equal, found, 0);
            let zero = self.iconst(0);
            self.report_failure(helpers::MAP_LOOKUP_ELEM, zero, missing)?;
        }
        Ok(found)
    }

    /// Value of an entry that is a scalar, as the expression `e` has it; 0 if there is none.
    pub(super) fn map_get_scalar(
        &mut self,
        map: MapId,
        key: Option<&Expr>,
        e: &Expr,
    ) -> Result<Value, Error> {
        let key = self.key(map, key)?;
        let found = self.look_up_to_read(map, key, e)?;
        let int = self.int_of(&e.ty)?;
        self.choose(found, |f| Ok(f.load(Place::pointer(found), int)), |f| Ok(f.iconst(0)))
    }

    /// Copies the value of an entry, as the expression `e` has it; zeros if there is none.
    pub(super) fn map_get_memory(
        &mut self,
        map: MapId,
        key: Option<&Expr>,
        e: &Expr,
        to: Place,
    ) -> Result<(), Error> {
        let key = self.key(map, key)?;
        let found = self.look_up_to_read(map, key, e)?;
        let size = self.unit.layout(&e.ty).size();
        self.either(found, |f| f.copy(to, Place::pointer(found), size), |f| f.zero(to, size))
    }

    pub(super) fn map_set(
        &mut self,
        map: MapId,
        key: Option<&Expr>,
        value: &Expr,
    ) -> Result<(), Error> {
        let declared = self.map_type(map)?;
        if declared.kind.is_cell() {
            let value = self.scalar(value)?;
            let key = self.key(map, key)?;
            return self.set_cell(map, key, value);
        }
        let place = self.handed_over(value, &declared.value, key)?;
        let key = self.key(map, key)?;
        let value = self.address(place);
        self.update(map, key, value, ANY)
    }

    /// Writes a scalar into a cell.
    fn set_cell(&mut self, map: MapId, key: Value, value: Value) -> Result<(), Error> {
        let ty = &self.map_type(map)?.value;
        let cell = self.look_up(map, key);
        self.when(cell, |f| {
            f.store_typed(Place::pointer(cell), ty, value)?;
            f.mark_set(map, cell);
            Ok(())
        })
    }

    /// Says in a cell that its value is set; nothing for other maps.
    pub(super) fn mark_set(&mut self, map: MapId, cell: Value) {
        if let Some(flag) = self.flag(map) {
            let one = self.iconst(1);
            self.store(Place::pointer(cell).plus(flag), 8, one);
        }
    }

    /// Offset of the flag of a map that is a cell.
    fn flag(&self, map: MapId) -> Option<u32> {
        let declared = self.unit.map(map);
        declared.kind.is_cell().then(|| declared.flag_offset())
    }

    /// `@x[k] op= value`
    pub(super) fn map_modify(
        &mut self,
        map: MapId,
        key: Option<&Expr>,
        op: BinaryOp,
        value: &Expr,
    ) -> Result<(), Error> {
        let int = self.int_of(&self.map_type(map)?.value)?;
        let operand = self.right_operand(op, value)?;
        let key = self.key(map, key)?;
        self.modify(map, key, |f, old| {
            let new = f.apply(op, old, operand, int, int)?;
            let new = f.divided(op, value, operand, new);
            Ok((new, new))
        })?;
        Ok(())
    }

    /// `@x[k]++` and its like.
    pub(super) fn map_step(
        &mut self,
        map: MapId,
        key: Option<&Expr>,
        delta: i64,
        prefix: bool,
        ty: &Type,
    ) -> Result<Value, Error> {
        let int = self.int_of(ty)?;
        let key = self.key(map, key)?;
        self.modify(map, key, |f, old| {
            let sum = f.b.ins().iadd_imm_s(old, delta);
            let new = f.fit(sum, int);
            Ok((new, if prefix { new } else { old }))
        })
    }

    /// Changes a scalar entry in place, or makes it from 0. `change` gets the old value and
    /// answers the new one and the result of the whole.
    fn modify(
        &mut self,
        map: MapId,
        key: Value,
        change: impl Fn(&mut Self, Value) -> Result<(Value, Value), Error>,
    ) -> Result<Value, Error> {
        let declared = self.map_type(map)?;
        let (int, is_cell) = (self.int_of(&declared.value)?, declared.kind.is_cell());
        let found = self.look_up(map, key);
        self.choose(
            found,
            |f| {
                let place = Place::pointer(found);
                let old = f.load(place, int);
                let (new, result) = change(f, old)?;
                f.store(place, u32::from(int.size), new);
                f.mark_set(map, found);
                Ok(result)
            },
            |f| {
                let zero = f.iconst(0);
                if is_cell {
                    return Ok(zero);
                }
                let (new, result) = change(f, zero)?;
                let place = f.temp_bytes(8)?;
                f.store(place, u32::from(int.size), new);
                let value = f.address(place);
                f.update(map, key, value, ANY)?;
                Ok(result)
            },
        )
    }

    /// `delete(@m, k)`: 1 if there was such an entry. A scalar map's value becomes zero where
    /// the kernel cannot remove it.
    pub(super) fn map_delete(&mut self, map: MapId, key: Option<&Expr>) -> Result<Value, Error> {
        let declared = self.map_type(map)?;
        let key = self.key(map, key)?;
        if declared.kind.is_array() {
            return self.zero_entry(map, key);
        }
        let map = self.map_ref(map.0);
        let result = self.helper(helpers::MAP_DELETE_ELEM, &[map, key]);
        let deleted = self.status_is(result, 0);
        Ok(self.b.ins().uextend(I64, deleted))
    }

    /// Sets an entry that the kernel cannot remove to zero; answers whether it was set, which is not
    /// known of arrays that are no cells.
    fn zero_entry(&mut self, map: MapId, key: Value) -> Result<Value, Error> {
        let size = self.unit.map(map).stored().size();
        let flag = self.flag(map);
        let found = self.look_up(map, key);
        self.choose(
            found,
            |f| {
                let entry = Place::pointer(found);
                let was_set = match flag {
                    Some(flag) => f.load(entry.plus(flag), Int::U64),
                    None => f.iconst(1),
                };
                f.zero(entry, size)?;
                Ok(was_set)
            },
            |f| Ok(f.iconst(0)),
        )
    }

    /// `has_key(@m, k)`: 1 or 0.
    pub(super) fn map_has_key(&mut self, map: MapId, key: &Expr) -> Result<Value, Error> {
        let key = self.key(map, Some(key))?;
        let found = self.look_up(map, key);
        let is = self.b.ins().icmp_imm_s(IntCC::NotEqual, found, 0);
        Ok(self.b.ins().uextend(I64, is))
    }
}
