//! Time series: buckets of each CPU, made one row of points.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rbtrace_probes_ebpf::types::{Clock, SERIES_BUCKET, SeriesHow, Type};

use super::read::u64_at;
use super::{DecodeError, Decoder};
use crate::time;
use crate::value::{Point, Series, Value};

/// A bucket as a CPU has it.
#[derive(Clone, Copy)]
struct Bucket {
    value: u64,
    meta: u64,
    epoch: u64,
}

/// The last epoch with a value; absent if there is none.
pub(super) fn last_epoch(ty: &Type, cpus: &[&[u8]]) -> Result<Option<u64>, DecodeError> {
    let mut last = None;
    for cpu in cpus {
        for index in 0..ty.size() / SERIES_BUCKET {
            last = last.max(Some(bucket(cpu, index)?.epoch).filter(|epoch| *epoch != 0));
        }
    }
    Ok(last)
}

/// The points of a series from its first interval to `last`, or else its own last.
pub(super) fn value(
    decoder: &Decoder,
    ty: &Type,
    cpus: &[&[u8]],
    last: Option<u64>,
) -> Result<Value, DecodeError> {
    let Type::Tseries { interval, intervals, how, signed } = *ty else { return Ok(Value::Null) };
    let mut numbers = BTreeMap::new();
    for index in 0..intervals {
        if let Some((epoch, number)) = merge(cpus, index, how, signed)? {
            numbers.insert(epoch, number);
        }
    }
    let Some(last) = last.or_else(|| numbers.last_key_value().map(|(epoch, _)| *epoch)) else {
        return Ok(Value::Series(Series { interval: 0, signed, points: Vec::new() }));
    };
    let earliest = last.saturating_sub(u64::from(intervals) - 1);
    let first = numbers.range(earliest..).next().map_or(last, |(epoch, _)| *epoch);
    let offset = decoder.resolve.clock_offset(Clock::Tai).unwrap_or(0);
    let point = |epoch: u64| {
        let start = i128::from(epoch) * i128::from(interval) + i128::from(offset);
        let number = numbers.get(&epoch).map(|bits| widen(*bits, signed));
        point(decoder, start, number)
    };
    let points: Vec<Point> = (first..=last).map(point).collect();
    let interval = if points.len() > 1 { interval } else { 0 };
    Ok(Value::Series(Series { interval, signed, points }))
}

fn point(decoder: &Decoder, nanoseconds: i128, value: Option<i128>) -> Point {
    let time = Timestamp::from_nanosecond(nanoseconds).unwrap_or_default();
    let fraction = u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).unwrap_or(0);
    Point {
        clock: time::strftime("%H:%M:%S", time, decoder.zone()),
        date: time::strftime("%Y-%m-%d %H:%M:%S", time, &TimeZone::UTC),
        fraction,
        value,
    }
}

fn widen(bits: u64, signed: bool) -> i128 {
    if signed { i128::from(bits.cast_signed()) } else { i128::from(bits) }
}

fn bucket(cpu: &[u8], index: u32) -> Result<Bucket, DecodeError> {
    let at = index.saturating_mul(SERIES_BUCKET);
    Ok(Bucket {
        value: u64_at(cpu, at)?,
        meta: u64_at(cpu, at.saturating_add(8))?,
        epoch: u64_at(cpu, at.saturating_add(16))?,
    })
}

/// The latest epoch of a bucket and its number, from the CPUs that saw that epoch.
fn merge(
    cpus: &[&[u8]],
    index: u32,
    how: SeriesHow,
    signed: bool,
) -> Result<Option<(u64, u64)>, DecodeError> {
    let mut merged: Option<Bucket> = None;
    for cpu in cpus {
        let new = bucket(cpu, index)?;
        merged = match merged {
            _ if new.epoch == 0 => merged,
            Some(old) if old.epoch > new.epoch => merged,
            Some(old) if old.epoch == new.epoch => Some(join(old, new, how, signed)),
            _ => Some(new),
        };
    }
    Ok(merged.map(|b| (b.epoch, number(b, how, signed))))
}

fn join(a: Bucket, b: Bucket, how: SeriesHow, signed: bool) -> Bucket {
    let larger = widen(b.value, signed) > widen(a.value, signed);
    let value = match how {
        SeriesHow::Last if b.meta > a.meta => b.value,
        SeriesHow::Last => a.value,
        SeriesHow::Avg | SeriesHow::Sum => a.value.wrapping_add(b.value),
        SeriesHow::Max => {
            if larger {
                b.value
            } else {
                a.value
            }
        }
        SeriesHow::Min => {
            if larger {
                a.value
            } else {
                b.value
            }
        }
    };
    let meta = match how {
        SeriesHow::Avg => a.meta.wrapping_add(b.meta),
        _ => a.meta.max(b.meta),
    };
    Bucket { value, meta, epoch: a.epoch }
}

/// Division rounds toward 0.
fn number(bucket: Bucket, how: SeriesHow, signed: bool) -> u64 {
    match how {
        SeriesHow::Avg if signed => {
            let count = i64::try_from(bucket.meta).unwrap_or(i64::MAX).max(1);
            (bucket.value.cast_signed() / count).cast_unsigned()
        }
        SeriesHow::Avg => bucket.value / bucket.meta.max(1),
        _ => bucket.value,
    }
}
