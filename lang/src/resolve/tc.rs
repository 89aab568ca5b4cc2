//! `tc`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::Target;

use super::point::Point;
use super::{Context, Expansion, interface};

pub(super) fn expand(point: &Point, cx: &Context<'_>) -> Expansion {
    let name = match point.texts().as_slice() {
        [interface, _] if !interface.is_empty() => *interface,
        _ => return Err(point.wrong_form(ProbeKind::Tc.spec().forms)),
    };
    let direction = interface::direction(1, point)?;
    interface::expand(name, point, cx, |interface| Target::Tc { interface, direction })
}
