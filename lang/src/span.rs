//! Places in source text.

use std::sync::Arc;

/// A range of bytes in one source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Index into [`Sources`].
    pub file: u32,
}

impl Span {
    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end), file: self.file }
    }
}

/// A source file, or what a macro in one became at a call.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name in messages: a path, `stdin`, or `-e`'s stand-in.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<str>,
    /// First byte of every line.
    lines: Arc<[u32]>,
    /// The call, if this is an expansion.
    pub expansion: Option<Expansion>,
}

/// Where a macro was called.
#[derive(Clone, Debug)]
pub struct Expansion {
    /// Name of the macro.
    pub name: Arc<str>,
    /// The file that defines it.
    pub file: u32,
    /// The call; it may be part of another expansion.
    pub call: Span,
}

/// A line and a column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// The files that a script consists of; spans point into them.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Source {
    /// Number of the line that a byte is on, from 0, and the line's first byte.
    fn line_of(&self, at: u32) -> (usize, u32) {
        let index = self.lines.partition_point(|start| *start <= at).saturating_sub(1);
        (index, self.lines.get(index).copied().unwrap_or(0))
    }
}

impl Sources {
    /// Adds a file and returns its index.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u32 {
        let text: String = text.into();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(at, _)| at as u32 + 1)).collect();
        self.push(Source { name: name.into().into(), text: text.into(), lines, expansion: None })
    }

    /// Adds a stand-in for `file` whose spans are those of a macro's body at one call, so that a
    /// place in the body says which call it is about. Returns its index; `file` itself if there
    /// is no such file.
    pub fn add_expansion(&mut self, file: u32, name: &str, call: Span) -> u32 {
        let Some(source) = self.get(file) else { return file };
        let expansion = Some(Expansion { name: name.into(), file, call });
        self.push(Source { expansion, ..source.clone() })
    }

    fn push(&mut self, source: Source) -> u32 {
        self.files.push(source);
        self.files.len() as u32 - 1
    }

    /// The file itself, for the stand-in of one.
    pub fn origin(&self, file: u32) -> u32 {
        let expansion = self.get(file).and_then(|source| source.expansion.as_ref());
        expansion.map_or(file, |expansion| expansion.file)
    }

    /// The calls that a place in a macro's body comes from, the innermost first.
    pub fn calls(&self, span: Span) -> impl Iterator<Item = &Expansion> {
        let of = |file: u32| self.get(file).and_then(|source| source.expansion.as_ref());
        // A call is in a file that was added before its expansion.
        std::iter::successors(of(span.file), move |inner| of(inner.call.file))
    }

    /// The file with this index.
    pub fn get(&self, file: u32) -> Option<&Source> {
        self.files.get(file as usize)
    }

    /// The text that a span covers; empty if it covers none.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file)
            .and_then(|s| s.text.get(span.start as usize..span.end as usize))
            .unwrap_or_default()
    }

    /// Number of the line on which a span begins, from 1.
    pub fn line(&self, span: Span) -> u32 {
        self.get(span.file).map_or(1, |s| s.line_of(span.start).0 as u32 + 1)
    }

    /// Line and column of the first byte of a span. The column is looked for from the start of
    /// the line: mind long lines.
    pub fn line_column(&self, span: Span) -> LineColumn {
        let Some(source) = self.get(span.file) else { return LineColumn { line: 1, column: 1 } };
        let (index, start) = source.line_of(span.start);
        let before = self.text(Span { start, end: span.start, file: span.file });
        LineColumn { line: index as u32 + 1, column: before.chars().count() as u32 + 1 }
    }

    /// The whole line on which a span begins, without its end of line.
    pub fn line_text(&self, span: Span) -> &str {
        let Some(source) = self.get(span.file) else { return "" };
        let (index, start) = source.line_of(span.start);
        let next = source.lines.get(index + 1).map(|next| next - 1);
        let end = next.unwrap_or(source.text.len() as u32);
        self.text(Span { start, end, file: span.file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_lines_and_columns() {
        let mut sources = Sources::default();
        let file = sources.add("x", "één\ntwo three");
        let span = Span { start: 10, end: 15, file };
        assert_eq!(sources.text(span), "three");
        assert_eq!(sources.line_column(span), LineColumn { line: 2, column: 5 });
        assert_eq!(sources.line_text(span), "two three");
        assert_eq!(sources.text(Span { start: 1, end: 2, file }), "");
    }

    #[test]
    fn expansions_stand_for_their_file() {
        let mut sources = Sources::default();
        let file = sources.add("x", "macro m { n } macro n { 1 } m");
        let m = sources.add_expansion(file, "m", Span { start: 28, end: 29, file });
        let n = sources.add_expansion(file, "n", Span { start: 10, end: 11, file: m });
        let one = Span { start: 24, end: 25, file: n };
        assert_eq!((sources.text(one), sources.origin(n)), ("1", file));
        let calls: Vec<_> = sources.calls(one).map(|e| (&*e.name, sources.text(e.call))).collect();
        assert_eq!(calls, [("n", "n"), ("m", "m")]);
    }
}
