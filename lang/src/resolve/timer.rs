//! `interval` and `profile`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Period, Probe, Target};

use super::point::{Point, number};
use super::{Expansion, Failure};

/// Shorter periods than this are refused, in nanoseconds.
const SHORTEST: u64 = 1_000;

pub(super) fn expand(kind: ProbeKind, point: &Point) -> Expansion {
    let name = kind.spec().name;
    let (unit, count) = match point.texts().as_slice() {
        [count] => ("", positive(point, 0, count)?),
        [unit, count] => (*unit, positive(point, 1, count)?),
        _ => return Err(point.wrong_form(kind.spec().forms)),
    };
    let factor = match unit {
        "" => 1,
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "hz" => return hertz(kind, count, point),
        _ => {
            return Err(Failure::Malformed(
                point
                    .bad_part(0, format!("`{unit}` is no unit of time"))
                    .label("expected s, ms, us or hz"),
            ));
        }
    };
    let nanoseconds = count.checked_mul(factor).filter(|n| i64::try_from(*n).is_ok());
    let Some(nanoseconds) = nanoseconds else {
        return Err(Failure::Malformed(
            point.bad_part(point.parts.len() - 1, "this period is too long"),
        ));
    };
    if nanoseconds < SHORTEST {
        return Err(Failure::Malformed(
            point
                .bad_part(point.parts.len() - 1, format!("a period of {nanoseconds} ns is too short"))
                .label("the shortest is 1us, 1000 nanoseconds")
                .help(format!("a number without a unit counts nanoseconds; write `{name}:{count}s` for seconds")),
        ));
    }
    // A number alone is named by microseconds, as bpftrace does.
    let name = match unit {
        "" => format!("{name}:us:{}", nanoseconds / 1000),
        _ => format!("{name}:{unit}:{count}"),
    };
    let target = match kind {
        ProbeKind::Profile => Target::Profile(Period::Nanoseconds(nanoseconds)),
        _ => Target::Interval { nanoseconds },
    };
    Ok(vec![Probe { name, target }])
}

fn hertz(kind: ProbeKind, rate: u64, point: &Point) -> Expansion {
    if rate > 1_000_000_000 / SHORTEST {
        return Err(Failure::Malformed(
            point.bad_part(1, format!("{rate} Hz is too often")).label("at most 1000000"),
        ));
    }
    let target = match kind {
        ProbeKind::Profile => Target::Profile(Period::Hertz(rate)),
        _ => Target::Interval { nanoseconds: 1_000_000_000 / rate },
    };
    Ok(vec![Probe { name: format!("{}:hz:{rate}", kind.spec().name), target }])
}

fn positive(point: &Point, index: usize, text: &str) -> Result<u64, Failure> {
    number(text).filter(|n| *n > 0).ok_or_else(|| {
        Failure::Malformed(
            point
                .bad_part(index, format!("`{text}` is no period"))
                .label("expected a number above 0, such as 1s, 100ms or 1000000"),
        )
    })
}
