//! What processes have mapped to execute, remembered after their end.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::path_in_process;
use crate::sys::tasks::TaskEvent;

/// Processes that are remembered at most.
const MOST: usize = 4096;

/// A file that code is mapped from, kept open: it stays readable when its name is gone, or is
/// another file's in this mount namespace.
#[derive(Debug)]
pub(crate) struct CodeFile {
    /// As the process sees it.
    path: PathBuf,
    readable: PathBuf,
    _open: Option<File>,
}

impl CodeFile {
    /// Opens the file of a mapping.
    fn open(pid: u32, range: &str, path: &Path) -> Self {
        let shown = path.to_string_lossy();
        let shown = Path::new(shown.strip_suffix(" (deleted)").unwrap_or(&shown)).to_owned();
        // The mapping itself names the right file, whatever became of the path.
        let mapped = File::open(format!("/proc/{pid}/map_files/{range}"));
        let theirs = path_in_process(&shown, Some(pid));
        let open = mapped.or_else(|_| File::open(&theirs)).ok();
        let id = |m: fs::Metadata| (m.dev(), m.ino());
        let same = |path: &Path| {
            let opened = open.as_ref().and_then(|file| file.metadata().ok()).map(id);
            opened.is_some() && fs::metadata(path).ok().map(id) == opened
        };
        // By its own name, files with its debug information can be found beside it.
        let readable = match &open {
            Some(file) if !same(&shown) => {
                PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
            }
            _ => shown.clone(),
        };
        Self { path: shown, readable, _open: open }
    }

    /// A file by its path alone.
    fn by_path(path: &Path) -> Self {
        Self { path: path.to_owned(), readable: path.to_owned(), _open: None }
    }

    /// Path as the process sees it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path by which this process can read it.
    pub fn readable(&self) -> &Path {
        &self.readable
    }
}

/// A part of a process's address space that holds code.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// The file; absent for the vDSO and for code that a program made itself.
    pub file: Option<Arc<CodeFile>>,
}

impl Mapping {
    /// Where in the file an address of the mapping is.
    pub fn offset_of(&self, address: u64) -> u64 {
        address.wrapping_sub(self.start).wrapping_add(self.offset)
    }
}

/// The code of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mappings(Vec<Mapping>);

impl Mappings {
    /// Those of a running process; `None` if it has ended.
    pub fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        // One that has ended but was not waited for has none.
        let all: Vec<Mapping> = text.lines().filter_map(|line| mapping(pid, line)).collect();
        (!all.is_empty()).then_some(Self(all))
    }

    /// The mapping that holds an address.
    pub fn find(&self, address: u64) -> Option<&Mapping> {
        self.0.iter().find(|m| (m.start..m.end).contains(&address))
    }

    /// Adds a mapping in place of what was there.
    fn add(&mut self, new: Mapping) {
        self.0.retain(|m| m.end <= new.start || new.end <= m.start);
        self.0.push(new);
    }
}

/// An executable mapping in a line of /proc/PID/maps.
fn mapping(pid: u32, line: &str) -> Option<Mapping> {
    let mut parts = line.split_ascii_whitespace();
    let range = parts.next()?;
    let (start, end) = range.split_once('-')?;
    if !parts.next()?.contains('x') {
        return None;
    }
    let hex = |s| u64::from_str_radix(s, 16).ok();
    let offset = hex(parts.next()?)?;
    let path = line.find('/').and_then(|at| line.get(at..));
    let file = path.map(|path| Arc::new(CodeFile::open(pid, range, Path::new(path))));
    Some(Mapping { start: hex(start)?, end: hex(end)?, offset, file })
}

/// What is known of processes.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    all: HashMap<u32, Mappings>,
    /// In the order in which they were first seen.
    order: VecDeque<u32>,
}

impl Processes {
    /// The mapping that holds an address of a process. What it maps is read again when the address
    /// is in no known place.
    pub fn mapping(&mut self, pid: u32, address: u64) -> Option<Mapping> {
        if let Some(found) = self.all.get(&pid).and_then(|m| m.find(address)) {
            return Some(found.clone());
        }
        let read = Mappings::read(pid)?;
        let found = read.find(address).cloned();
        self.set(pid, read);
        found
    }

    /// Takes note of what a process did.
    pub fn note(&mut self, event: TaskEvent) {
        match event {
            TaskEvent::Exec { pid } => self.set(pid, Mappings::default()),
            TaskEvent::Fork { pid, parent } => {
                if let Some(inherited) = self.all.get(&parent).cloned() {
                    self.set(pid, inherited);
                }
            }
            TaskEvent::Map { pid, start, length, offset, path } => {
                let path = Path::new(OsStr::from_bytes(&path));
                // `//anon` is how the kernel calls memory without a file.
                let is_file = path.is_absolute() && !path.starts_with("//anon");
                let file = is_file.then(|| Arc::new(CodeFile::by_path(path)));
                let new = Mapping { start, end: start.saturating_add(length), offset, file };
                match self.all.get_mut(&pid) {
                    Some(known) => known.add(new),
                    None => self.set(pid, Mappings(vec![new])),
                }
            }
        }
    }

    /// Whether anything is known of a process.
    pub fn knows(&self, pid: u32) -> bool {
        self.all.contains_key(&pid)
    }

    /// Reads what a process has mapped while it is there.
    pub fn remember(&mut self, pid: u32) {
        if let Some(read) = Mappings::read(pid) {
            self.set(pid, read);
        }
    }

    fn set(&mut self, pid: u32, mappings: Mappings) {
        if self.all.insert(pid, mappings).is_none() {
            self.order.push_back(pid);
        }
        // The oldest makes room.
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_maps() {
        let line = "7f00-7fff r-xp 00001000 08:01 42      /lib/x y.so";
        let found = mapping(0, line).expect("a mapping");
        assert_eq!((found.start, found.offset_of(0x7f10)), (0x7f00, 0x1010));
        assert_eq!(found.file.expect("a file").path(), Path::new("/lib/x y.so"));
        assert!(mapping(0, "7f00-7fff rw-p 00001000 08:01 42 /lib/x.so").is_none());
        assert!(mapping(0, "7f00-7fff r-xp 0 00:00 0  [vdso]").expect("code").file.is_none());
        assert!(mapping(0, "nonsense").is_none());
    }

    #[test]
    fn what_a_process_did_is_remembered() {
        let map = |pid, start, path: &str| TaskEvent::Map {
            pid,
            start,
            length: 0x1000,
            offset: 0,
            path: path.into(),
        };
        let mut all = Processes::default();
        // No process has such a number, so nothing is read of it.
        let (pid, child) = (u32::MAX, u32::MAX - 1);
        all.note(map(pid, 0x1000, "/bin/x"));
        all.note(map(pid, 0x4000, "//anon"));
        all.note(TaskEvent::Fork { pid: child, parent: pid });
        all.note(TaskEvent::Exec { pid });
        assert!(all.knows(pid) && all.mapping(pid, 0x1000).is_none());
        let file = all.mapping(child, 0x1fff).and_then(|m| m.file).expect("inherited");
        assert_eq!(file.path(), Path::new("/bin/x"));
        assert!(all.mapping(child, 0x4000).is_some_and(|m| m.file.is_none()));
    }

    #[test]
    fn later_mappings_replace_earlier_ones() {
        let at = |start, end| Mapping { start, end, offset: start, file: None };
        let mut all = Mappings::default();
        all.add(at(0x1000, 0x3000));
        all.add(at(0x2000, 0x4000));
        assert!(all.find(0x1000).is_none());
        assert_eq!(all.find(0x2fff).map(|m| m.offset), Some(0x2000));
    }

    #[test]
    fn a_deleted_file_stays_readable() {
        let path = std::env::temp_dir().join(format!("rbtrace-deleted-{}", std::process::id()));
        fs::copy("/bin/sleep", &path).expect("a copy");
        let mut child = std::process::Command::new(&path).arg("100").spawn().expect("it runs");
        // exec has happened once the program is what the link says.
        while fs::read_link(format!("/proc/{}/exe", child.id())).ok().as_ref() != Some(&path) {
            std::thread::yield_now();
        }
        fs::remove_file(&path).expect("it was there");
        let read = Mappings::read(child.id()).expect("it runs");
        let file = read.0.iter().filter_map(|m| m.file.as_ref()).find(|f| f.path() == path);
        let bytes = file.and_then(|file| fs::read(file.readable()).ok());
        child.kill().and_then(|()| child.wait()).expect("it ends");
        // Opening through map_files needs privileges; without them nothing is found.
        assert!(bytes.is_none_or(|bytes| bytes.starts_with(b"\x7fELF")));
    }
}
