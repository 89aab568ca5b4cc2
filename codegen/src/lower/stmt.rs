//! Statements.

use std::collections::BTreeSet;

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::types::I64;
use cranelift_frontend::Variable;
use rbtrace_lang::hir::{Expr, ExprKind, LocalId, Stmt, StmtKind, Type};

use super::captures::{Captures, steering};
use super::func::{FnBuilder, Loop, Storage};
use super::mem::Place;
use super::memory::Tail;
use crate::error::Error;

/// Most instructions of a program that the kernel takes.
const PROGRAM_LIMIT: usize = 1_000_000;

impl<'p> FnBuilder<'_, '_, 'p> {
    /// Lowers statements in a row; temporaries of each are given back after it.
    pub(super) fn stmts(&mut self, stmts: &[Stmt]) -> Result<(), Error> {
        self.forgetting(false, |f| f.all_of(stmts))
    }

    fn all_of(&mut self, stmts: &[Stmt]) -> Result<(), Error> {
        for stmt in stmts {
            if self.b.func.dfg.num_insts() > PROGRAM_LIMIT {
                return Err(Error::ProgramLimit { limit: PROGRAM_LIMIT });
            }
            let mark = self.mark();
            self.at(stmt.span);
            self.stmt(stmt)?;
            self.release(mark);
        }
        Ok(())
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), Error> {
        match &stmt.kind {
            StmtKind::Expr(e) => self.discard(e),
            StmtKind::Set { local, value } => self.set(*local, value),
            StmtKind::MapSet { map, key, value } => self.map_set(*map, key.as_ref(), value),
            StmtKind::MapModify { map, key, op, value } => {
                self.map_modify(*map, key.as_ref(), *op, value)
            }
            StmtKind::Aggregate { map, key, value, time } => {
                self.aggregate(*map, key.as_ref(), value.as_ref(), time.as_ref())
            }
            StmtKind::If { cond, then, otherwise } => self.if_else(cond, then, otherwise),
            StmtKind::While { cond, body } => {
                let mut steering = steering(std::slice::from_ref(stmt));
                let captured = Captures::of(body).in_callbacks;
                steering.retain(|local| !captured.contains(local));
                let kept = self.keep_in_registers(steering)?;
                self.while_loop(cond, body)?;
                self.put_back(kept)
            }
            StmtKind::ForRange { local, start, end, body } => {
                self.for_range(*local, start, end, body)
            }
            StmtKind::ForMap { local, map, body } => self.for_map(*local, *map, body),
            StmtKind::Break => self.leave_round(true),
            StmtKind::Continue => self.leave_round(false),
            StmtKind::Return(value) => {
                match value {
                    Some(value) => {
                        let value = self.scalar(value)?;
                        self.return_value(value);
                    }
                    None => self.return_default(),
                }
                Ok(())
            }
            StmtKind::Block(stmts) => self.stmts(stmts),
            StmtKind::Action(action) => self.action(action, stmt.span),
        }
    }

    /// `break` or `continue`; code after it is unreachable.
    fn leave_round(&mut self, stop: bool) -> Result<(), Error> {
        match self.loops.last().copied() {
            Some(Loop { next, exit }) => {
                self.b.ins().jump(if stop { exit } else { next }, &[]);
                self.unreachable();
            }
            None if self.is_callback => {
                let answer = self.iconst(i64::from(stop));
                self.return_from_function(answer);
            }
            None => return Err(self.bug("a jump out of no loop")),
        }
        Ok(())
    }

    /// Evaluates for what it does besides having a value.
    pub(super) fn discard(&mut self, e: &Expr) -> Result<(), Error> {
        if e.ty.is_scalar() {
            self.scalar(e)?;
        } else if let ExprKind::Block { stmts, value } = &e.kind {
            self.stmts(stmts)?;
            self.discard(value)?;
        } else if e.ty != rbtrace_lang::hir::Type::Void {
            self.memory_of(e)?;
        }
        Ok(())
    }

    fn set(&mut self, local: LocalId, value: &Expr) -> Result<(), Error> {
        match self.local(local)? {
            Storage::Register(variable) => {
                let value = self.scalar(value)?;
                self.b.def_var(variable, value);
                Ok(())
            }
            Storage::Members => self.set_members(local, value),
            Storage::Memory(place) if value.ty.is_scalar() => {
                let scalar = self.scalar(value)?;
                self.store_typed(place, &value.ty, scalar)
            }
            // The value may mention the variable itself: `$t = ($t.1, $t.0)`.
            Storage::Memory(place) if is_compound(value) => {
                let temp = self.temp(&value.ty)?;
                self.put(value, temp, Tail::Zero)?;
                let size = self.unit.layout(&value.ty).size();
                self.copy(place, temp, size)
            }
            Storage::Memory(place) => self.put(value, place, Tail::Zero),
        }
    }

    fn if_else(&mut self, cond: &Expr, then: &[Stmt], otherwise: &[Stmt]) -> Result<(), Error> {
        let yes = self.b.create_block();
        let no = self.b.create_block();
        let after = if otherwise.is_empty() { no } else { self.b.create_block() };
        self.branch(cond, yes, no)?;
        self.enter(yes);
        self.stmts(then)?;
        self.b.ins().jump(after, &[]);
        if !otherwise.is_empty() {
            self.enter(no);
            self.stmts(otherwise)?;
            self.b.ins().jump(after, &[]);
        }
        self.enter(after);
        Ok(())
    }

    fn while_loop(&mut self, cond: &Expr, body: &[Stmt]) -> Result<(), Error> {
        let head = self.b.create_block();
        let inside = self.b.create_block();
        let exit = self.b.create_block();
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        self.branch(cond, inside, exit)?;
        self.enter(inside);
        self.loops.push(Loop { next: head, exit });
        self.stmts(body)?;
        self.loops.pop();
        self.b.ins().jump(head, &[]);
        self.b.seal_block(head);
        self.enter(exit);
        Ok(())
    }

    /// Moves scalars to registers until they are put back: what a `while` loop may end by, since before
    /// Linux 6.8 the verifier does not see that a number changes which a callback keeps in the memory
    /// that it shares, and takes the loop for an endless one; and what a loop works on.
    pub(super) fn keep_in_registers(
        &mut self,
        variables: BTreeSet<LocalId>,
    ) -> Result<Vec<Kept<'p>>, Error> {
        let block = self.block;
        let mut kept = Vec::new();
        for id in variables {
            let Some(local) = block.locals.get(id.index()) else { continue };
            if !local.ty.is_scalar() || local.addressed {
                continue;
            }
            if let Storage::Memory(place) = self.local(id)? {
                let value = self.load_typed(place, &local.ty)?;
                let variable = self.b.declare_var(I64);
                self.b.def_var(variable, value);
                self.settle(id, Storage::Register(variable));
                kept.push(Kept { id, ty: &local.ty, variable, place });
            }
        }
        Ok(kept)
    }

    pub(super) fn put_back(&mut self, kept: Vec<Kept<'p>>) -> Result<(), Error> {
        for Kept { id, ty, variable, place } in kept {
            let value = self.b.use_var(variable);
            self.store_typed(place, ty, value)?;
            self.settle(id, Storage::Memory(place));
        }
        Ok(())
    }
}

/// A variable in memory that is in a register for a while.
pub(super) struct Kept<'p> {
    id: LocalId,
    ty: &'p Type,
    variable: Variable,
    place: Place,
}

/// Whether a value in memory is put together from parts.
fn is_compound(value: &Expr) -> bool {
    matches!(
        value.kind,
        ExprKind::Tuple(_) | ExprKind::Cast(_) | ExprKind::Block { .. } | ExprKind::Ternary { .. }
    )
}
