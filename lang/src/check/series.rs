//! The arguments of `tseries()`, and the clock that it goes by.

use rbtrace_probes_ebpf::types::{SERIES_BUCKET, SeriesHow};

use crate::ast::{self, ExprKind as Ast};
use crate::diag::Diagnostic;
use crate::hir::{Aggregate, Builtin, Expr, ExprKind, Type};
use crate::resolve::did_you_mean;
use crate::span::Span;

use super::convert::cast;
use super::{Checker, Stop, Typed, Value};

/// Ways to make one number of several.
const HOW: &[(&str, SeriesHow)] = &[
    ("avg", SeriesHow::Avg),
    ("max", SeriesHow::Max),
    ("min", SeriesHow::Min),
    ("sum", SeriesHow::Sum),
];
/// Most intervals: what a value of a per-CPU map has room for (`PCPU_MIN_UNIT_SIZE` of
/// linux/percpu.h).
const MOST_INTERVALS: u64 = (32 << 10) / SERIES_BUCKET as u64;

impl Checker<'_> {
    pub(super) fn tseries(
        &mut self,
        args: &[ast::Expr],
        signed: bool,
        span: Span,
    ) -> Typed<Aggregate> {
        self.unstable("tseries", span)?;
        let [_, interval, intervals, rest @ ..] = args else { return Err(Stop::Reported) };
        let length = self.literal_number("tseries", interval)?;
        if length == 0 {
            let error = Diagnostic::error(
                "argument-range",
                interval.span,
                "an interval lasts 1 ns or more",
            );
            return Err(self.error(error));
        }
        let count = self.literal_number("tseries", intervals)?;
        if !(1..=MOST_INTERVALS).contains(&count) {
            return Err(self.error(
                Diagnostic::error(
                    "argument-range",
                    intervals.span,
                    format!("tseries() cannot keep {count} intervals"),
                )
                .label(format!("expected a number from 1 to {MOST_INTERVALS}")),
            ));
        }
        let how = match rest.first() {
            Some(how) => self.series_how(how)?,
            None => SeriesHow::Last,
        };
        let intervals = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Aggregate::Tseries { interval: length, intervals, how, signed })
    }

    fn series_how(&mut self, arg: &ast::Expr) -> Typed<SeriesHow> {
        let word = self.literal_text("tseries", arg)?;
        if let Some((_, how)) = HOW.iter().find(|(name, _)| *name == word) {
            return Ok(*how);
        }
        let error = Diagnostic::error(
            "unknown-aggregation",
            arg.span,
            format!("tseries() cannot make `{word}` of the numbers in an interval"),
        )
        .note("it can make avg, max, min and sum; without any the last number stays");
        Err(self.error(did_you_mean(error, &word, HOW.iter().map(|(name, _)| *name))))
    }

    /// The time: of the clock, or what a map says in a script under test.
    pub(super) fn series_time(&mut self, span: Span) -> Typed<Expr> {
        if let Some(map) = self.settings.clock_map.clone() {
            let read = ast::Expr { kind: Ast::Map { name: map, key: None }, span };
            let value = self.expr(&read)?;
            return Ok(cast(value.expr, &Type::U64));
        }
        Ok(Value::new(ExprKind::Builtin(Builtin::SwTai), Type::U64, span).expr)
    }
}
