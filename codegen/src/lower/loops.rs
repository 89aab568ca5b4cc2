//! Loops that the kernel runs. The body is a callback, a function of its own; variables that it shares with the
//! rest of the block live on the block's stack, to which the callback gets a pointer.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, UserFuncName, Value};
use cranelift_frontend::FunctionBuilderContext;
use rbtrace_lang::hir::{Int, LocalId, MapId, Stmt, Type};
use rbtrace_probes_ebpf::helpers;

use super::captures::Captures;
use super::func::{FnBuilder, Storage, signature};
use super::mem::{Place, SLACK};
use crate::clif::{Function, Role};
use crate::error::Error;

/// Offset of the program's context in the shared memory.
const CONTEXT: u32 = 0;
/// Offset of what says that the program is to end, and how: 0, [`DECIDED`] or [`UNDECIDED`].
const RETURNED: u32 = 8;
/// With a result.
const DECIDED: i64 = 1;
/// Without, so that the next program of the hook takes over.
const UNDECIDED: i64 = 2;
/// Offset of the program's result.
const RESULT: u32 = 16;
/// Offset of a pointer to the program's scratch memory.
const SCRATCH: u32 = 24;
/// Offset of the first variable.
const VARIABLES: u32 = 32;
/// Most bytes of shared memory on the stack; what is beyond lives in scratch memory.
const SHARED_STACK: u32 = 160;
/// Bytes for the bounds of a range.
const BOUNDS: u32 = 16;
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
    /// Offsets of the start and the end, 8 bytes each, of the ranges of these variables, unless both are
    /// constants.
    bounds: Vec<(LocalId, u32)>,
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
    /// Moves the variables that the block shares with its callbacks to shared memory, and those
    /// that pointers may outlive a callback to.
    pub(super) fn share_locals(&mut self, captures: Captures) -> Result<(), Error> {
        let block = self.block;
        if !captures.any {
            return Ok(());
        }
        let addressed = |id: &LocalId| block.locals.get(id.index()).is_some_and(|l| l.addressed);
        let mut mentioned = captures.in_callbacks;
        mentioned.retain(|id| captures.shared.contains(id) || addressed(id));
        // The verifier follows the contents of the stack alone: what ends a loop comes first.
        let steering = self.steering();
        let mut mentioned: Vec<LocalId> = mentioned.into_iter().collect();
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
        // One after the other, ranges have their bounds in the same place.
        let at = |depth: u32| end + BOUNDS * depth;
        let bounds: Vec<_> = captures.ranges.iter().map(|(id, depth)| (*id, at(*depth))).collect();
        let end = bounds.iter().map(|(_, at)| at + BOUNDS).max().unwrap_or(end);
        let place = self.shared_memory(end);
        self.zero(place, end)?;
        let ctx = self.ctx;
        self.store(place.plus(CONTEXT), 8, ctx);
        if let Some(scratch) = self.memory.scratch() {
            self.store(place.plus(SCRATCH), 8, scratch);
        }
        self.use_shared(Shared { place, end, variables, bounds });
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
        let callback = self.callback(4, body, |f, params| {
            f.bind_entry(local, map, params)?;
            f.stmts(body)
        })?;
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
        if self.is_read(local, 0) {
            self.bind_member(local, 0, &declared.key, Place::pointer(key))?;
        }
        if !self.is_read(local, 1) {
            return Ok(());
        }
        if let Type::Aggregate(_) = declared.value {
            let total = self.aggregate_at(map, key)?;
            return self.bind_number(local, 1, total);
        }
        self.bind_member(local, 1, &declared.value, Place::pointer(value))
    }

    /// Where the start and the end of a range are that callbacks are to know, unless both are constants.
    pub(super) fn kept_bounds(&mut self, local: LocalId) -> Result<Option<[Place; 2]>, Error> {
        let Some(shared) = &self.shared else {
            return Err(self.bug("a callback of a block that shares nothing"));
        };
        let kept = shared.bounds.iter().find(|(id, _)| *id == local);
        Ok(kept.map(|(_, offset)| [*offset, offset + 8].map(|at| shared.place.plus(at))))
    }

    /// Makes a function of `params` parameters, the last of which is the shared memory, that runs
    /// `body` or parts of it: `run` gets its parameters.
    pub(super) fn callback(
        &mut self,
        params: usize,
        body: &[Stmt],
        run: impl FnOnce(&mut FnBuilder<'_, '_, 'p>, &[Value]) -> Result<(), Error>,
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
        let mentioned = Captures::of(body).own;
        for local in mentioned {
            inner.local(local)?;
        }
        run(&mut inner, &values)?;
        let go_on = inner.iconst(0);
        inner.return_from_function(go_on);
        self.memory.absorb(&inner.memory);
        self.uses_cookie |= inner.uses_cookie;
        inner.finish()?;
        Ok(self.unit.add_function(Function { name, role: Role::Subprogram, ir }))
    }

    pub(super) fn shared_address(&mut self) -> Result<Value, Error> {
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
    pub(super) fn forget_shared(&mut self) -> Result<(), Error> {
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
            let decided = self.iconst(DECIDED);
            self.store(place.plus(RETURNED), 8, decided);
            self.store(place.plus(RESULT), 8, value);
        }
        self.stop_loop();
    }

    /// In a callback: ends the loop and tells the program to end without a decision.
    pub(super) fn leave_callback_undecided(&mut self) {
        if let Some(shared) = &self.shared {
            let place = shared.place;
            let undecided = self.iconst(UNDECIDED);
            self.store(place.plus(RETURNED), 8, undecided);
        }
        self.stop_loop();
    }

    fn stop_loop(&mut self) {
        let stop = self.iconst(1);
        self.return_from_function(stop);
    }

    /// After a loop: ends the program if its body asked for that.
    pub(super) fn return_if_asked(&mut self) -> Result<(), Error> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let place = shared.place;
        let asked = self.load(place.plus(RETURNED), Int::U64);
        self.when(asked, |f| {
            if f.passes_on() {
                let undecided = f.b.ins().icmp_imm_s(IntCC::Equal, asked, UNDECIDED);
                f.when(undecided, |f| {
                    f.return_default();
                    Ok(())
                })?;
            }
            let result = f.load(place.plus(RESULT), Int::U64);
            f.return_value(result);
            Ok(())
        })
    }
}
