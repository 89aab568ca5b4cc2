//! The table of functions. Each row says how a function is called and what it becomes; the rows
//! are beside the code that checks them, a file a family.

mod convert;
mod maps;
mod output;
mod process;
mod stack;
mod symbols;
mod text;
mod time;

use crate::ast;
use crate::diag::Diagnostic;
use crate::expand::stdlib;
use crate::resolve::did_you_mean;
use crate::span::Span;

use super::{Checker, Typed, aggregate, builtins, comptime};

/// A function.
pub(super) struct Function {
    /// Its name.
    pub name: &'static str,
    /// Fewest arguments.
    pub min: usize,
    /// Most arguments.
    pub max: usize,
    /// How it is called.
    pub usage: &'static str,
    /// What a call becomes; the number of arguments has been checked.
    pub make: fn(&mut Checker<'_>, &CallSite<'_>) -> Typed,
}

/// A call.
pub(super) struct CallSite<'e> {
    /// Name of the function.
    pub name: &'e ast::Ident,
    /// Its arguments.
    pub args: &'e [ast::Expr],
    /// All of it.
    pub span: Span,
}

/// Most arguments of a function that takes a format.
const MOST_ARGS: usize = 128;

const TABLES: &[&[Function]] = &[
    comptime::TABLE,
    convert::TABLE,
    maps::TABLE,
    output::TABLE,
    process::TABLE,
    stack::TABLE,
    symbols::TABLE,
    text::TABLE,
    time::TABLE,
];

/// Functions of bpftrace that are not built yet.
const UNSUPPORTED: &[&str] =
    &["kfunc_allowed", "kfunc_exist", "memcmp", "skboutput", "skb_output", "unwatch", "watchpoint"];

fn find(name: &str) -> Option<&'static Function> {
    TABLES.iter().flat_map(|table| table.iter()).find(|f| f.name == name)
}

/// Whether there is a function of this name.
pub(super) fn exists(name: &str) -> bool {
    find(name).is_some() || aggregate::is_aggregate(name)
}

/// Types a call.
pub(super) fn call(
    checker: &mut Checker<'_>,
    name: &ast::Ident,
    args: &[ast::Expr],
    span: Span,
) -> Typed {
    if let Some(function) = find(&name.name) {
        checker.argument_count(name, args, function.min, function.max, function.usage, span)?;
        return (function.make)(checker, &CallSite { name, args, span });
    }
    if aggregate::is_aggregate(&name.name) {
        return Err(checker.error(
            Diagnostic::error(
                "aggregate-not-assigned",
                span,
                format!("{}() must be assigned to a map", name.name),
            )
            .help(format!("write @x = {}(...);", name.name)),
        ));
    }
    // Every builtin can be called.
    if args.is_empty()
        && let Some(value) = builtins::find(checker, &name.name, span)
    {
        return value;
    }
    if UNSUPPORTED.contains(&name.name.as_str()) || builtins::is_unsupported(&name.name) {
        return Err(checker.unsupported(name.span, format!("{}()", name.name)));
    }
    if builtins::names().any(|n| n == name.name) {
        return Err(checker.unsupported(span, format!("{} with arguments", name.name)));
    }
    let error = Diagnostic::error(
        "unknown-function",
        name.span,
        format!("there is no function `{}`", name.name),
    );
    let names = TABLES.iter().flat_map(|table| table.iter().map(|f| f.name));
    let known = names.chain(aggregate::names()).chain(stdlib::names());
    let error = did_you_mean(error, &name.name, known);
    Err(checker.error(error))
}

impl Checker<'_> {
    /// Checks the number of arguments.
    pub fn argument_count(
        &mut self,
        name: &ast::Ident,
        args: &[ast::Expr],
        min: usize,
        max: usize,
        usage: &str,
        span: Span,
    ) -> Typed<()> {
        if (min..=max).contains(&args.len()) {
            return Ok(());
        }
        let expected = match (min, max) {
            (0, 0) => "no arguments".to_owned(),
            (1, 1) => "one argument".to_owned(),
            (min, max) if min == max => format!("{min} arguments"),
            (min, MOST_ARGS) => format!("at least {min} and at most {MOST_ARGS} arguments"),
            (min, max) => format!("{min} to {max} arguments"),
        };
        // The first that is too many, or the call.
        let place = args.get(max).map_or(span, |arg| arg.span);
        Err(self.error(
            Diagnostic::error(
                "argument-count",
                place,
                format!("{}() takes {expected}, found {}", name.name, args.len()),
            )
            .help(format!("it is called as {usage}")),
        ))
    }

    /// The text of an argument that must be a string literal.
    pub fn literal_text(&mut self, function: &str, arg: &ast::Expr) -> Typed<String> {
        let ast::ExprKind::Str(bytes) = &arg.kind else {
            let error = Diagnostic::error(
                "not-a-literal",
                arg.span,
                format!("{function}() needs to know this text when the script is compiled"),
            )
            .label("expected a string literal");
            return Err(self.error(error));
        };
        String::from_utf8(bytes.clone()).map_err(|_| {
            self.error(Diagnostic::error("not-text", arg.span, "this is not UTF-8 text"))
        })
    }

    /// The value of an argument that must be an integer literal that is not negative.
    pub fn literal_number(&mut self, function: &str, arg: &ast::Expr) -> Typed<u64> {
        let number = super::fold::int_literal(arg);
        number.and_then(|n| u64::try_from(n).ok()).ok_or_else(|| {
            let (code, message) = match number {
                Some(_) => {
                    ("argument-range", format!("{function}() takes no negative number here"))
                }
                None => (
                    "not-a-literal",
                    format!("{function}() needs to know this number when the script is compiled"),
                ),
            };
            self.error(Diagnostic::error(code, arg.span, message).label("expected a literal"))
        })
    }

    /// An error about an argument of the wrong type.
    pub fn wrong_argument(
        &mut self,
        function: &str,
        found: &crate::hir::Expr,
        expected: &str,
    ) -> super::Stop {
        let shown = self.show(&found.ty);
        self.error(
            Diagnostic::error(
                "argument-type",
                found.span,
                format!("{function}() cannot take this"),
            )
            .label(format!("expected {expected}, found {shown}")),
        )
    }
}
