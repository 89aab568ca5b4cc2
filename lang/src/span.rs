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

impl Sources {
    /// Adds a file and returns its index.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u32 {
        self.files.push(Source { name: name.into(), text: text.into() });
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

    /// Line and column of the first byte of a span.
    pub fn line_column(&self, span: Span) -> LineColumn {
        let before = self.text(Span { start: 0, end: span.start, file: span.file });
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        LineColumn {
            line: before.matches('\n').count() as u32 + 1,
            column: before[line_start..].chars().count() as u32 + 1,
        }
    }

    /// The whole line on which a span begins, without its end of line.
    pub fn line_text(&self, span: Span) -> &str {
        let Some(source) = self.get(span.file) else { return "" };
        let at = (span.start as usize).min(source.text.len());
        let start =
            source.text.as_bytes()[..at].iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let end = source.text.as_bytes()[at..]
            .iter()
            .position(|&b| b == b'\n')
            .map_or(source.text.len(), |i| at + i);
        source.text.get(start..end).unwrap_or_default()
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
