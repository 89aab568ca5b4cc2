//! Positional parameters: `$1`, `${1:-x}`, `$#`.
//!
//! In an expression a parameter is a number if it reads as one and a string otherwise; directly in
//! `str(...)` it is always a string. In an attach point it is text, colons in it included. One that
//! was not given is its default, else 0, else an empty string.

use crate::ast::{
    AttachPart, AttachPiece, AttachPoint, BinaryOp, Expr, ExprKind, Item, Param, Script, UnaryOp,
};
use crate::parse::literals;
use crate::span::Span;

use super::visit::{self, VisitMut};

/// Puts `given` in place of the parameters of a script.
pub(super) fn expand(script: &mut Script, given: &[String]) {
    for item in &mut script.items {
        if let Item::Probe(probe) = item {
            for point in &mut probe.attach_points {
                expand_attach_point(point, given);
            }
        }
    }
    Expander { given }.script(script);
}

/// The text that a parameter stands for; nothing if it was neither given nor has a default.
/// An empty one takes the default, as in a shell.
fn text<'a>(param: &'a Param, given: &'a [String]) -> Option<&'a str> {
    let index = (param.number as usize).checked_sub(1)?;
    let given = given.get(index).map(String::as_str).filter(|t| !t.is_empty());
    given.or(param.default.as_deref())
}

struct Expander<'a> {
    given: &'a [String],
}

impl VisitMut for Expander<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Call { name, args } if name.name == "str" => {
                if let Some(arg) = args.first_mut() {
                    self.make_text(arg);
                }
            }
            ExprKind::Param(param) => {
                let found = text(param, self.given);
                expr.kind = found.map_or(ExprKind::Int(0), |t| value(t, expr.span));
            }
            ExprKind::ParamCount => expr.kind = ExprKind::Int(self.given.len() as u64),
            _ => {}
        }
        visit::expr(self, expr);
    }
}

impl Expander<'_> {
    /// The parameter in `str($1)` and in `str($1 + 2)` is text.
    fn make_text(&self, arg: &mut Expr) {
        match &mut arg.kind {
            ExprKind::Binary { op: BinaryOp::Add, left, .. }
                if matches!(left.kind, ExprKind::Param(_)) =>
            {
                self.make_text(left);
            }
            ExprKind::Param(param) => {
                let found = text(param, self.given).unwrap_or_default();
                arg.kind = ExprKind::Str(found.as_bytes().to_vec());
            }
            _ => {}
        }
    }
}

/// A number if the text reads as one, else a string.
pub(super) fn value(text: &str, span: Span) -> ExprKind {
    let number = text.strip_prefix('-').unwrap_or(text);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit());
    match literals::integer(number) {
        Ok(n) if is_number && number.len() == text.len() => ExprKind::Int(n),
        Ok(n) if is_number && n <= 1 << 63 => {
            let operand = Box::new(Expr { kind: ExprKind::Int(n), span });
            ExprKind::Unary { op: UnaryOp::Neg, operand }
        }
        _ => ExprKind::Str(text.as_bytes().to_vec()),
    }
}

/// Puts values into an attach point. A colon in a value separates parts, as one that is written.
fn expand_attach_point(point: &mut AttachPoint, given: &[String]) {
    let mut parts = Vec::with_capacity(point.parts.len());
    for part in std::mem::take(&mut point.parts) {
        let span = part.span;
        let mut pieces = Vec::new();
        for piece in part.pieces {
            let AttachPiece::Param(param) = piece else {
                pieces.push(piece);
                continue;
            };
            for (i, text) in text(&param, given).unwrap_or_default().split(':').enumerate() {
                if i > 0 {
                    parts.push(AttachPart { pieces: std::mem::take(&mut pieces), span });
                }
                if !text.is_empty() {
                    pieces.push(AttachPiece::Text(text.to_owned()));
                }
            }
        }
        parts.push(AttachPart { pieces: merged(pieces), span });
    }
    point.parts = parts;
}

/// Joins neighbouring pieces of text.
fn merged(pieces: Vec<AttachPiece>) -> Vec<AttachPiece> {
    let mut result: Vec<AttachPiece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match (result.last_mut(), piece) {
            (Some(AttachPiece::Text(last)), AttachPiece::Text(text)) => last.push_str(&text),
            (_, piece) => result.push(piece),
        }
    }
    result
}
