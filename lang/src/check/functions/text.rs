//! Functions on strings and bytes.

use rbtrace_probes_ebpf::helpers;

use crate::ast;
use crate::diag::Diagnostic;
use crate::hir::{Call, Expr, ExprKind, Int, Space, Type};
use crate::span::Span;

use super::super::convert::{cast, constant, number};
use super::super::{Checker, Stop, Typed, Value};
use super::{CallSite, Function};

pub(super) const TABLE: &[Function] = &[
    Function::new("str", 1, 2, "str(pointer[, length])", str_call),
    Function::new("buf", 1, 2, "buf(pointer, length), buf(array[, length])", buf),
    Function::one("strlen", "strlen(string)", string_length),
    Function::new("strncmp", 3, 3, "strncmp(string, string, length)", strncmp),
    Function::new("memcmp", 3, 3, "memcmp(value, value, bytes)", memcmp),
    Function::one("strcap", "strcap(string)", strcap),
    Function::new("strstr", 2, 2, "strstr(string, part)", strstr),
    Function::new("str_concat", 2, 2, "str_concat(string, string)", str_concat),
    Function::new("strcontains", 2, 2, "strcontains(string, part)", strcontains),
];

/// Bytes of a buffer's length, which count against `max_strlen`.
const BUF_HEADER: u32 = 4;

/// `str(p)`: the text at an address; a string as it is.
fn str_call(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(first) = call.args.first() else { return Err(Stop::Reported) };
    if let Some(payload) = checker.payload(first) {
        let (size, len) = text_length(checker, call)?;
        let len = len.unwrap_or_else(|| Checker::uint64_constant(u64::from(size), call.span));
        return Ok(checker.payload_bytes(payload, len, Type::Str { size }, call.span));
    }
    let value = match checker.value(first) {
        Ok(value) if is_go_string(checker, &value.expr.ty) => go_text(checker, first, call.span),
        value => value,
    };
    let (size, len) = text_length(checker, call)?;
    let value = value?;
    match &value.expr.ty {
        Type::Str { size: has } => {
            let ty = Type::Str { size: size.min(*has) };
            Ok(match len {
                None => Value::from(value.expr),
                Some(len) => {
                    let kind = ExprKind::Call(Box::new(Call::Cut { text: value.expr, len }));
                    Value::new(kind, ty, call.span)
                }
            })
        }
        Type::Ptr { .. } | Type::Int(_) => Ok(text_at(checker, value.expr, size, len, call.span)),
        Type::Probe => checker.probe_text(call.span).ok_or_else(|| {
            checker.unsupported(
                call.span,
                "the name of the probe as text in a block with several probes",
            )
        }),
        _ => Err(checker.wrong_argument("str", &value.expr, "a pointer or a string")),
    }
}

/// The text at an address, at most `size` bytes with its NUL, or `len` if that is less.
fn text_at(
    checker: &Checker<'_>,
    address: Expr,
    size: u32,
    len: Option<Expr>,
    span: Span,
) -> Value {
    let ptr = byte_pointer(checker, address);
    Value::new(ExprKind::Call(Box::new(Call::Str { ptr, len })), Type::Str { size }, span)
}

/// The members of a string of Go, as its debug information names them: an address and a length.
const GO_STRING: [&str; 2] = ["str", "len"];

/// Whether a value is one, in memory or of parameters.
fn is_go_string(checker: &Checker<'_>, ty: &Type) -> bool {
    match ty {
        Type::Tuple(members) => members.iter().map(|(name, _)| name.as_str()).eq(GO_STRING),
        Type::Record(id) => {
            let record = checker.program.records.get(id.index());
            record.is_some_and(|r| r.fields.iter().map(|field| field.name.as_str()).eq(GO_STRING))
        }
        _ => false,
    }
}

/// Bytes that a text of `str()` has room for, its NUL included, and how many it gets, if that is said.
fn text_length(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed<(u32, Option<Expr>)> {
    let limit = checker.settings.max_strlen;
    let Some(arg) = call.args.get(1) else { return Ok((limit, None)) };
    match super::super::fold::int_literal(arg) {
        Some(_) => {
            let size = literal_size(checker, arg, limit)?;
            Ok((size, Some(number(u64::from(size), arg.span).expr)))
        }
        None => Ok((limit, Some(checker.uint64(arg, "str")?))),
    }
}

/// The text of a string of Go, which has no NUL behind it.
fn go_text(checker: &mut Checker<'_>, string: &ast::Expr, span: Span) -> Typed {
    let [address, letters] = GO_STRING.map(|name| {
        let field = ast::Ident { name: name.to_owned(), span };
        checker.member(string, &field, span)
    });
    // The length of a text counts its NUL in.
    let one = Value::from(constant(1, Type::I64, span));
    let len = checker.operate(ast::BinaryOp::Add, letters?, one, span)?.expr;
    let size = checker.settings.max_strlen;
    Ok(text_at(checker, address?.expr, size, Some(cast(len, &Type::U64)), span))
}

/// `(string[N])address`
pub(in crate::check) fn text_of_size(
    checker: &Checker<'_>,
    address: Expr,
    size: u32,
    span: Span,
) -> Value {
    text_at(checker, address, size, Some(number(u64::from(size), span).expr), span)
}

/// Bytes of a string of a literal length, its NUL included.
fn literal_size(checker: &mut Checker<'_>, arg: &ast::Expr, limit: u32) -> Typed<u32> {
    let n = checker.literal_number("str", arg)?;
    match u32::try_from(n).ok().map(|n| n.max(1)).filter(|n| *n <= limit) {
        Some(size) => Ok(size),
        None => {
            checker.warn(
                Diagnostic::warning(
                    "string-cut",
                    arg.span,
                    format!("strings hold {} bytes at most, so this is cut", limit - 1),
                )
                .help(
                    "raise `max_strlen` in the config block or BPFTRACE_MAX_STRLEN in the environment",
                ),
            );
            Ok(limit)
        }
    }
}

/// An address as a pointer to bytes, in the space that it is known to be in.
fn byte_pointer(checker: &Checker<'_>, expr: Expr) -> Expr {
    let space = match &expr.ty {
        Type::Ptr { space: Space::Own, .. } => Space::Kernel,
        Type::Ptr { space, .. } => *space,
        _ => checker.pointer_space(),
    };
    let byte = Type::Int(Int { size: 1, signed: true });
    cast(expr, &Type::Ptr { to: Box::new(byte), space })
}

fn buf(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(first) = call.args.first() else { return Err(Stop::Reported) };
    let limit = checker.settings.max_strlen.saturating_sub(BUF_HEADER).max(1);
    if let Some(payload) = checker.payload(first) {
        let (size, len) = match call.args.get(1) {
            Some(length) => buf_length(checker, length, limit)?,
            None => (limit, Checker::uint64_constant(u64::from(limit), call.span)),
        };
        return Ok(checker.payload_bytes(payload, len, Type::Buf { size }, call.span));
    }
    let value = checker.value(first)?;
    match &value.expr.ty {
        Type::Ptr { .. } | Type::Int(_) => {}
        Type::Array { .. } | Type::Str { .. } => return buf_of(checker, value.expr, call, limit),
        _ => return Err(checker.wrong_argument("buf", &value.expr, "a pointer")),
    }
    let Some(length) = call.args.get(1) else {
        let error = Diagnostic::error(
            "argument-count",
            call.span,
            "buf() of a pointer needs to know how many bytes to read",
        )
        .help("write buf(pointer, length)");
        return Err(checker.error(error));
    };
    let (size, len) = buf_length(checker, length, limit)?;
    Ok(bytes_at(checker, value.expr, size, len, call.span))
}

/// `len` bytes at an address, `size` of them at most.
fn bytes_at(checker: &Checker<'_>, address: Expr, size: u32, len: Expr, span: Span) -> Value {
    let ptr = byte_pointer(checker, address);
    Value::new(ExprKind::Call(Box::new(Call::Buf { ptr, len })), Type::Buf { size }, span)
}

/// `(buffer[N])address`
pub(in crate::check) fn bytes_of_size(
    checker: &Checker<'_>,
    address: Expr,
    size: u32,
    span: Span,
) -> Value {
    bytes_at(checker, address, size, Checker::uint64_constant(u64::from(size), span), span)
}

/// How many bytes a buffer has room for, and how many it gets.
fn buf_length(checker: &mut Checker<'_>, length: &ast::Expr, limit: u32) -> Typed<(u32, Expr)> {
    if super::super::fold::int_literal(length).is_none() {
        return Ok((limit, checker.uint64(length, "buf")?));
    }
    let n = checker.literal_number("buf", length)?;
    let size = u32::try_from(n).unwrap_or(u32::MAX).min(limit);
    Ok((size, Checker::uint64_constant(u64::from(size), length.span)))
}

/// `buf()` of a value, of which no more than there is can be had.
fn buf_of(checker: &mut Checker<'_>, data: Expr, call: &CallSite<'_>, limit: u32) -> Typed {
    let has = super::super::types::size_of(&data.ty, &checker.program);
    let (size, len) = match (call.args.get(1), &data.ty) {
        (Some(length), _) => buf_length(checker, length, limit.min(has))?,
        (None, Type::Array { .. }) => {
            let size = limit.min(has);
            (size, Checker::uint64_constant(u64::from(size), call.span))
        }
        (None, _) => {
            let error = Diagnostic::error(
                "argument-count",
                call.span,
                "buf() of a string needs to know how many bytes to take",
            )
            .help("write buf(string, length)");
            return Err(checker.error(error));
        }
    };
    let kind = ExprKind::Call(Box::new(Call::BufOf { data, len }));
    Ok(Value::new(kind, Type::Buf { size }, call.span))
}

/// An argument that must be a string.
fn string(checker: &mut Checker<'_>, function: &str, arg: &ast::Expr) -> Typed<Expr> {
    let value = checker.value(arg)?;
    match &value.expr.ty {
        Type::Str { .. } => Ok(value.expr),
        Type::Probe if checker.at.probes.len() == 1 => {
            checker.probe_text(arg.span).map(|v| v.expr).ok_or(Stop::Reported)
        }
        Type::Ptr { .. } => {
            let error = Diagnostic::error(
                "argument-type",
                arg.span,
                format!("{function}() takes a string, not a pointer to one"),
            )
            .help("str() reads the string: str(pointer)");
            Err(checker.error(error))
        }
        _ => Err(checker.wrong_argument(function, &value.expr, "a string")),
    }
}

/// Bytes of a string before its NUL.
pub(super) fn string_length(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    let value = checker.value(arg)?;
    match &value.expr.ty {
        Type::KStack(_) | Type::UStack(_) => {
            let kind = ExprKind::Call(Box::new(Call::StackLen(value.expr)));
            return Ok(Value::new(kind, Type::I64, call.span));
        }
        Type::Str { .. } => {}
        Type::Ptr { .. } if call.name.name != "len" => return pointed_length(checker, value, call),
        Type::Ptr { .. } => {}
        _ => {
            let function = call.name.name.clone();
            let expected = if function == "len" { "a map or a string" } else { "a string" };
            return Err(checker.wrong_argument(&function, &value.expr, expected));
        }
    }
    let expr = string(checker, &call.name.name, arg)?;
    if let ExprKind::Str(bytes) = &expr.kind {
        return Ok(number(bytes.len() as u64, call.span));
    }
    let kind = ExprKind::Call(Box::new(Call::StrLen(expr)));
    Ok(Value::new(kind, Type::U64, call.span))
}

/// Bytes of the text at an address.
fn pointed_length(checker: &mut Checker<'_>, value: Value, call: &CallSite<'_>) -> Typed {
    let ptr = byte_pointer(checker, value.expr);
    let ty = Type::Str { size: checker.settings.max_strlen };
    let kind = ExprKind::Call(Box::new(Call::Str { ptr, len: None }));
    let text = Value::new(kind, ty, call.span).expr;
    Ok(Value::new(ExprKind::Call(Box::new(Call::StrLen(text))), Type::U64, call.span))
}

fn strncmp(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [left, right, length] = call.args else { return Err(Stop::Reported) };
    let len = checker.literal_number("strncmp", length)?;
    if let Some(value) = probe_strncmp(checker, left, right, len, call) {
        return value;
    }
    let (left, right) = (string(checker, "strncmp", left), string(checker, "strncmp", right));
    let kind = ExprKind::Call(Box::new(Call::Strncmp { left: left?, right: right?, len }));
    Ok(Value::new(kind, Type::U64, call.span))
}

/// Compares the bytes of any two values.
fn memcmp(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [left, right, length] = call.args else { return Err(Stop::Reported) };
    let mut bytes_of = |arg: &ast::Expr| -> Typed<Expr> {
        let value = checker.value(arg)?.expr;
        match super::super::types::size_of(&value.ty, &checker.program) {
            0 => Err(checker.wrong_argument("memcmp", &value, "a value that has bytes")),
            _ => Ok(value),
        }
    };
    let (left, right) = (bytes_of(left), bytes_of(right));
    let len = match super::super::fold::int_literal(length) {
        Some(_) => {
            let n = checker.literal_number("memcmp", length)?;
            Checker::uint64_constant(n, length.span)
        }
        None => checker.uint64(length, "memcmp")?,
    };
    let (left, right) = (left?, right?);
    let kind = ExprKind::Call(Box::new(Call::Memcmp { left, right, len }));
    Ok(Value::new(kind, Type::Int(Int { size: 4, signed: true }), call.span))
}

/// `strncmp(probe, "...", n)`: which of the block's probes it holds for is known here.
fn probe_strncmp(
    checker: &mut Checker<'_>,
    left: &ast::Expr,
    right: &ast::Expr,
    len: u64,
    call: &CallSite<'_>,
) -> Option<Typed> {
    let is_probe = |e: &ast::Expr| matches!(&e.kind, ast::ExprKind::Ident(n) if n == "probe");
    let literal = match (&left.kind, &right.kind) {
        (ast::ExprKind::Str(text), _) if is_probe(right) => text,
        (_, ast::ExprKind::Str(text)) if is_probe(left) => text,
        _ => return None,
    };
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let head = |text: &[u8]| text.iter().take(len).copied().collect::<Vec<u8>>();
    let wanted = head(literal);
    let same = checker.probes_where(|probe| head(probe.name.as_bytes()) == wanted, call.span);
    let differs = super::super::convert::not(same.expr);
    Some(Ok(Value::from(cast(differs, &Type::U64))))
}

fn strcontains(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [haystack, needle] = call.args else { return Err(Stop::Reported) };
    if let (ast::ExprKind::Ident(name), ast::ExprKind::Str(part)) = (&haystack.kind, &needle.kind)
        && name == "probe"
    {
        let part = String::from_utf8_lossy(part).into_owned();
        return Ok(checker.probes_where(|probe| probe.name.contains(&part), call.span));
    }
    let (haystack, needle) =
        (string(checker, "strcontains", haystack), string(checker, "strcontains", needle));
    let found = find(checker, haystack?, needle?, call)?;
    let least = Value::from(constant(0, Type::I64, call.span));
    checker.operate(ast::BinaryOp::Ge, found, least, call.span)
}

/// Index of the first occurrence of a text in another; -1 if there is none.
fn strstr(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [haystack, needle] = call.args else { return Err(Stop::Reported) };
    let (haystack, needle) =
        (string(checker, "strstr", haystack), string(checker, "strstr", needle));
    find(checker, haystack?, needle?, call)
}

fn find(checker: &mut Checker<'_>, haystack: Expr, needle: Expr, call: &CallSite<'_>) -> Typed {
    if !matches!(needle.kind, ExprKind::Str(_)) {
        checker.needs(&helpers::LOOP, "a search for a text that is no literal", call.span)?;
    }
    let kind = ExprKind::Call(Box::new(Call::StrStr { haystack, needle }));
    Ok(Value::new(kind, Type::I64, call.span))
}

/// Bytes of what `str_concat` makes, as in bpftrace.
const CONCATENATED: u32 = 1024;

fn str_concat(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [left, right] = call.args else { return Err(Stop::Reported) };
    let (left, right) = (string(checker, "str_concat", left), string(checker, "str_concat", right));
    let kind = ExprKind::Call(Box::new(Call::StrConcat { left: left?, right: right? }));
    Ok(Value::new(kind, Type::Str { size: CONCATENATED }, call.span))
}

/// Bytes that a string has room for, its NUL included, or that an array of chars has.
fn strcap(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    let value = checker.value(arg)?;
    let bytes = match &value.expr.ty {
        Type::Ptr { .. } => return string_length(checker, call),
        Type::Array { elem, .. } if matches!(**elem, Type::Int(Int { size: 1, .. })) => value.expr,
        _ => string(checker, "strcap", arg)?,
    };
    let size = super::super::types::size_of(&bytes.ty, &checker.program);
    Ok(number(u64::from(size), call.span))
}
