//! `usdt`: uprobes at every place of a static probe, with its semaphore.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rbtrace_probes_ebpf::plan::{Probe, Target, UsdtProbe};

use super::uprobe::{self, Place, Places};
use super::{Attachment, Context, Site};
use crate::error::{Error, nearest};
use crate::symbols::{Binary, find_binary};

/// Attaches to every place of a probe.
pub(super) fn attach(site: &Site<'_>, probe: &UsdtProbe) -> Result<Attachment, Error> {
    let (path, pid, places) = places(probe, site.context, site.probe)?;
    let mut all = Attachment::default();
    for place in &places {
        let one = uprobe::attach_at(site, &path, place, pid, false)?;
        all.links.extend(one.links);
        all.events.extend(one.events);
    }
    Ok(all)
}

/// Attaches to every place of many probes, by one link for each file and process.
pub(super) fn attach_many(
    program: BorrowedFd<'_>,
    probes: &[(u32, &Probe)],
    context: &Context,
) -> Result<Attachment, Error> {
    let mut all = Places::new();
    for (index, probe) in probes {
        if let Target::Usdt(probe) = &probe.target {
            let (path, pid, places) = places(probe, context, *index)?;
            all.entry((path, pid)).or_default().extend(places);
        }
    }
    uprobe::link_places(program, &all, false)
}

type Found = (PathBuf, Option<u32>, Vec<Place>);

/// The places of a probe in its file.
fn places(probe: &UsdtProbe, context: &Context, index: u32) -> Result<Found, Error> {
    let pid = probe.pid.or(context.pid);
    let binary = Binary::open(&find_binary(&probe.binary, pid)?)?;
    let mut places = Vec::new();
    let mut others = Vec::new();
    for site in binary.usdt_sites()? {
        let same = site.provider == probe.provider && site.name == probe.name;
        if !same {
            others.push(format!("{}:{}", site.provider, site.name));
        } else if probe.arguments.as_ref().is_none_or(|a| *a == site.arguments) {
            let semaphore = site.semaphore.map(|at| binary.data_offset(at)).transpose()?;
            let offset = binary.file_offset(site.address)?;
            places.push(Place { offset, semaphore: semaphore.unwrap_or(0), probe: index });
        }
    }
    // Inlined code may have the same note twice.
    places.sort_unstable_by_key(|place| place.offset);
    places.dedup_by_key(|place| place.offset);
    if places.is_empty() {
        return Err(missing(probe, binary.path(), &others));
    }
    Ok((binary.path().to_owned(), pid, places))
}

fn missing(probe: &UsdtProbe, path: &Path, others: &[String]) -> Error {
    let name = format!("{}:{}", probe.provider, probe.name);
    let place = path.display().to_string();
    match &probe.arguments {
        Some(arguments) => Error::BadLocation {
            place: format!("{place}:{name}"),
            reason: format!("the probe has no place with the arguments `{arguments}`"),
        },
        None => {
            let similar = nearest(&name, others.iter().map(String::as_str), 3);
            Error::UnknownSymbol { name, place, similar }
        }
    }
}
