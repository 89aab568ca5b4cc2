//! Names of the running machine, for output: symbols, stacks, users, cgroups, clocks.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use rbtrace_probes_ebpf::plan::{Plan, Target};
use rbtrace_probes_ebpf::types::{Clock, stack_frames};
use rustix::time::{ClockId, DynamicClockId, Timespec, clock_gettime, clock_gettime_dynamic};

use crate::cgroups;
use crate::features;
use crate::maps::LoadedMap;
use crate::resolve::{RawFrame, Resolve};
use crate::symbols::find_binary;
use crate::symbols::kernel::KernelSymbols;
use crate::symbols::perf_map::PerfMaps;
use crate::symbols::process::{Mappings, Processes};
use crate::symbols::symbolizer::{Place, Style, look_up};
use crate::sys::tasks::{TaskEvent, TaskEvents, drain_all};
use crate::value::Symbol;
use crate::watched;

/// Bytes of a `struct bpf_stack_build_id`, and its states (linux/bpf.h).
const BUILD_ID_SIZE: usize = 32;
const BUILD_ID_VALID: u32 = 1;
const BUILD_ID_ADDRESS: u32 = 2;

/// What is read once and shared by all objects of a session.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    kernel: OnceLock<KernelSymbols>,
    users: OnceLock<HashMap<u64, String>>,
    processes: Mutex<Processes>,
    perf_maps: Mutex<PerfMaps>,
    /// What processes do, for the time when they are gone; none before [`Machine::watch`].
    tasks: Mutex<Vec<TaskEvents>>,
    /// Each readable when a process has done something.
    wakers: OnceLock<Vec<OwnedFd>>,
}

impl Machine {
    fn kernel(&self) -> &KernelSymbols {
        self.kernel.get_or_init(|| KernelSymbols::read().unwrap_or_default())
    }

    fn users(&self) -> &HashMap<u64, String> {
        self.users.get_or_init(|| {
            let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
            text.lines().rev().filter_map(parse_user).collect()
        })
    }

    /// Keeps track of what processes map from now on, and of what these have mapped already.
    /// Where the kernel does not allow it, symbols of processes that have ended stay unknown.
    pub fn watch(&self, running: impl IntoIterator<Item = u32>) {
        if let Ok(mut tasks) = self.tasks.lock()
            && tasks.is_empty()
        {
            *tasks = features::online_cpus()
                .into_iter()
                .map_while(|cpu| TaskEvents::open(cpu).ok())
                .collect();
            let copies = tasks.iter().filter_map(|cpu| cpu.fd().try_clone_to_owned().ok());
            self.wakers.get_or_init(|| copies.collect());
        }
        if let Ok(mut processes) = self.processes.lock() {
            running.into_iter().for_each(|pid| processes.remember(pid));
        }
    }

    /// Reads what every process has mapped, aside: there may be many, and most are never asked for.
    pub fn remember_all(self: &Arc<Self>) {
        let machine = Arc::clone(self);
        let read = move || {
            for pid in watched::running() {
                match machine.processes.lock() {
                    Ok(mut processes) if !processes.knows(pid) => processes.remember(pid),
                    _ => {}
                }
            }
        };
        // Where no thread can be had, they are read when they are asked for.
        drop(std::thread::Builder::new().spawn(read));
    }

    /// Each readable when a process has done something that is to be taken note of: soon, or the
    /// process is gone, and the files that only it could see with it.
    pub fn wakers(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.wakers.get().into_iter().flatten().map(AsFd::as_fd)
    }

    /// Takes note of what processes did since the last time.
    pub fn catch_up(&self) {
        if let (Ok(mut tasks), Ok(mut processes)) = (self.tasks.lock(), self.processes.lock()) {
            drain_all(&mut tasks).into_iter().for_each(|event| processes.note(event));
        }
    }

    /// Follows processes, and those that they start.
    pub fn follow(&self, pids: &[u32]) {
        if let Ok(mut processes) = self.processes.lock() {
            pids.iter().for_each(|pid| processes.follow(*pid));
        }
    }

    /// Follows a process from where it starts a program.
    pub fn follow_start(&self, pid: u32) {
        if let Ok(mut processes) = self.processes.lock() {
            processes.note(TaskEvent::Exec { pid });
            processes.follow(pid);
        }
    }

    /// Processes that are followed and have changed since the last time, with what they have mapped;
    /// nothing of those that have ended.
    pub fn take_changed(&self) -> Vec<(u32, Option<Mappings>)> {
        self.processes.lock().map(|mut processes| processes.take_changed()).unwrap_or_default()
    }

    fn knows(&self, pid: u32) -> bool {
        self.processes.lock().is_ok_and(|processes| processes.knows(pid))
    }

    fn user_symbol(&self, pid: u32, address: u64, style: Style) -> Option<Symbol> {
        self.catch_up();
        let mapping = self.processes.lock().ok()?.mapping(pid, address)?;
        let Some(file) = mapping.file() else {
            return self.made_symbol(pid, address, style);
        };
        let place = Place::Offset(file.readable(), mapping.offset_of(address));
        let symbol = look_up(place, style)
            .map(|symbol| Symbol { module: Some(file.path().display().to_string()), ..symbol });
        // Some compilers put their code into files without a name.
        let is_made = file.path().to_string_lossy().starts_with("/memfd:");
        symbol.or_else(|| self.made_symbol(pid, address, style).filter(|_| is_made))
    }

    /// The symbol at an address that is in no file.
    fn made_symbol(&self, pid: u32, address: u64, style: Style) -> Option<Symbol> {
        look_up(Place::Process(pid, address), style)
            .or_else(|| self.perf_maps.lock().ok()?.symbol(pid, address))
    }
}

/// Name and id in a line of passwd(5).
fn parse_user(line: &str) -> Option<(u64, String)> {
    let mut parts = line.split(':');
    let name = parts.next()?;
    Some((parts.nth(1)?.parse().ok()?, name.to_owned()))
}

/// Answers for one object: stacks and probes are numbered by its plan.
#[derive(Debug)]
pub(crate) struct UnitResolve {
    pub machine: Arc<Machine>,
    pub plan: Arc<Plan>,
    pub maps: Vec<Arc<LoadedMap>>,
}

impl UnitResolve {
    fn style(&self) -> Style {
        let config = &self.plan.config;
        Style { debug_info: config.show_debug_info, demangle: config.cpp_demangle }
    }

    /// The file that a probe is on.
    fn probed_file(&self, probe: u32) -> Option<PathBuf> {
        match &self.plan.probes.get(probe as usize)?.target {
            Target::Uprobe(f) | Target::Uretprobe(f) => find_binary(&f.binary, f.pid).ok(),
            _ => None,
        }
    }
}

impl Resolve for UnitResolve {
    fn kernel_symbol(&self, address: u64) -> Option<Symbol> {
        let symbol = self.machine.kernel().at(address)?;
        Some(Symbol {
            name: symbol.name.to_owned(),
            offset: address - symbol.address,
            module: symbol.module.map(str::to_owned),
            ..Symbol::default()
        })
    }

    fn user_symbol(&self, pid: u32, probe: u32, address: u64) -> Option<Symbol> {
        let style = self.style();
        self.machine.user_symbol(pid, address, style).or_else(|| {
            if self.machine.knows(pid) {
                return None;
            }
            // A program that is not relocated can be looked up after its end.
            look_up(Place::Address(&self.probed_file(probe)?, address), style)
        })
    }

    fn stack(&self, map: u32, id: u64, build_id: bool) -> Option<Vec<RawFrame>> {
        let values = self.maps.get(map as usize)?.lookup(&id.to_ne_bytes()).ok()??;
        let bytes = values.first()?;
        Some(if build_id {
            let frames = bytes.chunks_exact(BUILD_ID_SIZE).take(stack_frames(id));
            frames.map_while(build_id_frame).collect()
        } else {
            let words = bytes.chunks_exact(8).filter_map(|w| w.first_chunk());
            let words = words.map(|w| u64::from_ne_bytes(*w));
            words.take(stack_frames(id)).map(RawFrame::Address).collect()
        })
    }

    fn user_name(&self, uid: u64) -> Option<String> {
        self.machine.users().get(&uid).cloned()
    }

    fn cgroup_paths(&self, id: u64, filter: &str) -> Vec<(String, String)> {
        let wanted = |name: &str| filter.is_empty() || matches_glob(filter, name);
        let mut found: Vec<(String, String)> = cgroups::hierarchies()
            .into_iter()
            .filter(|hierarchy| wanted(&hierarchy.name))
            .filter_map(|hierarchy| Some((hierarchy.path_of(id)?, hierarchy.name)))
            .map(|(path, name)| (name, path))
            .collect();
        found.sort_by_key(|(name, _)| (name != cgroups::UNIFIED, name.clone()));
        // A hierarchy may be mounted at several places.
        found.dedup();
        found
    }

    fn clock_offset(&self, clock: Clock) -> Option<i64> {
        let now = match clock {
            Clock::Monotonic => clock_gettime(ClockId::Monotonic),
            Clock::Boot => clock_gettime(ClockId::Boottime),
            Clock::Tai => clock_gettime_dynamic(DynamicClockId::Tai).ok()?,
            Clock::Realtime => return Some(0),
        };
        let nanoseconds = |t: Timespec| t.tv_sec.checked_mul(SECOND)?.checked_add(t.tv_nsec);
        let offset =
            nanoseconds(clock_gettime(ClockId::Realtime))?.checked_sub(nanoseconds(now)?)?;
        // Atomic time is whole seconds away; what is left over is what reading the clocks took.
        Some(if clock == Clock::Tai {
            (offset + SECOND / 2).div_euclid(SECOND) * SECOND
        } else {
            offset
        })
    }
}

fn build_id_frame(bytes: &[u8]) -> Option<RawFrame> {
    let status = u32::from_ne_bytes(*bytes.first_chunk()?);
    let place = u64::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
    match status {
        BUILD_ID_VALID => {
            Some(RawFrame::BuildId { id: *bytes.get(4..)?.first_chunk()?, offset: place })
        }
        BUILD_ID_ADDRESS => Some(RawFrame::Address(place)),
        _ => None,
    }
}

/// In nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// Whether `text` is what `pattern` describes, in which `*` stands for anything.
fn matches_glob(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    (0..=text.len()).filter_map(|at| text.get(at..)).any(|tail| matches_glob(rest, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_tables_of_the_system() {
        assert_eq!(parse_user("root:x:0:0::/root:/bin/sh"), Some((0, "root".into())));
    }

    #[test]
    fn globs() {
        assert!(matches_glob("cpu*", "cpuset") && matches_glob("*", ""));
        assert!(!matches_glob("cpu", "cpuset") && !matches_glob("*a*b", "xaxc"));
    }
}
