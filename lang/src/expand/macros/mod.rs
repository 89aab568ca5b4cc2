//! Calls of macros become the macros' bodies.
//!
//! A body is copied for each call. Its places move to a stand-in of its file that knows the call
//! ([`Sources::add_expansion`]), so that what later stages say names both. Its variables get names
//! that no script can write (`x#m3`: the `x` of the third expansion, one of `m`): they cannot meet
//! those of the caller, whose own names are left alone in the arguments.

mod registry;
mod types;

use std::collections::HashMap;
use std::rc::Rc;

use crate::ast::{
    Block, Expr, ExprKind, Ident, Item, MacroParam, Script, Stmt, StmtKind, Type, TypeKind,
    TypeOrExpr,
};
use crate::diag::Diagnostic;
use crate::parse::MAX_DEPTH;
use crate::span::{Sources, Span};

use super::visit::{self, VisitMut};
pub(super) use registry::signature;
use registry::{Definition, Found, Registry, name_of, takes};

/// Most nodes that calls of macros may add to a script.
const MOST_NODES: u32 = 200_000;
/// What begins the part of a variable's name that an expansion adds.
const MARK: char = '#';

/// The name of a variable as the script has it.
pub fn written_name(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

/// Expands every call in a script, and leaves no macro in it.
pub(super) fn expand(script: &mut Script, sources: &mut Sources, errors: &mut Vec<Diagnostic>) {
    let mut registry = Registry::default();
    let mut items = Vec::with_capacity(script.items.len());
    for item in std::mem::take(&mut script.items) {
        match item {
            Item::Macro(written) => registry.add(written, errors),
            other => items.push(other),
        }
    }
    script.items = items;
    let mut expander = Expander::new(&mut registry, sources, errors);
    expander.script(script);
}

/// A macro that is being expanded.
struct Frame {
    definition: Rc<Definition>,
    /// What expression parameters stand for, expanded already.
    args: HashMap<String, Expr>,
    /// Names that variables passed by reference have at the call.
    vars: HashMap<String, String>,
    /// Names that maps passed by reference have at the call.
    maps: HashMap<String, String>,
    /// The stand-in for the macro's file.
    file: u32,
    /// What the macro's own variables have behind their names.
    suffix: String,
}

struct Expander<'a> {
    registry: &'a mut Registry,
    sources: &'a mut Sources,
    errors: &'a mut Vec<Diagnostic>,
    frames: Vec<Frame>,
    /// Expansions so far.
    count: u32,
    /// Nodes that expansions added so far.
    nodes: u32,
    /// Levels above the node at hand.
    depth: u32,
    /// A limit was exceeded, which has been reported: no call is expanded any more.
    stopped: bool,
}

impl VisitMut for Expander<'_> {
    fn span(&mut self, span: &mut Span) {
        if let Some(frame) = self.frames.last() {
            span.file = frame.file;
        }
    }

    fn block(&mut self, block: &mut Block) {
        self.deeper(block.span, |it| visit::block(it, block));
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        if !self.frames.is_empty() {
            self.nodes += 1;
            match &mut stmt.kind {
                StmtKind::Let { name, .. } => self.introduce(name),
                StmtKind::ForMap { var, map, .. } => {
                    self.introduce(var);
                    self.map_name(&mut map.name, map.span);
                }
                StmtKind::ForRange { var, .. } => self.introduce(var),
                _ => {}
            }
        }
        visit::stmt(self, stmt);
    }

    fn expr(&mut self, expr: &mut Expr) {
        let span = expr.span;
        self.deeper(span, |it| it.expr_in(expr));
    }

    fn ty(&mut self, ty: &mut Type) {
        let name = match &ty.kind {
            TypeKind::Name(name)
            | TypeKind::Struct(name)
            | TypeKind::Union(name)
            | TypeKind::Enum(name) => name.clone(),
            _ => return visit::ty(self, ty),
        };
        visit::ty(self, ty);
        let Some(arg) = self.frames.last().and_then(|frame| frame.args.get(&name)) else { return };
        if let Err(error) = types::in_type(ty, &name, arg) {
            self.errors.push(error);
        }
    }

    fn type_or_expr(&mut self, of: &mut TypeOrExpr) {
        if let TypeOrExpr::Type(Type { kind: TypeKind::Name(name), .. }) = of
            && let Some(arg) = self.frames.last().and_then(|frame| frame.args.get(name))
        {
            return types::in_place(of, arg);
        }
        visit::type_or_expr(self, of);
    }
}

impl<'a> Expander<'a> {
    fn new(
        registry: &'a mut Registry,
        sources: &'a mut Sources,
        errors: &'a mut Vec<Diagnostic>,
    ) -> Self {
        Self {
            registry,
            sources,
            errors,
            frames: Vec::new(),
            count: 0,
            nodes: 0,
            depth: 0,
            stopped: false,
        }
    }

    /// Goes a level down, unless expansions have made the tree too deep for the stages to walk.
    fn deeper(&mut self, span: Span, walk: impl FnOnce(&mut Self)) {
        if self.depth >= MAX_DEPTH && !self.frames.is_empty() {
            return self.stop(span, format!("makes the script more than {MAX_DEPTH} levels deep"));
        }
        self.depth += 1;
        walk(self);
        self.depth -= 1;
    }

    fn expr_in(&mut self, expr: &mut Expr) {
        let span = expr.span;
        if !self.frames.is_empty() {
            self.nodes += 1;
        }
        match &mut expr.kind {
            ExprKind::Var(name) => self.var_name(name),
            ExprKind::Map { name, .. } => self.map_name(name, span),
            ExprKind::Ident(name) => {
                let arg = self.frames.last().and_then(|frame| frame.args.get(name)).cloned();
                if let Some(arg) = arg {
                    return self.substitute(expr, arg);
                }
                let name = Ident { name: name.clone(), span };
                visit::expr(self, expr);
                return self.call(expr, &name, Vec::new());
            }
            ExprKind::Call { .. } => {
                visit::expr(self, expr);
                if let ExprKind::Call { name, args } = &mut expr.kind {
                    let (name, given) = (name.clone(), std::mem::take(args));
                    self.call(expr, &name, given);
                }
                return;
            }
            ExprKind::OffsetOf { path, .. } => self.member_path(path),
            _ => {}
        }
        visit::expr(self, expr);
    }

    /// An argument in place of a parameter.
    fn substitute(&mut self, expr: &mut Expr, arg: Expr) {
        let (depth, nodes) = measure(&arg);
        self.nodes = self.nodes.saturating_add(nodes);
        if self.depth + depth > MAX_DEPTH {
            self.stop(arg.span, format!("makes the script more than {MAX_DEPTH} levels deep"));
            return;
        }
        *expr = arg;
    }

    /// A single name that is a parameter may stand for a path.
    fn member_path(&mut self, path: &mut Vec<Ident>) {
        let [only] = path.as_slice() else { return };
        let Some(arg) = self.frames.last().and_then(|frame| frame.args.get(&only.name)) else {
            return;
        };
        match types::path(arg) {
            Some(names) => *path = names,
            None => self.errors.push(
                Diagnostic::error(
                    "macro-type-argument",
                    arg.span,
                    format!("this cannot stand for `{}`, which names a member", only.name),
                )
                .help("pass the member's name: `x`, or `a.b` for one of a member"),
            ),
        }
    }

    /// A call, or a name alone, that may be that of a macro; its arguments are expanded already.
    fn call(&mut self, expr: &mut Expr, name: &Ident, args: Vec<Expr>) {
        let from_standard = self.frames.last().is_some_and(|frame| frame.definition.standard);
        match self.registry.find(&name.name, &args, from_standard, self.sources) {
            Found::Macro(definition) if !self.stopped => self.expand(expr, definition, args),
            Found::Mismatch(near) if !crate::check::is_builtin(&name.name) => {
                self.errors.push(mismatch(expr.span, name, &args, &near));
            }
            Found::Macro(_) | Found::Mismatch(_) | Found::Nothing => {
                if let ExprKind::Call { args: place, .. } = &mut expr.kind {
                    *place = args;
                }
            }
        }
    }

    /// Puts the body of a macro in place of a call.
    fn expand(&mut self, expr: &mut Expr, definition: Rc<Definition>, args: Vec<Expr>) {
        let call = expr.span;
        if let Some(at) = self.frames.iter().position(|f| Rc::ptr_eq(&f.definition, &definition)) {
            let chain = self.frames.get(at..).unwrap_or_default();
            self.errors.push(recursion(call, &definition, chain));
            return;
        }
        if self.nodes > MOST_NODES {
            return self.stop(call, format!("makes the script more than {MOST_NODES} nodes large"));
        }
        self.count += 1;
        let written = &definition.written;
        let file = self.sources.add_expansion(written.span.file, &written.name.name, call);
        let suffix = format!("{MARK}{}{}", written.name.name, self.count);
        let mut frame = Frame {
            definition: definition.clone(),
            args: HashMap::new(),
            vars: HashMap::new(),
            maps: HashMap::new(),
            file,
            suffix,
        };
        for (param, arg) in written.params.iter().zip(args) {
            frame.bind(param, arg);
        }
        let mut body = written.body.clone();
        self.frames.push(frame);
        self.block(&mut body);
        self.frames.pop();
        expr.kind = ExprKind::Block(body);
    }

    fn stop(&mut self, span: Span, what: String) {
        if !self.stopped {
            let name = self.frames.first().map_or("", |f| f.definition.written.name.name.as_str());
            self.errors.push(
                Diagnostic::error(
                    "expansion-too-large",
                    span,
                    format!("the call of `{name}` {what}"),
                )
                .help("bind an argument that is used more than once: `let $x = x;`"),
            );
        }
        self.stopped = true;
    }

    fn var_name(&mut self, name: &mut String) {
        let Some(frame) = self.frames.last() else { return };
        match frame.vars.get(name) {
            Some(outer) => name.clone_from(outer),
            None => name.push_str(&frame.suffix),
        }
    }

    /// A variable that a statement of the macro declares.
    fn introduce(&mut self, name: &mut Ident) {
        let Some(frame) = self.frames.last() else { return };
        if frame.vars.contains_key(&name.name) {
            let mut span = name.span;
            span.file = frame.file;
            let params = &frame.definition.written.params;
            let param = params.iter().map(name_of).find(|param| param.name == name.name);
            let error = Diagnostic::error(
                "shadowed-variable",
                span,
                format!("${} is a parameter of the macro", name.name),
            );
            self.errors.push(match param {
                Some(param) => error.also(param.span, "here"),
                None => error,
            });
        }
        self.var_name(&mut name.name);
    }

    fn map_name(&mut self, name: &mut String, span: Span) {
        let Some(frame) = self.frames.last() else { return };
        if let Some(outer) = frame.maps.get(name) {
            name.clone_from(outer);
            return;
        }
        let span = Span { file: frame.file, ..span };
        self.errors.push(
            Diagnostic::error(
                "macro-map",
                span,
                format!("the macro cannot reach @{name}: it is no parameter of it"),
            )
            .help(format!("make it one, `macro {}(@{name})`, and pass the map", {
                &frame.definition.written.name.name
            })),
        );
    }
}

impl Frame {
    fn bind(&mut self, param: &MacroParam, arg: Expr) {
        match (param, arg.kind) {
            (MacroParam::Var(name), ExprKind::Var(outer)) => {
                self.vars.insert(name.name.clone(), outer);
            }
            (MacroParam::Map(name), ExprKind::Map { name: outer, .. }) => {
                self.maps.insert(name.name.clone(), outer);
            }
            // In a block it is a value: passed on, it is no variable and no map.
            (param, kind @ (ExprKind::Var(_) | ExprKind::Map { key: None, .. })) => {
                let value = Some(Box::new(Expr { kind, span: arg.span }));
                let block = Block { stmts: Vec::new(), value, span: arg.span };
                let arg = Expr { kind: ExprKind::Block(block), span: arg.span };
                self.args.insert(name_of(param).name.clone(), arg);
            }
            (param, kind) => {
                let arg = Expr { kind, span: arg.span };
                self.args.insert(name_of(param).name.clone(), arg);
            }
        }
    }
}

fn recursion(call: Span, definition: &Definition, chain: &[Frame]) -> Diagnostic {
    let names: Vec<&str> = chain.iter().map(|f| f.definition.written.name.name.as_str()).collect();
    let name = &definition.written.name;
    Diagnostic::error(
        "macro-recursion",
        call,
        format!("the macro `{}` comes to call itself", name.name),
    )
    .note(format!("the chain of calls is {} > {}", names.join(" > "), name.name))
    .help("a macro is replaced by its body when the script is compiled; use a loop instead")
}

fn mismatch(span: Span, name: &Ident, args: &[Expr], near: &[Rc<Definition>]) -> Diagnostic {
    let signatures: Vec<String> = near.iter().map(|d| d.signature()).collect();
    let of_length = near.iter().find(|d| d.written.params.len() == args.len());
    let error = match of_length {
        Some(definition) => {
            let params = &definition.written.params;
            let wrong = params.iter().zip(args).find(|(param, arg)| !takes(param, arg));
            let place = wrong.map_or(span, |(_, arg)| arg.span);
            let error = Diagnostic::error(
                "macro-arguments",
                place,
                format!("the macro `{}` cannot take this", name.name),
            );
            match wrong {
                Some((param @ MacroParam::Var(of), _)) => error
                    .label("expected a variable")
                    .also(name_of(param).span, format!("for ${}", of.name)),
                Some((param @ MacroParam::Map(of), _)) => error
                    .label("expected a map without a key")
                    .also(name_of(param).span, format!("for @{}", of.name)),
                _ => error,
            }
        }
        None => {
            let error = Diagnostic::error(
                "macro-arguments",
                span,
                format!("no macro `{}` takes {}", name.name, count(args.len())),
            );
            match near.first() {
                Some(first) => error.also(first.written.name.span, "defined here"),
                None => error,
            }
        }
    };
    error.help(format!("it is called as {}", signatures.join(" or ")))
}

fn count(args: usize) -> String {
    match args {
        0 => "no arguments".into(),
        1 => "one argument".into(),
        n => format!("{n} arguments"),
    }
}

/// Levels and nodes of a tree.
fn measure(expr: &Expr) -> (u32, u32) {
    struct Measure {
        depth: u32,
        deepest: u32,
        nodes: u32,
    }
    impl VisitMut for Measure {
        fn block(&mut self, block: &mut Block) {
            self.depth += 1;
            visit::block(self, block);
            self.depth -= 1;
        }
        fn expr(&mut self, expr: &mut Expr) {
            self.nodes += 1;
            self.depth += 1;
            self.deepest = self.deepest.max(self.depth);
            visit::expr(self, expr);
            self.depth -= 1;
        }
    }
    let mut measure = Measure { depth: 0, deepest: 0, nodes: 0 };
    measure.expr(&mut expr.clone());
    (measure.deepest, measure.nodes)
}
