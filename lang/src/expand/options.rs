//! Named parameters: `getopt("name", default, "description")` in the script, `--name=value` or
//! `--name value` on the command line.

use std::collections::HashMap;

use crate::ast::{Expr, ExprKind, Script, UnaryOp};
use crate::diag::{Diagnostic, suggest};
use crate::reference::{Docs, docs};
use crate::span::Span;

use super::positional;
use super::visit::{self, VisitMut};

/// What the reference says of it.
pub(crate) const DOCS: Docs = docs!("src/expand", "options.md");

/// How it is called.
pub(crate) const USAGE: &str = "getopt(\"name\"[, default[, \"description\"]])";

/// A named parameter of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptOption {
    /// Without dashes.
    pub name: String,
    /// What it is if it is not given; its kind is that of the parameter.
    pub default: Value,
    /// What it is for, as the script says; may be empty.
    pub description: String,
    /// The first `getopt` of that name.
    pub span: Span,
}

/// The value of a named parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Given alone it is true.
    Bool(bool),
    /// A number from `i64::MIN` to `u64::MAX`.
    Int(i128),
    /// Text.
    Str(Vec<u8>),
}

impl Value {
    /// What a parameter of this kind is, given `text`; `None` if that is no such thing.
    fn read(&self, text: &str, span: Span) -> Option<Value> {
        match self {
            Value::Bool(_) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(Value::Bool(true)),
                "false" | "0" => Some(Value::Bool(false)),
                _ => None,
            },
            Value::Int(_) => literal(&Expr { kind: positional::value(text, span), span })
                .filter(|value| matches!(value, Value::Int(_))),
            Value::Str(_) => Some(Value::Str(text.as_bytes().to_vec())),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Value::Bool(_) => "true or false",
            Value::Int(_) => "a number",
            Value::Str(_) => "text",
        }
    }

    fn expr(&self, span: Span) -> ExprKind {
        match self {
            Value::Bool(b) => ExprKind::Bool(*b),
            Value::Str(text) => ExprKind::Str(text.clone()),
            Value::Int(n) => {
                let kind = ExprKind::Int(n.unsigned_abs() as u64);
                match n {
                    0.. => kind,
                    _ => {
                        ExprKind::Unary { op: UnaryOp::Neg, operand: Box::new(Expr { kind, span }) }
                    }
                }
            }
        }
    }
}

/// The value of a literal.
fn literal(expr: &Expr) -> Option<Value> {
    match &expr.kind {
        ExprKind::Bool(b) => Some(Value::Bool(*b)),
        ExprKind::Str(text) => Some(Value::Str(text.clone())),
        _ => crate::check::int_literal(expr).map(Value::Int),
    }
}

/// The named parameters that a script takes.
pub(super) fn collect(script: &mut Script, errors: &mut Vec<Diagnostic>) -> Vec<ScriptOption> {
    let mut collector = Collector { options: Vec::new(), errors };
    collector.script(script);
    collector.options
}

struct Collector<'a> {
    options: Vec<ScriptOption>,
    errors: &'a mut Vec<Diagnostic>,
}

impl VisitMut for Collector<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        visit::expr(self, expr);
        let ExprKind::Call { name, args } = &expr.kind else { return };
        if name.name != "getopt" {
            return;
        }
        match option(args, expr.span) {
            Ok(option) => self.add(option),
            Err(error) => self.errors.push(error),
        }
    }
}

fn option(args: &[Expr], span: Span) -> Result<ScriptOption, Diagnostic> {
    let text = |arg: &Expr, what: &str| match &arg.kind {
        ExprKind::Str(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        _ => Err(Diagnostic::error(
            "not-a-literal",
            arg.span,
            format!("{what} of a named parameter must be known when the script is compiled"),
        )
        .label("expected a string literal")),
    };
    let (name, rest) = match args {
        [name, rest @ ..] if rest.len() <= 2 => (name, rest),
        _ => {
            let message = format!("getopt() takes 1 to 3 arguments, found {}", args.len());
            return Err(Diagnostic::error("argument-count", span, message)
                .help(format!("it is called as {USAGE}")));
        }
    };
    let name = text(name, "the name")?;
    let default = match rest.first() {
        None => Value::Bool(false),
        Some(arg) => literal(arg).ok_or_else(|| {
            Diagnostic::error(
                "not-a-literal",
                arg.span,
                "the default of a named parameter must be known when the script is compiled",
            )
            .label("expected a number, a string, true or false")
        })?,
    };
    let description = rest.get(1).map(|arg| text(arg, "the description")).transpose()?;
    Ok(ScriptOption { name, default, description: description.unwrap_or_default(), span })
}

impl Collector<'_> {
    fn add(&mut self, option: ScriptOption) {
        let Some(first) = self.options.iter_mut().find(|o| o.name == option.name) else {
            self.options.push(option);
            return;
        };
        let what = if first.default != option.default {
            "default"
        } else if first.description.is_empty() || option.description.is_empty() {
            if first.description.is_empty() {
                first.description = option.description;
            }
            return;
        } else if first.description != option.description {
            "description"
        } else {
            return;
        };
        self.errors.push(
            Diagnostic::error(
                "option-conflict",
                option.span,
                format!("--{} has another {what} here than elsewhere", option.name),
            )
            .also(first.span, "elsewhere")
            .help("call getopt() in one place, in a macro if need be"),
        );
    }
}

/// What the command line gives.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// `$1` and those after it.
    pub positional: Vec<String>,
    /// Values of all options, by name.
    pub named: HashMap<String, Value>,
}

/// Sorts the words of the command line into positional parameters and options.
pub(super) fn split(
    words: &[String],
    options: &[ScriptOption],
    errors: &mut Vec<Diagnostic>,
) -> Given {
    let defaults = options.iter().map(|option| (option.name.clone(), option.default.clone()));
    let mut given = Given { named: defaults.collect(), ..Given::default() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(named) = word.strip_prefix("--").filter(|name| !name.is_empty()) else {
            given.positional.push(word.clone());
            continue;
        };
        let (name, text) = match named.split_once('=') {
            Some((name, text)) => (name, Some(text)),
            None => (named, None),
        };
        let Some(option) = options.iter().find(|option| option.name == name) else {
            errors.push(unknown(name, options));
            continue;
        };
        let text = match (text, &option.default) {
            (Some(text), _) => Some(text),
            (None, Value::Bool(_)) => Some("true"),
            (None, _) => words.next().map(String::as_str),
        };
        match text.and_then(|text| option.default.read(text, option.span)) {
            Some(value) => drop(given.named.insert(name.to_owned(), value)),
            None => errors.push(bad_value(option, text)),
        }
    }
    given
}

fn unknown(name: &str, options: &[ScriptOption]) -> Diagnostic {
    let message = format!("unexpected program command line options: --{name}");
    let error = Diagnostic::general("unknown-option", message);
    if options.is_empty() {
        return error.note("the script takes no named parameters: it does not call getopt()");
    }
    let all: Vec<String> = options.iter().map(|option| format!("--{}", option.name)).collect();
    let error = error.note(format!("expected program options: {}", all.join(", ")));
    match suggest::did_you_mean(&format!("--{name}"), all.iter().map(String::as_str)) {
        Some(help) => error.help(help),
        None => error,
    }
}

fn bad_value(option: &ScriptOption, text: Option<&str>) -> Diagnostic {
    let (name, kind) = (&option.name, option.default.kind());
    let message = match text {
        Some(text) => format!("program command line option --{name} takes {kind}, found `{text}`"),
        None => format!("program command line option --{name} needs a value"),
    };
    Diagnostic::error("bad-option", option.span, message)
        .label(format!("its default makes it {kind}"))
        .help(format!("write --{name}=VALUE"))
}

/// Puts values in place of the calls of `getopt`.
pub(super) fn replace(script: &mut Script, values: &HashMap<String, Value>) {
    struct Replace<'a>(&'a HashMap<String, Value>);
    impl VisitMut for Replace<'_> {
        fn expr(&mut self, expr: &mut Expr) {
            if let ExprKind::Call { name, args } = &expr.kind
                && name.name == "getopt"
                && let Some(Expr { kind: ExprKind::Str(bytes), .. }) = args.first()
                && let Some(value) = self.0.get(&*String::from_utf8_lossy(bytes))
            {
                expr.kind = value.expr(expr.span);
            }
            visit::expr(self, expr);
        }
    }
    Replace(values).script(script);
}

/// The list of a script's options, a line each.
pub fn help(options: &[ScriptOption]) -> String {
    if options.is_empty() {
        return "The script takes no options.\n".into();
    }
    let mut text = String::from("HINT: expected program options:\n");
    for ScriptOption { name, description, default, .. } in options {
        let default = match default {
            Value::Bool(false) => String::new(),
            Value::Bool(true) => "true".into(),
            Value::Int(n) => n.to_string(),
            Value::Str(bytes) => format!("\"{}\"", String::from_utf8_lossy(bytes)),
        };
        text.push_str(&format!("  --{name}"));
        if !description.is_empty() {
            text.push_str(&format!(": {description}"));
        }
        if !default.is_empty() {
            text.push_str(&format!(" (default: {default})"));
        }
        text.push('\n');
    }
    text
}
