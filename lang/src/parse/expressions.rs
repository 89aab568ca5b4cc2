//! Expressions, with the precedence of operators.

use std::sync::LazyLock;

use pest::pratt_parser::{Assoc, Op, PrattParser};

use crate::ast::{BinaryOp, Expr, ExprKind, Ident, UnaryOp};
use crate::diag::Diagnostic;
use crate::span::Span;

use super::literals::{self, LiteralError};
use super::statements::Use;
use super::{Builder, Node, Rule};

/// Binary operators of one precedence.
pub(crate) struct Level {
    rule: Rule,
    /// What they are, in words.
    pub about: &'static str,
    /// The operators, which group from the left.
    pub operators: &'static [BinaryOp],
}

/// The precedences of binary operators, the loosest first: C's.
pub(crate) const LEVELS: &[Level] = &[
    Level {
        rule: Rule::op_or,
        about: "at least one is true; the second is looked at only if the first is not",
        operators: &[BinaryOp::Or],
    },
    Level {
        rule: Rule::op_and,
        about: "both are true; the second is looked at only if the first is",
        operators: &[BinaryOp::And],
    },
    Level { rule: Rule::op_bit_or, about: "bits of either", operators: &[BinaryOp::BitOr] },
    Level { rule: Rule::op_bit_xor, about: "bits of one of them", operators: &[BinaryOp::BitXor] },
    Level { rule: Rule::op_bit_and, about: "bits of both", operators: &[BinaryOp::BitAnd] },
    Level {
        rule: Rule::op_eq,
        about: "equal, not equal",
        operators: &[BinaryOp::Eq, BinaryOp::Ne],
    },
    Level {
        rule: Rule::op_rel,
        about: "less, at most, more, at least",
        operators: &[BinaryOp::Lt, BinaryOp::Le, BinaryOp::Gt, BinaryOp::Ge],
    },
    Level {
        rule: Rule::op_shift,
        about: "bits moved up, moved down",
        operators: &[BinaryOp::Shl, BinaryOp::Shr],
    },
    Level {
        rule: Rule::op_add,
        about: "sum, difference",
        operators: &[BinaryOp::Add, BinaryOp::Sub],
    },
    Level {
        rule: Rule::op_mul,
        about: "product, quotient, remainder",
        operators: &[BinaryOp::Mul, BinaryOp::Div, BinaryOp::Rem],
    },
];

/// All precedences: those of [`LEVELS`] between the ternary operator and what stands at one operand.
static PRECEDENCE: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let ternary = PrattParser::new().op(Op::infix(Rule::ternary, Assoc::Right));
    LEVELS
        .iter()
        .fold(ternary, |parser, level| parser.op(Op::infix(level.rule, Assoc::Left)))
        .op(Op::prefix(Rule::prefix_op) | Op::prefix(Rule::cast) | Op::prefix(Rule::comptime))
        .op(Op::postfix(Rule::member) | Op::postfix(Rule::index) | Op::postfix(Rule::postfix_op))
});

impl Builder {
    /// An `expr` pair.
    pub(super) fn expr(&self, pair: Node) -> Expr {
        let span = self.span(&pair);
        let mut operators = 0;
        let mut parts = 0;
        for part in self.parts(pair.clone()) {
            parts += 1;
            operators += u32::from(!is_primary(part.as_rule()));
        }
        let build = || match parts {
            0 => self.missing(span),
            1 => self.parts(pair).next().map_or_else(|| self.missing(span), |p| self.primary(p)),
            _ => PRECEDENCE
                .map_primary(|part| self.primary(part))
                .map_prefix(|op, operand| self.prefix(op, operand))
                .map_postfix(|operand, op| self.postfix(operand, op))
                .map_infix(|left, op, right| self.infix(left, op, right))
                .parse(self.parts(pair)),
        };
        self.deeper(1 + operators, span, build, || self.placeholder(span))
    }

    fn primary(&self, pair: Node) -> Expr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::variable => ExprKind::Var(self.ident(&pair).name),
            Rule::map => ExprKind::Map { name: self.ident(&pair).name, key: None },
            Rule::name => return self.name(pair),
            Rule::integer => ExprKind::Int(self.integer(&pair)),
            Rule::string => ExprKind::Str(self.string(&pair)),
            Rule::char => ExprKind::Int(self.literal(span, literals::character(pair.as_str()))),
            Rule::parens => return self.parens(pair),
            Rule::param => self.param(pair).map_or(ExprKind::Int(0), ExprKind::Param),
            Rule::param_count => ExprKind::ParamCount,
            Rule::sizeof => match self.type_or_expr_in(pair) {
                Some(of) => ExprKind::SizeOf(of),
                None => return self.missing(span),
            },
            Rule::typeinfo => match self.type_or_expr_in(pair) {
                Some(of) => ExprKind::TypeInfo(of),
                None => return self.missing(span),
            },
            Rule::offsetof => {
                let path = self
                    .parts(pair.clone())
                    .filter(|p| p.as_rule() == Rule::field)
                    .map(|p| self.ident(&p))
                    .collect();
                match self.type_or_expr_in(pair) {
                    Some(of) => ExprKind::OffsetOf { of, path },
                    None => return self.missing(span),
                }
            }
            Rule::if_expr => return self.if_value(pair),
            Rule::block => ExprKind::Block(self.block(pair, Use::Value)),
            _ => return self.missing(span),
        };
        Expr { kind, span }
    }

    /// An integer's value.
    pub(super) fn integer(&self, pair: &Node) -> u64 {
        self.literal(self.span(pair), literals::integer(pair.as_str()))
    }

    /// A string's bytes.
    pub(super) fn string(&self, pair: &Node) -> Vec<u8> {
        let (bytes, errors) = literals::string(pair.as_str());
        for error in errors {
            self.literal_error("invalid-escape", self.span(pair), error);
        }
        bytes
    }

    fn literal(&self, span: Span, value: Result<u64, LiteralError>) -> u64 {
        value.unwrap_or_else(|error| {
            self.literal_error("invalid-literal", span, error);
            0
        })
    }

    fn literal_error(&self, code: &'static str, literal: Span, error: LiteralError) {
        let span = if error.at.is_empty() {
            literal
        } else {
            let start = literal.start + error.at.start as u32;
            Span { start, end: literal.start + error.at.end as u32, file: literal.file }
        };
        let mut diagnostic = Diagnostic::error(code, span, error.message);
        diagnostic.help = error.help;
        self.report(diagnostic);
    }

    /// A name alone or with arguments.
    fn name(&self, pair: Node) -> Expr {
        let span = self.span(&pair);
        let mut parts = self.parts(pair);
        let Some(name) = parts.next().map(|p| self.ident(&p)) else { return self.missing(span) };
        let kind = match (parts.next(), name.name.as_str()) {
            (Some(args), _) => ExprKind::Call { name, args: self.args(args) },
            (None, "true") => ExprKind::Bool(true),
            (None, "false") => ExprKind::Bool(false),
            (None, _) => ExprKind::Ident(name.name),
        };
        Expr { kind, span }
    }

    fn args(&self, pair: Node) -> Vec<Expr> {
        let mut args = Vec::new();
        for part in self.parts(pair) {
            match part.as_rule() {
                Rule::expr => args.push(self.expr(part)),
                Rule::type_arg => {
                    let span = self.span(&part);
                    args.push(match self.parts(part).next() {
                        Some(ty) => Expr { kind: ExprKind::TypeArg(self.ty(ty)), span },
                        None => self.missing(span),
                    });
                }
                _ => {}
            }
        }
        args
    }

    /// `(e)`, `(a, b)`, `(a,)`, `()`, `(a=1, b=2)`
    fn parens(&self, pair: Node) -> Expr {
        let span = self.span(&pair);
        let mut values = Vec::new();
        let mut fields: Vec<(Ident, Expr)> = Vec::new();
        let mut has_comma = false;
        for part in self.parts(pair) {
            match part.as_rule() {
                Rule::expr => values.push(self.expr(part)),
                Rule::comma => has_comma = true,
                Rule::record_field => self.record_field(part, &mut fields),
                _ => {}
            }
        }
        if !fields.is_empty() {
            return Expr { kind: ExprKind::Record(fields), span };
        }
        if !has_comma && let Some(value) = values.pop() {
            return Expr { kind: value.kind, span };
        }
        Expr { kind: ExprKind::Tuple(values), span }
    }

    fn record_field(&self, pair: Node, fields: &mut Vec<(Ident, Expr)>) {
        let span = self.span(&pair);
        let mut parts = self.parts(pair);
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            self.missing(span);
            return;
        };
        let name = self.ident(&name);
        if let Some((first, _)) = fields.iter().find(|(f, _)| f.name == name.name) {
            self.report(
                Diagnostic::error(
                    "duplicate-field",
                    name.span,
                    format!("the record has two fields named `{}`", name.name),
                )
                .also(first.span, "the first one"),
            );
        }
        fields.push((name, self.expr(value)));
    }

    fn prefix(&self, op: Node, operand: Expr) -> Expr {
        let op_span = self.span(&op);
        let span = op_span.to(operand.span);
        let operand = Box::new(operand);
        let kind = match (op.as_rule(), op.as_str()) {
            (Rule::cast, _) => match self.parts(op).next() {
                Some(ty) => ExprKind::Cast { ty: self.ty(ty), operand },
                None => return self.missing(span),
            },
            (Rule::comptime, _) => ExprKind::Comptime(operand),
            (_, "++") => self.inc_dec(*operand, op_span, true, true),
            (_, "--") => self.inc_dec(*operand, op_span, false, true),
            (_, "-") => ExprKind::Unary { op: UnaryOp::Neg, operand },
            (_, "!") => ExprKind::Unary { op: UnaryOp::Not, operand },
            (_, "~") => ExprKind::Unary { op: UnaryOp::BitNot, operand },
            (_, "*") => ExprKind::Unary { op: UnaryOp::Deref, operand },
            (_, "&") => {
                self.check_address_of(&operand, span);
                ExprKind::Unary { op: UnaryOp::AddressOf, operand }
            }
            _ => return self.missing(span),
        };
        Expr { kind, span }
    }

    fn check_address_of(&self, operand: &Expr, span: Span) {
        if !matches!(
            operand.kind,
            ExprKind::Var(_) | ExprKind::Map { key: None, .. } | ExprKind::Ident(_)
        ) {
            self.report(
                Diagnostic::error(
                    "invalid-address-of",
                    span,
                    "`&` takes the address of a variable or a map",
                )
                .help("store the value in a variable first: `$x = ...; &$x`"),
            );
        }
    }

    fn inc_dec(&self, target: Expr, op: Span, increment: bool, prefix: bool) -> ExprKind {
        if !is_place(&target) {
            let symbol = if increment { "++" } else { "--" };
            self.report(
                Diagnostic::error(
                    "invalid-increment",
                    op,
                    format!("`{symbol}` changes a variable or a map, and this is neither"),
                )
                .also(target.span, "this cannot change"),
            );
        }
        ExprKind::IncDec { target: Box::new(target), increment, prefix }
    }

    fn postfix(&self, operand: Expr, op: Node) -> Expr {
        let op_span = self.span(&op);
        let span = operand.span.to(op_span);
        let kind = match (op.as_rule(), op.as_str()) {
            (Rule::postfix_op, symbol) => self.inc_dec(operand, op_span, symbol == "++", false),
            (Rule::member, _) => match self.member(operand, op, span) {
                Some(member) => member,
                None => return self.missing(span),
            },
            (Rule::index, _) => self.index(operand, op),
            _ => return self.missing(span),
        };
        Expr { kind, span }
    }

    /// `e.field`, `e->field` or `e.0`
    fn member(&self, base: Expr, op: Node, span: Span) -> Option<ExprKind> {
        let mut parts = self.parts(op);
        let (mark, field) = (parts.next()?, parts.next()?);
        let arrow = mark.as_rule() == Rule::arrow;
        let field = self.ident(&field);
        if let ExprKind::Int(_) = base.kind
            && field.name.starts_with(|first: char| first.is_ascii_digit())
        {
            self.report(
                Diagnostic::error("invalid-literal", span, "there are no fractions in the kernel")
                    .help("count in a smaller unit: 1500us for 1.5ms"),
            );
        }
        Some(ExprKind::Member { base: Box::new(base), field, arrow })
    }

    /// `@x[a, b]` or `e[i]`
    fn index(&self, base: Expr, op: Node) -> ExprKind {
        let span = self.span(&op);
        let mut values: Vec<Expr> =
            self.parts(op).filter(|p| p.as_rule() == Rule::expr).map(|p| self.expr(p)).collect();
        let single = if values.len() == 1 { values.pop() } else { None };
        if let ExprKind::Map { name, key: None } = base.kind {
            let key = single.unwrap_or(Expr { kind: ExprKind::Tuple(values), span });
            return ExprKind::Map { name, key: Some(Box::new(key)) };
        }
        let index = single.unwrap_or_else(|| {
            self.report(
                Diagnostic::error("invalid-index", span, "an index is one value")
                    .label("several values are keys of a map")
                    .help("map names begin with `@`"),
            );
            self.placeholder(span)
        });
        ExprKind::Index { base: Box::new(base), index: Box::new(index) }
    }

    fn infix(&self, left: Expr, op: Node, right: Expr) -> Expr {
        let span = left.span.to(right.span);
        if op.as_rule() == Rule::ternary {
            let cond = Box::new(left);
            let then = match self.parts(op).find(|p| p.as_rule() == Rule::expr) {
                Some(then) => Box::new(self.expr(then)),
                None => cond.clone(),
            };
            return Expr {
                kind: ExprKind::Ternary { cond, then, otherwise: Box::new(right) },
                span,
            };
        }
        match binary_op(op.as_str()) {
            Some(op) => Expr {
                kind: ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) },
                span,
            },
            None => self.missing(span),
        }
    }
}

/// Whether an expression can be assigned to.
pub(super) fn is_place(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Var(_) | ExprKind::Map { .. })
}

/// The operator that a symbol means.
pub(super) fn binary_op(symbol: &str) -> Option<BinaryOp> {
    LEVELS.iter().flat_map(|level| level.operators).copied().find(|op| op.symbol() == symbol)
}

fn is_primary(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::variable
            | Rule::map
            | Rule::name
            | Rule::integer
            | Rule::string
            | Rule::char
            | Rule::parens
            | Rule::param
            | Rule::param_count
            | Rule::sizeof
            | Rule::typeinfo
            | Rule::offsetof
            | Rule::if_expr
            | Rule::block
    )
}
