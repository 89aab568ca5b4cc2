//! perf_event_open(2) and its ioctls: linux/perf_event.h.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::perf_event_attr;

use super::{check, check_fd};

/// `PERF_TYPE_SOFTWARE`
const TYPE_SOFTWARE: u32 = 1;
/// `PERF_TYPE_TRACEPOINT`
const TYPE_TRACEPOINT: u32 = 2;
/// `PERF_TYPE_HARDWARE`
const TYPE_HARDWARE: u32 = 0;
/// `PERF_TYPE_BREAKPOINT`
const TYPE_BREAKPOINT: u32 = 5;
/// `PERF_COUNT_SW_CPU_CLOCK`
pub(crate) const CPU_CLOCK: u64 = 0;
/// `PERF_COUNT_SW_DUMMY`
const DUMMY: u64 = 9;
/// `PERF_COUNT_SW_BPF_OUTPUT`
const BPF_OUTPUT: u64 = 10;
/// `PERF_SAMPLE_TIME`
const SAMPLE_TIME: u64 = 1 << 2;
/// `PERF_SAMPLE_RAW`
const SAMPLE_RAW: u64 = 1 << 10;
/// `PERF_UPROBE_REF_CTR_OFFSET_SHIFT`: the bit of `config` that `ref_ctr_offset` begins at, as
/// the uprobe PMU's `format/ref_ctr_offset` in sysfs says.
const SEMAPHORE_SHIFT: u32 = 32;
/// `PERF_FLAG_FD_CLOEXEC`
const CLOEXEC: libc::c_ulong = 8;
/// `PERF_EVENT_IOC_ENABLE`
const IOC_ENABLE: libc::c_ulong = 0x2400;
/// `PERF_EVENT_IOC_SET_BPF`
const IOC_SET_BPF: libc::c_ulong = 0x4004_2408;

fn zeroed() -> perf_event_attr {
    // SAFETY: plain integers, for which all zeros is a value.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = std::mem::size_of::<perf_event_attr>() as u32;
    attr
}

/// Opens an event on one CPU, or on all for one process.
fn open(attr: &perf_event_attr, pid: Option<u32>, cpu: Option<u32>) -> io::Result<OwnedFd> {
    let pid = pid.map_or(-1, |p| p as libc::pid_t);
    let cpu = cpu.map_or(-1, |c| c as libc::c_int);
    let attr = std::ptr::from_ref(attr);
    // SAFETY: `attr` is a valid record of the size that it states; pointers in it are valid by
    // the callers below.
    check_fd(unsafe { libc::syscall(libc::SYS_perf_event_open, attr, pid, cpu, -1, CLOEXEC) })
}

/// An event that is counted on one CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CounterSpec {
    /// Counted by the processor, not by the kernel.
    pub hardware: bool,
    /// `perf_event_attr::config`.
    pub config: u64,
    /// It fires each time that so many were counted; nanoseconds, for clocks. Not 0.
    pub period: u64,
    /// The CPU.
    pub cpu: u32,
    /// Only while this process runs, threads that it starts from now on among it
    /// (`inherit_thread`, Linux 5.13).
    pub pid: Option<u32>,
}

/// Opens a counter that fires.
pub(crate) fn open_counter(spec: &CounterSpec) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.type_ = if spec.hardware { TYPE_HARDWARE } else { TYPE_SOFTWARE };
    attr.config = spec.config;
    attr.__bindgen_anon_1.sample_period = spec.period;
    inherit_threads(&mut attr, spec.pid);
    open(&attr, spec.pid, Some(spec.cpu))
}

fn inherit_threads(attr: &mut perf_event_attr, pid: Option<u32>) {
    if pid.is_some() {
        attr.set_inherit(1);
        attr.set_inherit_thread(1);
    }
}

/// Memory that is watched, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BreakpointSpec {
    /// Where it begins.
    pub address: u64,
    /// Bytes.
    pub length: u64,
    /// `HW_BREAKPOINT_*`.
    pub access: u32,
    /// One CPU, or all for one thread.
    pub on: BreakpointScope,
}

/// Where a breakpoint is set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BreakpointScope {
    /// On one CPU, whatever runs there.
    Cpu(u32),
    /// Wherever this thread, or one that it starts later, runs.
    Thread(u32),
}

/// Opens a hardware breakpoint.
pub(crate) fn open_breakpoint(spec: &BreakpointSpec) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.type_ = TYPE_BREAKPOINT;
    attr.bp_type = spec.access;
    attr.__bindgen_anon_3.bp_addr = spec.address;
    attr.__bindgen_anon_4.bp_len = spec.length;
    attr.__bindgen_anon_1.sample_period = 1;
    match spec.on {
        BreakpointScope::Cpu(cpu) => open(&attr, None, Some(cpu)),
        BreakpointScope::Thread(tid) => {
            inherit_threads(&mut attr, Some(tid));
            open(&attr, Some(tid), None)
        }
    }
}

/// A tracepoint, by its id in tracefs. It fires on every CPU.
pub(crate) fn open_tracepoint(id: u64) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.type_ = TYPE_TRACEPOINT;
    attr.config = id;
    attr.__bindgen_anon_1.sample_period = 1;
    open(&attr, None, Some(0))
}

/// An event that never fires, for its records of what processes on a CPU map, start and run.
pub(crate) fn open_task_events(cpu: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.type_ = TYPE_SOFTWARE;
    attr.config = DUMMY;
    attr.set_exclude_kernel(1);
    attr.set_mmap(1);
    attr.set_mmap2(1);
    attr.set_comm(1);
    attr.set_comm_exec(1);
    attr.set_task(1);
    attr.sample_type = SAMPLE_TIME;
    attr.set_sample_id_all(1);
    // Readable after each record: what counts events counts samples only.
    attr.set_watermark(1);
    attr.__bindgen_anon_2.wakeup_watermark = 1;
    open(&attr, None, Some(cpu))
}

/// An event that fires when a program writes a record into a perf buffer on a CPU.
pub(crate) fn open_output(cpu: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.type_ = TYPE_SOFTWARE;
    attr.config = BPF_OUTPUT;
    attr.sample_type = SAMPLE_RAW;
    attr.__bindgen_anon_1.sample_period = 1;
    attr.__bindgen_anon_2.wakeup_events = 1;
    open(&attr, None, Some(cpu))
}

/// A probe of the kprobe or uprobe PMU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProbeSpec<'a> {
    /// The PMU's number, from its `type` file in sysfs.
    pub pmu: u32,
    /// The bit of `config` that asks for a return probe; `None` for an entry probe.
    pub return_bit: Option<u32>,
    /// Where in the file the kernel counts how often the probe is attached (`ref_ctr_offset`,
    /// Linux 4.20); 0: nowhere.
    pub semaphore: u64,
    /// Kernel symbol or path of the file; `None` for an absolute kernel address.
    pub name: Option<&'a CStr>,
    /// Offset from the symbol or in the file, or the kernel address.
    pub offset: u64,
    /// Only in this process.
    pub pid: Option<u32>,
}

/// Opens a probe. It fires on every CPU.
pub(crate) fn open_probe(spec: &ProbeSpec<'_>) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.type_ = spec.pmu;
    attr.config = spec.return_bit.map_or(0, |bit| 1u64 << (bit & 63));
    attr.config |= spec.semaphore << SEMAPHORE_SHIFT;
    // The kernel copies the name during the call.
    attr.__bindgen_anon_3.config1 = spec.name.map_or(0, |n| n.as_ptr() as u64);
    attr.__bindgen_anon_4.config2 = spec.offset;
    let cpu = if spec.pid.is_some() { None } else { Some(0) };
    open(&attr, spec.pid, cpu)
}

/// Attaches a program to an event without a link: for kernels before 5.15.
pub(crate) fn set_program(event: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the argument is a number.
    check(unsafe { libc::ioctl(event.as_raw_fd(), IOC_SET_BPF, program.as_raw_fd()) }.into())
        .map(drop)
}

/// Starts an event.
pub(crate) fn enable(event: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the argument is a number.
    check(unsafe { libc::ioctl(event.as_raw_fd(), IOC_ENABLE, 0) }.into()).map(drop)
}
