//! `uprobe` and `uretprobe`: the uprobe PMU, or one link for many places in a file.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rbtrace_probes_ebpf::plan::{Probe, Target, UserFunction};

use super::{Attachment, Context, Site};
use crate::error::{Error, Unsupported};
use crate::features::{self, Need};
use crate::symbols::{Binary, find_binary};
use crate::sys::{link, perf};

/// Name of the PMU.
const PMU: &str = "uprobe";

/// Attaches to one place in a file.
pub(super) fn attach(
    site: &Site<'_>,
    function: &UserFunction,
    on_return: bool,
) -> Result<Attachment, Error> {
    let pid = function.pid.or(site.context.pid);
    let binary = Binary::open(&find_binary(&function.binary, pid)?)?;
    let offset = place(&binary, function)?;
    let place = Place { offset, semaphore: 0, probe: site.probe };
    attach_at(site, binary.path(), &place, pid, on_return)
}

/// Attaches to one place in a file, by its offset.
pub(super) fn attach_at(
    site: &Site<'_>,
    path: &Path,
    place: &Place,
    pid: Option<u32>,
    on_return: bool,
) -> Result<Attachment, Error> {
    let Some(pmu) = features::pmu_type(PMU) else { return Err(no_uprobes()) };
    let name = c_path(path)?;
    let spec = perf::ProbeSpec {
        pmu,
        return_bit: on_return.then(|| features::pmu_return_bit(PMU)),
        semaphore: place.semaphore,
        name: Some(&name),
        offset: place.offset,
        pid,
    };
    let event = perf::open_probe(&spec).map_err(|e| explain(path, place, e, pid))?;
    site.attach_event(event)
}

/// Attaches to many places, by one link for each file and process.
pub(super) fn attach_many(
    program: BorrowedFd<'_>,
    probes: &[(u32, &Probe)],
    context: &Context,
    on_return: bool,
) -> Result<Attachment, Error> {
    link_places(program, &by_file(probes, context)?, on_return)
}

/// Attaches to many places, by one link for each file and process.
pub(super) fn link_places(
    program: BorrowedFd<'_>,
    places: &Places,
    on_return: bool,
) -> Result<Attachment, Error> {
    let mut all = Attachment::default();
    for ((path, pid), places) in places {
        let path = c_path(path)?;
        let spec = link::UprobeMulti {
            path: &path,
            offsets: &places.iter().map(|place| place.offset).collect::<Vec<_>>(),
            semaphores: &places.iter().map(|place| place.semaphore).collect::<Vec<_>>(),
            cookies: &places.iter().map(|place| u64::from(place.probe)).collect::<Vec<_>>(),
            pid: *pid,
            on_return,
        };
        let link = link::uprobe_multi(program, &spec)
            .map_err(|e| Error::privileged("attach to user functions", Need::Tracing, e))?;
        all.links.push(link);
    }
    Ok(all)
}

/// A place in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Where in the file the counter is that the kernel raises while the probe is attached; 0:
    /// there is none.
    pub semaphore: u64,
    /// Index of the probe in the plan.
    pub probe: u32,
}

/// Places by file and process.
pub(super) type Places = BTreeMap<(PathBuf, Option<u32>), Vec<Place>>;

fn by_file(probes: &[(u32, &Probe)], context: &Context) -> Result<Places, Error> {
    let mut binaries: BTreeMap<(&str, Option<u32>), Binary> = BTreeMap::new();
    let mut places = Places::new();
    for (index, probe) in probes {
        let (Target::Uprobe(function) | Target::Uretprobe(function)) = &probe.target else {
            continue;
        };
        let pid = function.pid.or(context.pid);
        let key = (function.binary.as_str(), pid);
        let binary = match binaries.entry(key) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(Binary::open(&find_binary(&function.binary, pid)?)?)
            }
        };
        let offset = place(binary, function)?;
        let place = Place { offset, semaphore: 0, probe: *index };
        places.entry((binary.path().to_owned(), pid)).or_default().push(place);
    }
    Ok(places)
}

/// Where in the file a probe is, in bytes.
fn place(binary: &Binary, function: &UserFunction) -> Result<u64, Error> {
    let (found, offset) = match &function.symbol {
        Some(symbol) => (binary.function(symbol)?, function.offset),
        None => match binary.function_at(function.offset) {
            Some(found) => (found.clone(), function.offset - found.address),
            // Code without symbols: nothing can be checked.
            None => return binary.file_offset(function.offset),
        },
    };
    let bad = |reason: String| Error::BadLocation {
        place: format!("{}+{offset:#x}", found.name),
        reason,
    };
    // A symbol without a size says nothing of where its function ends.
    if found.size > 0 && offset >= found.size {
        return Err(bad(format!("the function has only {} bytes", found.size)));
    }
    if offset > 0 && !binary.is_instruction(&found, offset)? {
        return Err(bad("no instruction begins there".into()));
    }
    binary.file_offset(found.address.saturating_add(offset))
}

fn c_path(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::BadLocation {
        place: path.display().to_string(),
        reason: "the path contains a NUL".into(),
    })
}

fn explain(path: &Path, place: &Place, error: io::Error, pid: Option<u32>) -> Error {
    let place = format!("{} at offset {:#x} of the file", path.display(), place.offset);
    let reason = match error.raw_os_error() {
        Some(libc::ESRCH) => return Error::NoProcess(pid.unwrap_or(0)),
        Some(libc::EINVAL | libc::EILSEQ) => "the kernel finds no instruction there",
        Some(libc::EOPNOTSUPP | 524) => "the kernel cannot replace this instruction",
        Some(libc::EIO) => "the file cannot be read there",
        _ => {
            return Error::privileged(format!("open a uprobe on {place}"), Need::Tracing, error);
        }
    };
    Error::BadLocation { place, reason: reason.into() }
}

fn no_uprobes() -> Error {
    Unsupported { feature: "uprobes", since: None, config: Some("CONFIG_UPROBES"), hint: None }
        .into()
}
