//! [`ast::Script`] to [`ast::Script`]: positional parameters become what was given on the command
//! line.
//!
//! In an expression a parameter is a number if it reads as one and a string otherwise; directly in
//! `str(...)` it is always a string. In an attach point it is text, colons in it included. One that
//! was not given is its default, else 0, else an empty string.
//!
//! [`ast::Script`]: crate::ast::Script

use crate::ast::{
    AttachPart, AttachPiece, AttachPoint, BinaryOp, Expr, ExprKind, Item, Param, Script, UnaryOp,
};
use crate::diag::Diagnostic;
use crate::parse::literals;
use crate::span::Span;

pub mod visit;

use visit::VisitMut;

/// What the command line gives a script.
#[derive(Clone, Debug, Default)]
pub struct Params {
    /// `$1` and those after it.
    pub positional: Vec<String>,
}

impl Params {
    /// The text that a parameter stands for; nothing if it was neither given nor has a default.
    /// An empty one takes the default, as in a shell.
    fn text<'a>(&'a self, param: &'a Param) -> Option<&'a str> {
        let index = (param.number as usize).checked_sub(1)?;
        let given = self.positional.get(index).map(String::as_str).filter(|t| !t.is_empty());
        given.or(param.default.as_deref())
    }
}

/// Replaces parameters by their values. No [`ExprKind::Param`], [`ExprKind::ParamCount`] and
/// [`AttachPiece::Param`] remain.
pub fn expand(mut script: Script, params: &Params) -> Result<Script, Vec<Diagnostic>> {
    let mut expander = Expander { params };
    for item in &mut script.items {
        if let Item::Probe(probe) = item {
            for point in &mut probe.attach_points {
                expand_attach_point(point, params);
            }
        }
    }
    expander.script(&mut script);
    Ok(script)
}

/// Replaces the parameters of an expression alone.
pub fn expand_expression(mut expr: Expr, params: &Params) -> Expr {
    Expander { params }.expr(&mut expr);
    expr
}

struct Expander<'a> {
    params: &'a Params,
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
                let text = self.params.text(param);
                expr.kind = text.map_or(ExprKind::Int(0), |t| value(t, expr.span));
            }
            ExprKind::ParamCount => expr.kind = ExprKind::Int(self.params.positional.len() as u64),
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
                let text = self.params.text(param).unwrap_or_default();
                arg.kind = ExprKind::Str(text.as_bytes().to_vec());
            }
            _ => {}
        }
    }
}

/// A number if the text reads as one, else a string.
fn value(text: &str, span: Span) -> ExprKind {
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
fn expand_attach_point(point: &mut AttachPoint, params: &Params) {
    let mut parts = Vec::with_capacity(point.parts.len());
    for part in std::mem::take(&mut point.parts) {
        let span = part.span;
        let mut pieces = Vec::new();
        for piece in part.pieces {
            let AttachPiece::Param(param) = piece else {
                pieces.push(piece);
                continue;
            };
            for (i, text) in params.text(&param).unwrap_or_default().split(':').enumerate() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump;
    use crate::span::Sources;

    fn expanded(text: &str, positional: &[&str]) -> String {
        let mut sources = Sources::default();
        let file = sources.add("test", text);
        let params = Params { positional: positional.iter().map(|&p| p.to_owned()).collect() };
        let script = crate::parse::parse(&sources, file).and_then(|s| expand(s, &params));
        dump::ast::script(&script.expect("the script is right"))
    }

    #[test]
    fn in_expressions() {
        let values = |positional: &[&str]| {
            expanded("BEGIN { f($1, str($1), str($1 + 2), ${2:-7}, str(${2:-x}), $#) }", positional)
                .replace("probe BEGIN\n  f", "")
        };
        assert_eq!(values(&[]), "(0, str(\"\"), str((\"\" + 2)), 7, str(\"x\"), 0)\n");
        assert_eq!(
            values(&["-5", ""]),
            "((-5), str(\"-5\"), str((\"-5\" + 2)), 7, str(\"x\"), 2)\n"
        );
        assert_eq!(
            values(&["10ms", "sh"]),
            "(10000000, str(\"10ms\"), str((\"10ms\" + 2)), \"sh\", str(\"sh\"), 2)\n"
        );
        assert_eq!(values(&["7x"]), "(\"7x\", str(\"7x\"), str((\"7x\" + 2)), 7, str(\"x\"), 1)\n");
    }

    #[test]
    fn in_attach_points() {
        let probe = "uprobe:${1:-libc}:mal$2,$3:\"$4\" { }";
        assert_eq!(expanded(probe, &[]), "probe uprobe:libc:mal, :\"$4\"\n");
        assert_eq!(
            expanded(probe, &["/bin/sh", "loc", "kprobe:f"]),
            "probe uprobe:/bin/sh:malloc, kprobe:f:\"$4\"\n"
        );
    }

    #[test]
    fn everywhere() {
        let text = "let @m = hash(${1:-9}); macro m(a) { $1 } BEGIN /$1/ { if ($1) { @[$1] = (int8)$1; } \
                    for ($i : 0..$1) { $x = { $1 } } let $y = $1 ? -$1 : $1; return $1; }";
        assert!(!expanded(text, &["3"]).contains("$1"));
    }
}
