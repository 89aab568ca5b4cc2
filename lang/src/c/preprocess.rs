//! The preprocessor: definitions and the headers that they include to one row of tokens.

use std::collections::HashSet;

use crate::catalog::TypeSource;
use crate::diag::Diagnostic;
use crate::span::Span;

use super::macros::{Macro, Macros};
use super::token::{From, Kind, Token};
use super::{Failure, MissingHeader, eval};

/// Most levels of headers that include each other.
const MOST_LEVELS: usize = 64;

/// Most tokens that a script's headers may have together.
const MOST_TOKENS: usize = 4_000_000;

/// The preprocessor's state.
pub(super) struct Preprocessor<'a> {
    pub types: &'a dyn TypeSource,
    pub macros: Macros,
    /// Tokens made with `#` and `##`.
    pub pasted: Vec<String>,
    /// What is left when all directives have been obeyed.
    pub out: Vec<Token>,
    pub missing: Vec<MissingHeader>,
    pub diagnostics: &'a mut Vec<Diagnostic>,
    /// Headers that say `#pragma once`.
    once: HashSet<String>,
    /// Headers that are being read, the outermost first.
    including: Vec<String>,
    conditions: Vec<Condition>,
    read: usize,
}

/// An `#if` that has not ended.
struct Condition {
    /// Its branch is in force.
    active: bool,
    /// A branch has been in force: no other will be.
    taken: bool,
    /// `#else` has been seen.
    last: bool,
    /// The whole of it is in a branch that is not in force.
    outer: bool,
    span: Span,
}

impl<'a> Preprocessor<'a> {
    pub fn new(
        types: &'a dyn TypeSource,
        macros: Macros,
        diagnostics: &'a mut Vec<Diagnostic>,
    ) -> Self {
        Self {
            types,
            macros,
            diagnostics,
            pasted: Vec::new(),
            out: Vec::new(),
            missing: Vec::new(),
            once: HashSet::new(),
            including: Vec::new(),
            conditions: Vec::new(),
            read: 0,
        }
    }

    /// Reads a definition of the script.
    pub fn definition(&mut self, text: &str, span: Span) {
        // The last semicolon is optional.
        let end = if text.trim_start().starts_with('#') { "\n" } else { ";" };
        self.text(format!("{text}{end}"), From::Script(span));
    }

    /// To be called after the last definition.
    pub fn finish(&mut self) {
        for condition in std::mem::take(&mut self.conditions) {
            self.diagnostics.push(
                Diagnostic::error("c-directive", condition.span, "this condition is never closed")
                    .help("write `#endif` where it ends"),
            );
        }
    }

    fn text(&mut self, text: String, from: From) {
        let number = self.macros.texts.add(text);
        let tokens = self.macros.texts.tokens(number, from);
        self.read += tokens.len();
        if self.read > MOST_TOKENS {
            if let Some(token) = tokens.first() {
                self.wrong(*token, "the headers are too long to be read");
            }
            return;
        }
        let mut rest = tokens.as_slice();
        while let Some(first) = rest.first() {
            let is_directive = first.first && self.macros.texts.raw(*first) == "#";
            let end = rest.iter().skip(1).position(|token| {
                token.first && (is_directive || self.macros.texts.raw(*token) == "#")
            });
            let (part, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            rest = after;
            if is_directive {
                self.directive(part);
            } else if self.is_active() {
                self.expand(part);
            }
        }
    }

    fn is_active(&self) -> bool {
        self.conditions.last().is_none_or(|c| c.active)
    }

    fn expand(&mut self, tokens: &[Token]) {
        match self.macros.expand(tokens.to_vec(), &mut self.pasted) {
            Some(mut expanded) => self.out.append(&mut expanded),
            None => {
                if let Some(first) = tokens.first() {
                    self.wrong(*first, "the macros in here have no end");
                }
            }
        }
    }

    /// Reports something, unless a header is to blame.
    fn wrong(&mut self, at: Token, message: impl Into<String>) {
        if !at.header {
            self.diagnostics.push(Diagnostic::error("c-directive", at.span, message));
        }
    }

    /// A line with `#` in front.
    fn directive(&mut self, line: &[Token]) {
        let [hash, name, rest @ ..] = line else { return };
        let text = self.macros.texts.raw(*name).to_owned();
        match text.as_str() {
            "if" | "ifdef" | "ifndef" => self.condition(&text, *name, rest),
            "elif" | "else" | "endif" => self.branch(&text, *name, rest),
            _ if !self.is_active() => {}
            "define" => self.define(*name, rest),
            "undef" => {
                if let Some(word) = rest.first() {
                    let word = self.macros.texts.raw(*word).to_owned();
                    self.macros.undefine(&word);
                }
            }
            "include" => self.include(*name, rest),
            "pragma" => {
                let is_once = rest.first().is_some_and(|t| self.macros.texts.raw(*t) == "once");
                if let (true, Some(header)) = (is_once, self.including.last()) {
                    self.once.insert(header.clone());
                }
            }
            "error" => {
                let message = self.joined(rest);
                self.wrong(*name, format!("#error: {message}"));
            }
            // What these do is of no use here.
            "warning" | "line" | "ident" | "include_next" | "import" => {}
            _ => {
                let known = ["define", "undef", "include", "if", "ifdef", "ifndef", "else"];
                let known = known.into_iter().chain(["elif", "endif", "error", "pragma"]);
                let help = crate::diag::suggest::did_you_mean(&text, known);
                if !hash.header {
                    let message = format!("there is no directive `#{text}`");
                    let error = Diagnostic::error("c-directive", name.span, message);
                    let error = match help {
                        Some(help) => error.help(help),
                        None => error,
                    };
                    self.diagnostics.push(error);
                }
            }
        }
    }

    fn joined(&self, tokens: &[Token]) -> String {
        let words: Vec<&str> = tokens.iter().map(|t| self.macros.texts.raw(*t)).collect();
        words.join(" ")
    }

    fn condition(&mut self, directive: &str, at: Token, rest: &[Token]) {
        let outer = !self.is_active();
        let active = !outer
            && match (directive, rest.first()) {
                ("if", _) => self.is_true(at, rest),
                (_, None) => {
                    self.wrong(at, format!("#{directive} needs the name of a macro"));
                    false
                }
                (_, Some(name)) => {
                    let defined = self.macros.is_defined(self.macros.texts.raw(*name));
                    defined == (directive == "ifdef")
                }
            };
        self.conditions.push(Condition {
            active,
            taken: active,
            last: false,
            outer,
            span: at.span,
        });
    }

    fn branch(&mut self, directive: &str, at: Token, rest: &[Token]) {
        let Some(mut condition) = self.conditions.pop() else {
            return self.wrong(at, format!("#{directive} without #if"));
        };
        if directive == "endif" {
            return;
        }
        if condition.last {
            self.wrong(at, format!("#{directive} after #else"));
        }
        let may = !condition.outer && !condition.taken;
        condition.active = may && (directive == "else" || self.is_true(at, rest));
        condition.taken |= condition.active;
        condition.last |= directive == "else";
        self.conditions.push(condition);
    }

    /// The value of the expression after `#if`.
    fn is_true(&mut self, at: Token, rest: &[Token]) -> bool {
        let mut tokens = Vec::new();
        let mut rest = rest.iter().copied();
        while let Some(token) = rest.next() {
            if self.macros.texts.raw(token) != "defined" {
                tokens.push(token);
                continue;
            }
            let mut name = rest.next();
            let open = name.is_some_and(|t| self.macros.texts.raw(t) == "(");
            if open {
                name = rest.next();
                rest.next();
            }
            let defined =
                name.is_some_and(|name| self.macros.is_defined(self.macros.texts.raw(name)));
            let text = if defined { "1" } else { "0" };
            tokens.push(Token::pasted(token, text.to_owned(), &mut self.pasted));
        }
        let Some(tokens) = self.macros.expand(tokens, &mut self.pasted) else {
            self.wrong(at, "the macros in here have no end");
            return false;
        };
        // A name that is no macro is 0.
        let words = tokens.iter().map(|t| match t.kind {
            Kind::Word => "0",
            _ => self.macros.texts.of(*t, &self.pasted),
        });
        let text = words.collect::<Vec<_>>().join(" ");
        if let "0" | "1" = text.as_str() {
            return text == "1";
        }
        match eval::condition(&text) {
            Ok(value) => value,
            Err(Failure { message, .. }) => {
                self.wrong(at, message);
                false
            }
        }
    }

    fn define(&mut self, at: Token, rest: &[Token]) {
        let [name, body @ ..] = rest else {
            return self.wrong(at, "#define needs a name");
        };
        if name.kind != Kind::Word {
            return self.wrong(*name, "the name of a macro starts with a letter or `_`");
        }
        let texts = &self.macros.texts;
        let called = body.first().is_some_and(|t| texts.raw(*t) == "(" && !t.spaced);
        let mut body = body.to_vec();
        let mut params = None;
        let mut variadic = false;
        if called {
            let Some(end) = body.iter().position(|t| texts.raw(*t) == ")") else {
                return self.wrong(*name, "the parameters of this macro have no `)`");
            };
            let mut names: Vec<String> = Vec::new();
            for token in body.drain(..=end) {
                match (token.kind, texts.raw(token)) {
                    (Kind::Word, word) => names.push(word.to_owned()),
                    (_, "...") => variadic = true,
                    _ => {}
                }
            }
            // `args...` has a name already.
            let text = body.len();
            if variadic && !self.named_rest(rest, text) {
                names.push("__VA_ARGS__".to_owned());
            }
            params = Some(names);
        }
        let name_text = self.macros.texts.raw(*name).to_owned();
        let value = Macro { params, variadic, body, span: at.span, header: at.header };
        self.macros.define(name_text, value);
    }

    /// Whether the parameter that takes the rest has a name: `args...`.
    fn named_rest(&self, line: &[Token], body: usize) -> bool {
        let head = line.get(..line.len().saturating_sub(body)).unwrap_or_default();
        let dots = head.iter().position(|t| self.macros.texts.raw(*t) == "...");
        let before = dots.and_then(|at| at.checked_sub(1)).and_then(|at| head.get(at));
        before.is_some_and(|t| t.kind == Kind::Word)
    }

    fn include(&mut self, at: Token, rest: &[Token]) {
        let rest = match rest.first() {
            Some(first) if first.kind == Kind::Word => {
                self.macros.expand(rest.to_vec(), &mut self.pasted).unwrap_or_default()
            }
            _ => rest.to_vec(),
        };
        let text = |token: &Token| self.macros.texts.of(*token, &self.pasted);
        let (name, quoted) = match rest.as_slice() {
            [name, ..] if name.kind == Kind::Str => (text(name).trim_matches('"').to_owned(), true),
            [open, name @ .., close] if text(open) == "<" && text(close) == ">" => {
                (name.iter().map(text).collect::<String>(), false)
            }
            _ => {
                return self.wrong(at, "#include needs the name of a header: `<...>` or `\"...\"`");
            }
        };
        if self.including.len() >= MOST_LEVELS {
            return self.wrong(at, "headers include each other without end");
        }
        if let Some((name, text)) = self.find(&name, quoted) {
            if !self.once.contains(&name) {
                self.including.push(name);
                let open = std::mem::take(&mut self.conditions);
                self.text(text, From::Header(at.span));
                // What a header leaves open ends with it.
                self.conditions = open;
                self.including.pop();
            }
        } else if !self.missing.iter().any(|m| m.name == name) {
            self.missing.push(MissingHeader { name, span: at.span });
        }
    }

    /// A header's text, with the name under which it was found: `"..."` is looked for beside the
    /// header that includes it first.
    fn find(&self, name: &str, quoted: bool) -> Option<(String, String)> {
        let folder = self.including.last().and_then(|outer| outer.rsplit_once('/'));
        if let (true, Some((folder, _))) = (quoted, folder) {
            let beside = format!("{folder}/{name}");
            if let Some(text) = self.types.header(&beside, quoted) {
                return Some((beside, text));
            }
        }
        self.types.header(name, quoted).map(|text| (name.to_owned(), text))
    }
}
