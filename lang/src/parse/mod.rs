//! Text to [`ast::Script`].
//!
//! `prescan` refuses what is no script and bounds nesting; pest matches `grammar.pest`; the
//! builder, split by what it builds, turns pest's pairs into nodes. Precedence is in
//! `expressions`; what to say about text that does not fit is in `errors`.

use std::cell::{Cell, RefCell};

use pest::Parser;
use pest::iterators::Pair;

use crate::ast::{self, Expr, ExprKind, Ident, Script};
use crate::diag::Diagnostic;
use crate::span::{Sources, Span};

mod errors;
pub(crate) mod expressions;
pub mod literals;
mod prescan;
mod probes;
mod statements;
mod types;

#[cfg(test)]
mod tests;

pub use prescan::{MAX_NESTING, MAX_SIZE, is_incomplete};

/// Most levels that the tree of an expression or of nested statements may have. Stages walk the
/// tree by recursion; this bounds their stack.
pub const MAX_DEPTH: u32 = 256;

/// What pest makes of `grammar.pest`.
#[allow(missing_docs, reason = "the rules are documented in the grammar")]
mod grammar {
    /// The parser; [`Rule`] is its rules.
    #[derive(pest_derive::Parser)]
    #[grammar = "grammar.pest"]
    pub struct Grammar;
}

use grammar::{Grammar, Rule};

type Node<'a> = Pair<'a, Rule>;

/// Parses one file.
pub fn parse(sources: &Sources, file: u32) -> Result<Script, Vec<Diagnostic>> {
    let builder = Builder::new(file);
    let script = builder.parse_rule(sources, Rule::script, |pair| builder.script(pair))?;
    if script.items.is_empty()
        && script.definitions.is_empty()
        && script.settings().is_empty()
        && script.imports.is_empty()
    {
        return Err(vec![
            Diagnostic::error(
                "empty-script",
                Span { start: 0, end: 0, file },
                "the script is empty",
            )
            .help("a script has at least one probe: `BEGIN { printf(\"hello\\n\"); }`"),
        ]);
    }
    Ok(script)
}

/// Parses a file that is one expression, as typed at a prompt.
pub fn parse_expression(sources: &Sources, file: u32) -> Result<Expr, Vec<Diagnostic>> {
    let builder = Builder::new(file);
    builder.parse_rule(sources, Rule::lone_expr, |pair| {
        let span = builder.span(&pair);
        builder.parts(pair).next().map_or_else(|| builder.missing(span), |p| builder.expr(p))
    })
}

/// Makes nodes out of pest's pairs. Mistakes that the grammar lets pass are collected, and
/// something harmless stands in their place, so that one run reports several.
struct Builder {
    file: u32,
    depth: Cell<u32>,
    diagnostics: RefCell<Vec<Diagnostic>>,
}

impl Builder {
    fn new(file: u32) -> Self {
        Self { file, depth: Cell::new(0), diagnostics: RefCell::default() }
    }

    /// Matches the whole text against a rule and builds from the pair.
    fn parse_rule<T>(
        &self,
        sources: &Sources,
        rule: Rule,
        build: impl FnOnce(Node) -> T,
    ) -> Result<T, Vec<Diagnostic>> {
        let text = sources.get(self.file).map_or("", |s| &*s.text);
        let brackets = prescan::scan(text, self.file).map_err(|d| vec![d])?;
        let mut pairs = Grammar::parse(rule, text)
            .map_err(|error| vec![errors::describe(&error, text, self.file, &brackets)])?;
        let Some(pair) = pairs.next() else { return Err(vec![errors::internal(self.file)]) };
        let built = build(pair);
        let diagnostics = self.diagnostics.take();
        if diagnostics.is_empty() { Ok(built) } else { Err(diagnostics) }
    }

    fn script(&self, pair: Node) -> Script {
        let comments = pair
            .clone()
            .into_inner()
            .flatten()
            .filter(|p| p.as_rule() == Rule::comment)
            .map(|p| self.span(&p))
            .collect();
        let mut script = Script {
            definitions: Vec::new(),
            config: None,
            imports: Vec::new(),
            items: Vec::new(),
            comments,
        };
        for part in self.parts(pair) {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::preprocessor | Rule::c_definition => script
                    .definitions
                    .push(ast::CDefinition { text: part.as_str().trim_end().to_owned(), span }),
                Rule::config => {
                    if let Some(first) = &script.config {
                        self.report(
                            Diagnostic::error("duplicate-config", span, "a second config block")
                                .also(first.span, "the first one")
                                .help("put all settings into one block"),
                        );
                    }
                    script.config = Some(self.config(part));
                }
                Rule::import => script.imports.push(self.import(part)),
                Rule::probe => script.items.push(ast::Item::Probe(self.probe(part))),
                Rule::macro_def => script.items.push(ast::Item::Macro(self.macro_def(part))),
                Rule::function => script.items.push(ast::Item::Function(self.function(part))),
                Rule::map_decl => script.items.push(ast::Item::MapDecl(self.map_decl(part))),
                _ => {}
            }
        }
        script
    }

    /// The parts of a pair, comments left out.
    fn parts<'a>(&self, pair: Node<'a>) -> impl Iterator<Item = Node<'a>> + use<'a> {
        pair.into_inner().filter(|p| p.as_rule() != Rule::comment)
    }

    fn span(&self, pair: &Node) -> Span {
        let span = pair.as_span();
        let end = if ends_open(pair.as_rule()) { self.end(pair.clone()) } else { span.end() };
        Span { start: span.start() as u32, end: end as u32, file: self.file }
    }

    /// Where the last part of a pair ends.
    fn end(&self, pair: Node) -> usize {
        let whole = pair.as_span().end();
        match self.parts(pair).last() {
            Some(last) if ends_open(last.as_rule()) => self.end(last),
            Some(last) => last.as_span().end(),
            None => whole,
        }
    }

    fn report(&self, diagnostic: Diagnostic) {
        self.diagnostics.borrow_mut().push(diagnostic);
    }

    /// The name in a pair, with its sigil (`$`, `@`) taken off.
    fn ident(&self, pair: &Node) -> Ident {
        Ident {
            name: pair.as_str().trim_start_matches(['$', '@']).to_owned(),
            span: self.span(pair),
        }
    }

    /// Builds something that makes the tree deeper by some levels, or reports that it gets too
    /// deep and builds `instead`.
    fn deeper<T>(
        &self,
        levels: u32,
        span: Span,
        build: impl FnOnce() -> T,
        instead: impl FnOnce() -> T,
    ) -> T {
        let before = self.depth.get();
        let depth = before.saturating_add(levels);
        if depth > MAX_DEPTH {
            if !self.diagnostics.borrow().iter().any(|d| d.code == "nesting-too-deep") {
                self.report(
                    Diagnostic::error(
                        "nesting-too-deep",
                        span,
                        format!("this is more than {MAX_DEPTH} levels deep"),
                    )
                    .note("each operator, call, bracket and block counts as a level")
                    .help("give parts of it names: `$part = ...;`"),
                );
            }
            return instead();
        }
        self.depth.set(depth);
        let built = build();
        self.depth.set(before);
        built
    }

    /// What stands for an expression that could not be built.
    fn placeholder(&self, span: Span) -> Expr {
        Expr { kind: ExprKind::Int(0), span }
    }

    /// For a part that the grammar guarantees: reports a bug of the grammar's or the builder's.
    fn missing(&self, span: Span) -> Expr {
        self.report(errors::internal(self.file));
        self.placeholder(span)
    }

    /// [`Self::missing`] for names.
    fn missing_ident(&self, span: Span) -> Ident {
        self.report(errors::internal(self.file));
        Ident { name: String::new(), span }
    }
}

/// Whether a rule ends in something optional. pest then counts blanks and comments that follow into
/// the pair.
fn ends_open(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::name
            | Rule::type_
            | Rule::if_expr
            | Rule::if_stmt
            | Rule::block_stmt
            | Rule::import
            | Rule::map_decl
            | Rule::expr
            | Rule::config_value
    )
}
