//! Diagnostics as text and as JSON.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::diag::{Diagnostic, Label, Severity};
use crate::span::{Sources, Span};

/// Widest line of source that is shown whole, in bytes; of longer ones a window is shown.
const WIDEST_LINE: usize = 400;
/// Most calls of macros that are shown, the innermost first.
const MOST_CALLS: usize = 8;

/// Diagnostics as text for people, each with its source line and a caret; ends with a line break
/// unless there are none. `color` uses ANSI escapes.
pub fn text(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut result = String::new();
    for diagnostic in diagnostics {
        result.push_str(&one(diagnostic, sources, &renderer));
        result.push_str("\n\n");
    }
    result.truncate(result.trim_end().len());
    if !result.is_empty() {
        result.push('\n');
    }
    result
}

fn one(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group =
        Group::with_title(level.primary_title(diagnostic.message.as_str()).id(diagnostic.code));
    let labels = with_calls(diagnostic, sources);
    for snippet in snippets(&labels, sources) {
        group = group.element(snippet);
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// The labels of a diagnostic, each in the file itself, and the calls of the macros that the first
/// one lies in.
fn with_calls(diagnostic: &Diagnostic, sources: &Sources) -> Vec<Label> {
    let at = |span: Span| Span { file: sources.origin(span.file), ..span };
    let mut labels: Vec<Label> = Vec::with_capacity(diagnostic.labels.len());
    for label in &diagnostic.labels {
        labels.push(Label { span: at(label.span), text: label.text.clone() });
    }
    let first = diagnostic.labels.first();
    for call in first.into_iter().flat_map(|label| sources.calls(label.span)).take(MOST_CALLS) {
        let text = format!("in this call of `{}`", call.name);
        let label = Label { span: at(call.call), text };
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

/// One snippet a file, in the order of the labels.
fn snippets<'a>(
    labels: &'a [Label],
    sources: &'a Sources,
) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let mut files: Vec<u32> = Vec::new();
    for label in labels {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    files
        .into_iter()
        .filter_map(|file| {
            let source = sources.get(file)?;
            let here: Vec<&Label> = labels.iter().filter(|l| l.span.file == file).collect();
            let window = Window::around(&source.text, &here);
            let mut snippet = Snippet::source(window.text)
                .path(&*source.name)
                .line_start(window.first_line)
                .fold(true);
            for label in here {
                let is_first = labels.first() == Some(label);
                let kind = if is_first { AnnotationKind::Primary } else { AnnotationKind::Context };
                let mut annotation = kind.span(window.range(label.span));
                if !label.text.is_empty() {
                    annotation = annotation.label(label.text.as_str());
                }
                snippet = snippet.annotation(annotation);
            }
            Some(snippet)
        })
        .collect()
}

/// The part of a file that is given to the renderer: whole lines, unless they are very long.
struct Window<'a> {
    text: &'a str,
    start: usize,
    first_line: usize,
}

impl<'a> Window<'a> {
    fn around(text: &'a str, labels: &[&Label]) -> Self {
        let first = labels.iter().map(|l| l.span.start as usize).min().unwrap_or(0).min(text.len());
        let last =
            labels.iter().map(|l| l.span.end as usize).max().unwrap_or(0).clamp(first, text.len());
        let bytes = text.as_bytes();
        let line_start = bytes.iter().take(first).rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let line_end =
            bytes.iter().skip(last).position(|&b| b == b'\n').map_or(text.len(), |i| last + i);
        let start = if first - line_start > WIDEST_LINE {
            text.floor_char_boundary(first - WIDEST_LINE / 2)
        } else {
            line_start
        };
        let end = if line_end - last > WIDEST_LINE {
            text.ceil_char_boundary(last + WIDEST_LINE / 2)
        } else {
            line_end
        };
        let first_line = 1 + bytes.iter().take(start).filter(|&&b| b == b'\n').count();
        Self { text: text.get(start..end).unwrap_or_default(), start, first_line }
    }

    fn range(&self, span: Span) -> std::ops::Range<usize> {
        let place =
            |at: u32| self.text.floor_char_boundary((at as usize).saturating_sub(self.start));
        let start = place(span.start);
        start..place(span.end).max(start)
    }
}

/// Diagnostics as JSON, one object a line: `code`, `severity`, `message`, `labels` (each with
/// `file`, `line`, `column`, `end_line`, `end_column` from 1 in characters, `text`), `notes`,
/// `help`.
pub fn json(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut result = String::new();
    for diagnostic in diagnostics {
        let labels = with_calls(diagnostic, sources);
        let record = JsonDiagnostic {
            code: diagnostic.code,
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            message: &diagnostic.message,
            labels: labels.iter().map(|l| json_label(l, sources)).collect(),
            notes: &diagnostic.notes,
            help: diagnostic.help.as_deref(),
        };
        if let Ok(line) = serde_json::to_string(&record) {
            result.push_str(&line);
            result.push('\n');
        }
    }
    result
}

fn json_label<'a>(label: &'a Label, sources: &'a Sources) -> JsonLabel<'a> {
    let start = sources.line_column(label.span);
    let end = sources.line_column(Span { start: label.span.end, ..label.span });
    JsonLabel {
        file: sources.get(label.span.file).map_or("", |s| &*s.name),
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        text: &label.text,
    }
}

#[derive(Serialize)]
struct JsonDiagnostic<'a> {
    code: &'a str,
    severity: &'a str,
    message: &'a str,
    labels: Vec<JsonLabel<'a>>,
    notes: &'a [String],
    help: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonLabel<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
    text: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Sources, Vec<Diagnostic>) {
        let mut sources = Sources::default();
        let file = sources.add("a.rt", "BEGIN {\n  foo(1)\n}\n");
        let span = Span { start: 10, end: 13, file };
        let diagnostic = Diagnostic::error("unknown-function", span, "there is no function `foo`")
            .label("not known")
            .note("a fact")
            .help("did you mean `for`?");
        (sources, vec![diagnostic])
    }

    #[test]
    fn renders_text() {
        let (sources, diagnostics) = sample();
        let expected = "\
error[unknown-function]: there is no function `foo`
 --> a.rt:2:3
  |
2 |   foo(1)
  |   ^^^ not known
  |
  = note: a fact
  = help: did you mean `for`?
";
        assert_eq!(text(&diagnostics, &sources, false), expected);
        assert!(text(&diagnostics, &sources, true).contains("\u{1b}["));
        assert_eq!(text(&[], &sources, false), "");
    }

    #[test]
    fn renders_json() {
        let (sources, diagnostics) = sample();
        let expected = concat!(
            r#"{"code":"unknown-function","severity":"error","message":"there is no function `foo`","#,
            r#""labels":[{"file":"a.rt","line":2,"column":3,"end_line":2,"end_column":6,"text":"not known"}],"#,
            r#""notes":["a fact"],"help":"did you mean `for`?"}"#,
            "\n"
        );
        assert_eq!(json(&diagnostics, &sources), expected);
    }

    #[test]
    fn survives_odd_places_and_long_lines() {
        let mut sources = Sources::default();
        let file = sources.add("a.rt", format!("{}é{}", "x".repeat(5000), "y".repeat(5000)));
        for (start, end) in [(0, 0), (5001, 5001), (5000, 5002), (10002, 10002), (99999, 99999)] {
            let diagnostic = Diagnostic::error("x", Span { start, end, file }, "wrong");
            let shown = text(&[diagnostic], &sources, false);
            assert!(shown.contains("error[x]: wrong") && shown.len() < 2000, "{start}: {shown}");
        }
    }
}
