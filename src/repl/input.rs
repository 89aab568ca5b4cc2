//! What was typed: a script, or a statement or an expression that becomes one.

use std::ops::Range;

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

/// A script, and what of it was typed.
#[derive(Debug, PartialEq, Eq)]
pub struct Typed {
    /// Name of what was typed, in messages.
    pub name: String,
    /// What is compiled.
    pub script: String,
    /// Where in the script that is which was typed.
    typed: Range<usize>,
}

impl Typed {
    /// A script as it is.
    pub fn script(name: &str, text: &str) -> Self {
        Self { name: name.into(), script: text.into(), typed: 0..text.len() }
    }

    /// What was typed, made a block by what stands around it.
    fn wrapped(before: &str, typed: &str, after: &str) -> Self {
        let start = before.len();
        Self {
            name: NAME.into(),
            script: format!("{before}{typed}{after}"),
            typed: start..start + typed.len(),
        }
    }

    /// Whether it was typed as a script.
    pub fn is_script(&self) -> bool {
        self.typed == (0..self.script.len())
    }

    /// Makes diagnostics be about what was typed alone, and answers that as their source.
    pub fn about(&self, diagnostics: &mut [Diagnostic], sources: Sources) -> Sources {
        if self.is_script() {
            return sources;
        }
        let Range { start, end } = self.typed;
        let moved = |at: u32| (at as usize).clamp(start, end).saturating_sub(start) as u32;
        // A place in a macro of the library becomes that of the call.
        for label in diagnostics.iter_mut().flat_map(|d| &mut d.labels) {
            label.span = sources.calls(label.span).last().map_or(label.span, |e| e.call);
            label.span.start = moved(label.span.start);
            label.span.end = moved(label.span.end);
        }
        let mut typed = Sources::default();
        typed.add(self.name.as_str(), self.script.get(start..end).unwrap_or_default());
        typed
    }
}

/// The script that the text stands for.
///
/// # Errors
///
/// What is wrong with it, about the text as typed.
pub fn script(text: &str) -> Result<Typed, (Vec<Diagnostic>, Sources)> {
    let whole = match parsed(text) {
        Ok(()) => return Ok(Typed::script(NAME, text)),
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
            let print = || Typed::wrapped("BEGIN { print(", bare, "); }");
            Ok(if has_value { print() } else { in_begin(text) })
        }
        Err(_) if parsed(&in_begin(text).script).is_ok() => Ok(in_begin(text)),
        // A block, or the start of one, was meant to be a script.
        Err(_) if text.contains('{') => Err(whole),
        Err(errors) => Err((errors, sources)),
    }
}

fn in_begin(text: &str) -> Typed {
    let end = if text.trim_end().ends_with([';', '}']) { " }" } else { "; }" };
    Typed::wrapped("BEGIN { ", text.trim(), end)
}

fn parsed(text: &str) -> Result<(), (Vec<Diagnostic>, Sources)> {
    let mut sources = Sources::default();
    let file = sources.add(NAME, text);
    parse(&sources, file).map(drop).map_err(|errors| (errors, sources))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbtrace_lang::span::Span;

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
            let script = script(typed).ok().map(|typed| typed.script);
            assert_eq!(script.as_deref(), Some(expected), "{typed}");
        }
    }

    #[test]
    fn later_mistakes_are_about_what_was_typed_too() {
        let typed = script("1 + @nope").expect("an expression");
        let mut sources = Sources::default();
        let file = sources.add(NAME, typed.script.as_str());
        let at = typed.script.find("@nope").expect("it is there") as u32;
        let span = Span { start: at, end: at + 5, file };
        let mut all = [Diagnostic::error("x", span, "y")];
        let about = typed.about(&mut all, sources);
        assert_eq!(about.get(0).map(|s| &*s.text), Some("1 + @nope"));
        assert_eq!((all[0].labels[0].span.start, all[0].labels[0].span.end), (4, 9));
    }

    #[test]
    fn mistakes_are_about_what_was_typed() {
        for typed in ["kprobe:f {", "1 +", ")", "kprobe:f { printf( }"] {
            let (errors, sources) = script(typed).expect_err(typed);
            assert!(!errors.is_empty(), "{typed}");
            assert!(typed.starts_with(sources.get(0).map_or("", |s| &*s.text)), "{typed}");
        }
    }
}
