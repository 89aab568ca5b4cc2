//! `xdp`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Probe, Target, XdpMode};

use super::point::{Point, is_pattern};
use super::{Context, Expansion, Failure, did_you_mean};
use crate::diag::Diagnostic;

pub(super) fn expand(point: &Point, cx: &Context<'_>) -> Expansion {
    let (interface, mode) = match point.texts().as_slice() {
        [interface] if !interface.is_empty() => (*interface, None),
        [interface, mode] if !interface.is_empty() => (*interface, Some(parse_mode(mode, point)?)),
        _ => return Err(point.wrong_form(ProbeKind::Xdp.spec().forms)),
    };
    let interfaces = find(interface, point, cx)?;
    Ok(interfaces
        .into_iter()
        .map(|interface| Probe {
            name: match point.parts.get(1) {
                Some(mode) => format!("xdp:{interface}:{}", mode.text),
                None => format!("xdp:{interface}"),
            },
            target: Target::Xdp { interface, mode },
        })
        .collect())
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

/// The interfaces that a name, an index or a pattern stands for.
fn find(name: &str, point: &Point, cx: &Context<'_>) -> Result<Vec<String>, Failure> {
    let index = name.bytes().all(|b| b.is_ascii_digit());
    match cx.catalog.interfaces(name) {
        Some(found) if !found.is_empty() => Ok(found),
        _ if index => Ok(vec![name.to_owned()]),
        None if is_pattern(name) => Err(Failure::Missing(Diagnostic::error(
            "no-probe-list",
            point.part_span(0),
            "the list of network interfaces cannot be read, so wildcards match nothing",
        ))),
        None => Ok(vec![name.to_owned()]),
        Some(_) if is_pattern(name) => Err(Failure::Missing(Diagnostic::error(
            "no-match",
            point.part_span(0),
            format!("no network interface matches `{name}`"),
        ))),
        Some(_) => {
            let error = Diagnostic::error(
                "unknown-interface",
                point.part_span(0),
                format!("there is no network interface `{name}`"),
            );
            let all = cx.catalog.interfaces("*").unwrap_or_default();
            let list = format!("the interfaces are {}", all.join(", "));
            let error = if all.is_empty() { error } else { error.note(list) };
            Err(Failure::Missing(did_you_mean(error, name, all.iter().map(String::as_str))))
        }
    }
}
