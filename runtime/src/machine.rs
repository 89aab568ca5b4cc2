//! Names of the running machine, for output: symbols, stacks, users, cgroups, clocks.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use rbtrace_probes_ebpf::plan::{Plan, Target};
use rbtrace_probes_ebpf::types::Clock;
use rustix::time::{ClockId, DynamicClockId, Timespec, clock_gettime, clock_gettime_dynamic};

use crate::maps::LoadedMap;
use crate::resolve::{RawFrame, Resolve};
use crate::symbols::kernel::KernelSymbols;
use crate::symbols::{Binary, Function, find_binary, path_in_process};
use crate::value::Symbol;

/// Deepest cgroup that is looked for.
const CGROUP_DEPTH: usize = 32;
/// Bytes of a `struct bpf_stack_build_id`, and its states (linux/bpf.h).
const BUILD_ID_SIZE: usize = 32;
const BUILD_ID_VALID: u32 = 1;
const BUILD_ID_ADDRESS: u32 = 2;

/// What is read once and shared by all objects of a session.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    kernel: OnceLock<KernelSymbols>,
    users: OnceLock<HashMap<u64, String>>,
    files: Mutex<HashMap<PathBuf, Option<Arc<UserSymbols>>>>,
    mappings: Mutex<HashMap<u32, Vec<Mapping>>>,
}

/// Symbols of a file, sorted by address.
#[derive(Debug)]
struct UserSymbols {
    binary: Binary,
    functions: Vec<Function>,
}

/// A part of a process's address space that a file is mapped to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    path: PathBuf,
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

    fn file(&self, path: &Path) -> Option<Arc<UserSymbols>> {
        let mut files = self.files.lock().ok()?;
        let load = || {
            let binary = Binary::open(path).ok()?;
            let mut functions = binary.functions().ok()?;
            functions.sort_by_key(|f| f.address);
            Some(Arc::new(UserSymbols { binary, functions }))
        };
        files.entry(path.to_owned()).or_insert_with(load).clone()
    }

    /// Where an address of a process comes from. What a process maps is read again when an
    /// address is in no known place.
    fn mapping(&self, pid: u32, address: u64) -> Option<Mapping> {
        let mut all = self.mappings.lock().ok()?;
        let holds = |m: &&Mapping| (m.start..m.end).contains(&address);
        if let Some(found) = all.get(&pid).and_then(|m| m.iter().find(holds)) {
            return Some(found.clone());
        }
        let text = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        let mappings: Vec<Mapping> = text.lines().filter_map(parse_mapping).collect();
        let found = mappings.iter().find(holds).cloned();
        all.insert(pid, mappings);
        found
    }

    fn user_symbol(&self, pid: u32, address: u64) -> Option<Symbol> {
        let mapping = self.mapping(pid, address)?;
        let file = self.file(&path_in_process(&mapping.path, Some(pid)))?;
        let offset = address - mapping.start + mapping.offset;
        file.symbol(file.binary.address_of_offset(offset)?)
    }
}

impl UserSymbols {
    fn symbol(&self, address: u64) -> Option<Symbol> {
        let after = self.functions.partition_point(|f| f.address <= address);
        let function = self.functions.get(after.checked_sub(1)?)?;
        let offset = address - function.address;
        (offset < function.size.max(1)).then(|| Symbol {
            name: function.name.clone(),
            offset,
            module: Some(self.binary.path().display().to_string()),
        })
    }
}

/// Name and id in a line of passwd(5).
fn parse_user(line: &str) -> Option<(u64, String)> {
    let mut parts = line.split(':');
    let name = parts.next()?;
    Some((parts.nth(1)?.parse().ok()?, name.to_owned()))
}

/// An executable mapping in a line of /proc/PID/maps.
fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut parts = line.split_ascii_whitespace();
    let (start, end) = parts.next()?.split_once('-')?;
    let executable = parts.next()?.contains('x');
    let offset = parts.next()?;
    let path = line.get(line.find('/')?..)?;
    let hex = |s| u64::from_str_radix(s, 16).ok();
    let mapping =
        Mapping { start: hex(start)?, end: hex(end)?, offset: hex(offset)?, path: path.into() };
    executable.then_some(mapping)
}

/// Answers for one object: stacks and probes are numbered by its plan.
#[derive(Debug)]
pub(crate) struct UnitResolve {
    pub machine: Arc<Machine>,
    pub plan: Arc<Plan>,
    pub maps: Vec<Arc<LoadedMap>>,
}

impl UnitResolve {
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
        })
    }

    fn user_symbol(&self, pid: u32, probe: u32, address: u64) -> Option<Symbol> {
        // A program that is not relocated can be looked up after its end.
        self.machine.user_symbol(pid, address).or_else(|| {
            let file = self.machine.file(&self.probed_file(probe)?)?;
            file.symbol(address)
        })
    }

    fn stack(&self, map: u32, id: u32, build_id: bool) -> Option<Vec<RawFrame>> {
        let values = self.maps.get(map as usize)?.lookup(&id.to_ne_bytes()).ok()??;
        let bytes = values.first()?;
        Some(if build_id {
            bytes.chunks_exact(BUILD_ID_SIZE).map_while(build_id_frame).collect()
        } else {
            let words = bytes.chunks_exact(8).filter_map(|w| w.first_chunk());
            let words = words.map(|w| u64::from_ne_bytes(*w));
            words.take_while(|a| *a != 0).map(RawFrame::Address).collect()
        })
    }

    fn user_name(&self, uid: u64) -> Option<String> {
        self.machine.users().get(&uid).cloned()
    }

    fn cgroup_paths(&self, id: u64, filter: &str) -> Vec<(String, String)> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut found: Vec<(String, String)> = mounts
            .lines()
            .filter_map(parse_cgroup_mount)
            .filter(|(name, _)| filter.is_empty() || matches_glob(filter, name))
            .filter_map(|(name, root)| Some((name, cgroup_path(&root, id)?)))
            .collect();
        found.sort_by_key(|(name, _)| (name != UNIFIED, name.clone()));
        found
    }

    fn clock_offset(&self, clock: Clock) -> Option<i64> {
        let now = match clock {
            Clock::Monotonic => clock_gettime(ClockId::Monotonic),
            Clock::Boot => clock_gettime(ClockId::Boottime),
            Clock::Tai => clock_gettime_dynamic(DynamicClockId::Tai).ok()?,
            Clock::Realtime => return Some(0),
        };
        let nanoseconds = |t: Timespec| t.tv_sec.checked_mul(1_000_000_000)?.checked_add(t.tv_nsec);
        nanoseconds(clock_gettime(ClockId::Realtime))?.checked_sub(nanoseconds(now)?)
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

/// Name of the version 2 hierarchy.
const UNIFIED: &str = "unified";

/// Name and mount point of a cgroup hierarchy in a line of /proc/self/mountinfo.
fn parse_cgroup_mount(line: &str) -> Option<(String, PathBuf)> {
    let (before, after) = line.split_once(" - ")?;
    let point = PathBuf::from(before.split(' ').nth(4)?);
    let name = match after.split(' ').next()? {
        "cgroup2" => UNIFIED.to_owned(),
        "cgroup" => point.file_name()?.to_str()?.to_owned(),
        _ => return None,
    };
    Some((name, point))
}

/// The path of a cgroup in its hierarchy: the folder whose inode number is the id.
fn cgroup_path(root: &Path, id: u64) -> Option<String> {
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if fs::metadata(&folder).is_ok_and(|m| m.ino() == id) {
            return Some(format!("/{}", folder.strip_prefix(root).ok()?.display()));
        }
        let below = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
        if depth < CGROUP_DEPTH {
            let below = below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
            folders.extend(below.map(|e| (e.path(), depth + 1)));
        }
    }
    None
}

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
        let line = "7f00-7fff r-xp 00001000 08:01 42      /lib/x y.so";
        let mapping = parse_mapping(line).expect("a mapping");
        assert_eq!((mapping.start, mapping.offset), (0x7f00, 0x1000));
        assert_eq!(mapping.path, Path::new("/lib/x y.so"));
        assert!(parse_mapping("7f00-7fff rw-p 00001000 08:01 42 /lib/x.so").is_none());
        let line = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(parse_cgroup_mount(line), Some((UNIFIED.into(), "/sys/fs/cgroup".into())));
    }

    #[test]
    fn globs() {
        assert!(matches_glob("cpu*", "cpuset") && matches_glob("*", ""));
        assert!(!matches_glob("cpu", "cpuset") && !matches_glob("*a*b", "xaxc"));
    }
}
