//! `rawtracepoint`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Probe, Target};

use super::point::{Point, is_pattern};
use super::{Context, Expansion, Failure, did_you_mean};
use crate::diag::Diagnostic;

pub(super) fn expand(point: &Point, cx: &Context<'_>) -> Expansion {
    let (module, name) = match point.texts().as_slice() {
        [name] if !name.is_empty() => (None, *name),
        [module, name] if !module.is_empty() && !name.is_empty() => (Some(*module), *name),
        _ => return Err(point.wrong_form(ProbeKind::RawTracepoint.spec().forms)),
    };
    let pattern = is_pattern(name) || module.is_some_and(is_pattern);
    match cx.catalog.raw_tracepoints(module, name) {
        Some(found) if !found.is_empty() => {
            Ok(found.into_iter().map(|(module, name)| probe(Some(module), name)).collect())
        }
        None if pattern => Err(Failure::Missing(
            Diagnostic::error(
                "no-probe-list",
                point.span,
                "the list of raw tracepoints cannot be read, so wildcards match nothing",
            )
            .note("it comes of the kernel's types, /sys/kernel/btf"),
        )),
        None => Ok(vec![probe(module.map(str::to_owned), name.to_owned())]),
        Some(_) if pattern => Err(Failure::Missing(Diagnostic::error(
            "no-match",
            point.span,
            format!("no raw tracepoint matches `{}`", point.texts().join(":")),
        ))),
        Some(_) => Err(Failure::Missing(unknown(module, name, point, cx))),
    }
}

fn unknown(module: Option<&str>, name: &str, point: &Point, cx: &Context<'_>) -> Diagnostic {
    let place = module.map_or(String::new(), |module| format!(" in module `{module}`"));
    let error = Diagnostic::error(
        "unknown-raw-tracepoint",
        point.part_span(point.parts.len().saturating_sub(1)),
        format!("there is no raw tracepoint `{name}`{place}"),
    );
    let error = match name.strip_prefix("sys_") {
        Some(_) => error.note("system calls have two for all: sys_enter and sys_exit"),
        None => error,
    };
    let all = cx.catalog.raw_tracepoints(None, "*").unwrap_or_default();
    did_you_mean(error, name, all.iter().map(|(_, name)| name.as_str()))
}

fn probe(module: Option<String>, name: String) -> Probe {
    let full = match &module {
        Some(module) => format!("rawtracepoint:{module}:{name}"),
        None => format!("rawtracepoint:{name}"),
    };
    Probe { name: full, target: Target::RawTracepoint { module, name } }
}
