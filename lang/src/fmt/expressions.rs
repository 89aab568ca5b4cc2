//! Expressions. An operator inside another one gets brackets, so that nobody has to know their
//! precedence; `&&` and `||` of the same kind, and comparisons where nothing else can be meant, do
//! without.

use crate::ast::{BinaryOp, Expr, ExprKind, Ident};

use super::Printer;
use super::comments::in_front;
use super::lines::{INDENT, Lines};
use super::list::List;

impl Printer<'_> {
    /// An expression with the comments in front of it. If it is `bare`, it stands alone, and needs no
    /// brackets.
    pub(super) fn expr(&mut self, e: &Expr, width: usize, bare: bool) -> Lines {
        let comments = self.comments.before(self.source.skip_brackets(e.span.start));
        let bare = is_primary(e) || bare && !matches!(e.kind, ExprKind::Tuple(_));
        let inner = self.unbracketed(e, if bare { width } else { width.saturating_sub(2) });
        let printed = match &e.kind {
            _ if bare => inner,
            ExprKind::Block(_) => Lines::of("(").flush(inner).text(")"),
            _ => Lines::of("(").beside(inner).text(")"),
        };
        let (above, in_line) = in_front(&comments);
        let above = above.iter().fold(Lines::new(), |above, line| above.comment_below(line));
        above.below(Lines::of(in_line).beside(printed))
    }

    fn unbracketed(&mut self, e: &Expr, width: usize) -> Lines {
        match &e.kind {
            ExprKind::Int(_) | ExprKind::Str(_) => {
                Lines::of(self.source.token(self.source.skip_brackets(e.span.start)))
            }
            ExprKind::Bool(value) => Lines::of(value.to_string()),
            ExprKind::Ident(name) => Lines::of(name),
            ExprKind::Var(name) => Lines::of(format!("${name}")),
            ExprKind::Map { name, key } => self.map(name, key.as_deref(), e, width),
            ExprKind::Param(param) => Lines::of(self.text(param.span)),
            ExprKind::ParamCount => Lines::of("$#"),
            ExprKind::Call { name, args } => self.call(name, args, e, width),
            ExprKind::Unary { op, operand } => {
                let operand = self.expr(operand, width.saturating_sub(1), false);
                Lines::of(op.symbol()).beside(operand)
            }
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right, width),
            ExprKind::Ternary { .. } => self.ternary(e, width),
            ExprKind::IncDec { target, increment, prefix } => {
                let symbol = if *increment { "++" } else { "--" };
                let target = self.expr(target, width.saturating_sub(2), false);
                if *prefix { Lines::of(symbol).beside(target) } else { target.text(symbol) }
            }
            ExprKind::Member { base, field, arrow } => {
                let base = self.expr(base, width.saturating_sub(field.name.len() + 1), false);
                base.text(if *arrow { "->" } else { "." }).text(&field.name)
            }
            ExprKind::Index { base, index } => self.index(base, index, width),
            ExprKind::Tuple(values) => self.tuple(values, e, width),
            ExprKind::Record(fields) => self.record(fields, e, width),
            ExprKind::Cast { ty, operand } => {
                let ty = Lines::of("(").beside(self.ty(ty, width)).text(")");
                let operand = self.expr(operand, width.saturating_sub(ty.width()), false);
                ty.beside(operand)
            }
            ExprKind::SizeOf(of) => self.type_or_expr("sizeof(", of, width).text(")"),
            ExprKind::TypeInfo(of) => self.type_or_expr("typeinfo(", of, width).text(")"),
            ExprKind::OffsetOf { of, path } => {
                let path: Vec<&str> = path.iter().map(|field| field.name.as_str()).collect();
                let of = self.type_or_expr("offsetof(", of, width).text(", ");
                of.text(&path.join(".")).text(")")
            }
            ExprKind::Block(block) => self.block_in_line(block, width),
            ExprKind::TypeArg(ty) => self.ty(ty, width),
            ExprKind::Comptime(operand) => {
                Lines::of("comptime ").beside(self.expr(operand, width.saturating_sub(9), false))
            }
        }
    }

    /// `@name`, `@name[key, key]`
    fn map(&mut self, name: &str, key: Option<&Expr>, e: &Expr, width: usize) -> Lines {
        let map = Lines::of(format!("@{name}"));
        let Some(key) = key else { return map };
        let inside = width.saturating_sub(INDENT);
        let key = match &key.kind {
            ExprKind::Tuple(keys) if keys.len() > 1 => self.bare_list(keys, e, inside),
            _ => self.expr(key, inside, true),
        };
        in_brackets(map, ["[", "]"], key, width)
    }

    fn index(&mut self, base: &Expr, index: &Expr, width: usize) -> Lines {
        let base = self.expr(base, width.saturating_sub(1), false);
        let index = self.expr(index, width.saturating_sub(INDENT), false);
        in_brackets(base, ["[", "]"], index, width)
    }

    fn call(&mut self, name: &Ident, args: &[Expr], e: &Expr, width: usize) -> Lines {
        let args = self.bare_list(args, e, width.saturating_sub(name.name.len() + 2));
        let after = self.source.from(self.source.skip_layout(name.span.end));
        let mark = if after.starts_with('!') { "!" } else { "" };
        let head = Lines::of(format!("{}{mark}(", name.name));
        let call = if args.width() > width { head.inside(args) } else { head.beside(args) };
        call.text(")")
    }

    /// Expressions with commas between them, inside the brackets at the end of `e`.
    fn bare_list(&mut self, values: &[Expr], e: &Expr, width: usize) -> Lines {
        let list = List { separator: ", ", width, end: Some(e.span.end) };
        self.list(list, values, |value| value.span.start, |p, value, w| p.expr(value, w, true))
    }

    /// The values of a tuple; its brackets are those that any expression gets.
    fn tuple(&mut self, values: &[Expr], e: &Expr, width: usize) -> Lines {
        match values {
            [value] => self.expr(value, width.saturating_sub(3), true).text(","),
            _ => self.bare_list(values, e, width.saturating_sub(INDENT)),
        }
    }

    fn record(&mut self, fields: &[(Ident, Expr)], e: &Expr, width: usize) -> Lines {
        let width = width.saturating_sub(INDENT);
        let list = List { separator: ", ", width, end: Some(e.span.end) };
        let fields = self.list(
            list,
            fields,
            |(name, _)| name.span.start,
            |p, (name, value), width| {
                let value = p.expr(value, width.saturating_sub(name.name.len() + 1), false);
                Lines::of(format!("{}=", name.name)).beside(value)
            },
        );
        let record = Lines::of("(");
        let record =
            if fields.is_one_line() { record.beside(fields) } else { record.inside(fields) };
        record.text(")")
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, width: usize) -> Lines {
        let mut operands = vec![right];
        let mut first = left;
        // A chain of the same logical operator needs no brackets.
        while let ExprKind::Binary { op: inner, left, right } = &first.kind
            && *inner == op
            && matches!(op, BinaryOp::And | BinaryOp::Or)
        {
            operands.push(right);
            first = left;
        }
        operands.push(first);
        operands.reverse();
        let separator = format!(" {} ", op.symbol());
        let list = List { separator: &separator, width, end: None };
        self.list(
            list,
            &operands,
            |operand| operand.span.start,
            |p, operand, width| {
                let bare = is_clear(operand, op, std::ptr::eq(*operand, first));
                p.expr(operand, width, bare)
            },
        )
    }

    fn ternary(&mut self, e: &Expr, width: usize) -> Lines {
        if let Some((branches, last)) = super::statements::branches_of_value(e) {
            return self.if_chain(&branches, Some(last), width, true);
        }
        let ExprKind::Ternary { cond, then, otherwise } = &e.kind else { return Lines::new() };
        let is_short = cond.span == then.span;
        let cond = self.expr(cond, width, false);
        let inside = width.saturating_sub(INDENT);
        if is_short {
            let otherwise = self.expr(otherwise, inside, false);
            return cond.text(" ?: ").beside(otherwise);
        }
        let then = self.expr(then, inside, false);
        let otherwise = self.expr(otherwise, inside, false);
        if cond.width() + then.width() + otherwise.width() + 8 > width {
            let then = Lines::of("? ").beside(then);
            cond.below(then).below(Lines::of(": ").beside(otherwise))
        } else {
            cond.text(" ? ").beside(then).text(" : ").beside(otherwise)
        }
    }
}

/// Something in brackets after something, on lines of its own if it does not fit.
fn in_brackets(head: Lines, [open, close]: [&str; 2], inner: Lines, width: usize) -> Lines {
    let fits = head.width() + inner.width() + 2 <= width;
    let head = head.text(open);
    let all = if fits { head.beside(inner) } else { head.inside(inner) };
    all.text(close)
}

/// Whether an expression is one thing to the eye, whatever stands beside it.
fn is_primary(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Bool(_)
        | ExprKind::Ident(_)
        | ExprKind::Var(_)
        | ExprKind::Map { .. }
        | ExprKind::Param(_)
        | ExprKind::ParamCount
        | ExprKind::Call { .. }
        | ExprKind::Member { .. }
        | ExprKind::Index { .. }
        | ExprKind::SizeOf(_)
        | ExprKind::OffsetOf { .. }
        | ExprKind::TypeInfo(_)
        | ExprKind::TypeArg(_) => true,
        ExprKind::Comptime(operand) => is_primary(operand),
        ExprKind::Unary { .. }
        | ExprKind::Binary { .. }
        | ExprKind::Ternary { .. }
        | ExprKind::IncDec { .. }
        | ExprKind::Tuple(_)
        | ExprKind::Record(_)
        | ExprKind::Cast { .. }
        | ExprKind::Block(_) => false,
    }
}

/// Whether a comparison can be an operand without brackets: it binds more tightly than the operator,
/// or as tightly and comes first.
fn is_clear(operand: &Expr, op: BinaryOp, is_first: bool) -> bool {
    let ExprKind::Binary { op: inner, .. } = &operand.kind else { return false };
    let (inner, outer) = (tightness(*inner), tightness(op));
    matches!(inner, 1 | 2) && (inner > outer || inner == outer && is_first)
}

/// How tightly an operator binds, as far as comparisons are concerned.
const fn tightness(op: BinaryOp) -> u32 {
    match op {
        BinaryOp::Or | BinaryOp::And | BinaryOp::BitOr | BinaryOp::BitXor | BinaryOp::BitAnd => 0,
        BinaryOp::Eq | BinaryOp::Ne => 1,
        BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => 2,
        BinaryOp::Shl
        | BinaryOp::Shr
        | BinaryOp::Add
        | BinaryOp::Sub
        | BinaryOp::Mul
        | BinaryOp::Div
        | BinaryOp::Rem => 3,
    }
}
