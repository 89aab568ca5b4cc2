//! A row of tokens to declarations, each a text to be matched on its own, so that one that cannot be
//! understood spoils no other.

use crate::span::Span;

use super::Failure;
use super::token::{Kind, Texts, Token};

/// Most brackets inside of each other in a declaration; the parser and what comes after it recurse.
const MOST_NESTING: usize = 64;

/// Most operators with one operand, casts, brackets after brackets and `?` in an expression, for the
/// same reason.
const MOST_OPERATORS: usize = 64;

/// A declaration at the top level.
#[derive(Default)]
pub(super) struct Chunk {
    /// Tokens with a blank between each two.
    pub text: String,
    /// Where in the text a token starts, and where it is from.
    places: Vec<(usize, Span)>,
    /// It is from a header.
    pub header: bool,
}

impl Chunk {
    /// Where in the script a range of the text is.
    pub fn span(&self, start: usize, end: usize) -> Span {
        let first = self.places.partition_point(|(at, _)| *at <= start).saturating_sub(1);
        let after = self.places.partition_point(|(at, _)| *at < end).max(first + 1);
        let Some((_, span)) = self.places.get(first) else { return Span::default() };
        let last = self.places.get(after - 1).map_or(*span, |(_, span)| *span);
        if last.start < span.start { *span } else { span.to(last) }
    }
}

/// Splits a row of tokens. What declares neither a type nor a constant is left out.
pub(super) fn chunks(tokens: &[Token], texts: &Texts, pasted: &[String]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut splitter = Splitter::default();
    let mut start = 0;
    for (i, token) in tokens.iter().enumerate() {
        let text = texts.of(*token, pasted);
        let ends = splitter.ends_after(*token, text);
        if !ends && i + 1 < tokens.len() {
            continue;
        }
        let part = tokens.get(start..=i).unwrap_or_default();
        start = i + 1;
        let header = part.first().is_some_and(|token| token.header);
        let is_empty = part.iter().all(|token| texts.of(*token, pasted) == ";");
        if !is_empty && !splitter.function && (!header || splitter.declares) {
            chunks.push(chunk(part, texts, pasted, header));
        }
        splitter = Splitter::default();
    }
    chunks
}

fn chunk(tokens: &[Token], texts: &Texts, pasted: &[String], header: bool) -> Chunk {
    let mut text = String::new();
    let mut places = Vec::with_capacity(tokens.len());
    for token in tokens {
        if !text.is_empty() {
            text.push(' ');
        }
        places.push((text.len(), token.span));
        text.push_str(texts.of(*token, pasted));
    }
    Chunk { text, places, header }
}

/// Looks for the end of a declaration.
#[derive(Default)]
struct Splitter {
    depth: usize,
    /// At the top level a `struct`, `union` or `enum` was seen, and since then only what may stand
    /// before its members.
    tagged: bool,
    /// Brackets that are closed again belong to an attribute.
    attribute: bool,
    /// `typedef`, or members or variants.
    declares: bool,
    /// It has a body of statements.
    function: bool,
}

impl Splitter {
    fn ends_after(&mut self, token: Token, text: &str) -> bool {
        match text {
            "(" | "[" | "{" => {
                if self.depth == 0 {
                    match text {
                        "{" if self.tagged => self.declares = true,
                        "{" => self.function = !self.declares,
                        "(" if self.attribute => {}
                        _ => self.tagged = false,
                    }
                }
                self.depth += 1;
                false
            }
            ")" | "]" | "}" => {
                self.depth = self.depth.saturating_sub(1);
                self.depth == 0 && text == "}" && self.function
            }
            _ if self.depth > 0 => false,
            ";" => true,
            "struct" | "union" | "enum" => {
                self.tagged = true;
                false
            }
            "typedef" => {
                self.declares = true;
                false
            }
            _ => {
                self.attribute = matches!(text, "__attribute__" | "__attribute" | "_Alignas");
                let colon = text == ":";
                self.tagged &= token.kind == Kind::Word || colon;
                // An initial value in braces is no body.
                self.declares |= text == "=" && !self.function;
                false
            }
        }
    }
}

/// An error if a text is nested too deeply to be matched.
pub(super) fn check_nesting(text: &str) -> Result<(), Failure> {
    let mut depth = 0usize;
    let mut operators = 0usize;
    let mut before = "";
    let mut at = 0;
    for word in text.split(' ') {
        let is_operand = before.ends_with(|c: char| c.is_alphanumeric() || "_)]'\"".contains(c));
        match word {
            "(" | "[" | "{" => {
                depth += 1;
                operators += usize::from(word != "{" && matches!(before, ")" | "]"));
            }
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "?" | "sizeof" => operators += 1,
            "," | ";" => operators = 0,
            "-" | "+" | "~" | "!" | "*" | "&" if !is_operand => operators += 1,
            _ => {}
        }
        if depth > MOST_NESTING || operators > MOST_OPERATORS {
            let most = if depth > MOST_NESTING { MOST_NESTING } else { MOST_OPERATORS };
            let failure = Failure::new("c-limit", at..at + word.len(), "this is nested too deeply");
            return Err(failure.help(format!("at most {most} levels are possible")));
        }
        before = word;
        at += word.len() + 1;
    }
    Ok(())
}
