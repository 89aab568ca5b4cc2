//! bpf(2): commands of `enum bpf_cmd` in linux/bpf.h.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_insn, bpf_prog_info};

use super::{check, check_fd};

/// `BPF_XDP` of `enum bpf_attach_type`.
pub(crate) const ATTACH_XDP: u32 = 37;
/// `BPF_TRACE_KPROBE_MULTI` of `enum bpf_attach_type`.
pub(crate) const ATTACH_KPROBE_MULTI: u32 = 42;
/// `BPF_TRACE_UPROBE_MULTI` of `enum bpf_attach_type`.
pub(crate) const ATTACH_UPROBE_MULTI: u32 = 48;
/// `BPF_TRACE_FENTRY` and `BPF_TRACE_FEXIT` of `enum bpf_attach_type`.
pub(crate) const ATTACH_FENTRY: u32 = 24;
pub(crate) const ATTACH_FEXIT: u32 = 25;
/// `BPF_LSM_MAC` of `enum bpf_attach_type`.
pub(crate) const ATTACH_LSM: u32 = 27;
/// `BPF_TRACE_ITER` of `enum bpf_attach_type`.
pub(crate) const ATTACH_ITER: u32 = 28;

/// An all-zero `union bpf_attr`: the kernel wants unused bytes to be 0.
pub(super) fn zeroed() -> bpf_attr {
    // SAFETY: a union of plain integers, for which all zeros is a value.
    unsafe { std::mem::zeroed() }
}

/// # Safety
/// The pointers in `attr` that `command` reads or writes through must be valid for it.
pub(super) unsafe fn call(command: bpf_cmd, attr: &mut bpf_attr) -> libc::c_long {
    let size = std::mem::size_of::<bpf_attr>();
    // SAFETY: `attr` is valid for `size` bytes; the rest is the caller's promise.
    unsafe { libc::syscall(libc::SYS_bpf, command as u32, std::ptr::from_mut(attr), size) }
}

/// A map and the sizes that the kernel uses for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapRef<'a> {
    /// The map.
    pub fd: BorrowedFd<'a>,
    /// Bytes of a key.
    pub key: usize,
    /// Bytes of a value as bpf(2) copies it: of all CPUs, for a per-CPU map.
    pub value: usize,
}

impl MapRef<'_> {
    fn element(&self, key: &[u8], value: Option<*const u8>, flags: u64) -> io::Result<bpf_attr> {
        if key.len() != self.key {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut attr = zeroed();
        // SAFETY: writing fields of a union of integers.
        unsafe {
            let u = &mut attr.__bindgen_anon_2;
            u.map_fd = self.fd.as_raw_fd() as u32;
            u.key = key.as_ptr() as u64;
            u.__bindgen_anon_1.value = value.map_or(0, |p| p as u64);
            u.flags = flags;
        }
        Ok(attr)
    }

    /// The value at `key`; `None` if there is none.
    pub fn lookup(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0u8; self.value];
        let mut attr = self.element(key, Some(value.as_mut_ptr()), 0)?;
        // SAFETY: key and value are as long as the kernel's.
        match check(unsafe { call(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) }) {
            Ok(_) => Ok(Some(value)),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes the value at `key`. `flags`: `BPF_ANY` 0, `BPF_NOEXIST` 1, `BPF_EXIST` 2.
    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> io::Result<()> {
        if value.len() != self.value {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut attr = self.element(key, Some(value.as_ptr()), flags)?;
        // SAFETY: key and value are as long as the kernel's; it only reads them.
        check(unsafe { call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }).map(drop)
    }

    /// Writes many values, keys and values one after another.
    pub fn update_batch(&self, keys: &[u8], values: &[u8]) -> io::Result<()> {
        let count = keys.len() / self.key.max(1);
        if keys.len() != count * self.key || values.len() != count * self.value {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if count == 0 {
            return Ok(());
        }
        let mut attr = zeroed();
        attr.batch.keys = keys.as_ptr() as u64;
        attr.batch.values = values.as_ptr() as u64;
        attr.batch.count = u32::try_from(count).map_err(io::Error::other)?;
        attr.batch.map_fd = self.fd.as_raw_fd() as u32;
        // SAFETY: keys and values hold `count` of them; the kernel only reads them.
        check(unsafe { call(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attr) }).map(drop)
    }

    /// Removes the entry at `key`.
    pub fn delete(&self, key: &[u8]) -> io::Result<()> {
        let mut attr = self.element(key, None, 0)?;
        // SAFETY: the key is as long as the kernel's.
        check(unsafe { call(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) }).map(drop)
    }

    /// The key after `key`, or the first; `None` at the end.
    pub fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        if key.is_some_and(|k| k.len() != self.key) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut next = vec![0u8; self.key];
        let mut attr = zeroed();
        // SAFETY: writing fields of a union of integers.
        unsafe {
            let u = &mut attr.__bindgen_anon_2;
            u.map_fd = self.fd.as_raw_fd() as u32;
            u.key = key.map_or(0, |k| k.as_ptr() as u64);
            u.__bindgen_anon_1.next_key = next.as_mut_ptr() as u64;
        }
        // SAFETY: both keys are as long as the kernel's.
        match check(unsafe { call(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) }) {
            Ok(_) => Ok(Some(next)),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Reads up to `count` entries after `position`, which is updated. Fails with `ENOSPC`
    /// when `count` is smaller than a bucket of the hash table.
    pub fn lookup_batch(&self, position: &mut BatchPosition, count: u32) -> io::Result<Batch> {
        let n = count as usize;
        let mut keys = vec![0u8; n.saturating_mul(self.key)];
        let mut values = vec![0u8; n.saturating_mul(self.value)];
        position.token.resize(self.key.max(8), 0);
        let mut next = position.token.clone();
        let mut attr = zeroed();
        attr.batch.in_batch = if position.started { position.token.as_ptr() as u64 } else { 0 };
        attr.batch.out_batch = next.as_mut_ptr() as u64;
        attr.batch.keys = keys.as_mut_ptr() as u64;
        attr.batch.values = values.as_mut_ptr() as u64;
        attr.batch.count = count;
        attr.batch.map_fd = self.fd.as_raw_fd() as u32;
        // SAFETY: keys and values hold `count` of them; a position is at most a key or 8 bytes.
        let result = check(unsafe { call(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) });
        let last = match result {
            Ok(_) => false,
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => true,
            Err(e) => return Err(e),
        };
        // SAFETY: reading an integer of the union that the kernel has written.
        let got = unsafe { attr.batch.count } as usize;
        keys.truncate(got.saturating_mul(self.key));
        values.truncate(got.saturating_mul(self.value));
        position.token = next;
        position.started = true;
        Ok(Batch { keys, values, last })
    }

    /// Makes the map read-only for user space (`BPF_MAP_FREEZE`).
    pub fn freeze(&self) -> io::Result<()> {
        let mut attr = zeroed();
        attr.__bindgen_anon_2.map_fd = self.fd.as_raw_fd() as u32;
        // SAFETY: the command uses no pointer.
        check(unsafe { call(bpf_cmd::BPF_MAP_FREEZE, &mut attr) }).map(drop)
    }
}

/// What a map is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapSpec {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes of a key.
    pub key: u32,
    /// Bytes of a value.
    pub value: u32,
    /// Most entries.
    pub entries: u32,
    /// `BPF_F_*` of linux/bpf.h.
    pub flags: u32,
}

/// Creates a map without types; `inner` is what the maps in it are like, if it holds maps. Of the name
/// 15 bytes count.
pub(crate) fn create_map(
    spec: &MapSpec,
    name: &CStr,
    inner: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writing fields of a union of integers.
    unsafe {
        let u = &mut attr.__bindgen_anon_1;
        u.map_type = spec.kind;
        u.key_size = spec.key;
        u.value_size = spec.value;
        u.max_entries = spec.entries;
        u.map_flags = spec.flags;
        u.inner_map_fd = inner.map_or(0, |fd| fd.as_raw_fd() as u32);
        for (to, from) in u.map_name.iter_mut().take(15).zip(name.to_bytes()) {
            *to = *from as libc::c_char;
        }
    }
    // SAFETY: no buffers are handed over.
    check_fd(unsafe { call(bpf_cmd::BPF_MAP_CREATE, &mut attr) })
}

/// Where a batch read goes on.
#[derive(Debug, Default)]
pub(crate) struct BatchPosition {
    token: Vec<u8>,
    started: bool,
}

/// Entries of a map, one after another.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The keys.
    pub keys: Vec<u8>,
    /// The values.
    pub values: Vec<u8>,
    /// Nothing follows.
    pub last: bool,
}

/// What `BPF_PROG_LOAD` takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgramSpec<'a> {
    /// `enum bpf_prog_type`.
    pub kind: u32,
    /// Name of at most 15 bytes.
    pub name: &'a CStr,
    /// The instructions, relocated.
    pub instructions: &'a [bpf_insn],
    /// The licence.
    pub license: &'a CStr,
    /// `enum bpf_attach_type`, or 0.
    pub attach_type: u32,
    /// The function that a tracing program is for.
    pub target: TargetFunction<'a>,
    /// BTF of the object, and the line and function records that refer to it.
    pub btf: Option<ProgramBtf<'a>>,
}

/// A function that a program is tied to when it is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TargetFunction<'a> {
    /// Its number in the BTF of the kernel, the module or the program that it is of; 0 for programs that
    /// are not tied.
    pub number: u32,
    /// The BTF of the module that it is of, or the eBPF program.
    pub owner: Option<BorrowedFd<'a>>,
}

/// Debug information of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgramBtf<'a> {
    /// The BTF.
    pub fd: BorrowedFd<'a>,
    /// `struct bpf_func_info` records, 8 bytes each.
    pub functions: &'a [u8],
    /// `struct bpf_line_info` records, 16 bytes each.
    pub lines: &'a [u8],
}

/// Bytes of a `struct bpf_func_info`.
const FUNC_INFO_SIZE: usize = 8;
/// Bytes of a `struct bpf_line_info`.
const LINE_INFO_SIZE: usize = 16;
/// Bytes of a `struct bpf_insn`.
const BYTES_OF_INSTRUCTION: u32 = 8;

/// Loads a program. The verifier writes its log to `log` unless that is empty.
pub(crate) fn load_program(spec: &ProgramSpec<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writing fields of a union of integers.
    unsafe {
        let u = &mut attr.__bindgen_anon_3;
        u.prog_type = spec.kind;
        u.expected_attach_type = spec.attach_type;
        u.attach_btf_id = spec.target.number;
        if let Some(owner) = spec.target.owner {
            // The same place as `attach_prog_fd`: the kernel finds out what it is.
            u.__bindgen_anon_1.attach_btf_obj_fd = owner.as_raw_fd() as u32;
        }
        u.insns = spec.instructions.as_ptr() as u64;
        u.insn_cnt = spec.instructions.len() as u32;
        u.license = spec.license.as_ptr() as u64;
        for (to, from) in u.prog_name.iter_mut().take(15).zip(spec.name.to_bytes()) {
            *to = *from as libc::c_char;
        }
        if let Some(btf) = spec.btf {
            u.prog_btf_fd = btf.fd.as_raw_fd() as u32;
            u.func_info = btf.functions.as_ptr() as u64;
            u.func_info_cnt = (btf.functions.len() / FUNC_INFO_SIZE) as u32;
            u.func_info_rec_size = FUNC_INFO_SIZE as u32;
            u.line_info = btf.lines.as_ptr() as u64;
            u.line_info_cnt = (btf.lines.len() / LINE_INFO_SIZE) as u32;
            u.line_info_rec_size = LINE_INFO_SIZE as u32;
        }
        if !log.is_empty() {
            u.log_level = 1;
            u.log_buf = log.as_mut_ptr() as u64;
            u.log_size = u32::try_from(log.len()).unwrap_or(u32::MAX);
        }
    }
    // SAFETY: every pointer is to a slice in `spec` or to `log`, with its length beside it.
    check_fd(unsafe { call(bpf_cmd::BPF_PROG_LOAD, &mut attr) })
}

/// What the kernel knows of a program (`struct bpf_prog_info`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramInfo {
    /// eBPF instructions as they run, the kernel's own additions included.
    pub instructions: u32,
    /// Bytes of machine code; 0 without the just-in-time compiler.
    pub machine_code: u32,
    /// Instructions that the verifier looked at, each as often as it did; 0 before Linux 5.16.
    pub verified: u32,
    /// Times that it ran; 0 unless `enable_statistics` was called.
    pub runs: u64,
    /// Nanoseconds that it ran; 0 unless `enable_statistics` was called.
    pub nanoseconds: u64,
    /// Times that the kernel skipped it because it was running already on that CPU; 0 before
    /// Linux 5.12.
    pub missed: u64,
}

/// What the kernel knows of a program.
pub(crate) fn program_info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    // SAFETY: a record of integers, for which all zeros is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut attr = zeroed();
    attr.info.bpf_fd = program.as_raw_fd() as u32;
    attr.info.info_len = std::mem::size_of::<bpf_prog_info>() as u32;
    attr.info.info = std::ptr::from_mut(&mut info) as u64;
    // SAFETY: `info` is valid for `info_len` bytes.
    check(unsafe { call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) })?;
    Ok(ProgramInfo {
        instructions: info.xlated_prog_len / BYTES_OF_INSTRUCTION,
        machine_code: info.jited_prog_len,
        verified: info.verified_insns,
        runs: info.run_cnt,
        nanoseconds: info.run_time_ns,
        missed: info.recursion_misses,
    })
}

/// Has the kernel count runs of programs and their time until what is returned is closed (since
/// Linux 5.8).
pub(crate) fn enable_statistics() -> io::Result<OwnedFd> {
    // `BPF_STATS_RUN_TIME` of `enum bpf_stats_type` is 0.
    let mut attr = zeroed();
    // SAFETY: the command uses no pointer.
    check_fd(unsafe { call(bpf_cmd::BPF_ENABLE_STATS, &mut attr) })
}

/// Attaches a raw tracepoint program to a tracepoint, or, without a name, a tracing program to
/// what it was loaded for.
pub(crate) fn open_raw_tracepoint(
    program: BorrowedFd<'_>,
    name: Option<&CStr>,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.raw_tracepoint.prog_fd = program.as_raw_fd() as u32;
    attr.raw_tracepoint.name = name.map_or(0, |name| name.as_ptr() as u64);
    // SAFETY: the name ends in NUL.
    check_fd(unsafe { call(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr) })
}
