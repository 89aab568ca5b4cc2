//! `iter`: a link that makes files, each of which goes over the objects once.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbtrace_probes_ebpf::profile::KernelVersion;

use super::{Attachment, Site};
use crate::error::{Error, Unsupported};
use crate::features::Need;
use crate::sys::iter::{self, IteratorInfo};

/// First kernel that goes over the tasks of one process.
const OF_PROCESS_SINCE: KernelVersion = KernelVersion::new(6, 1);
/// Where pins without a folder go.
const PINS: &str = "/sys/fs/bpf";
/// Objects that are gone over before anything else gets its turn: a byte is read for each, so that
/// fewer bytes are the end.
const ROUND: usize = 64;
/// Bytes of the kernel's buffer: no read takes more (`bpf_seq_read` in kernel/bpf/bpf_iter.c).
const BUFFER: usize = 8 << 12;

/// What an iterator that is attached is going to do.
#[derive(Debug)]
pub(crate) enum Run {
    /// It has been opened and goes over the objects as it is read.
    Reading {
        /// What is read.
        file: OwnedFd,
        /// Bytes of a read.
        round: usize,
    },
    /// It is to be left to others.
    Pinning(PathBuf),
}

/// What a step came to.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is more.
    More,
    /// All objects have been gone over.
    Done,
    /// Others find it there.
    Pinned(PathBuf),
}

/// Attaches to an iterator, which does not run before it is told to.
pub(super) fn attach(
    site: &Site<'_>,
    object: &str,
    pin: Option<&str>,
) -> Result<Attachment, Error> {
    let failed = |e| Error::privileged(format!("attach to iterator {object}"), Need::Tracing, e);
    let info = info(object, site)?;
    let link = iter::link_iterator(site.program, info).map_err(failed)?;
    let run = match pin {
        Some(pin) => Run::Pinning(Path::new(PINS).join(pin)),
        None => Run::Reading {
            file: iter::open_iterator(link.as_fd()).map_err(failed)?,
            // The kernel does not go on with cgroups where a read has ended.
            round: if object == "cgroup" { BUFFER } else { ROUND },
        },
    };
    Ok(Attachment { iterator: Some(run), ..Attachment::by_link(link) })
}

/// What the kernel is told beside the program.
fn info(object: &str, site: &Site<'_>) -> Result<Option<IteratorInfo>, Error> {
    match (object, site.context.pid) {
        ("cgroup", _) => Ok(Some(IteratorInfo::AllCgroups)),
        ("task" | "task_file" | "task_vma", Some(pid)) => {
            if site.context.kernel < OF_PROCESS_SINCE {
                return Err(Unsupported {
                    feature: "iterators over one process",
                    since: Some(OF_PROCESS_SINCE),
                    config: None,
                    hint: Some(format!("a predicate does: /ctx.task.tgid == {pid}/")),
                }
                .into());
            }
            Ok(Some(IteratorInfo::Process(pid)))
        }
        _ => Ok(None),
    }
}

impl Run {
    /// Goes over some objects, or pins the link.
    pub fn step(&self, links: &[OwnedFd]) -> Result<Step, Error> {
        match self {
            Run::Reading { file, round } => read(file, *round),
            Run::Pinning(path) => {
                let link = links.first().ok_or_else(|| Error::Malformed("no link".into()))?;
                pin(link, path)?;
                Ok(Step::Pinned(path.clone()))
            }
        }
    }
}

fn read(file: &OwnedFd, round: usize) -> Result<Step, Error> {
    let mut marks = [0u8; BUFFER];
    let marks = marks.get_mut(..round).unwrap_or_default();
    match rustix::io::read(file, marks) {
        // To read on could go over the last task again (Linux 6.1, files of one process).
        Ok(read) if read < round => Ok(Step::Done),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(Step::More),
        Err(e) => Err(Error::system("read an iterator")(e.into())),
    }
}

fn pin(link: &OwnedFd, path: &Path) -> Result<(), Error> {
    let bad = |reason: &str| Error::Pin { path: path.display().to_string(), reason: reason.into() };
    let name = CString::new(path.as_os_str().as_encoded_bytes());
    let name = name.map_err(|_| bad("the path contains a NUL"))?;
    iter::pin(link.as_fd(), &name).map_err(|e| match e.raw_os_error() {
        Some(libc::EEXIST) => bad("there is a file already; removing it ends what is pinned there"),
        Some(libc::ENOENT | libc::ENOTDIR) => bad("there is no such folder"),
        Some(libc::EPERM) if !in_bpffs(path) => {
            bad("it is in no BPF file system; `mount -t bpf bpf /sys/fs/bpf` makes one")
        }
        _ => Error::privileged(format!("pin {}", path.display()), Need::Bpf, e),
    })
}

/// Whether the folder of a path is in a BPF file system.
fn in_bpffs(path: &Path) -> bool {
    /// `BPF_FS_MAGIC` of linux/magic.h.
    const MAGIC: i64 = 0xcafe_4a11;
    let folder = path.parent().unwrap_or(path);
    rustix::fs::statfs(folder).is_ok_and(|found| found.f_type == MAGIC)
}
