//! Tuples that are only ever taken apart: those of scalars need no memory, each member that is read
//! has a register.

use std::collections::{BTreeMap, BTreeSet};

use cranelift_codegen::ir::{Value, types::I64};
use rbtrace_lang::hir::visit::{blocks, local_of, operands, parts};
use rbtrace_lang::hir::{Expr, ExprKind, LocalId, ProbeBlock, Stmt, StmtKind, Type};

use super::func::{FnBuilder, Storage};
use super::mem::{Place, StackUse};
use crate::error::Error;

/// How a block reads its variables that have members.
#[derive(Default)]
pub(super) struct Reads {
    /// Variables that are read as a whole.
    whole: BTreeSet<LocalId>,
    /// The members that are read of the others.
    members: BTreeMap<LocalId, BTreeSet<u32>>,
    /// Variables that must be in memory: something else than scalars is read of them, or put there.
    memory: BTreeSet<LocalId>,
}

impl Reads {
    fn of(block: &ProbeBlock) -> Self {
        let mut reads = Self::default();
        block.predicate.iter().for_each(|predicate| reads.expr(predicate));
        reads.stmts(&block.body);
        reads
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            if let StmtKind::Set { local, value } = &stmt.kind
                && !matches!(value.kind, ExprKind::Tuple(_) | ExprKind::Zero)
            {
                self.memory.insert(*local);
            }
            blocks(stmt).into_iter().for_each(|block| self.stmts(block));
            operands(stmt).into_iter().for_each(|expr| self.expr(expr));
        }
    }

    fn expr(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Field { base, field } => {
                if let ExprKind::Local(local) = base.kind {
                    self.members.entry(local).or_default().insert(*field);
                    if !e.ty.is_scalar() {
                        self.memory.insert(local);
                    }
                    return;
                }
            }
            ExprKind::Same { left, right, .. } if are_scalars(left) && are_scalars(right) => {
                self.compared(left);
                self.compared(right);
                return;
            }
            ExprKind::Block { stmts, .. } => self.stmts(stmts),
            _ => {}
        }
        self.whole.extend(local_of(e));
        parts(e).into_iter().for_each(|part| self.expr(part));
    }

    /// One side of a comparison member by member.
    fn compared(&mut self, side: &Expr) {
        match (&side.kind, &side.ty) {
            (ExprKind::Local(local), Type::Tuple(members)) => {
                self.members.entry(*local).or_default().extend(0..members.len() as u32);
            }
            _ => parts(side).into_iter().for_each(|part| self.expr(part)),
        }
    }

    /// Whether a member is read, of itself or with all others.
    fn reads(&self, local: LocalId, member: u32) -> bool {
        self.whole.contains(&local)
            || self.members.get(&local).is_some_and(|members| members.contains(&member))
    }
}

/// Whether an expression is a tuple of scalars, each of which can be told without the others.
pub(super) fn are_scalars(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::Local(_) | ExprKind::Tuple(_))
        && matches!(&e.ty, Type::Tuple(members) if members.iter().all(|(_, ty)| ty.is_scalar()))
}

impl FnBuilder<'_, '_, '_> {
    fn reads(&self) -> &Reads {
        self.reads.get_or_init(|| Reads::of(self.block))
    }

    /// Whether a member of a variable is read.
    pub(super) fn is_read(&self, local: LocalId, member: u32) -> bool {
        self.reads().reads(local, member)
    }

    /// Whether a variable of this type is a tuple that needs no memory.
    pub(super) fn is_taken_apart(&self, local: LocalId, ty: &Type) -> bool {
        let reads = self.reads();
        matches!(ty, Type::Tuple(_))
            && self.unit.stack == StackUse::Usual
            && !reads.whole.contains(&local)
            && !reads.memory.contains(&local)
    }

    /// Gives each member that is read of a variable a register.
    pub(super) fn make_members(&mut self, local: LocalId) {
        let read = self.reads().members.get(&local).cloned().unwrap_or_default();
        for member in read {
            let variable = self.b.declare_var(I64);
            self.members.insert((local, member), variable);
        }
    }

    /// Sets a member in a register, if it is read.
    pub(super) fn set_member(&mut self, local: LocalId, member: u32, value: Value) {
        if let Some(&variable) = self.members.get(&(local, member)) {
            self.b.def_var(variable, value);
        }
    }

    /// Sets all members of a variable that is taken apart.
    pub(super) fn set_members(&mut self, local: LocalId, value: &Expr) -> Result<(), Error> {
        match (&value.kind, &value.ty) {
            (ExprKind::Tuple(values), _) => {
                // The values may mention the variable itself: `$t = ($t.1, $t.0)`.
                let mut new = Vec::new();
                for (member, value) in (0..).zip(values) {
                    match self.is_read(local, member) {
                        true => new.push((member, self.scalar(value)?)),
                        false => self.discard(value)?,
                    }
                }
                new.into_iter().for_each(|(member, value)| self.set_member(local, member, value));
            }
            (ExprKind::Zero, Type::Tuple(members)) => {
                let zero = self.iconst(0);
                (0..members.len() as u32).for_each(|member| self.set_member(local, member, zero));
            }
            _ => return Err(self.bug("a tuple in registers that is set as a whole")),
        }
        Ok(())
    }

    /// The member of a variable that an expression names, if it is in a register.
    pub(super) fn member_in_register(&mut self, e: &Expr) -> Result<Option<Value>, Error> {
        let ExprKind::Field { base, field } = &e.kind else { return Ok(None) };
        let ExprKind::Local(local) = base.kind else { return Ok(None) };
        match self.local(local)? {
            Storage::Members => self.member_of(local, *field).map(Some),
            Storage::Register(_) | Storage::Memory(_) => Ok(None),
        }
    }

    fn member_of(&mut self, local: LocalId, member: u32) -> Result<Value, Error> {
        match self.members.get(&(local, member)) {
            Some(&variable) => Ok(self.b.use_var(variable)),
            None => Err(self.bug("a member that nothing was to read")),
        }
    }

    /// The members of a tuple of scalars (see [`are_scalars`]).
    pub(super) fn scalars(&mut self, e: &Expr) -> Result<Vec<Value>, Error> {
        match (&e.kind, &e.ty) {
            (ExprKind::Tuple(values), _) => values.iter().map(|value| self.scalar(value)).collect(),
            (ExprKind::Local(local), Type::Tuple(members)) => {
                let storage = self.local(*local)?;
                let one = |(member, (_, ty)): (u32, &(_, Type))| match storage {
                    Storage::Members => self.member_of(*local, member),
                    Storage::Memory(place) => {
                        let (offset, _) = self.member(&e.ty, member)?;
                        self.load_typed(place.plus(offset), ty)
                    }
                    Storage::Register(_) => Err(self.bug("a tuple in a register")),
                };
                (0..).zip(members).map(one).collect()
            }
            _ => Err(self.bug("scalars of what has others")),
        }
    }

    /// Gives a member of a loop's variable the value at a place.
    pub(super) fn bind_member(
        &mut self,
        local: LocalId,
        member: u32,
        ty: &Type,
        from: Place,
    ) -> Result<(), Error> {
        match self.local(local)? {
            Storage::Members => {
                let value = self.load_typed(from, ty)?;
                self.set_member(local, member, value);
                Ok(())
            }
            Storage::Memory(place) => {
                let to = self.member_place(local, member, place)?;
                let size = self.unit.layout(ty).size();
                self.copy(to, from, size)
            }
            Storage::Register(_) => Err(self.bug("an entry in a register")),
        }
    }

    /// Gives a member of a loop's variable a value of 64 bits.
    pub(super) fn bind_number(
        &mut self,
        local: LocalId,
        member: u32,
        value: Value,
    ) -> Result<(), Error> {
        match self.local(local)? {
            Storage::Members => self.set_member(local, member, value),
            Storage::Memory(place) => {
                let to = self.member_place(local, member, place)?;
                self.store(to, 8, value);
            }
            Storage::Register(_) => return Err(self.bug("an entry in a register")),
        }
        Ok(())
    }

    fn member_place(&mut self, local: LocalId, member: u32, at: Place) -> Result<Place, Error> {
        let block = self.block;
        let Some(declared) = block.locals.get(local.index()) else {
            return Err(self.bug("a loop variable that its block does not declare"));
        };
        let (offset, _) = self.member(&declared.ty, member)?;
        Ok(at.plus(offset))
    }
}
