//! Stacks.

use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::profile::Arch;
use rbtrace_probes_ebpf::types::StackMode;

use crate::ast::{self, ExprKind as Ast};
use crate::diag::Diagnostic;
use crate::hir::{Call, ExprKind, StackType, Type};
use crate::resolve::did_you_mean;
use crate::span::Span;

use super::super::place::Place;
use super::super::{Checker, Stop, Typed, Value};
use super::Function;

pub(super) const TABLE: &[Function] = &[
    Function::new("kstack", 0, 2, "kstack([mode, ][frames])", |cx, call| {
        cx.stack(Walk::Kernel, call.args, call.span)
    })
    .only(Place::IN_TASK),
    Function::new("ustack", 0, 2, "ustack([mode, ][frames])", |cx, call| {
        cx.stack(Walk::FramePointers, call.args, call.span)
    })
    .only(Place::IN_TASK),
    Function::new("dw_ustack", 0, 2, "dw_ustack([mode, ][frames])", |cx, call| {
        cx.stack(Walk::UnwindData, call.args, call.span)
    })
    .only(Place::IN_TASK)
    .needing(&helpers::LOOP),
];

/// Which stack, and how it is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The kernel's.
    Kernel,
    /// The process's, by frame pointers.
    FramePointers,
    /// The process's, by the unwind data of its files.
    UnwindData,
}

impl Walk {
    fn function(self) -> &'static str {
        match self {
            Walk::Kernel => "kstack",
            Walk::FramePointers => "ustack",
            Walk::UnwindData => "dw_ustack",
        }
    }
}

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
    /// `kstack` and its like, with or without arguments.
    pub fn stack(&mut self, walk: Walk, args: &[ast::Expr], span: Span) -> Typed {
        let name = walk.function();
        if walk == Walk::UnwindData {
            self.unstable("dw_ustack", span)?;
        }
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
        if mode == StackMode::BuildId {
            match walk {
                Walk::Kernel => mode = StackMode::Raw,
                Walk::FramePointers => {}
                Walk::UnwindData => return Err(self.no_build_ids(span)),
            }
        }
        let unwind = walk == Walk::UnwindData;
        if unwind && self.cx.profile.arch != Arch::X86_64 {
            let error = Diagnostic::error(
                "builtin-not-here",
                span,
                "dw_ustack() knows the unwind data of x86-64 only",
            );
            return Err(self.error(error.help("ustack() goes by frame pointers")));
        }
        let stack = StackType { mode, limit };
        let ty = if walk == Walk::Kernel { Type::KStack(stack) } else { Type::UStack(stack) };
        Ok(Value::new(ExprKind::Call(Box::new(Call::Stack { unwind })), ty, span))
    }

    fn no_build_ids(&mut self, span: Span) -> Stop {
        self.error(
            Diagnostic::error(
                "unknown-stack-mode",
                span,
                "dw_ustack() finds addresses, not build ids",
            )
            .help("name the mode bpftrace, perf or raw"),
        )
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
