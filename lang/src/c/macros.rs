//! Macros and their replacement.

use std::collections::{HashMap, HashSet};

use super::predefined;
use super::token::{Kind, Texts, Token};
use crate::span::Span;
use rbtrace_probes_ebpf::profile::Arch;

/// Most tokens that the replacement of a macro may pass through: macros can double their text with
/// each level.
const MOST_STEPS: usize = 1 << 14;

/// Most levels of macros in the arguments of macros.
const MOST_LEVELS: usize = 64;

/// A `#define`.
#[derive(Clone, Debug)]
pub(super) struct Macro {
    /// Names of the parameters, if it is called like a function; `__VA_ARGS__` or the like last
    /// if [`Self::variadic`].
    pub params: Option<Vec<String>>,
    /// The last parameter takes all arguments that are left.
    pub variadic: bool,
    /// What it stands for.
    pub body: Vec<Token>,
    /// Where it is defined, or included.
    pub span: Span,
    /// A header defines it.
    pub header: bool,
}

/// The macros defined at some point, with the texts that their bodies lie in.
#[derive(Clone, Debug)]
pub(super) struct Macros {
    pub texts: Texts,
    pub arch: Arch,
    table: HashMap<String, Macro>,
    /// Predefined macros that were undefined.
    gone: HashSet<String>,
}

impl Macros {
    /// None but the predefined ones.
    pub fn new(arch: Arch) -> Self {
        Self { texts: Texts::default(), arch, table: HashMap::new(), gone: HashSet::new() }
    }

    /// What a macro without parameters stands for: as it would be written, and with a blank between
    /// each two tokens.
    pub fn replacement(&self, name: &str) -> Option<(String, String)> {
        let found = self.get(name).filter(|found| found.params.is_none())?;
        let start = found.body.first()?;
        let mut pasted = Vec::new();
        let word = Token::pasted(*start, name.to_owned(), &mut pasted);
        let tokens = self.expand(vec![word], &mut pasted)?;
        let (mut written, mut spaced) = (String::new(), String::new());
        let mut before = Kind::Str;
        for token in tokens {
            let text = self.texts.of(token, &pasted);
            // Marks of two macros must not become one.
            if !written.is_empty() && (token.spaced || token.kind == before) {
                written.push(' ');
            }
            if !spaced.is_empty() {
                spaced.push(' ');
            }
            written.push_str(text);
            spaced.push_str(text);
            before = token.kind;
        }
        Some((written, spaced))
    }

    /// A macro of the script or a header.
    pub fn get(&self, name: &str) -> Option<&Macro> {
        self.table.get(name)
    }

    /// Whether there is a macro of this name, the predefined ones among them.
    pub fn is_defined(&self, name: &str) -> bool {
        self.table.contains_key(name) || self.predefined(name).is_some()
    }

    fn predefined(&self, name: &str) -> Option<&'static str> {
        let text = predefined::macro_of(name, self.arch)?;
        (!self.gone.contains(name)).then_some(text)
    }

    pub fn define(&mut self, name: String, value: Macro) {
        self.table.insert(name, value);
    }

    pub fn undefine(&mut self, name: &str) {
        self.table.remove(name);
        self.gone.insert(name.to_owned());
    }

    /// Names of the macros without parameters that stand for something.
    pub fn constants(&self) -> impl Iterator<Item = &str> {
        let constants = self.table.iter().filter(|(_, m)| m.params.is_none() && !m.body.is_empty());
        constants.map(|(name, _)| name.as_str())
    }

    /// Replaces the macros in a run of tokens. `None`: there is no end to it.
    pub fn expand(&self, tokens: Vec<Token>, pasted: &mut Vec<String>) -> Option<Vec<Token>> {
        let steps = MOST_STEPS.saturating_add(tokens.len().saturating_mul(64));
        Expander { macros: self, pasted, steps }.run(tokens, &HashSet::new(), 0)
    }
}

/// What is still to be looked at.
enum Item {
    Token(Token),
    /// The replacement of this macro ends here.
    End(String),
}

struct Expander<'a> {
    macros: &'a Macros,
    pasted: &'a mut Vec<String>,
    steps: usize,
}

impl Expander<'_> {
    fn text(&self, token: Token) -> &str {
        self.macros.texts.of(token, self.pasted)
    }

    /// Replaces macros other than `outer`.
    fn run(
        &mut self,
        tokens: Vec<Token>,
        outer: &HashSet<String>,
        level: usize,
    ) -> Option<Vec<Token>> {
        if level > MOST_LEVELS {
            return None;
        }
        let mut active = outer.clone();
        let mut todo: Vec<Item> = tokens.into_iter().rev().map(Item::Token).collect();
        let mut done = Vec::new();
        while let Some(item) = todo.pop() {
            self.steps = self.steps.checked_sub(1)?;
            let mut token = match item {
                Item::Token(token) => token,
                Item::End(name) => {
                    active.remove(&name);
                    continue;
                }
            };
            if token.kind != Kind::Word || token.done {
                done.push(token);
                continue;
            }
            let name = self.text(token).to_owned();
            if active.contains(&name) {
                token.done = true;
                done.push(token);
                continue;
            }
            let Some(replaced) = self.replace(&name, token, &mut todo, &mut active, level)? else {
                done.push(token);
                continue;
            };
            active.insert(name.clone());
            todo.push(Item::End(name));
            todo.extend(replaced.into_iter().rev().map(Item::Token));
        }
        Some(done)
    }

    /// The replacement of a name; `Some(None)` if it stays.
    fn replace(
        &mut self,
        name: &str,
        token: Token,
        todo: &mut Vec<Item>,
        active: &mut HashSet<String>,
        level: usize,
    ) -> Option<Option<Vec<Token>>> {
        let macros = self.macros;
        let Some(found) = macros.get(name) else {
            let words = macros.predefined(name).map(|text| text.split_whitespace());
            return Some(words.map(|words| {
                words.map(|w| Token::pasted(token, w.to_owned(), self.pasted)).collect()
            }));
        };
        let at = |mut body: Token| {
            (body.span, body.header, body.first) = (token.span, token.header, false);
            body
        };
        let Some(params) = &found.params else {
            let body = found.body.iter().copied().map(at).collect();
            return Some(Some(self.paste(body)));
        };
        let Some(args) = self.arguments(todo, active)? else { return Some(None) };
        let mut args = args;
        if found.variadic && args.len() > params.len() {
            let rest = args.split_off(params.len());
            let last = args.last_mut()?;
            for mut arg in rest {
                last.push(Token::pasted(token, ",".to_owned(), self.pasted));
                last.append(&mut arg);
            }
        }
        let mut body = Vec::new();
        let mut i = 0;
        while let Some(&part) = found.body.get(i) {
            i += 1;
            let param = |word: Token| {
                let text = macros.texts.raw(word);
                let position = params.iter().position(|p| p == text);
                position.filter(|_| word.kind == Kind::Word)
            };
            if macros.texts.raw(part) == "#"
                && let Some(n) = found.body.get(i).and_then(|next| param(*next))
            {
                let text = self.stringify(args.get(n).map_or(&[], Vec::as_slice));
                body.push(Token::pasted(at(part), text, self.pasted));
                i += 1;
                continue;
            }
            let Some(n) = param(part) else {
                body.push(at(part));
                continue;
            };
            let arg = args.get(n).cloned().unwrap_or_default();
            let is_paste =
                |token: Option<&Token>| token.is_some_and(|token| macros.texts.raw(*token) == "##");
            let beside = is_paste(found.body.get(i))
                || i.checked_sub(2).is_some_and(|before| is_paste(found.body.get(before)));
            body.extend(if beside { arg } else { self.run(arg, active, level + 1)? });
        }
        Some(Some(self.paste(body)))
    }

    /// The arguments of a call, if `(` comes next.
    fn arguments(
        &mut self,
        todo: &mut Vec<Item>,
        active: &mut HashSet<String>,
    ) -> Option<Option<Vec<Vec<Token>>>> {
        let opening = todo.iter().rev().find_map(|item| match item {
            Item::Token(token) => Some(*token),
            Item::End(_) => None,
        });
        if opening.is_none_or(|token| self.text(token) != "(") {
            return Some(None);
        }
        while let Some(Item::End(name)) = todo.pop() {
            active.remove(&name);
        }
        let mut args = vec![Vec::new()];
        let mut depth = 1usize;
        while let Some(item) = todo.pop() {
            self.steps = self.steps.checked_sub(1)?;
            let token = match item {
                Item::Token(token) => token,
                Item::End(name) => {
                    active.remove(&name);
                    continue;
                }
            };
            match self.text(token) {
                "(" => depth += 1,
                ")" if depth == 1 => break,
                ")" => depth -= 1,
                "," if depth == 1 => {
                    args.push(Vec::new());
                    continue;
                }
                _ => {}
            }
            if let Some(last) = args.last_mut() {
                last.push(token);
            }
        }
        Some(Some(args))
    }

    /// Joins what stands on both sides of `##`.
    fn paste(&mut self, tokens: Vec<Token>) -> Vec<Token> {
        if !tokens.iter().any(|token| self.text(*token) == "##") {
            return tokens;
        }
        let mut joined: Vec<Token> = Vec::new();
        let mut tokens = tokens.into_iter();
        while let Some(token) = tokens.next() {
            if self.text(token) != "##" {
                joined.push(token);
                continue;
            }
            let Some(right) = tokens.next() else { break };
            let Some(left) = joined.pop() else {
                joined.push(right);
                continue;
            };
            let text = format!("{}{}", self.text(left), self.text(right));
            joined.push(Token::pasted(left, text, self.pasted));
        }
        joined
    }

    fn stringify(&self, tokens: &[Token]) -> String {
        let mut text = String::from("\"");
        for (i, token) in tokens.iter().enumerate() {
            if i > 0 && token.spaced {
                text.push(' ');
            }
            for c in self.text(*token).chars() {
                if c == '"' || c == '\\' {
                    text.push('\\');
                }
                text.push(c);
            }
        }
        text.push('"');
        text
    }
}
