//! `software` and `hardware`.

use rbtrace_probes_ebpf::kinds::{Counter, ProbeKind};
use rbtrace_probes_ebpf::plan::{Probe, Target};

use super::point::{Point, is_pattern, number};
use super::{Expansion, Failure, did_you_mean};
use crate::diag::Diagnostic;

pub(super) fn expand(kind: ProbeKind, point: &Point) -> Expansion {
    let (event, written) = match point.texts().as_slice() {
        [event] if !event.is_empty() => (*event, None),
        [event, count] if !event.is_empty() => (*event, Some(*count)),
        _ => return Err(point.wrong_form(kind.spec().forms)),
    };
    let Some(counter) = Counter::find(kind, event) else {
        return Err(Failure::Malformed(unknown(kind, event, point)));
    };
    let count = match written {
        None | Some("*") => 0,
        Some(text) => number(text).filter(|n| i64::try_from(*n).is_ok()).ok_or_else(|| {
            let error = point.bad_part(1, format!("`{text}` is no number of events"));
            Failure::Malformed(error.label("expected a number such as 1000 or 1e6"))
        })?,
    };
    let mut name = format!("{}:{event}", kind.spec().name);
    if count != 0 {
        name.push_str(&format!(":{count}"));
    }
    let event = counter.name.to_owned();
    // 0 asks for the default, as for bpftrace.
    let count = if count == 0 { counter.count } else { count };
    let target = match kind {
        ProbeKind::Hardware => Target::Hardware { event, count },
        _ => Target::Software { event, count },
    };
    Ok(vec![Probe { name, target }])
}

fn unknown(kind: ProbeKind, event: &str, point: &Point) -> Diagnostic {
    let names = || Counter::all(kind).iter().flat_map(Counter::names);
    let kind = kind.spec().name;
    let message = match is_pattern(event) {
        true => format!("a {kind} probe takes no wildcard"),
        false => format!("there is no {kind} event `{event}`"),
    };
    let error = Diagnostic::error("unknown-event", point.part_span(0), message)
        .note(format!("the events are {}", names().collect::<Vec<_>>().join(", ")));
    did_you_mean(error, event, names())
}
