//! Statements.

use rbtrace_lang::hir::{Action, Expr, MapId, Stmt, StmtKind, Type};

use super::aggregate::Totals;
use super::{Machine, Result, Stop, Value};

impl Machine<'_> {
    pub(super) fn stmts(&mut self, stmts: &[Stmt]) -> Result<()> {
        stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<()> {
        self.step()?;
        match &stmt.kind {
            StmtKind::Expr(e) => self.eval(e).map(drop),
            StmtKind::Set { local, value } => {
                let value = self.eval(value)?;
                self.set(*local, value);
                Ok(())
            }
            StmtKind::MapSet { map, key, value } => {
                let value = self.eval(value)?;
                let key = self.key(key.as_ref())?;
                self.entries(*map).insert(key, value);
                Ok(())
            }
            StmtKind::MapModify { map, key, op, value } => {
                let right = self.eval(value)?;
                let key = self.key(key.as_ref())?;
                let ty = self.map(*map)?.value.clone();
                let old = self.entry(*map, &key)?.int();
                let new = self.arithmetic(*op, old, right.int(), &ty, &ty)?;
                self.entries(*map).insert(key, Value::Int(new));
                Ok(())
            }
            StmtKind::Aggregate { map, key, value, .. } => self.aggregate(*map, key, value),
            StmtKind::If { cond, then, otherwise } => {
                let chosen = if self.eval(cond)?.int() != 0 { then } else { otherwise };
                self.stmts(chosen)
            }
            StmtKind::While { cond, body } => {
                while self.eval(cond)?.int() != 0 {
                    self.step()?;
                    if self.round(body)? {
                        break;
                    }
                }
                Ok(())
            }
            StmtKind::ForRange { local, start, end, body } => {
                let (start, end) = (self.eval(start)?.int(), self.eval(end)?.int());
                for n in start..end {
                    self.step()?;
                    self.set(*local, Value::Int(n));
                    if self.round(body)? {
                        break;
                    }
                }
                Ok(())
            }
            StmtKind::ForMap { local, map, body } => {
                for (key, value) in self.entries(*map).clone() {
                    self.step()?;
                    self.set(*local, Value::Many(vec![key, value]));
                    if self.round(body)? {
                        break;
                    }
                }
                Ok(())
            }
            StmtKind::Break => Err(Stop::Break),
            StmtKind::Continue => Err(Stop::Continue),
            StmtKind::Return(_) => Err(Stop::Return),
            StmtKind::Block(stmts) => self.stmts(stmts),
            StmtKind::Action(action) => self.action(action),
        }
    }

    /// One round of a loop; whether it was the last.
    fn round(&mut self, body: &[Stmt]) -> Result<bool> {
        match self.stmts(body) {
            Ok(()) | Err(Stop::Continue) => Ok(false),
            Err(Stop::Break) => Ok(true),
            Err(other) => Err(other),
        }
    }

    fn aggregate(&mut self, map: MapId, key: &Option<Expr>, value: &Option<Expr>) -> Result<()> {
        let key = self.key(key.as_ref())?;
        let n = match value {
            Some(value) => self.eval(value)?.int(),
            None => 1,
        };
        self.totals[map.index()].entry(key).or_insert_with(Totals::none).add(n);
        Ok(())
    }

    fn action(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::PrintValue(e) => {
                let shown = self.eval(e)?.json(&e.ty);
                self.printed.push(shown);
                Ok(())
            }
            Action::Clear(map) => {
                self.maps[map.index()].clear();
                self.totals[map.index()].clear();
                Ok(())
            }
            Action::Zero(map) => {
                let ty = self.map(*map)?.value.clone();
                if let Type::Aggregate(_) = ty {
                    return Err(Stop::Unknown("zero of an aggregating map".into()));
                }
                self.entries(*map).values_mut().for_each(|value| *value = Value::zero(&ty));
                Ok(())
            }
            Action::Exit(_) => Err(Stop::Return),
            other => Err(Stop::Unknown(format!("{other:?}"))),
        }
    }
}
