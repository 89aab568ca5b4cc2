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
use crate::sys::{bpf, perf};

/// Name of the PMU.
const PMU: &str = "uprobe";

/// Attaches to one place in a file.
pub(super) fn attach(
    site: &Site<'_>,
    function: &UserFunction,
    on_return: bool,
) -> Result<Attachment, Error> {
    let Some(pmu) = features::pmu_type(PMU) else { return Err(no_uprobes()) };
    let pid = function.pid.or(site.context.pid);
    let binary = Binary::open(&find_binary(&function.binary, pid)?)?;
    let offset = place(&binary, function)?;
    let path = c_path(binary.path())?;
    let spec = perf::ProbeSpec {
        pmu,
        return_bit: on_return.then(|| features::pmu_return_bit(PMU)),
        name: Some(&path),
        offset,
        pid,
    };
    let event = perf::open_probe(&spec).map_err(|e| explain(function, e, pid))?;
    site.attach_event(event)
}

/// Attaches to many places, by one link for each file and process.
pub(super) fn attach_many(
    program: BorrowedFd<'_>,
    probes: &[(u32, &Probe)],
    context: &Context,
    on_return: bool,
) -> Result<Attachment, Error> {
    let mut all = Attachment::default();
    for ((path, pid), places) in by_file(probes, context)? {
        let offsets: Vec<u64> = places.iter().map(|(offset, _)| *offset).collect();
        let cookies: Vec<u64> = places.iter().map(|(_, probe)| u64::from(*probe)).collect();
        let path = c_path(&path)?;
        let link = bpf::link_uprobe_multi(program, &path, &offsets, &cookies, pid, on_return)
            .map_err(|e| Error::privileged("attach to user functions", Need::Tracing, e))?;
        all.links.push(link);
    }
    Ok(all)
}

/// Offset and probe of each place, by file and process.
type Places = BTreeMap<(PathBuf, Option<u32>), Vec<(u64, u32)>>;

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
        places.entry((binary.path().to_owned(), pid)).or_default().push((offset, *index));
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

fn explain(function: &UserFunction, error: io::Error, pid: Option<u32>) -> Error {
    let symbol = function.symbol.as_deref().unwrap_or_default();
    let place = format!("{}:{symbol}+{:#x}", function.binary, function.offset);
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
