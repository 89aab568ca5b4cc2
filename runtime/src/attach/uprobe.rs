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
use crate::symbols::{Binary, Function, find_binary};
use crate::sys::{link, perf};

/// Name of the PMU.
const PMU: &str = "uprobe";

/// Attaches to one function or instruction in a file.
pub(super) fn attach(
    site: &Site<'_>,
    function: &UserFunction,
    on_return: bool,
) -> Result<Attachment, Error> {
    let pid = function.pid.or(site.context.pid);
    let binary = Binary::open(&find_binary(&function.binary, pid)?)?;
    let found = places(&binary, function, on_return)?;
    let mut all = Attachment::default();
    for offset in found.offsets {
        let place = Place { offset, semaphore: 0, probe: site.probe };
        let one = attach_at(site, binary.path(), &place, pid, found.on_return)?;
        all.links.extend(one.links);
        all.events.extend(one.events);
    }
    Ok(all)
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

/// Attaches to many functions or instructions, by one link for each file and process, and another for
/// what returns in another way.
pub(super) fn attach_many(
    program: BorrowedFd<'_>,
    probes: &[(u32, &Probe)],
    context: &Context,
    on_return: bool,
) -> Result<Attachment, Error> {
    let [reached, returned] = by_file(probes, context, on_return)?;
    let mut all = link_places(program, &reached, false)?;
    all.links.extend(link_places(program, &returned, true)?.links);
    Ok(all)
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

/// Places that are probed when they are reached, and those whose functions are when they return.
fn by_file(
    probes: &[(u32, &Probe)],
    context: &Context,
    on_return: bool,
) -> Result<[Places; 2], Error> {
    let mut binaries: BTreeMap<(&str, Option<u32>), Binary> = BTreeMap::new();
    let mut all = [Places::new(), Places::new()];
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
        let found = places(binary, function, on_return)?;
        let [reached, returned] = &mut all;
        let kind = if found.on_return { returned } else { reached };
        let places = kind.entry((binary.path().to_owned(), pid)).or_default();
        let place = |offset| Place { offset, semaphore: 0, probe: *index };
        places.extend(found.offsets.into_iter().map(place));
    }
    Ok(all)
}

/// Where in a file a probe is.
struct Found {
    /// In bytes from the start of the file.
    offsets: Vec<u64>,
    /// It fires when the function that begins there returns.
    on_return: bool,
}

/// Where in the file a probe is.
fn places(binary: &Binary, function: &UserFunction, on_return: bool) -> Result<Found, Error> {
    let on_function = function.symbol.is_some() && function.offset == 0;
    if let (true, Some(found)) = (on_function, function_of(binary, function)?)
        && binary.is_go(found.address)
    {
        return places_of_go(binary, &found, on_return);
    }
    Ok(Found { offsets: vec![place(binary, function)?], on_return })
}

/// Return probes put an address of the kernel's on the stack. A function of Go that finds such a one when it
/// moves its stack gives up, so that there the instructions are probed that return.
fn places_of_go(binary: &Binary, function: &Function, on_return: bool) -> Result<Found, Error> {
    let addresses = match on_return {
        true => binary.returns_of(function)?,
        false => vec![binary.go_body(function)?],
    };
    let offsets = addresses.into_iter().map(|address| binary.file_offset(address));
    Ok(Found { offsets: offsets.collect::<Result<_, _>>()?, on_return: false })
}

/// The function that a probe is on or in; `None`: there are no symbols there.
fn function_of(binary: &Binary, function: &UserFunction) -> Result<Option<Function>, Error> {
    match &function.symbol {
        Some(symbol) => Ok(Some(binary.function(symbol)?)),
        None => Ok(binary.function_at(function.offset)),
    }
}

/// The instruction of the file that a probe is on, in bytes from its start.
fn place(binary: &Binary, function: &UserFunction) -> Result<u64, Error> {
    let Some(found) = function_of(binary, function)? else {
        // Code without symbols: nothing can be checked.
        return binary.file_offset(function.offset);
    };
    let offset = match function.symbol {
        Some(_) => function.offset,
        None => function.offset - found.address,
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
