//! Maps in the order in which they print.

use std::cmp::Ordering;

use rbtrace_probes_ebpf::plan::{Map, MapKind as KernelKind};
use rbtrace_probes_ebpf::types::{Field, RecordKind, Type};

use super::read::slice;
use super::typed::Typed;
use super::{DecodeError, Decoder, merge, series};
use crate::event::{Event, MapContent, MapEvent, MapKind};
use crate::format::sign_extend;
use crate::snapshot::{MapSnapshot, RawEntry};
use crate::value::Value;

/// A map as `print` shows it.
pub(super) fn decode(
    decoder: &Decoder,
    snapshot: &MapSnapshot,
    top: u32,
    div: u32,
) -> Result<MapEvent, DecodeError> {
    let map = decoder.map_of_plan(snapshot.map)?;
    let content = if map.key == Type::Void {
        let entry = snapshot.entries.first();
        scalar(decoder, map, entry.filter(|entry| !unwritten(map, snapshot, entry)), div)?
    } else {
        MapContent::Entries(entries(decoder, map, &snapshot.entries, top, div)?)
    };
    Ok(MapEvent { name: map.name.clone(), kind: kind(&map.value), content })
}

/// A map as it prints at the end: not at all if nothing was ever written to it.
pub(super) fn decode_at_exit(
    decoder: &Decoder,
    snapshot: &MapSnapshot,
) -> Result<Option<MapEvent>, DecodeError> {
    let map = decoder.map_of_plan(snapshot.map)?;
    if !snapshot.entries.iter().all(|entry| unwritten(map, snapshot, entry)) {
        return decode(decoder, snapshot, 0, 1).map(Some);
    }
    // The one kind of empty map that bpftrace prints, and only in JSON.
    let stats = kind(&map.value) == MapKind::Stats;
    let content = MapContent::Entries(Vec::new());
    Ok(stats.then(|| MapEvent { name: map.name.clone(), kind: MapKind::Stats, content }))
}

/// An array always has its entries; one that is all zero was most likely never written.
fn unwritten(map: &Map, snapshot: &MapSnapshot, entry: &RawEntry) -> bool {
    !snapshot.zeroed
        && matches!(map.kind, KernelKind::Array | KernelKind::PerCpuArray)
        && entry.values.iter().flatten().all(|byte| *byte == 0)
}

/// One entry; without values it shows as 0.
pub(super) fn entry(
    decoder: &Decoder,
    index: u32,
    key: &[u8],
    values: &[Vec<u8>],
    div: u32,
) -> Result<Event, DecodeError> {
    let map = decoder.map_of_plan(index)?;
    let key = match map.key {
        Type::Void => Value::Null,
        ref ty => Typed::new(decoder, 1).value(ty, key)?,
    };
    let value = if values.is_empty() {
        zero(decoder, &map.value)?
    } else {
        value(decoder, &map.value, values, div)?
    };
    Ok(Event::Entry { map: map.name.clone(), key, value })
}

fn kind(ty: &Type) -> MapKind {
    match ty {
        Type::Avg { .. } | Type::Stats { .. } => MapKind::Stats,
        Type::Hist { .. } | Type::Lhist { .. } => MapKind::Hist,
        Type::Tseries { .. } => MapKind::Series,
        _ => MapKind::Plain,
    }
}

/// The only entry. One that was never written shows as 0, a histogram not at all.
fn scalar(
    decoder: &Decoder,
    map: &Map,
    entry: Option<&RawEntry>,
    div: u32,
) -> Result<MapContent, DecodeError> {
    Ok(match entry {
        Some(entry) => MapContent::Scalar(value(decoder, &map.value, &entry.values, div)?),
        None if matches!(kind(&map.value), MapKind::Hist | MapKind::Series) => {
            MapContent::Entries(Vec::new())
        }
        None => MapContent::Scalar(zero(decoder, &map.value)?),
    })
}

fn zero(decoder: &Decoder, ty: &Type) -> Result<Value, DecodeError> {
    let size = usize::try_from(ty.size()).unwrap_or(0);
    value(decoder, ty, &[vec![0; size]], 1)
}

fn value(decoder: &Decoder, ty: &Type, values: &[Vec<u8>], div: u32) -> Result<Value, DecodeError> {
    let cpus: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    if let Type::Tseries { .. } = ty {
        return series::value(decoder, ty, &cpus, None);
    }
    if ty.is_per_cpu() {
        return merge::aggregate(ty, &cpus, div);
    }
    if let (Type::Int { size, signed }, [_, _, ..]) = (ty, cpus.as_slice()) {
        let sum = sum(&cpus, *size)?;
        let bytes = sum.to_ne_bytes();
        let whole = Type::Int { size: 8, signed: *signed };
        return Typed::new(decoder, div).value(&whole, &bytes);
    }
    let first = cpus.first().copied().unwrap_or_default();
    Typed::new(decoder, div).value(ty, first)
}

/// Sum of integers of `size` bytes, in that many bytes.
fn sum(cpus: &[&[u8]], size: u8) -> Result<u64, DecodeError> {
    let mut sum = 0u64;
    for cpu in cpus {
        sum = sum.wrapping_add(super::read::unsigned(cpu, size)?);
    }
    Ok(sum)
}

/// The entries in order, the last `top` of them.
fn entries(
    decoder: &Decoder,
    map: &Map,
    raw: &[RawEntry],
    top: u32,
    div: u32,
) -> Result<Vec<(Value, Value)>, DecodeError> {
    let mut ranked = Vec::with_capacity(raw.len());
    for entry in raw {
        ranked.push((rank(&map.value, &entry.values)?, entry));
    }
    // bpftrace leaves entries of equal value in the order of the hash; by key is kinder.
    ranked.sort_by(|(a, left), (b, right)| {
        a.cmp(b).then_with(|| compare_keys(&map.key, &left.key, &right.key))
    });
    let skip = match usize::try_from(top) {
        Ok(top) if top > 0 => ranked.len().saturating_sub(top),
        _ => 0,
    };
    let last = last_epoch(&map.value, raw)?;
    let shown = ranked.into_iter().skip(skip).map(|(_, entry)| {
        let key = Typed::new(decoder, 1).value(&map.key, &entry.key)?;
        let value = match last {
            Some(_) => series::value(decoder, &map.value, &slices(&entry.values), last)?,
            None => value(decoder, &map.value, &entry.values, div)?,
        };
        Ok((key, value))
    });
    shown.collect()
}

/// The last interval of all series of a map, which is where each of them ends.
fn last_epoch(ty: &Type, raw: &[RawEntry]) -> Result<Option<u64>, DecodeError> {
    let mut last = None;
    if let Type::Tseries { .. } = ty {
        for entry in raw {
            last = last.max(series::last_epoch(ty, &slices(&entry.values))?);
        }
    }
    Ok(last)
}

fn slices(values: &[Vec<u8>]) -> Vec<&[u8]> {
    values.iter().map(Vec::as_slice).collect()
}

/// What entries are sorted by before their keys. Maps of anything but numbers are sorted by
/// key alone.
fn rank(ty: &Type, values: &[Vec<u8>]) -> Result<i128, DecodeError> {
    let cpus: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    match ty {
        Type::Int { size, signed } | Type::Enum { size, signed, .. } => {
            let bits = sum(&cpus, *size)?;
            Ok(if *signed {
                i128::from(sign_extend(bits, u32::from(*size) * 8))
            } else {
                i128::from(bits)
            })
        }
        _ => merge::rank(ty, &cpus),
    }
}

/// Integers as signed numbers, as bpftrace has it; tuples by their fields from the first;
/// everything else by its bytes.
fn compare_keys(ty: &Type, left: &[u8], right: &[u8]) -> Ordering {
    match ty {
        Type::Int { size, .. } | Type::Enum { size, .. } => {
            let number = |bytes| {
                let bits = super::read::unsigned(bytes, *size).unwrap_or(0);
                sign_extend(bits, u32::from(*size) * 8)
            };
            number(left).cmp(&number(right))
        }
        Type::Record(record) if record.kind == RecordKind::Tuple => {
            let compare = |field: &Field| {
                let part = |bytes| slice(bytes, field.offset, field.ty.size()).unwrap_or_default();
                compare_keys(&field.ty, part(left), part(right))
            };
            record.fields.iter().map(compare).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        }
        _ => left.cmp(right),
    }
}
