//! A run: objects in the kernel, their probes, and what they report.

mod trial;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{MapRole, Object, Plan};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::attach::Context;
use crate::child::Child;
use crate::error::Error;
use crate::event::Event;
use crate::limits;
use crate::machine::Machine;
use crate::maps::LoadedMap;
use crate::netlink::LinkEvents;
use crate::netlink::link;
use crate::privileges;
use crate::progress::Progress;
use crate::signals::StopFlag;
use crate::sink::Sink;
use crate::sys::bpf;
use crate::unit::{Unit, hooks};
use crate::unwind::Following;
use crate::watched;

pub use crate::losses::LossTotal;
pub use crate::sys::bpf::ProgramInfo;

/// Longest time between two looks at the loss counters.
const TICK: Duration = Duration::from_secs(1);

/// How to run.
#[derive(Debug, Default)]
pub struct Options {
    /// Trace only this process, and end when it ends.
    pub pid: Option<u32>,
    /// Trace only this command, and end when it ends.
    pub child: Option<Child>,
    /// The cgroup (version 2) that programs which heed one are for: its folder.
    pub cgroup: Option<OwnedFd>,
    /// Processes whose stacks can be unwound by unwind data, besides the one that is traced and those
    /// that they start.
    pub unwind: Vec<u32>,
    /// Told while probes are attached.
    pub progress: Progress,
    /// Whenever it is set, all maps are printed.
    pub user_signal: Option<StopFlag>,
}

/// An object of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(u32);

/// What became of the probes of an object.
#[derive(Debug, Default)]
pub struct AttachReport {
    /// Probes that are attached, `begin` and `end` included.
    pub attached: usize,
    /// Probes that are not, and why: only where the script tolerates missing probes.
    pub failed: Vec<Error>,
    /// What the user should know of how probes were attached.
    pub notes: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus {
    /// Status for the process to exit with.
    pub code: i32,
    /// Why.
    pub reason: Reason,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The script called `exit`.
    Exit,
    /// The stop flag was set.
    Stopped,
    /// The command or the process that was traced has ended.
    TargetEnded,
    /// Nothing is attached that could still fire.
    Done,
}

/// Objects in the kernel. Dropping it detaches everything.
#[derive(Debug)]
pub struct Session {
    context: Context,
    machine: Arc<Machine>,
    units: BTreeMap<UnitId, Unit>,
    next: u32,
    /// Maps that objects share by name.
    shared: Vec<Arc<LoadedMap>>,
    child: Option<Child>,
    /// The process of [`Options::pid`].
    target: Option<OwnedFd>,
    /// That of [`Options::cgroup`].
    cgroup: Option<OwnedFd>,
    user_signal: Option<StopFlag>,
    /// What `exit` was called with.
    exit: Option<i32>,
    /// Perf events without programs.
    leftovers: Vec<OwnedFd>,
    /// The kernel counts runs as long as this is open.
    statistics: Option<OwnedFd>,
    /// Tells of network interfaces that come and go, once probes are on some.
    links: Option<LinkEvents>,
    /// Tests or benchmarks ran, after which maps do not print.
    was_trial: bool,
    unwinding: Following,
}

impl Session {
    /// A session without objects.
    pub fn new(options: Options) -> Result<Self, Error> {
        let target = options.pid.map(open_process).transpose()?;
        for pid in &options.unwind {
            open_process(*pid)?;
        }
        let cpid = options.child.as_ref().map(Child::pid);
        let pid = options.pid.or(cpid);
        let running = options.pid.into_iter().chain(options.unwind).collect();
        Ok(Self {
            context: Context::new(pid, options.progress),
            machine: Arc::default(),
            units: BTreeMap::new(),
            next: 0,
            shared: Vec::new(),
            child: options.child,
            target,
            cgroup: options.cgroup,
            user_signal: options.user_signal,
            exit: None,
            leftovers: Vec::new(),
            statistics: None,
            links: None,
            was_trial: false,
            unwinding: Following::new(running, cpid),
        })
    }

    /// Loads an object. Maps of the script and stacks that an earlier object has are shared.
    pub fn load(&mut self, object: &Object) -> Result<UnitId, Error> {
        self.unwinding.check(&object.plan)?;
        let cgroup = self.cgroup.as_ref().map(AsFd::as_fd);
        if object.plan.is_of_cgroup() && cgroup.is_none() {
            return Err(Error::NoCgroup);
        }
        let unit = Unit::load(object, &self.shared, &self.machine)?;
        if let Some(cgroup) = cgroup {
            unit.set_cgroup(cgroup).map_err(Error::system("tell programs their cgroup"))?;
        }
        self.unwinding.adopt(unit.maps());
        for map in unit.shareable() {
            if !self.shared.iter().any(|known| Arc::ptr_eq(known, map)) {
                self.shared.push(Arc::clone(map));
            }
        }
        let id = UnitId(self.next);
        self.next += 1;
        self.units.insert(id, unit);
        Ok(id)
    }

    /// What went less well than it could while loading.
    pub fn warnings(&self, unit: UnitId) -> &[String] {
        self.units.get(&unit).map_or(&[], Unit::warnings)
    }

    /// The plan of an object.
    pub fn plan(&self, unit: UnitId) -> Option<&Arc<Plan>> {
        self.units.get(&unit).map(Unit::plan)
    }

    /// Runs the object's `begin` blocks, then attaches its probes. After an error nothing of
    /// it is attached.
    pub fn attach(&mut self, unit: UnitId) -> Result<AttachReport, Error> {
        let Some(unit) = self.units.get_mut(&unit) else { return Ok(AttachReport::default()) };
        limits::raise_for(unit.plan().probes.len() as u64);
        if watched::shows_user_code(unit.plan()) {
            self.machine.watch(watched::processes(unit.plan(), self.context.pid));
            if watched::meets_any(unit.plan(), self.context.pid) {
                self.machine.remember_all();
            }
        }
        if unit.plan().unwinds() {
            let begun = self.unwinding.begin(&self.machine);
            begun.map_err(Error::system("prepare unwind data"))?;
        }
        if hooks::has_interfaces(unit.plan()) && self.links.is_none() {
            let events = LinkEvents::new();
            self.links = Some(events.map_err(Error::system("watch the network interfaces"))?);
        }
        let result = unit.attach(&self.context);
        if result.is_err() {
            self.leftovers.extend(unit.detach());
        }
        result
    }

    /// Gives up every capability that is of no use once all objects are attached: none can be loaded
    /// or attached afterwards.
    pub fn give_up_capabilities(&self) -> Result<(), Error> {
        let plans = self.units.values().map(|unit| &**unit.plan());
        privileges::give_up(plans).map_err(Error::system("give up capabilities"))
    }

    /// Lets the command of [`Options::child`] run. If its stacks are to be unwound, it waits where its
    /// program begins until the unwind data of that and of its libraries is known.
    pub fn release_child(&mut self) -> Result<(), Error> {
        let Some(child) = &mut self.child else { return Ok(()) };
        if !self.unwinding.is_needed() {
            return child.release();
        }
        let mut prepared = Ok(());
        child.release_held(|| {
            self.machine.catch_up();
            if prepared.is_ok() {
                prepared = self.unwinding.update(&self.machine);
            }
        })?;
        prepared.map_err(Error::system("prepare unwind data"))
    }

    /// Detaches a probe of an object, by its index in the plan, and with it those that share its
    /// link. Returns which were detached: none if it is not attached.
    pub fn detach_probe(&mut self, unit: UnitId, probe: u32) -> Vec<u32> {
        let Some(unit) = self.units.get_mut(&unit) else { return Vec::new() };
        let (probes, events) = unit.detach_probe(probe);
        close_aside(events);
        probes
    }

    /// Probes that are attached: the object, the index in its plan and the full name.
    pub fn attached(&self) -> Vec<(UnitId, u32, &str)> {
        let mut all = Vec::new();
        for (id, unit) in &self.units {
            let probes = unit.attached().into_iter();
            all.extend(probes.filter_map(|p| Some((*id, p, unit.probe_name(p)?))));
        }
        all
    }

    /// Detaches an object's probes and removes it from the kernel. Its `end` blocks do not run.
    /// Maps that it shares live on.
    pub fn unload(&mut self, unit: UnitId) {
        if let Some(mut unit) = self.units.remove(&unit) {
            close_aside(unit.detach());
        }
    }

    /// Ends an object: detaches its probes, runs its `end` blocks and removes it from the kernel.
    /// Maps that it shares live on.
    pub fn end_unit(&mut self, unit: UnitId, sink: &mut dyn Sink) -> Result<(), Error> {
        let Some(mut unit) = self.units.remove(&unit) else { return Ok(()) };
        close_aside(unit.detach());
        let mut ignored = None;
        unit.drain_all(sink, &mut ignored)?;
        unit.discard();
        unit.run_all(ProbeKind::End)?;
        let mut ignored = None;
        unit.drain_all(sink, &mut ignored)?;
        unit.report_losses(sink, true)?;
        output(sink.flush())
    }

    /// Waits for records, no longer than `timeout` (for ever if absent), and handles those that
    /// are there. True if `exit` was called.
    pub fn poll(&mut self, timeout: Option<Duration>, sink: &mut dyn Sink) -> Result<bool, Error> {
        let going = self.units.values().any(Unit::iterates);
        self.wait(if going { Some(Duration::ZERO) } else { timeout }, None)?;
        self.follow_interfaces(sink)?;
        self.handle(sink)?;
        Ok(self.exit.is_some())
    }

    /// Handles records until the script exits, the flag is set, or what was traced has ended.
    pub fn run(&mut self, sink: &mut dyn Sink, stop: &StopFlag) -> Result<ExitStatus, Error> {
        self.release_child()?;
        loop {
            let ended = self.target_ended();
            self.follow_interfaces(sink)?;
            let done = !self.may_report();
            self.handle(sink)?;
            self.answer_user_signal(sink)?;
            let reason = if self.exit.is_some() {
                Reason::Exit
            } else if stop.is_set() {
                Reason::Stopped
            } else if ended {
                Reason::TargetEnded
            } else if done {
                Reason::Done
            } else {
                self.wait(Some(self.patience()), Some(stop))?;
                continue;
            };
            // What was sent before the end still counts.
            if reason != Reason::Exit {
                self.handle(sink)?;
            }
            return Ok(ExitStatus { code: self.exit.unwrap_or(0), reason });
        }
    }

    /// Whether an iterator of an object has not come to its end.
    pub fn iterates(&self, unit: UnitId) -> bool {
        self.units.get(&unit).is_some_and(Unit::iterates)
    }

    /// Whether something may still be seen. A command is let run to its end, whether or not anything
    /// is seen of it.
    fn may_report(&self) -> bool {
        self.child.is_some() || self.units.values().any(Unit::can_fire)
    }

    /// How long to wait for records: not at all for an iterator, or after the last has ended.
    fn patience(&self) -> Duration {
        match self.may_report() && !self.units.values().any(Unit::iterates) {
            true => TICK,
            false => Duration::ZERO,
        }
    }

    /// Detaches everything, handles what was sent before, runs the `end` blocks and prints maps.
    pub fn finish(&mut self, sink: &mut dyn Sink) -> Result<ExitStatus, Error> {
        let reason = if self.exit.is_some() { Reason::Exit } else { Reason::Done };
        if let Some(child) = &mut self.child {
            child.terminate();
        }
        for unit in self.units.values_mut() {
            self.leftovers.extend(unit.detach());
        }
        let mut code = self.exit.take();
        for unit in self.units.values_mut() {
            unit.drain_all(sink, &mut code)?;
            // Nothing that was sent before `end` counts after `exit`.
            unit.discard();
        }
        let mut late = None;
        for unit in self.units.values_mut() {
            unit.run_all(ProbeKind::End)?;
            unit.drain_all(sink, &mut late)?;
            unit.report_losses(sink, true)?;
        }
        output(sink.event(&Event::End))?;
        if !self.was_trial {
            self.print_maps(sink)?;
        }
        output(sink.flush())?;
        Ok(ExitStatus { code: late.or(code).unwrap_or(0), reason })
    }

    /// Has the kernel count runs of programs and their time, as long as the session lives. It
    /// costs each run some nanoseconds. Where it cannot (before Linux 5.8, without
    /// `CAP_SYS_ADMIN`), they stay 0.
    pub fn count_runs(&mut self) {
        self.statistics = bpf::enable_statistics().ok();
    }

    /// What the kernel says of an object's programs, in the order of the plan.
    pub fn programs(&self, unit: UnitId) -> Vec<ProgramInfo> {
        self.units.get(&unit).map_or_else(Vec::new, Unit::programs)
    }

    /// The verifier's log of each program of an object, in the order of the plan.
    pub fn verifier_logs(&self, unit: UnitId) -> Vec<String> {
        self.units.get(&unit).map_or_else(Vec::new, Unit::verifier_logs)
    }

    /// All that was lost in this session, by probe.
    pub fn losses(&self) -> Vec<LossTotal> {
        self.units.values().flat_map(Unit::losses).collect()
    }

    /// Names of the script's maps, sorted.
    pub fn map_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .shared
            .iter()
            .filter(|m| m.plan.role == MapRole::Script)
            .map(|m| m.plan.name.clone())
            .collect();
        names.sort_unstable();
        names
    }

    /// Prints a map as `print` does. False if there is no such map.
    pub fn print_map(&self, name: &str, sink: &mut dyn Sink) -> Result<bool, Error> {
        for unit in self.units.values() {
            if let Some(index) = unit.map_index(name) {
                unit.print_map(index, 0, 1, sink)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes every entry of a map. False if there is no such map.
    pub fn clear_map(&self, name: &str) -> Result<bool, Error> {
        let Some(map) = self.script_map(name) else { return Ok(false) };
        map.clear().map_err(Error::system(format!("clear {name}")))?;
        Ok(true)
    }

    /// Removes a map from the session, so that a later object may use its name with another
    /// type. Objects that use it keep it. False if there is no such map.
    pub fn forget_map(&mut self, name: &str) -> bool {
        let before = self.shared.len();
        self.shared.retain(|m| m.plan.role != MapRole::Script || m.plan.name != name);
        self.shared.len() < before
    }

    fn script_map(&self, name: &str) -> Option<&Arc<LoadedMap>> {
        self.shared.iter().find(|m| m.plan.role == MapRole::Script && m.plan.name == name)
    }

    fn print_maps(&self, sink: &mut dyn Sink) -> Result<(), Error> {
        for name in self.map_names() {
            let unit = self.units.values().find_map(|u| Some((u, u.map_index(&name)?)));
            if let Some((unit, index)) = unit
                && unit.plan().config.print_maps_on_exit
            {
                unit.print_map_at_exit(index, sink)?;
            }
        }
        Ok(())
    }

    /// Attaches probes to network interfaces that have come, and lets go of those that have gone.
    fn follow_interfaces(&mut self, sink: &mut dyn Sink) -> Result<(), Error> {
        if !self.links.as_ref().is_some_and(LinkEvents::have_come) {
            return Ok(());
        }
        let links = link::all()?;
        let Self { units, context, .. } = self;
        units.values_mut().try_for_each(|unit| unit.follow(&links, context, sink))
    }

    fn answer_user_signal(&self, sink: &mut dyn Sink) -> Result<(), Error> {
        let Some(flag) = self.user_signal.as_ref().filter(|flag| flag.is_set()) else {
            return Ok(());
        };
        flag.reset();
        // A script that waits for the signal says itself what is to happen.
        let mut answered = false;
        for unit in self.units.values() {
            answered |= unit.run_for_signal()?;
        }
        if !answered {
            self.print_maps(sink)?;
        }
        output(sink.flush())
    }

    fn target_ended(&mut self) -> bool {
        let child = self.child.as_mut().is_some_and(|c| c.status().is_some());
        child || self.target.as_ref().is_some_and(|fd| is_readable(fd.as_fd()))
    }

    /// Handles iterators, records and losses. Nothing happens after `exit`.
    fn handle(&mut self, sink: &mut dyn Sink) -> Result<(), Error> {
        self.machine.catch_up();
        if let Err(e) = self.unwinding.update(&self.machine) {
            let message = format!("cannot prepare unwind data: {e}");
            output(sink.event(&Event::Warning { message, location: None }))?;
        }
        for unit in self.units.values_mut() {
            if self.exit.is_some() {
                break;
            }
            unit.iterate(sink, &mut self.exit)?;
            unit.drain(sink, &mut self.exit)?;
            unit.report_losses(sink, false)?;
        }
        output(sink.flush())
    }

    /// Waits until something can be read.
    fn wait(&self, timeout: Option<Duration>, stop: Option<&StopFlag>) -> Result<(), Error> {
        let rings = self.units.values().flat_map(Unit::ring_fds);
        let child = self.child.as_ref().map(Child::fd);
        let sources: Vec<BorrowedFd<'_>> = rings
            .chain(self.machine.wakers())
            .chain(child)
            .chain(self.target.as_ref().map(AsFd::as_fd))
            .chain(self.links.as_ref().map(AsFd::as_fd))
            .chain(stop.map(StopFlag::fd))
            .chain(self.user_signal.as_ref().map(StopFlag::fd))
            .collect();
        let mut fds: Vec<PollFd<'_>> =
            sources.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(Error::system("wait for events")(e.into())),
        }
    }
}

pub(crate) fn output(result: std::io::Result<()>) -> Result<(), Error> {
    result.map_err(Error::Output)
}

impl Drop for Session {
    fn drop(&mut self) {
        // All programs stop first: closing events takes the kernel long.
        for unit in self.units.values_mut() {
            self.leftovers.extend(unit.detach());
        }
    }
}

/// Closes perf events without programs while the session goes on.
fn close_aside(events: Vec<OwnedFd>) {
    if !events.is_empty() {
        // Where no thread can be had, the closure is dropped, and with it the events.
        drop(std::thread::Builder::new().spawn(move || drop(events)));
    }
}

fn open_process(pid: u32) -> Result<OwnedFd, Error> {
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Error::NoProcess(pid))?;
    pidfd_open(id, PidfdFlags::empty()).map_err(|e| match e {
        rustix::io::Errno::SRCH | rustix::io::Errno::INVAL => Error::NoProcess(pid),
        e => Error::system(format!("open process {pid}"))(e.into()),
    })
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&now)).is_ok_and(|n| n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_can_move_to_another_thread() {
        fn check<T: Send>() {}
        check::<Session>();
    }

    #[test]
    fn processes_that_are_not_there() {
        for pid in [0, 0x7fff_ffff, u32::MAX] {
            let options = Options { pid: Some(pid), ..Options::default() };
            assert!(matches!(Session::new(options), Err(Error::NoProcess(p)) if p == pid));
        }
    }

    #[test]
    fn a_session_without_objects_is_done() {
        struct Nothing;
        impl Sink for Nothing {
            fn event(&mut self, _: &Event) -> std::io::Result<()> {
                Ok(())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut session = Session::new(Options::default()).expect("needs nothing");
        let status = session
            .run(&mut Nothing, &StopFlag::new().expect("needs nothing"))
            .expect("needs nothing");
        assert_eq!(status, ExitStatus { code: 0, reason: Reason::Done });
        assert!(session.finish(&mut Nothing).is_ok() && session.map_names().is_empty());
    }
}
