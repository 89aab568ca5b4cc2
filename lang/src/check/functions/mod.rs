//! The table of functions. Each row says how a function is called and what it becomes; the rows
//! are beside the code that checks them, a file a family.

mod convert;
mod kernel;
mod maps;
mod network;
mod output;
mod process;
pub(super) mod stack;
mod symbols;
pub(super) mod text;
mod time;

use rbtrace_probes_ebpf::helpers::Helper;

use crate::ast;
use crate::diag::Diagnostic;
use crate::expand::stdlib;
use crate::reference::{Docs, docs};
use crate::resolve::did_you_mean;
use crate::span::Span;

use super::place::Place;
use super::{Checker, Typed, aggregate, builtins, comptime};

/// What a call becomes.
type Make = fn(&mut Checker<'_>, &CallSite<'_>) -> Typed;

/// A function.
#[derive(Clone, Copy)]
pub(crate) struct Function {
    /// Its name.
    pub name: &'static str,
    /// Fewest arguments.
    min: usize,
    /// Most arguments.
    max: usize,
    /// The ways to call it, separated by `, `.
    pub usage: &'static str,
    /// Where it can be called.
    pub place: Place,
    /// What it does that needs `--unsafe`; empty if nothing.
    pub harm: &'static str,
    /// What it needs of the kernel beyond what every script needs.
    pub helper: Option<&'static Helper>,
    /// What a call becomes; the number of arguments, the place and the kernel have been checked.
    make: Make,
}

impl Function {
    /// A function that takes `min` to `max` arguments.
    pub(in crate::check) const fn new(
        name: &'static str,
        min: usize,
        max: usize,
        usage: &'static str,
        make: Make,
    ) -> Function {
        let (place, harm, helper) = (Place::ANYWHERE, "", None);
        Function { name, min, max, usage, place, harm, helper, make }
    }

    /// The same, of one argument.
    pub(in crate::check) const fn one(
        name: &'static str,
        usage: &'static str,
        make: Make,
    ) -> Function {
        Function::new(name, 1, 1, usage, make)
    }

    /// Only for probes of some kinds.
    const fn only(self, place: Place) -> Function {
        Function { place, ..self }
    }

    /// Only with `--unsafe`; `harm` says what it does.
    const fn unsafe_for(self, harm: &'static str) -> Function {
        Function { harm, ..self }
    }

    /// Only on kernels that have this.
    const fn needing(self, helper: &'static Helper) -> Function {
        Function { helper: Some(helper), ..self }
    }
}

/// Functions of one kind, and what the reference says of them: a section `## NAME` for each.
pub(crate) struct Family {
    /// Heading in the reference.
    pub title: &'static str,
    /// The functions.
    pub table: &'static [Function],
    /// The text, in the file beside the table's.
    pub docs: Docs,
}

/// Every function, in the order of the reference.
pub(crate) const FAMILIES: &[Family] = &[
    Family {
        title: "Output and actions",
        table: output::TABLE,
        docs: docs!("src/check/functions", "output.md"),
    },
    Family {
        title: "Strings and bytes",
        table: text::TABLE,
        docs: docs!("src/check/functions", "text.md"),
    },
    Family {
        title: "Numbers and addresses",
        table: convert::TABLE,
        docs: docs!("src/check/functions", "convert.md"),
    },
    Family {
        title: "Time and ids",
        table: time::TABLE,
        docs: docs!("src/check/functions", "time.md"),
    },
    Family {
        title: "Addresses of networks",
        table: network::TABLE,
        docs: docs!("src/check/functions", "network.md"),
    },
    Family { title: "Stacks", table: stack::TABLE, docs: docs!("src/check/functions", "stack.md") },
    Family {
        title: "Symbols, cgroups and sockets",
        table: symbols::TABLE,
        docs: docs!("src/check/functions", "symbols.md"),
    },
    Family { title: "Maps", table: maps::TABLE, docs: docs!("src/check/functions", "maps.md") },
    Family {
        title: "Processes",
        table: process::TABLE,
        docs: docs!("src/check/functions", "process.md"),
    },
    Family {
        title: "Objects of the kernel",
        table: kernel::TABLE,
        docs: docs!("src/check/functions", "kernel.md"),
    },
    Family { title: "Types", table: comptime::TABLE, docs: comptime::DOCS },
];

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

/// Functions of bpftrace that are not built yet.
const UNSUPPORTED: &[&str] = &["watchpoint"];

fn all() -> impl Iterator<Item = &'static Function> {
    FAMILIES.iter().flat_map(|family| family.table)
}

fn find(name: &str) -> Option<&'static Function> {
    all().find(|f| f.name == name)
}

/// Whether there is a function of this name.
pub(crate) fn exists(name: &str) -> bool {
    find(name).is_some() || aggregate::is_aggregate(name)
}

/// Types the bare name of a function, which is a call if the function can do without arguments.
/// `None`: there is no such function.
pub(super) fn call_without_brackets(
    checker: &mut Checker<'_>,
    name: &str,
    span: Span,
) -> Option<Typed> {
    let function = find(name).filter(|function| function.min == 0)?;
    let name = ast::Ident { name: name.to_owned(), span };
    Some((function.make)(checker, &CallSite { name: &name, args: &[], span }))
}

/// Types a call.
pub(super) fn call(
    checker: &mut Checker<'_>,
    name: &ast::Ident,
    args: &[ast::Expr],
    span: Span,
) -> Typed {
    if let Some(function) = find(&name.name) {
        return checker.call_of(function, &CallSite { name, args, span });
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
    if UNSUPPORTED.contains(&name.name.as_str()) {
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
    let known = all().map(|f| f.name).chain(aggregate::names()).chain(stdlib::names());
    let error = did_you_mean(error, &name.name, known);
    Err(checker.error(error))
}

impl Checker<'_> {
    /// A call of a function, once all that its row asks for holds.
    fn call_of(&mut self, function: &Function, call: &CallSite<'_>) -> Typed {
        let Function { name, min, max, usage, .. } = *function;
        self.argument_count(call.name, call.args, min, max, usage, call.span)?;
        self.needs_place(&function.place, name, call.span)?;
        if let Some(helper) = function.helper {
            self.needs(helper, &format!("{name}()"), call.span)?;
        }
        let value = (function.make)(self, call)?;
        if !function.harm.is_empty() && !self.cx.options.allow_unsafe {
            return Err(self.error(Diagnostic::error(
                "unsafe-needed",
                call.name.span,
                format!("{name}() {} and needs --unsafe", function.harm),
            )));
        }
        Ok(value)
    }

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
        let error = Diagnostic::error(
            "argument-type",
            found.span,
            format!("{function}() cannot take this"),
        )
        .label(format!("expected {expected}, found {shown}"));
        let usage = find(function).map(|f| f.usage).or_else(|| aggregate::usage(function));
        self.error(match usage {
            Some(usage) => error.help(format!("it is called as {usage}")),
            None => error,
        })
    }
}
