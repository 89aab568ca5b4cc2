//! Attaching the probes of an object.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{MissingProbes, Probe, Program, Target};

use super::{Group, Unit};
use crate::attach::{self, Attachment, Context, Site};
use crate::error::Error;
use crate::load::Loaded;
use crate::session::AttachReport;

/// Fewest probes that are attached side by side.
const MANY: usize = 64;
/// Most threads that attach: each waits for the kernel most of the time.
const ATTACHERS: usize = 8;

/// Probes that are attached in one go.
struct Place {
    program: usize,
    kind: ProbeKind,
    probes: Vec<u32>,
}

/// How far attaching has come.
pub(super) struct Course<'a> {
    pub(super) context: &'a Context,
    /// Probes that were tried, of so many.
    done: usize,
    total: usize,
    pub(super) report: AttachReport,
}

impl Course<'_> {
    /// Some more were tried.
    pub(super) fn advance(&mut self, probes: usize) {
        self.done += probes;
        self.context.progress.tell(self.done, self.total);
    }
}

impl Unit {
    /// Runs `begin`, then attaches every probe. After an error some may be attached.
    pub fn attach(&mut self, context: &Context) -> Result<AttachReport, Error> {
        let mut report = AttachReport::default();
        report.attached += self.run_all(ProbeKind::Begin)?;
        let is_end = |p: &&Program| p.kind == ProbeKind::End;
        report.attached += self.plan().programs.iter().filter(is_end).count();
        let places = self.in_order();
        let total = places.iter().map(|place| place.probes.len()).sum::<usize>();
        let total = total + self.packet_probes().count();
        let mut course = Course { context, done: 0, total, report };
        let mut singles = Vec::new();
        for place in places {
            match place.probes.as_slice() {
                [probe] if !self.is_multi(place.program) => singles.push((place.program, *probe)),
                _ => {
                    self.attach_each(std::mem::take(&mut singles), &mut course)?;
                    self.attach_place(&place, &mut course)?;
                }
            }
        }
        self.attach_each(singles, &mut course)?;
        self.attach_hooks(&mut course)?;
        let mut report = course.report;
        if report.attached == 0 && !self.plan().probes.is_empty() {
            let failed = report.failed.pop();
            return Err(failed.unwrap_or_else(|| self.nothing_attached()));
        }
        Ok(report)
    }

    /// How many probes of the script these are.
    fn count(&self, probes: &[u32]) -> usize {
        let continues = |index: &&u32| {
            let probe = self.plan().probes.get(**index as usize);
            matches!(probe.map(|p| &p.target), Some(Target::Usdt(usdt)) if usdt.continues)
        };
        probes.iter().filter(|probe| !continues(probe)).count()
    }

    fn nothing_attached(&self) -> Error {
        match (self.has(ProbeKind::Test), self.has(ProbeKind::Bench)) {
            (true, _) => Error::OnRequest { flag: "--test", kind: "test" },
            (_, true) => Error::OnRequest { flag: "--bench", kind: "bench" },
            _ => Error::NothingAttached,
        }
    }

    /// What is to be attached, in the order in which it is.
    fn in_order(&self) -> Vec<Place> {
        let mut places = self.places();
        // Stable: within each half the order of the script stays.
        places.sort_by_key(|place| attach::in_reverse(place.kind));
        let forward = places.iter().take_while(|p| !attach::in_reverse(p.kind)).count();
        if let Some(reverse) = places.get_mut(forward..) {
            reverse.reverse();
        }
        places
    }

    /// What is to be attached, in the order of the script: each probe by itself, or all probes
    /// of a program that one link can take.
    fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for (index, program) in self.plan().programs.iter().enumerate() {
            let multi = self.is_multi(index);
            let each = |probes: Vec<u32>| Place { program: index, kind: program.kind, probes };
            match program.kind {
                ProbeKind::Begin | ProbeKind::End | ProbeKind::Test | ProbeKind::Bench => {}
                kind if kind.is_about_packets() => {}
                _ if multi => places.push(each(program.probes.clone())),
                _ => places.extend(program.probes.iter().map(|p| each(vec![*p]))),
            }
        }
        // By the place of the first probe in the script.
        places.sort_by_key(|p| p.probes.first().copied());
        places
    }

    fn is_multi(&self, program: usize) -> bool {
        self.loaded.program(program).is_some_and(|p| p.multi)
    }

    /// Attaches a program to all of its probes by one link; one by one if a bad one spoils that.
    fn attach_place(&mut self, place: &Place, course: &mut Course<'_>) -> Result<(), Error> {
        if let Ok(attachment) = self.attach_together(place, course.context) {
            course.report.attached += self.count(&place.probes);
            self.keep(place.probes.clone(), attachment, &mut course.report, None);
            course.advance(place.probes.len());
            return Ok(());
        }
        self.loaded.reload_single(place.program)?;
        let mut probes: Vec<_> = place.probes.iter().map(|probe| (place.program, *probe)).collect();
        if attach::in_reverse(place.kind) {
            probes.reverse();
        }
        self.attach_each(probes, course)
    }

    /// Attaches programs to a probe each.
    fn attach_each(
        &mut self,
        probes: Vec<(usize, u32)>,
        course: &mut Course<'_>,
    ) -> Result<(), Error> {
        let Course { context, total, .. } = *course;
        let missing = self.plan().config.missing_probes;
        for round in rounds(&self.plan().probes, probes) {
            let before = course.done;
            let attaching = Attaching {
                loaded: &self.loaded,
                context,
                stops: missing == MissingProbes::Error,
                progress: &|done| context.progress.tell(before + done, total),
            };
            let all = attaching.all(&round);
            course.done += round.len();
            let report = &mut course.report;
            for (probe, attached) in all {
                match (attached, missing) {
                    (Ok(attachment), _) => {
                        report.attached += self.count(&[probe]);
                        self.keep(vec![probe], attachment, report, None);
                    }
                    (Err(error), MissingProbes::Error) => return Err(error),
                    (Err(error), MissingProbes::Warn) => report.failed.push(error),
                    (Err(_), MissingProbes::Ignore) => {}
                }
            }
        }
        Ok(())
    }

    /// Keeps what is attached, perhaps on the interface of this index.
    pub(super) fn keep(
        &mut self,
        probes: Vec<u32>,
        mut attachment: Attachment,
        report: &mut AttachReport,
        interface: Option<u32>,
    ) {
        report.notes.extend(attachment.note.take());
        self.attached.push(Group { probes, attachment, interface });
    }

    fn attach_together(&self, place: &Place, context: &Context) -> Result<Attachment, Error> {
        let program = self.program(place.program)?;
        let probes = &self.plan().probes;
        let probes: Vec<_> = place
            .probes
            .iter()
            .filter_map(|index| Some((*index, probes.get(*index as usize)?)))
            .collect();
        attach::attach_many(place.kind, program, &probes, context)
    }
}

/// Splits probes, by program and index, so that no place is twice in one part: there, the kernel runs
/// programs in the order in which they were attached, or in reverse.
fn rounds(all: &[Probe], probes: Vec<(usize, u32)>) -> Vec<Vec<(usize, u32)>> {
    let mut seen: HashMap<Option<&Target>, usize> = HashMap::new();
    let mut rounds: Vec<Vec<(usize, u32)>> = Vec::new();
    for (program, probe) in probes {
        let target = all.get(probe as usize).map(|probe| &probe.target);
        let round = seen.entry(target).and_modify(|times| *times += 1).or_default();
        match rounds.get_mut(*round) {
            Some(round) => round.push((program, probe)),
            None => rounds.push(vec![(program, probe)]),
        }
    }
    rounds
}

/// What threads that attach probes share.
struct Attaching<'a> {
    loaded: &'a Loaded,
    context: &'a Context,
    /// An error is the end of it.
    stops: bool,
    /// Gets how many are done.
    progress: &'a (dyn Fn(usize) + Sync),
}

impl Attaching<'_> {
    /// Attaches all, side by side where they are many. What became of each comes in the order that they
    /// have; what comes after an error that ends it is left out.
    fn all(&self, probes: &[(usize, u32)]) -> Vec<(u32, Result<Attachment, Error>)> {
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let done = Mutex::new(Vec::with_capacity(probes.len()));
        let work = || {
            while !failed.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(&(program, probe)) = probes.get(index) else { break };
                let attached = self.one(program, probe);
                if self.stops && attached.is_err() {
                    failed.store(true, Ordering::Relaxed);
                }
                let mut done = done.lock().unwrap_or_else(|e| e.into_inner());
                done.push((index, probe, attached));
                (self.progress)(done.len());
            }
        };
        let helpers = if probes.len() < MANY { 0 } else { ATTACHERS - 1 };
        std::thread::scope(|scope| {
            for _ in 0..helpers {
                // Where no thread can be had, there are fewer.
                drop(std::thread::Builder::new().spawn_scoped(scope, work));
            }
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(|e| e.into_inner());
        done.sort_by_key(|(index, ..)| *index);
        done.into_iter().map(|(_, probe, attached)| (probe, attached)).collect()
    }

    fn one(&self, program: usize, probe: u32) -> Result<Attachment, Error> {
        let malformed = || Error::Malformed(format!("the plan has no probe {probe}"));
        let plan = &self.loaded.plan;
        let definition = plan.probes.get(probe as usize).ok_or_else(malformed)?;
        let loaded = self.loaded.program(program).ok_or_else(malformed)?;
        let site = Site {
            program: loaded.fd.as_fd(),
            probe,
            uses_cookie: plan.programs.get(program).is_some_and(|p| p.uses_cookie),
            context: self.context,
        };
        attach::attach(&site, &definition.target).map_err(|source| Error::Attach {
            probe: definition.name.clone(),
            source: Box::new(source),
        })
    }
}

#[cfg(test)]
mod tests {
    use rbtrace_probes_ebpf::plan::KernelFunction;

    use super::*;

    #[test]
    fn a_place_is_once_in_a_round() {
        let probe = |name: &str| {
            let function = KernelFunction { module: None, function: name.into(), offset: 0 };
            Probe { name: name.into(), target: Target::Kprobe(function) }
        };
        let all = ["a", "b", "a", "c", "a"].map(probe);
        let probes = vec![(0, 4), (1, 3), (0, 2), (1, 1), (0, 0)];
        let expected = [vec![(0, 4), (1, 3), (1, 1)], vec![(0, 2)], vec![(0, 0)]];
        assert_eq!(rounds(&all, probes), expected);
    }
}
