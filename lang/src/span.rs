//! Places in source text.

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

/// A source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name in messages: a path, `stdin`, or `-e`'s stand-in.
    pub name: String,
    /// The text.
    pub text: String,
    /// First byte of every line.
    lines: Vec<u32>,
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
        let text = text.into();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(at, _)| at as u32 + 1)).collect();
        self.files.push(Source { name: name.into(), text, lines });
        self.files.len() as u32 - 1
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
}
