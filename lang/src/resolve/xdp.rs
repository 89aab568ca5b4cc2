//! `xdp`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Target, XdpMode};

use super::point::Point;
use super::{Context, Expansion, Failure, interface};

pub(super) fn expand(point: &Point, cx: &Context<'_>) -> Expansion {
    let (interface, mode) = match point.texts().as_slice() {
        [interface] if !interface.is_empty() => (*interface, None),
        [interface, mode] if !interface.is_empty() => (*interface, Some(parse_mode(mode, point)?)),
        _ => return Err(point.wrong_form(ProbeKind::Xdp.spec().forms)),
    };
    interface::expand(interface, point, cx, |interface| Target::Xdp { interface, mode })
}

fn parse_mode(text: &str, point: &Point) -> Result<XdpMode, Failure> {
    match text {
        "native" => Ok(XdpMode::Native),
        "generic" => Ok(XdpMode::Generic),
        "offload" => Ok(XdpMode::Offload),
        _ => Err(Failure::Malformed(
            point
                .bad_part(1, format!("`{text}` is no way to attach an XDP program"))
                .label("expected native, generic or offload"),
        )),
    }
}
