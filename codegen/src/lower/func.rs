//! One function under construction: blocks, calls, references to things outside.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, AbiParam, Block, ExtFuncData, ExternalName, FuncRef, GlobalValue, GlobalValueData,
    InstBuilder, Signature, SourceLoc, UserExternalName, UserFuncName, Value, types::I64,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use rbtrace_lang::hir::{Int, LocalId, ProbeBlock, Type};
use rbtrace_lang::span::Span;
use rbtrace_probes_ebpf::helpers::{self, Helper};
use rbtrace_probes_ebpf::kinds::KindSpec;
use rbtrace_probes_ebpf::plan::Target;

use super::captures::{Captures, steering};
use super::loops::Shared;
use super::mem::{Memory, Place, StackUse};
use super::members::Reads;
use super::own_maps::OwnMap;
use super::scratch;
use super::unit::UnitBuilder;
use crate::carrier::carrier;
use crate::clif::{CoreReloc, namespace};
use crate::error::Error;

/// Name of the word that says that user space has been told to end.
pub(super) const TOLD_TO_END: &str = "exiting";

/// Where a variable of the script lives.
#[derive(Clone, Copy)]
pub(super) enum Storage {
    /// In a register, as an `i64` extended from its type.
    Register(Variable),
    /// In memory.
    Memory(Place),
    /// Taken apart: each member that is read is in a register.
    Members,
}

/// Targets of `continue` and `break`.
#[derive(Clone, Copy)]
pub(super) struct Loop {
    pub(super) next: Block,
    pub(super) exit: Block,
}

/// A lowered program.
pub(super) struct Done {
    pub(super) ir: ir::Function,
    /// The program needs memory from the scratch map and was not given any.
    pub(super) wants_scratch: bool,
    /// Bytes used of the scratch map's entry.
    pub(super) scratch_bytes: u32,
    pub(super) uses_cookie: bool,
}

/// See the module.
pub(super) struct FnBuilder<'f, 'u, 'p> {
    pub(super) b: FunctionBuilder<'f>,
    pub(super) unit: &'u mut UnitBuilder<'p>,
    pub(super) block: &'p ProbeBlock,
    pub(super) index: u32,
    pub(super) ctx: Value,
    pub(super) locals: Vec<Option<Storage>>,
    pub(super) loops: Vec<Loop>,
    pub(super) memory: Memory,
    pub(super) uses_cookie: bool,
    /// What an iterator has come to, by the number of the argument.
    pub(super) objects: Vec<(u32, Value)>,
    /// Variables shared with callbacks, where the block has any.
    pub(super) shared: Option<Shared>,
    /// What comparisons find out of variables is of no use to the verifier after them.
    pub(super) forgets: bool,
    /// The function is a callback: it answers whether to go on, not the program's result.
    pub(super) is_callback: bool,
    steering: OnceCell<BTreeSet<LocalId>>,
    pub(super) reads: OnceCell<Reads>,
    /// The registers of variables that are taken apart.
    pub(super) members: HashMap<(LocalId, u32), Variable>,
    /// Place of the script that instructions belong to.
    pub(super) place: Span,
    helpers: HashMap<(u32, u32), FuncRef>,
    symbols: HashMap<(u32, u32, i64), GlobalValue>,
}

impl<'f, 'u, 'p> FnBuilder<'f, 'u, 'p> {
    /// Lowers a probe block to its program. With `scratch` it begins by looking up its entry of
    /// the scratch map.
    pub(super) fn build(
        unit: &'u mut UnitBuilder<'p>,
        index: u32,
        symbol: &str,
        block: &'p ProbeBlock,
        scratch: bool,
    ) -> Result<Done, Error> {
        let mut ir =
            ir::Function::with_name_signature(UserFuncName::testcase(symbol), signature(1));
        let mut context = FunctionBuilderContext::new();
        let mut this = FnBuilder::new(&mut ir, &mut context, unit, index, block);
        if scratch {
            this.look_up_scratch()?;
        }
        this.program_body()?;
        let done = (this.memory.wants_scratch, this.memory.scratch_high, this.uses_cookie);
        this.finish()?;
        let (wants_scratch, scratch_bytes, uses_cookie) = done;
        Ok(Done { ir, wants_scratch, scratch_bytes, uses_cookie })
    }

    pub(super) fn new(
        ir: &'f mut ir::Function,
        context: &'f mut FunctionBuilderContext,
        unit: &'u mut UnitBuilder<'p>,
        index: u32,
        block: &'p ProbeBlock,
    ) -> Self {
        let mut b = FunctionBuilder::new(ir, context);
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        b.seal_block(entry);
        let ctx = b.block_params(entry)[0];
        let memory = Memory::program(unit.stack, scratch::reserved(block));
        FnBuilder {
            b,
            unit,
            block,
            index,
            ctx,
            locals: vec![None; block.locals.len()],
            loops: Vec::new(),
            memory,
            uses_cookie: false,
            objects: Vec::new(),
            shared: None,
            forgets: false,
            is_callback: false,
            steering: OnceCell::new(),
            reads: OnceCell::new(),
            members: HashMap::new(),
            place: block.span,
            helpers: HashMap::new(),
            symbols: HashMap::new(),
        }
    }

    /// Ends the function: every block must have been filled.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.b.seal_all_blocks();
        let isa = carrier().map_err(|reason| Error::internal("lower", self.b.func, reason))?;
        let config = isa.frontend_config();
        self.b.finalize(config);
        Ok(())
    }

    fn program_body(&mut self) -> Result<(), Error> {
        let block = self.block;
        self.at(block.span);
        let captures = Captures::of_block(block);
        let own = |local: &LocalId| !captures.is_private(*local);
        let own: Vec<LocalId> = (0..block.locals.len() as u32).map(LocalId).filter(own).collect();
        self.share_locals(captures)?;
        for local in own {
            self.local(local)?;
        }
        self.load_objects();
        self.mark_object();
        self.parse_packet()?;
        if let Some(predicate) = &block.predicate {
            let body = self.b.create_block();
            let pass = self.b.create_block();
            self.branch(predicate, body, pass)?;
            self.enter(pass);
            self.return_default();
            self.enter(body);
        }
        self.heed_exit()?;
        self.stmts(&block.body)?;
        self.return_default();
        Ok(())
    }

    /// Where the block may call `exit()` and run again: does nothing once user space has been told
    /// to end.
    fn heed_exit(&mut self) -> Result<(), Error> {
        if !self.unit.heeds_exit(self.index) {
            return Ok(());
        }
        let flag = self.unit.told(TOLD_TO_END);
        let flag = self.bss(flag);
        let exiting = self.load(Place::pointer(flag), Int::U64);
        self.when(exiting, |f| {
            f.return_default();
            Ok(())
        })
    }

    /// What programs of this kind look like.
    pub(super) fn kind(&self) -> &'static KindSpec {
        self.block.kind.spec()
    }

    /// Where the block's only probe is, or its first.
    pub(super) fn target(&self) -> Option<&'p Target> {
        let probe = self.block.probes.first()?;
        self.unit.program.probes.get(*probe as usize).map(|probe| &probe.target)
    }

    /// Whether the tracing helpers may be called.
    pub(super) fn is_tracing(&self) -> bool {
        !self.kind().program.is_for_packets()
    }

    /// Whether the program calls the next one of its hook where it decides nothing.
    pub(super) fn passes_on(&self) -> bool {
        self.unit.passes_on(self.index)
    }

    /// Ends the program without a decision: the next one of its hook takes over, or it returns the
    /// kind's default. Code after it is unreachable.
    pub(super) fn return_default(&mut self) {
        if self.passes_on() {
            if self.is_callback {
                return self.leave_callback_undecided();
            }
            self.call_next();
        }
        let value = self.iconst(self.kind().default_return);
        self.return_as_is(value);
    }

    /// Goes over to the program that user space has put into this one's entry, if there is one.
    fn call_next(&mut self) {
        let map = self.unit.own_map(OwnMap::Next);
        let (map, entry) = (self.map_ref(map), self.iconst(i64::from(self.index)));
        self.helper(helpers::TAIL_CALL, &[self.ctx, map, entry]);
    }

    /// Returns what the script gives, where that means something; code after it is unreachable.
    pub(super) fn return_value(&mut self, value: Value) {
        if self.block.kind.returns_nothing() {
            // The verifier does not see that what comes out of a loop is no more than that.
            return self.return_default();
        }
        let value = self.known_verdict(value);
        match self.results() {
            Some(results) if !self.is_callback => self.return_within(value, &results),
            _ => self.return_as_is(value),
        }
    }

    /// Ends the program; code after it is unreachable.
    fn return_as_is(&mut self, value: Value) {
        if self.is_callback {
            self.leave_callback_returning(value);
            return;
        }
        self.give_back_scratch();
        self.return_from_function(value);
    }

    /// Ends the function at hand; code after it is unreachable.
    pub(super) fn return_from_function(&mut self, value: Value) {
        self.b.ins().return_(&[value]);
        self.unreachable();
    }

    /// Goes on in a block that nothing reaches, after a terminator.
    pub(super) fn unreachable(&mut self) {
        let dead = self.b.create_block();
        self.enter(dead);
    }

    /// Goes on in `block`, all of whose predecessors are known.
    pub(super) fn enter(&mut self, block: Block) {
        self.b.switch_to_block(block);
        self.b.seal_block(block);
    }

    /// A jump to `block` and on there.
    pub(super) fn join(&mut self, block: Block) {
        self.b.ins().jump(block, &[]);
        self.enter(block);
    }

    /// Instructions from here on belong to this place of the script.
    pub(super) fn at(&mut self, span: Span) {
        self.place = span;
        let line = self.unit.line(span);
        self.b.set_srcloc(SourceLoc::new(line));
    }

    pub(super) fn iconst(&mut self, value: i64) -> Value {
        self.b.ins().iconst(I64, value)
    }

    /// A constant that the optimizer cannot see.
    pub(super) fn opaque(&mut self, value: i64) -> Value {
        self.symbol(namespace::OPAQUE, 0, value)
    }

    /// Reference to a map of the plan.
    pub(super) fn map_ref(&mut self, map: u32) -> Value {
        self.symbol(namespace::MAP, map, 0)
    }

    /// Address in `.rodata`.
    pub(super) fn rodata(&mut self, offset: u32) -> Value {
        self.symbol(namespace::RODATA, 0, i64::from(offset))
    }

    /// Address in `.bss`.
    pub(super) fn bss(&mut self, offset: u32) -> Value {
        self.symbol(namespace::DATA, 0, i64::from(offset))
    }

    /// A value that depends on the running kernel's types.
    pub(super) fn core(&mut self, reloc: CoreReloc) -> Value {
        let index = self.unit.core_reloc(reloc);
        self.symbol(namespace::CORE, index, 0)
    }

    fn symbol(&mut self, namespace: u32, index: u32, offset: i64) -> Value {
        let global = match self.symbols.get(&(namespace, index, offset)) {
            Some(&global) => global,
            None => {
                let name = self.external(namespace, index);
                let global = self.b.create_global_value(GlobalValueData::Symbol {
                    name,
                    offset: offset.into(),
                    colocated: false,
                    tls: false,
                });
                self.symbols.insert((namespace, index, offset), global);
                global
            }
        };
        self.b.ins().symbol_value(I64, global)
    }

    fn external(&mut self, namespace: u32, index: u32) -> ExternalName {
        let name = UserExternalName { namespace, index };
        ExternalName::user(self.b.func.declare_imported_user_function(name))
    }

    /// Calls a helper of the kernel.
    pub(super) fn helper(&mut self, helper: Helper, args: &[Value]) -> Value {
        debug_assert_eq!(args.len(), usize::from(helper.params));
        self.call(namespace::HELPER, helper.id, args)
    }

    /// Calls an external function of `args.len()` parameters.
    pub(super) fn call(&mut self, namespace: u32, index: u32, args: &[Value]) -> Value {
        let func = self.function(namespace, index, args.len());
        let inst = self.b.ins().call(func, args);
        self.b.inst_results(inst)[0]
    }

    /// Address of a function of the unit, for helpers that call back.
    pub(super) fn function_address(&mut self, index: u32, params: usize) -> Value {
        let func = self.function(namespace::FUNCTION, index, params);
        self.b.ins().func_addr(I64, func)
    }

    fn function(&mut self, namespace: u32, index: u32, params: usize) -> FuncRef {
        if let Some(&func) = self.helpers.get(&(namespace, index)) {
            return func;
        }
        let name = self.external(namespace, index);
        let signature = self.b.import_signature(signature(params));
        let func = self.b.import_function(ExtFuncData {
            name,
            signature,
            colocated: false,
            patchable: false,
        });
        self.helpers.insert((namespace, index), func);
        func
    }

    /// Runs `body` where `cond` is not 0, then goes on after it.
    pub(super) fn when(
        &mut self,
        cond: Value,
        body: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let then = self.b.create_block();
        let after = self.b.create_block();
        self.b.ins().brif(cond, then, &[], after, &[]);
        self.enter(then);
        body(self)?;
        self.join(after);
        Ok(())
    }

    /// Chooses between two values by running one of two bodies.
    pub(super) fn choose(
        &mut self,
        cond: Value,
        then: impl FnOnce(&mut Self) -> Result<Value, Error>,
        otherwise: impl FnOnce(&mut Self) -> Result<Value, Error>,
    ) -> Result<Value, Error> {
        let yes = self.b.create_block();
        let no = self.b.create_block();
        let after = self.b.create_block();
        let result = self.b.append_block_param(after, I64);
        self.b.ins().brif(cond, yes, &[], no, &[]);
        self.enter(yes);
        let value = then(self)?;
        self.b.ins().jump(after, &[value.into()]);
        self.enter(no);
        let value = otherwise(self)?;
        self.b.ins().jump(after, &[value.into()]);
        self.enter(after);
        Ok(result)
    }

    /// Runs one of two bodies.
    pub(super) fn either(
        &mut self,
        cond: Value,
        then: impl FnOnce(&mut Self) -> Result<(), Error>,
        otherwise: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let yes = self.b.create_block();
        let no = self.b.create_block();
        let after = self.b.create_block();
        self.b.ins().brif(cond, yes, &[], no, &[]);
        self.enter(yes);
        then(self)?;
        self.b.ins().jump(after, &[]);
        self.enter(no);
        otherwise(self)?;
        self.join(after);
        Ok(())
    }

    /// Runs `body` for each `i` in `0..count`, a constant: the verifier walks every round.
    /// `body` gets the index and a block to leave by.
    pub(super) fn repeat(
        &mut self,
        count: u32,
        body: impl FnOnce(&mut Self, Value, Block) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let head = self.b.create_block();
        let inside = self.b.create_block();
        let after = self.b.create_block();
        let index = self.b.append_block_param(head, I64);
        let zero = self.iconst(0);
        self.b.ins().jump(head, &[zero.into()]);
        self.b.switch_to_block(head);
        let more = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, index, i64::from(count));
        self.b.ins().brif(more, inside, &[], after, &[]);
        self.enter(inside);
        body(self, index, after)?;
        let next = self.b.ins().iadd_imm_s(index, 1);
        self.b.ins().jump(head, &[next.into()]);
        self.b.seal_block(head);
        self.enter(after);
        Ok(())
    }

    /// Where a variable lives, made when it is first mentioned.
    pub(super) fn local(&mut self, id: LocalId) -> Result<Storage, Error> {
        if let Some(Some(storage)) = self.locals.get(id.index()) {
            return Ok(*storage);
        }
        let Some(local) = self.block.locals.get(id.index()) else {
            return Err(self.bug("a variable that its block does not declare"));
        };
        let storage = if self.is_taken_apart(id, &local.ty) {
            self.make_members(id);
            Storage::Members
        } else if !local.ty.is_scalar() || local.addressed {
            Storage::Memory(self.lasting(&local.ty)?)
        } else if self.unit.stack == StackUse::Least && self.may_be_forgotten(id, &local.ty) {
            let size = self.unit.layout(&local.ty).size();
            Storage::Memory(self.scratch(size)?)
        } else {
            Storage::Register(self.b.declare_var(I64))
        };
        self.settle(id, storage);
        Ok(storage)
    }

    /// From here on the variable lives there.
    pub(super) fn settle(&mut self, id: LocalId, storage: Storage) {
        if let Some(slot) = self.locals.get_mut(id.index()) {
            *slot = Some(storage);
        }
    }

    /// Whether a variable may lie in memory whose contents the verifier does not follow: it is no
    /// pointer, and no loop ends by it.
    fn may_be_forgotten(&self, id: LocalId, ty: &Type) -> bool {
        matches!(ty, Type::Int(_) | Type::Bool) && !self.steering().contains(&id)
    }

    /// The variables that the block's loops may end by.
    pub(super) fn steering(&self) -> &BTreeSet<LocalId> {
        self.steering.get_or_init(|| steering(&self.block.body))
    }

    /// An internal error: the typed program breaks one of its promises.
    pub(super) fn bug(&self, reason: &str) -> Error {
        Error::internal("lower", self.b.func, reason)
    }
}

/// `params` parameters and one result, all `i64`.
pub(super) fn signature(params: usize) -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params = vec![AbiParam::new(I64); params];
    signature.returns = vec![AbiParam::new(I64)];
    signature
}
