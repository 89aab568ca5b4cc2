//! What goes wrong, as the user sees it: on standard error.

use std::io;

use rbtrace_codegen as codegen;
use rbtrace_lang::diag::{Diagnostic, Severity};
use rbtrace_lang::render;
use rbtrace_lang::span::{Source, Sources, Span};
use rbtrace_runtime as runtime;
use rbtrace_runtime::error::Rejected;

use crate::compile::{Failure, Points};
use crate::style;

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loudness {
    /// Warnings are shown.
    pub warnings: bool,
    /// Logs and causes are shown, too.
    pub verbose: bool,
}

/// Diagnostics as text, those that are to be shown.
pub fn diagnostics(all: &[Diagnostic], sources: &Sources, loudness: Loudness) -> String {
    let shown = |d: &&Diagnostic| loudness.warnings || d.severity == Severity::Error;
    let shown: Vec<Diagnostic> = all.iter().filter(shown).cloned().collect();
    let text = render::text(&shown, sources, style::on_stderr());
    // Several codes are one hint's worth, the first error's.
    match shown.iter().find(|d| d.severity == Severity::Error) {
        Some(first) if style::on_stderr() => {
            format!("{text}More about this error: rbtrace explain {}\n", first.code)
        }
        _ => text,
    }
}

/// Why a script was not compiled.
pub fn failure(failure: &Failure, sources: &Sources, loudness: Loudness) -> String {
    match failure {
        Failure::Script(all) => diagnostics(all, sources, loudness),
        Failure::Codegen(error) => codegen_error(error),
    }
}

fn codegen_error(error: &codegen::Error) -> String {
    let text = format!("ERROR: {error}\n");
    if !text.contains("internal error") {
        return text;
    }
    format!("{text}This is a bug in rbtrace; please report it with the script.\n")
}

/// An error of the run. `sources` holds the script, where there is one, `points` where in it the
/// probes are.
pub fn runtime_error(
    error: &runtime::Error,
    sources: &Sources,
    points: &Points,
    loudness: Loudness,
) -> String {
    match error {
        runtime::Error::Rejected(rejected) => rejection(rejected, sources, loudness),
        runtime::Error::Attach { probe, source } => match points.get(probe) {
            Some(span) => {
                let error = not_attached(Severity::Error, probe, source, span);
                render::text(&[error], sources, style::on_stderr())
            }
            None => format!("ERROR: {error}\n"),
        },
        _ => format!("ERROR: {error}\n"),
    }
}

/// Warns of a probe that is not attached, where the script goes on without it.
pub fn missing_probe(error: &runtime::Error, sources: &Sources, points: &Points) -> String {
    match error {
        runtime::Error::Attach { probe, source } if points.get(probe).is_some() => {
            let span = points.get(probe).unwrap_or_default();
            let warning = not_attached(Severity::Warning, probe, source, span);
            render::text(&[warning], sources, style::on_stderr())
        }
        _ => format!("WARNING: {error}\n"),
    }
}

fn not_attached(severity: Severity, probe: &str, why: &runtime::Error, at: Span) -> Diagnostic {
    let mut diagnostic = Diagnostic::error("attach", at, format!("cannot attach {probe}"));
    diagnostic.severity = severity;
    diagnostic.label(why.to_string())
}

/// A program that the verifier refuses is a bug of the compiler, unless the script asks for more than
/// the verifier follows; the script's line comes first.
fn rejection(rejected: &Rejected, sources: &Sources, loudness: Loudness) -> String {
    let message = "the kernel's verifier refuses the code for this";
    let mut diagnostic = Diagnostic::error("verifier", place(rejected, sources), message)
        .label(rejected.reason.clone());
    diagnostic = match rejected.is_too_much() {
        true => diagnostic
            .note("it follows every round of a `while` loop, a million instructions in all")
            .help("for ($i : 0..n) { } runs any number of times, since its body is looked at once"),
        false => diagnostic.help(
            "this is a bug in rbtrace, not in the script: please report both, with the output of -v",
        ),
    };
    // An object comes without the text of its script.
    if rejected.line.is_none() || sources.get(0).is_none() {
        diagnostic.labels.clear();
        if let Some(line) = &rejected.source_line {
            diagnostic = diagnostic.note(format!("the script's line: {line}"));
        }
        diagnostic = diagnostic.note(format!("program {}: {}", rejected.program, rejected.reason));
    }
    let mut text = render::text(&[diagnostic], sources, style::on_stderr());
    if loudness.verbose {
        text.push_str(&format!(
            "The verifier's log for {}:\n{}\n",
            rejected.program,
            rejected.log.trim_end()
        ));
    } else {
        text.push_str("The verifier's log is shown with -v.\n");
    }
    text
}

/// The place in the first source that line and column name, to the end of its line.
fn place(rejected: &Rejected, sources: &Sources) -> Span {
    let text = sources.get(0).map_or("", |Source { text, .. }| &**text);
    let line = rejected.line.unwrap_or(1).saturating_sub(1) as usize;
    let column = rejected.column.unwrap_or(1).saturating_sub(1) as usize;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    let end = start + rest.len();
    let start = text.floor_char_boundary((start + column.min(rest.len())).min(text.len()));
    Span { start: start as u32, end: end as u32, file: 0 }
}

/// Whether an error only says that nobody reads the output any more.
pub fn is_broken_pipe(error: &runtime::Error) -> bool {
    matches!(error, runtime::Error::Output(e) if e.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_names_the_line_and_the_reason() {
        let mut sources = Sources::default();
        sources.add("x.rt", "BEGIN\n{ @a = 1; }\n");
        let rejected = Rejected {
            program: "begin_1".into(),
            reason: "R0 !read_ok".into(),
            instruction: Some(3),
            line: Some(2),
            column: Some(3),
            source_line: None,
            log: "0: (95) exit".into(),
            error: io::ErrorKind::PermissionDenied.into(),
        };
        let text = rejection(&rejected, &sources, Loudness::default());
        assert!(text.contains("x.rt:2:3") && text.contains("R0 !read_ok"), "{text}");
        assert!(text.contains("bug in rbtrace") && !text.contains("(95)"), "{text}");
        let loud = Loudness { verbose: true, warnings: true };
        assert!(rejection(&rejected, &sources, loud).contains("0: (95) exit"));
        let nowhere = Rejected { line: Some(77), ..rejected };
        rejection(&nowhere, &sources, loud);
        let text = rejection(&nowhere, &Sources::default(), Loudness::default());
        assert!(text.contains("begin_1: R0 !read_ok"), "{text}");
    }
}
