//! The plan: all that user space must know of a compiled script.
//!
//! It travels as JSON in the ELF section [`SECTION`], so an object is complete: whoever has it
//! can load it, attach it and print what it reports.

mod map;
mod net;

use serde::{Deserialize, Serialize};

pub use map::{Map, MapKind, MapRole};
pub use net::{Direction, Interface, XdpMode, is_index};

use crate::kinds::ProbeKind;
use crate::profile::TargetProfile;
use crate::types::Field;

/// Name of the ELF section that holds the plan.
pub const SECTION: &str = ".rbtrace.plan";
/// Version of the format. A reader refuses any other.
pub const VERSION: u32 = 1;

/// All that user space must know of a compiled script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// Version of the rbtrace that compiled the script.
    pub compiler: String,
    /// What it was compiled for.
    pub target: TargetProfile,
    /// Maps, those of the script and those that rbtrace needs itself.
    pub maps: Vec<Map>,
    /// eBPF programs. A record and the loss counters name a program by its index here.
    pub programs: Vec<Program>,
    /// Places to attach to. The attach cookie of a probe is its index here.
    pub probes: Vec<Probe>,
    /// What a ring buffer record asks for, by the index in the record's header.
    pub actions: Vec<Action>,
    /// Settings of the script that matter at run time.
    pub config: Config,
    /// Variables that user space sets before the first program runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub globals: Vec<Global>,
    /// Bytes from the start of `.bss` to the loss counters (see [`crate::record::Loss`]), if any
    /// program can lose something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<u32>,
}

impl Plan {
    /// Whether programs heed only what happens in a cgroup that user space names.
    pub fn is_of_cgroup(&self) -> bool {
        self.maps.iter().any(|map| map.role == MapRole::Cgroup)
    }

    /// Whether programs unwind stacks by tables that user space makes of what processes run.
    pub fn unwinds(&self) -> bool {
        self.maps.iter().any(|map| map.role == MapRole::UnwindPlaces)
    }
}

impl Target {
    /// Whether it is an iterator that is left to whoever reads its file.
    pub const fn is_pinned(&self) -> bool {
        matches!(self, Target::Iter { pin: Some(_), .. })
    }

    /// The network interface that it is on.
    pub const fn interface(&self) -> Option<&Interface> {
        match self {
            Target::Xdp { interface, .. }
            | Target::Tc { interface, .. }
            | Target::Socket { interface } => Some(interface),
            _ => None,
        }
    }

    /// Whether both may be one hook that takes a single program, or whose programs all run whatever the
    /// first decides: there, one program has to call the next.
    pub fn may_share_hook(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Xdp { interface: a, .. }, Target::Xdp { interface: b, .. }) => a.may_meet(b),
            (
                Target::CgroupSkb { path: a, direction: to },
                Target::CgroupSkb { path: b, direction: from },
            ) => to == from && may_be_one_folder(a, b),
            _ => false,
        }
    }
}

/// Whether two paths may be of one cgroup, of which either may be relative to the hierarchy's root.
fn may_be_one_folder(a: &str, b: &str) -> bool {
    let [a, b] = [a, b].map(|path| path.trim_matches('/'));
    a.ends_with(b) || b.ends_with(a)
}

/// A `u64` variable in `.bss` that user space sets before the first program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Global {
    /// What it is set to.
    pub value: GlobalValue,
    /// Bytes from the start of `.bss`.
    pub offset: u32,
}

/// What a [`Global`] is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GlobalValue {
    /// `CLOCK_BOOTTIME` when the run begins, in nanoseconds.
    StartTime,
    /// What `CLOCK_TAI` is ahead of `CLOCK_BOOTTIME`, in nanoseconds.
    TaiOffset,
    /// Number of CPUs that the kernel can have.
    PossibleCpus,
}

/// An eBPF program: one block of the script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Symbol of the program in the ELF object; also its name in the kernel, cut to 15 bytes.
    pub symbol: String,
    /// ELF section that holds it.
    pub section: String,
    /// Kind of the probes that run it: one program has probes of one kind.
    pub kind: ProbeKind,
    /// Indices into [`Plan::probes`] of the probes that run it.
    pub probes: Vec<u32>,
    /// The program asks for its attach cookie (needs Linux 5.15).
    pub uses_cookie: bool,
    /// Where the program decides nothing it calls its entry, by its index here, in the map of the role
    /// [`MapRole::Next`].
    #[serde(default, skip_serializing_if = "is_no")]
    pub passes_on: bool,
    /// Line of the script on which the block begins; from 1.
    pub line: u32,
}

/// A place to attach to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Full name as the `probe` builtin prints it: `kprobe:vfs_read`.
    pub name: String,
    /// Where it is.
    pub target: Target,
}

/// Where a probe is attached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Once, before everything else.
    Begin,
    /// Once, after everything else was detached.
    End,
    /// When rbtrace itself receives a signal.
    Signal {
        /// Its name: `SIGUSR1`.
        signal: String,
    },
    /// When tests are asked for.
    Test {
        /// Name of the test.
        name: String,
    },
    /// When benchmarks are asked for.
    Bench {
        /// Name of the benchmark.
        name: String,
    },
    /// On one CPU, each `nanoseconds`.
    Interval {
        /// Period; above 0.
        nanoseconds: u64,
    },
    /// On every CPU.
    Profile(Period),
    /// On every CPU, each `count` events of the kernel.
    Software {
        /// Name of a [`crate::kinds::Counter`].
        event: String,
        /// Above 0.
        count: u64,
    },
    /// On every CPU, each `count` events of the processor.
    Hardware {
        /// Name of a [`crate::kinds::Counter`].
        event: String,
        /// Above 0.
        count: u64,
    },
    /// On accesses to memory.
    Watchpoint(Watchpoint),
    /// On a kernel function's entry or an instruction in it.
    Kprobe(KernelFunction),
    /// On a kernel function's return.
    Kretprobe(KernelFunction),
    /// On a static tracepoint.
    Tracepoint {
        /// Directory under tracefs' `events`.
        category: String,
        /// Name in the category.
        name: String,
    },
    /// On a static tracepoint, before its record is made.
    RawTracepoint {
        /// Module, where the script names one.
        module: Option<String>,
        /// Name, without a category.
        name: String,
    },
    /// On a kernel function's entry, by a trampoline.
    Fentry(KernelFunction),
    /// On a kernel function's return, by a trampoline.
    Fexit(KernelFunction),
    /// On the entry of a function of an eBPF program.
    ProgramEntry(ProgramFunction),
    /// On the return of a function of an eBPF program.
    ProgramExit(ProgramFunction),
    /// On each object of a kind that the kernel has.
    Iter {
        /// The kind, as in `bpf_iter_KIND`.
        object: String,
        /// File of a BPF file system by which anybody has the program run: its path, or its name
        /// in /sys/fs/bpf. Absent: it runs once.
        pin: Option<String>,
    },
    /// On a decision of the kernel's security modules.
    Lsm {
        /// The hook, as in `bpf_lsm_HOOK`.
        hook: String,
    },
    /// On an instruction of a program or library.
    Uprobe(UserFunction),
    /// On the return from a user function.
    Uretprobe(UserFunction),
    /// On the places of a static probe of a program or library.
    Usdt(UsdtProbe),
    /// On a network interface, before the kernel's stack.
    Xdp {
        /// The interface.
        interface: Interface,
        /// How to attach; absent: native, else generic.
        mode: Option<XdpMode>,
    },
    /// On a network interface, between it and the kernel's stack.
    Tc {
        /// The interface.
        interface: Interface,
        /// Packets that arrive, or those that are sent.
        direction: Direction,
    },
    /// On a socket of rbtrace's own that gets a copy of each packet on a network interface.
    Socket {
        /// The interface.
        interface: Interface,
    },
    /// On the sockets of processes in a cgroup (version 2) and those below it.
    CgroupSkb {
        /// Its folder, or its path from the root of the hierarchy.
        path: String,
        /// Packets that arrive, or those that are sent.
        direction: Direction,
    },
}

/// How often a sampling probe fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Nanoseconds between two events.
    Nanoseconds(u64),
    /// Events a second.
    Hertz(u64),
}

/// Memory that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Watchpoint {
    /// Where it begins, in the address space of the process that is traced, or the kernel's.
    pub address: u64,
    /// Bytes: 1, 2, 4 or 8.
    pub length: u8,
    /// What counts as an access.
    pub access: Access,
}

/// Accesses that a watchpoint can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// The processor reads it. Not on x86-64.
    Read,
    /// The processor writes to it.
    Write,
    /// Either.
    ReadWrite,
    /// The instruction there is executed.
    Execute,
}

/// An instruction in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KernelFunction {
    /// Module, where the script names one.
    pub module: Option<String>,
    /// Symbol; empty where `offset` is an address of its own.
    pub function: String,
    /// Bytes from the symbol, or the address itself.
    pub offset: u64,
}

/// A function of an eBPF program that is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProgramFunction {
    /// The kernel's id of the program.
    pub program: u32,
    /// The function: the program itself, or one that it calls.
    pub function: String,
}

/// An instruction in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserFunction {
    /// Path of the program or library; a bare library name is looked up as the dynamic linker
    /// would.
    pub binary: String,
    /// Symbol; absent where `offset` is an address in the file's own address space.
    pub symbol: Option<String>,
    /// Bytes from the symbol, or the virtual address.
    pub offset: u64,
    /// Only in this process.
    pub pid: Option<u32>,
}

/// A static probe of a program or library.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UsdtProbe {
    /// Path of the program or library.
    pub binary: String,
    /// Who defines the probe.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// Only those places whose arguments are these (see [`crate::usdt::parse`]); absent: all.
    pub arguments: Option<String>,
    /// Only in this process.
    pub pid: Option<u32>,
    /// The probe before it is the same with other arguments: both count as one.
    pub continues: bool,
}

/// What a ring buffer record asks of user space. Offsets of arguments count from the start of
/// the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Format and print.
    Printf {
        /// The format as the script has it, escapes resolved.
        format: String,
        /// One for each conversion.
        args: Vec<Field>,
    },
    /// As [`Action::Printf`], on standard error, with the place in the script.
    Errorf {
        /// The format.
        format: String,
        /// One for each conversion.
        args: Vec<Field>,
        /// `file:line:columns` of the call.
        location: String,
        /// A warning, not an error: silent under `-q`-like options.
        warning: bool,
    },
    /// A helper of the kernel has failed; only where the user asked to be told.
    HelperError {
        /// Name of the helper, without the kernel's `bpf_` in front.
        helper: String,
        /// `file:line:columns` of what called it.
        location: String,
        /// The script's line; empty if it is too long to be shown.
        source: String,
        /// Columns to mark in it: the first, from 1, and the one behind the last.
        columns: (u32, u32),
        /// What the helper answered, an `i64`.
        result: Field,
    },
    /// Print a value that is no map.
    PrintValue {
        /// The value.
        value: Field,
    },
    /// Print a whole map.
    PrintMap {
        /// Index into [`Plan::maps`].
        map: u32,
        /// Print only so many entries, the largest; `u32` argument at this place. 0 is all.
        top: u32,
        /// Divide values by this; 0 and 1 leave them.
        div: u32,
    },
    /// Print one entry of a map.
    PrintEntry {
        /// Index into [`Plan::maps`].
        map: u32,
        /// The key.
        key: Field,
        /// The value, as it was when the record was sent; absent for per-CPU values, which are
        /// read from the map when the record is handled.
        value: Option<Field>,
        /// Divide the value by this; 0 and 1 leave it.
        div: u32,
    },
    /// Remove every entry of a map.
    Clear {
        /// Index into [`Plan::maps`].
        map: u32,
    },
    /// Set every value of a map to 0.
    Zero {
        /// Index into [`Plan::maps`].
        map: u32,
    },
    /// Detach the watchpoints on an address.
    Unwatch {
        /// The address.
        address: Field,
    },
    /// Write a packet to a file in the format of pcap-savefile(5). Its record is the one that
    /// [`crate::record`] describes, and comes by the perf buffer.
    Packet {
        /// Path of the file.
        file: String,
        /// Bytes to leave out from the start of the packet.
        offset: u64,
    },
    /// End the run.
    Exit {
        /// Exit status, an integer; absent: 0.
        code: Option<Field>,
    },
    /// Print the wall-clock time, in the local time zone.
    Time {
        /// A strftime(3) format.
        format: String,
    },
    /// Print strings with a separator between them.
    Join {
        /// The separator.
        separator: String,
        /// The strings; an empty one ends the list.
        args: Vec<Field>,
    },
    /// Print a file.
    Cat {
        /// Format of the path.
        format: String,
        /// One for each conversion.
        args: Vec<Field>,
    },
    /// Run a shell command.
    System {
        /// Format of the command.
        format: String,
        /// One for each conversion.
        args: Vec<Field>,
    },
}

/// Settings of the script that matter at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Print every non-empty map of the script at the end.
    pub print_maps_on_exit: bool,
    /// What to do about a probe that cannot be attached.
    pub missing_probes: MissingProbes,
    /// Printed after a string that was cut.
    pub str_trunc_trailer: String,
    /// Largest number of bytes that `cat` prints.
    pub max_cat_bytes: u64,
    /// Pages of each CPU's perf buffer, a power of two; 0: as many as are usual.
    #[serde(default)]
    pub perf_rb_pages: u32,
    /// Licence that the kernel is told.
    pub license: String,
    /// User stacks show source lines and inlined functions, where debug information has them.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub show_debug_info: bool,
    /// C++ and Rust names are shown as they are written in the source.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub cpp_demangle: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_yes(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_no(value: &bool) -> bool {
    !*value
}

impl Default for Config {
    fn default() -> Self {
        Self {
            print_maps_on_exit: true,
            missing_probes: MissingProbes::Error,
            str_trunc_trailer: "..".into(),
            max_cat_bytes: 10240,
            perf_rb_pages: 0,
            license: "GPL".into(),
            show_debug_info: true,
            cpp_demangle: true,
        }
    }
}

/// What to do about a probe that cannot be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingProbes {
    /// End with an error, nothing attached.
    Error,
    /// Warn and go on.
    Warn,
    /// Go on.
    Ignore,
}

/// A compiled script: a relocatable eBPF ELF object, and the plan that is also inside it.
#[derive(Clone, Debug)]
pub struct Object {
    /// The ELF file.
    pub elf: Vec<u8>,
    /// The plan in its section [`SECTION`].
    pub plan: Plan,
}
