//! What was typed: a script, or a statement or an expression that becomes one.

use rbtrace_lang::ast::ExprKind;
use rbtrace_lang::diag::Diagnostic;
use rbtrace_lang::parse::{parse, parse_expression};
use rbtrace_lang::span::Sources;

/// Name of what is typed, in messages.
pub const NAME: &str = "prompt";

/// Functions without a value to print.
const WITHOUT_VALUE: &[&str] = &[
    "cat", "clear", "delete", "errorf", "exit", "join", "print", "printf", "system", "time",
    "warnf", "zero",
];

/// The script that the text stands for.
///
/// # Errors
///
/// What is wrong with it, about the text as typed.
pub fn script(text: &str) -> Result<String, (Vec<Diagnostic>, Sources)> {
    let whole = match parsed(text) {
        Ok(()) => return Ok(text.to_owned()),
        Err(errors) => errors,
    };
    let bare = text.trim().trim_end_matches(';').trim_end();
    let mut sources = Sources::default();
    let file = sources.add(NAME, bare);
    match parse_expression(&sources, file) {
        Ok(expr) => {
            let has_value = match &expr.kind {
                ExprKind::Call { name, .. } => !WITHOUT_VALUE.contains(&name.name.as_str()),
                _ => true,
            };
            Ok(if has_value { format!("BEGIN {{ print({bare}); }}") } else { in_begin(text) })
        }
        Err(_) if parsed(&in_begin(text)).is_ok() => Ok(in_begin(text)),
        // A block, or the start of one, was meant to be a script.
        Err(_) if text.contains('{') => Err(whole),
        Err(errors) => Err((errors, sources)),
    }
}

fn in_begin(text: &str) -> String {
    let end = if text.trim_end().ends_with([';', '}']) { "" } else { ";" };
    format!("BEGIN {{ {}{end} }}", text.trim())
}

fn parsed(text: &str) -> Result<(), (Vec<Diagnostic>, Sources)> {
    let mut sources = Sources::default();
    let file = sources.add(NAME, text);
    parse(&sources, file).map(drop).map_err(|errors| (errors, sources))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_statements_and_expressions() {
        for (typed, expected) in [
            ("BEGIN { @a = 1; }", "BEGIN { @a = 1; }"),
            ("@a", "BEGIN { print(@a); }"),
            ("@a[1, 2];", "BEGIN { print(@a[1, 2]); }"),
            ("1 + 2 * 3", "BEGIN { print(1 + 2 * 3); }"),
            ("str($1)", "BEGIN { print(str($1)); }"),
            ("clear(@a)", "BEGIN { clear(@a); }"),
            ("@a = 5", "BEGIN { @a = 5; }"),
            ("if (1) { @a = 5; }", "BEGIN { if (1) { @a = 5; } }"),
        ] {
            assert_eq!(script(typed).ok().as_deref(), Some(expected), "{typed}");
        }
    }

    #[test]
    fn mistakes_are_about_what_was_typed() {
        for typed in ["kprobe:f {", "1 +", ")", "kprobe:f { printf( }"] {
            let (errors, sources) = script(typed).expect_err(typed);
            assert!(!errors.is_empty(), "{typed}");
            assert!(typed.starts_with(sources.get(0).map_or("", |s| s.text.as_str())), "{typed}");
        }
    }
}
