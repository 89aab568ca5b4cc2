//! `socket`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::Target;

use super::point::Point;
use super::{Context, Expansion, interface};

pub(super) fn expand(point: &Point, cx: &Context<'_>) -> Expansion {
    match point.texts().as_slice() {
        [name] if !name.is_empty() => {
            interface::expand(name, point, cx, |interface| Target::Socket { interface })
        }
        _ => Err(point.wrong_form(ProbeKind::Socket.spec().forms)),
    }
}
