//! bpf(2): programs that are loaded, whoever loaded them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_cmd, bpf_func_info, bpf_prog_info};

use super::bpf::{call, zeroed};
use super::{check, check_fd};

/// The next larger id of a program; none after the last.
pub(crate) fn next_id(last: u32) -> io::Result<Option<u32>> {
    let mut attr = zeroed();
    attr.__bindgen_anon_6.__bindgen_anon_1.start_id = last;
    // SAFETY: the command uses no pointer.
    match check(unsafe { call(bpf_cmd::BPF_PROG_GET_NEXT_ID, &mut attr) }) {
        // SAFETY: reading an integer of the union that the kernel has written.
        Ok(_) => Ok(Some(unsafe { attr.__bindgen_anon_6.next_id })),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The program with an id; none if it has gone.
pub(crate) fn open(id: u32) -> io::Result<Option<OwnedFd>> {
    let mut attr = zeroed();
    attr.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
    // SAFETY: the command uses no pointer.
    match check_fd(unsafe { call(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr) }) {
        Ok(program) => Ok(Some(program)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the types of a program are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Types {
    /// `enum bpf_prog_type`.
    pub kind: u32,
    /// Id of the BTF that it came with; 0: it came with none.
    pub btf: u32,
    /// Numbers of its functions in that BTF.
    pub functions: Vec<u32>,
}

/// What the types of a program are.
pub(crate) fn types(program: BorrowedFd<'_>) -> io::Result<Types> {
    let empty = info(program, &mut [])?;
    let mut records = vec![bpf_func_info { insn_off: 0, type_id: 0 }; empty.nr_func_info as usize];
    let full = info(program, &mut records)?;
    records.truncate(full.nr_func_info as usize);
    let functions = records.iter().map(|record| record.type_id).collect();
    Ok(Types { kind: full.type_, btf: full.btf_id, functions })
}

/// What the kernel knows of a program. It writes as many records of functions as there is room for, and
/// the number of all.
fn info(program: BorrowedFd<'_>, functions: &mut [bpf_func_info]) -> io::Result<bpf_prog_info> {
    // SAFETY: a record of integers, for which all zeros is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    if !functions.is_empty() {
        info.func_info = functions.as_mut_ptr() as u64;
        info.func_info_rec_size = std::mem::size_of::<bpf_func_info>() as u32;
        info.nr_func_info = u32::try_from(functions.len()).map_err(io::Error::other)?;
    }
    let mut attr = zeroed();
    attr.info.bpf_fd = program.as_raw_fd() as u32;
    attr.info.info_len = std::mem::size_of::<bpf_prog_info>() as u32;
    attr.info.info = std::ptr::from_mut(&mut info) as u64;
    // SAFETY: `info` is valid for `info_len` bytes, the records for `nr_func_info` of them.
    check(unsafe { call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) })?;
    Ok(info)
}
