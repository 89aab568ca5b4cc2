//! What is attached to the kernel, to tell whether rbtrace left anything behind.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::sys::{self, BpfObject};

/// The eBPF objects that the kernel holds at one moment.
pub struct Snapshot {
    programs: BTreeSet<u32>,
    links: BTreeSet<u32>,
    maps: BTreeSet<u32>,
}

impl Snapshot {
    /// What is there now.
    pub fn take() -> Result<Self> {
        Ok(Snapshot {
            programs: ids(BpfObject::Program)?,
            links: ids(BpfObject::Link)?,
            maps: ids(BpfObject::Map)?,
        })
    }

    /// How many programs were loaded since.
    pub fn new_programs(&self) -> Result<usize> {
        Ok(ids(BpfObject::Program)?.difference(&self.programs).count())
    }

    /// Fails unless everything that appeared since is gone soon. The kernel frees late, and
    /// others may load programs meanwhile: only what is there now and stays counts.
    pub fn nothing_left(&self, patience: u32) -> Result<()> {
        let now = Snapshot::take()?;
        let deadline = Instant::now() + Duration::from_secs(20) * patience;
        for (kind, name, before, now) in [
            (BpfObject::Link, "links", &self.links, &now.links),
            (BpfObject::Program, "programs", &self.programs, &now.programs),
            (BpfObject::Map, "maps", &self.maps, &now.maps),
        ] {
            let new: BTreeSet<u32> = now.difference(before).copied().collect();
            loop {
                let left: Vec<u32> = new.intersection(&ids(kind)?).copied().collect();
                if left.is_empty() {
                    break;
                }
                ensure!(Instant::now() < deadline, "{name} left behind, by id: {left:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

fn ids(kind: BpfObject) -> Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    let mut last = 0;
    while let Some(id) = sys::bpf_next_id(kind, last)? {
        found.insert(id);
        last = id;
    }
    Ok(found)
}
