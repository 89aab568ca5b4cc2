//! Stacks.

use rbtrace_probes_ebpf::types::StackMode;

use crate::ast::{self, ExprKind as Ast};
use crate::diag::Diagnostic;
use crate::hir::{Call, ExprKind, StackType, Type};
use crate::resolve::did_you_mean;
use crate::span::Span;

use super::super::place::Place;
use super::super::{Checker, Typed, Value};
use super::Function;

pub(super) const TABLE: &[Function] = &[
    Function::new("kstack", 0, 2, "kstack([mode, ][frames])", |cx, call| {
        cx.stack(true, call.args, call.span)
    })
    .only(Place::IN_TASK),
    Function::new("ustack", 0, 2, "ustack([mode, ][frames])", |cx, call| {
        cx.stack(false, call.args, call.span)
    })
    .only(Place::IN_TASK),
];

/// Frames of a stack that does not say.
const DEFAULT_FRAMES: u32 = 127;
/// Most frames of a stack.
const MOST_FRAMES: u64 = 1024;

const MODES: &[(&str, StackMode)] = &[
    ("bpftrace", StackMode::Bpftrace),
    ("perf", StackMode::Perf),
    ("raw", StackMode::Raw),
    ("build_id", StackMode::BuildId),
];

impl Checker<'_> {
    /// `kstack` or `ustack`, with or without arguments.
    pub fn stack(&mut self, kernel: bool, args: &[ast::Expr], span: Span) -> Typed {
        let name = if kernel { "kstack" } else { "ustack" };
        let mut mode = self.settings.stack_mode;
        let mut limit = DEFAULT_FRAMES;
        let mut rest = args;
        if let Some((ast::Expr { kind: Ast::Ident(word), span: place }, after)) = args.split_first()
        {
            mode = self.stack_mode(word, *place)?;
            rest = after;
        }
        if let Some(arg) = rest.first() {
            let frames = self.literal_number(name, arg)?;
            if !(1..=MOST_FRAMES).contains(&frames) {
                return Err(self.error(
                    Diagnostic::error(
                        "argument-range",
                        arg.span,
                        format!("{frames} frames cannot be captured"),
                    )
                    .label(format!("expected 1 to {MOST_FRAMES}")),
                ));
            }
            limit = frames as u32;
        }
        if let Some(extra) = rest.get(1) {
            return Err(self.error(
                Diagnostic::error(
                    "argument-type",
                    extra.span,
                    "the mode of a stack stands before its length",
                )
                .help(format!("write {name}(perf, 10)")),
            ));
        }
        if kernel && mode == StackMode::BuildId {
            mode = StackMode::Raw;
        }
        let stack = StackType { mode, limit };
        let ty = if kernel { Type::KStack(stack) } else { Type::UStack(stack) };
        Ok(Value::new(ExprKind::Call(Box::new(Call::Stack)), ty, span))
    }

    fn stack_mode(&mut self, word: &str, span: Span) -> Typed<StackMode> {
        if let Some((_, mode)) = MODES.iter().find(|(name, _)| *name == word) {
            return Ok(*mode);
        }
        let error = Diagnostic::error(
            "unknown-stack-mode",
            span,
            format!("there is no way `{word}` to print a stack"),
        )
        .note("the modes are bpftrace, perf, raw and build_id");
        Err(self.error(did_you_mean(error, word, MODES.iter().map(|(name, _)| *name))))
    }
}
