//! The ring of a perf event that the kernel writes records into: perf_event_open(2), "mmap layout".

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Offsets of `data_head` and `data_tail` in a `struct perf_event_mmap_page`.
const HEAD: usize = 1024;
const TAIL: usize = 1032;
/// Bytes of a `struct perf_event_header`.
pub(crate) const HEADER: usize = 8;

/// A ring.
///
/// Invariant: `start` is a shared mapping of `length` bytes: a page for head and tail, then the
/// ring. The kernel writes the ring and the head, this the tail.
#[derive(Debug)]
pub(crate) struct PerfRing {
    start: *mut u8,
    length: usize,
    event: OwnedFd,
}

// SAFETY: the mapping belongs to this value alone, whichever thread has it.
unsafe impl Send for PerfRing {}

impl PerfRing {
    /// Gives an event a ring of so many pages, a power of two.
    pub fn new(event: OwnedFd, pages: usize) -> io::Result<Self> {
        let length = (pages + 1) * rustix::param::page_size();
        // SAFETY: a new mapping, which touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                event.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: start.cast(), length, event })
    }

    /// The event; readable when there are records.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: within the first page, aligned, and only used atomically.
        unsafe { AtomicU64::from_ptr(self.start.add(offset).cast()) }
    }

    /// Hands over each record since the last time, its `struct perf_event_header` included, until
    /// `take` breaks.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8]) -> ControlFlow<()>) {
        let page = rustix::param::page_size();
        let size = self.length - page;
        let head = self.position(HEAD).load(Ordering::Acquire);
        let mut tail = self.position(TAIL).load(Ordering::Relaxed);
        let mut record = Vec::new();
        while tail < head {
            let mut copy = |from: u64, count: usize| {
                record.clear();
                for at in from..from.saturating_add(count as u64) {
                    let offset = page + (at as usize & (size - 1));
                    // SAFETY: within the ring, between tail and head, where the kernel has
                    // finished writing.
                    record.push(unsafe { self.start.add(offset).read() });
                }
                std::mem::take(&mut record)
            };
            let header = copy(tail, HEADER);
            let length = header.get(6..8).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
            let length = usize::from(length.unwrap_or(0));
            if length < HEADER || length as u64 > head - tail {
                // Nothing that follows can be made out.
                tail = head;
                break;
            }
            let taken = take(&copy(tail, length));
            tail += length as u64;
            if taken.is_break() {
                break;
            }
        }
        self.position(TAIL).store(tail, Ordering::Release);
    }
}

impl Drop for PerfRing {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `new`, to which no reference is left.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}
