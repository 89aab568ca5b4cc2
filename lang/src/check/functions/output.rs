//! What prints, and what else asks something of user space: `printf`, `print`, `exit`, `system`.

use rbtrace_probes_ebpf::format::{self, ArgClass, Conversion, FormatError, Piece};

use crate::ast::{self, ExprKind as Ast};
use crate::diag::Diagnostic;
use crate::hir::{Action, Expr, ExprKind, Stmt, StmtKind, Type};
use crate::span::Span;

use super::super::convert::{cast, not, text};
use super::super::{Checker, Stop, Typed, Value};
use super::{CallSite, Function, MOST_ARGS};

pub(super) const TABLE: &[Function] = &[
    Function::new("printf", 1, MOST_ARGS, "printf(format, ...)", |cx, call| match cx.is_pinned() {
        true => cx.seq_printf(call),
        false => cx.formatted(call, |format, args| Action::Printf { format, args }),
    }),
    Function::new("errorf", 1, MOST_ARGS, "errorf(format, ...)", |cx, call| {
        cx.formatted(call, |format, args| Action::Errorf { format, args, warning: false })
    }),
    Function::new("warnf", 1, MOST_ARGS, "warnf(format, ...)", |cx, call| {
        cx.formatted(call, |format, args| Action::Errorf { format, args, warning: true })
    }),
    Function::new("cat", 1, MOST_ARGS, "cat(path_format, ...)", |cx, call| {
        cx.formatted(call, |format, args| Action::Cat { format, args })
    }),
    Function::new("system", 1, MOST_ARGS, "system(command_format, ...)", |cx, call| {
        cx.formatted(call, |format, args| Action::System { format, args })
    })
    .unsafe_for("runs commands on this machine"),
    Function::new("debugf", 1, MOST_ARGS, "debugf(format, ...)", debugf),
    Function::new("fail", 1, MOST_ARGS, "fail(format, ...)", fail),
    Function::new("print", 1, 3, "print(value), print(@map[, top[, div]])", print),
    Function::new("exit", 0, 1, "exit([status])", exit),
    Function::one("unwatch", "unwatch(address)", unwatch),
    Function::new("join", 1, 2, "join(strings[, separator])", join),
    Function::new("assert", 2, 2, "assert(condition, message)", assert),
];

/// Detaches the watchpoints on an address.
fn unwatch(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let arg = call.args.first().ok_or(Stop::Reported)?;
    let value = checker.value(arg)?;
    match &value.expr.ty {
        Type::Int(_) | Type::Ptr { .. } => {
            let address = cast(value.expr, &Type::U64);
            Ok(Value::stmt(StmtKind::Action(Action::Unwatch(address)), call.span))
        }
        _ => Err(checker.wrong_argument("unwatch", &value.expr, "an address")),
    }
}

impl Checker<'_> {
    /// A function that takes a format.
    fn formatted(&mut self, call: &CallSite<'_>, action: fn(String, Vec<Expr>) -> Action) -> Typed {
        let (format, values) = self.format_and_values(call)?;
        Ok(Value::stmt(StmtKind::Action(action(format, values)), call.span))
    }

    /// The format of a call, and the values that it is for.
    pub fn format_and_values(&mut self, call: &CallSite<'_>) -> Typed<(String, Vec<Expr>)> {
        let Some((first, rest)) = call.args.split_first() else {
            return Err(Stop::Reported);
        };
        let template = self.literal_text(&call.name.name, first);
        let args: Vec<_> = rest.iter().map(|arg| self.value(arg)).collect();
        let template = template?;
        let mut exprs = Vec::with_capacity(args.len());
        for arg in args {
            let arg = arg?;
            self.printable(&arg.expr)?;
            exprs.push(arg.expr);
        }
        self.check_format(&template, first.span, &exprs, call.span)?;
        Ok((template, exprs))
    }

    /// Values can be sent to user space if they are anywhere but in the context.
    fn printable(&mut self, expr: &Expr) -> Typed<()> {
        if matches!(expr.kind, ExprKind::TracepointRecord) {
            return Err(self.unsupported(expr.span, "printing a whole record of a tracepoint"));
        }
        self.sized(&expr.ty, expr.span).map(|_| ())
    }

    fn check_format(
        &mut self,
        template: &str,
        place: Span,
        args: &[Expr],
        span: Span,
    ) -> Typed<()> {
        let classes: Vec<ArgClass> = args.iter().map(|arg| class(&arg.ty)).collect();
        let checked = format::parse(template).and_then(|pieces| format::check(&pieces, &classes));
        let Err(error) = checked else { return Ok(()) };
        let diagnostic = match &error {
            FormatError::TooFew { supplied, expected } => Diagnostic::error(
                "format-arguments",
                place,
                mismatched_counts(*expected, *supplied),
            ),
            FormatError::TooMany { supplied, expected } => Diagnostic::error(
                "format-arguments",
                args.get(*expected).map_or(span, |arg| arg.span),
                mismatched_counts(*expected, *supplied),
            )
            .also(place, "the format"),
            FormatError::Mismatch { index, conversion } => {
                let arg = args.get(*index);
                let found = arg.map(|arg| self.show(&arg.ty)).unwrap_or_default();
                let letters = conversion.letters();
                Diagnostic::error(
                    "format-mismatch",
                    arg.map_or(span, |arg| arg.span),
                    format!("%{letters} cannot print a value of type {found}"),
                )
                .also(place, "the format")
                .help("%s prints values of every type")
            }
            FormatError::Unsupported(letters) => {
                let letters = letters.trim_start_matches('%');
                Diagnostic::error("bad-format", place, format!("there is no conversion %{letters}"))
                    .note(format!("the conversions are {}", conversions()))
            }
            other => Diagnostic::error("bad-format", place, other.to_string()),
        };
        Err(self.error(diagnostic))
    }
}

/// Every conversion.
fn conversions() -> String {
    let all = Conversion::ALL.map(|(letters, _)| format!("%{letters}"));
    all.join(" ")
}

fn mismatched_counts(conversions: usize, values: usize) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!(
        "the format has {}, but there {} {}",
        count(conversions, "conversion"),
        if values == 1 { "is" } else { "are" },
        count(values, "value")
    )
}

/// How conversions see a type.
fn class(ty: &Type) -> ArgClass {
    match ty {
        Type::Int(_) | Type::Bool | Type::Ptr { .. } | Type::Enum(_) => ArgClass::Integer,
        Type::Buf { .. } => ArgClass::Buffer,
        Type::Void => ArgClass::Nothing,
        _ => ArgClass::Other,
    }
}

/// Most arguments of `bpf_trace_printk` beside the format.
const MOST_TRACED: usize = 3;

/// `debugf()`: the kernel itself formats, into the trace pipe.
fn debugf(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    checker.warn(
        Diagnostic::warning("debugf", call.span, "debugf() is for looking for errors only")
            .note("all programs share the kernel's trace pipe; it is slow and read as root"),
    );
    if let Some(extra) = call.args.get(MOST_TRACED + 1) {
        return Err(checker.error(Diagnostic::error(
            "argument-count",
            extra.span,
            format!("debugf() takes a format and at most {MOST_TRACED} values"),
        )));
    }
    checker.formatted(call, |format, args| Action::Debugf { format, args })
}

/// `fail()`: an error of the script's own making. What stands where nothing gets to is not
/// compiled, and so does not fail.
fn fail(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some((format, args)) = call.args.split_first() else { return Err(Stop::Reported) };
    let template = checker.literal_text("fail", format)?;
    let mut literals = Vec::with_capacity(args.len());
    for arg in args {
        literals.push(literal_of(checker, arg)?);
    }
    let classes: Vec<ArgClass> = literals.iter().map(|(class, _)| *class).collect();
    let message = format::parse(&template).and_then(|pieces| {
        format::check(&pieces, &classes)?;
        Ok(pieces)
    });
    let message = match message {
        Ok(pieces) => spell(&pieces, &literals),
        Err(_) => template,
    };
    Err(checker.error(Diagnostic::error("script-failed", call.span, message)))
}

/// A literal as `fail()` prints it.
fn literal_of(checker: &mut Checker<'_>, arg: &ast::Expr) -> Typed<(ArgClass, String)> {
    Ok(match &arg.kind {
        Ast::Str(text) => (ArgClass::Other, String::from_utf8_lossy(text).into_owned()),
        Ast::Bool(b) => (ArgClass::Integer, b.to_string()),
        _ => match super::super::fold::int_literal(arg) {
            Some(n) => (ArgClass::Integer, n.to_string()),
            None => {
                let error = Diagnostic::error(
                    "not-a-literal",
                    arg.span,
                    "fail() needs to know its arguments when the script is compiled",
                )
                .label("expected a literal");
                return Err(checker.error(error));
            }
        },
    })
}

fn spell(pieces: &[Piece], literals: &[(ArgClass, String)]) -> String {
    let mut literals = literals.iter();
    let part = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Conversion(_) => literals.next().map(|(_, t)| t.clone()).unwrap_or_default(),
    };
    pieces.iter().map(part).collect()
}

fn print(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some((first, numbers)) = call.args.split_first() else {
        return Err(Stop::Reported);
    };
    let action = match &first.kind {
        Ast::Map { name, key: None } => {
            let map = checker.whole_map(name, first.span)?;
            let (top, div) = top_and_div(checker, numbers)?;
            Action::PrintMap { map, top, div }
        }
        Ast::Map { name, key: Some(key) } => {
            let Some(action) = print_entry(checker, name, key, first, numbers)? else {
                return print_value(checker, first, numbers, call);
            };
            action
        }
        _ => return print_value(checker, first, numbers, call),
    };
    Ok(Value::stmt(StmtKind::Action(action), call.span))
}

/// `print(@x[k])` of a map whose values are more than one number. Other entries are printed as
/// the values that they are.
fn print_entry(
    checker: &mut Checker<'_>,
    name: &str,
    key: &ast::Expr,
    entry: &ast::Expr,
    numbers: &[ast::Expr],
) -> Typed<Option<Action>> {
    let map = checker.map_use(name, true, entry.span)?;
    let Some(ty) = checker.maps.value(map).cloned() else {
        return Err(checker.unknown_map(map, entry.span));
    };
    match &ty.ty {
        Type::Aggregate(aggregate) if super::super::aggregate::as_integer(aggregate).is_none() => {}
        _ => return Ok(None),
    }
    let key = checker.map_key(map, key)?;
    let (_, div) = top_and_div(checker, numbers)?;
    Ok(Some(Action::PrintEntry { map, key, value: None, div }))
}

fn print_value(
    checker: &mut Checker<'_>,
    first: &ast::Expr,
    numbers: &[ast::Expr],
    call: &CallSite<'_>,
) -> Typed {
    let value = checker.value(first)?;
    if let Some(extra) = numbers.first() {
        let error = Diagnostic::error(
            "argument-count",
            extra.span,
            "print() of a value takes one argument",
        )
        .note("only a map is printed with the number of its entries and a divisor");
        return Err(checker.error(error));
    }
    checker.printable(&value.expr)?;
    Ok(Value::stmt(StmtKind::Action(Action::PrintValue(value.expr)), call.span))
}

fn top_and_div(checker: &mut Checker<'_>, numbers: &[ast::Expr]) -> Typed<(u32, u32)> {
    let mut found = [0u32; 2];
    for (number, arg) in found.iter_mut().zip(numbers) {
        let n = checker.literal_number("print", arg)?;
        *number = u32::try_from(n).unwrap_or(u32::MAX);
    }
    Ok((found[0], found[1]))
}

fn exit(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(arg) = call.args.first() else {
        return Ok(Value::stmt(StmtKind::Action(Action::Exit(None)), call.span));
    };
    let value = checker.value(arg)?;
    let Type::Int(_) = value.expr.ty else {
        return Err(checker.wrong_argument("exit", &value.expr, "a number"));
    };
    let code = cast(value.expr, &Type::I64);
    Ok(Value::stmt(StmtKind::Action(Action::Exit(Some(code))), call.span))
}

fn join(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(first) = call.args.first() else { return Err(Stop::Reported) };
    let separator = match call.args.get(1) {
        Some(arg) => checker.literal_text("join", arg)?,
        None => " ".to_owned(),
    };
    let value = checker.value(first)?;
    let space = match &value.expr.ty {
        Type::Ptr { space, .. } => *space,
        Type::Int(_) => checker.pointer_space(),
        _ => return Err(checker.wrong_argument("join", &value.expr, "a pointer to strings")),
    };
    let byte = Type::Int(crate::hir::Int { size: 1, signed: true });
    let string = Type::Ptr { to: Box::new(byte), space };
    let list = cast(value.expr, &Type::Ptr { to: Box::new(string), space });
    Ok(Value::stmt(StmtKind::Action(Action::Join { list, separator }), call.span))
}

fn assert(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [condition, message] = call.args else { return Err(Stop::Reported) };
    let condition = checker.value(condition).and_then(|value| checker.truth(value));
    let message = match &message.kind {
        Ast::Str(bytes) => text(bytes.clone(), message.span),
        _ => checker.value(message)?,
    };
    let span = call.span;
    let report = Action::Errorf {
        format: "assert failed: %s".into(),
        args: vec![message.expr],
        warning: false,
    };
    let status = Expr { kind: ExprKind::Int(1), ty: Type::I64, span };
    let act = |action| Stmt { kind: StmtKind::Action(action), span };
    let failed = vec![act(report), act(Action::Exit(Some(status)))];
    let kind = StmtKind::If { cond: not(condition?), then: failed, otherwise: Vec::new() };
    Ok(Value::stmt(kind, span))
}
