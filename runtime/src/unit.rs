//! One object of a session.

mod attaching;
mod chains;
pub(crate) mod hooks;
mod iterate;

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{MapRole, Object, Plan, Target};

use crate::attach::{self, Attachment, run};
use crate::decode::Decoder;
use crate::error::Error;
use crate::event::Event;
use crate::load::{self, Loaded, LoadedProgram};
use crate::losses::{LossTotal, Losses};
use crate::machine::{Machine, UnitResolve};
use crate::maps::LoadedMap;
use crate::packets::{PacketFiles, PacketRings};
use crate::request::Request;
use crate::ring::Ring;
use crate::session::output;
use crate::sink::Sink;
use crate::snapshot::MapSnapshot;
use crate::sys::bpf::{self, ProgramInfo};

/// Records that are handled before anything else gets its turn.
const ROUND: usize = 65_536;

/// An object in the kernel, and what hangs on it.
#[derive(Debug)]
pub(crate) struct Unit {
    loaded: Loaded,
    decoder: Decoder,
    ring: Option<Ring>,
    packets: Option<PacketRings>,
    files: PacketFiles,
    losses: Losses,
    attached: Vec<Group>,
    hooks: hooks::Hooks,
    /// What `exit` was called with while an iterator had not come to its end.
    waiting_exit: Option<i32>,
}

/// Probes that are attached together.
#[derive(Debug)]
struct Group {
    probes: Vec<u32>,
    attachment: Attachment,
    /// Index of the network interface that they are on.
    interface: Option<u32>,
}

impl Unit {
    /// Loads an object.
    pub fn load(
        object: &Object,
        shared: &[Arc<LoadedMap>],
        machine: &Arc<Machine>,
    ) -> Result<Self, Error> {
        let loaded = load::load(object, shared)?;
        let ring = loaded.maps.iter().find(|m| m.plan.role == MapRole::Ring);
        let ring = ring.map(|m| Ring::new(m)).transpose()?;
        let packets = loaded.maps.iter().find(|m| m.plan.role == MapRole::Packets);
        let pages = loaded.plan.config.perf_rb_pages;
        let packets = packets.map(|m| PacketRings::new(m, pages)).transpose()?;
        let resolve = UnitResolve {
            machine: Arc::clone(machine),
            plan: Arc::clone(&loaded.plan),
            maps: loaded.maps.clone(),
        };
        let decoder = Decoder::with_resolve(Arc::clone(&loaded.plan), Box::new(resolve));
        let losses = Losses::new();
        let files = PacketFiles::default();
        let (attached, hooks, waiting_exit) = Default::default();
        Ok(Self { loaded, decoder, ring, packets, files, losses, attached, hooks, waiting_exit })
    }

    /// Tells programs that heed a cgroup that it is this one.
    pub fn set_cgroup(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        let folder = folder.as_raw_fd().to_ne_bytes();
        let mut maps = self.maps().iter().filter(|map| map.plan.role == MapRole::Cgroup);
        maps.try_for_each(|map| map.set(&0u32.to_ne_bytes(), &folder))
    }

    /// Its plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.loaded.plan
    }

    /// What went less well than it could while loading.
    pub fn warnings(&self) -> &[String] {
        &self.loaded.warnings
    }

    /// Its maps, in the order of the plan.
    pub fn maps(&self) -> &[Arc<LoadedMap>] {
        &self.loaded.maps
    }

    /// Maps that later objects may use.
    pub fn shareable(&self) -> impl Iterator<Item = &Arc<LoadedMap>> {
        self.loaded.maps.iter().filter(|m| m.is_shareable())
    }

    /// Index of a map of the script in the plan.
    pub fn map_index(&self, name: &str) -> Option<u32> {
        let maps = &self.plan().maps;
        let index = maps.iter().position(|m| m.role == MapRole::Script && m.name == name)?;
        u32::try_from(index).ok()
    }

    /// Each readable when there are records.
    pub fn ring_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let packets = self.packets.iter().flat_map(PacketRings::fds);
        self.ring.as_ref().map(Ring::fd).into_iter().chain(packets)
    }

    /// Whether anything is attached that may still report.
    pub fn can_fire(&self) -> bool {
        !self.attached.is_empty() || self.awaits_interface()
    }

    /// Runs every program of a kind, once for each of its probes.
    pub fn run_all(&self, kind: ProbeKind) -> Result<usize, Error> {
        let mut runs = 0;
        let plan = self.plan();
        for (program, loaded) in plan.programs.iter().zip(self.loaded.programs()) {
            if let Some(loaded) = loaded.filter(|_| program.kind == kind) {
                for _ in &program.probes {
                    run::once(loaded.fd.as_fd())?;
                    runs += 1;
                }
            }
        }
        Ok(runs)
    }

    /// Whether there are programs of a kind.
    pub fn has(&self, kind: ProbeKind) -> bool {
        self.plan().programs.iter().any(|program| program.kind == kind)
    }

    /// Runs every program that waits for a signal and is not detached. Returns whether there is
    /// one.
    pub fn run_for_signal(&self) -> Result<bool, Error> {
        let attached = self.attached();
        let mut ran = false;
        for (program, loaded) in self.plan().programs.iter().zip(self.loaded.programs()) {
            if let Some(loaded) = loaded.filter(|_| program.kind == ProbeKind::Signal) {
                for _ in program.probes.iter().filter(|p| attached.contains(p)) {
                    run::once(loaded.fd.as_fd())?;
                    ran = true;
                }
            }
        }
        Ok(ran)
    }

    /// The programs of a kind, by index, with the last part of their probe's name.
    pub fn programs_of(&self, kind: ProbeKind) -> Vec<(usize, String)> {
        let plan = self.plan();
        let programs = plan.programs.iter().enumerate().filter(|(_, p)| p.kind == kind);
        let named = programs.filter_map(|(index, program)| {
            let name = &plan.probes.get(*program.probes.first()? as usize)?.name;
            Some((index, name.split_once(':').map_or(name.as_str(), |(_, n)| n).to_owned()))
        });
        named.collect()
    }

    /// A program, by its index in the plan.
    pub fn program(&self, index: usize) -> Result<&LoadedProgram, Error> {
        let program = self.loaded.program(index);
        program.ok_or_else(|| Error::Malformed("no such program".into()))
    }

    /// Detaches every probe. What is returned may be closed at any later time.
    pub fn detach(&mut self) -> Vec<OwnedFd> {
        let groups = std::mem::take(&mut self.attached);
        attach::detach_all(groups.into_iter().map(|g| g.attachment).collect())
    }

    /// Detaches a probe, and with it those that share its link: returns which. The perf events
    /// may be closed at any later time.
    pub fn detach_probe(&mut self, probe: u32) -> (Vec<u32>, Vec<OwnedFd>) {
        let Some(at) = self.attached.iter().position(|g| g.probes.contains(&probe)) else {
            return Default::default();
        };
        let group = self.attached.swap_remove(at);
        self.let_go(&group.probes);
        (group.probes, attach::detach_all(vec![group.attachment]))
    }

    /// Indices of the probes that are attached, sorted.
    pub fn attached(&self) -> Vec<u32> {
        let mut probes: Vec<u32> =
            self.attached.iter().flat_map(|g| g.probes.iter().copied()).collect();
        probes.sort_unstable();
        probes
    }

    /// Full name of a probe.
    pub fn probe_name(&self, probe: u32) -> Option<&str> {
        self.plan().probes.get(probe as usize).map(|p| p.name.as_str())
    }

    /// Handles every record that is there. The first `exit` sets `exit` and ends it.
    pub fn drain_all(&mut self, sink: &mut dyn Sink, exit: &mut Option<i32>) -> Result<(), Error> {
        while exit.is_none() && self.drain(sink, exit)? {}
        Ok(())
    }

    /// Handles every packet that is there.
    fn drain_packets(&mut self, sink: &mut dyn Sink) -> Result<(), Error> {
        let Some(mut packets) = self.packets.take() else { return Ok(()) };
        let mut result = Ok(());
        packets.drain(|record| {
            result = self.record(record, sink, &mut None);
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        self.packets = Some(packets);
        result
    }

    /// Handles records that are there, so many that others get their turn. The first `exit`
    /// sets `exit` and ends it. True if records may be left.
    pub fn drain(&mut self, sink: &mut dyn Sink, exit: &mut Option<i32>) -> Result<bool, Error> {
        self.drain_packets(sink)?;
        let Some(mut ring) = self.ring.take() else { return Ok(false) };
        let mut result = Ok(());
        let mut left = ROUND;
        ring.drain(|record| {
            result = self.record(record, sink, exit);
            left -= 1;
            match (&result, &exit) {
                (Ok(()), None) if left > 0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        });
        self.ring = Some(ring);
        result.map(|()| left == 0)
    }

    /// Drops records that are there.
    pub fn discard(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.drain(|_| ControlFlow::Continue(()));
        }
    }

    fn record(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn Sink,
        exit: &mut Option<i32>,
    ) -> Result<(), Error> {
        let request = match self.decoder.record(bytes) {
            Ok(request) => request,
            Err(e) => return complain(sink, format!("malformed record: {e}")),
        };
        match request {
            Request::Output(event) => output(sink.event(&event)),
            Request::PrintMap { map, top, div } => self.print_map(map, top, div, sink),
            Request::PrintEntry { map, key, div } => self.print_entry(map, &key, div, sink),
            Request::Clear { map } => self.change(map, sink, LoadedMap::clear),
            Request::Zero { map } => self.change(map, sink, LoadedMap::zero),
            Request::Exit { code } => {
                match self.iterates() {
                    true => *self.waiting_exit.get_or_insert(code),
                    false => *exit.insert(code),
                };
                Ok(())
            }
            Request::Unwatch { address } => {
                self.unwatch(address);
                Ok(())
            }
            Request::Packet { file, packet } => match self.files.write(&file, &packet) {
                Ok(()) => Ok(()),
                Err(e) => complain(sink, format!("cannot write packets to {file}: {e}")),
            },
            Request::Cat { path, max_bytes } => cat(&path, max_bytes, sink),
            Request::System { command } => system(&command, sink),
        }
    }

    /// Detaches the watchpoints on an address.
    fn unwatch(&mut self, address: u64) {
        let plan = Arc::clone(self.plan());
        let watches = |probe: &u32| {
            let target = plan.probes.get(*probe as usize).map(|probe| &probe.target);
            matches!(target, Some(Target::Watchpoint(at)) if at.address == address)
        };
        for probe in self.attached().into_iter().filter(watches) {
            drop(self.detach_probe(probe));
        }
    }

    fn map(&self, index: u32) -> Result<&Arc<LoadedMap>, Error> {
        let map = self.loaded.maps.get(index as usize);
        map.ok_or_else(|| Error::Malformed(format!("the plan has no map {index}")))
    }

    fn snapshot(&self, index: u32) -> Result<MapSnapshot, Error> {
        let map = self.map(index)?;
        let entries =
            map.entries().map_err(Error::system(format!("read map {}", map.plan.name)))?;
        Ok(MapSnapshot { map: index, entries, zeroed: map.zeroed() })
    }

    /// Prints a map: all of it, or the `top` largest entries.
    pub fn print_map(
        &self,
        index: u32,
        top: u32,
        div: u32,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        match self.decoder.map(&self.snapshot(index)?, top, div) {
            Ok(event) => output(sink.event(&event)),
            Err(e) => complain(sink, format!("malformed map: {e}")),
        }
    }

    /// Prints a map as it is printed when a run ends.
    pub fn print_map_at_exit(&self, index: u32, sink: &mut dyn Sink) -> Result<(), Error> {
        match self.decoder.map_at_exit(&self.snapshot(index)?) {
            Ok(Some(event)) => output(sink.event(&event)),
            Ok(None) => Ok(()),
            Err(e) => complain(sink, format!("malformed map: {e}")),
        }
    }

    fn print_entry(
        &self,
        index: u32,
        key: &[u8],
        div: u32,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        let map = self.map(index)?;
        let values = map.lookup(key).map_err(Error::system(format!("read {}", map.plan.name)))?;
        match self.decoder.entry(index, key, &values.unwrap_or_default(), div) {
            Ok(event) => output(sink.event(&event)),
            Err(e) => complain(sink, format!("malformed map: {e}")),
        }
    }

    fn change(
        &self,
        index: u32,
        sink: &mut dyn Sink,
        change: impl Fn(&LoadedMap) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let map = self.map(index)?;
        match change(map) {
            Ok(()) => Ok(()),
            Err(e) => complain(sink, format!("cannot change map {}: {e}", map.plan.name)),
        }
    }

    /// Reports what was lost since the last time: at most once a second unless `now`.
    pub fn report_losses(&mut self, sink: &mut dyn Sink, now: bool) -> Result<(), Error> {
        let events =
            self.losses.report(&self.loaded, now).map_err(Error::system("read loss counters"))?;
        events.iter().try_for_each(|event| output(sink.event(event)))
    }

    /// What the kernel says of its programs; nothing of those that it does not tell about or has not.
    pub fn programs(&self) -> Vec<ProgramInfo> {
        let info = |loaded: Option<&LoadedProgram>| bpf::program_info(loaded?.fd.as_fd()).ok();
        let programs = self.loaded.programs().map(|loaded| info(loaded).unwrap_or_default());
        programs.enumerate().map(|(index, info)| self.add_copies(index, info)).collect()
    }

    /// What the verifier says of each program.
    pub fn verifier_logs(&self) -> Vec<String> {
        (0..self.plan().programs.len()).map(|index| self.loaded.verifier_log(index)).collect()
    }

    /// All that was lost.
    pub fn losses(&self) -> Vec<LossTotal> {
        self.losses.totals(self.plan()).collect()
    }
}

fn complain(sink: &mut dyn Sink, message: String) -> Result<(), Error> {
    output(sink.event(&Event::Error { message, location: None }))
}

fn cat(path: &[u8], max_bytes: u64, sink: &mut dyn Sink) -> Result<(), Error> {
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    let mut contents = Vec::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(max_bytes).read_to_end(&mut contents));
    match read {
        Ok(_) => output(sink.event(&Event::Cat(contents))),
        Err(e) => complain(sink, format!("failed to open file '{}': {e}", path.display())),
    }
}

fn system(command: &[u8], sink: &mut dyn Sink) -> Result<(), Error> {
    output(sink.flush())?;
    let command = std::ffi::OsStr::from_bytes(command);
    let run = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output();
    match run {
        Ok(done) => {
            if done.status.success() || !done.stdout.is_empty() {
                output(sink.event(&Event::System(done.stdout)))?;
            }
            match (done.status.code(), done.status.success()) {
                (_, true) => Ok(()),
                (Some(code), _) => complain(sink, format!("command exited with code {code}")),
                (None, _) => complain(sink, "command was ended by a signal".into()),
            }
        }
        Err(e) => complain(sink, format!("cannot run '{}': {e}", command.display())),
    }
}
