//! What the loops of a block that the kernel runs share with the rest of it, and the variables that
//! loops end by.

use std::collections::BTreeSet;

use rbtrace_lang::hir::visit::{blocks, local_of, locals_of, operands, parts};
use rbtrace_lang::hir::{Expr, ExprKind, LocalId, ProbeBlock, Stmt, StmtKind};

/// Ranges of constants up to this many rounds are loops of the program itself.
const INLINE_ROUNDS: i64 = 64;

/// The functions that the statements of one become: itself, and the callbacks in it.
#[derive(Default)]
pub(super) struct Captures {
    /// There is a callback.
    pub any: bool,
    /// The variables that the function itself mentions.
    pub own: BTreeSet<LocalId>,
    /// The variables that callbacks mention.
    pub in_callbacks: BTreeSet<LocalId>,
    /// The variables that several functions mention.
    pub shared: BTreeSet<LocalId>,
    /// The variables of ranges that callbacks go over and whose bounds are not constants, with how many
    /// such ranges each is in.
    pub ranges: Vec<(LocalId, u32)>,
    /// How many such ranges the statements at hand are in.
    depth: u32,
}

impl Captures {
    /// Those of a probe block's program.
    pub fn of_block(block: &ProbeBlock) -> Self {
        // It sets the variables for the packet itself, before any loop.
        Self::with(block.packet.iter().map(|(_, local)| *local).collect(), &block.body)
    }

    /// Those of these statements.
    pub fn of(stmts: &[Stmt]) -> Self {
        Self::with(BTreeSet::new(), stmts)
    }

    /// Those of statements of a function that mentions some variables besides.
    fn with(mut own: BTreeSet<LocalId>, stmts: &[Stmt]) -> Self {
        let mut captures = Self::default();
        captures.statements(stmts, &mut own);
        captures.shared.extend(own.intersection(&captures.in_callbacks));
        captures.own = own;
        captures
    }

    /// Whether only one callback mentions a variable.
    pub fn is_private(&self, local: LocalId) -> bool {
        self.in_callbacks.contains(&local) && !self.shared.contains(&local)
    }

    /// Statements of one function, with the variables that it mentions.
    fn statements(&mut self, stmts: &[Stmt], mentioned: &mut BTreeSet<LocalId>) {
        for stmt in stmts {
            match &stmt.kind {
                StmtKind::ForMap { local, body, .. } => self.callback(*local, body),
                StmtKind::ForRange { local, start, end, body } if loops_in_kernel(start, end) => {
                    let unknown = u32::from(constant_bounds(start, end).is_none());
                    if unknown != 0 {
                        self.ranges.push((*local, self.depth));
                    }
                    self.depth += unknown;
                    self.callback(*local, body);
                    self.depth -= unknown;
                }
                StmtKind::ForRange { local, body, .. } => {
                    mentioned.insert(*local);
                    self.statements(body, mentioned);
                }
                kind => {
                    if let StmtKind::Set { local, .. } = kind {
                        mentioned.insert(*local);
                    }
                    blocks(stmt).into_iter().for_each(|block| self.statements(block, mentioned));
                }
            }
            operands(stmt).into_iter().for_each(|expr| self.expr(expr, mentioned));
        }
    }

    /// The callback of a loop with this variable.
    fn callback(&mut self, variable: LocalId, body: &[Stmt]) {
        self.any = true;
        let mut mentioned = BTreeSet::from([variable]);
        self.statements(body, &mut mentioned);
        self.shared.extend(mentioned.intersection(&self.in_callbacks));
        self.in_callbacks.append(&mut mentioned);
    }

    fn expr(&mut self, expr: &Expr, mentioned: &mut BTreeSet<LocalId>) {
        mentioned.extend(local_of(expr));
        if let ExprKind::Block { stmts, .. } = &expr.kind {
            self.statements(stmts, mentioned);
        }
        parts(expr).into_iter().for_each(|part| self.expr(part, mentioned));
    }
}

/// Whether a range is left to the kernel: its rounds are not known, or many.
pub(super) fn loops_in_kernel(start: &Expr, end: &Expr) -> bool {
    constant_bounds(start, end).is_none_or(|[a, b]| b.saturating_sub(a) > INLINE_ROUNDS)
}

/// The bounds of a range that are constants, if both are.
pub(super) fn constant_bounds(start: &Expr, end: &Expr) -> Option<[i64; 2]> {
    match (&start.kind, &end.kind) {
        (ExprKind::Int(a), ExprKind::Int(b)) => Some([*a, *b]),
        _ => None,
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
