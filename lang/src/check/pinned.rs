//! Iterators with a pin. Whoever reads the file runs the program, with rbtrace long gone: so what
//! it prints is formatted by the kernel into what is read, and nothing else is told to anybody.

use rbtrace_probes_ebpf::format::{self, Conversion, Piece, Spec};

use crate::diag::Diagnostic;
use crate::hir::{Action, Expr, ExprKind, Int, SeqPiece, Stmt, StmtKind, Type, visit};
use crate::span::Span;

use super::convert::{cast, text};
use super::functions::CallSite;
use super::{Checker, Stop, Typed, Value};

impl Checker<'_> {
    /// Whether the block at hand is an iterator with a pin.
    pub fn is_pinned(&self) -> bool {
        self.at.probes.first().is_some_and(|(_, probe)| probe.target.is_pinned())
    }

    /// `printf()`, by the kernel.
    pub(super) fn seq_printf(&mut self, call: &CallSite<'_>) -> Typed {
        let (template, args) = self.format_and_values(call)?;
        let pieces = format::parse(&template).map_err(|_| Stop::Reported)?;
        let mut args = args.into_iter();
        let mut seq = Vec::with_capacity(pieces.len());
        for piece in pieces {
            seq.push(match piece {
                Piece::Text(text) => SeqPiece::Text(text),
                Piece::Conversion(spec) => {
                    self.seq_value(spec, args.next().ok_or(Stop::Reported)?)?
                }
            });
        }
        Ok(Value::stmt(StmtKind::Action(Action::SeqPrintf(seq)), call.span))
    }

    /// A value as a conversion of the kernel's prints it.
    fn seq_value(&mut self, spec: Spec, value: Expr) -> Typed<SeqPiece> {
        let (spec, value) = match spec.conversion {
            Conversion::Str => self.as_shown(spec, value)?,
            Conversion::Pointer => (spec, cast(value, &Type::U64)),
            conversion => {
                let size = (spec.length.bits() / 8) as u8;
                let signed = conversion == Conversion::Signed;
                (spec, cast(value, &Type::Int(Int { size, signed })))
            }
        };
        match spec.in_kernel() {
            Some(format) => Ok(SeqPiece::Value { format, value }),
            None => Err(self.error(
                Diagnostic::error(
                    "pinned-iterator",
                    value.span,
                    format!("the kernel cannot print this by %{}", spec.conversion.letters()),
                )
                .note("an iterator with a pin prints without rbtrace")
                .help("it knows %d, %u, %x, %X, %c and %s with a width, and %p without"),
            )),
        }
    }

    /// `%s` of a value: as what the kernel can print like `print()` shows it.
    fn as_shown(&mut self, spec: Spec, value: Expr) -> Typed<(Spec, Expr)> {
        let by = |conversion| Spec { conversion, ..spec };
        let span = value.span;
        Ok(match &value.ty {
            Type::Str { .. } => (spec, value),
            Type::Int(Int { signed: true, .. }) => (by(Conversion::Signed), value),
            Type::Int(_) => (by(Conversion::Unsigned), value),
            Type::Ptr { .. } => (by(Conversion::Pointer), value),
            Type::Bool => (spec, word(value)),
            Type::Probe => (spec, self.name_of_probe(span)),
            ty => {
                let shown = self.show(ty);
                return Err(self.error(
                    Diagnostic::error(
                        "pinned-iterator",
                        span,
                        format!("the kernel cannot print a value of type {shown}"),
                    )
                    .note("an iterator with a pin prints without rbtrace"),
                ));
            }
        })
    }

    /// The block has one probe, whose name is known.
    fn name_of_probe(&self, span: Span) -> Expr {
        let name = self.at.probes.first().map(|(_, probe)| probe.name.clone());
        text(name.unwrap_or_default().into_bytes(), span).expr
    }

    /// Complains of what would be told to rbtrace.
    pub fn check_pinned(&mut self, body: &[Stmt]) {
        let mut wrong = Vec::new();
        visit::each_stmt(body, &mut |stmt| {
            let StmtKind::Action(action) = &stmt.kind else { return };
            let by_kernel = matches!(action, Action::SeqPrintf(_) | Action::Debugf { .. });
            if !by_kernel && !wrong.contains(&stmt.span) {
                wrong.push(stmt.span);
            }
        });
        for span in wrong {
            self.error(
                Diagnostic::error(
                    "pinned-iterator",
                    span,
                    "an iterator with a pin runs without rbtrace, which could do this",
                )
                .note("what it prints with printf() is what reading the file gives")
                .help("without the pin rbtrace runs it, once"),
            );
        }
    }
}

/// `true` or `false`
fn word(value: Expr) -> Expr {
    let span = value.span;
    let size = "false".len() as u32 + 1;
    let named = |name: &str| cast(text(name.into(), span).expr, &Type::Str { size });
    let (then, otherwise) = (Box::new(named("true")), Box::new(named("false")));
    let kind = ExprKind::Ternary { cond: Box::new(value), then, otherwise };
    Expr { kind, ty: Type::Str { size }, span }
}
