//! What processes map, start and run, as the kernel reports it to perf_event_open(2): records of
//! linux/perf_event.h.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use super::perf;

/// Pages of the ring, a power of two; one more holds its head and tail.
const PAGES: usize = 64;
/// Offsets of `data_head` and `data_tail` in a `struct perf_event_mmap_page`.
const HEAD: usize = 1024;
const TAIL: usize = 1032;
/// Bytes of a `struct perf_event_header`.
const HEADER: usize = 8;
/// `PERF_RECORD_COMM`, `PERF_RECORD_FORK` and `PERF_RECORD_MMAP2`.
const COMM: u32 = 3;
const FORK: u32 = 7;
const MMAP2: u32 = 10;
/// `PERF_RECORD_MISC_COMM_EXEC`
const COMM_EXEC: u16 = 1 << 13;

/// What a process did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskEvent {
    /// It started another program: nothing of the old one is mapped any more.
    Exec {
        /// The process.
        pid: u32,
    },
    /// It is a new process with what its parent has mapped.
    Fork {
        /// The new process.
        pid: u32,
        /// Its parent.
        parent: u32,
    },
    /// It mapped code.
    Map {
        /// The process.
        pid: u32,
        /// First address.
        start: u64,
        /// Bytes.
        length: u64,
        /// Bytes from the start of the file.
        offset: u64,
        /// Path of the file, or a name such as `[vdso]`.
        path: Vec<u8>,
    },
}

/// The events of one CPU. No program runs for them, and they stop when this is dropped.
///
/// Invariant: `start` is a shared mapping of `length` bytes: a page for head and tail, then the
/// ring. The kernel writes the ring and the head, this the tail.
#[derive(Debug)]
pub(crate) struct TaskEvents {
    start: *mut u8,
    length: usize,
    _event: OwnedFd,
}

// SAFETY: the mapping belongs to this value alone, whichever thread has it.
unsafe impl Send for TaskEvents {}

impl TaskEvents {
    /// Those of all processes on a CPU, or of one process.
    pub fn open(cpu: u32) -> io::Result<Self> {
        let event = perf::open_task_events(cpu)?;
        let length = (PAGES + 1) * rustix::param::page_size();
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
        Ok(Self { start: start.cast(), length, _event: event })
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: within the first page, aligned, and only used atomically.
        unsafe { AtomicU64::from_ptr(self.start.add(offset).cast()) }
    }

    /// Calls `visit` for each event since the last time.
    pub fn drain(&mut self, mut visit: impl FnMut(TaskEvent)) {
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
            if let Some(event) = parse(&copy(tail, length)) {
                visit(event);
            }
            tail += length as u64;
        }
        self.position(TAIL).store(tail, Ordering::Release);
    }
}

impl Drop for TaskEvents {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `open`, to which no reference is left.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

fn parse(record: &[u8]) -> Option<TaskEvent> {
    let word = |at: usize| record.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let long = |at: usize| record.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes);
    let misc = record.get(4..6)?.try_into().ok().map(u16::from_ne_bytes)?;
    let pid = word(HEADER)?;
    match word(0)? {
        COMM if misc & COMM_EXEC != 0 => Some(TaskEvent::Exec { pid }),
        FORK => {
            let parent = word(HEADER + 4)?;
            // A thread is no process of its own.
            (pid != parent).then_some(TaskEvent::Fork { pid, parent })
        }
        MMAP2 => {
            let path = record.get(HEADER + 64..)?.split(|b| *b == 0).next()?;
            Some(TaskEvent::Map {
                pid,
                start: long(HEADER + 8)?,
                length: long(HEADER + 16)?,
                offset: long(HEADER + 24)?,
                path: path.to_vec(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_records_and_survives_short_ones() {
        let mut map = vec![0u8; HEADER + 64];
        map[0] = 10;
        map[8..12].copy_from_slice(&7u32.to_ne_bytes());
        map[16..24].copy_from_slice(&0x1000u64.to_ne_bytes());
        map[24..32].copy_from_slice(&0x200u64.to_ne_bytes());
        map[32..40].copy_from_slice(&0x300u64.to_ne_bytes());
        map.extend(b"/bin/x\0\0");
        let path = b"/bin/x".to_vec();
        let event = TaskEvent::Map { pid: 7, start: 0x1000, length: 0x200, offset: 0x300, path };
        assert_eq!(parse(&map), Some(event));
        for end in 0..map.len() {
            parse(&map[..end]);
        }
        let fork = |pid: u32, parent: u32| {
            [7u32, 0, pid, parent].iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>()
        };
        assert_eq!(parse(&fork(9, 8)), Some(TaskEvent::Fork { pid: 9, parent: 8 }));
        assert_eq!(parse(&fork(9, 9)), None);
    }
}
