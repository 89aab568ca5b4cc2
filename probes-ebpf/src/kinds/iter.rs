//! `iter`: what the kernel has of a kind, one object after another (Documentation/bpf/bpf_iterators.rst).

use super::{Context, KindSpec, PointerSpace, ProbeKind, ProgramType};

pub(super) static ITER: KindSpec = KindSpec {
    kind: ProbeKind::Iter,
    name: "iter",
    aliases: &["it"],
    about: "each object of a kind that the kernel has, one after another",
    forms: &["iter:OBJECT[:PIN]"],
    program: ProgramType::Tracing,
    section: "iter",
    context: Context::Objects,
    pointers: PointerSpace::Unknown,
    has_args: false,
    has_retval: false,
    has_task: true,
    has_cookie: false,
    verdicts: &[],
    default_return: 0,
};

/// Iterators over the contents of one map, which must be handed over when they are attached.
pub const OF_A_MAP: &[&str] = &["bpf_map_elem", "bpf_sk_storage_map", "sockmap"];

/// The kernel's function that stands for an iterator, whose parameters are its context.
pub fn function(object: &str) -> String {
    format!("bpf_iter_{object}")
}

/// The kernel's struct that is the context of an iterator.
pub fn context(object: &str) -> String {
    format!("{CONTEXT}{object}")
}

/// What the names of the contexts begin with.
pub const CONTEXT: &str = "bpf_iter__";
