//! What processes map, start and run, as the kernel reports it to perf_event_open(2): records of
//! linux/perf_event.h.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;

use super::perf;
use super::perf_ring::{HEADER, PerfRing};
use crate::symbols::process::FileId;

/// Pages of the ring.
const PAGES: usize = 64;
/// `PERF_RECORD_COMM`, `PERF_RECORD_EXIT`, `PERF_RECORD_FORK` and `PERF_RECORD_MMAP2`.
const COMM: u32 = 3;
const EXIT: u32 = 4;
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
    /// It has ended.
    Exit {
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
        /// The file.
        file: FileId,
        /// Path of the file, or a name such as `[vdso]`.
        path: Vec<u8>,
    },
}

/// The events of one CPU. No program runs for them, and they stop when this is dropped.
#[derive(Debug)]
pub(crate) struct TaskEvents(PerfRing);

impl TaskEvents {
    /// Those of all processes on a CPU.
    pub fn open(cpu: u32) -> io::Result<Self> {
        PerfRing::new(perf::open_task_events(cpu)?, PAGES).map(Self)
    }

    /// Readable when something has happened.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd()
    }

    /// Appends each event since the last time, with the time at which it happened.
    fn drain(&mut self, into: &mut Vec<(u64, TaskEvent)>) {
        self.0.drain(|record| {
            into.extend(time(record).zip(parse(record)));
            ControlFlow::Continue(())
        });
    }
}

/// What has happened on all CPUs since the last time, in its order.
///
/// A process moves from one CPU to another: what is read of one CPU may have happened after
/// something that another has, but by the time that it is read the other has it. So a second look
/// finds whatever belongs before what the first one found.
pub(crate) fn drain_all(cpus: &mut [TaskEvents]) -> Vec<TaskEvent> {
    let mut events = Vec::new();
    for _ in 0..2 {
        cpus.iter_mut().for_each(|cpu| cpu.drain(&mut events));
    }
    events.sort_by_key(|(time, _)| *time);
    events.into_iter().map(|(_, event)| event).collect()
}

/// When a record was written: its last word.
fn time(record: &[u8]) -> Option<u64> {
    record.last_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

fn parse(record: &[u8]) -> Option<TaskEvent> {
    let word = |at: usize| record.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let long = |at: usize| record.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes);
    let misc = record.get(4..6)?.try_into().ok().map(u16::from_ne_bytes)?;
    let pid = word(HEADER)?;
    match word(0)? {
        COMM if misc & COMM_EXEC != 0 => Some(TaskEvent::Exec { pid }),
        // Other threads than the first may end while the process goes on.
        EXIT => (word(HEADER + 8)? == pid).then_some(TaskEvent::Exit { pid }),
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
                file: FileId {
                    device: (word(HEADER + 32)?, word(HEADER + 36)?),
                    inode: long(HEADER + 40)?,
                },
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
        map[40..48].copy_from_slice(&[8, 0, 0, 0, 1, 0, 0, 0]);
        map[48..56].copy_from_slice(&42u64.to_ne_bytes());
        map.extend(b"/bin/x\0\0");
        let path = b"/bin/x".to_vec();
        let file = FileId { device: (8, 1), inode: 42 };
        let event =
            TaskEvent::Map { pid: 7, start: 0x1000, length: 0x200, offset: 0x300, file, path };
        assert_eq!(parse(&map), Some(event));
        for end in 0..map.len() {
            parse(&map[..end]);
        }
        let fork = |pid: u32, parent: u32| {
            [7u32, 0, pid, parent].iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>()
        };
        assert_eq!(parse(&fork(9, 8)), Some(TaskEvent::Fork { pid: 9, parent: 8 }));
        assert_eq!(parse(&fork(9, 9)), None);
        let exit = |pid: u32, thread: u32| {
            let words = [4u32, 0, pid, 1, thread];
            words.iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>()
        };
        assert_eq!(parse(&exit(9, 9)), Some(TaskEvent::Exit { pid: 9 }));
        assert_eq!(parse(&exit(9, 10)), None);
    }
}
