//! Arithmetic on literals, done before types are looked for: `1 << 16` is the literal `65536`,
//! and has the type of that literal.
//!
//! A literal is `Int`, `Bool`, `Str`, or `Neg` of an `Int` above 0.

use crate::ast::{BinaryOp, Block, Expr, ExprKind, Probe, Stmt, StmtKind, UnaryOp};
use crate::diag::Diagnostic;
use crate::expand::visit::{self, VisitMut};

/// Folds the literals of a probe block.
pub fn fold(probe: &mut Probe, errors: &mut Vec<Diagnostic>) {
    let mut folder = Folder { errors };
    if let Some(predicate) = &mut probe.predicate {
        folder.expr(predicate);
    }
    folder.block(&mut probe.body);
}

/// Folds an expression that stands outside of a probe.
pub fn fold_expr(expr: &mut Expr, errors: &mut Vec<Diagnostic>) {
    Folder { errors }.expr(expr);
}

/// The value of an integer literal.
pub fn int_literal(expr: &Expr) -> Option<i128> {
    match &expr.kind {
        ExprKind::Int(n) => Some(i128::from(*n)),
        ExprKind::Unary { op: UnaryOp::Neg, operand } => match operand.kind {
            ExprKind::Int(n) => Some(-i128::from(n)),
            _ => None,
        },
        _ => None,
    }
}

/// The truth of a literal.
fn truth(expr: &Expr) -> Option<bool> {
    match &expr.kind {
        ExprKind::Bool(b) => Some(*b),
        ExprKind::Str(s) => Some(!s.is_empty()),
        _ => int_literal(expr).map(|n| n != 0),
    }
}

fn is_literal(expr: &Expr) -> bool {
    truth(expr).is_some()
}

struct Folder<'a> {
    errors: &'a mut Vec<Diagnostic>,
}

impl VisitMut for Folder<'_> {
    fn stmt(&mut self, stmt: &mut Stmt) {
        let comptime = match &stmt.kind {
            StmtKind::If { cond, .. } => matches!(cond.kind, ExprKind::Comptime(_)),
            _ => false,
        };
        visit::stmt(self, stmt);
        let StmtKind::If { cond, then, otherwise } = &mut stmt.kind else { return };
        // The branch not taken may be ill-typed: it does not exist.
        if let (true, Some(taken)) = (comptime, truth(cond)) {
            let empty = Block { stmts: Vec::new(), value: None, span: then.span };
            let rest = otherwise.take().unwrap_or_else(|| empty.clone());
            let block = if taken { std::mem::replace(then, empty) } else { rest };
            stmt.kind = StmtKind::Block(block);
        }
    }

    fn expr(&mut self, expr: &mut Expr) {
        let comptime = match &expr.kind {
            ExprKind::Ternary { cond, .. } => matches!(cond.kind, ExprKind::Comptime(_)),
            _ => false,
        };
        visit::expr(self, expr);
        if comptime
            && let ExprKind::Ternary { cond, then, otherwise } = &mut expr.kind
            && let Some(taken) = truth(cond)
        {
            let taken = if taken { then } else { otherwise };
            expr.kind = std::mem::replace(&mut taken.kind, ExprKind::Int(0));
            return;
        }
        if let Some(kind) = self.folded(expr) {
            expr.kind = kind;
        }
    }
}

impl Folder<'_> {
    fn folded(&mut self, expr: &Expr) -> Option<ExprKind> {
        match &expr.kind {
            ExprKind::Unary { op, operand } => self.unary(*op, operand, expr),
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right, expr),
            ExprKind::Ternary { cond, then, otherwise } => {
                let taken = if truth(cond)? { then } else { otherwise };
                (is_literal(then) && is_literal(otherwise)).then(|| taken.kind.clone())
            }
            ExprKind::Block(block) if block.stmts.is_empty() => {
                block.value.as_deref().filter(|value| is_literal(value)).map(|v| v.kind.clone())
            }
            ExprKind::Comptime(inner) => is_literal(inner).then(|| inner.kind.clone()),
            ExprKind::Index { base, index } => {
                let (ExprKind::Str(text), ExprKind::Int(i)) = (&base.kind, &index.kind) else {
                    return None;
                };
                text.get(usize::try_from(*i).ok()?).map(|b| ExprKind::Int(u64::from(*b)))
            }
            ExprKind::Call { name, args } if name.name == "str" => str_call(args),
            _ => None,
        }
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr, whole: &Expr) -> Option<ExprKind> {
        match op {
            UnaryOp::Not => truth(operand)
                .filter(|_| !matches!(operand.kind, ExprKind::Str(_)))
                .map(|b| ExprKind::Bool(!b)),
            UnaryOp::BitNot => match int_literal(operand)? {
                n if n >= 0 => Some(ExprKind::Int(!(n as u64))),
                n => self.int(!n, whole),
            },
            // `-5` is a literal as it stands, if there is such a number.
            UnaryOp::Neg => match int_literal(operand)? {
                n if n > 0 => {
                    self.int(-n, whole);
                    None
                }
                n => self.int(-n, whole),
            },
            UnaryOp::Deref | UnaryOp::AddressOf => None,
        }
    }

    fn binary(
        &mut self,
        op: BinaryOp,
        left: &Expr,
        right: &Expr,
        whole: &Expr,
    ) -> Option<ExprKind> {
        if let (Some(a), Some(b)) = (int_literal(left), int_literal(right)) {
            return self.ints(op, a, b, whole, right);
        }
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            let (a, b) = (truth(left)?, truth(right)?);
            return Some(ExprKind::Bool(if op == BinaryOp::And { a && b } else { a || b }));
        }
        match (&left.kind, &right.kind) {
            (ExprKind::Str(a), ExprKind::Str(b)) => match op {
                BinaryOp::Add => Some(ExprKind::Str([a.as_slice(), b].concat())),
                _ => compare(op, a, b).map(ExprKind::Bool),
            },
            // The text from a byte on, as pointers have it.
            (ExprKind::Str(a), ExprKind::Int(n)) if op == BinaryOp::Add => {
                let rest = usize::try_from(*n).ok().and_then(|n| a.get(n..)).unwrap_or_default();
                Some(ExprKind::Str(rest.to_vec()))
            }
            (ExprKind::Bool(a), ExprKind::Bool(b)) => compare(op, a, b).map(ExprKind::Bool),
            _ => None,
        }
    }

    fn ints(
        &mut self,
        op: BinaryOp,
        a: i128,
        b: i128,
        whole: &Expr,
        right: &Expr,
    ) -> Option<ExprKind> {
        if let Some(result) = compare(op, &a, &b) {
            return Some(ExprKind::Bool(result));
        }
        let result = match op {
            BinaryOp::And => return Some(ExprKind::Bool(a != 0 && b != 0)),
            BinaryOp::Or => return Some(ExprKind::Bool(a != 0 || b != 0)),
            BinaryOp::Add => Some(a + b),
            BinaryOp::Sub => Some(a - b),
            // Both are of 65 bits at most.
            BinaryOp::Mul => a.checked_mul(b),
            BinaryOp::BitAnd => Some(a & b),
            BinaryOp::BitOr => Some(a | b),
            BinaryOp::BitXor => Some(a ^ b),
            BinaryOp::Div | BinaryOp::Rem if b == 0 => {
                self.errors.push(Diagnostic::error(
                    "division-by-zero",
                    right.span,
                    "the divisor is 0",
                ));
                return None;
            }
            BinaryOp::Div => Some(a / b),
            BinaryOp::Rem => Some(a % b),
            BinaryOp::Shl | BinaryOp::Shr => {
                let Some(bits) = u32::try_from(b).ok().filter(|bits| *bits < 64) else {
                    self.errors.push(
                        Diagnostic::error(
                            "literal-overflow",
                            right.span,
                            format!("a shift by {b} bits has no meaning"),
                        )
                        .label("expected 0 to 63"),
                    );
                    return None;
                };
                Some(shift(op, a, bits))
            }
            _ => None,
        };
        match result {
            Some(n) => self.int(n, whole),
            None => self.overflow(whole),
        }
    }

    /// A literal for a number, or an error if 64 bits cannot hold it.
    fn int(&mut self, n: i128, whole: &Expr) -> Option<ExprKind> {
        if let Ok(n) = u64::try_from(n) {
            return Some(ExprKind::Int(n));
        }
        if n < i128::from(i64::MIN) || n > 0 {
            return self.overflow(whole);
        }
        let operand = Expr { kind: ExprKind::Int(n.unsigned_abs() as u64), span: whole.span };
        Some(ExprKind::Unary { op: UnaryOp::Neg, operand: Box::new(operand) })
    }

    fn overflow(&mut self, whole: &Expr) -> Option<ExprKind> {
        self.errors.push(
            Diagnostic::error(
                "literal-overflow",
                whole.span,
                "this number does not fit into 64 bits",
            )
            .note("numbers go from -9223372036854775808 to 18446744073709551615"),
        );
        None
    }
}

fn shift(op: BinaryOp, a: i128, bits: u32) -> i128 {
    match (op, u64::try_from(a)) {
        (BinaryOp::Shl, Ok(a)) => i128::from(a << bits),
        (BinaryOp::Shl, Err(_)) => i128::from((a as i64) << bits),
        (_, Ok(a)) => i128::from(a >> bits),
        (_, Err(_)) => i128::from((a as i64) >> bits),
    }
}

/// A comparison of two literals; `None` if the operator is another one.
pub(super) fn compare<T: PartialOrd + ?Sized>(op: BinaryOp, a: &T, b: &T) -> Option<bool> {
    match op {
        BinaryOp::Eq => Some(a == b),
        BinaryOp::Ne => Some(a != b),
        BinaryOp::Lt => Some(a < b),
        BinaryOp::Le => Some(a <= b),
        BinaryOp::Gt => Some(a > b),
        BinaryOp::Ge => Some(a >= b),
        _ => None,
    }
}

/// `str` of a literal is its text, perhaps cut.
fn str_call(args: &[Expr]) -> Option<ExprKind> {
    let (first, rest) = args.split_first()?;
    let mut text = match &first.kind {
        ExprKind::Str(text) => text.clone(),
        _ => int_literal(first)?.to_string().into_bytes(),
    };
    match rest {
        [] => {}
        [Expr { kind: ExprKind::Int(n), .. }] => {
            text.truncate(usize::try_from(*n).unwrap_or(usize::MAX));
        }
        _ => return None,
    }
    Some(ExprKind::Str(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    fn int(n: u64) -> Expr {
        Expr { kind: ExprKind::Int(n), span: Span::default() }
    }

    fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
        let kind = ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) };
        Expr { kind, span: Span::default() }
    }

    fn folded(mut expr: Expr) -> (Option<i128>, usize) {
        let mut errors = Vec::new();
        fold_expr(&mut expr, &mut errors);
        (int_literal(&expr), errors.len())
    }

    #[test]
    fn folds_numbers_in_64_bits() {
        assert_eq!(folded(binary(BinaryOp::Shl, int(1), int(63))), (Some(1 << 63), 0));
        assert_eq!(folded(binary(BinaryOp::Sub, int(1), int(3))), (Some(-2), 0));
        assert_eq!(
            folded(binary(BinaryOp::Div, binary(BinaryOp::Sub, int(0), int(5)), int(2))),
            (Some(-2), 0)
        );
        assert_eq!(folded(binary(BinaryOp::Add, int(u64::MAX), int(1))), (None, 1));
        assert_eq!(folded(binary(BinaryOp::Div, int(1), int(0))), (None, 1));
        assert_eq!(folded(binary(BinaryOp::Shr, int(1), int(64))), (None, 1));
        assert_eq!(folded(binary(BinaryOp::Mul, int(u64::MAX), int(2))), (None, 1));
    }
}
