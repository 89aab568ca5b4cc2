//! Aggregating assignments: `@x = count()` and its kin.

use rbtrace_probes_ebpf::types::lhist_buckets;

use crate::ast::{self, ExprKind as Ast};
use crate::diag::Diagnostic;
use crate::hir::{Aggregate, Expr, MapId, Stmt, StmtKind, Type};
use crate::reference::{Docs, docs};
use crate::span::Span;

use super::convert::cast;
use super::{Checker, Stop, Typed};

/// A function that aggregates: name, fewest and most arguments, how it is called.
struct Function {
    name: &'static str,
    min: usize,
    max: usize,
    usage: &'static str,
}

const fn one(name: &'static str, usage: &'static str) -> Function {
    Function { name, min: 1, max: 1, usage }
}

const TABLE: &[Function] = &[
    Function { name: "count", min: 0, max: 0, usage: "count()" },
    one("sum", "sum(number)"),
    one("min", "min(number)"),
    one("max", "max(number)"),
    one("avg", "avg(number)"),
    one("stats", "stats(number)"),
    Function { name: "hist", min: 1, max: 2, usage: "hist(number[, bits])" },
    Function {
        name: "tseries",
        min: 3,
        max: 4,
        usage: "tseries(number, interval, intervals[, \"avg\"|\"max\"|\"min\"|\"sum\"])",
    },
    Function { name: "lhist", min: 4, max: 4, usage: "lhist(number, min, max, step)" },
];

/// What the reference says of them.
pub(crate) const DOCS: Docs = docs!("src/check", "aggregate.md");

/// Most regular buckets of a linear histogram.
const MOST_BUCKETS: u64 = 1000;
/// Most bits of a histogram.
const MOST_BITS: i128 = 5;

/// Whether a function aggregates.
pub(super) fn is_aggregate(name: &str) -> bool {
    TABLE.iter().any(|f| f.name == name)
}

/// How one is called.
pub(super) fn usage(name: &str) -> Option<&'static str> {
    TABLE.iter().find(|f| f.name == name).map(|f| f.usage)
}

/// Their names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|f| f.name)
}

/// Their names, and how each is called.
pub(crate) fn usages() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|f| (f.name, f.usage))
}

/// The aggregate of a map that has been used in both ways. `known`: the first cannot change.
pub(super) fn join(a: &Aggregate, b: &Aggregate, known: bool) -> Option<Aggregate> {
    use Aggregate::{Avg, Max, Min, Stats, Sum, Tseries};
    let either = |x: &bool, y: &bool| if known { *x } else { *x || *y };
    match (a, b) {
        (Sum { signed: x }, Sum { signed: y }) => Some(Sum { signed: either(x, y) }),
        (Min { signed: x }, Min { signed: y }) => Some(Min { signed: either(x, y) }),
        (Max { signed: x }, Max { signed: y }) => Some(Max { signed: either(x, y) }),
        (Avg { signed: x }, Avg { signed: y }) => Some(Avg { signed: either(x, y) }),
        (Stats { signed: x }, Stats { signed: y }) => Some(Stats { signed: either(x, y) }),
        (
            Tseries { signed: x, interval, intervals, how },
            Tseries { signed: y, interval: i, intervals: n, how: h },
        ) if (interval, intervals, how) == (i, n, h) => {
            let (interval, intervals, how) = (*interval, *intervals, *how);
            Some(Tseries { interval, intervals, how, signed: either(x, y) })
        }
        (a, b) => (a == b).then(|| a.clone()),
    }
}

/// The type of an aggregate read as an integer; `None` if it is more than one number.
pub(super) fn as_integer(aggregate: &Aggregate) -> Option<Type> {
    match aggregate {
        Aggregate::Count => Some(Type::U64),
        Aggregate::Sum { signed }
        | Aggregate::Min { signed }
        | Aggregate::Max { signed }
        | Aggregate::Avg { signed } => Some(if *signed { Type::I64 } else { Type::U64 }),
        Aggregate::Stats { .. }
        | Aggregate::Hist { .. }
        | Aggregate::Lhist { .. }
        | Aggregate::Tseries { .. } => None,
    }
}

impl Checker<'_> {
    /// `@map[key] = name(args)`. The key has been typed.
    pub fn aggregate(
        &mut self,
        map: MapId,
        key: Option<Expr>,
        name: &ast::Ident,
        args: &[ast::Expr],
        span: Span,
    ) -> Typed<Stmt> {
        let Some(function) = TABLE.iter().find(|f| f.name == name.name) else {
            return Err(Stop::Reported);
        };
        self.argument_count(name, args, function.min, function.max, function.usage, span)?;
        let value = match args.first() {
            Some(arg) => Some(self.aggregated_number(name, arg)?),
            None => None,
        };
        let signed = value.as_ref().is_some_and(|v| v.ty == Type::I64);
        let aggregate = match function.name {
            "count" => Aggregate::Count,
            "sum" => Aggregate::Sum { signed },
            "min" => Aggregate::Min { signed },
            "max" => Aggregate::Max { signed },
            "avg" => Aggregate::Avg { signed },
            "stats" => Aggregate::Stats { signed },
            "tseries" => self.tseries(args, signed, span)?,
            "hist" => Aggregate::Hist { bits: self.hist_bits(args.get(1))? },
            _ => self.lhist(args, span)?,
        };
        let joined = self.learn_aggregate(map, aggregate, span)?;
        let value = value.map(|value| cast(value, number_of(&joined)));
        let time = match function.name {
            "tseries" => Some(self.series_time(span)?),
            _ => None,
        };
        Ok(Stmt { kind: StmtKind::Aggregate { map, key, value, time }, span })
    }

    /// The number that an aggregating function takes, as `int64` or `uint64`.
    fn aggregated_number(&mut self, name: &ast::Ident, arg: &ast::Expr) -> Typed<Expr> {
        let value = self.expr(arg)?;
        if !matches!(value.expr.ty, Type::Int(_) | Type::Bool | Type::Enum(_)) {
            let found = self.show(&value.expr.ty);
            return Err(self.error(
                Diagnostic::error(
                    "argument-type",
                    arg.span,
                    format!("{}() takes an integer", name.name),
                )
                .label(format!("found {found}")),
            ));
        }
        self.widen(value)
    }

    fn hist_bits(&mut self, arg: Option<&ast::Expr>) -> Typed<u8> {
        let Some(arg) = arg else { return Ok(0) };
        match super::fold::int_literal(arg) {
            Some(bits @ 0..=MOST_BITS) => Ok(bits as u8),
            _ => Err(self.error(
                Diagnostic::error("argument-range", arg.span, "these are no bits of a histogram")
                    .label(format!("expected a literal from 0 to {MOST_BITS}"))
                    .note("each power of two has 1 << bits buckets"),
            )),
        }
    }

    fn lhist(&mut self, args: &[ast::Expr], span: Span) -> Typed<Aggregate> {
        let mut numbers = [0i64; 3];
        for (number, arg) in numbers.iter_mut().zip(args.iter().skip(1)) {
            let literal = super::fold::int_literal(arg).and_then(|n| i64::try_from(n).ok());
            let Some(n) = literal else {
                return Err(self.error(
                    Diagnostic::error(
                        "not-a-literal",
                        arg.span,
                        "lhist() needs literals for its range",
                    )
                    .label("expected a number"),
                ));
            };
            *number = n;
        }
        let [min, max, step] = numbers;
        let place = |i: usize| args.get(i).map_or(span, |arg| arg.span);
        let wrong = if step < 1 {
            Some((place(3), "the step must be at least 1".to_owned()))
        } else if min >= max {
            Some((place(2), format!("the upper end {max} is not above the lower end {min}")))
        } else if max.abs_diff(min) < step as u64 {
            let range = max.abs_diff(min);
            Some((place(3), format!("a step of {step} is larger than the range of {range}")))
        } else if lhist_buckets(min, max, step) - 2 > MOST_BUCKETS {
            let count = lhist_buckets(min, max, step) - 2;
            Some((place(3), format!("{count} buckets are more than the limit of {MOST_BUCKETS}")))
        } else {
            None
        };
        match wrong {
            Some((span, message)) => {
                Err(self.error(Diagnostic::error("argument-range", span, message)))
            }
            None => Ok(Aggregate::Lhist { min, max, step }),
        }
    }

    /// The call at the end of what is assigned, if that aggregates: `count()`,
    /// `{ ...; count() }`.
    pub fn aggregate_call(value: &ast::Expr) -> Option<(&[ast::Stmt], &ast::Ident, &[ast::Expr])> {
        match &value.kind {
            Ast::Call { name, args } if is_aggregate(&name.name) => Some((&[], name, args)),
            Ast::Block(block) => match &block.value.as_deref()?.kind {
                Ast::Call { name, args } if is_aggregate(&name.name) => {
                    Some((&block.stmts, name, args))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// The type of the number that goes into an aggregate.
fn number_of(aggregate: &Type) -> &'static Type {
    match aggregate {
        Type::Aggregate(
            Aggregate::Sum { signed: false }
            | Aggregate::Min { signed: false }
            | Aggregate::Max { signed: false }
            | Aggregate::Avg { signed: false }
            | Aggregate::Stats { signed: false }
            | Aggregate::Tseries { signed: false, .. },
        ) => &Type::U64,
        _ => &Type::I64,
    }
}
