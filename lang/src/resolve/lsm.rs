//! `lsm`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Probe, Target};

use super::point::{Point, is_pattern};
use super::{Context, Expansion, Failure, did_you_mean};
use crate::diag::Diagnostic;

pub(super) fn expand(point: &Point, cx: &Context<'_>) -> Expansion {
    let hook = match point.texts().as_slice() {
        [hook] if !hook.is_empty() => *hook,
        _ => return Err(point.wrong_form(ProbeKind::Lsm.spec().forms)),
    };
    match cx.catalog.lsm_hooks(hook) {
        Some(found) if !found.is_empty() => Ok(found.into_iter().map(probe).collect()),
        None if is_pattern(hook) => Err(Failure::Missing(
            Diagnostic::error(
                "no-probe-list",
                point.part_span(0),
                "the list of the security modules' hooks cannot be read, so wildcards match nothing",
            )
            .note("it comes of the kernel's types, /sys/kernel/btf"),
        )),
        None => Ok(vec![probe(hook.to_owned())]),
        Some(_) if is_pattern(hook) => Err(Failure::Missing(Diagnostic::error(
            "no-match",
            point.part_span(0),
            format!("no hook of the security modules matches `{hook}`"),
        ))),
        Some(_) => Err(Failure::Missing(unknown(hook, point, cx))),
    }
}

fn unknown(hook: &str, point: &Point, cx: &Context<'_>) -> Diagnostic {
    let error = Diagnostic::error(
        "unknown-lsm-hook",
        point.part_span(0),
        format!("the kernel has no hook `{hook}` for programs in its security modules"),
    );
    let all = cx.catalog.lsm_hooks("*").unwrap_or_default();
    if all.is_empty() {
        return error.note("it has none for eBPF programs (CONFIG_BPF_LSM is off)");
    }
    did_you_mean(error, hook, all.iter().map(String::as_str))
}

fn probe(hook: String) -> Probe {
    Probe { name: format!("lsm:{hook}"), target: Target::Lsm { hook } }
}
