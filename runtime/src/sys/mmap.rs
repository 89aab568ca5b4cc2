//! Files in memory.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;

/// A file's contents, read as they are needed.
///
/// Invariant: the mapping is private and never written through. Programs and libraries are
/// replaced by renaming, not by writing into them, so their pages do not change underneath.
#[derive(Debug)]
pub(crate) struct MappedFile {
    start: *const u8,
    length: usize,
}

// SAFETY: the memory is only read.
unsafe impl Send for MappedFile {}
// SAFETY: the memory is only read.
unsafe impl Sync for MappedFile {}

impl MappedFile {
    /// Maps a whole file.
    pub fn new(file: &File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if length == 0 {
            return Ok(Self { start: std::ptr::NonNull::dangling().as_ptr(), length });
        }
        // SAFETY: a new mapping, which touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: start.cast(), length })
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped for `length` bytes until `self` is dropped; dangling only if empty.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping made by `new`, to which no reference is left.
            unsafe { libc::munmap(self.start.cast_mut().cast(), self.length) };
        }
    }
}
