//! What the tree does not tell of a script and its text does: blanks, literals, brackets.

/// The text of a script, by position.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// The text between two positions; empty if they are not in order.
    pub(super) fn between(self, start: u32, end: u32) -> &'a str {
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    /// The text from a position on.
    pub(super) fn from(self, start: u32) -> &'a str {
        self.text.get(start as usize..).unwrap_or_default()
    }

    /// The text in front of a position.
    pub(super) fn before(self, end: u32) -> &'a str {
        self.between(0, end)
    }

    /// The first line, if it names the script's interpreter.
    pub(super) fn shebang(self) -> Option<&'a str> {
        self.text.starts_with("#!").then(|| self.text.lines().next().unwrap_or_default())
    }

    /// The first position from `start` on that is in no blank and no comment.
    pub(super) fn skip_layout(self, start: u32) -> u32 {
        self.skip(start, false)
    }

    /// The first position from `start` on that is in no blank, comment or opening bracket: where the
    /// first operand of an expression begins.
    pub(super) fn skip_brackets(self, start: u32) -> u32 {
        self.skip(start, true)
    }

    fn skip(self, start: u32, brackets: bool) -> u32 {
        let mut rest = self.from(start);
        loop {
            let next = rest.trim_start();
            rest = if let Some(comment) = next.strip_prefix("//") {
                comment.find('\n').map_or("", |end| comment.get(end..).unwrap_or_default())
            } else if let Some(comment) = next.strip_prefix("/*") {
                comment.split_once("*/").map_or("", |(_, after)| after)
            } else if brackets && next.starts_with('(') {
                next.get(1..).unwrap_or_default()
            } else {
                return (self.text.len() - next.len()) as u32;
            };
        }
    }

    /// Whether an empty line is directly in front of a position.
    pub(super) fn blank_before(self, position: u32) -> bool {
        let text = self.before(position);
        let blanks = text.get(text.trim_end().len()..).unwrap_or_default();
        blanks.matches('\n').count() > 1
    }

    /// The number, word, string or character at a position, as it is written.
    pub(super) fn token(self, start: u32) -> &'a str {
        let text = self.from(start);
        let length = match text.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted_length(text, quote),
            _ => text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len()),
        };
        text.get(..length).unwrap_or_default()
    }
}

/// Bytes of the quoted text that another text begins with, its quotes included.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_stands_at_a_position() {
        let source = Source::new("x = /* ( */ ( // 1\n (\"a\\\"b\" + 1_000u)");
        assert_eq!(source.skip_layout(3), 12);
        let operand = source.skip_brackets(3);
        assert_eq!(source.token(operand), "\"a\\\"b\"");
        assert_eq!(source.token(operand + 9), "1_000u");
        assert_eq!(Source::new("// open").skip_layout(0), 7);
    }

    #[test]
    fn sees_empty_lines() {
        let source = Source::new("a;\n b;\n \n c;");
        assert!(!source.blank_before(4));
        assert!(source.blank_before(10));
    }
}
