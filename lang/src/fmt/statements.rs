//! Blocks and statements.

use crate::ast::{Block, Expr, ExprKind, Stmt, StmtKind};

use super::Printer;
use super::comments::Comment;
use super::lines::{INDENT, Lines};

/// Condition and block of each branch of an `if`.
type Branches<'t> = Vec<(&'t Expr, &'t Block)>;

impl Printer<'_> {
    /// What is between a block's braces, after comments that stood in front of it.
    pub(super) fn block(&mut self, block: &Block, above: &[Comment], width: usize) -> Lines {
        let above = above.iter().flat_map(Comment::lines);
        let mut lines = above.fold(Lines::new(), |lines, line| lines.comment_below(&line));
        let mut end = None;
        for stmt in &block.stmts {
            lines = self.next(lines, end, stmt.span.start, |p| p.stmt(stmt, width));
            end = Some(stmt.span.end);
        }
        if let Some(value) = &block.value {
            let bare = !is_block_like(value) || has_value(value);
            lines = self.next(lines, end, value.span.start, |p| p.expr(value, width, bare));
            end = Some(value.span.end);
        }
        self.comments_between(lines, end, block.span.end.saturating_sub(1))
    }

    /// A block on one line if that is short enough.
    pub(super) fn block_in_line(&mut self, block: &Block, width: usize) -> Lines {
        let inner = self.block(block, &[], width.saturating_sub(INDENT));
        let braces = Lines::of("{");
        if inner.is_one_line() && !inner.is_empty() && inner.width() <= width {
            braces.text(" ").beside(inner).text(" }")
        } else {
            braces.inside(inner).text("}")
        }
    }

    fn stmt(&mut self, stmt: &Stmt, width: usize) -> Lines {
        match &stmt.kind {
            StmtKind::Expr(e) => self.expr(e, width, !is_block_like(e)).text(";"),
            StmtKind::Discard(e) => Lines::of("_ = ").beside(self.expr(e, width, true)).text(";"),
            StmtKind::Assign { target, op, value } => {
                let target = self.expr(target, width, true);
                let op = format!("{}=", op.map_or("", |op| op.symbol()));
                self.assign(target, &op, value, width)
            }
            StmtKind::Let { name, ty, value } => {
                let mut head = Lines::of(format!("let ${}", name.name));
                if let Some(ty) = ty {
                    head = head.text(" : ").beside(self.ty(ty, width));
                }
                match value {
                    Some(value) => self.assign(head, "=", value, width),
                    None => head.text(";"),
                }
            }
            StmtKind::If { .. } => {
                let (branches, last) = branches_of(stmt);
                self.if_chain(&branches, last, width, false)
            }
            StmtKind::Unroll { count, body } => {
                let count = self.expr(count, width.saturating_sub(11), false);
                self.braced(Lines::of("unroll (").beside(count).text(") "), body, width)
            }
            StmtKind::While { cond, body } => {
                let cond = self.expr(cond, width.saturating_sub(8), false);
                self.braced(Lines::of("while ").beside(cond).text(" "), body, width)
            }
            StmtKind::ForMap { var, map, body } => {
                let head = format!("for ${} : @{} ", var.name, map.name);
                self.braced(Lines::of(head), body, width)
            }
            StmtKind::ForRange { var, start, end, body } => {
                let head = Lines::of(format!("for ${} : ", var.name));
                let head = head.beside(self.bound(start, width)).text("..");
                let head = head.beside(self.bound(end, width)).text(" ");
                self.braced(head, body, width)
            }
            StmtKind::Break => Lines::of("break;"),
            StmtKind::Continue => Lines::of("continue;"),
            StmtKind::Return(None) => Lines::of("return;"),
            StmtKind::Return(Some(value)) => {
                let value = self.expr(value, width.saturating_sub(8), false);
                Lines::of("return ").beside(value).text(";")
            }
            StmtKind::Block(block) => self.block_in_line(block, width),
            StmtKind::Import(import) => self.import(import),
        }
    }

    fn assign(&mut self, head: Lines, op: &str, value: &Expr, width: usize) -> Lines {
        let width = width.saturating_sub(head.width() + 2 + op.len());
        let printed = self.expr(value, width, true);
        let head = head.text(" ").text(op).text(" ");
        let all = match value.kind {
            ExprKind::Block(_) | ExprKind::Ternary { .. } => head.flush(printed),
            _ => head.beside(printed),
        };
        all.text(";")
    }

    /// A block with what stands in front of it on its line.
    fn braced(&mut self, head: Lines, body: &Block, width: usize) -> Lines {
        let body = self.block(body, &[], width.saturating_sub(INDENT));
        head.text("{").inside(body).text("}")
    }

    /// An end of a range.
    fn bound(&mut self, bound: &Expr, width: usize) -> Lines {
        if matches!(bound.kind, ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::Str(_)) {
            return self.expr(bound, width, true);
        }
        let bound = self.expr(bound, width.saturating_sub(4), true);
        Lines::of("(").beside(bound).text(")")
    }

    /// `if`, `else if` and so on; on one line if it is for its value and short enough.
    pub(super) fn if_chain(
        &mut self,
        branches: &[(&Expr, &Block)],
        last: Option<&Block>,
        width: usize,
        is_value: bool,
    ) -> Lines {
        let inside = width.saturating_sub(INDENT);
        let mut printed = Vec::with_capacity(branches.len());
        for (at, (cond, block)) in branches.iter().enumerate() {
            // What stands in front of `else if` is about the branch.
            let start = self.source.skip_brackets(cond.span.start);
            let above = if at == 0 { Vec::new() } else { self.comments.before(start) };
            let bare = matches!(cond.kind, ExprKind::Comptime(_));
            let cond = self.expr(cond, width.saturating_sub(5), bare);
            printed.push((cond, self.block(block, &above, inside)));
        }
        let otherwise = last.map(|block| {
            let above = self.comments.before(block.span.start);
            self.block(block, &above, inside)
        });
        if let ([(_, block)], [(cond, then)], Some(otherwise)) =
            (branches, printed.as_slice(), &otherwise)
        {
            let parts = [cond, then, otherwise];
            let fits = parts.iter().map(|part| part.width()).sum::<usize>() + 18 <= width;
            let has_values = block.value.is_some() && last.is_some_and(|last| last.value.is_some());
            if is_value && has_values && fits && parts.iter().all(|part| part.is_one_line()) {
                let lines = Lines::of("if ").beside(cond.clone()).text(" { ");
                let lines = lines.beside(then.clone()).text(" } else { ");
                return lines.beside(otherwise.clone()).text(" }");
            }
        }
        let mut lines = Lines::new();
        for (at, (cond, block)) in printed.into_iter().enumerate() {
            let word = if at == 0 { "if " } else { " else if " };
            lines = lines.text(word).beside(cond).text(" {").inside(block).text("}");
        }
        match otherwise {
            Some(block) => lines.text(" else {").inside(block).text("}"),
            None => lines,
        }
    }
}

/// The branches of an `if` statement, and its `else`.
fn branches_of(stmt: &Stmt) -> (Branches<'_>, Option<&Block>) {
    let mut branches = Vec::new();
    let mut rest = stmt;
    loop {
        let StmtKind::If { cond, then, otherwise } = &rest.kind else { return (branches, None) };
        branches.push((cond, then));
        match otherwise {
            // The block of an `else if` has no braces.
            Some(Block { stmts, span, .. })
                if let [inner] = stmts.as_slice()
                    && inner.span == *span =>
            {
                rest = inner;
            }
            last => return (branches, last.as_ref()),
        }
    }
}

/// The branches of an `if` that is used for its value, and its `else`.
pub(super) fn branches_of_value(e: &Expr) -> Option<(Branches<'_>, &Block)> {
    let mut branches = Vec::new();
    let mut rest = e;
    while let ExprKind::Ternary { cond, then, otherwise } = &rest.kind {
        let ExprKind::Block(block) = &then.kind else { return None };
        if cond.span == then.span {
            return None;
        }
        branches.push((cond.as_ref(), block));
        rest = otherwise;
    }
    match &rest.kind {
        ExprKind::Block(last) if !branches.is_empty() => Some((branches, last)),
        _ => None,
    }
}

/// Whether an expression begins with a word or brace that begins a statement, too.
fn is_block_like(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::Block(_)) || branches_of_value(e).is_some()
}

/// Whether a block, or each branch of an `if`, ends in a value: what tells it from a statement.
fn has_value(e: &Expr) -> bool {
    match (&e.kind, branches_of_value(e)) {
        (ExprKind::Block(block), _) => block.value.is_some(),
        (_, Some((branches, last))) => {
            last.value.is_some() && branches.iter().all(|(_, block)| block.value.is_some())
        }
        _ => true,
    }
}
