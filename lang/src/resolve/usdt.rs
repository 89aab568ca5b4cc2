//! `usdt`.

use rbtrace_probes_ebpf::glob;
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Probe, Target, UsdtProbe};

use super::point::{Point, is_pattern};
use super::{Context, Expansion, Failure, did_you_mean, uprobe};
use crate::catalog;
use crate::diag::Diagnostic;

pub(super) fn expand(point: &Point, cx: &Context<'_>) -> Expansion {
    let has_pid = cx.catalog.pid().is_some();
    let (binary, provider, name) = match point.texts().as_slice() {
        // With a process given, its files may be left out.
        [name] if has_pid => ("*", "*", *name),
        [binary, name] => (*binary, "*", *name),
        [binary, provider, name] => (*binary, *provider, *name),
        _ => return Err(point.wrong_form(ProbeKind::Usdt.spec().forms)),
    };
    let provider = if provider.is_empty() { "*" } else { provider };
    if name.is_empty() || (binary.is_empty() && !has_pid) {
        return Err(point.wrong_form(ProbeKind::Usdt.spec().forms));
    }
    let anywhere = matches!(binary, "" | "*");
    let binaries = match anywhere {
        true => cx.catalog.running_binaries(),
        false => uprobe::binaries(binary, point, cx)?,
    };
    let many = anywhere || is_pattern(binary);
    let mut probes = Vec::new();
    for binary in &binaries {
        let all = cx.catalog.usdt_probes(binary).unwrap_or_default();
        let wanted = all
            .iter()
            .filter(|p| glob::matches(provider, &p.provider) && glob::matches(name, &p.name));
        let before = probes.len();
        probes.extend(wanted.map(|wanted| probe(binary, wanted, cx)));
        if probes.len() == before && !many {
            return Err(Failure::Missing(unknown(binary, provider, name, &all, point)));
        }
    }
    if probes.is_empty() {
        return Err(Failure::Missing(Diagnostic::error(
            "no-match",
            point.span,
            format!("no USDT probe matches in any of {} files", binaries.len()),
        )));
    }
    Ok(probes)
}

fn probe(binary: &str, wanted: &catalog::UsdtProbe, cx: &Context<'_>) -> Probe {
    let catalog::UsdtProbe { provider, name, .. } = wanted;
    Probe {
        name: format!("usdt:{binary}:{provider}:{name}"),
        target: Target::Usdt(UsdtProbe {
            binary: binary.to_owned(),
            provider: provider.clone(),
            name: name.clone(),
            arguments: None,
            pid: cx.catalog.pid(),
            continues: false,
        }),
    }
}

fn unknown(
    binary: &str,
    provider: &str,
    name: &str,
    all: &[catalog::UsdtProbe],
    point: &Point,
) -> Diagnostic {
    let last = point.part_span(point.parts.len().saturating_sub(1));
    if all.is_empty() {
        return Diagnostic::error(
            "unknown-usdt-probe",
            point.part_span(0),
            format!("{binary} has no USDT probes"),
        )
        .note("they are notes in its section .note.stapsdt");
    }
    if is_pattern(provider) && provider != "*" || is_pattern(name) {
        return Diagnostic::error(
            "no-match",
            last,
            format!("no USDT probe of {binary} matches `{provider}:{name}`"),
        );
    }
    if let Some(other) = all.iter().find(|probe| probe.name == name) {
        return Diagnostic::error(
            "unknown-usdt-probe",
            point.part_span(1),
            format!("{binary} has no USDT probe `{name}` of provider `{provider}`"),
        )
        .help(format!("did you mean `{}:{name}`?", other.provider));
    }
    let error = Diagnostic::error(
        "unknown-usdt-probe",
        last,
        format!("{binary} has no USDT probe `{name}`"),
    );
    did_you_mean(error, name, all.iter().map(|probe| probe.name.as_str()))
}
