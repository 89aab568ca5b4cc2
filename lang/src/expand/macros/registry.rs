//! The macros of a script and of the standard library, by name and signature.

use std::collections::HashMap;
use std::rc::Rc;

use crate::ast::{Expr, ExprKind, Ident, Macro, MacroParam};
use crate::diag::Diagnostic;
use crate::span::Sources;

use super::super::stdlib;

/// A macro.
#[derive(Debug)]
pub(super) struct Definition {
    /// As written.
    pub written: Macro,
    /// It is rbtrace's own: macros of the script do not change what it means.
    pub standard: bool,
}

impl Definition {
    /// `name($x, @y, z)`
    pub fn signature(&self) -> String {
        signature(&self.written)
    }

    fn accepts(&self, args: &[Expr]) -> bool {
        let params = &self.written.params;
        params.len() == args.len() && params.iter().zip(args).all(|(p, a)| takes(p, a))
    }
}

/// Whether an argument can stand for a parameter.
pub(super) fn takes(param: &MacroParam, arg: &Expr) -> bool {
    match param {
        MacroParam::Var(_) => matches!(arg.kind, ExprKind::Var(_)),
        MacroParam::Map(_) => matches!(arg.kind, ExprKind::Map { key: None, .. }),
        MacroParam::Expr(_) => true,
    }
}

pub(super) fn name_of(param: &MacroParam) -> &Ident {
    let (MacroParam::Var(name) | MacroParam::Map(name) | MacroParam::Expr(name)) = param;
    name
}

/// How a macro is called: `name($x, @y, z)`
pub(in crate::expand) fn signature(written: &Macro) -> String {
    let params: Vec<String> = written.params.iter().map(shown).collect();
    format!("{}({})", written.name.name, params.join(", "))
}

fn shown(param: &MacroParam) -> String {
    match param {
        MacroParam::Var(name) => format!("${}", name.name),
        MacroParam::Map(name) => format!("@{}", name.name),
        MacroParam::Expr(name) => name.name.clone(),
    }
}

/// What a call of a macro's name comes to.
pub(super) enum Found {
    /// This macro.
    Macro(Rc<Definition>),
    /// There are macros of that name, and none takes these arguments.
    Mismatch(Vec<Rc<Definition>>),
    /// There is no macro of that name.
    Nothing,
}

/// All macros that calls can reach.
#[derive(Debug, Default)]
pub(super) struct Registry {
    script: HashMap<String, Vec<Rc<Definition>>>,
    standard: HashMap<String, Vec<Rc<Definition>>>,
    read: stdlib::Read,
}

impl Registry {
    /// Adds a macro of the script.
    pub fn add(&mut self, written: Macro, errors: &mut Vec<Diagnostic>) {
        for (i, param) in written.params.iter().enumerate() {
            let name = name_of(param);
            let before = written.params.get(..i).unwrap_or_default();
            if let Some(first) = before.iter().find(|p| name_of(p).name == name.name) {
                errors.push(
                    Diagnostic::error(
                        "duplicate-macro",
                        name.span,
                        format!("the macro has two parameters named `{}`", name.name),
                    )
                    .also(name_of(first).span, "the first one"),
                );
            }
        }
        let same = self.script.entry(written.name.name.clone()).or_default();
        let new = Definition { written, standard: false };
        let kinds = |d: &Definition| -> Vec<_> {
            d.written.params.iter().map(std::mem::discriminant).collect()
        };
        if let Some(first) = same.iter().find(|d| kinds(d) == kinds(&new)) {
            errors.push(
                Diagnostic::error(
                    "duplicate-macro",
                    new.written.name.span,
                    format!("there is a macro {} already", new.signature()),
                )
                .also(first.written.name.span, "here")
                .note("macros of one name differ in the number or the kinds of their parameters"),
            );
            return;
        }
        same.push(Rc::new(new));
    }

    /// The macro that a call means. The script's own come first, unless the call is in a macro of
    /// the standard library.
    pub fn find(
        &mut self,
        name: &str,
        args: &[Expr],
        from_standard: bool,
        sources: &mut Sources,
    ) -> Found {
        let own = match from_standard {
            true => None,
            false => self.script.get(name),
        };
        if let Some(found) = own.and_then(|own| own.iter().find(|d| d.accepts(args))) {
            return Found::Macro(found.clone());
        }
        let mut near = own.cloned().unwrap_or_default();
        for module in self.read.modules_with(name, sources) {
            for written in module {
                let all = self.standard.entry(written.name.name.clone()).or_default();
                all.push(Rc::new(Definition { written, standard: true }));
            }
        }
        let standard = self.standard.get(name).map(Vec::as_slice).unwrap_or_default();
        if let Some(found) = standard.iter().find(|d| d.accepts(args)) {
            return Found::Macro(found.clone());
        }
        near.extend(standard.iter().cloned());
        if near.is_empty() { Found::Nothing } else { Found::Mismatch(near) }
    }
}
