//! The top level: probes and their attach points, macros, functions, maps, settings.

use crate::ast::{
    AttachPart, AttachPiece, AttachPoint, Config, ConfigEntry, ConfigValue, Function, Import,
    Macro, MacroParam, MapDecl, Param, Probe, Type, TypeKind,
};
use crate::diag::Diagnostic;
use crate::span::Span;

use super::statements::Use;
use super::{Builder, Node, Rule};

impl Builder {
    pub(super) fn probe(&self, pair: Node) -> Probe {
        let whole = self.span(&pair);
        let mut probe = Probe {
            name: None,
            attach_points: Vec::new(),
            predicate: None,
            body: crate::ast::Block { stmts: Vec::new(), value: None, span: whole },
            span: whole,
        };
        for part in self.parts(pair) {
            match part.as_rule() {
                Rule::probe_name => probe.name = Some(self.ident(&part)),
                Rule::attach_point => probe.attach_points.push(self.attach_point(part)),
                Rule::predicate => {
                    probe.predicate =
                        self.parts(part).find(|p| p.as_rule() == Rule::expr).map(|p| self.expr(p));
                }
                Rule::block | Rule::angle_block => probe.body = self.block(part, Use::Statement),
                _ => {}
            }
        }
        probe
    }

    fn attach_point(&self, pair: Node) -> AttachPoint {
        let span = self.span(&pair);
        let parts = self
            .parts(pair)
            .map(|part| AttachPart {
                span: self.span(&part),
                pieces: self.parts(part).filter_map(|p| self.attach_piece(p)).collect(),
            })
            .collect();
        AttachPoint { parts, span }
    }

    fn attach_piece(&self, pair: Node) -> Option<AttachPiece> {
        match pair.as_rule() {
            Rule::param => self.param(pair).map(AttachPiece::Param),
            Rule::quoted => Some(AttachPiece::Quoted(unquote(pair.as_str()))),
            _ => Some(AttachPiece::Text(pair.as_str().to_owned())),
        }
    }

    /// `$1`, `${1:-default}`; nothing if the number is not one.
    pub(super) fn param(&self, pair: Node) -> Option<Param> {
        let span = self.span(&pair);
        let (mut number, mut default) = (None, None);
        for part in self.parts(pair) {
            match part.as_rule() {
                Rule::param_number => number = part.as_str().parse().ok().filter(|&n| n > 0),
                Rule::param_default => default = Some(part.as_str().to_owned()),
                _ => {}
            }
        }
        if number.is_none() {
            self.report(
                Diagnostic::error("invalid-parameter", span, "parameters are numbered from 1")
                    .help("`$1` is the first one; `$#` is their number"),
            );
        }
        Some(Param { number: number?, default, span })
    }

    pub(super) fn import(&self, pair: Node) -> Import {
        let span = self.span(&pair);
        match self.parts(pair).find(|p| p.as_rule() == Rule::string) {
            Some(name) => self.import_of(&name, span),
            None => {
                self.missing(span);
                Import { name: String::new(), span }
            }
        }
    }

    /// An import, of the string with its name.
    pub(super) fn import_of(&self, name: &Node, span: Span) -> Import {
        Import { name: self.text(name), span }
    }

    /// A string that must be text.
    fn text(&self, pair: &Node) -> String {
        String::from_utf8(self.string(pair)).unwrap_or_else(|_| {
            self.report(Diagnostic::error(
                "invalid-escape",
                self.span(pair),
                "this string must be UTF-8 text",
            ));
            String::new()
        })
    }

    pub(super) fn config(&self, pair: Node) -> Config {
        let span = self.span(&pair);
        let entries = self.parts(pair).filter(|p| p.as_rule() == Rule::config_entry);
        Config { entries: entries.filter_map(|p| self.config_entry(p)).collect(), span }
    }

    fn config_entry(&self, pair: Node) -> Option<ConfigEntry> {
        let span = self.span(&pair);
        let mut parts = self.parts(pair);
        let name = self.ident(&parts.next()?);
        let value = self.parts(parts.next()?).next()?;
        let value = match value.as_rule() {
            Rule::string => ConfigValue::Str(self.text(&value)),
            Rule::integer => ConfigValue::Int(self.integer(&value)),
            _ => ConfigValue::Word(value.as_str().to_owned()),
        };
        Some(ConfigEntry { name, value, span })
    }

    pub(super) fn macro_def(&self, pair: Node) -> Macro {
        let span = self.span(&pair);
        let mut name = None;
        let mut params = Vec::new();
        let mut body = crate::ast::Block { stmts: Vec::new(), value: None, span };
        for part in self.parts(pair) {
            match part.as_rule() {
                Rule::ident => name = Some(self.ident(&part)),
                Rule::macro_param => {
                    params.extend(self.parts(part).next().map(|p| match p.as_rule() {
                        Rule::variable => MacroParam::Var(self.ident(&p)),
                        Rule::map => MacroParam::Map(self.ident(&p)),
                        _ => MacroParam::Expr(self.ident(&p)),
                    }));
                }
                Rule::block => body = self.block(part, Use::Value),
                _ => {}
            }
        }
        Macro { name: name.unwrap_or_else(|| self.missing_ident(span)), params, body, span }
    }

    pub(super) fn function(&self, pair: Node) -> Function {
        let span = self.span(&pair);
        let (mut name, mut result) = (None, None);
        let mut params = Vec::new();
        let mut body = crate::ast::Block { stmts: Vec::new(), value: None, span };
        for part in self.parts(pair) {
            match part.as_rule() {
                Rule::ident => name = Some(self.ident(&part)),
                Rule::function_param => {
                    let span = self.span(&part);
                    let mut parts = self.parts(part);
                    let name = parts.next().map(|p| self.ident(&p));
                    let ty = parts.next().map(|p| self.ty(p));
                    params.push((
                        name.unwrap_or_else(|| self.missing_ident(span)),
                        ty.unwrap_or(Type { kind: TypeKind::Name(String::new()), span }),
                    ));
                }
                Rule::type_ => result = Some(self.ty(part)),
                Rule::block => body = self.block(part, Use::Statement),
                _ => {}
            }
        }
        Function {
            name: name.unwrap_or_else(|| self.missing_ident(span)),
            params,
            result,
            body,
            span,
        }
    }

    pub(super) fn map_decl(&self, pair: Node) -> MapDecl {
        let span = self.span(&pair);
        let (mut name, mut kind, mut max_entries) = (None, None, None);
        for part in self.parts(pair) {
            match part.as_rule() {
                Rule::map => name = Some(self.ident(&part)),
                Rule::ident => kind = Some(self.ident(&part)),
                Rule::expr => max_entries = Some(self.expr(part)),
                _ => {}
            }
        }
        MapDecl {
            name: name.unwrap_or_else(|| self.missing_ident(span)),
            kind: kind.unwrap_or_else(|| self.missing_ident(span)),
            max_entries: Box::new(max_entries.unwrap_or_else(|| self.missing(span))),
            span,
        }
    }
}

/// Takes quotes off; a backslash stands for the character after it.
fn unquote(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    let mut result = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        result.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    result
}
