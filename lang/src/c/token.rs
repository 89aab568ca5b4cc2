//! Preprocessing tokens: C text to words, numbers, texts and marks.

use crate::span::Span;

/// The texts that tokens lie in: definitions of the script, headers.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts(Vec<String>);

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword.
    Word,
    /// A number, however it is written.
    Number,
    /// `"..."`
    Str,
    /// `'...'`
    Char,
    /// Anything else.
    Mark,
}

/// A token: its place in [`Texts`], and what the preprocessor must know of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    /// Number of the text, or [`Token::PASTED`].
    text: u32,
    start: u32,
    end: u32,
    /// Where in the script a message about it points.
    pub span: Span,
    /// It comes from a header.
    pub header: bool,
    /// Blanks or a comment stand before it.
    pub spaced: bool,
    /// It is the first on its line.
    pub first: bool,
    /// A macro that must not be replaced any more, since it stands in its own replacement.
    pub done: bool,
}

impl Token {
    /// Number of the text that the preprocessor itself makes, with `##` and `#`.
    const PASTED: u32 = u32::MAX;

    /// A token of the preprocessor's own making, the last of `pasted`, in place of another.
    pub fn pasted(like: Token, text: String, pasted: &mut Vec<String>) -> Self {
        let first = text.chars().next().unwrap_or(' ');
        let kind = match first {
            '"' => Kind::Str,
            '\'' => Kind::Char,
            c if c.is_ascii_digit() => Kind::Number,
            c if is_word(c) => Kind::Word,
            _ => Kind::Mark,
        };
        pasted.push(text);
        let start = pasted.len() as u32 - 1;
        Self { kind, text: Self::PASTED, start, end: start, done: false, ..like }
    }
}

/// Where the tokens of a text are from.
#[derive(Clone, Copy)]
pub(super) enum From {
    /// The script: the text starts there.
    Script(Span),
    /// A header, which this line of the script includes.
    Header(Span),
}

impl Texts {
    /// Adds a text and returns its number.
    pub fn add(&mut self, text: String) -> u32 {
        self.0.push(text);
        self.0.len() as u32 - 1
    }

    /// The text of a token.
    pub fn of<'a>(&'a self, token: Token, pasted: &'a [String]) -> &'a str {
        if token.text == Token::PASTED {
            return pasted.get(token.start as usize).map_or("", String::as_str);
        }
        let text = self.0.get(token.text as usize);
        text.and_then(|t| t.get(token.start as usize..token.end as usize)).unwrap_or_default()
    }

    /// The text of a token that the preprocessor has not made.
    pub fn raw(&self, token: Token) -> &str {
        self.of(token, &[])
    }

    /// The tokens of a text, comments and line splices taken out.
    pub fn tokens(&self, number: u32, from: From) -> Vec<Token> {
        let text = self.0.get(number as usize).map_or("", String::as_str);
        let mut tokens = Vec::new();
        let mut at = Lexer { text, place: 0 };
        loop {
            let blanks = at.blanks();
            let start = at.place;
            let Some(kind) = at.token() else { return tokens };
            let (start, end) = (start as u32, at.place as u32);
            let (span, header) = match from {
                From::Script(whole) => {
                    let span = Span { start: whole.start + start, end: whole.start + end, ..whole };
                    (span, false)
                }
                From::Header(line) => (line, true),
            };
            tokens.push(Token {
                kind,
                text: number,
                start,
                end,
                span,
                header,
                spaced: blanks.any,
                first: blanks.line || tokens.is_empty(),
                done: false,
            });
        }
    }
}

/// Whether a character can start a name.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == '$'
}

/// What stands between two tokens.
#[derive(Default)]
struct Blanks {
    any: bool,
    line: bool,
}

struct Lexer<'a> {
    text: &'a str,
    place: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.place..).unwrap_or_default()
    }

    /// Takes characters as long as they fit.
    fn take_while(&mut self, mut fits: impl FnMut(char) -> bool) {
        let rest = self.rest();
        self.place += rest.find(|c| !fits(c)).unwrap_or(rest.len());
    }

    fn blanks(&mut self) -> Blanks {
        let mut blanks = Blanks::default();
        loop {
            let rest = self.rest();
            let length = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else if rest.starts_with("\\\n") {
                2
            } else if rest.starts_with("\\\r\n") {
                3
            } else {
                match rest.chars().next() {
                    Some('\n') => {
                        blanks.line = true;
                        1
                    }
                    Some(c) if c.is_whitespace() => c.len_utf8(),
                    _ => return blanks,
                }
            };
            blanks.any = true;
            self.place += length;
        }
    }

    fn token(&mut self) -> Option<Kind> {
        let rest = self.rest();
        let mut chars = rest.chars();
        let first = chars.next()?;
        let second = chars.next();
        if is_word(first) {
            self.take_while(|c| is_word(c) || c.is_ascii_digit());
            return Some(Kind::Word);
        }
        let is_fraction = first == '.' && second.is_some_and(|c| c.is_ascii_digit());
        if first.is_ascii_digit() || is_fraction {
            self.number();
            return Some(Kind::Number);
        }
        if first == '"' || first == '\'' {
            self.quoted(first);
            return Some(if first == '"' { Kind::Str } else { Kind::Char });
        }
        const LONG: &[&str] = &[
            "...", "<<=", ">>=", "##", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "->", "++",
            "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
        ];
        let long = LONG.iter().find(|mark| rest.starts_with(**mark));
        self.place += long.map_or(first.len_utf8(), |mark| mark.len());
        Some(Kind::Mark)
    }

    fn number(&mut self) {
        let mut last = ' ';
        self.take_while(|c| {
            let sign = matches!(c, '+' | '-') && matches!(last, 'e' | 'E' | 'p' | 'P');
            last = c;
            is_word(c) || c.is_ascii_digit() || c == '.' || sign
        });
    }

    /// A text up to the closing quote, or to the end of the line.
    fn quoted(&mut self, quote: char) {
        self.place += 1;
        let mut escaped = false;
        let mut closed = false;
        self.take_while(|c| {
            if closed || c == '\n' && !escaped {
                return false;
            }
            closed = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            true
        });
    }
}
