//! The system calls that the tests need and no safe wrapper offers.
//!
//! Every function here owns what it passes to the kernel for the length of the call, and turns
//! what comes back into an owned descriptor, a number or an [`io::Error`]. Attributes of bpf(2)
//! and perf_event_open(2) are byte buffers filled at the offsets that the UAPI headers
//! (linux/bpf.h, linux/perf_event.h) give to the fields.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_int, c_long};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Objects of the kernel's eBPF subsystem that can be enumerated by id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum BpfObject {
    /// Loaded programs.
    Program,
    /// Maps.
    Map,
    /// Links: attachments held by a descriptor.
    Link,
}

const BPF_MAP_CREATE: c_long = 0;
const BPF_PROG_LOAD: c_long = 5;
const BPF_PROG_GET_NEXT_ID: c_long = 11;
const BPF_MAP_GET_NEXT_ID: c_long = 12;
const BPF_LINK_CREATE: c_long = 28;
const BPF_LINK_GET_NEXT_ID: c_long = 31;

/// Whether SIGHUP ends this process and those that it starts from now on, or is ignored.
pub fn heed_hangups(heed: bool) {
    // SAFETY: neither action involves code of this process.
    unsafe { libc::signal(libc::SIGHUP, if heed { libc::SIG_DFL } else { libc::SIG_IGN }) };
}

/// A zeroed `union bpf_attr`, written field by field.
struct Attr([u8; 144]);

impl Attr {
    fn new() -> Self {
        Attr([0; 144])
    }

    fn u32(mut self, offset: usize, value: u32) -> Self {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn u64(mut self, offset: usize, value: u64) -> Self {
        self.0[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn call(&mut self, command: c_long) -> io::Result<c_long> {
        // SAFETY: the buffer lives for the call and is longer than any field that is set; the
        // kernel accepts a longer attribute whose tail is zero. Pointers stored in it are to
        // values that the callers in this module keep alive.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len() as c_long)
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }

    fn call_for_fd(&mut self, command: c_long) -> io::Result<OwnedFd> {
        let fd = self.call(command)? as c_int;
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// The smallest id of `kind` above `after`, or None where there is none.
pub fn bpf_next_id(kind: BpfObject, after: u32) -> io::Result<Option<u32>> {
    let command = match kind {
        BpfObject::Program => BPF_PROG_GET_NEXT_ID,
        BpfObject::Map => BPF_MAP_GET_NEXT_ID,
        BpfObject::Link => BPF_LINK_GET_NEXT_ID,
    };
    let mut attr = Attr::new().u32(0, after);
    match attr.call(command) {
        Ok(_) => Ok(Some(u32::from_ne_bytes([attr.0[4], attr.0[5], attr.0[6], attr.0[7]]))),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates a map of type `map_type` (enum bpf_map_type).
pub fn bpf_map_create(map_type: u32, key: u32, value: u32, entries: u32) -> io::Result<OwnedFd> {
    Attr::new()
        .u32(0, map_type)
        .u32(4, key)
        .u32(8, value)
        .u32(12, entries)
        .call_for_fd(BPF_MAP_CREATE)
}

/// Loads `r0 = verdict; exit` as a program of `program_type` for `attach_type` (enum
/// bpf_attach_type; 0 where it has no meaning) and, for tracing programs, the function with
/// BTF id `btf_id` (else 0).
pub fn bpf_load_return(
    program_type: u32,
    attach_type: u32,
    btf_id: u32,
    verdict: i32,
) -> io::Result<OwnedFd> {
    let mov = 0xb7_u64 | ((verdict as u32 as u64) << 32);
    let insns = [mov, 0x95];
    let license = c"GPL";
    Attr::new()
        .u32(0, program_type)
        .u32(4, insns.len() as u32)
        .u64(8, insns.as_ptr() as u64)
        .u64(16, license.as_ptr() as u64)
        .u32(68, attach_type)
        .u32(108, btf_id)
        .call_for_fd(BPF_PROG_LOAD)
}

/// Attaches a program to the interface `ifindex`, for `attach_type` (enum bpf_attach_type).
pub fn bpf_link_interface(
    program: &OwnedFd,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    Attr::new()
        .u32(0, program.as_raw_fd() as u32)
        .u32(4, ifindex)
        .u32(8, attach_type)
        .u32(12, flags)
        .call_for_fd(BPF_LINK_CREATE)
}

/// Attaches a kprobe program to `function` through fprobe (kprobe.multi).
pub fn bpf_link_kprobe_multi(program: &OwnedFd, function: &CStr) -> io::Result<OwnedFd> {
    const BPF_TRACE_KPROBE_MULTI: u32 = 42;
    let symbols = [function.as_ptr() as u64];
    Attr::new()
        .u32(0, program.as_raw_fd() as u32)
        .u32(8, BPF_TRACE_KPROBE_MULTI)
        .u32(20, symbols.len() as u32)
        .u64(24, symbols.as_ptr() as u64)
        .call_for_fd(BPF_LINK_CREATE)
}

/// Opens a perf event of the dynamic unit `unit` (its `type` in sysfs) on `target`, a function
/// or a file, at `offset`: what attaching a kprobe or a uprobe starts with.
pub fn perf_open_probe(unit: u32, target: &CStr, offset: u64) -> io::Result<OwnedFd> {
    perf_open(unit, 0, target.as_ptr() as u64, offset)
}

/// Opens a perf event of a fixed unit (PERF_TYPE_*) with `config`.
pub fn perf_open_config(unit: u32, config: u64) -> io::Result<OwnedFd> {
    perf_open(unit, config, 0, 0)
}

/// Opens a perf event for writes to 8 bytes at an address.
pub fn perf_open_breakpoint(address: u64) -> io::Result<OwnedFd> {
    const PERF_TYPE_BREAKPOINT: u32 = 5;
    const HW_BREAKPOINT_W: u32 = 2;
    perf_open_attr(&perf_attr(PERF_TYPE_BREAKPOINT, 0, address, 8).u32(52, HW_BREAKPOINT_W))
}

fn perf_open(unit: u32, config: u64, config1: u64, config2: u64) -> io::Result<OwnedFd> {
    perf_open_attr(&perf_attr(unit, config, config1, config2))
}

/// A `struct perf_event_attr`.
fn perf_attr(unit: u32, config: u64, config1: u64, config2: u64) -> Attr {
    const PERF_ATTR_SIZE_VER1: u32 = 72;
    Attr::new()
        .u32(0, unit)
        .u32(4, PERF_ATTR_SIZE_VER1)
        .u64(8, config)
        .u64(16, 1)
        .u64(40, 1) // disabled
        .u64(56, config1)
        .u64(64, config2)
}

fn perf_open_attr(attr: &Attr) -> io::Result<OwnedFd> {
    let (any_process, cpu, no_group, flags) = (-1_i32, 0_i32, -1_i32, 8_u64); // FD_CLOEXEC
    // SAFETY: the attribute and the string that config1 may point to outlive the call.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, attr.0.as_ptr(), any_process, cpu, no_group, flags)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor made by the call above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Gives this process a mount namespace of its own, from which nothing propagates.
pub fn unshare_mounts() -> io::Result<()> {
    // SAFETY: plain system calls on constants; single effect is on this process's namespace.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        let flags = libc::MS_REC | libc::MS_PRIVATE;
        check(libc::mount(
            c"none".as_ptr(),
            c"/".as_ptr(),
            std::ptr::null(),
            flags,
            std::ptr::null(),
        ))?;
    }
    Ok(())
}

/// Gives this process a network namespace of its own, with nothing but a loopback in it.
pub fn unshare_network() -> io::Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) }).map(drop)
}

/// Moves this thread to a network namespace.
pub fn enter_network(namespace: &OwnedFd) -> io::Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Mounts a new instance of file system `kind` on `target`.
pub fn mount(kind: &CStr, target: &str) -> io::Result<()> {
    let target = CString::new(target)?;
    // SAFETY: all strings are terminated and outlive the call; there is no data argument.
    check(unsafe {
        libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, std::ptr::null())
    })
    .map(drop)
}

/// Sends `signal` to the process `pid`; to the process group `-pid` where it is negative.
pub fn kill(pid: i32, signal: c_int) -> io::Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// The effective user id.
pub fn effective_uid() -> u32 {
    // SAFETY: cannot fail, takes nothing.
    unsafe { libc::geteuid() }
}

/// Names this thread, as `comm` shows it.
pub fn set_comm(name: &CStr) {
    // SAFETY: PR_SET_NAME reads at most 16 bytes of a terminated string.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Keeps this thread on one CPU.
pub fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    // SAFETY: a zeroed cpu_set_t is an empty set; CPU_SET checks its bound.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        check(libc::sched_setaffinity(0, size_of_val(&set), &set)).map(drop)
    }
}

/// Calls getpgid(0) without the C library's help, so that each call is one system call.
pub fn getpgid() {
    // SAFETY: takes no pointer.
    unsafe { libc::syscall(libc::SYS_getpgid, 0) };
}

/// Asks for the file system that `path` is on, by statfs(2).
pub fn statfs(path: &str) -> io::Result<()> {
    let path = CString::new(path)?;
    // SAFETY: a terminated string and a zeroed structure that the kernel fills, for the call.
    check(unsafe { libc::statfs(path.as_ptr(), &mut std::mem::zeroed()) }).map(drop)
}

/// Nanoseconds of CLOCK_MONOTONIC, the clock behind `nsecs`.
pub fn monotonic_nanos() -> u64 {
    // SAFETY: the kernel fills the timespec it is given.
    let now = unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now);
        now
    };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Makes the child of `command` die with this process.
pub fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe and touches no memory.
    unsafe {
        command.pre_exec(|| check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)).map(drop));
    }
}

/// A socket of `family`/`kind`/`protocol`, closed on exec.
pub fn socket(family: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let fd = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: a descriptor made by the call above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends `bytes` on a connected or netlink socket.
pub fn send(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: pointer and length are those of a live slice.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives one datagram into `buffer` and gives its length.
pub fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of a live slice.
    let got =
        unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// Binds a packet socket to the interface `ifindex`.
pub fn bind_packet(socket: &OwnedFd, ifindex: u32) -> io::Result<()> {
    // SAFETY: a zeroed sockaddr_ll is valid; the length passed is its own.
    unsafe {
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = ifindex as i32;
        let length = size_of_val(&address) as libc::socklen_t;
        check(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length)).map(drop)
    }
}

/// The index of the interface `name` in this process's network namespace.
pub fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: a terminated string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Gives a program capabilities (capabilities(7)) that whoever runs it has, by their numbers.
pub fn set_file_capabilities(program: &Path, capabilities: &[u32]) -> io::Result<()> {
    /// `VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE` of linux/capability.h.
    const EFFECTIVE: u32 = 0x0200_0001;
    let permitted = capabilities.iter().fold(0u64, |all, number| all | 1 << number);
    let words = [EFFECTIVE, permitted as u32, 0, (permitted >> 32) as u32, 0];
    let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let path = CString::new(program.as_os_str().as_encoded_bytes())?;
    let name = c"security.capability".as_ptr();
    // SAFETY: all pointers are to memory that outlives the call, of the length that is given.
    let result =
        unsafe { libc::setxattr(path.as_ptr(), name, data.as_ptr().cast(), data.len(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Page faults of this process so far, those for which something was read aside.
pub fn minor_faults() -> io::Result<i64> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills memory of the right size, which is all zero before.
    let usage = unsafe {
        check(libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()))?;
        usage.assume_init()
    };
    Ok(usage.ru_minflt)
}
