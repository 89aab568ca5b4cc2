//! bpf(2): type information in the kernel.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use aya_obj::generated::{bpf_btf_info, bpf_cmd};

use super::bpf::{call, zeroed};
use super::{check, check_fd};

/// Longest name of a module, with its NUL (`MODULE_NAME_LEN` of linux/module.h).
const NAME_BYTES: usize = 64;

/// Loads BTF. The kernel writes why it refuses to `log` unless that is empty.
pub(crate) fn load_btf(btf: &[u8], log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writing fields of a union of integers.
    unsafe {
        let u = &mut attr.__bindgen_anon_7;
        u.btf = btf.as_ptr() as u64;
        u.btf_size = u32::try_from(btf.len()).unwrap_or(u32::MAX);
        if !log.is_empty() {
            u.btf_log_level = 1;
            u.btf_log_buf = log.as_mut_ptr() as u64;
            u.btf_log_size = u32::try_from(log.len()).unwrap_or(u32::MAX);
        }
    }
    // SAFETY: both pointers are to slices, with their lengths beside them.
    check_fd(unsafe { call(bpf_cmd::BPF_BTF_LOAD, &mut attr) })
}

/// The type information of a module that is loaded. Needs `CAP_SYS_ADMIN`.
pub(crate) fn module_types(module: &str) -> io::Result<Option<OwnedFd>> {
    let mut last = 0;
    while let Some(id) = next_id(last)? {
        last = id;
        match open(id) {
            Ok(btf) if name(&btf)? == module => return Ok(Some(btf)),
            // It has gone meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            other => {
                other?;
            }
        }
    }
    Ok(None)
}

/// The next larger id of type information; none after the last.
fn next_id(last: u32) -> io::Result<Option<u32>> {
    let mut attr = zeroed();
    attr.__bindgen_anon_6.__bindgen_anon_1.start_id = last;
    // SAFETY: the command uses no pointer.
    match check(unsafe { call(bpf_cmd::BPF_BTF_GET_NEXT_ID, &mut attr) }) {
        // SAFETY: reading an integer of the union that the kernel has written.
        Ok(_) => Ok(Some(unsafe { attr.__bindgen_anon_6.next_id })),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn open(id: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
    // SAFETY: the command uses no pointer.
    check_fd(unsafe { call(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attr) })
}

/// The type information with an id.
pub(crate) fn contents(id: u32) -> io::Result<Vec<u8>> {
    let btf = open(id)?;
    let size = info(&btf, &mut [])?;
    let mut data = vec![0; size as usize];
    info(&btf, &mut data)?;
    Ok(data)
}

/// Copies as much of type information as there is room for; the number of all its bytes.
fn info(btf: &OwnedFd, data: &mut [u8]) -> io::Result<u32> {
    // SAFETY: a record of integers, for which all zeros is a value.
    let mut info: bpf_btf_info = unsafe { std::mem::zeroed() };
    info.btf = data.as_mut_ptr() as u64;
    info.btf_size = u32::try_from(data.len()).map_err(io::Error::other)?;
    let mut attr = zeroed();
    attr.info.bpf_fd = btf.as_raw_fd() as u32;
    attr.info.info_len = std::mem::size_of::<bpf_btf_info>() as u32;
    attr.info.info = std::ptr::from_mut(&mut info) as u64;
    // SAFETY: `info` is valid for `info_len` bytes, `data` for `btf_size`.
    check(unsafe { call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) })?;
    Ok(info.btf_size)
}

/// `vmlinux`, the name of a module, or nothing for types that a program has brought.
fn name(btf: &OwnedFd) -> io::Result<String> {
    let mut text = [0u8; NAME_BYTES];
    // SAFETY: a record of integers, for which all zeros is a value.
    let mut info: bpf_btf_info = unsafe { std::mem::zeroed() };
    info.name = text.as_mut_ptr() as u64;
    info.name_len = NAME_BYTES as u32;
    let mut attr = zeroed();
    attr.info.bpf_fd = btf.as_raw_fd() as u32;
    attr.info.info_len = std::mem::size_of::<bpf_btf_info>() as u32;
    attr.info.info = std::ptr::from_mut(&mut info) as u64;
    // SAFETY: `info` is valid for `info_len` bytes, `text` for `name_len`.
    check(unsafe { call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) })?;
    let name = CStr::from_bytes_until_nul(&text).unwrap_or_default();
    Ok(if info.kernel_btf == 0 { String::new() } else { name.to_string_lossy().into_owned() })
}
