//! `iter`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::kinds::iter::OF_A_MAP;
use rbtrace_probes_ebpf::plan::{Probe, Target};

use super::point::{Point, is_pattern};
use super::{Context, Expansion, Failure, did_you_mean};
use crate::diag::Diagnostic;

pub(super) fn expand(point: &Point, cx: &Context<'_>) -> Expansion {
    let (object, pin) = match point.texts().as_slice() {
        [object] if !object.is_empty() => (*object, None),
        [object, pin] if !object.is_empty() && !pin.is_empty() => (*object, Some(*pin)),
        _ => return Err(point.wrong_form(ProbeKind::Iter.spec().forms)),
    };
    if let Some(part) = point.parts.iter().position(|part| is_pattern(&part.text)) {
        let error = point.bad_part(part, "an iterator is named without wildcards");
        return Err(Failure::Malformed(error.help("`rbtrace -l 'iter:*'` lists them")));
    }
    if OF_A_MAP.contains(&object) {
        return Err(Failure::Malformed(point.bad_part(
            0,
            format!("iter:{object} goes over one map, which an attach point cannot name"),
        )));
    }
    match cx.catalog.iterators(object) {
        Some(found) if found.is_empty() => Err(Failure::Missing(unknown(object, point, cx))),
        _ => Ok(vec![Probe {
            // The pin is no part of the name, as in bpftrace.
            name: format!("iter:{object}"),
            target: Target::Iter { object: object.to_owned(), pin: pin.map(str::to_owned) },
        }]),
    }
}

fn unknown(object: &str, point: &Point, cx: &Context<'_>) -> Diagnostic {
    let error = Diagnostic::error(
        "unknown-iterator",
        point.part_span(0),
        format!("the kernel has no iterator `{object}`"),
    );
    let all = cx.catalog.iterators("*").unwrap_or_default();
    let error = match all.is_empty() {
        true => error.note("it has none at all: they came with Linux 5.8"),
        false => error.note(format!("it has {}", all.join(", "))),
    };
    did_you_mean(error, object, all.iter().map(String::as_str))
}
