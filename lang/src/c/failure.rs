//! Why a declaration or an expression cannot be understood, with the place in its text.

use std::ops::Range;

use pest::error::{Error, InputLocation};

use crate::diag::Diagnostic;
use crate::span::Span;

use super::Rule;

/// A mistake in a text that is matched.
#[derive(Debug)]
pub(super) struct Failure {
    pub code: &'static str,
    /// Bytes of the text.
    pub at: Range<usize>,
    pub message: String,
    pub help: Option<String>,
    /// A second place.
    pub also: Option<(Span, &'static str)>,
}

impl Failure {
    pub fn new(code: &'static str, at: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, at, message: message.into(), help: None, also: None }
    }

    /// Something is no constant, or not one that can stand there.
    pub fn constant(at: Range<usize>, message: impl Into<String>) -> Self {
        Self::new("c-constant", at, message)
    }

    /// For what the grammar guarantees.
    pub fn internal() -> Self {
        Self::new("internal", 0..0, "the parser of C is at odds with its grammar")
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn also(mut self, span: Span, text: &'static str) -> Self {
        self.also = Some((span, text));
        self
    }

    /// The text does not match.
    pub fn syntax(error: &Error<Rule>, text: &str) -> Self {
        let place = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
        };
        let rest = text.get(place..).unwrap_or_default();
        let start = place + rest.len() - rest.trim_start().len();
        let found = text.get(start..).unwrap_or_default().split(' ').next().unwrap_or_default();
        let before = text.get(..place).unwrap_or_default().trim_end();
        match found {
            "" => Self::new("c-syntax", start..start, "this ends too early"),
            _ if before.is_empty() => {
                let message = format!("`{found}` starts no declaration");
                Self::new("c-syntax", start..start + found.len(), message)
            }
            _ => {
                let last = before.rsplit(' ').next().unwrap_or_default();
                let message = format!("`{found}` cannot follow `{last}` here");
                let failure = Self::new("c-syntax", start..start + found.len(), message);
                let is_word = |word: &str| word.starts_with(super::token::is_word);
                if is_word(found) && (is_word(last) || last == "]") {
                    return failure.help("is a `;` missing between them?");
                }
                failure
            }
        }
    }

    pub fn diagnostic(self, span: Span) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(self.code, span, self.message);
        if let Some((span, text)) = self.also {
            diagnostic = diagnostic.also(span, text);
        }
        match self.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}
