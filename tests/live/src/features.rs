//! What the kernel can do, found out by doing it once.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::cgroup::Cgroup;
use crate::{Options, net, sys};

/// Something that a test needs and that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Effective user 0, allowed to load programs.
    Root,
    /// BTF of the kernel at /sys/kernel/btf/vmlinux.
    Btf,
    /// BPF_MAP_TYPE_RINGBUF, since 5.8.
    RingBuffer,
    /// Static tracepoints, system calls among them.
    Tracepoint,
    /// CONFIG_KPROBES.
    Kprobe,
    /// A kernel without CONFIG_KPROBES: for what is said to its user.
    NoKprobe,
    /// kprobe.multi: CONFIG_FPROBE, since 5.18.
    KprobeMulti,
    /// CONFIG_UPROBES.
    Uprobe,
    /// fentry and fexit: trampolines, and the right to load tracing programs.
    Fentry,
    /// Iterators over tasks, since 5.8.
    Iter,
    /// eBPF among the active security modules.
    Lsm,
    /// Cgroups of version 2, and the right to make some.
    Cgroup,
    /// veth pairs in a network namespace, and XDP on them.
    Xdp,
    /// Filters of a clsact queueing discipline.
    Clsact,
    /// Links for tc programs, since 6.6.
    Tcx,
    /// A program linked dynamically to the C library, with that library.
    LibcShared,
    /// The tools that come with bpftrace.
    Tools,
    /// A shell with GNU readline, as Debian has it.
    Bash,
    /// Counters of the processor.
    Counters,
    /// Debug registers of the processor.
    Breakpoint,
    /// A disk that nobody uses, of the virtual machines.
    Disk,
    /// tshark, to compare with.
    Tshark,
    /// addr2line(1) of the GNU binutils.
    Addr2line,
}

impl Feature {
    /// All of them, in the order of probing.
    pub const ALL: [Feature; 23] = [
        Feature::Root,
        Feature::Btf,
        Feature::RingBuffer,
        Feature::Tracepoint,
        Feature::Kprobe,
        Feature::NoKprobe,
        Feature::KprobeMulti,
        Feature::Uprobe,
        Feature::Fentry,
        Feature::Iter,
        Feature::Lsm,
        Feature::Cgroup,
        Feature::Xdp,
        Feature::Clsact,
        Feature::Tcx,
        Feature::LibcShared,
        Feature::Tools,
        Feature::Bash,
        Feature::Counters,
        Feature::Breakpoint,
        Feature::Disk,
        Feature::Tshark,
        Feature::Addr2line,
    ];

    /// The name in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Feature::Root => "root",
            Feature::Btf => "btf",
            Feature::RingBuffer => "ringbuf",
            Feature::Tracepoint => "tracepoint",
            Feature::Kprobe => "kprobe",
            Feature::NoKprobe => "no-kprobe",
            Feature::KprobeMulti => "kprobe.multi",
            Feature::Uprobe => "uprobe",
            Feature::Fentry => "fentry",
            Feature::Iter => "iter",
            Feature::Lsm => "lsm",
            Feature::Cgroup => "cgroup2",
            Feature::Xdp => "xdp",
            Feature::Clsact => "clsact",
            Feature::Tcx => "tcx",
            Feature::LibcShared => "libc-shared",
            Feature::Tools => "tools",
            Feature::Bash => "bash",
            Feature::Counters => "counters",
            Feature::Breakpoint => "breakpoint",
            Feature::Disk => "disk",
            Feature::Tshark => "tshark",
            Feature::Addr2line => "addr2line",
        }
    }

    /// The feature of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == name)
    }

    /// Whether the machine has it. Must run in a process of its own: it may change namespaces.
    fn probe(self, options: &Options) -> Result<()> {
        match self {
            Feature::Root => root(),
            Feature::Btf => Ok(std::fs::metadata("/sys/kernel/btf/vmlinux").map(drop)?),
            Feature::RingBuffer => ring_buffer(),
            Feature::Tracepoint => tracepoint(),
            Feature::Kprobe => kprobe(),
            Feature::NoKprobe => {
                ensure!(kprobe().is_err(), "the kernel has kprobes");
                Ok(())
            }
            Feature::KprobeMulti => kprobe_multi(),
            Feature::Uprobe => uprobe(),
            Feature::Fentry => bound(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, "vfs_open"),
            Feature::Iter => bound(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_iter_task"),
            Feature::Lsm => lsm(),
            Feature::Cgroup => Cgroup::new("probe").map(drop),
            Feature::Xdp => xdp(),
            Feature::Clsact => clsact(),
            Feature::Tcx => tcx(),
            Feature::LibcShared => libc_shared(&options.programs),
            Feature::Tools => tools(&options.tools),
            Feature::Bash => bash(),
            Feature::Counters => counters(),
            Feature::Breakpoint => breakpoint(),
            Feature::Disk => disk(),
            Feature::Tshark => tshark(),
            Feature::Addr2line => runs(Path::new("addr2line"), &["--version"]),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Probes everything, in this process, and prints a line for each feature: `name` where it is
/// there, `name: reason` on standard error where it is not.
pub fn probe_and_print(options: &Options) {
    for feature in Feature::ALL {
        match feature.probe(options) {
            Ok(()) => println!("{feature}"),
            Err(error) => eprintln!("no {feature}: {error:#}"),
        }
    }
}

/// Probes in a child process, for the namespaces it leaves behind die with it.
pub fn probe_all(options: &Options, verbose: bool) -> Result<BTreeSet<Feature>> {
    let output = std::process::Command::new(&options.exe)
        .arg("probe-features")
        .args(options.folders())
        .output()
        .context("probing features")?;
    ensure!(
        output.status.success(),
        "probing features: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    if verbose {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.lines().filter_map(Feature::from_name).collect())
}

/// The disk of [`Feature::Disk`].
pub const DISK: &str = "loop0";

// enum bpf_prog_type, bpf_attach_type, bpf_map_type of linux/bpf.h.
const BPF_PROG_TYPE_KPROBE: u32 = 2;
pub const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_PROG_TYPE_LSM: u32 = 29;
const BPF_TRACE_FENTRY: u32 = 24;
const BPF_LSM_MAC: u32 = 27;
const BPF_TRACE_ITER: u32 = 28;
const BPF_XDP: u32 = 37;
const BPF_TRACE_KPROBE_MULTI: u32 = 42;
const BPF_MAP_TYPE_RINGBUF: u32 = 27;
const XDP_PASS: i32 = 2;
const TC_ACT_UNSPEC: i32 = -1;

fn root() -> Result<()> {
    ensure!(sys::effective_uid() == 0, "not root");
    sys::bpf_load_return(BPF_PROG_TYPE_KPROBE, 0, 0, 0).context("loading a program")?;
    Ok(())
}

fn tshark() -> Result<()> {
    let output = std::process::Command::new("tshark").arg("--version").output()?;
    ensure!(output.status.success(), "tshark fails: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn ring_buffer() -> Result<()> {
    sys::bpf_map_create(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096)?;
    Ok(())
}

fn tracepoint() -> Result<()> {
    const PERF_TYPE_TRACEPOINT: u32 = 2;
    let id = std::fs::read_to_string("/sys/kernel/tracing/events/syscalls/sys_enter_openat/id")?;
    sys::perf_open_config(PERF_TYPE_TRACEPOINT, id.trim().parse()?)?;
    Ok(())
}

fn perf_unit(name: &str) -> Result<u32> {
    let path = format!("/sys/bus/event_source/devices/{name}/type");
    Ok(std::fs::read_to_string(&path).context(path)?.trim().parse()?)
}

fn kprobe() -> Result<()> {
    sys::perf_open_probe(perf_unit("kprobe")?, c"do_sys_openat2", 0)?;
    Ok(())
}

fn kprobe_multi() -> Result<()> {
    let program = sys::bpf_load_return(BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI, 0, 0)?;
    sys::bpf_link_kprobe_multi(&program, c"do_sys_openat2")?;
    Ok(())
}

fn uprobe() -> Result<()> {
    let exe = std::env::current_exe()?;
    let exe = CString::new(exe.as_os_str().as_encoded_bytes())?;
    sys::perf_open_probe(perf_unit("uprobe")?, &exe, 0)?;
    Ok(())
}

/// Loads a program that is tied to a function of the kernel.
fn bound(program_type: u32, attach_type: u32, function: &str) -> Result<()> {
    let btf = std::fs::read("/sys/kernel/btf/vmlinux")?;
    let id = btf_function_id(&btf, function);
    let id = id.with_context(|| format!("{function} in the kernel's BTF"))?;
    sys::bpf_load_return(program_type, attach_type, id, 0)?;
    Ok(())
}

fn lsm() -> Result<()> {
    let active = std::fs::read_to_string("/sys/kernel/security/lsm")?;
    ensure!(active.trim().split(',').any(|name| name == "bpf"), "active are {active}");
    bound(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_file_open")
}

fn xdp() -> Result<()> {
    let pair = net::Pair::new()?;
    let program = sys::bpf_load_return(BPF_PROG_TYPE_XDP, BPF_XDP, 0, XDP_PASS)?;
    let _link = sys::bpf_link_interface(&program, sys::interface_index(net::FAR)?, BPF_XDP, 0)?;
    pair.send(1)
}

fn clsact() -> Result<()> {
    let _pair = net::Pair::new()?;
    let program = sys::bpf_load_return(BPF_PROG_TYPE_SCHED_CLS, 0, 0, TC_ACT_UNSPEC)?;
    net::add_filter(net::FAR, &program)
}

fn tcx() -> Result<()> {
    const BPF_TCX_INGRESS: u32 = 46;
    let _pair = net::Pair::new()?;
    let program = sys::bpf_load_return(BPF_PROG_TYPE_SCHED_CLS, 0, 0, TC_ACT_UNSPEC)?;
    sys::bpf_link_interface(&program, sys::interface_index(net::FAR)?, BPF_TCX_INGRESS, 0)?;
    Ok(())
}

fn libc_shared(programs: &Path) -> Result<()> {
    runs(&programs.join("libc_calls"), &["1"])
}

fn runs(program: &Path, args: &[&str]) -> Result<()> {
    let status = std::process::Command::new(program)
        .args(args)
        .stdout(std::process::Stdio::null())
        .status()
        .with_context(|| format!("running {}", program.display()))?;
    if !status.success() {
        bail!("{} failed: {status}", program.display());
    }
    Ok(())
}

fn tools(folder: &Path) -> Result<()> {
    for tool in ["sid/opensnoop.bt", "bookworm/opensnoop.bt"] {
        let tool = folder.join(tool);
        std::fs::metadata(&tool).with_context(|| tool.display().to_string())?;
    }
    Ok(())
}

fn bash() -> Result<()> {
    runs(Path::new("/bin/bash"), &["-c", ":"])
}

/// Cycles of the processor.
fn counters() -> Result<()> {
    const PERF_TYPE_HARDWARE: u32 = 0;
    sys::perf_open_config(PERF_TYPE_HARDWARE, 0)?;
    Ok(())
}

fn breakpoint() -> Result<()> {
    let watched = 0u64;
    sys::perf_open_breakpoint(&raw const watched as u64)?;
    Ok(())
}

fn disk() -> Result<()> {
    let backing = Path::new("/sys/class/block").join(DISK).join("loop/backing_file");
    let found = std::fs::read_to_string(&backing).with_context(|| backing.display().to_string())?;
    ensure!(found.trim() == "/run/rbtrace-tests.disk", "{DISK} may be in use");
    Ok(())
}

/// The BTF type id of the function `wanted`. Layout: Documentation/bpf/btf.rst.
fn btf_function_id(btf: &[u8], wanted: &str) -> Option<u32> {
    const KIND_FUNC: u32 = 12;
    let word = |offset: usize| -> Option<usize> {
        let bytes = btf.get(offset..offset + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?) as usize)
    };
    let header = word(4)?;
    let types = header + word(8)?;
    let strings = header + word(16)?;
    let end = types + word(12)?;
    let (mut offset, mut id) = (types, 1);
    while offset < end {
        let info = word(offset + 4)? as u32;
        let kind = (info >> 24) & 0x1f;
        if kind == KIND_FUNC {
            let name = btf.get(strings + word(offset)?..)?;
            if name.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)) {
                return Some(id);
            }
        }
        offset += 12 + trailing_bytes(kind, (info & 0xffff) as usize);
        id += 1;
    }
    None
}

/// Bytes that follow a `struct btf_type` of `kind` with `members` members.
fn trailing_bytes(kind: u32, members: usize) -> usize {
    match kind {
        1 | 14 | 17 => 4,                // INT, VAR, DECL_TAG
        3 => 12,                         // ARRAY
        4 | 5 | 15 | 19 => members * 12, // STRUCT, UNION, DATASEC, ENUM64
        6 | 13 => members * 8,           // ENUM, FUNC_PROTO
        _ => 0,
    }
}
