//! `software` and `hardware`: events that perf counts, on every CPU.

use std::io;

use rbtrace_probes_ebpf::kinds::{Counter, ProbeKind};

use super::{Attachment, Site};
use crate::error::{Error, Unsupported};
use crate::features::{self, Need};
use crate::sys::perf;

/// On every CPU, each `count` events; with a process given, only its own.
pub(super) fn attach(
    site: &Site<'_>,
    kind: ProbeKind,
    event: &str,
    count: u64,
) -> Result<Attachment, Error> {
    let counter = Counter::find(kind, event)
        .ok_or_else(|| Error::Malformed(format!("there is no event {event} to count")))?;
    let mut all = Attachment::default();
    for cpu in features::online_cpus() {
        let spec = perf::CounterSpec {
            hardware: kind == ProbeKind::Hardware,
            config: counter.config,
            // The kernel takes 63 bits, and 0 would mean a counter that never fires.
            period: count.clamp(1, i64::MAX as u64),
            cpu,
            pid: site.context.pid,
        };
        let event = perf::open_counter(&spec).map_err(|e| explain(kind, counter, e))?;
        let one = site.attach_event(event)?;
        all.links.extend(one.links);
        all.events.extend(one.events);
    }
    Ok(all)
}

fn explain(kind: ProbeKind, counter: &Counter, error: io::Error) -> Error {
    let missing = matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV | libc::EINVAL)
    );
    match (kind, missing) {
        (ProbeKind::Hardware, true) => Unsupported {
            feature: "hardware counter of this event",
            since: None,
            config: None,
            hint: Some(
                "virtual machines often have none; `software:cpu-clock` and `profile` \
                 need no hardware"
                    .into(),
            ),
        }
        .into(),
        _ => Error::privileged(format!("count {}", counter.name), Need::Tracing, error),
    }
}
