//! `tracepoint`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Probe, Target};

use super::point::{Point, is_pattern};
use super::{Context, Expansion, Failure, did_you_mean};
use crate::diag::Diagnostic;

pub(super) fn expand(point: &Point, cx: &Context<'_>) -> Expansion {
    let forms = ProbeKind::Tracepoint.spec().forms;
    let (category, name) = match point.texts().as_slice() {
        [name] if is_pattern(name) => ("*", *name),
        [category, name] if !category.is_empty() && !name.is_empty() => (*category, *name),
        _ => return Err(point.wrong_form(forms)),
    };
    let pattern = is_pattern(category) || is_pattern(name);
    match cx.catalog.tracepoints(category, name) {
        Some(found) if !found.is_empty() => Ok(found.into_iter().map(probe).collect()),
        None if pattern => Err(Failure::Missing(
            Diagnostic::error(
                "no-probe-list",
                point.span,
                "the list of tracepoints cannot be read, so wildcards match nothing",
            )
            .note("it is the directory `events` in tracefs"),
        )),
        None => Ok(vec![probe((category.to_owned(), name.to_owned()))]),
        Some(_) if pattern => Err(Failure::Missing(Diagnostic::error(
            "no-match",
            point.span,
            format!("no tracepoint matches `{category}:{name}`"),
        ))),
        Some(_) => Err(Failure::Missing(unknown(category, name, point, cx))),
    }
}

/// An error that names the nearest: of the category if there is such a one, else of all.
fn unknown(category: &str, name: &str, point: &Point, cx: &Context<'_>) -> Diagnostic {
    if !point.told {
        let what = format!("there is no tracepoint `{category}:{name}`");
        return Diagnostic::error("unknown-tracepoint", point.span, what);
    }
    let siblings = cx.catalog.tracepoints(category, "*").unwrap_or_default();
    if !siblings.is_empty() {
        let error = Diagnostic::error(
            "unknown-tracepoint",
            point.part_span(1),
            format!("there is no tracepoint `{name}` in category `{category}`"),
        );
        return did_you_mean(error, name, siblings.iter().map(|(_, name)| name.as_str()));
    }
    let all = cx.catalog.tracepoints("*", "*").unwrap_or_default();
    if let Some((elsewhere, _)) = all.iter().find(|(_, n)| n == name) {
        return Diagnostic::error(
            "unknown-tracepoint",
            point.part_span(0),
            format!("there are no tracepoints of category `{category}`"),
        )
        .help(format!("did you mean `{elsewhere}:{name}`?"));
    }
    let mut categories: Vec<&str> = all.iter().map(|(category, _)| category.as_str()).collect();
    categories.dedup();
    let error = Diagnostic::error(
        "unknown-tracepoint",
        point.part_span(0),
        format!("there are no tracepoints of category `{category}`"),
    );
    did_you_mean(error, category, categories)
}

fn probe((category, name): (String, String)) -> Probe {
    Probe {
        name: format!("tracepoint:{category}:{name}"),
        target: Target::Tracepoint { category, name },
    }
}
