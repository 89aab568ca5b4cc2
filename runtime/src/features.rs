//! What the running kernel can do and what this process may: probed cheaply, only when asked.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use aya_obj::generated::bpf_insn;
use rbtrace_probes_ebpf::btf::{Btf, Kind};
use rbtrace_probes_ebpf::kinds::{ProbeKind, ProgramType, iter, lsm};
use rbtrace_probes_ebpf::profile::{Arch, KernelVersion, TargetProfile};

use crate::cgroups;
use crate::load::instruction::{CALL, EXIT, MOV, instruction};
use crate::load::{self, verifier};
use crate::mounts;
use crate::sys::bpf::{ATTACH_FENTRY, ATTACH_LSM, ProgramSpec, TargetFunction, load_program};

/// Where the kernel keeps the BTF of its own types.
pub const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// What a step needs a capability for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// bpf(2): maps and programs.
    Bpf,
    /// Tracing programs and perf events.
    Tracing,
    /// Programs that decide on packets.
    Network,
    /// Copies of packets.
    Packets,
    /// Mounting.
    Mount,
    /// What only the administrator may see.
    SystemAdmin,
}

/// `CAP_NET_ADMIN`, `CAP_NET_RAW`, `CAP_SYS_ADMIN`, `CAP_PERFMON`, `CAP_BPF` in linux/capability.h.
const NET_ADMIN: u32 = 12;
const NET_RAW: u32 = 13;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// The effective capabilities of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Those of this process.
    pub fn current() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self(parse_effective(&status).unwrap_or(0))
    }

    fn has(self, capability: u32) -> bool {
        self.0 & (1 << capability) != 0
    }

    /// Whether bpf(2) is allowed: `CAP_BPF`, or `CAP_SYS_ADMIN` that includes it.
    pub fn bpf(self) -> bool {
        self.has(BPF) || self.has(SYS_ADMIN)
    }

    /// Whether tracing is allowed: `CAP_PERFMON`, or `CAP_SYS_ADMIN`.
    pub fn perfmon(self) -> bool {
        self.has(PERFMON) || self.has(SYS_ADMIN)
    }

    /// Whether networks may be configured: `CAP_NET_ADMIN`.
    pub fn net_admin(self) -> bool {
        self.has(NET_ADMIN)
    }

    /// Whether packets may be copied from networks: `CAP_NET_RAW`.
    pub fn net_raw(self) -> bool {
        self.has(NET_RAW)
    }

    /// Whether file systems may be mounted: `CAP_SYS_ADMIN`.
    pub fn sys_admin(self) -> bool {
        self.has(SYS_ADMIN)
    }
}

fn parse_effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The capability that this process lacks for `need`, if one.
pub(crate) fn missing_capability(need: Need) -> Option<&'static str> {
    let have = Capabilities::current();
    // Before 5.8, CAP_SYS_ADMIN stood for both.
    let split = kernel_version() >= KernelVersion::new(5, 8);
    match need {
        Need::Bpf if !have.bpf() => Some(if split { "CAP_BPF" } else { "CAP_SYS_ADMIN" }),
        Need::Tracing if !have.bpf() => Some(if split { "CAP_BPF" } else { "CAP_SYS_ADMIN" }),
        Need::Tracing if !have.perfmon() => {
            Some(if split { "CAP_PERFMON" } else { "CAP_SYS_ADMIN" })
        }
        Need::Network | Need::Packets if !have.bpf() => {
            Some(if split { "CAP_BPF" } else { "CAP_SYS_ADMIN" })
        }
        Need::Network if !have.net_admin() => Some("CAP_NET_ADMIN"),
        Need::Packets if !have.net_raw() => Some("CAP_NET_RAW"),
        Need::Mount | Need::SystemAdmin if !have.sys_admin() => Some("CAP_SYS_ADMIN"),
        _ => None,
    }
}

/// The kernel's release, as uname(1) prints it.
pub fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Version of the running kernel; 0.0 where its release makes no sense.
pub fn kernel_version() -> KernelVersion {
    KernelVersion::parse(&kernel_release()).unwrap_or(KernelVersion::new(0, 0))
}

/// Number of CPUs that per-CPU maps have values for.
pub fn possible_cpus() -> u32 {
    static CPUS: OnceLock<u32> = OnceLock::new();
    let read = || cpu_list("/sys/devices/system/cpu/possible").last().map_or(1, |last| last + 1);
    *CPUS.get_or_init(read)
}

/// CPUs that are running; at least one.
pub(crate) fn online_cpus() -> Vec<u32> {
    let cpus = cpu_list("/sys/devices/system/cpu/online");
    if cpus.is_empty() { vec![0] } else { cpus }
}

fn cpu_list(path: &str) -> Vec<u32> {
    parse_cpu_list(fs::read_to_string(path).unwrap_or_default().trim())
}

/// A list such as `0-3,8`, as the kernel writes sets of CPUs.
fn parse_cpu_list(text: &str) -> Vec<u32> {
    /// More CPUs than any kernel can be built for: a bound for broken input.
    const MOST: u32 = 8192;
    text.split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.trim().parse::<u32>().ok()?..=last.trim().parse::<u32>().ok()?.min(MOST))
        })
        .flatten()
        .collect()
}

/// What the compiler may assume of the running kernel.
pub fn target_profile() -> TargetProfile {
    TargetProfile {
        kernel: kernel_version(),
        arch: Arch::HOST,
        cpus: possible_cpus(),
        has_btf: Path::new(VMLINUX_BTF).exists(),
    }
}

/// Whether the verifier lets programs of a type call a function of the kernel's that is made for
/// them, which has this number among the kernel's types. `target`: number of the function that a
/// tracing program is attached to. False also where that cannot be found out.
pub fn may_call(name: &str, number: u32, program: ProgramType, target: u32) -> bool {
    let mut log = vec![0u8; CALL_LOG];
    let spec = ProgramSpec {
        kind: program as u32,
        name: c"may_call",
        instructions: &call_alone(number),
        license: c"GPL",
        attach_type: match program {
            ProgramType::Tracing => ATTACH_FENTRY,
            ProgramType::Lsm => ATTACH_LSM,
            _ => 0,
        },
        target: TargetFunction { number: target, owner: None },
        btf: None,
    };
    if load_program(&spec, &mut log).is_ok() {
        return true;
    }
    // The verifier looks at whether the call is allowed before it looks at the arguments, of which
    // there are none.
    let log = verifier::text(&log);
    !log.is_empty() && !log.contains(&format!("calling kernel function {name} is not allowed"))
}

/// Bytes of the verifier's log for a program of two instructions.
const CALL_LOG: usize = 1 << 14;

/// A program that calls a function of the kernel with whatever is in the registers, and ends.
fn call_alone(number: u32) -> [bpf_insn; 2] {
    /// `BPF_PSEUDO_KFUNC_CALL` (linux/bpf.h).
    const KERNEL_FUNCTION: u8 = 2;
    [instruction(CALL, KERNEL_FUNCTION, 0, number as i32), instruction(EXIT, 0, 0, 0)]
}

/// Whether the kernel, which has these types, takes programs of a kind that are tied to a function,
/// on this one.
fn takes(kind: ProbeKind, types: Option<&Btf<'_>>, function: &str) -> bool {
    let found = types.and_then(|types| types.find(&[Kind::Func], function));
    found.is_some_and(|target| load_nothing(kind, target.id()).is_ok())
}

/// Whether the kernel takes programs on a hook of its security modules, whose function has this
/// number among its types. True also where that cannot be found out.
pub fn takes_hook(number: u32) -> bool {
    let error = load_nothing(ProbeKind::Lsm, number).err();
    error.is_none_or(|error| error.raw_os_error() != Some(libc::EINVAL))
}

/// Loads a program of a kind that does nothing, tied to the function with this number.
fn load_nothing(kind: ProbeKind, target: u32) -> io::Result<OwnedFd> {
    let spec = ProgramSpec {
        kind: kind.spec().program as u32,
        name: c"nothing",
        instructions: &[instruction(MOV, 0, 0, 0), instruction(EXIT, 0, 0, 0)],
        license: c"GPL",
        attach_type: load::attach_type(kind),
        target: TargetFunction { number: target, owner: None },
        btf: None,
    };
    load_program(&spec, &mut [])
}

/// The active security modules; `None` where the kernel does not tell.
pub(crate) fn security_modules() -> Option<Vec<String>> {
    const LIST: &str = "/sys/kernel/security/lsm";
    let unmounted = || {
        let securityfs = mounts::detached("securityfs").ok()?;
        fs::read_to_string(format!("/proc/self/fd/{}/lsm", securityfs.as_raw_fd())).ok()
    };
    let list = fs::read_to_string(LIST).ok().or_else(unmounted)?;
    Some(list.trim().split(',').map(str::to_owned).collect())
}

/// Number of the PMU that serves a kind of probe (`kprobe`, `uprobe`), if the kernel has it.
pub(crate) fn pmu_type(name: &str) -> Option<u32> {
    read_number(&format!("/sys/bus/event_source/devices/{name}/type"))
}

/// The bit of `perf_event_attr::config` that asks the PMU for a return probe.
pub(crate) fn pmu_return_bit(name: &str) -> u32 {
    let path = format!("/sys/bus/event_source/devices/{name}/format/retprobe");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().strip_prefix("config:").and_then(|bit| bit.parse().ok()).unwrap_or(0)
}

fn read_number(path: &str) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// What `--info` shows.
#[derive(Clone, Debug)]
pub struct Info {
    /// The kernel's release.
    pub release: String,
    /// Processor architecture as uname(1) prints it.
    pub machine: String,
    /// Effective capabilities.
    pub capabilities: Capabilities,
    /// `none`, `integrity` or `confidentiality`; absent where the kernel does not tell.
    pub lockdown: Option<String>,
    /// Number of possible CPUs.
    pub cpus: u32,
    /// Features, in the order to show them.
    pub features: Vec<Feature>,
}

impl Info {
    /// Whether a feature is there, by its name.
    pub fn has(&self, name: &str) -> bool {
        self.features.iter().any(|feature| feature.name == name && feature.present)
    }
}

/// A feature of the kernel.
#[derive(Clone, Debug)]
pub struct Feature {
    /// What it is.
    pub name: &'static str,
    /// Whether it is there.
    pub present: bool,
    /// What is known beyond that.
    pub note: String,
}

/// Looks at the running kernel.
pub fn info() -> Info {
    let kernel = kernel_version();
    let exists = |path: &str| Path::new(path).exists();
    let since = |major, minor| {
        let first = KernelVersion::new(major, minor);
        (kernel >= first, format!("since Linux {first}"))
    };
    let mut features = Vec::new();
    let mut add = |name, (present, note): (bool, String)| {
        features.push(Feature { name, present, note });
    };
    add("BTF of the kernel", (exists(VMLINUX_BTF), VMLINUX_BTF.into()));
    add("kprobe", (pmu_type("kprobe").is_some(), "CONFIG_KPROBES".into()));
    add("uprobe", (pmu_type("uprobe").is_some(), "CONFIG_UPROBES".into()));
    let tracefs = crate::tracefs::Tracefs::open();
    add(
        "tracepoint",
        match &tracefs {
            Ok(t) => (true, t.root().display().to_string()),
            Err(e) => (false, e.to_string()),
        },
    );
    add("perf events", (exists("/proc/sys/kernel/perf_event_paranoid"), perf_paranoid()));
    add("ring buffer", since(5, 8));
    add("begin and end (program test run)", since(5, 10));
    add("attach cookie", since(5, 15));
    add("batch map reads", since(5, 6));
    add("kprobe multi link", {
        let (new, note) = since(5, 18);
        (new && pmu_type("kprobe").is_some(), note)
    });
    add("uprobe multi link", {
        let (new, note) = since(6, 6);
        (new && pmu_type("uprobe").is_some(), note)
    });
    let types = fs::read(VMLINUX_BTF).ok().and_then(|data| Btf::parse(data, None).ok());
    let types = types.as_ref();
    add("fentry", (takes(ProbeKind::Fentry, types, "vfs_read"), "since Linux 5.5".into()));
    let iterators = takes(ProbeKind::Iter, types, &iter::function("task"));
    add("iter", (iterators, "since Linux 5.8".into()));
    add("BPF LSM", {
        let active = security_modules();
        let is_active = active.as_ref().is_none_or(|all| all.iter().any(|name| name == "bpf"));
        let names = active.map_or("unknown".into(), |all| all.join(","));
        let takes = is_active && takes(ProbeKind::Lsm, types, &lsm::function("file_open"));
        (takes, format!("active security modules: {names}"))
    });
    add("XDP link", since(5, 9));
    add("tc link", {
        let (new, note) = since(6, 6);
        (new, if new { note } else { format!("{note}; filters of clsact serve") })
    });
    add("cgroup2", {
        let found = cgroups::unified();
        let root = found.map(|all| all.first().map(|one| one.root.display().to_string()));
        match root {
            Ok(root) => (true, root.unwrap_or_default()),
            Err(e) => (false, e.to_string()),
        }
    });
    Info {
        release: kernel_release(),
        machine: rustix::system::uname().machine().to_string_lossy().into_owned(),
        capabilities: Capabilities::current(),
        lockdown: lockdown(),
        cpus: possible_cpus(),
        features,
    }
}

/// Features by the names that `bpftrace --info` gives them, for programs that look for those.
pub fn known_to_bpftrace(info: &Info) -> Vec<(&'static str, bool)> {
    let kernel = kernel_version();
    let since = |major, minor| kernel >= KernelVersion::new(major, minor);
    let modules = fs::read_dir("/sys/kernel/btf").map_or(0, Iterator::count);
    let kprobes = pmu_type("kprobe").is_some();
    vec![
        ("btf", Path::new(VMLINUX_BTF).exists()),
        ("module btf", modules > 1),
        ("loop", since(5, 17)),
        ("lookup_percpu_elem", since(5, 19)),
        ("get_tai_ns", since(6, 1)),
        ("get_func_ip", since(5, 15)),
        ("kprobe_multi", kprobes && since(5, 18)),
        ("kprobe_session", kprobes && since(6, 10)),
        ("uprobe_multi", pmu_type("uprobe").is_some() && since(6, 6)),
        ("iter", info.has("iter")),
    ]
}

fn perf_paranoid() -> String {
    let level = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    format!("perf_event_paranoid {}", level.trim())
}

/// The level in brackets in `none [integrity] confidentiality`.
fn lockdown() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(level, _)| level.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sets_of_cpus() {
        assert_eq!(parse_cpu_list("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(parse_cpu_list("0"), [0]);
        assert!(parse_cpu_list("").is_empty());
        assert!(parse_cpu_list("3-1").is_empty());
    }

    #[test]
    fn reads_capabilities() {
        let caps =
            Capabilities(parse_effective("Name:\tx\nCapEff:\t0000008000001000\n").expect("a line"));
        assert!(caps.bpf() && caps.net_admin() && !caps.perfmon());
    }
}
