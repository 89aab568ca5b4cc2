//! The top level: definitions, settings, probes, macros, functions.

use crate::ast::{
    Block, CDefinition, Config, ConfigEntry, Function, Import, Item, Macro, MacroParam, MapDecl,
    Probe, Script,
};
use crate::span::Span;

use super::lines::{INDENT, Lines};
use super::list::List;
use super::{Printer, WIDTH};

/// Something at the top level.
enum Part<'t> {
    Definition(&'t CDefinition),
    Config(&'t Config),
    Import(&'t Import),
    Item(&'t Item),
}

impl Part<'_> {
    fn span(&self) -> Span {
        match self {
            Part::Definition(definition) => definition.span,
            Part::Config(config) => config.span,
            Part::Import(import) => import.span,
            Part::Item(Item::Probe(probe)) => probe.span,
            Part::Item(Item::Macro(definition)) => definition.span,
            Part::Item(Item::MapDecl(decl)) => decl.span,
            Part::Item(Item::Function(function)) => function.span,
        }
    }
}

impl Printer<'_> {
    /// The whole script.
    pub(super) fn script(mut self, script: &Script) -> String {
        let mut parts: Vec<Part> = script.definitions.iter().map(Part::Definition).collect();
        parts.extend(script.config.iter().map(Part::Config));
        parts.extend(script.imports.iter().map(Part::Import));
        parts.extend(script.items.iter().map(Part::Item));
        parts.sort_by_key(|part| part.span().start);
        let mut lines = self.source.shebang().map_or_else(Lines::new, Lines::of);
        let mut end = None;
        for part in &parts {
            let span = part.span();
            lines = self.next(lines, end, span.start, |p| p.part(part));
            end = Some(span.end);
        }
        self.comments_between(lines, end, u32::MAX).finish()
    }

    fn part(&mut self, part: &Part) -> Lines {
        match part {
            Part::Definition(definition) => Lines::of(&definition.text),
            Part::Config(config) => self.config(config),
            Part::Import(import) => self.import(import),
            Part::Item(Item::Probe(probe)) => self.probe(probe),
            Part::Item(Item::Macro(definition)) => self.macro_def(definition),
            Part::Item(Item::MapDecl(decl)) => self.map_decl(decl),
            Part::Item(Item::Function(function)) => self.function(function),
        }
    }

    fn config(&mut self, config: &Config) -> Lines {
        let mut lines = Lines::new();
        let mut end = None;
        for entry in &config.entries {
            lines = self.next(lines, end, entry.span.start, |p| p.config_entry(entry));
            end = Some(entry.span.end);
        }
        let lines = self.comments_between(lines, end, config.span.end.saturating_sub(1));
        Lines::of("config = {").inside(lines).text("}")
    }

    fn config_entry(&self, entry: &ConfigEntry) -> Lines {
        let equals = self.source.skip_layout(entry.name.span.end);
        let value = self.source.token(self.source.skip_layout(equals + 1));
        Lines::of(format!("{} = {value};", entry.name.name))
    }

    pub(super) fn import(&self, import: &Import) -> Lines {
        let name = self.source.skip_layout(import.span.start + "import".len() as u32);
        Lines::of(format!("import {};", self.source.token(name)))
    }

    fn probe(&mut self, probe: &Probe) -> Lines {
        let mut lines = Lines::new();
        let mut end = None;
        let last = probe.attach_points.len().saturating_sub(1);
        for (at, point) in probe.attach_points.iter().enumerate() {
            let name = probe.name.as_ref().filter(|_| at == 0);
            let name = name.map_or(String::new(), |name| format!("{} = ", name.name));
            let comma = if at == last { "" } else { "," };
            lines = self.comments_between(lines, end, point.span.start);
            lines = lines.below(Lines::of(format!("{name}{}{comma}", self.text(point.span))));
            end = Some(point.span.end);
        }
        if let Some(predicate) = &probe.predicate {
            let slash = self.slash_after(end.unwrap_or(probe.span.start));
            lines = self.comments_between(lines, end, slash);
            let predicate_lines = self.expr(predicate, WIDTH, true);
            // `//` and `/*` would begin a comment.
            let slash = if predicate_lines.begins_with(['/', '*']) { "/ " } else { "/" };
            lines = lines.below(Lines::of(slash).beside(predicate_lines).text("/"));
            end = Some(predicate.span.end);
        }
        self.body(lines, end, &probe.body)
    }

    /// Where the slash of a predicate is that follows an attach point.
    fn slash_after(&self, end: u32) -> u32 {
        let next = self.source.skip_layout(end);
        if self.source.from(next).starts_with(',') {
            self.source.skip_layout(next + 1)
        } else {
            next
        }
    }

    /// A block below what it belongs to, with the braces that it has: `{ }` or `< >`.
    fn body(&mut self, above: Lines, end: Option<u32>, body: &Block) -> Lines {
        let above = self.comments_between(above, end, body.span.start);
        let is_angle = self.source.from(body.span.start).starts_with('<');
        let [open, close] = if is_angle { ["<", ">"] } else { ["{", "}"] };
        let block = self.block(body, &[], WIDTH - INDENT);
        above.below(Lines::of(open).inside(block).text(close))
    }

    fn macro_def(&mut self, definition: &Macro) -> Lines {
        let end = definition.body.span.start;
        let list = List { separator: ", ", width: WIDTH - 10, end: Some(end) };
        let params = self.list(list, &definition.params, param_start, |_, param, _| {
            Lines::of(match param {
                MacroParam::Var(name) => format!("${}", name.name),
                MacroParam::Map(name) => format!("@{}", name.name),
                MacroParam::Expr(name) => name.name.clone(),
            })
        });
        let head = Lines::of(format!("macro {}(", definition.name.name));
        self.body(head.beside(params).text(")"), Some(end), &definition.body)
    }

    fn function(&mut self, function: &Function) -> Lines {
        let end = function.body.span.start;
        let name = &function.name.name;
        let width = WIDTH.saturating_sub(name.len() + 5);
        let list = List { separator: ", ", width, end: Some(end) };
        let params = self.list(
            list,
            &function.params,
            |(name, _)| name.span.start,
            |p, (name, ty), width| Lines::of(format!("${} : ", name.name)).beside(p.ty(ty, width)),
        );
        let result = function.result.as_ref().map_or_else(Lines::new, |result| {
            Lines::of(" : ").beside(self.ty(result, WIDTH.saturating_sub(name.len() + 7)))
        });
        let fits = params.width() + result.width() + 9 <= WIDTH;
        let head = Lines::of(format!("fn {name}("));
        let head =
            if params.is_one_line() && fits { head.beside(params) } else { head.inside(params) };
        self.body(head.text(")").beside(result), Some(end), &function.body)
    }

    fn map_decl(&mut self, decl: &MapDecl) -> Lines {
        let head = Lines::of(format!("let @{} = {}(", decl.name.name, decl.kind.name));
        head.beside(self.expr(&decl.max_entries, WIDTH, true)).text(");")
    }
}

fn param_start(param: &MacroParam) -> u32 {
    let (MacroParam::Var(name) | MacroParam::Map(name) | MacroParam::Expr(name)) = param;
    name.span.start
}
