//! Where names of the language make sense: in which kinds of probes.

use rbtrace_probes_ebpf::kinds::{Context, KindSpec, ProbeKind};

use crate::diag::Diagnostic;
use crate::span::Span;

use super::{Checker, Typed};

/// The kinds of probes that have something.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    holds: fn(&KindSpec) -> bool,
    /// What the others lack; empty for the name itself.
    lacks: &'static str,
    /// Why they lack it.
    note: &'static str,
}

/// Why probes that are about no process have nothing of one.
const NO_TASK: &str = "they run for whatever happens to be interrupted, not for a process";

impl Place {
    /// Every probe.
    pub const ANYWHERE: Place = Place::new(|_| true, "");
    /// Probes that are about a process.
    pub const WITH_TASK: Place = Place { note: NO_TASK, ..Place::new(|spec| spec.has_task, "") };
    /// Probes that are about a process and whose programs are of a type that may look into it:
    /// those of tests and benchmarks are not.
    pub const IN_TASK: Place = Place {
        note: "only programs that trace can look into a process",
        ..Place::new(|spec| spec.has_task && !spec.program.is_for_packets(), "")
    };
    /// Probes in a process that a signal would be for.
    pub const WITH_SIGNALLED: Place = Place::new(
        |spec| {
            spec.has_task
                && !matches!(
                    spec.kind,
                    ProbeKind::Begin | ProbeKind::End | ProbeKind::Interval | ProbeKind::Iter
                )
        },
        "process to send a signal to",
    );
    /// Probes that see the processor's registers.
    pub const WITH_REGISTERS: Place = Place::new(
        |spec| matches!(spec.context, Context::Registers | Context::PerfEvent),
        "registers",
    );
    /// Probes on functions.
    pub const ON_FUNCTIONS: Place = Place::new(
        |spec| {
            matches!(spec.context, Context::Registers)
                || (spec.kind.binds_at_load() && spec.kind != ProbeKind::Iter)
        },
        "",
    );
    /// Probes that a function's arguments are in sight of by number.
    pub const WITH_ARGUMENTS: Place = Place::new(|spec| spec.has_args, "");
    /// Probes whose arguments have names.
    pub const WITH_NAMED_ARGUMENTS: Place = Place::new(
        |spec| {
            matches!(spec.context, Context::TracepointRecord | Context::Arguments)
                || spec.kind == ProbeKind::Uprobe
        },
        "",
    );
    /// Probes that see what a function returned.
    pub const WITH_RESULT: Place = Place::new(|spec| spec.has_retval, "");
    /// Probes whose context a script can see.
    pub const WITH_CONTEXT: Place =
        Place::new(|spec| !matches!(spec.context, Context::Opaque | Context::TracepointRecord), "");
    /// Probes before a function of the kernel runs.
    pub const BEFORE_KERNEL_FUNCTIONS: Place =
        Place::new(|spec| spec.kind == ProbeKind::Kprobe, "function to keep from running");
    /// Probes in a program or library.
    pub const IN_PROGRAMS: Place = Place::new(
        |spec| matches!(spec.kind, ProbeKind::Uprobe | ProbeKind::Uretprobe),
        "program whose variables could be found",
    );
    /// Probes whose arguments the kernel's verifier knows the types of.
    pub const ON_TRAMPOLINES: Place =
        Place::new(|spec| spec.kind.binds_at_load(), "sockets that the kernel vouches for");

    const fn new(holds: fn(&KindSpec) -> bool, lacks: &'static str) -> Place {
        Place { holds, lacks, note: "" }
    }

    /// Whether probes of a kind have it.
    pub fn holds(&self, spec: &KindSpec) -> bool {
        (self.holds)(spec)
    }

    /// What is said where `name` is used elsewhere.
    pub(super) fn error(&self, name: &str, spec: &KindSpec, span: Span) -> Diagnostic {
        let what = if self.lacks.is_empty() { name } else { self.lacks };
        let message = format!("`{}` probes have no {what}", spec.name);
        let error = Diagnostic::error("builtin-not-here", span, message);
        match (self.note, spec.has_task) {
            ("", _) => error,
            (_, false) => error.note(NO_TASK),
            (note, true) => error.note(note),
        }
    }
}

impl Checker<'_> {
    /// An error unless the block's probes are of a kind that has `name`.
    pub fn needs_place(&mut self, place: &Place, name: &str, span: Span) -> Typed<()> {
        let spec = self.at.spec();
        match place.holds(spec) {
            true => Ok(()),
            false => Err(self.error(place.error(name, spec, span))),
        }
    }
}
