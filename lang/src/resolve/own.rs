//! `self:signal`, `test` and `bench`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Probe, Target};

use super::point::Point;
use super::{Block, Expansion, Failure};
use crate::diag::Diagnostic;

/// The signal that nothing else of rbtrace uses.
const SIGNAL: &str = "SIGUSR1";

pub(super) fn expand(kind: ProbeKind, point: &Point) -> Expansion {
    let texts = point.texts();
    let target = match (kind, texts.as_slice()) {
        (ProbeKind::Signal, ["signal", SIGNAL]) => Target::Signal { signal: SIGNAL.to_owned() },
        (ProbeKind::Signal, ["signal", other]) => {
            let error =
                point.bad_part(1, format!("`{other}` is no signal that rbtrace can wait for"));
            return Err(Failure::Malformed(error.label(format!("expected {SIGNAL}"))));
        }
        (ProbeKind::Signal, [other, _]) => {
            let error = point.bad_part(0, format!("`{other}` is nothing that happens to rbtrace"));
            return Err(Failure::Malformed(error.label("expected signal")));
        }
        (ProbeKind::Test, [name]) if !name.is_empty() => Target::Test { name: (*name).to_owned() },
        (ProbeKind::Bench, [name]) if !name.is_empty() => {
            Target::Bench { name: (*name).to_owned() }
        }
        _ => return Err(point.wrong_form(kind.spec().forms)),
    };
    let name = format!("{}:{}", kind.spec().name, texts.join(":"));
    Ok(vec![Probe { name, target }])
}

/// Errors about tests, or benchmarks, of one name: results are told apart by it.
pub(super) fn duplicates(blocks: &[Block]) -> Vec<Diagnostic> {
    let mut seen: Vec<&str> = Vec::new();
    let mut errors = Vec::new();
    for point in blocks.iter().flat_map(|block| &block.points) {
        if !matches!(point.kind, ProbeKind::Test | ProbeKind::Bench) {
            continue;
        }
        if seen.contains(&point.probe.name.as_str()) {
            let message = format!("there is a `{}` already", point.probe.name);
            errors.push(Diagnostic::error("duplicate-probe", point.span, message));
        }
        seen.push(&point.probe.name);
    }
    errors
}
