//! `kprobe` and `kretprobe`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{KernelFunction, Probe, Target};
use rbtrace_probes_ebpf::profile::KernelVersion;

use super::point::{Point, is_pattern, number, split_offset};
use super::{Attachment, Block, Context, Expansion, Failure, did_you_mean};
use crate::diag::Diagnostic;

/// Functions that newer kernels call no more, or call without passing through their entry: name,
/// first such kernel, what to probe, why.
const SUCCESSORS: &[(&str, KernelVersion, &str, &str)] = &[(
    "do_sys_open",
    KernelVersion::new(5, 6),
    "do_sys_openat2",
    "open(2) and openat(2) no longer pass through it",
)];

/// Warns of attach points on functions that the kernel passes by, unless the script probes their
/// successor too.
pub(super) fn bypassed(blocks: &[Block], cx: &Context<'_>) -> Vec<Diagnostic> {
    let mut warnings: Vec<Diagnostic> = Vec::new();
    for (old, since, new, why) in SUCCESSORS {
        if cx.profile.kernel < *since || points_on(blocks, new).next().is_some() {
            continue;
        }
        warnings.extend(points_on(blocks, old).map(|point| {
            Diagnostic::warning(
                "bypassed-function",
                point.span,
                format!("`{old}` seldom runs on Linux {since} and later"),
            )
            .note((*why).to_owned())
            .help(format!("probe `{new}`, whose first arguments are the same"))
        }));
    }
    warnings
}

/// Attach points on a function's entry or return.
fn points_on<'a>(blocks: &'a [Block], function: &'a str) -> impl Iterator<Item = &'a Attachment> {
    let points = blocks.iter().flat_map(|block| &block.points);
    points.filter(move |point| match &point.probe.target {
        Target::Kprobe(at) | Target::Kretprobe(at) => at.function == function && at.offset == 0,
        _ => false,
    })
}

pub(super) fn expand(kind: ProbeKind, point: &Point, cx: &Context<'_>) -> Expansion {
    let (module, written, index) = match point.texts().as_slice() {
        [function] => (None, *function, 0),
        [module, function] => (Some(*module), *function, 1),
        _ => return Err(point.wrong_form(kind.spec().forms)),
    };
    if let Some(address) = number(written) {
        return by_address(kind, address, point, index, cx);
    }
    let (name, offset) =
        split_offset(written).map_err(|why| Failure::Malformed(point.bad_part(index, why)))?;
    if name.is_empty() {
        return Err(point.wrong_form(kind.spec().forms));
    }
    if kind == ProbeKind::Kretprobe && written.contains('+') {
        return Err(Failure::Malformed(
            point.bad_part(index, "a kretprobe is on the return of a function and takes no offset"),
        ));
    }
    let functions = find(module, name, point, index, cx)?;
    Ok(functions.into_iter().map(|function| probe(kind, module, function, offset)).collect())
}

/// The functions that a name or pattern stands for.
pub(super) fn find(
    module: Option<&str>,
    name: &str,
    point: &Point,
    index: usize,
    cx: &Context<'_>,
) -> Result<Vec<String>, Failure> {
    match cx.catalog.kernel_functions(module, name) {
        Some(found) if !found.is_empty() => Ok(found),
        None if is_pattern(name) => Err(Failure::Missing(
            Diagnostic::error(
                "no-probe-list",
                point.part_span(index),
                "the list of kernel functions cannot be read, so wildcards match nothing",
            )
            .note("it is available_filter_functions in tracefs"),
        )),
        None => Ok(vec![name.to_owned()]),
        Some(_) if is_pattern(name) => Err(Failure::Missing(Diagnostic::error(
            "no-match",
            point.part_span(index),
            format!("no kernel function matches `{name}`"),
        ))),
        Some(_) => {
            let place = module.map_or(String::new(), |module| format!(" in module `{module}`"));
            let error = Diagnostic::error(
                "unknown-kernel-function",
                point.part_span(index),
                format!("there is no kernel function `{name}`{place} to probe"),
            )
            .note("it may be inlined, excluded from tracing, or of another kernel version");
            if !point.told {
                return Err(Failure::Missing(error));
            }
            let all = cx.catalog.kernel_functions(module, "*").unwrap_or_default();
            Err(Failure::Missing(did_you_mean(error, name, all.iter().map(String::as_str))))
        }
    }
}

fn by_address(
    kind: ProbeKind,
    address: u64,
    point: &Point,
    index: usize,
    cx: &Context<'_>,
) -> Expansion {
    if !cx.options.allow_unsafe {
        return Err(Failure::Malformed(
            Diagnostic::error(
                "unsafe-needed",
                point.part_span(index),
                "a probe on a bare kernel address needs --unsafe",
            )
            .note("nothing tells whether an instruction begins there"),
        ));
    }
    Ok(vec![probe(kind, None, String::new(), address)])
}

fn probe(kind: ProbeKind, module: Option<&str>, function: String, offset: u64) -> Probe {
    let mut name = kind.spec().name.to_owned();
    for part in module.into_iter().chain((!function.is_empty()).then_some(function.as_str())) {
        name.push(':');
        name.push_str(part);
    }
    if function.is_empty() {
        name.push_str(&format!(":{offset}"));
    } else if offset != 0 {
        name.push_str(&format!("+{offset}"));
    }
    let place = KernelFunction { module: module.map(str::to_owned), function, offset };
    let target = match kind {
        ProbeKind::Kretprobe => Target::Kretprobe(place),
        _ => Target::Kprobe(place),
    };
    Probe { name, target }
}
