//! Statements.

use std::collections::BTreeSet;

use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::kinds::ProbeKind;

use crate::ast::{self, BinaryOp, ExprKind as Ast, StmtKind as AstStmt};
use crate::diag::Diagnostic;
use crate::hir::{Action, Builtin, Expr, ExprKind, LocalId, Stmt, StmtKind, Type};
use crate::span::Span;

use super::convert::constant;
use super::instance::Built;
use super::packet::does_something;
use super::types::{Ty, promote};
use super::{Checker, Stop, Typed, Value};

/// Most copies of a loop's body.
const MOST_COPIES: i128 = 100;
/// Most statements that a loop unrolls to, those of loops in it included.
const MOST_UNROLLED: i128 = 20_000;

/// Whether probes of a kind are hit by every process, whichever is to be traced.
fn is_of_any_process(kind: ProbeKind) -> bool {
    matches!(
        kind,
        ProbeKind::Kprobe
            | ProbeKind::Kretprobe
            | ProbeKind::Tracepoint
            | ProbeKind::RawTracepoint
            | ProbeKind::Fentry
            | ProbeKind::Fexit
            | ProbeKind::Lsm
    )
}

impl Checker<'_> {
    /// The block of the instance at hand; keeps what it builds in the instance.
    pub fn block_of_probe(&mut self) {
        let probe = self.at.probe.clone();
        let mut required = BTreeSet::new();
        let predicate =
            probe.predicate.as_ref().map(|predicate| self.predicate(predicate, &mut required));
        if let Some(Ok(predicate)) = &predicate
            && does_something(predicate)
        {
            // It is to do that for every packet.
            required.clear();
        }
        let predicate = self.only_of_traced(predicate, probe.span);
        let mut body = Vec::new();
        self.stmts(&probe.body.stmts, &mut body);
        if let Some(value) = &probe.body.value {
            self.expr_stmt(value, &mut body);
        }
        if self.is_pinned() {
            self.check_pinned(&body);
        }
        self.at.built = match predicate.transpose() {
            Ok(predicate) => Some(Built { required, predicate, body }),
            Err(_) => None,
        };
    }

    /// With `-p` and `--cgroup`, probes that the kernel cannot restrict to a process or to a cgroup do so
    /// themselves, before anything else.
    fn only_of_traced(
        &mut self,
        predicate: Option<Typed<Expr>>,
        span: Span,
    ) -> Option<Typed<Expr>> {
        let restrictions = [self.is_traced_process(span), self.is_in_cgroup(span).map(Ok)];
        let all = restrictions.into_iter().chain([predicate]).flatten();
        all.reduce(|left, right| {
            let (left, right) = (Box::new(left?), Box::new(right?));
            Ok(Expr { kind: ExprKind::Logic { and: true, left, right }, ty: Type::Bool, span })
        })
    }

    /// Whether the process is that of `-p`. `None`: any may be, or the kernel sees to it.
    fn is_traced_process(&mut self, span: Span) -> Option<Typed<Expr>> {
        let catalog = self.cx.catalog;
        let pid = catalog.pid().filter(|pid| catalog.cpid() != Some(*pid))?;
        if !is_of_any_process(self.at.kind) {
            return None;
        }
        let here = Value::new(ExprKind::Builtin(Builtin::Pid), Type::U32, span);
        let wanted = Value::from(constant(i64::from(pid), Type::U32, span));
        Some(self.operate(BinaryOp::Eq, here, wanted, span).map(|value| value.expr))
    }

    /// Whether the thread is in the cgroup of `--cgroup`. `None`: any may be.
    fn is_in_cgroup(&self, span: Span) -> Option<Expr> {
        let kind = self.at.kind;
        let restricts = is_of_any_process(kind)
            || matches!(
                kind,
                ProbeKind::Uprobe
                    | ProbeKind::Uretprobe
                    | ProbeKind::Usdt
                    | ProbeKind::Profile
                    | ProbeKind::Software
                    | ProbeKind::Hardware
                    | ProbeKind::Watchpoint
            );
        let restricts = restricts && self.cx.catalog.is_of_cgroup();
        let kind = ExprKind::Builtin(Builtin::InCgroup);
        restricts.then_some(Expr { kind, ty: Type::Bool, span })
    }

    /// Statements in a row; those that are wrong are left out.
    pub fn stmts(&mut self, stmts: &[ast::Stmt], into: &mut Vec<Stmt>) {
        let mut unreachable: Option<Vec<Stmt>> = None;
        for stmt in stmts {
            if let (None, Some(last)) = (&unreachable, into.last())
                && ends(last)
            {
                self.warn(Diagnostic::warning("unreachable", stmt.span, "this is never reached"));
                unreachable = Some(Vec::new());
            }
            // What is not reached still has a say in types.
            let place = match &mut unreachable {
                Some(dropped) => &mut *dropped,
                None => &mut *into,
            };
            let _ = self.stmt(stmt, place);
        }
    }

    fn block(&mut self, block: &ast::Block) -> Vec<Stmt> {
        let mut stmts = Vec::new();
        self.stmts(&block.stmts, &mut stmts);
        if let Some(value) = &block.value {
            self.expr_stmt(value, &mut stmts);
        }
        stmts
    }

    fn stmt(&mut self, stmt: &ast::Stmt, into: &mut Vec<Stmt>) -> Typed<()> {
        let span = stmt.span;
        let mut push = |kind| into.push(Stmt { kind, span });
        match &stmt.kind {
            AstStmt::Expr(expr) => self.expr_stmt(expr, into),
            AstStmt::Discard(expr) => {
                let value = self.expr(expr)?;
                if value.has_effect() {
                    into.extend(value.into_stmts());
                }
            }
            AstStmt::Assign { target, op, value } => {
                self.assign(target, *op, value, span, into)?;
            }
            AstStmt::Let { name, ty, value } => {
                self.let_stmt(name, ty.as_ref(), value.as_ref(), span, into)?;
            }
            AstStmt::If { cond, then, otherwise } if matches!(cond.kind, Ast::Comptime(_)) => {
                let value = self.value(cond)?;
                // The branch not taken may be ill-typed: it does not exist.
                let stmts = match value.is_zero() {
                    true => otherwise.as_ref().map(|b| self.block(b)),
                    false => Some(self.block(then)),
                };
                push(StmtKind::Block(stmts.unwrap_or_default()));
            }
            AstStmt::If { cond, then, otherwise } => {
                let cond = self.value(cond).and_then(|value| self.truth(value));
                let then = self.block(then);
                let otherwise = otherwise.as_ref().map(|b| self.block(b)).unwrap_or_default();
                push(StmtKind::If { cond: cond?, then, otherwise });
            }
            AstStmt::Unroll { count, body } => self.unroll(count, body, span, into)?,
            AstStmt::While { cond, body } => {
                let cond = self.value(cond).and_then(|value| self.truth(value));
                let body = self.loop_body(body);
                let cond = cond?;
                if matches!(cond.kind, ExprKind::Int(1..)) && !leaves(&body, false) {
                    self.error(
                        Diagnostic::error("endless-loop", span, "this loop never ends")
                            .note("the kernel takes no program that may run for ever")
                            .help(
                                "`break` leaves a loop; for ($i : 0..n) { } runs a number of times",
                            ),
                    );
                }
                push(StmtKind::While { cond, body });
            }
            AstStmt::ForMap { var, map, body } => self.for_map(var, map, body, span, into)?,
            AstStmt::ForRange { var, start, end, body } => {
                self.for_range(var, start, end, body, span, into)?;
            }
            AstStmt::Break => push(self.jump(StmtKind::Break, "break", span)?),
            AstStmt::Continue => push(self.jump(StmtKind::Continue, "continue", span)?),
            AstStmt::Return(None) => push(StmtKind::Return(None)),
            AstStmt::Return(Some(value)) => self.return_value(value, span, into)?,
            // What it names has been taken in.
            AstStmt::Import(_) => {}
            AstStmt::Block(block) => {
                let stmts = self.block(block);
                push(StmtKind::Block(stmts));
            }
        }
        Ok(())
    }

    /// An expression for its effects.
    fn expr_stmt(&mut self, expr: &ast::Expr, into: &mut Vec<Stmt>) {
        let Ok(value) = self.expr(expr) else { return };
        let stepping = matches!(expr.kind, Ast::IncDec { .. });
        let deleting = matches!(&expr.kind, Ast::Call { name, .. } if name.name == "delete");
        if !value.is_void() && !stepping && !deleting {
            self.warn(
                Diagnostic::warning("discarded-value", expr.span, "the value of this is not used")
                    .help("write `_ = ` in front of it if that is meant"),
            );
        }
        if value.is_void() || value.has_effect() {
            into.extend(value.into_stmts());
        }
    }

    fn jump(&mut self, kind: StmtKind, word: &str, span: Span) -> Typed<StmtKind> {
        if self.loops > 0 {
            return Ok(kind);
        }
        Err(self.error(Diagnostic::error(
            "jump-outside-loop",
            span,
            format!("there is no loop here that `{word}` could belong to"),
        )))
    }

    fn let_stmt(
        &mut self,
        name: &ast::Ident,
        ty: Option<&ast::Type>,
        value: Option<&ast::Expr>,
        span: Span,
        into: &mut Vec<Stmt>,
    ) -> Typed<()> {
        let Some(local) = self.at.slots.get(&name.name).copied() else {
            return Err(Stop::Reported);
        };
        if let Some(written) = ty {
            let declared = self.written_type(written)?;
            if declared == Type::Void {
                return Err(self.error(Diagnostic::error(
                    "unknown-type",
                    written.span,
                    "a variable cannot be of type void",
                )));
            }
            self.declare_local(local, declared, written.span);
        }
        match value {
            Some(value) => self.assign_local(local, None, value, name.span, span, into),
            None => {
                let ty = self.at.locals.get(local.index()).and_then(|slot| slot.ty.clone());
                // In a loop it starts over each time.
                if let Some(zero) = ty.and_then(|ty| zero(&ty.ty, span)) {
                    into.push(Stmt { kind: StmtKind::Set { local, value: zero }, span });
                }
                Ok(())
            }
        }
    }

    /// Gives a variable the type that is written for it.
    fn declare_local(&mut self, local: LocalId, declared: Type, span: Span) {
        let Some(slot) = self.at.locals.get_mut(local.index()) else { return };
        // It is as long as what is assigned to it.
        if let Type::Str { size: 0 } | Type::Buf { size: 0 } = declared {
            if slot.unsized_kind.is_none() {
                slot.unsized_kind = Some(declared);
                slot.span = span;
            }
        } else if !slot.declared || slot.ty.as_ref().is_none_or(|ty| ty.ty != declared) {
            slot.ty = Some(Ty::fixed(declared));
            slot.declared = true;
            slot.span = span;
            self.changed = true;
        }
    }

    fn unroll(
        &mut self,
        count: &ast::Expr,
        body: &ast::Block,
        span: Span,
        into: &mut Vec<Stmt>,
    ) -> Typed<()> {
        let copies = super::fold::int_literal(count);
        let Some(copies @ 1..=MOST_COPIES) = copies else {
            let label = format!("expected a literal from 1 to {MOST_COPIES}");
            let message = match copies {
                Some(n) => format!("a loop cannot be unrolled {n} times"),
                None => {
                    "how often a loop is unrolled must be known when the script is compiled".into()
                }
            };
            return Err(self.error(
                Diagnostic::error("unroll-count", count.span, message)
                    .label(label)
                    .help("for ($i : 0..n) { } runs any number of times"),
            ));
        };
        let stmts = self.block(body);
        let size = copies.saturating_mul(count_stmts(&stmts) as i128);
        if size > MOST_UNROLLED {
            return Err(self.error(
                Diagnostic::error(
                    "unroll-count",
                    count.span,
                    format!("{size} statements would come of this, more than the limit of {MOST_UNROLLED}"),
                )
                .help("for ($i : 0..n) { } runs any number of times"),
            ));
        }
        let copies: Vec<Stmt> =
            (0..copies).map(|_| Stmt { kind: StmtKind::Block(stmts.clone()), span }).collect();
        into.push(Stmt { kind: StmtKind::Block(copies), span });
        Ok(())
    }

    fn loop_body(&mut self, body: &ast::Block) -> Vec<Stmt> {
        self.loops += 1;
        let stmts = self.block(body);
        self.loops -= 1;
        stmts
    }

    fn for_range(
        &mut self,
        var: &ast::Ident,
        start: &ast::Expr,
        end: &ast::Expr,
        body: &ast::Block,
        span: Span,
        into: &mut Vec<Stmt>,
    ) -> Typed<()> {
        let (from, to) = (self.range_end(start), self.range_end(end));
        let local = self.at.slots.get(&var.name).copied().ok_or(Stop::Reported)?;
        let (from, to) = match (from, to) {
            (Ok(from), Ok(to)) => (from, to),
            (Err(stop), _) | (_, Err(stop)) => {
                if let (Stop::Reported, Some(slot)) = (stop, self.at.locals.get_mut(local.index()))
                {
                    slot.wrong = true;
                }
                self.loop_body(body);
                return Err(stop);
            }
        };
        let ty = promote(&from.ty(), &to.ty()).ok_or(Stop::Reported)?;
        let ty = self.learn_local(local, &ty, var.span)?;
        let body = self.loop_body(body);
        let (Some(start), Some(end)) = (self.convert(from, &ty), self.convert(to, &ty)) else {
            return Err(Stop::Reported);
        };
        into.push(Stmt { kind: StmtKind::ForRange { local, start, end, body }, span });
        Ok(())
    }

    fn range_end(&mut self, expr: &ast::Expr) -> Typed {
        let value = self.value(expr)?;
        if let Type::Int(_) = value.expr.ty {
            return Ok(value);
        }
        let found = self.show(&value.expr.ty);
        Err(self.error(
            Diagnostic::error(
                "type-mismatch",
                expr.span,
                "a range goes from one integer to another",
            )
            .label(format!("found {found}")),
        ))
    }

    fn for_map(
        &mut self,
        var: &ast::Ident,
        map: &ast::Ident,
        body: &ast::Block,
        span: Span,
        into: &mut Vec<Stmt>,
    ) -> Typed<()> {
        self.needs(&helpers::FOR_EACH_MAP_ELEM, "loops over maps", span)?;
        let id = self.map_use(&map.name, true, map.span)?;
        let local = self.at.slots.get(&var.name).copied().ok_or(Stop::Reported)?;
        let types = self.maps.get(id).map(|entry| (entry.key.clone(), entry.value.clone()));
        let Some((Some(key), Some(value))) = types else {
            self.loop_body(body);
            return Err(self.unknown_map(id, map.span));
        };
        let value = match &value.ty {
            Type::Aggregate(aggregate) => match super::aggregate::as_integer(aggregate) {
                Some(int) => int,
                None => {
                    let shown = self.show(&value.ty);
                    return Err(self.error(Diagnostic::error(
                        "aggregate-as-value",
                        map.span,
                        format!("a loop cannot go over values of type {shown}"),
                    )));
                }
            },
            ty => ty.clone(),
        };
        let pair = Type::Tuple(vec![(String::new(), key.ty), (String::new(), value)]);
        self.set_local(local, Ty::fixed(pair), var.span);
        let body = self.loop_body(body);
        into.push(Stmt { kind: StmtKind::ForMap { local, map: id, body }, span });
        Ok(())
    }

    /// Gives a variable a type, whatever it had.
    pub fn set_local(&mut self, local: LocalId, ty: Ty, span: Span) {
        if let Some(slot) = self.at.locals.get_mut(local.index())
            && slot.ty.as_ref() != Some(&ty)
        {
            if slot.ty.is_none() {
                slot.span = span;
            }
            slot.ty = Some(ty);
            self.changed = true;
        }
    }
}

/// Whether nothing after a statement is reached.
fn ends(stmt: &Stmt) -> bool {
    match &stmt.kind {
        StmtKind::Return(_)
        | StmtKind::Break
        | StmtKind::Continue
        | StmtKind::Action(Action::Exit(_)) => true,
        StmtKind::Block(stmts) => stmts.last().is_some_and(ends),
        StmtKind::If { then, otherwise, .. } => {
            then.last().is_some_and(ends) && otherwise.last().is_some_and(ends)
        }
        _ => false,
    }
}

/// Statements, those in others included.
fn count_stmts(stmts: &[Stmt]) -> usize {
    let inner = |stmt: &Stmt| match &stmt.kind {
        StmtKind::Block(body)
        | StmtKind::While { body, .. }
        | StmtKind::ForRange { body, .. }
        | StmtKind::ForMap { body, .. } => count_stmts(body),
        StmtKind::If { then, otherwise, .. } => count_stmts(then) + count_stmts(otherwise),
        _ => 0,
    };
    stmts.iter().map(|stmt| 1 + inner(stmt)).sum()
}

/// Whether anything in the body of a loop leaves it. `deeper`: of a loop in that loop.
fn leaves(stmts: &[Stmt], deeper: bool) -> bool {
    stmts.iter().any(|stmt| match &stmt.kind {
        StmtKind::Break => !deeper,
        StmtKind::Return(_) | StmtKind::Action(Action::Exit(_)) => true,
        StmtKind::Block(body) => leaves(body, deeper),
        StmtKind::If { then, otherwise, .. } => leaves(then, deeper) || leaves(otherwise, deeper),
        StmtKind::While { body, .. }
        | StmtKind::ForRange { body, .. }
        | StmtKind::ForMap { body, .. } => leaves(body, true),
        _ => false,
    })
}

/// The zero of a type, where there is a constant for it.
fn zero(ty: &Type, span: Span) -> Option<Expr> {
    match ty {
        Type::Int(_) | Type::Bool | Type::Ptr { .. } | Type::Enum(_) | Type::Inet4 => {
            Some(constant(0, ty.clone(), span))
        }
        Type::Str { .. } => Some(Expr { kind: ExprKind::Str(Vec::new()), ty: ty.clone(), span }),
        Type::Tuple(members) => {
            let zeros: Option<Vec<_>> = members.iter().map(|(_, ty)| zero(ty, span)).collect();
            Some(Expr { kind: ExprKind::Tuple(zeros?), ty: ty.clone(), span })
        }
        Type::Record(_)
        | Type::Array { .. }
        | Type::Buf { .. }
        | Type::Inet
        | Type::Inet6
        | Type::Mac => Some(Expr { kind: ExprKind::Zero, ty: ty.clone(), span }),
        _ => None,
    }
}
