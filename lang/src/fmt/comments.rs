//! The comments of a script, in order, and where in its lines each stands.

use std::collections::VecDeque;

use crate::span::Span;

use super::source::Source;

/// Where a comment stands in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Alone.
    Alone,
    /// After code, with nothing of the script after it.
    AfterCode,
    /// In front of code.
    BeforeCode,
}

/// A comment.
#[derive(Clone, Debug)]
pub(super) struct Comment<'a> {
    /// Its first byte.
    pub(super) start: u32,
    /// Where it stands.
    pub(super) place: Place,
    text: &'a str,
    /// What follows it but blanks and comments.
    next: Option<char>,
}

impl Comment<'_> {
    /// The comment as comments to the end of the line, one a line of it.
    pub(super) fn lines(&self) -> Vec<String> {
        lines(self.text)
    }

    /// The comment in one piece that code may follow.
    pub(super) fn in_line(&self) -> String {
        let lines = self.lines();
        let text: Vec<&str> =
            lines.iter().map(|line| line.trim_start_matches("//").trim()).collect();
        format!("/* {} */", text.join(" ").trim())
    }

    /// Whether it is about what stands in front of it: a bracket, comma or semicolon follows, or the
    /// separator `mark`.
    pub(super) fn belongs_to_last(&self, mark: &str) -> bool {
        self.place == Place::BeforeCode
            && self.next.is_some_and(|c| matches!(c, ',' | ';' | ')' | ']') || mark.starts_with(c))
    }

    /// Whether it stands in front of a closing bracket, and the bracket may follow it in its line.
    pub(super) fn ends_list(&self) -> bool {
        self.text.starts_with("/*") && matches!(self.next, Some(')' | ']'))
    }
}

/// The comments that have not been put anywhere yet.
pub(super) struct Comments<'a> {
    left: VecDeque<Comment<'a>>,
}

impl<'a> Comments<'a> {
    pub(super) fn new(source: Source<'a>, spans: &[Span]) -> Self {
        Self { left: spans.iter().map(|span| comment(source, *span)).collect() }
    }

    /// Takes the next comment if it begins in front of a position.
    pub(super) fn next_before(&mut self, position: u32) -> Option<Comment<'a>> {
        self.next_if(position, |_| true)
    }

    /// Takes the next comment if it begins in front of a position and is wanted.
    pub(super) fn next_if(
        &mut self,
        position: u32,
        wanted: impl Fn(&Comment<'_>) -> bool,
    ) -> Option<Comment<'a>> {
        let next = self.left.front()?;
        if next.start < position && wanted(next) { self.left.pop_front() } else { None }
    }

    /// Takes all comments that begin in front of a position.
    pub(super) fn before(&mut self, position: u32) -> Vec<Comment<'a>> {
        std::iter::from_fn(|| self.next_before(position)).collect()
    }
}

/// What to print of comments in front of a part of a line: those above it, a line each, and those that
/// are in the line, with a blank after each.
pub(super) fn in_front(comments: &[Comment]) -> (Vec<String>, String) {
    let in_line = comments.iter().rev().take_while(|c| c.place == Place::BeforeCode).count();
    let (above, in_line) = comments.split_at(comments.len() - in_line);
    let in_line = in_line.iter().map(|comment| format!("{} ", comment.in_line())).collect();
    (above.iter().flat_map(Comment::lines).collect(), in_line)
}

fn comment(source: Source, span: Span) -> Comment {
    let text = source.between(span.start, span.end);
    let next = source.from(source.skip_layout(span.end));
    let line_end = source.from(span.end).find('\n').map_or(u32::MAX, |at| span.end + at as u32);
    let follows = source.skip_layout(span.end) < line_end && !next.is_empty();
    let place = if follows {
        Place::BeforeCode
    } else if code_before(source, span.start) {
        Place::AfterCode
    } else {
        Place::Alone
    };
    Comment { start: span.start, place, text, next: next.chars().next() }
}

/// Whether there is something but blanks and comments in front of a position in its line.
fn code_before(source: Source, position: u32) -> bool {
    let line = source.before(position);
    let line = line.rsplit('\n').next().unwrap_or_default();
    let mut rest = line.trim_start();
    // The end of a comment that began on an earlier line.
    if let Some((comment, after)) = rest.split_once("*/")
        && !comment.contains("/*")
    {
        rest = after.trim_start();
    }
    while let Some((_, after)) = rest.strip_prefix("/*").and_then(|text| text.split_once("*/")) {
        rest = after.trim_start();
    }
    !rest.is_empty()
}

/// The words of comments, sorted, by which one can tell whether two scripts have the same ones.
pub(super) fn words(text: &str, comments: &[Span]) -> Vec<String> {
    let source = Source::new(text);
    let texts = comments.iter().map(|span| source.between(span.start, span.end));
    let all: Vec<String> = texts.flat_map(lines).collect();
    let words = all.iter().flat_map(|line| line.split('/').flat_map(str::split_whitespace));
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    words.sort_unstable();
    words
}

/// A comment's text as comments to the end of the line.
fn lines(comment: &str) -> Vec<String> {
    let texts = match comment.strip_prefix("/*").and_then(|text| text.strip_suffix("*/")) {
        Some(block) => block_lines(block),
        None => {
            let text = comment.strip_prefix("//").unwrap_or(comment).trim_end();
            if text.starts_with('/') {
                return vec![format!("//{text}")];
            }
            vec![text.strip_prefix(' ').unwrap_or(text).to_owned()]
        }
    };
    let line = |text: &String| if text.is_empty() { "//".into() } else { format!("// {text}") };
    texts.iter().map(line).collect()
}

/// The lines between the marks of a block comment, without what holds them together: indentation, and
/// asterisks in front. Empty ones at either end are left out.
fn block_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let starred =
        lines.iter().skip(1).all(|line| line.trim_start().starts_with('*') || line.is_empty());
    let indent =
        lines.iter().skip(1).filter(|line| !line.is_empty()).map(|line| indent_of(line)).min();
    for (at, line) in lines.iter_mut().enumerate() {
        *line = match at {
            0 => {
                let text = line.trim_start_matches('*');
                text.strip_prefix(' ').unwrap_or(text)
            }
            _ if starred => {
                let text = line.trim_start().trim_start_matches('*');
                text.strip_prefix(' ').unwrap_or(text)
            }
            _ => line.get(indent.unwrap_or(0)..).unwrap_or_default(),
        };
    }
    if lines.len() > 1 && lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    if lines.len() > 1 && lines.first().is_some_and(|line| line.is_empty()) {
        lines.remove(0);
    }
    lines.into_iter().map(str::to_owned).collect()
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}
