//! Network interfaces, as attach points of several kinds name them.

use rbtrace_probes_ebpf::plan::{Direction, Interface, Probe, Target, is_index};

use super::point::{Point, is_pattern};
use super::{Context, Expansion, Failure, did_you_mean};
use crate::diag::Diagnostic;

/// The probes of an attach point whose first part is a name, an index or a pattern: one for each interface
/// that there is, and, for a pattern, one for those that are made later.
pub(super) fn expand(
    interface: &str,
    point: &Point,
    cx: &Context<'_>,
    target: impl Fn(Interface) -> Target,
) -> Expansion {
    let found = find(interface, point, cx)?;
    let probe = |interface: Interface| {
        let kind = point.kind.as_str();
        let parts = point.parts.iter().skip(1).map(|part| part.text.as_str());
        let parts: Vec<&str> = [kind, interface.text()].into_iter().chain(parts).collect();
        Probe { name: parts.join(":"), target: target(interface) }
    };
    let later = is_pattern(interface)
        .then(|| Interface::Matching { pattern: interface.to_owned(), except: found.clone() });
    Ok(found.into_iter().map(Interface::Named).chain(later).map(probe).collect())
}

/// Names of the interfaces that a name, an index or a pattern stands for.
fn find(name: &str, point: &Point, cx: &Context<'_>) -> Result<Vec<String>, Failure> {
    match cx.catalog.interfaces(name) {
        Some(found) if !found.is_empty() => Ok(found),
        _ if is_index(name) => Ok(vec![name.to_owned()]),
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
        Some(_) => Err(Failure::Missing(unknown(name, point, cx))),
    }
}

fn unknown(name: &str, point: &Point, cx: &Context<'_>) -> Diagnostic {
    let error = Diagnostic::error(
        "unknown-interface",
        point.part_span(0),
        format!("there is no network interface `{name}`"),
    );
    let all = cx.catalog.interfaces("*").unwrap_or_default();
    let list = format!("the interfaces are {}", all.join(", "));
    let error = if all.is_empty() { error } else { error.note(list) };
    did_you_mean(error, name, all.iter().map(String::as_str))
}

/// Which way packets go, as a part of an attach point says.
pub(super) fn direction(index: usize, point: &Point) -> Result<Direction, Failure> {
    let text = point.parts.get(index).map_or("", |part| part.text.as_str());
    let found = Direction::ALL.into_iter().find(|direction| direction.name() == text);
    found.ok_or_else(|| {
        Failure::Malformed(
            point
                .bad_part(index, format!("`{text}` is no way that packets go"))
                .label("expected ingress or egress"),
        )
    })
}
