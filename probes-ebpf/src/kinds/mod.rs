//! The probe kinds, a file each: names, program type, context and what is allowed in it.
//!
//! To add a kind, write its file with a [`KindSpec`] and add it to [`ProbeKind`] and
//! [`ProbeKind::spec`]; nothing else in this crate knows kinds by name.

mod begin_end;
pub mod cgroup_skb;
mod counter;
mod fentry;
pub mod hidden;
pub mod iter;
mod kprobe;
pub mod lsm;
mod own;
mod rawtracepoint;
mod socket;
pub mod tc;
mod timer;
mod tracepoint;
mod uprobe;
mod usdt;
mod watchpoint;
mod xdp;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::profile::Arch;

pub use counter::Counter;

/// A kind of probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// `begin`: once, at the start.
    Begin,
    /// `end`: once, at the end.
    End,
    /// `self:signal`: rbtrace itself receives a signal.
    Signal,
    /// `test`: a test, run on request.
    Test,
    /// `bench`: a benchmark, run on request.
    Bench,
    /// `interval`: at a fixed interval, on one CPU.
    Interval,
    /// `profile`: at a fixed interval, on every CPU.
    Profile,
    /// `software`: events that the kernel counts.
    Software,
    /// `hardware`: events that the processor counts.
    Hardware,
    /// `watchpoint`: accesses to an address.
    Watchpoint,
    /// `kprobe`: entry of a kernel function, or an instruction in it.
    Kprobe,
    /// `kretprobe`: return of a kernel function.
    Kretprobe,
    /// `tracepoint`: a static tracepoint of the kernel.
    Tracepoint,
    /// `rawtracepoint`: a static tracepoint, before its record is made.
    RawTracepoint,
    /// `fentry`: entry of a kernel function, by a trampoline.
    Fentry,
    /// `fexit`: return of a kernel function, by a trampoline.
    Fexit,
    /// `iter`: objects of the kernel, one after another.
    Iter,
    /// `lsm`: a decision of the kernel's security modules.
    Lsm,
    /// `uprobe`: entry of a user function, or an instruction in it.
    Uprobe,
    /// `uretprobe`: return of a user function.
    Uretprobe,
    /// `usdt`: a static probe of a program.
    Usdt,
    /// `xdp`: a packet that arrives on an interface.
    Xdp,
    /// `tc`: a packet between an interface and the kernel's stack.
    Tc,
    /// `socket`: a copy of a packet on an interface.
    Socket,
    /// `cgroup_skb`: a packet of the sockets of a cgroup.
    CgroupSkb,
}

/// The kernel's program types that probes use (`enum bpf_prog_type` in linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProgramType {
    /// `BPF_PROG_TYPE_SOCKET_FILTER`
    SocketFilter = 1,
    /// `BPF_PROG_TYPE_KPROBE`, of uprobes too
    Kprobe = 2,
    /// `BPF_PROG_TYPE_SCHED_CLS`
    SchedCls = 3,
    /// `BPF_PROG_TYPE_TRACEPOINT`
    Tracepoint = 5,
    /// `BPF_PROG_TYPE_XDP`
    Xdp = 6,
    /// `BPF_PROG_TYPE_PERF_EVENT`
    PerfEvent = 7,
    /// `BPF_PROG_TYPE_CGROUP_SKB`
    CgroupSkb = 8,
    /// `BPF_PROG_TYPE_RAW_TRACEPOINT`
    RawTracepoint = 17,
    /// `BPF_PROG_TYPE_TRACING`
    Tracing = 26,
    /// `BPF_PROG_TYPE_LSM`
    Lsm = 29,
}

impl ProgramType {
    /// Whether programs of this type are for packets: they trace nothing, and none of the helpers that
    /// look into tasks are for them.
    pub const fn is_for_packets(self) -> bool {
        use ProgramType as T;
        matches!(self, T::Xdp | T::SchedCls | T::SocketFilter | T::CgroupSkb)
    }
}

/// What the context pointer of a program points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// `struct pt_regs`: see [`argument_offset`].
    Registers,
    /// A function's arguments, 8 bytes each; the result comes behind the last.
    Arguments,
    /// What an iterator has come to, as arguments of its function. The pointers are null when it
    /// has come to the end.
    Objects,
    /// The record of the tracepoint's format file; the first 8 bytes may not be read.
    TracepointRecord,
    /// `struct bpf_perf_event_data`, which begins with `struct pt_regs`.
    PerfEvent,
    /// `struct xdp_md`.
    Xdp,
    /// `struct __sk_buff`. Its packet begins with the frame's header, of a `cgroup_skb` probe with that
    /// of IP; a `socket` probe cannot read `data` and `data_end`, and has to copy what it wants to see.
    Skb,
    /// Nothing that a script can read.
    Opaque,
}

/// The address space that pointers found in the context point into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PointerSpace {
    /// Kernel memory.
    Kernel,
    /// Memory of the current process.
    User,
    /// Either: decided at run time from the address.
    Unknown,
}

/// A named integer that a program may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The kernel's name: `XDP_DROP`.
    pub name: &'static str,
    /// What the program returns.
    pub value: i64,
}

/// What the kernel takes from a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Results {
    /// All that it takes.
    pub range: RangeInclusive<i64>,
    /// What any other value is taken for.
    pub otherwise: i64,
}

/// What programs of one kind look like.
#[derive(Debug)]
pub struct KindSpec {
    /// The kind.
    pub kind: ProbeKind,
    /// Name in scripts and in listings.
    pub name: &'static str,
    /// Other names in scripts, the short one first.
    pub aliases: &'static [&'static str],
    /// One line for listings and help.
    pub about: &'static str,
    /// Forms of the attach point, for diagnostics: `kprobe[:MODULE]:FUNCTION[+OFFSET]`.
    pub forms: &'static [&'static str],
    /// Program type.
    pub program: ProgramType,
    /// Prefix of the ELF section, as libbpf names it; programs of one object get sections
    /// `PREFIX/...`.
    pub section: &'static str,
    /// What the context is.
    pub context: Context,
    /// Where pointers among the arguments point.
    pub pointers: PointerSpace,
    /// `arg0` ... are function arguments in registers.
    pub has_args: bool,
    /// `retval` is a function's result in a register.
    pub has_retval: bool,
    /// There is a current process that the event is about: pid, comm and so on make sense.
    pub has_task: bool,
    /// The kernel passes an attach cookie to the program (`bpf_get_attach_cookie`).
    pub has_cookie: bool,
    /// Names that `return` takes; empty where the value means nothing.
    pub verdicts: &'static [Verdict],
    /// What a program returns that does not say: pass, or nothing.
    pub default_return: i64,
}

impl ProbeKind {
    /// Every kind, in the order of listings.
    pub const ALL: [ProbeKind; 25] = [
        ProbeKind::Begin,
        ProbeKind::End,
        ProbeKind::Signal,
        ProbeKind::Test,
        ProbeKind::Bench,
        ProbeKind::Interval,
        ProbeKind::Profile,
        ProbeKind::Hardware,
        ProbeKind::Software,
        ProbeKind::Watchpoint,
        ProbeKind::Kprobe,
        ProbeKind::Kretprobe,
        ProbeKind::Fentry,
        ProbeKind::Fexit,
        ProbeKind::Iter,
        ProbeKind::Lsm,
        ProbeKind::RawTracepoint,
        ProbeKind::Tracepoint,
        ProbeKind::Uprobe,
        ProbeKind::Uretprobe,
        ProbeKind::Usdt,
        ProbeKind::Xdp,
        ProbeKind::Tc,
        ProbeKind::Socket,
        ProbeKind::CgroupSkb,
    ];

    /// What programs of this kind look like.
    pub const fn spec(self) -> &'static KindSpec {
        match self {
            ProbeKind::Begin => &begin_end::BEGIN,
            ProbeKind::End => &begin_end::END,
            ProbeKind::Signal => &own::SIGNAL,
            ProbeKind::Test => &own::TEST,
            ProbeKind::Bench => &own::BENCH,
            ProbeKind::Interval => &timer::INTERVAL,
            ProbeKind::Profile => &timer::PROFILE,
            ProbeKind::Software => &counter::SOFTWARE,
            ProbeKind::Hardware => &counter::HARDWARE,
            ProbeKind::Watchpoint => &watchpoint::WATCHPOINT,
            ProbeKind::Kprobe => &kprobe::KPROBE,
            ProbeKind::Kretprobe => &kprobe::KRETPROBE,
            ProbeKind::Tracepoint => &tracepoint::TRACEPOINT,
            ProbeKind::RawTracepoint => &rawtracepoint::RAWTRACEPOINT,
            ProbeKind::Fentry => &fentry::FENTRY,
            ProbeKind::Fexit => &fentry::FEXIT,
            ProbeKind::Iter => &iter::ITER,
            ProbeKind::Lsm => &lsm::LSM,
            ProbeKind::Usdt => &usdt::USDT,
            ProbeKind::Uprobe => &uprobe::UPROBE,
            ProbeKind::Uretprobe => &uprobe::URETPROBE,
            ProbeKind::Xdp => &xdp::XDP,
            ProbeKind::Tc => &tc::TC,
            ProbeKind::Socket => &socket::SOCKET,
            ProbeKind::CgroupSkb => &cgroup_skb::CGROUP_SKB,
        }
    }

    /// Whether user space runs the programs of this kind, instead of attaching them.
    pub const fn is_run(self) -> bool {
        matches!(
            self,
            ProbeKind::Begin
                | ProbeKind::End
                | ProbeKind::Signal
                | ProbeKind::Test
                | ProbeKind::Bench
        )
    }

    /// Whether a program is tied to its one target when it is loaded.
    pub const fn binds_at_load(self) -> bool {
        matches!(self, ProbeKind::Fentry | ProbeKind::Fexit | ProbeKind::Iter | ProbeKind::Lsm)
    }

    /// Whether a run of a program may come in between of another run of it on the same CPU: the kernel
    /// may preempt it, and unlike elsewhere does not then keep others from running it
    /// (`bpf_prog_run_array_uprobe` of linux/bpf.h).
    pub const fn interleaves(self) -> bool {
        matches!(self, ProbeKind::Uprobe | ProbeKind::Uretprobe | ProbeKind::Usdt)
    }

    /// Whether a program of this kind must return the default: the verifier takes no other value, or the
    /// kernel would do something that no script is meant to do.
    pub const fn returns_nothing(self) -> bool {
        use ProbeKind as K;
        matches!(self, K::Fentry | K::Fexit | K::Iter | K::Socket)
    }

    /// Whether a program that decides nothing has to call the next one of its hook, because the kernel
    /// runs a single program there, or all whatever one of them decides.
    pub const fn calls_next(self) -> bool {
        matches!(self, ProbeKind::Xdp | ProbeKind::CgroupSkb)
    }

    /// Whether probes of this kind are about packets.
    pub const fn is_about_packets(self) -> bool {
        matches!(self.spec().context, Context::Xdp | Context::Skb)
    }

    /// The kind that a script calls `name`, by its full name or an alias.
    pub fn from_name(name: &str) -> Option<ProbeKind> {
        Self::ALL.into_iter().find(|k| {
            let spec = k.spec();
            spec.name == name || spec.aliases.contains(&name)
        })
    }
}

/// Offset in `struct pt_regs` of the register with the `n`th integer argument of a function,
/// in bytes; `None` where it is passed on the stack.
///
/// Sources: System V AMD64 ABI 3.2.3, AAPCS64 6.8.2, arch/*/include/uapi/asm/ptrace.h.
pub fn argument_offset(arch: Arch, n: u32) -> Option<u32> {
    match arch {
        // rdi, rsi, rdx, rcx, r8, r9
        Arch::X86_64 => [112, 104, 96, 88, 72, 64].get(n as usize).copied(),
        // x0 ... x7
        Arch::Aarch64 => (n < 8).then_some(n * 8),
    }
}

/// As [`argument_offset`], of a function of Go: the `n`th word of its arguments.
///
/// Source: Go's ABIInternal (cmd/compile/abi-internal.md), "Architecture specifics".
pub fn go_argument_offset(arch: Arch, n: u32) -> Option<u32> {
    match arch {
        // rax, rbx, rcx, rdi, rsi, r8, r9, r10, r11
        Arch::X86_64 => [80, 40, 88, 112, 104, 72, 64, 56, 48].get(n as usize).copied(),
        // x0 ... x15
        Arch::Aarch64 => (n < 16).then_some(n * 8),
    }
}

/// Words of the stack that are in front of a Go function's arguments there, beyond those that C has: Go keeps
/// a place for the return address on 64-bit Arm, too.
pub const fn go_first_stack_argument(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 0,
        Arch::Aarch64 => 1,
    }
}

/// Offset in `struct pt_regs` of the register with a function's result, in bytes: the first one of a
/// function of Go, too.
pub const fn retval_offset(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 80, // rax
        Arch::Aarch64 => 0, // x0
    }
}

/// Offset in `struct pt_regs` of the stack pointer, in bytes.
pub const fn stack_pointer_offset(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 152,  // rsp
        Arch::Aarch64 => 248, // sp
    }
}

/// Offset in `struct pt_regs` of the instruction pointer, in bytes.
pub const fn instruction_pointer_offset(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 128,  // rip
        Arch::Aarch64 => 256, // pc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        let mut seen = std::collections::HashSet::new();
        for kind in ProbeKind::ALL {
            let spec = kind.spec();
            assert_eq!(spec.kind, kind);
            for name in std::iter::once(&spec.name).chain(spec.aliases) {
                assert!(seen.insert(*name), "{name} names two kinds");
                assert_eq!(ProbeKind::from_name(name), Some(kind));
            }
        }
    }
}
