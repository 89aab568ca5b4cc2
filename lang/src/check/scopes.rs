//! Variables and their scopes: every `$name` gets a name that is unique in its probe block, so
//! that later steps need no scopes. A second `$x` becomes `$x#2`.
//!
//! A variable lives from its first assignment, or its `let`, to the end of the block that this
//! is in. A name that is visible cannot be declared again. A variable that is read after the block
//! that assigns it gets a `let` at the start of the probe's action: before bpftrace 0.22 all
//! variables lived as long as the action, and scripts of that time rely on it.

use std::collections::{HashMap, HashSet};

use crate::ast::{Block, Expr, ExprKind, Ident, Probe, Stmt, StmtKind, Type, UnaryOp};
use crate::diag::Diagnostic;
use crate::expand::macros::written_name;
use crate::expand::visit::{self, VisitMut};
use crate::resolve::did_you_mean;
use crate::span::Span;

/// A variable of a block.
pub struct Variable {
    /// Its unique name, without `$`.
    pub unique: String,
    /// Where it begins.
    pub span: Span,
    /// It does not exist, which has been reported.
    pub undefined: bool,
    assigned: bool,
    /// It has been warned about.
    reported: bool,
}

/// Renames the variables of a block, and returns them.
pub fn rename(probe: &mut Probe, diagnostics: &mut Vec<Diagnostic>) -> Vec<Variable> {
    let mut renamed = probe.clone();
    let mut found = Vec::new();
    let names = Scopes::rename(&mut renamed, &mut found);
    if names.outliving.is_empty() {
        *probe = renamed;
        diagnostics.extend(found);
        return names.variables;
    }
    declare_first(names.outliving, probe, diagnostics);
    Scopes::rename(probe, diagnostics).variables
}

/// Declares variables at the start of a probe's action, and warns of it.
fn declare_first(outliving: Vec<Ident>, probe: &mut Probe, diagnostics: &mut Vec<Diagnostic>) {
    let mut declarations = Vec::new();
    for name in outliving {
        diagnostics.push(
            Diagnostic::warning(
                "outliving-variable",
                name.span,
                format!("${} is used after the block that assigns it", written_name(&name.name)),
            )
            .note("it is kept to the end of the action, as bpftrace kept variables before 0.22")
            .help(format!("declare it before that block: `let ${};`", written_name(&name.name))),
        );
        let span = name.span;
        declarations.push(Stmt { kind: StmtKind::Let { name, ty: None, value: None }, span });
    }
    probe.body.stmts.splice(0..0, declarations);
}

/// The variables of a probe block.
struct Names {
    variables: Vec<Variable>,
    /// Those that are read where they are not visible but could be, at the place where they are
    /// read first.
    outliving: Vec<Ident>,
}

struct Scopes<'a> {
    /// Names of each scope, the innermost last; values index `variables`.
    stack: Vec<HashMap<String, usize>>,
    variables: Vec<Variable>,
    /// How many variables had a name so far.
    used: HashMap<String, u32>,
    /// Names that an assignment declared.
    implicit: HashSet<String>,
    /// Names that `let` or a loop declared: those end with their blocks.
    introduced: HashSet<String>,
    outliving: Vec<Ident>,
    /// The predicate has been gone over.
    in_action: bool,
    /// Depth of `sizeof` and the like, which do not read.
    asking: u32,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Scopes<'a> {
    fn rename(probe: &mut Probe, diagnostics: &'a mut Vec<Diagnostic>) -> Names {
        let mut scopes = Scopes {
            stack: vec![HashMap::new()],
            variables: Vec::new(),
            used: HashMap::new(),
            implicit: HashSet::new(),
            introduced: HashSet::new(),
            outliving: Vec::new(),
            in_action: false,
            asking: 0,
            diagnostics,
        };
        if let Some(predicate) = &mut probe.predicate {
            scopes.expr(predicate);
        }
        scopes.in_action = true;
        scopes.block(&mut probe.body);
        scopes.finish()
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.stack.iter().rev().find_map(|scope| scope.get(name)).copied()
    }

    fn declare(&mut self, name: &str, span: Span, assigned: bool) -> usize {
        let count = self.used.entry(name.to_owned()).or_default();
        *count += 1;
        let unique = if *count == 1 { name.to_owned() } else { format!("{name}#{count}") };
        let index = self.variables.len();
        self.variables.push(Variable { unique, span, undefined: false, assigned, reported: false });
        if let Some(scope) = self.stack.last_mut() {
            scope.insert(name.to_owned(), index);
        }
        index
    }

    fn unique(&self, index: usize) -> String {
        self.variables.get(index).map(|v| v.unique.clone()).unwrap_or_default()
    }

    /// A `let` or a loop: declares a name that must not be visible yet.
    fn introduce(&mut self, name: &mut Ident, assigned: bool) {
        if let Some(first) = self.find(&name.name).and_then(|i| self.variables.get(i)) {
            let error = Diagnostic::error(
                "shadowed-variable",
                name.span,
                format!("${} is declared already", written_name(&name.name)),
            )
            .also(first.span, "here")
            .help("choose another name: an inner block cannot have a variable of the same name");
            self.diagnostics.push(error);
        }
        self.introduced.insert(name.name.clone());
        let index = self.declare(&name.name, name.span, assigned);
        name.name = self.unique(index);
    }

    fn read(&mut self, name: &mut String, span: Span) {
        match self.find(name) {
            Some(index) => {
                let known = self.variables.get(index).is_some_and(|v| v.assigned);
                if !known && self.asking == 0 {
                    self.diagnostics.push(Diagnostic::warning(
                        "unassigned-variable",
                        span,
                        format!("${} is used before it is assigned", written_name(name)),
                    ));
                    if let Some(variable) = self.variables.get_mut(index) {
                        variable.reported = true;
                    }
                }
                *name = self.unique(index);
            }
            None => {
                let known = self.outliving.iter().any(|other| other.name == *name);
                if self.in_action && self.implicit.contains(name) && !known {
                    self.outliving.push(Ident { name: name.clone(), span });
                }
                self.report_undefined(name, span);
                // Reported once.
                let index = self.declare(name, span, true);
                if let Some(variable) = self.variables.get_mut(index) {
                    variable.undefined = true;
                }
                *name = self.unique(index);
            }
        }
    }

    fn report_undefined(&mut self, name: &str, span: Span) {
        let error = Diagnostic::error(
            "undefined-variable",
            span,
            format!("there is no variable ${} here", written_name(name)),
        );
        let error = if self.implicit.contains(name) || self.introduced.contains(name) {
            error.note("a variable of that name belongs to another block and ends with it")
        } else if written_name(name) != name {
            error.help("a macro reaches only variables of its own and those passed to it")
        } else {
            let visible = self.stack.iter().flat_map(|s| s.keys());
            let visible: Vec<String> = visible.map(|k| format!("${k}")).collect();
            did_you_mean(error, &format!("${name}"), visible.iter().map(String::as_str))
        };
        self.diagnostics.push(error);
    }

    /// A plain assignment, which declares the variable if there is none.
    fn assign(&mut self, name: &mut String, span: Span) {
        let index = match self.find(name) {
            Some(index) => index,
            None => {
                self.implicit.insert(name.clone());
                self.declare(name, span, true)
            }
        };
        if let Some(variable) = self.variables.get_mut(index) {
            variable.assigned = true;
        }
        *name = self.unique(index);
    }

    fn for_loop(&mut self, var: &mut Ident, body: &mut Block) {
        self.stack.push(HashMap::new());
        self.introduce(var, true);
        self.block(body);
        self.stack.pop();
    }

    fn finish(self) -> Names {
        for variable in &self.variables {
            if !variable.assigned && !variable.reported {
                self.diagnostics.push(Diagnostic::warning(
                    "unassigned-variable",
                    variable.span,
                    format!("${} is never assigned", written_name(&variable.unique)),
                ));
            }
        }
        let Scopes { variables, mut outliving, introduced, .. } = self;
        outliving.retain(|name| !introduced.contains(&name.name));
        Names { variables, outliving }
    }
}

impl VisitMut for Scopes<'_> {
    fn block(&mut self, block: &mut Block) {
        self.stack.push(HashMap::new());
        visit::block(self, block);
        self.stack.pop();
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        match &mut stmt.kind {
            StmtKind::Assign { target, op, value } => {
                self.expr(value);
                match &mut target.kind {
                    ExprKind::Var(name) if op.is_none() => self.assign(name, target.span),
                    _ => self.expr(target),
                }
            }
            StmtKind::Let { name, ty, value } => {
                if let Some(value) = value {
                    self.expr(value);
                }
                if let Some(ty) = ty {
                    self.ty(ty);
                }
                self.introduce(name, value.is_some());
            }
            StmtKind::ForMap { var, body, .. } => self.for_loop(var, body),
            StmtKind::ForRange { var, start, end, body } => {
                self.expr(start);
                self.expr(end);
                self.for_loop(var, body);
            }
            _ => visit::stmt(self, stmt),
        }
    }

    fn expr(&mut self, expr: &mut Expr) {
        let span = expr.span;
        match &mut expr.kind {
            ExprKind::Var(name) => self.read(name, span),
            // `find(@x, key, $value)` sets its last argument.
            ExprKind::Call { name, args } if name.name == "find" => {
                for arg in args {
                    match &mut arg.kind {
                        ExprKind::Var(name) if self.find(name).is_some() => {
                            self.assign(name, arg.span);
                        }
                        _ => self.expr(arg),
                    }
                }
            }
            // `sizeof` and the like do not read; the address of a variable may be there to
            // assign it.
            ExprKind::SizeOf(_)
            | ExprKind::TypeInfo(_)
            | ExprKind::OffsetOf { .. }
            | ExprKind::Unary { op: UnaryOp::AddressOf, .. } => {
                self.asking += 1;
                visit::expr(self, expr);
                self.asking -= 1;
            }
            _ => visit::expr(self, expr),
        }
    }

    fn ty(&mut self, ty: &mut Type) {
        self.asking += 1;
        visit::ty(self, ty);
        self.asking -= 1;
    }
}
