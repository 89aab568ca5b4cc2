//! Probes on rbtrace itself: `self:signal`, `test` and `bench`. User space runs their programs.

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static SIGNAL: KindSpec = KindSpec {
    kind: ProbeKind::Signal,
    name: "self",
    aliases: &[],
    about: "rbtrace itself receives a signal",
    forms: &["self:signal:SIGUSR1"],
    program: ProgramType::RawTracepoint,
    section: "raw_tp/self",
    context: Context::Opaque,
    pointers: PointerSpace::Unknown,
    has_args: false,
    has_retval: false,
    has_task: true,
    has_cookie: false,
    verdicts: &[],
    default_return: 0,
};

pub(super) static TEST: KindSpec = KindSpec {
    kind: ProbeKind::Test,
    name: "test",
    about: "a test, which --test runs; any result but 0 fails it",
    forms: &["test:NAME"],
    // The one type that BPF_PROG_TEST_RUN runs many times over and whose result it tells.
    program: ProgramType::Xdp,
    section: "xdp",
    ..SIGNAL
};

pub(super) static BENCH: KindSpec = KindSpec {
    kind: ProbeKind::Bench,
    name: "bench",
    about: "a benchmark, which --bench measures",
    forms: &["bench:NAME"],
    ..TEST
};
