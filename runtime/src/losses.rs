//! Counting what was lost, so that no loss is silent.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rbtrace_probes_ebpf::plan::Plan;
use rbtrace_probes_ebpf::record::Loss;

use crate::event::{Event, Lost};
use crate::load::Loaded;
use crate::sys::bpf;

/// Least time between two reports.
const INTERVAL: Duration = Duration::from_secs(1);

/// What an object's programs have lost so far.
#[derive(Debug)]
pub(crate) struct Losses {
    /// By program and kind.
    counts: BTreeMap<(usize, Kind), u64>,
    last: Instant,
}

/// Kinds of losses: runs are skipped by the kernel or by a program itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    RingFull,
    MapFull,
    Skipped,
}

/// Data that was lost during a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossTotal {
    /// Index of the program in its plan.
    pub program: usize,
    /// Full name of the probe that lost it.
    pub probe: Option<String>,
    /// What was lost.
    pub what: Lost,
    /// How much.
    pub count: u64,
}

impl Losses {
    /// None yet.
    pub fn new() -> Self {
        Self { counts: BTreeMap::new(), last: Instant::now() }
    }

    /// What was lost since the last report; nothing if that was less than a second ago, unless
    /// `now` is set.
    pub fn report(&mut self, loaded: &Loaded, now: bool) -> io::Result<Vec<Event>> {
        if !now && self.last.elapsed() < INTERVAL {
            return Ok(Vec::new());
        }
        self.last = Instant::now();
        let mut events = Vec::new();
        for ((program, kind), count) in Self::read(loaded)? {
            let before = self.counts.insert((program, kind), count).unwrap_or(0);
            if count > before {
                let probe = probe_name(&loaded.plan, program);
                events.push(Event::Lost { what: kind.into(), count: count - before, probe });
            }
        }
        Ok(events)
    }

    /// All that was lost up to the last report.
    pub fn totals(&self, plan: &Plan) -> impl Iterator<Item = LossTotal> {
        self.counts.iter().filter(|(_, count)| **count > 0).map(|((program, kind), count)| {
            LossTotal {
                program: *program,
                probe: probe_name(plan, *program),
                what: (*kind).into(),
                count: *count,
            }
        })
    }

    fn read(loaded: &Loaded) -> io::Result<BTreeMap<(usize, Kind), u64>> {
        let mut counts = BTreeMap::new();
        let mut add = |key, count| *counts.entry(key).or_default() += count;
        if let (Some(offset), Some(variables)) = (loaded.plan.losses, loaded.variables()?) {
            let entries = variables.get(offset as usize..).unwrap_or_default();
            let entries = entries.chunks_exact(Loss::ENTRY_SIZE as usize);
            for (program, entry) in entries.take(loaded.plan.programs.len()).enumerate() {
                for loss in Loss::ALL {
                    add((program, loss.into()), counter(entry, loss));
                }
            }
        }
        for (index, program) in loaded.programs().enumerate() {
            let Some(program) = program else { continue };
            // Kernels before 5.12 do not count.
            let missed = bpf::program_info(program.fd.as_fd()).map_or(0, |info| info.missed);
            add((index, Kind::Skipped), missed);
        }
        Ok(counts)
    }
}

fn counter(value: &[u8], loss: Loss) -> u64 {
    let bytes = value.get(loss.offset() as usize..).and_then(|v| v.first_chunk());
    bytes.map_or(0, |b| u64::from_ne_bytes(*b))
}

/// The name of a program's probe, or of the first of several.
fn probe_name(plan: &Plan, program: usize) -> Option<String> {
    let probes = &plan.programs.get(program)?.probes;
    let first = &plan.probes.get(*probes.first()? as usize)?.name;
    Some(match probes.len() {
        1 => first.clone(),
        n => format!("{first} and {} more", n - 1),
    })
}

impl From<Loss> for Kind {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::RingFull => Kind::RingFull,
            Loss::MapFull => Kind::MapFull,
            Loss::Crowded => Kind::Skipped,
        }
    }
}

impl From<Kind> for Lost {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::RingFull => Lost::Events,
            Kind::MapFull => Lost::MapUpdates,
            Kind::Skipped => Lost::Runs,
        }
    }
}
