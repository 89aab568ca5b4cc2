//! Blocks and statements.

use crate::ast::{Block, Expr, ExprKind, Stmt, StmtKind};
use crate::diag::Diagnostic;
use crate::span::Span;

use super::expressions::{binary_op, is_place};
use super::{Builder, Node, Rule};

/// What becomes of a block's last expression.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// The block's value.
    Value,
    /// A statement like the others.
    Statement,
}

/// The last statement of a block whose value is used.
enum Last {
    /// It is the value.
    Value(Expr),
    /// It has none.
    Stmt(Stmt),
}

impl Builder {
    /// A `block` or `angle_block` pair.
    pub(super) fn block(&self, pair: Node, used: Use) -> Block {
        let span = self.span(&pair);
        let empty = || Block { stmts: Vec::new(), value: None, span };
        self.deeper(1, span, || self.block_body(pair, span, used), empty)
    }

    fn block_body(&self, pair: Node, span: Span, used: Use) -> Block {
        let mut stmts = Vec::new();
        let mut value = None;
        let mut parts = self.parts(pair).filter(|p| !is_mark(p.as_rule())).peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            if is_last && used == Use::Value {
                match self.last_of_value(part) {
                    Last::Value(expr) => value = Some(Box::new(expr)),
                    Last::Stmt(stmt) => stmts.push(stmt),
                }
            } else {
                stmts.push(self.stmt(part));
            }
        }
        Block { stmts, value, span }
    }

    /// The last statement of a block with a value: its value, if it is one.
    fn last_of_value(&self, pair: Node) -> Last {
        let ends = self.parts(pair.clone()).any(|p| p.as_rule() == Rule::semicolon);
        match pair.as_rule() {
            Rule::expr_stmt if !ends => {
                let stmt = self.stmt(pair);
                match stmt.kind {
                    StmtKind::Expr(expr) => Last::Value(expr),
                    _ => Last::Stmt(stmt),
                }
            }
            Rule::if_stmt if !ends => match self.parts(pair.clone()).next() {
                Some(part) if has_value(self, &part) => Last::Value(self.if_value(part)),
                _ => Last::Stmt(self.stmt(pair)),
            },
            Rule::block_stmt if !ends => match self.parts(pair.clone()).next() {
                Some(part) if block_has_value(self, &part) => {
                    let span = self.span(&part);
                    Last::Value(Expr { kind: ExprKind::Block(self.block(part, Use::Value)), span })
                }
                _ => Last::Stmt(self.stmt(pair)),
            },
            _ => Last::Stmt(self.stmt(pair)),
        }
    }

    fn stmt(&self, pair: Node) -> Stmt {
        let span = self.span(&pair);
        let rule = pair.as_rule();
        let mut parts = self.parts(pair).filter(|p| !is_mark(p.as_rule()));
        let kind = match rule {
            Rule::expr_stmt => return self.expr_stmt(parts, span),
            Rule::if_stmt => match parts.next() {
                Some(part) => self.if_stmt(part),
                None => self.missing_stmt(span),
            },
            Rule::block_stmt => match parts.next() {
                Some(part) => StmtKind::Block(self.block(part, Use::Statement)),
                None => self.missing_stmt(span),
            },
            Rule::let_stmt => self.let_stmt(parts, span),
            Rule::return_stmt => StmtKind::Return(parts.next().map(|p| self.expr(p))),
            Rule::break_stmt => StmtKind::Break,
            Rule::continue_stmt => StmtKind::Continue,
            Rule::while_stmt => match (parts.next(), parts.next()) {
                (Some(cond), Some(body)) => StmtKind::While {
                    cond: self.condition(cond),
                    body: self.block(body, Use::Statement),
                },
                _ => self.missing_stmt(span),
            },
            Rule::unroll_stmt => match (parts.next(), parts.next()) {
                (Some(count), Some(body)) => StmtKind::Unroll {
                    count: self.condition(count),
                    body: self.block(body, Use::Statement),
                },
                _ => self.missing_stmt(span),
            },
            Rule::for_stmt => self.for_stmt(parts, span),
            Rule::import => match parts.next() {
                Some(name) => StmtKind::Import(self.import_of(&name, span)),
                None => self.missing_stmt(span),
            },
            _ => self.missing_stmt(span),
        };
        Stmt { kind, span }
    }

    fn missing_stmt(&self, span: Span) -> StmtKind {
        StmtKind::Expr(self.missing(span))
    }

    /// What stands after `if`, `while` and `unroll`.
    fn condition(&self, pair: Node) -> Expr {
        let cond = self.expr(pair);
        if matches!(cond.kind, ExprKind::Record(_)) {
            self.report(
                Diagnostic::error(
                    "syntax-error",
                    cond.span,
                    "`=` makes a record here, and a condition is wanted",
                )
                .help("to compare, write `==`"),
            );
        }
        cond
    }

    /// `e;`, `$x = e;`, `@x += e;`, `_ = e;`
    fn expr_stmt<'a>(&self, mut parts: impl Iterator<Item = Node<'a>>, span: Span) -> Stmt {
        let Some(target) = parts.next().map(|p| self.expr(p)) else {
            return Stmt { kind: self.missing_stmt(span), span };
        };
        let Some(assign) = parts.next() else {
            return Stmt { kind: StmtKind::Expr(target), span };
        };
        let Some(value) = parts.next().map(|p| self.expr(p)) else {
            return Stmt { kind: self.missing_stmt(span), span };
        };
        let op = binary_op(assign.as_str().trim_end_matches('='));
        if op.is_none() && matches!(&target.kind, ExprKind::Ident(name) if name == "_") {
            return Stmt { kind: StmtKind::Discard(value), span };
        }
        if !is_place(&target) {
            self.report(not_assignable(&target, self.span(&assign)));
        }
        Stmt { kind: StmtKind::Assign { target, op, value }, span }
    }

    fn let_stmt<'a>(&self, parts: impl Iterator<Item = Node<'a>>, span: Span) -> StmtKind {
        let (mut name, mut ty, mut value) = (None, None, None);
        for part in parts {
            match part.as_rule() {
                Rule::variable => name = Some(self.ident(&part)),
                Rule::type_ => ty = Some(self.ty(part)),
                Rule::expr => value = Some(self.expr(part)),
                _ => {}
            }
        }
        match name {
            Some(name) => StmtKind::Let { name, ty, value },
            None => self.missing_stmt(span),
        }
    }

    fn for_stmt<'a>(&self, mut parts: impl Iterator<Item = Node<'a>>, span: Span) -> StmtKind {
        let (Some(var), Some(first), Some(third)) = (parts.next(), parts.next(), parts.next())
        else {
            return self.missing_stmt(span);
        };
        let var = self.ident(&var);
        let first_span = self.span(&first);
        let start = self.expr(first);
        if third.as_rule() == Rule::expr {
            let end = self.expr(third);
            return match parts.next() {
                Some(body) => {
                    StmtKind::ForRange { var, start, end, body: self.block(body, Use::Statement) }
                }
                None => self.missing_stmt(span),
            };
        }
        let map = match start.kind {
            ExprKind::Map { name, key: None } => crate::ast::Ident { name, span: first_span },
            _ => {
                self.report(
                    Diagnostic::error(
                        "invalid-loop",
                        first_span,
                        "`for` goes over a map or a range",
                    )
                    .label("neither `@map` nor `first..end`")
                    .help("write `for ($kv : @map) { ... }` or `for ($i : 0..10) { ... }`"),
                );
                crate::ast::Ident { name: String::new(), span: first_span }
            }
        };
        StmtKind::ForMap { var, map, body: self.block(third, Use::Statement) }
    }

    /// An `if_expr` pair in place of a statement.
    fn if_stmt(&self, pair: Node) -> StmtKind {
        let span = self.span(&pair);
        let parts = self.parts(pair).filter(|p| !is_mark(p.as_rule())).collect();
        self.if_chain(parts, span)
    }

    /// Parts are condition and block in turn; a block at an odd end is the `else`.
    fn if_chain(&self, mut parts: Vec<Node>, span: Span) -> StmtKind {
        let mut otherwise = None;
        let levels = parts.len() as u32 / 2;
        if parts.len() % 2 == 1 {
            otherwise = parts.pop();
        }
        let build = || {
            let mut otherwise = otherwise.map(|p| self.block(p, Use::Statement));
            let mut kind = None;
            let mut end = span;
            while let (Some(body), Some(cond)) = (parts.pop(), parts.pop()) {
                if let Some(inner) = kind.take() {
                    let stmt = Stmt { kind: inner, span: end };
                    otherwise = Some(Block { stmts: vec![stmt], value: None, span: end });
                }
                end = Span { start: self.span(&cond).start, ..span };
                let cond = self.condition(cond);
                let then = self.block(body, Use::Statement);
                kind = Some(StmtKind::If { cond, then, otherwise: otherwise.take() });
            }
            kind.unwrap_or_else(|| self.missing_stmt(span))
        };
        self.deeper(levels, span, build, || StmtKind::Expr(self.placeholder(span)))
    }

    /// An `if_expr` pair whose value is used.
    pub(super) fn if_value(&self, pair: Node) -> Expr {
        let span = self.span(&pair);
        let mut parts: Vec<Node> = self.parts(pair).filter(|p| !is_mark(p.as_rule())).collect();
        let levels = parts.len() as u32 / 2;
        let block = |part: Node| {
            let span = self.span(&part);
            Expr { kind: ExprKind::Block(self.block(part, Use::Value)), span }
        };
        if parts.len().is_multiple_of(2) {
            self.report(
                Diagnostic::error(
                    "missing-else",
                    span,
                    "an `if` whose value is used needs an `else`",
                )
                .help("add `else { ... }` with the value for the other case"),
            );
            return self.placeholder(span);
        }
        let build = || {
            let Some(last) = parts.pop() else { return self.missing(span) };
            let mut value = block(last);
            while let (Some(then), Some(cond)) = (parts.pop(), parts.pop()) {
                let at = Span { start: self.span(&cond).start, ..span };
                let (cond, then) = (Box::new(self.condition(cond)), Box::new(block(then)));
                value = Expr {
                    kind: ExprKind::Ternary { cond, then, otherwise: Box::new(value) },
                    span: at,
                };
            }
            Expr { span, ..value }
        };
        self.deeper(levels, span, build, || self.placeholder(span))
    }
}

/// Whether every branch of an `if_expr` pair ends in a value.
fn has_value(builder: &Builder, pair: &Node) -> bool {
    let branches = builder.parts(pair.clone()).filter(|p| !is_mark(p.as_rule())).count();
    branches % 2 == 1
        && builder
            .parts(pair.clone())
            .filter(|p| p.as_rule() == Rule::block)
            .all(|block| block_has_value(builder, &block))
}

/// Whether a `block` pair ends in a value.
fn block_has_value(builder: &Builder, pair: &Node) -> bool {
    let Some(last) = builder.parts(pair.clone()).filter(|p| !is_mark(p.as_rule())).last() else {
        return false;
    };
    let mut parts = builder.parts(last.clone());
    match last.as_rule() {
        Rule::expr_stmt => !parts.any(|p| matches!(p.as_rule(), Rule::semicolon | Rule::assign_op)),
        Rule::if_stmt => match (parts.next(), parts.next()) {
            (Some(inner), None) => has_value(builder, &inner),
            _ => false,
        },
        Rule::block_stmt => match (parts.next(), parts.next()) {
            (Some(inner), None) => block_has_value(builder, &inner),
            _ => false,
        },
        _ => false,
    }
}

/// Marks and words that carry no meaning once the rule is known.
fn is_mark(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::open_brace
            | Rule::close_brace
            | Rule::open_angle
            | Rule::angle_close
            | Rule::open_paren
            | Rule::close_paren
            | Rule::semicolon
            | Rule::equals
            | Rule::for_colon
            | Rule::range
            | Rule::kw_if
            | Rule::kw_else
            | Rule::kw_let
            | Rule::kw_return
            | Rule::kw_break
            | Rule::kw_continue
            | Rule::kw_while
            | Rule::kw_unroll
            | Rule::kw_for
            | Rule::kw_import
    )
}

fn not_assignable(target: &Expr, op: Span) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        "invalid-assignment",
        target.span,
        "only variables and maps can be assigned to",
    )
    .also(op, "assigned here");
    match target.kind {
        ExprKind::Member { arrow: false, .. } | ExprKind::Tuple(_) | ExprKind::Record(_) => {
            diagnostic
                .note("tuples and records do not change once they are made")
                .help("make a new one and assign that")
        }
        ExprKind::Member { .. } | ExprKind::Index { .. } | ExprKind::Unary { .. } => diagnostic
            .note("scripts read memory of the kernel and of programs; they do not write it"),
        ExprKind::Ident(ref name) => {
            diagnostic.help(format!("did you mean `${name}` or `@{name}`?"))
        }
        _ => diagnostic.help("to compare, write `==`"),
    }
}
