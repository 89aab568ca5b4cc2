//! What the loops of a block that the kernel runs share with the rest of it, and the variables that
//! loops end by.

use std::collections::BTreeSet;

use rbtrace_lang::hir::visit::{blocks, each_local, locals_of, operands, parts};
use rbtrace_lang::hir::{Expr, ExprKind, LocalId, Stmt, StmtKind};

/// Ranges of constants up to this many rounds are loops of the program itself.
const INLINE_ROUNDS: i64 = 64;

/// What callbacks among statements see of the function around them.
#[derive(Default)]
pub(super) struct Captures {
    /// There is a callback.
    pub any: bool,
    /// The variables that callbacks mention.
    pub variables: BTreeSet<LocalId>,
    /// The variables of ranges whose start is not a constant.
    pub starts: Vec<LocalId>,
}

impl Captures {
    /// Those of these statements.
    pub fn of(stmts: &[Stmt]) -> Self {
        let mut captures = Self::default();
        captures.outside(stmts);
        captures
    }

    /// Statements that the function itself runs.
    fn outside(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match &stmt.kind {
                StmtKind::ForMap { body, .. } => self.callback(body),
                StmtKind::ForRange { local, start, end, body } if loops_in_kernel(start, end) => {
                    if !matches!(start.kind, ExprKind::Int(_)) {
                        self.starts.push(*local);
                    }
                    self.variables.insert(*local);
                    self.callback(body);
                }
                _ => blocks(stmt).into_iter().for_each(|block| self.outside(block)),
            }
            operands(stmt).into_iter().for_each(|expr| self.expr(expr));
        }
    }

    /// Statements that a callback runs.
    fn callback(&mut self, body: &[Stmt]) {
        self.any = true;
        each_local(body, &mut |local| {
            self.variables.insert(local);
        });
        self.outside(body);
    }

    /// The blocks in an expression.
    fn expr(&mut self, expr: &Expr) {
        if let ExprKind::Block { stmts, .. } = &expr.kind {
            self.outside(stmts);
        }
        parts(expr).into_iter().for_each(|part| self.expr(part));
    }
}

/// Whether a range is left to the kernel: its rounds are not known, or many.
pub(super) fn loops_in_kernel(start: &Expr, end: &Expr) -> bool {
    match (&start.kind, &end.kind) {
        (ExprKind::Int(a), ExprKind::Int(b)) => b.saturating_sub(*a) > INLINE_ROUNDS,
        _ => true,
    }
}

/// The variables that loops may end by: those in their conditions, and in those within them.
pub(super) fn steering(stmts: &[Stmt]) -> BTreeSet<LocalId> {
    let mut found = BTreeSet::new();
    steers(stmts, false, &mut found);
    found
}

fn steers(stmts: &[Stmt], in_loop: bool, found: &mut BTreeSet<LocalId>) {
    for stmt in stmts {
        let cond = match &stmt.kind {
            StmtKind::While { cond, .. } => Some(cond),
            StmtKind::If { cond, .. } if in_loop => Some(cond),
            _ => None,
        };
        if let Some(cond) = cond {
            locals_of(cond, &mut |local| {
                found.insert(local);
            });
        }
        let in_loop = in_loop || matches!(stmt.kind, StmtKind::While { .. });
        for block in blocks(stmt) {
            steers(block, in_loop, found);
        }
        for operand in operands(stmt) {
            steers_within(operand, in_loop, found);
        }
    }
}

/// The same of the blocks in an expression.
fn steers_within(expr: &Expr, in_loop: bool, found: &mut BTreeSet<LocalId>) {
    if let ExprKind::Block { stmts, .. } = &expr.kind {
        steers(stmts, in_loop, found);
    }
    for part in parts(expr) {
        steers_within(part, in_loop, found);
    }
}
