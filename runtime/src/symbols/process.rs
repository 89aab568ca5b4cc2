//! What processes have mapped to execute, remembered after their end.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::sys::tasks::TaskEvent;

/// Processes that are remembered at most.
const MOST: usize = 4096;
/// Files that are kept open at most.
const MOST_OPEN: usize = 2048;
/// Processes that a file is looked for through, at most: one, its parent and so on.
const MOST_ANCESTORS: usize = 8;

/// Which file a mapping is of, as the kernel reports it: numbers of the device and the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    /// Major and minor number.
    pub device: (u32, u32),
    /// Number of the inode.
    pub inode: u64,
}

/// Where a process has mapped a file.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    /// The process, its parent and so on: where it has ended, others may still see the file.
    pids: &'a [u32],
    start: u64,
    end: u64,
    /// As the process sees it.
    path: &'a Path,
    file: FileId,
}

impl Place<'_> {
    /// Opens the file, with the path that it has for the process. A path alone does not say which
    /// file is meant: the process may be in another mount namespace, or gone, or the file replaced.
    /// Device numbers are no help, since file systems with subvolumes report others to stat(2).
    fn open(&self) -> Option<(File, PathBuf)> {
        let shown = self.path.to_string_lossy();
        let shown = PathBuf::from(shown.strip_suffix(" (deleted)").unwrap_or(&shown));
        let is_meant = |file: &File| file.metadata().is_ok_and(|m| m.ino() == self.file.inode);
        // The mapping itself names the right file, whatever became of the path.
        let by_mapping = |pid: &u32| {
            let mapped = format!("/proc/{pid}/map_files/{:x}-{:x}", self.start, self.end);
            let is_named = fs::read_link(&mapped).is_ok_and(|name| name == self.path);
            File::open(&mapped).ok().filter(|file| is_named || is_meant(file))
        };
        let by_name = |path: PathBuf| File::open(path).ok().filter(&is_meant);
        let from_a_root = || {
            let below = shown.strip_prefix("/").ok()?;
            let roots = self.pids.iter().map(|pid| PathBuf::from(format!("/proc/{pid}/root")));
            roots.map(|root| root.join(below)).find_map(by_name)
        };
        let opened = self.pids.first().and_then(by_mapping);
        let opened = opened.or_else(from_a_root).or_else(|| by_name(shown.clone()));
        Some((opened?, shown))
    }
}

/// A file that code is mapped from, kept open: it stays readable when its name is gone, or is
/// another file's in this mount namespace.
#[derive(Debug)]
pub(crate) struct CodeFile {
    id: FileId,
    /// As the process sees it.
    path: PathBuf,
    readable: PathBuf,
    _open: Option<File>,
}

impl CodeFile {
    /// Opens the file of a mapping; `None` if it cannot be had any more. Unless it is to be kept open,
    /// only one that is at its path in this mount namespace will do.
    fn open(place: &Place<'_>, keep: bool) -> Option<Self> {
        let (open, path) = place.open()?;
        let id = |m: fs::Metadata| (m.dev(), m.ino());
        // By its own name, files with its debug information can be found beside it.
        let is_here = fs::metadata(&path).ok().map(id) == open.metadata().ok().map(id);
        let readable = match (is_here, keep) {
            (true, _) => path.clone(),
            (false, true) => PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd())),
            (false, false) => return None,
        };
        Some(Self { id: place.file, path, readable, _open: keep.then_some(open) })
    }

    /// Which file it is.
    pub fn id(&self) -> FileId {
        self.id
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

/// What code is mapped from.
#[derive(Clone, Debug)]
pub(crate) enum Code {
    /// A file.
    File(Arc<CodeFile>),
    /// The kernel: vdso(7).
    Vdso,
    /// Code that a program made itself, or that is of a file which cannot be had: the process had
    /// ended before it was opened and there is none of its name.
    Other,
}

/// How the kernel calls the vDSO.
const VDSO: &str = "[vdso]";

/// A part of a process's address space that holds code.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// What it is mapped from.
    pub code: Code,
}

impl Mapping {
    /// The file that it is of.
    pub fn file(&self) -> Option<&CodeFile> {
        match &self.code {
            Code::File(file) => Some(file),
            Code::Vdso | Code::Other => None,
        }
    }

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
    pub fn read(pid: u32, files: &mut Files) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        // One that has ended but was not waited for has none.
        let all: Vec<Mapping> = text.lines().filter_map(|l| mapping(pid, l, files)).collect();
        (!all.is_empty()).then_some(Self(all))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.iter()
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

/// Whether a process whose first thread has ended goes on.
fn has_threads(pid: u32) -> bool {
    fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1)
}

/// An executable mapping in a line of /proc/PID/maps.
fn mapping(pid: u32, line: &str, files: &mut Files) -> Option<Mapping> {
    let mut parts = line.split_ascii_whitespace();
    let (start, end) = parts.next()?.split_once('-')?;
    if !parts.next()?.contains('x') {
        return None;
    }
    let hex = |s| u64::from_str_radix(s, 16).ok();
    let (start, end, offset) = (hex(start)?, hex(end)?, hex(parts.next()?)?);
    let (major, minor) = parts.next()?.split_once(':')?;
    let device = (hex(major)? as u32, hex(minor)? as u32);
    let file = FileId { device, inode: parts.next()?.parse().ok()? };
    let path = line.find('/').and_then(|at| line.get(at..)).map(Path::new);
    let code = match path {
        Some(path) => files.code(&Place { pids: &[pid], start, end, path, file }),
        None if line.ends_with(VDSO) => Code::Vdso,
        None => Code::Other,
    };
    Some(Mapping { start, end, offset, code })
}

/// Files that code is mapped from, each opened once.
#[derive(Debug, Default)]
pub(crate) struct Files(HashMap<FileId, Weak<CodeFile>>);

impl Files {
    /// The file of a mapping; `None` if it cannot be had any more.
    fn of(&mut self, place: &Place<'_>) -> Option<Arc<CodeFile>> {
        if let Some(known) = self.0.get(&place.file).and_then(Weak::upgrade) {
            return Some(known);
        }
        if self.0.len() >= MOST_OPEN {
            self.tidy();
        }
        let file = Arc::new(CodeFile::open(place, self.0.len() < MOST_OPEN)?);
        self.0.insert(place.file, Arc::downgrade(&file));
        Some(file)
    }

    /// What a mapping of a file is mapped from.
    fn code(&mut self, place: &Place<'_>) -> Code {
        self.of(place).map_or(Code::Other, Code::File)
    }

    /// Forgets files that nobody has open.
    fn tidy(&mut self) {
        self.0.retain(|_, file| file.strong_count() > 0);
    }
}

/// What is known of processes.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    all: HashMap<u32, Mappings>,
    /// In the order in which they were first seen.
    order: VecDeque<u32>,
    /// By process.
    parents: HashMap<u32, u32>,
    files: Files,
    /// Processes that are followed, those that they have started among them.
    followed: HashSet<u32>,
    /// Processes that are or were followed, and of which something has changed since the last look.
    changed: BTreeSet<u32>,
}

impl Processes {
    /// The mapping that holds an address of a process. What it maps is read again when the address
    /// is in no known place.
    pub fn mapping(&mut self, pid: u32, address: u64) -> Option<Mapping> {
        if let Some(found) = self.all.get(&pid).and_then(|m| m.find(address)) {
            return Some(found.clone());
        }
        let read = Mappings::read(pid, &mut self.files)?;
        let found = read.find(address).cloned();
        self.set(pid, read);
        found
    }

    /// Takes note of what a process did.
    pub fn note(&mut self, event: TaskEvent) {
        match event {
            TaskEvent::Exec { pid } => self.set(pid, Mappings::default()),
            TaskEvent::Exit { pid } => {
                if self.followed.contains(&pid) && !has_threads(pid) {
                    self.unfollow(pid);
                }
            }
            TaskEvent::Fork { pid, parent } => {
                match self.followed.contains(&parent) {
                    true => self.follow(pid),
                    false => self.unfollow(pid),
                }
                if self.parents.len() > 4 * MOST {
                    self.parents.retain(|pid, _| self.all.contains_key(pid));
                }
                self.parents.insert(pid, parent);
                if let Some(inherited) = self.all.get(&parent).cloned() {
                    self.set(pid, inherited);
                }
            }
            TaskEvent::Map { pid, start, length, offset, file, path } => {
                let path = Path::new(OsStr::from_bytes(&path));
                let end = start.saturating_add(length);
                // `//anon` is how the kernel calls memory without a file.
                let is_file = path.is_absolute() && !path.starts_with("//anon");
                let pids = self.ancestry(pid);
                let place = Place { pids: &pids, start, end, path, file };
                let code = match is_file {
                    true => self.files.code(&place),
                    false if path == Path::new(VDSO) => Code::Vdso,
                    false => Code::Other,
                };
                let new = Mapping { start, end, offset, code };
                match self.all.get_mut(&pid) {
                    Some(known) => known.add(new),
                    None => self.set(pid, Mappings(vec![new])),
                }
                self.mark(pid);
            }
        }
    }

    /// A process, its parent and so on, as far as they are known.
    fn ancestry(&self, pid: u32) -> Vec<u32> {
        let parents = std::iter::successors(Some(pid), |pid| self.parents.get(pid).copied());
        parents.take(MOST_ANCESTORS).collect()
    }

    /// Whether anything is known of a process.
    pub fn knows(&self, pid: u32) -> bool {
        self.all.contains_key(&pid)
    }

    /// Follows a process, and those that it starts.
    pub fn follow(&mut self, pid: u32) {
        self.followed.insert(pid);
        self.mark(pid);
    }

    fn unfollow(&mut self, pid: u32) {
        self.mark(pid);
        self.followed.remove(&pid);
    }

    fn mark(&mut self, pid: u32) {
        if self.followed.contains(&pid) {
            self.changed.insert(pid);
        }
    }

    /// Processes that are followed and have changed since the last time, with what they have mapped
    /// now; nothing of one that is followed no more.
    pub fn take_changed(&mut self) -> Vec<(u32, Option<Mappings>)> {
        let changed = std::mem::take(&mut self.changed);
        let mut now = |pid: u32| {
            if !self.followed.contains(&pid) {
                return None;
            }
            if !self.knows(pid) {
                self.remember(pid);
            }
            self.all.get(&pid).cloned()
        };
        let all = changed.into_iter().map(|pid| (pid, now(pid))).collect();
        // What was read just now is no change.
        self.changed.clear();
        all
    }

    /// Reads what a process has mapped while it is there.
    pub fn remember(&mut self, pid: u32) {
        if let Some(read) = Mappings::read(pid, &mut self.files) {
            self.set(pid, read);
        }
    }

    fn set(&mut self, pid: u32, mappings: Mappings) {
        self.mark(pid);
        if self.all.insert(pid, mappings).is_none() {
            self.order.push_back(pid);
        }
        // The oldest makes room.
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
            self.files.tidy();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file, and which one it is.
    fn a_file() -> (PathBuf, FileId) {
        let path = fs::canonicalize("/bin/sleep").expect("a program");
        let inode = fs::metadata(&path).expect("a program").ino();
        (path, FileId { device: (8, 1), inode })
    }

    #[test]
    fn reads_lines_of_maps() {
        let (path, FileId { inode, .. }) = a_file();
        let read = |line: &str| mapping(0, line, &mut Files::default());
        let line = format!("7f00-7fff r-xp 00001000 08:01 {inode}      {}", path.display());
        let found = read(&line).expect("a mapping");
        assert_eq!((found.start, found.offset_of(0x7f10)), (0x7f00, 0x1010));
        assert_eq!(found.file().expect("a file").path(), path);
        assert!(read("7f00-7fff rw-p 00001000 08:01 42 /lib/x.so").is_none());
        let code = |line| read(line).expect("code").code;
        assert!(matches!(code("7f00-7fff r-xp 0 00:00 0  [vdso]"), Code::Vdso));
        assert!(matches!(code("7f00-7fff r-xp 0 00:00 0"), Code::Other));
        assert!(read("nonsense").is_none());
    }

    #[test]
    fn another_file_of_the_same_name_is_not_taken() {
        let (path, FileId { inode, .. }) = a_file();
        let other = format!("7f00-7fff r-xp 0 08:01 {}  {}", inode + 1, path.display());
        let found = mapping(0, &other, &mut Files::default()).expect("a mapping");
        assert!(found.file().is_none());
    }

    #[test]
    fn what_a_process_did_is_remembered() {
        let (path, file) = a_file();
        let map = |pid, start, path: &Path| TaskEvent::Map {
            pid,
            start,
            length: 0x1000,
            offset: 0,
            file,
            path: path.as_os_str().as_bytes().to_vec(),
        };
        let mut all = Processes::default();
        // No process has such a number, so nothing is read of it.
        let (pid, child) = (u32::MAX, u32::MAX - 1);
        all.note(map(pid, 0x1000, &path));
        all.note(map(pid, 0x4000, Path::new("//anon")));
        all.note(TaskEvent::Fork { pid: child, parent: pid });
        all.note(TaskEvent::Exec { pid });
        assert!(all.knows(pid) && all.mapping(pid, 0x1000).is_none());
        let mapping = all.mapping(child, 0x1fff).expect("inherited");
        assert_eq!(mapping.file().expect("of a file").path(), path);
        assert!(all.mapping(child, 0x4000).is_some_and(|m| m.file().is_none()));
    }

    #[test]
    fn those_that_are_followed_and_what_they_start() {
        let (pid, child, other) = (u32::MAX, u32::MAX - 1, u32::MAX - 2);
        let mut all = Processes::default();
        let changed = |all: &mut Processes| -> Vec<(u32, Option<usize>)> {
            let changed = all.take_changed().into_iter();
            changed.map(|(pid, mappings)| (pid, mappings.map(|m| m.iter().count()))).collect()
        };
        let map = |pid| TaskEvent::Map {
            pid,
            start: 0x1000,
            length: 0x1000,
            offset: 0,
            file: FileId { device: (0, 0), inode: 0 },
            path: b"//anon".to_vec(),
        };
        all.note(map(pid));
        all.follow(pid);
        assert_eq!(changed(&mut all), [(pid, Some(1))]);
        all.note(map(other));
        assert_eq!(changed(&mut all), []);
        all.note(TaskEvent::Fork { pid: child, parent: pid });
        assert_eq!(changed(&mut all), [(child, Some(1))]);
        all.note(TaskEvent::Exec { pid: child });
        assert_eq!(changed(&mut all), [(child, Some(0))]);
        all.note(TaskEvent::Exit { pid: child });
        assert_eq!(changed(&mut all), [(child, None)]);
        // The number may come again, as that of another.
        all.note(TaskEvent::Fork { pid, parent: other });
        assert_eq!(changed(&mut all), [(pid, None)]);
    }

    #[test]
    fn later_mappings_replace_earlier_ones() {
        let at = |start, end| Mapping { start, end, offset: start, code: Code::Other };
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
        let read = Mappings::read(child.id(), &mut Files::default()).expect("it runs");
        let file = read.0.iter().filter_map(Mapping::file).find(|f| f.path() == path);
        let bytes = file.and_then(|file| fs::read(file.readable()).ok());
        child.kill().and_then(|()| child.wait()).expect("it ends");
        // Opening through map_files needs privileges; without them nothing is found.
        assert!(bytes.is_none_or(|bytes| bytes.starts_with(b"\x7fELF")));
    }
}
