//! Attaching probes for packets: by the places where packets are seen, which come and go with network
//! interfaces.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;

use rbtrace_probes_ebpf::plan::{MissingProbes, Plan, Probe};

use super::attaching::Course;
use super::chains::Chains;
use super::{Group, Unit};
use crate::attach::hook::{Hook, is_there};
use crate::attach::{Attachment, Context};
use crate::error::Error;
use crate::event::Event;
use crate::netlink::link::{self, Link};
use crate::session::output;
use crate::sink::Sink;
use crate::sys::bpf::{self, ProgramInfo};

/// What an object has on hooks.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    chains: Chains,
    /// Indices of the interfaces that were there when it was last looked.
    known: BTreeSet<u32>,
    /// Probes that were detached on request, and stay so.
    let_go: BTreeSet<u32>,
}

/// What is to be on a hook: programs, each with a probe, in the order in which they run.
struct Wanted {
    hook: Hook,
    programs: Vec<(usize, u32)>,
}

impl Wanted {
    fn probes(&self) -> Vec<u32> {
        self.programs.iter().map(|(_, probe)| *probe).collect()
    }
}

/// Whether an object has probes on network interfaces.
pub(crate) fn has_interfaces(plan: &Plan) -> bool {
    let on_interface = |probe: &u32| {
        plan.probes.get(*probe as usize).is_some_and(|probe| probe.target.interface().is_some())
    };
    plan.programs.iter().any(|program| program.probes.iter().any(on_interface))
}

impl Unit {
    /// Attaches all probes for packets.
    pub(super) fn attach_hooks(&mut self, course: &mut Course<'_>) -> Result<(), Error> {
        let count = self.packet_probes().count();
        if count == 0 {
            return Ok(());
        }
        let missing = self.plan().config.missing_probes;
        let links = link::all()?;
        let mut failed = self.absent(&links);
        let (wanted, wrong) = self.wanted(&links);
        failed.extend(wrong);
        for wanted in wanted {
            if missing == MissingProbes::Error && !failed.is_empty() {
                break;
            }
            match self.attach_hook(&wanted, course.context) {
                Ok(attachment) => {
                    course.report.attached += wanted.programs.len();
                    let interface = wanted.hook.interface();
                    self.keep(wanted.probes(), attachment, &mut course.report, interface);
                }
                Err(error) => failed.push(error),
            }
        }
        self.hooks.known = links.iter().map(|link| link.index).collect();
        course.advance(count);
        match (missing, failed.is_empty()) {
            (MissingProbes::Error, false) => return Err(failed.swap_remove(0)),
            (MissingProbes::Warn, _) => course.report.failed.extend(failed),
            _ => {}
        }
        Ok(())
    }

    /// Probes for packets: the program, the index and the probe.
    pub(super) fn packet_probes(&self) -> impl Iterator<Item = (usize, u32, &Probe)> {
        let plan = self.plan();
        let programs = plan.programs.iter().enumerate();
        let programs = programs.filter(|(_, program)| program.kind.is_about_packets());
        programs.flat_map(move |(index, program)| {
            let probe = move |probe: &u32| Some((index, *probe, plan.probes.get(*probe as usize)?));
            program.probes.iter().filter_map(probe)
        })
    }

    /// Why probes cannot be attached whose interfaces are not there.
    fn absent(&self, links: &[Link]) -> Vec<Error> {
        let why = |(_, _, probe): (usize, u32, &Probe)| {
            is_there(&probe.target, links).err().map(|error| of_probe(probe, error))
        };
        self.packet_probes().filter_map(why).collect()
    }

    /// What is to be attached where, on these interfaces alone, in the order in which it is; and what is
    /// wrong with probes that are left out.
    fn wanted(&self, links: &[Link]) -> (Vec<Wanted>, Vec<Error>) {
        let (mut chained, mut single): (Vec<Wanted>, Vec<Wanted>) = Default::default();
        let mut failed = Vec::new();
        let let_go = &self.hooks.let_go;
        for (program, index, probe) in self.packet_probes().filter(|(_, i, _)| !let_go.contains(i))
        {
            let hooks = match Hook::of(&probe.target, links) {
                Ok(hooks) => hooks,
                Err(error) => {
                    failed.push(of_probe(probe, error));
                    continue;
                }
            };
            let calls_next =
                self.plan().programs.get(program).is_some_and(|program| program.kind.calls_next());
            for hook in hooks {
                let same = chained.iter_mut().find(|known| known.hook.id() == hook.id());
                match same.filter(|_| calls_next) {
                    None if calls_next => {
                        chained.push(Wanted { hook, programs: vec![(program, index)] });
                    }
                    None => single.push(Wanted { hook, programs: vec![(program, index)] }),
                    Some(known) => match known.hook.merge(hook) {
                        Ok(()) if known.programs.iter().any(|(other, _)| *other == program) => {}
                        Ok(()) => known.programs.push((program, index)),
                        Err(error) => failed.push(of_probe(probe, error)),
                    },
                }
            }
        }
        // The kernel puts each before those that are there.
        chained.extend(single.into_iter().rev());
        (chained, failed)
    }

    fn attach_hook(&mut self, wanted: &Wanted, context: &Context) -> Result<Attachment, Error> {
        let programs: Vec<usize> = wanted.programs.iter().map(|(program, _)| *program).collect();
        let Self { hooks, loaded, .. } = self;
        let first = hooks.chains.link(loaded, &programs);
        let attached = first.and_then(|first| wanted.hook.attach(first, context));
        let probe =
            wanted.programs.first().and_then(|(_, probe)| self.plan().probes.get(*probe as usize));
        attached.map_err(|error| match probe {
            Some(probe) => of_probe(probe, error),
            None => error,
        })
    }

    /// Whether a probe may be attached once an interface is made.
    pub(super) fn awaits_interface(&self) -> bool {
        let may_come = |(_, index, probe): (usize, u32, &Probe)| {
            let interface = probe.target.interface();
            !self.hooks.let_go.contains(&index) && interface.is_some_and(|one| !one.is_index())
        };
        !self.hooks.known.is_empty() && self.packet_probes().any(may_come)
    }

    /// Keeps a probe detached, whatever interfaces come.
    pub(super) fn let_go(&mut self, probes: &[u32]) {
        self.hooks.let_go.extend(probes);
    }

    /// Lets go of probes whose interface has gone, and attaches those whose interface has come.
    pub fn follow(
        &mut self,
        links: &[Link],
        context: &Context,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        if self.hooks.known.is_empty() {
            return Ok(());
        }
        let now: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        self.release_gone(&now, sink)?;
        let before = std::mem::replace(&mut self.hooks.known, now);
        let new: Vec<Link> =
            links.iter().filter(|link| !before.contains(&link.index)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let (wanted, failed) = self.wanted(&new);
        for error in failed.iter().filter(|error| !is_about_cgroup(error)) {
            warn(sink, error.to_string())?;
        }
        let on_new = |wanted: &Wanted| wanted.hook.interface().is_some();
        for wanted in wanted.into_iter().filter(on_new) {
            let interface = wanted.hook.interface();
            let name = new.iter().find(|link| Some(link.index) == interface);
            let name = name.map_or("", |link| link.name.as_str());
            match self.attach_hook(&wanted, context) {
                Ok(attachment) => {
                    for probe in wanted.probes().iter().filter_map(|p| self.probe_name(*p)) {
                        warn(sink, format!("{probe} is attached to the new interface {name}"))?;
                    }
                    let probes = wanted.probes();
                    self.attached.push(Group { probes, attachment, interface });
                }
                Err(error) => warn(sink, error.to_string())?,
            }
        }
        Ok(())
    }

    fn release_gone(&mut self, now: &BTreeSet<u32>, sink: &mut dyn Sink) -> Result<(), Error> {
        let is_gone = |group: &Group| group.interface.is_some_and(|index| !now.contains(&index));
        let (gone, left) =
            std::mem::take(&mut self.attached).into_iter().partition::<Vec<_>, _>(is_gone);
        self.attached = left;
        for name in gone.iter().flat_map(|g| &g.probes).filter_map(|p| self.probe_name(*p)) {
            warn(sink, format!("{name}: the network interface is gone"))?;
        }
        Ok(())
    }

    /// Has programs of one hook call each other; answers the one that is to run.
    pub(crate) fn first_of_chain(&mut self, programs: &[usize]) -> Result<BorrowedFd<'_>, Error> {
        self.hooks.chains.link(&self.loaded, programs)
    }

    /// Adds what copies of a program did to what it did itself.
    pub(super) fn add_copies(&self, program: usize, mut info: ProgramInfo) -> ProgramInfo {
        for copy in self.hooks.chains.copies_of(program) {
            if let Ok(more) = bpf::program_info(copy) {
                info.runs += more.runs;
                info.nanoseconds += more.nanoseconds;
                info.missed += more.missed;
            }
        }
        info
    }
}

fn of_probe(probe: &Probe, error: Error) -> Error {
    Error::Attach { probe: probe.name.clone(), source: Box::new(error) }
}

/// Cgroups do not come with interfaces: nothing is tried again.
fn is_about_cgroup(error: &Error) -> bool {
    use Error as E;
    match error {
        E::Attach { source, .. } => is_about_cgroup(source),
        E::UnknownCgroup { .. } | E::NotACgroup { .. } | E::NoCgroups => true,
        _ => false,
    }
}

fn warn(sink: &mut dyn Sink, message: String) -> Result<(), Error> {
    output(sink.event(&Event::Warning { message, location: None }))
}
