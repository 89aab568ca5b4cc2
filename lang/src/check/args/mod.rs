//! `args` of functions: their parameters by name and type.
//!
//! Debug information says what they are; where they are when the function is entered, the calling
//! convention tells (`abi`).

mod abi;
mod go;

use std::rc::Rc;

use rbtrace_probes_ebpf::kinds::{Context, ProbeKind, iter, lsm};
use rbtrace_probes_ebpf::plan::Target;

use crate::ast;
use crate::catalog::ctypes::{CType, Signature};
use crate::catalog::{Convention, DebugInfo};
use crate::diag::Diagnostic;
use crate::hir::{Builtin, Expr, ExprKind, Space, Type};
use crate::resolve::did_you_mean;
use crate::span::Span;

use super::access::pointing;
use super::convert::cast;
use super::{Checker, Stop, Typed, Value};
use abi::Place;

/// The kernel itself, among its modules.
const KERNEL: &str = "vmlinux";
/// Parameters that an error lists.
const MOST_LISTED: usize = 12;

/// The parameters of the function that a probe is on the entry of, if they are known.
pub(super) fn signature_of(target: &Target, checker: &Checker<'_>) -> Option<Rc<Signature>> {
    let types = checker.cx.types;
    let found = match target {
        Target::Uprobe(at) if at.offset == 0 => {
            types.user_function(&at.binary, at.symbol.as_deref()?)
        }
        Target::Fentry(f) | Target::Fexit(f) => {
            types.kernel_function(f.module.as_deref(), &f.function)
        }
        Target::ProgramEntry(f) | Target::ProgramExit(f) => types.program_function(f),
        Target::Iter { object, .. } => types.kernel_function(Some(KERNEL), &iter::function(object)),
        Target::Lsm { hook } => types.kernel_function(Some(KERNEL), &lsm::function(hook)),
        Target::RawTracepoint { name, .. } => types.raw_tracepoint(name),
        _ => None,
    };
    found.map(Rc::new)
}

/// Numbers of the parameters of an iterator that point to what it has come to. The first tells of the
/// iterator itself.
pub(super) fn objects(signature: &Signature) -> Vec<u32> {
    let numbered = (0u32..).zip(&signature.params).skip(1);
    let pointers = numbered.filter(|(_, (_, ty))| matches!(ty, CType::Pointer(_)));
    pointers.map(|(number, _)| number).collect()
}

impl Checker<'_> {
    /// `args` of a function, as a record of its parameters. Those that cannot be read are left out.
    pub fn function_args(&mut self, span: Span) -> Typed {
        let signature = self.signature(span)?;
        let parameters = self.parameters(&signature, span);
        let (mut values, mut members) = (Vec::new(), Vec::new());
        for ((name, _), parameter) in signature.params.iter().zip(parameters) {
            if let (false, Ok(value)) = (name.is_empty(), parameter) {
                members.push((name.clone(), value.expr.ty.clone()));
                values.push(value.expr);
            }
        }
        if members.is_empty() {
            let function = self.function();
            let what = match signature.params.is_empty() {
                true => format!("{function} takes no arguments"),
                false => format!("none of the arguments of {function} can be read"),
            };
            return Err(self.error(Diagnostic::error("unreadable-field", span, what)));
        }
        Ok(Value::new(ExprKind::Tuple(values), Type::Tuple(members), span))
    }

    /// `args.name`, if `base` is `args` of a function; `ctx.name` of an iterator.
    pub fn function_arg(
        &mut self,
        base: &ast::Expr,
        field: &ast::Ident,
        span: Span,
    ) -> Option<Typed> {
        let args = if self.at.kind == ProbeKind::Iter { "ctx" } else { "args" };
        let is_args = matches!(&base.kind, ast::ExprKind::Ident(name) if name == args);
        let signature = self.at.signature.clone().filter(|_| is_args)?;
        Some(self.named_parameter(&signature, field, span))
    }

    fn named_parameter(&mut self, signature: &Signature, field: &ast::Ident, span: Span) -> Typed {
        let index = signature.params.iter().position(|(name, _)| *name == field.name);
        let found = index.and_then(|i| self.parameters(signature, span).into_iter().nth(i));
        let Some(parameter) = found else {
            let function = self.function();
            let names =
                || signature.params.iter().map(|(name, _)| name.as_str()).filter(|n| !n.is_empty());
            let what = if self.at.kind == ProbeKind::Iter { "field" } else { "argument" };
            let error = Diagnostic::error(
                "unknown-field",
                field.span,
                format!("{function} has no {what} `{}`", field.name),
            );
            let listed: Vec<_> = names().take(MOST_LISTED).collect();
            let error = match listed.is_empty() {
                true => error.note("it takes none"),
                false => error.note(format!("its {what}s are {}", listed.join(", "))),
            };
            return Err(self.error(did_you_mean(error, &field.name, names())));
        };
        parameter.map_err(|why| {
            self.error(
                Diagnostic::error(
                    "unreadable-field",
                    field.span,
                    format!("the argument `{}` cannot be read", field.name),
                )
                .note(why),
            )
        })
    }

    /// What the function of an `fexit` probe returned. The kernel puts it behind the arguments.
    pub fn function_result(&mut self, signature: &Signature, span: Span) -> Typed {
        if signature.result == CType::Void {
            let function = self.function();
            return Err(self.error(Diagnostic::error(
                "builtin-not-here",
                span,
                format!("{function} returns nothing"),
            )));
        }
        let place = Place::Register(signature.params.len() as u32);
        self.parameter(&signature.result, place, span).map_err(|why| {
            self.error(
                Diagnostic::error("unreadable-field", span, "retval cannot be read").note(why),
            )
        })
    }

    /// The value of each parameter, or why there is none.
    fn parameters(
        &mut self,
        signature: &Signature,
        span: Span,
    ) -> Vec<Result<Value, &'static str>> {
        if self.at.convention == Convention::Go {
            return self.go_parameters(signature, span);
        }
        let places = self.places(signature);
        let params = signature.params.iter().zip(places);
        params.map(|((_, ty), place)| self.parameter(ty, place, span)).collect()
    }

    /// The value of a parameter, or why there is none.
    fn parameter(&mut self, ty: &CType, place: Place, span: Span) -> Result<Value, &'static str> {
        let builtin = match place {
            Place::Register(number) => Builtin::Arg(number),
            Place::Stack(number) => Builtin::StackArg(number),
            Place::Nowhere(why) => return Err(why),
        };
        let space = match self.at.kind {
            ProbeKind::Uprobe => Space::User,
            _ => Space::Kernel,
        };
        let word = Value::new(ExprKind::Builtin(builtin), Type::U64, span).expr;
        Ok(self.typed(ty, word, space))
    }

    /// A parameter's word as a value of its type, which points into this space.
    fn typed(&mut self, ty: &CType, word: Expr, space: Space) -> Value {
        let ty = match pointing(self.value_type(ty, space)) {
            ty @ (Type::Bool | Type::Int(_) | Type::Enum(_) | Type::Ptr { .. }) => ty,
            _ => Type::U64,
        };
        Value::from(cast(word, &ty))
    }

    fn signature(&mut self, span: Span) -> Typed<Rc<Signature>> {
        match self.at.signature.clone() {
            Some(signature) => Ok(signature),
            None => Err(self.no_signature(span)),
        }
    }

    /// The function that the block is on.
    fn function(&self) -> String {
        let probe = self.at.probes.first().map(|(_, probe)| probe);
        let function = probe.and_then(|probe| super::builtins::function_of(&probe.target));
        let name = function.or_else(|| probe.map(|probe| probe.name.as_str()));
        name.unwrap_or_default().to_owned()
    }

    /// Why the parameters are not known, and what to do.
    fn no_signature(&mut self, span: Span) -> Stop {
        let probe = self.at.probes.first().map(|(_, probe)| probe.target.clone());
        let function = self.function();
        let Some(Target::Uprobe(at)) = probe else {
            let error = Diagnostic::error(
                "no-format",
                span,
                format!("the arguments of {function} are not known"),
            )
            .note("they are read from the kernel's types, /sys/kernel/btf");
            return self.error(match self.at.spec().has_args {
                true => error.help("arg0, arg1 and so on are there without them"),
                false => error,
            });
        };
        let error = |message: String| Diagnostic::error("no-debug-info", span, message);
        let by_number = "arg0, arg1 and so on are there without it";
        let error = match self.cx.types.debug_info(&at.binary) {
            DebugInfo::Missing => error(format!("{} has no debug information", at.binary))
                .note("args are read from it")
                .help(format!(
                    "compile it with -g, install the package with its debug symbols, or say with --debuginfo \
                     where they are; {by_number}"
                )),
            DebugInfo::Partial(missing) => {
                error(format!("the debug information of {} is not complete", at.binary))
                    .note(format!("there is no {}", missing.join(", ")))
                    .help(by_number)
            }
            DebugInfo::Whole if at.symbol.is_none() || at.offset != 0 => {
                error("args are only known where a function is entered".into())
                    .help("this probe is on an address inside of one")
            }
            DebugInfo::Whole => {
                error(format!("the debug information of {} knows no {function}", at.binary))
                    .help(by_number)
            }
        };
        self.error(error)
    }

    /// Where each parameter is.
    fn places(&self, signature: &Signature) -> Vec<Place> {
        let places = match self.at.spec().context {
            Context::Arguments | Context::Objects => abi::slots,
            _ => abi::places,
        };
        places(signature, self.cx.profile.arch, &|at| self.describe(at))
    }
}
