//! Expressions whose value is a scalar, and conditions.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value};
use rbtrace_lang::hir::{BinaryOp, Call, Expr, ExprKind, Int, LocalId, Space, Type, UnaryOp};
use rbtrace_probes_ebpf::helpers;

use super::func::{FnBuilder, Storage};
use super::mem::Place;
use crate::clif::{Intrinsic, namespace};
use crate::error::Error;

impl FnBuilder<'_, '_, '_> {
    /// The integer that a scalar type is held as.
    pub(super) fn int_of(&self, ty: &Type) -> Result<Int, Error> {
        match ty {
            Type::Enum(id) => match self.unit.program.enums.get(id.index()) {
                Some(e) => Ok(e.int),
                None => Err(self.bug("an enum that the program does not declare")),
            },
            _ => ty.as_int().ok_or_else(|| self.bug("memory where a scalar is expected")),
        }
    }

    /// Evaluates a scalar: an `i64` extended from the type's own width.
    pub(super) fn scalar(&mut self, e: &Expr) -> Result<Value, Error> {
        match &e.kind {
            ExprKind::Int(value) => Ok(self.iconst(*value)),
            ExprKind::Local(id) => match self.local(*id)? {
                Storage::Register(variable) => Ok(self.b.use_var(variable)),
                Storage::Memory(place) => self.load_typed(place, &e.ty),
                Storage::Members => Err(self.bug("a tuple where a scalar is expected")),
            },
            ExprKind::MapGet { map, key } => self.map_get_scalar(*map, key.as_deref(), e),
            ExprKind::AggregateGet { map, key } => self.aggregate_get(*map, key.as_deref()),
            ExprKind::Builtin(builtin) => {
                self.at(e.span);
                self.builtin(*builtin)
            }
            ExprKind::Unary { op, operand } => self.unary(*op, operand, &e.ty),
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right, &e.ty),
            ExprKind::Same { negated, left, right } => {
                let same = self.same_or_not(*negated, left, right)?;
                Ok(self.settled(same))
            }
            ExprKind::ProbeIs(probes) => self.probe_is(probes),
            ExprKind::Logic { .. } => self.truth(e),
            ExprKind::Ternary { cond, then, otherwise } => {
                let cond = self.forgetting(false, |f| f.condition(cond))?;
                self.choose(cond, |f| f.scalar(then), |f| f.scalar(otherwise))
            }
            ExprKind::Cast(operand) => self.cast(operand, &e.ty),
            ExprKind::Load(pointer) => {
                self.at(e.span);
                self.load_pointer(pointer, &e.ty)
            }
            ExprKind::Field { base, field } => {
                self.place = base.span;
                match (&base.kind, &base.ty) {
                    (ExprKind::TracepointRecord, Type::Record(id)) => {
                        self.tracepoint_scalar(id.index(), *field as usize, &e.ty)
                    }
                    _ => self.part_scalar(e),
                }
            }
            ExprKind::Index { .. } => {
                self.place = e.span;
                self.part_scalar(e)
            }
            ExprKind::AddressOf(id) => self.local_address(*id),
            ExprKind::MapAddress { map, key } => {
                let key = self.key(*map, key.as_deref())?;
                Ok(self.look_up(*map, key))
            }
            ExprKind::Call(call) => {
                self.at(e.span);
                self.call_scalar(call, &e.ty)
            }
            ExprKind::Block { stmts, value } => {
                self.stmts(stmts)?;
                self.scalar(value)
            }
            ExprKind::LocalStep { local, delta, prefix } => {
                self.local_step(*local, *delta, *prefix, &e.ty)
            }
            ExprKind::MapStep { map, key, delta, prefix } => {
                self.map_step(*map, key.as_deref(), *delta, *prefix, &e.ty)
            }
            ExprKind::Zero | ExprKind::Str(_) | ExprKind::Tuple(_) | ExprKind::TracepointRecord => {
                Err(self.bug("memory where a scalar is expected"))
            }
        }
    }

    /// Evaluates a condition to something that a branch can test: any integer, false if 0.
    pub(super) fn condition(&mut self, e: &Expr) -> Result<Value, Error> {
        match &e.kind {
            ExprKind::Binary { op, left, right } if op.is_comparison() => {
                self.compare(*op, left, right)
            }
            ExprKind::Unary { op: UnaryOp::Not, operand } => {
                let value = self.condition(operand)?;
                Ok(self.b.ins().icmp_imm_s(IntCC::Equal, value, 0))
            }
            ExprKind::Same { negated, left, right } => self.same_or_not(*negated, left, right),
            ExprKind::Cast(operand) if e.ty == Type::Bool && operand.ty.is_scalar() => {
                self.condition_or_scalar(operand)
            }
            _ => self.condition_or_scalar(e),
        }
    }

    fn condition_or_scalar(&mut self, e: &Expr) -> Result<Value, Error> {
        if e.ty == Type::Bool && matches!(e.kind, ExprKind::Binary { .. } | ExprKind::Cast(_)) {
            return match &e.kind {
                ExprKind::Binary { op, left, right } if op.is_comparison() => {
                    self.compare(*op, left, right)
                }
                _ => self.scalar(e),
            };
        }
        self.scalar(e)
    }

    /// Jumps to one of two blocks, evaluating no more of the condition than is needed.
    pub(super) fn branch(&mut self, e: &Expr, yes: Block, no: Block) -> Result<(), Error> {
        match &e.kind {
            ExprKind::Logic { and, left, right } => {
                let rest = self.b.create_block();
                if *and {
                    self.branch(left, rest, no)?;
                } else {
                    self.branch(left, yes, rest)?;
                }
                self.enter(rest);
                self.branch(right, yes, no)
            }
            ExprKind::Unary { op: UnaryOp::Not, operand } => self.branch(operand, no, yes),
            ExprKind::Cast(operand) if e.ty == Type::Bool && operand.ty == Type::Bool => {
                self.branch(operand, yes, no)
            }
            _ => {
                let value = self.condition(e)?;
                self.b.ins().brif(value, yes, &[], no, &[]);
                Ok(())
            }
        }
    }

    /// A condition as 0 or 1.
    fn truth(&mut self, e: &Expr) -> Result<Value, Error> {
        let yes = self.b.create_block();
        let no = self.b.create_block();
        let after = self.b.create_block();
        let result = self.b.append_block_param(after, cranelift_codegen::ir::types::I64);
        self.forgetting(true, |f| f.branch(e, yes, no))?;
        for (block, value) in [(yes, 1), (no, 0)] {
            self.enter(block);
            let value = self.iconst(value);
            self.b.ins().jump(after, &[value.into()]);
        }
        self.enter(after);
        Ok(result)
    }

    /// Loads a scalar of this type from memory.
    pub(super) fn load_typed(&mut self, place: Place, ty: &Type) -> Result<Value, Error> {
        let int = self.int_of(ty)?;
        Ok(self.load(place, int))
    }

    /// Stores a scalar of this type.
    pub(super) fn store_typed(&mut self, place: Place, ty: &Type, v: Value) -> Result<(), Error> {
        let int = self.int_of(ty)?;
        self.store(place, u32::from(int.size), v);
        Ok(())
    }

    /// The scalar that a pointer points to; 0 where it cannot be read.
    fn load_pointer(&mut self, pointer: &Expr, ty: &Type) -> Result<Value, Error> {
        let int = self.int_of(ty)?;
        let address = self.scalar(pointer)?;
        let space = self.space_of(&pointer.ty);
        self.load_foreign(address, space, int)
    }

    /// The address space of a pointer type; other scalars are addresses of unknown origin.
    pub(super) fn space_of(&self, ty: &Type) -> Space {
        match ty {
            Type::Ptr { space, .. } => *space,
            _ => Space::Unknown,
        }
    }

    /// Reads an integer at an address.
    pub(super) fn load_foreign(
        &mut self,
        address: Value,
        space: Space,
        int: Int,
    ) -> Result<Value, Error> {
        if space == Space::Own {
            return Ok(self.load(Place::pointer(address), int));
        }
        let temp = self.temp_bytes(8)?;
        self.read_foreign(temp, u32::from(int.size), address, space)?;
        Ok(self.load(temp, int))
    }

    /// Copies `size` bytes from an address; what cannot be read becomes zero.
    pub(super) fn read_foreign(
        &mut self,
        to: Place,
        size: u32,
        address: Value,
        space: Space,
    ) -> Result<(), Error> {
        if space == Space::Own {
            return self.copy(to, Place::pointer(address), size);
        }
        let to = self.address(to);
        let size = self.iconst(i64::from(size));
        let args = [to, size, address];
        self.by_space(address, space, move |f, kernel| {
            let helper = if kernel { helpers::PROBE_READ_KERNEL } else { helpers::PROBE_READ_USER };
            f.watched_helper(helper, &args)
        })?;
        Ok(())
    }

    /// Runs `body` for the address space: both ways, behind a test, if it is unknown.
    pub(super) fn by_space(
        &mut self,
        address: Value,
        space: Space,
        body: impl Fn(&mut Self, bool) -> Result<Value, Error>,
    ) -> Result<Value, Error> {
        match space {
            Space::Kernel | Space::Own => body(self, true),
            Space::User => body(self, false),
            Space::Unknown => {
                let kernel = self.is_kernel_address(address);
                self.choose(kernel, |f| body(f, true), |f| body(f, false))
            }
        }
    }

    fn local_step(
        &mut self,
        local: LocalId,
        delta: i64,
        prefix: bool,
        ty: &Type,
    ) -> Result<Value, Error> {
        let int = self.int_of(ty)?;
        let storage = self.local(local)?;
        let old = match storage {
            Storage::Register(variable) => self.b.use_var(variable),
            Storage::Memory(place) => self.load(place, int),
            Storage::Members => return Err(self.bug("a step of a tuple")),
        };
        let sum = self.b.ins().iadd_imm_s(old, delta);
        let new = self.fit(sum, int);
        match storage {
            Storage::Register(variable) => self.b.def_var(variable, new),
            Storage::Memory(place) => self.store(place, u32::from(int.size), new),
            Storage::Members => {}
        }
        Ok(if prefix { new } else { old })
    }

    /// Is the current probe one of these?
    fn probe_is(&mut self, probes: &[u32]) -> Result<Value, Error> {
        let current = self.probe_number();
        let mut any = self.iconst(0);
        for &probe in probes {
            let is = self.b.ins().icmp_imm_s(IntCC::Equal, current, i64::from(probe));
            let is = self.b.ins().uextend(cranelift_codegen::ir::types::I64, is);
            any = self.b.ins().bor(any, is);
        }
        Ok(any)
    }

    fn compare(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Result<Value, Error> {
        let signed = self.int_of(&left.ty)?.signed;
        let l = self.compared(left)?;
        let r = self.compared(right)?;
        let code = super::ops::condition_code(op, signed)
            .ok_or_else(|| self.bug("a comparison by an operator that does not compare"))?;
        Ok(self.b.ins().icmp(code, l, r))
    }

    fn same_or_not(&mut self, negated: bool, left: &Expr, right: &Expr) -> Result<Value, Error> {
        let same = self.same(left, right)?;
        Ok(if negated { self.b.ins().bxor_imm_s(same, 1) } else { same })
    }

    /// A value that is made here, not where it is used.
    pub(super) fn settled(&mut self, value: Value) -> Value {
        self.call(namespace::INTRINSIC, Intrinsic::Settled as u32, &[value])
    }

    /// Runs `body`; says whether comparisons in it are forgotten by the verifier after it. Those
    /// of statements must not be: they may bound what a loop runs to.
    pub(super) fn forgetting<T>(&mut self, forgets: bool, body: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.forgets, forgets);
        let result = body(self);
        self.forgets = before;
        result
    }

    /// An operand of a comparison.
    pub(super) fn compared(&mut self, e: &Expr) -> Result<Value, Error> {
        let value = self.scalar(e)?;
        if !self.forgets || !is_variable(e) {
            return Ok(value);
        }
        Ok(self.call(namespace::INTRINSIC, Intrinsic::Unlinked as u32, &[value]))
    }

    fn call_scalar(&mut self, call: &Call, ty: &Type) -> Result<Value, Error> {
        match call {
            Call::Mark(operand) | Call::Strftime(operand) => self.scalar(operand),
            _ => self.function_scalar(call, ty),
        }
    }
}

/// Whether a value lives on after this use of it.
fn is_variable(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Local(_) => true,
        ExprKind::Cast(operand) => is_variable(operand),
        _ => false,
    }
}
