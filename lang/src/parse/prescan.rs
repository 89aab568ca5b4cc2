//! A look over the text before it is parsed, in time linear in its length.
//!
//! It refuses what cannot be a script and brackets nested so deeply that a stack might not hold
//! them, and remembers where brackets were left open, to say so if parsing fails. It knows of
//! strings and comments just what it needs not to count brackets in them.

use crate::diag::Diagnostic;
use crate::span::Span;

/// Most bytes in a script.
pub const MAX_SIZE: usize = 1 << 20;

/// Most brackets, of any kind, open at the same place; also most `?` without a `:` between.
pub const MAX_NESTING: usize = 128;

/// What there is to say about brackets when parsing fails.
#[derive(Debug, Default)]
pub(super) struct Brackets {
    /// Places of the brackets open at the end of the text, the outermost first.
    pub unclosed: Vec<usize>,
    /// The first bracket that closes none, or one of another kind: its place, and the place of the
    /// one to be closed there.
    pub mismatch: Option<(usize, Option<usize>)>,
    /// Where a comment begins that has no end.
    pub open_comment: Option<usize>,
}

/// Looks over a text.
pub(super) fn scan(text: &str, file: u32) -> Result<Brackets, Diagnostic> {
    let at = |start: usize, end: usize| Span { start: start as u32, end: end as u32, file };
    if text.len() > MAX_SIZE {
        let size = text.len();
        return Err(Diagnostic::error(
            "script-too-large",
            at(0, 0),
            format!("the script is {size} bytes long; the limit is {MAX_SIZE}"),
        ));
    }
    if let Some(place) = text.bytes().position(|b| b == 0) {
        return Err(Diagnostic::error(
            "not-a-script",
            at(place, place + 1),
            "this is not a script",
        )
        .label("a byte of value 0")
        .note("scripts are UTF-8 text"));
    }
    let mut scanner = Scanner::new(text);
    scanner.run();
    if let Some(place) = scanner.too_deep {
        return Err(Diagnostic::error(
            "nesting-too-deep",
            at(place, place + 1),
            format!("brackets are nested more than {MAX_NESTING} levels deep"),
        )
        .help("give parts of it names: `$part = ...;`"));
    }
    if let Some(place) = scanner.brackets.open_comment {
        return Err(Diagnostic::error(
            "unterminated-comment",
            at(place, place + 2),
            "this comment has no end",
        )
        .help("end it with `*/`"));
    }
    Ok(scanner.brackets)
}

/// Whether the text may become a script if more lines follow: brackets or a comment are open.
pub fn is_incomplete(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.run();
    let brackets = scanner.brackets;
    brackets.mismatch.is_none()
        && (!brackets.unclosed.is_empty() || brackets.open_comment.is_some())
}

/// What is before a place.
pub(super) struct Before {
    /// Where the last token ends.
    pub token_end: usize,
    /// The bracket that is open, the innermost.
    pub open: Option<usize>,
}

/// Looks at the text before a place.
pub(super) fn before(text: &str, place: usize) -> Before {
    let mut scanner = Scanner::new(text);
    let mut token_end = 0;
    while scanner.at < place {
        let Some(byte) = scanner.peek(0) else { break };
        let is_comment =
            !scanner.in_path && byte == b'/' && matches!(scanner.peek(1), Some(b'/' | b'*'));
        scanner.step(byte);
        if !is_comment && !byte.is_ascii_whitespace() {
            token_end = scanner.at.min(place);
        }
    }
    Before { token_end, open: scanner.open.last().copied() }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    open: Vec<usize>,
    questions: usize,
    brackets: Brackets,
    too_deep: Option<usize>,
    /// In an attach point after a colon: `/*` is part of a path there.
    in_path: bool,
    /// Nothing but blanks so far on this line.
    line_start: bool,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
            open: Vec::new(),
            questions: 0,
            brackets: Brackets::default(),
            too_deep: None,
            in_path: false,
            line_start: true,
        }
    }

    fn run(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.too_deep.is_some() {
                return;
            }
            self.step(byte);
        }
        self.brackets.unclosed = std::mem::take(&mut self.open);
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn step(&mut self, byte: u8) {
        let line_start = self.line_start;
        self.line_start = byte == b'\n' || line_start && byte.is_ascii_whitespace();
        match byte {
            b'#' if line_start && self.open.is_empty() => self.skip_directive(),
            b'/' if !self.in_path && self.peek(1) == Some(b'/') => self.skip_line(),
            b'/' if !self.in_path && self.peek(1) == Some(b'*') => self.skip_comment(),
            b'"' => self.skip_string(),
            b'\'' => self.skip_char(),
            _ => {
                self.mark(byte);
                self.at += 1;
            }
        }
    }

    /// Takes note of a byte outside strings and comments.
    fn mark(&mut self, byte: u8) {
        match byte {
            b'(' | b'[' | b'{' => {
                self.open.push(self.at);
                self.questions = 0;
                if self.open.len() > MAX_NESTING {
                    self.too_deep = Some(self.at);
                }
            }
            b')' | b']' | b'}' => self.close(byte),
            b';' => self.questions = 0,
            b'?' => {
                self.questions += 1;
                if self.questions > MAX_NESTING {
                    self.too_deep = Some(self.at);
                }
            }
            _ => {}
        }
        self.in_path = self.open.is_empty()
            && !byte.is_ascii_whitespace()
            && byte != b','
            && (self.in_path || byte == b':');
    }

    fn close(&mut self, byte: u8) {
        self.questions = 0;
        let wanted = match byte {
            b')' => b'(',
            b']' => b'[',
            _ => b'{',
        };
        let opened = self.open.last().copied();
        if opened.and_then(|place| self.bytes.get(place)) == Some(&wanted) {
            self.open.pop();
            return;
        }
        if self.brackets.mismatch.is_none() {
            let in_block = opened.and_then(|place| self.bytes.get(place)) == Some(&b'{');
            let opened = if in_block { None } else { opened };
            self.brackets.mismatch = Some((self.at, opened));
        }
        // A brace closes what was left open inside its block, for the sake of what follows.
        if byte == b'}'
            && let Some(index) = self.open.iter().rposition(|&p| self.bytes.get(p) == Some(&b'{'))
        {
            self.open.truncate(index);
        }
    }

    fn skip_line(&mut self) {
        while self.peek(0).is_some_and(|b| b != b'\n') {
            self.at += 1;
        }
    }

    /// A preprocessor line, with the lines that a backslash joins to it.
    fn skip_directive(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' if self.peek(1) == Some(b'\n') => self.at += 2,
                b'\\' if self.peek(1) == Some(b'\r') && self.peek(2) == Some(b'\n') => self.at += 3,
                b'\n' => return,
                _ => self.at += 1,
            }
        }
    }

    fn skip_comment(&mut self) {
        let start = self.at;
        self.at += 2;
        while let Some(byte) = self.peek(0) {
            if byte == b'*' && self.peek(1) == Some(b'/') {
                self.at += 2;
                return;
            }
            self.at += 1;
        }
        self.brackets.open_comment = Some(start);
    }

    /// A string ends with its line at the latest.
    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\n' => return,
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' if self.peek(1).is_some_and(|b| b != b'\n') => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// `'x'`, `'\n'`; any other quote is an apostrophe.
    fn skip_char(&mut self) {
        self.at += match (self.peek(1), self.peek(2), self.peek(3)) {
            (Some(b'\\'), Some(_), Some(b'\'')) => 4,
            (Some(b), Some(b'\''), _) if b != b'\'' => 3,
            _ => 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<&'static str> {
        scan(text, 0).err().map(|d| d.code)
    }

    #[test]
    fn refuses_what_is_no_script() {
        assert_eq!(code("\u{0}"), Some("not-a-script"));
        assert_eq!(code(&"{".repeat(10 << 20)), Some("script-too-large"));
        assert_eq!(code(&"{".repeat(1000)), Some("nesting-too-deep"));
        assert_eq!(code(&"1?".repeat(1000)), Some("nesting-too-deep"));
        assert_eq!(code("BEGIN { } /* "), Some("unterminated-comment"));
    }

    #[test]
    fn skips_strings_and_comments() {
        let deep = "(".repeat(200);
        for text in [
            format!("// {deep}\n"),
            format!("/* {deep} */"),
            format!("\"{deep}\""),
            format!("#define A {deep}\\\n{deep}\n"),
        ] {
            assert_eq!(code(&text), None, "{text}");
        }
        assert_eq!(code(&format!("uprobe:/lib/*:{deep}")), Some("nesting-too-deep"));
    }

    #[test]
    fn finds_open_and_stray_brackets() {
        assert_eq!(scan("a { b ( }", 0).ok().and_then(|b| b.mismatch), Some((8, Some(6))));
        assert_eq!(scan("a { '}' \"}\" ", 0).map(|b| b.unclosed).ok(), Some(vec![2]));
        assert!(is_incomplete("BEGIN {\n"));
        assert!(is_incomplete("/* "));
        assert!(!is_incomplete("BEGIN { }"));
        assert!(!is_incomplete("BEGIN { ) "));
    }
}
