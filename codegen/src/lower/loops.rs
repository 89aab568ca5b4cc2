//! Loops that the kernel runs: over a map by `bpf_for_each_map_elem`, over a range by
//! `bpf_loop`. The body is a callback, a function of its own; variables that it shares with the
//! rest of the block live on the block's stack, to which the callback gets a pointer.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, InstBuilder, UserFuncName, Value};
use cranelift_frontend::FunctionBuilderContext;
use rbtrace_lang::hir::{Expr, ExprKind, Int, LocalId, MapId, Stmt, Type};
use rbtrace_probes_ebpf::helpers;

use super::captures::{Captures, loops_in_kernel};
use super::func::{FnBuilder, Loop, Storage, signature};
use super::mem::{Place, SLACK};
use crate::clif::{Function, Role};
use crate::error::Error;

/// Offset of the program's context in the shared memory.
const CONTEXT: u32 = 0;
/// Offset of the flag that the program is to end.
const RETURNED: u32 = 8;
/// Offset of the program's result.
const RESULT: u32 = 16;
/// Offset of a pointer to the program's scratch memory.
const SCRATCH: u32 = 24;
/// Offset of the first variable.
const VARIABLES: u32 = 32;
/// Most bytes of shared memory on the stack; what is beyond lives in scratch memory.
const SHARED_STACK: u32 = 160;
/// Largest shared variable on the stack, in bytes.
const SHARED_VARIABLE: u32 = 64;

/// Memory that a block shares with its callbacks.
#[derive(Clone)]
pub(super) struct Shared {
    place: Place,
    /// Bytes of it on the stack.
    end: u32,
    /// Where the variables are.
    variables: Vec<(LocalId, Where)>,
    /// Offsets of what the ranges of these variables start with, unless that is a constant.
    starts: Vec<(LocalId, u32)>,
}

/// Where a shared variable is.
#[derive(Clone, Copy)]
enum Where {
    /// At this offset of the shared memory.
    Stack(u32),
    /// At this offset of the program's scratch memory.
    Scratch(u32),
}

impl<'p> FnBuilder<'_, '_, 'p> {
    /// Moves the variables that callbacks mention to shared memory.
    pub(super) fn share_locals(&mut self) -> Result<(), Error> {
        let block = self.block;
        let captures = Captures::of(&block.body);
        if !captures.any {
            return Ok(());
        }
        // The verifier follows the contents of the stack alone: what ends a loop comes first.
        let steering = self.steering();
        let mut mentioned: Vec<LocalId> = captures.variables.into_iter().collect();
        mentioned.sort_by_key(|id| !steering.contains(id));
        let mut variables = Vec::new();
        let mut end = VARIABLES;
        for id in mentioned {
            let Some(local) = block.locals.get(id.index()) else { continue };
            let slack = if local.ty.is_scalar() { 0 } else { SLACK };
            let size = (self.unit.layout(&local.ty).size() + slack).next_multiple_of(8);
            if size > SHARED_VARIABLE || end + size > SHARED_STACK {
                variables.push((id, Where::Scratch(self.scratch(size)?.offset)));
            } else {
                variables.push((id, Where::Stack(end)));
                end += size;
            }
        }
        let mut starts = Vec::new();
        for local in captures.starts {
            starts.push((local, end));
            end += 8;
        }
        let place = self.shared_memory(end);
        self.zero(place, end)?;
        let ctx = self.ctx;
        self.store(place.plus(CONTEXT), 8, ctx);
        if let Some(scratch) = self.memory.scratch() {
            self.store(place.plus(SCRATCH), 8, scratch);
        }
        self.use_shared(Shared { place, end, variables, starts });
        Ok(())
    }

    /// Makes variables mean their shared places; scratch memory has been looked up by now.
    fn use_shared(&mut self, shared: Shared) {
        for (id, at) in &shared.variables {
            let place = match *at {
                Where::Stack(offset) => shared.place.plus(offset),
                Where::Scratch(offset) => self.scratch_place(offset),
            };
            self.settle(*id, Storage::Memory(place));
        }
        self.shared = Some(shared);
    }

    /// `for ($kv : @map) { ... }`
    pub(super) fn for_map(
        &mut self,
        local: LocalId,
        map: MapId,
        body: &[Stmt],
    ) -> Result<(), Error> {
        let callback = self.callback(4, body, |f, params| f.bind_entry(local, map, params))?;
        self.forget_shared()?;
        let map_ref = self.map_ref(map.0);
        let function = self.function_address(callback, 4);
        let context = self.shared_address()?;
        let flags = self.iconst(0);
        self.helper(helpers::FOR_EACH_MAP_ELEM, &[map_ref, function, context, flags]);
        self.return_if_asked()
    }

    /// Makes the loop's variable of an entry's key and value.
    fn bind_entry(&mut self, local: LocalId, map: MapId, params: &[Value]) -> Result<(), Error> {
        let declared = self.map_type(map)?;
        let &[_, key, value, _] = params else {
            return Err(self.bug("a callback with other parameters"));
        };
        let Some(ty) = self.block.locals.get(local.index()).map(|l| l.ty.clone()) else {
            return Err(self.bug("a loop variable that its block does not declare"));
        };
        let place = match self.local(local)? {
            Storage::Memory(place) => place,
            Storage::Register(_) => return Err(self.bug("an entry in a register")),
        };
        let (key_offset, _) = self.member(&ty, 0)?;
        let (value_offset, _) = self.member(&ty, 1)?;
        let key_size = self.unit.layout(&declared.key).size();
        self.copy(place.plus(key_offset), Place::pointer(key), key_size)?;
        if let Type::Aggregate(_) = declared.value {
            let total = self.aggregate_at(map, key)?;
            self.store(place.plus(value_offset), 8, total);
            return Ok(());
        }
        let value_size = self.unit.layout(&declared.value).size();
        self.copy(place.plus(value_offset), Place::pointer(value), value_size)
    }

    /// `for ($i : start..end) { ... }`
    pub(super) fn for_range(
        &mut self,
        local: LocalId,
        start: &Expr,
        end: &Expr,
        body: &[Stmt],
    ) -> Result<(), Error> {
        if !loops_in_kernel(start, end) {
            return self.for_short_range(local, start, end, body);
        }
        let int = self.int_of(&start.ty)?;
        let first = self.scalar(start)?;
        let last = self.scalar(end)?;
        let kept = self.shared_start(local)?;
        if let Some(kept) = kept {
            self.store(kept, 8, first);
        }
        let callback = self.callback(2, body, |f, params| {
            let &[index, _] = params else {
                return Err(f.bug("a callback with other parameters"));
            };
            let first = match (f.shared_start(local)?, &start.kind) {
                (Some(kept), _) => f.load(kept, Int::I64),
                (None, ExprKind::Int(first)) => f.iconst(*first),
                (None, _) => return Err(f.bug("a range whose start is not kept")),
            };
            // Below the range's end, so that it needs no wrapping.
            let now = f.b.ins().iadd(first, index);
            f.begin_round(local, int, now, body)
        })?;
        let less = if int.signed { IntCC::SignedLessThan } else { IntCC::UnsignedLessThan };
        let any = self.b.ins().icmp(less, first, last);
        self.when(any, |f| {
            f.forget_shared()?;
            let rounds = f.b.ins().isub(last, first);
            let function = f.function_address(callback, 2);
            let context = f.shared_address()?;
            let flags = f.iconst(0);
            f.helper(helpers::LOOP, &[rounds, function, context, flags]);
            f.return_if_asked()
        })
    }

    /// Gives the loop's variable its value. Assignments to it do not change the number of rounds.
    fn begin_round(
        &mut self,
        local: LocalId,
        int: Int,
        now: Value,
        body: &[Stmt],
    ) -> Result<(), Error> {
        let addressed = self.block.locals.get(local.index()).is_some_and(|local| local.addressed);
        if addressed || Captures::of(body).variables.contains(&local) {
            let place = self.shared_variable(local)?;
            self.store(place, u32::from(int.size), now);
            return Ok(());
        }
        let copy = self.b.declare_var(I64);
        self.b.def_var(copy, now);
        self.settle(local, Storage::Register(copy));
        Ok(())
    }

    /// Where the start of a range is that callbacks are to know.
    fn shared_start(&mut self, local: LocalId) -> Result<Option<Place>, Error> {
        let Some(shared) = &self.shared else {
            return Err(self.bug("a callback of a block that shares nothing"));
        };
        let kept = shared.starts.iter().find(|(id, _)| *id == local);
        Ok(kept.map(|(_, offset)| shared.place.plus(*offset)))
    }

    /// A range of few rounds, as a loop of the program itself.
    fn for_short_range(
        &mut self,
        local: LocalId,
        start: &Expr,
        end: &Expr,
        body: &[Stmt],
    ) -> Result<(), Error> {
        let ty = &start.ty;
        let int = self.int_of(ty)?;
        let counter = self.b.declare_var(I64);
        let first = self.scalar(start)?;
        let last = self.scalar(end)?;
        self.b.def_var(counter, first);
        let head = self.b.create_block();
        let inside = self.b.create_block();
        let next = self.b.create_block();
        let exit = self.b.create_block();
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        let now = self.b.use_var(counter);
        let less = if int.signed { IntCC::SignedLessThan } else { IntCC::UnsignedLessThan };
        let more = self.b.ins().icmp(less, now, last);
        self.b.ins().brif(more, inside, &[], exit, &[]);
        self.enter(inside);
        match self.local(local)? {
            Storage::Register(variable) => self.b.def_var(variable, now),
            Storage::Memory(place) => self.store(place, u32::from(int.size), now),
        }
        self.loops.push(Loop { next, exit });
        self.stmts(body)?;
        self.loops.pop();
        self.join(next);
        let stepped = self.b.ins().iadd_imm_s(now, 1);
        self.b.def_var(counter, stepped);
        self.b.ins().jump(head, &[]);
        self.b.seal_block(head);
        self.enter(exit);
        Ok(())
    }

    /// Lowers a loop's body to a function of `params` parameters, the last of which is the
    /// shared memory. `begin` gets its parameters before the body runs.
    fn callback(
        &mut self,
        params: usize,
        body: &[Stmt],
        begin: impl FnOnce(&mut FnBuilder<'_, '_, 'p>, &[Value]) -> Result<(), Error>,
    ) -> Result<u32, Error> {
        let Some(shared) = self.shared.clone() else {
            return Err(self.bug("a callback of a block that shares nothing"));
        };
        let name = self.unit.callback_name(self.index);
        let mut ir =
            ir::Function::with_name_signature(UserFuncName::testcase(&name), signature(params));
        let mut context = FunctionBuilderContext::new();
        let mut inner =
            FnBuilder::new(&mut ir, &mut context, &mut *self.unit, self.index, self.block);
        inner.is_callback = true;
        inner.memory = self.memory.callback(inner.unit.stack);
        inner.b.set_srcloc(self.b.srcloc());
        let values: Vec<Value> = match inner.b.current_block() {
            Some(entry) => inner.b.block_params(entry).to_vec(),
            None => Vec::new(),
        };
        let Some(&memory) = values.last() else {
            return Err(inner.bug("a callback without parameters"));
        };
        inner.ctx = inner.load(Place::pointer(memory).plus(CONTEXT), Int::U64);
        if self.memory.scratch().is_some() {
            let scratch = inner.load(Place::pointer(memory).plus(SCRATCH), Int::U64);
            inner.memory.use_scratch(scratch);
        }
        inner.use_shared(Shared { place: Place::pointer(memory), ..shared });
        inner.load_objects();
        begin(&mut inner, &values)?;
        inner.stmts(body)?;
        let go_on = inner.iconst(0);
        inner.return_from_function(go_on);
        self.memory.absorb(&inner.memory);
        self.uses_cookie |= inner.uses_cookie;
        inner.finish()?;
        Ok(self.unit.add_function(Function { name, role: Role::Subprogram, ir }))
    }

    /// Where a loop's variable is.
    fn shared_variable(&mut self, local: LocalId) -> Result<Place, Error> {
        match self.local(local)? {
            Storage::Memory(place) => Ok(place),
            Storage::Register(_) => Err(self.bug("a shared variable in a register")),
        }
    }

    fn shared_address(&mut self) -> Result<Value, Error> {
        match &self.shared {
            Some(shared) => {
                let place = shared.place;
                Ok(self.address(place))
            }
            None => Err(self.bug("a callback of a block that shares nothing")),
        }
    }

    /// Makes the verifier forget what it knows of shared variables on the stack. It walks a
    /// callback again as long as that changes a number it knows, so that one which is counted up
    /// from a constant and compared afterwards would be followed through every value.
    fn forget_shared(&mut self) -> Result<(), Error> {
        let Some(Shared { place, end, .. }) = self.shared else { return Ok(()) };
        if end <= VARIABLES {
            return Ok(());
        }
        let zeros = self.unit.zeros(8);
        let zeros = self.bss(zeros);
        let unknown = self.load(Place::pointer(zeros), Int::U64);
        for offset in (VARIABLES..end).step_by(8) {
            let word = place.plus(offset);
            let value = self.load(word, Int::U64);
            let value = self.b.ins().iadd(value, unknown);
            self.store(word, 8, value);
        }
        Ok(())
    }

    /// In a callback: ends the loop and tells the program to end with this result.
    pub(super) fn leave_callback_returning(&mut self, value: Value) {
        if let Some(shared) = &self.shared {
            let place = shared.place;
            let one = self.iconst(1);
            self.store(place.plus(RETURNED), 8, one);
            self.store(place.plus(RESULT), 8, value);
        }
        let stop = self.iconst(1);
        self.return_from_function(stop);
    }

    /// After a loop: ends the program if its body asked for that.
    fn return_if_asked(&mut self) -> Result<(), Error> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let place = shared.place;
        let asked = self.load(place.plus(RETURNED), Int::U64);
        self.when(asked, |f| {
            let result = f.load(place.plus(RESULT), Int::U64);
            f.return_value(result);
            Ok(())
        })
    }
}
