//! `begin` and `end`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Probe, Target};

use super::Expansion;
use super::point::Point;

pub(super) fn expand(kind: ProbeKind, point: &Point) -> Expansion {
    match point.texts().as_slice() {
        [] | ["*"] => {}
        _ => return Err(point.wrong_form(kind.spec().forms)),
    }
    let target = if kind == ProbeKind::Begin { Target::Begin } else { Target::End };
    Ok(vec![Probe { name: kind.spec().name.to_owned(), target }])
}
