//! Maps in the kernel: creating, reading, clearing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use aya::maps::MapData;
use aya_obj::EbpfSectionKind;
use rbtrace_probes_ebpf::plan::{Map as MapPlan, MapKind, MapRole, Plan};
use rbtrace_probes_ebpf::profile::KernelVersion;

use crate::error::{Error, Unsupported};
use crate::features::{self, Need};
use crate::snapshot::RawEntry;
use crate::sys::bpf::{BatchPosition, MapRef, MapSpec, create_map};

/// First kernel with ring buffers.
const RING_SINCE: KernelVersion = KernelVersion::new(5, 8);
/// `BPF_EXIST` in linux/bpf.h: only change what is there.
const EXIST: u64 = 2;
/// `BPF_F_NO_PREALLOC` in linux/bpf.h.
const NO_PREALLOC: u32 = 1;
/// First kernel whose allocator programs of every kind may use.
const ALLOCATOR_SINCE: KernelVersion = KernelVersion::new(6, 1);
/// Most bytes of a per-CPU map that are allocated before they are needed.
const MOST_PREALLOCATED: u64 = 64 << 20;
/// Entries of a map of stacks where the kernel allocates all of them at once.
const MOST_STACKS: u32 = 1 << 13;
/// Entries asked for in one batch.
const BATCH: u32 = 4096;

/// A map in the kernel.
#[derive(Debug)]
pub(crate) struct LoadedMap {
    /// What the plan that created it says.
    pub plan: MapPlan,
    data: MapData,
    /// What the maps in it are like, if it holds maps.
    inner: Option<MapSpec>,
    key: usize,
    value: usize,
    cpus: usize,
    /// The last that was done to all of it was `zero()`.
    zeroed: AtomicBool,
}

/// Maps of an object that is being loaded.
pub(crate) struct Created {
    /// By the index in the plan.
    pub by_plan: Vec<Arc<LoadedMap>>,
    /// Data sections that the plan does not mention.
    pub sections: Vec<Arc<LoadedMap>>,
    /// By symbol, with the definition that relocations need.
    pub in_elf: Vec<(String, Arc<LoadedMap>, aya_obj::Map)>,
}

/// Creates the maps of an object, except those of the script that are in `shared`.
pub(crate) fn create_all(
    plan: &Plan,
    elf: &mut aya_obj::Object,
    btf: Option<BorrowedFd<'_>>,
    shared: &[Arc<LoadedMap>],
) -> Result<Created, Error> {
    let mut created = Created { by_plan: Vec::new(), sections: Vec::new(), in_elf: Vec::new() };
    for map in &plan.maps {
        let definition = elf.maps.remove(&map.symbol).ok_or_else(|| {
            Error::Malformed(format!("the plan's map {} is not in the object", map.symbol))
        })?;
        let existing = shared.iter().find(|s| is_same(s, map));
        let loaded = match existing {
            Some(existing) => {
                check_same_type(&existing.plan, map)?;
                Arc::clone(existing)
            }
            None => Arc::new(create(map.clone(), definition.clone(), btf)?),
        };
        created.in_elf.push((map.symbol.clone(), Arc::clone(&loaded), definition));
        created.by_plan.push(loaded);
    }
    // Data sections that the plan does not mention are maps too.
    for (symbol, definition) in elf.maps.drain() {
        if definition.value_size() == 0 {
            continue;
        }
        let plan = undeclared(&symbol, &definition);
        let loaded = Arc::new(create(plan, definition.clone(), btf)?);
        created.in_elf.push((symbol, Arc::clone(&loaded), definition));
        created.sections.push(loaded);
    }
    Ok(created)
}

/// Whether a map that an object shares is this one: those of scripts go by name, others by symbol.
fn is_same(shared: &LoadedMap, map: &MapPlan) -> bool {
    shared.plan.role == map.role
        && match map.role {
            MapRole::Script => shared.plan.name == map.name,
            _ => shared.plan.symbol == map.symbol,
        }
}

fn check_same_type(old: &MapPlan, new: &MapPlan) -> Result<(), Error> {
    let reason = if old.key != new.key {
        "its keys differ"
    } else if old.value != new.value {
        "its values differ"
    } else if old.kind != new.kind {
        "its kind differs"
    } else {
        return Ok(());
    };
    Err(Error::MapConflict { name: new.name.clone(), reason: reason.into() })
}

fn undeclared(symbol: &str, definition: &aya_obj::Map) -> MapPlan {
    use rbtrace_probes_ebpf::types::Type;
    MapPlan {
        name: symbol.to_owned(),
        symbol: symbol.to_owned(),
        role: MapRole::Data,
        kind: MapKind::Array,
        key: Type::Int { size: 4, signed: false },
        value: Type::Buf { size: definition.value_size().saturating_sub(4) },
        max_entries: definition.max_entries(),
    }
}

fn create(
    plan: MapPlan,
    mut definition: aya_obj::Map,
    btf: Option<BorrowedFd<'_>>,
) -> Result<LoadedMap, Error> {
    if plan.kind == MapKind::RingBuf {
        let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
        definition.set_max_entries(ring_size(definition.max_entries(), page));
    }
    if plan.role == MapRole::Scratch && plan.kind == MapKind::Array {
        let each = definition.max_entries();
        definition.set_max_entries(each.saturating_mul(features::possible_cpus()));
    }
    let allocates = features::kernel_version() >= ALLOCATOR_SINCE;
    if plan.role == MapRole::Stacks && !allocates {
        definition.set_max_entries(definition.max_entries().min(MOST_STACKS));
    }
    if allocates
        && (plan.role == MapRole::Stacks
            || plan.kind == MapKind::PerCpuHash && is_huge(&definition))
    {
        definition = without_btf(&definition, NO_PREALLOC);
    }
    let contents = definition.data().to_vec();
    let frozen = definition.section_kind() == EbpfSectionKind::Rodata;
    let key = definition.key_size() as usize;
    let value_size = definition.value_size() as usize;
    let cpus = if plan.kind.is_per_cpu() { features::possible_cpus() as usize } else { 1 };
    // The kernel rounds the values of per-CPU maps up to 8 bytes.
    let value =
        if plan.kind.is_per_cpu() { value_size.next_multiple_of(8) * cpus } else { value_size };
    let name = crate::load::kernel_name(&plan.symbol);
    let name = name.to_string_lossy();
    let inner = definition.inner().map(|inner| spec(&inner));
    let created = match &inner {
        Some(inner) => create_of_maps(&spec(&definition), inner, &name),
        None => create_data(definition, &name, btf),
    };
    let data = created.map_err(|e| refused(&plan, e))?;
    let map = LoadedMap { plan, data, inner, key, value, cpus, zeroed: AtomicBool::new(false) };
    if !contents.is_empty() {
        map.raw()
            .update(&0u32.to_ne_bytes(), &contents, 0)
            .map_err(Error::system(format!("fill {}", map.plan.symbol)))?;
    }
    if frozen {
        // Before 5.2 the data is merely not constant to the verifier.
        drop(map.raw().freeze());
    }
    Ok(map)
}

/// Whether the kernel should rather allocate entries when they are needed.
fn is_huge(map: &aya_obj::Map) -> bool {
    let bytes = u64::from(map.max_entries())
        .saturating_mul(map.value_size().into())
        .saturating_mul(features::possible_cpus().into());
    bytes > MOST_PREALLOCATED
}

/// The same map without BTF of key and value, with more flags.
fn without_btf(map: &aya_obj::Map, flags: u32) -> aya_obj::Map {
    let flags = map.map_flags() | flags;
    let (key, value) = (map.key_size(), map.value_size());
    aya_obj::Map::new_from_params(map.map_type(), key, value, map.max_entries(), flags)
}

fn refused(plan: &MapPlan, error: io::Error) -> Error {
    if plan.kind == MapKind::RingBuf && features::kernel_version() < RING_SINCE {
        let since = Some(RING_SINCE);
        return Unsupported { feature: "ring buffer", since, config: None, hint: None }.into();
    }
    Error::privileged(format!("create map {}", plan.name), Need::Bpf, error)
}

/// Creates the map, without BTF of key and value if the kernel wants none of it.
fn create_data(
    definition: aya_obj::Map,
    name: &str,
    btf: Option<BorrowedFd<'_>>,
) -> io::Result<MapData> {
    let as_io = |e: aya::maps::MapError| match e {
        aya::maps::MapError::CreateError { io_error, .. } => io_error,
        other => io::Error::other(other.to_string()),
    };
    let refused = match MapData::create(definition.clone(), name, btf) {
        Ok(data) => return Ok(data),
        Err(e) => as_io(e),
    };
    if btf.is_none() || refused.raw_os_error() != Some(libc::EINVAL) {
        return Err(refused);
    }
    MapData::create(without_btf(&definition, 0), name, None).map_err(as_io)
}

fn spec(definition: &aya_obj::Map) -> MapSpec {
    MapSpec {
        kind: definition.map_type(),
        key: definition.key_size(),
        value: definition.value_size(),
        entries: definition.max_entries(),
        flags: definition.map_flags(),
    }
}

/// Creates a map that holds maps, which aya does for objects that it loads itself alone.
fn create_of_maps(outer: &MapSpec, inner: &MapSpec, name: &str) -> io::Result<MapData> {
    let name = crate::load::kernel_name(name);
    let model = create_map(inner, &name, None)?;
    let map = create_map(outer, &name, Some(model.as_fd()))?;
    MapData::from_fd(map).map_err(|e| io::Error::other(e.to_string()))
}

/// A size that the kernel takes for a ring buffer: a power of two, of whole pages.
fn ring_size(bytes: u32, page: u32) -> u32 {
    bytes.max(page).checked_next_power_of_two().unwrap_or(1 << 31)
}

impl LoadedMap {
    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.data.fd().as_fd()
    }

    fn raw(&self) -> MapRef<'_> {
        MapRef { fd: self.fd(), key: self.key, value: self.value }
    }

    /// One value, or one for each CPU; none of a cell that is not set.
    fn split(&self, value: &[u8]) -> Option<Vec<Vec<u8>>> {
        let each = value.len() / self.cpus.max(1);
        if each == 0 {
            return Some(vec![value.to_vec()]);
        }
        let mut values = value.chunks_exact(each);
        if !self.plan.kind.is_cell() {
            return Some(values.map(<[u8]>::to_vec).collect());
        }
        let flag = self.plan.flag_offset() as usize;
        let is_set = |value: &[u8]| value.get(flag..).is_some_and(|flag| flag != [0; 8]);
        let size = (self.plan.value.size() as usize).min(each);
        values.clone().any(is_set).then(|| values.by_ref().map(|v| v[..size].to_vec()).collect())
    }

    /// Every entry. Entries that come and go meanwhile may or may not be among them.
    pub fn entries(&self) -> io::Result<Vec<RawEntry>> {
        let entry =
            |(key, value): (_, Vec<u8>)| Some(RawEntry { key, values: self.split(&value)? });
        Ok(self.contents()?.into_iter().filter_map(entry).collect())
    }

    /// Keys and values as the kernel has them.
    fn contents(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        match self.contents_by_batch() {
            Ok(entries) => Ok(entries),
            Err(e) if is_unsupported(&e) => self.contents_by_key(),
            Err(e) => Err(e),
        }
    }

    fn contents_by_batch(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let raw = self.raw();
        let mut position = BatchPosition::default();
        let mut count = BATCH.min(self.plan.max_entries.max(1));
        let mut entries = Vec::new();
        loop {
            match raw.lookup_batch(&mut position, count) {
                Ok(batch) => {
                    let keys = batch.keys.chunks_exact(self.key.max(1));
                    let values = batch.values.chunks_exact(self.value.max(1));
                    entries.extend(keys.zip(values).map(|(k, v)| (k.to_vec(), v.to_vec())));
                    if batch.last {
                        return Ok(entries);
                    }
                }
                // A bucket holds more than was asked for.
                Err(e) if e.raw_os_error() == Some(libc::ENOSPC) && count < 1 << 24 => count *= 2,
                Err(e) => return Err(e),
            }
        }
    }

    fn contents_by_key(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut entries = Vec::new();
        // An entry that is removed while its successor is looked up starts the walk again.
        let mut seen = std::collections::HashSet::new();
        let mut key = self.raw().next_key(None)?;
        while let Some(k) = key {
            key = self.raw().next_key(Some(&k))?;
            if !seen.insert(k.clone()) {
                break;
            }
            if let Some(value) = self.raw().lookup(&k)? {
                entries.push((k, value));
            }
        }
        Ok(entries)
    }

    /// The entry at `key`: one value, or one for each CPU.
    pub fn lookup(&self, key: &[u8]) -> io::Result<Option<Vec<Vec<u8>>>> {
        Ok(self.raw().lookup(key)?.and_then(|v| self.split(&v)))
    }

    /// Writes the value at `key`.
    pub fn set(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.raw().update(key, value, 0)
    }

    /// Whether later objects of a session may use it: what scripts share, and what user space keeps for
    /// all of them.
    pub fn is_shareable(&self) -> bool {
        match self.plan.role {
            MapRole::Script
            | MapRole::Stacks
            | MapRole::Cgroup
            | MapRole::UnwindPlaces
            | MapRole::UnwindRows
            | MapRole::UnwindRules => true,
            MapRole::Ring | MapRole::Scratch | MapRole::Packets | MapRole::Next | MapRole::Data => {
                false
            }
        }
    }

    /// Removes the entry at `key`, if there is one.
    pub fn remove(&self, key: &[u8]) -> io::Result<()> {
        match self.raw().delete(key) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            result => result,
        }
    }

    /// What the maps in it are like, if it holds maps.
    pub fn inner(&self) -> Option<MapSpec> {
        self.inner
    }

    /// Removes every entry; in an array, sets every value to 0.
    pub fn clear(&self) -> io::Result<()> {
        self.zeroed.store(false, Relaxed);
        if self.plan.kind.is_array() {
            return self.overwrite(|value| value.fill(0));
        }
        self.contents()?.iter().try_for_each(|(key, _)| self.remove(key))
    }

    /// Sets every value to 0. A cell that is set stays set.
    pub fn zero(&self) -> io::Result<()> {
        self.zeroed.store(true, Relaxed);
        let flag = if self.plan.kind.is_cell() { self.plan.flag_offset() } else { u32::MAX };
        let each = (self.value / self.cpus.max(1)).max(1);
        self.overwrite(|value| {
            for value in value.chunks_exact_mut(each) {
                let size = value.len().min(flag as usize);
                value[..size].fill(0);
            }
        })
    }

    /// Whether the script set every value to 0, which in an array is not seen from the values.
    pub fn zeroed(&self) -> bool {
        self.zeroed.load(Relaxed)
    }

    fn overwrite(&self, change: impl Fn(&mut [u8])) -> io::Result<()> {
        for (key, mut value) in self.contents()? {
            change(&mut value);
            match self.raw().update(&key, &value, EXIST) {
                Err(e) if e.raw_os_error() != Some(libc::ENOENT) => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether the kernel does not know the command, for this kind of map.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
        // ENOTSUPP of the kernel, which has no name in user space.
        || error.raw_os_error() == Some(524)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_sizes_are_powers_of_two() {
        assert_eq!(ring_size(0, 4096), 4096);
        assert_eq!(ring_size(5000, 4096), 8192);
        assert_eq!(ring_size(65536, 4096), 65536);
        assert_eq!(ring_size(u32::MAX, 4096), 1 << 31);
    }
}
