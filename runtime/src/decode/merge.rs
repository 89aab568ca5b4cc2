//! Values that each CPU has its own of, made one.

use rbtrace_probes_ebpf::types::Type;

use super::DecodeError;
use super::read::u64_at;
use crate::value::{Bucket, Histogram, Scale, Stats, Value};

/// Finest split of powers of two: 32 buckets each.
const MAX_BITS: u8 = 5;

/// An aggregation from the values of each CPU. Arithmetic wraps, as in the kernel.
pub(super) fn aggregate(ty: &Type, cpus: &[&[u8]], div: u32) -> Result<Value, DecodeError> {
    let div = div.max(1);
    Ok(match ty {
        Type::Count => number(total(cpus, 0)?, false, div),
        Type::Sum { signed } => number(total(cpus, 0)?, *signed, div),
        Type::Min { signed } => number(extreme(cpus, *signed, false)?, *signed, div),
        Type::Max { signed } => number(extreme(cpus, *signed, true)?, *signed, div),
        Type::Avg { signed } => {
            let stats = stats(cpus, *signed)?;
            number(average_bits(&stats), *signed, div)
        }
        Type::Stats { signed } => {
            let stats = stats(cpus, *signed)?;
            Value::Stats(Stats { average: stats.average / i128::from(div), ..stats })
        }
        Type::Hist { bits } => Value::Hist(log2(*bits, &buckets(ty, cpus)?, div)),
        Type::Lhist { min, max, step } => {
            Value::Hist(linear(*min, *max, *step, buckets(ty, cpus)?))
        }
        _ => Value::Null,
    })
}

/// What a map is sorted by: the number that the value stands for.
pub(super) fn rank(ty: &Type, cpus: &[&[u8]]) -> Result<i128, DecodeError> {
    Ok(match ty {
        Type::Count => i128::from(total(cpus, 0)?),
        Type::Sum { signed } => widen(total(cpus, 0)?, *signed),
        // bpftrace compares these without sign, whatever their type.
        Type::Min { signed } => i128::from(extreme(cpus, *signed, false)?),
        Type::Max { signed } => i128::from(extreme(cpus, *signed, true)?),
        Type::Avg { signed } | Type::Stats { signed } => stats(cpus, *signed)?.average,
        Type::Hist { .. } | Type::Lhist { .. } => {
            buckets(ty, cpus)?.iter().map(|count| i128::from(*count)).sum()
        }
        _ => 0,
    })
}

fn number(bits: u64, signed: bool, div: u32) -> Value {
    if signed {
        Value::Int(bits.cast_signed() / i64::from(div))
    } else {
        Value::Uint(bits / u64::from(div))
    }
}

fn widen(bits: u64, signed: bool) -> i128 {
    if signed { i128::from(bits.cast_signed()) } else { i128::from(bits) }
}

/// Sum over all CPUs of the `u64` at `offset`.
fn total(cpus: &[&[u8]], offset: u32) -> Result<u64, DecodeError> {
    let mut sum = 0u64;
    for cpu in cpus {
        sum = sum.wrapping_add(u64_at(cpu, offset)?);
    }
    Ok(sum)
}

/// Smallest or largest value of the CPUs that have one; 0 if none has.
fn extreme(cpus: &[&[u8]], signed: bool, largest: bool) -> Result<u64, DecodeError> {
    let mut found: Option<u64> = None;
    for cpu in cpus {
        let (bits, set) = (u64_at(cpu, 0)?, u64_at(cpu, 8)?);
        let better = |old| (widen(bits, signed) > widen(old, signed)) == largest;
        if set != 0 && found.is_none_or(better) {
            found = Some(bits);
        }
    }
    Ok(found.unwrap_or(0))
}

fn stats(cpus: &[&[u8]], signed: bool) -> Result<Stats, DecodeError> {
    let total = widen(total(cpus, 0)?, signed);
    let count = self::total(cpus, 8)?;
    let average = if count == 0 { 0 } else { total / i128::from(count) };
    Ok(Stats { count, average, total })
}

/// The average fits: it lies between 0 and the total.
fn average_bits(stats: &Stats) -> u64 {
    match u64::try_from(stats.average) {
        Ok(bits) => bits,
        Err(_) => i64::try_from(stats.average).unwrap_or(0).cast_unsigned(),
    }
}

/// The buckets of a histogram, summed over all CPUs.
fn buckets(ty: &Type, cpus: &[&[u8]]) -> Result<Vec<u64>, DecodeError> {
    if let Type::Hist { bits } = ty
        && *bits > MAX_BITS
    {
        return Err(DecodeError::BadHistogram(*bits));
    }
    (0..ty.size() / 8).map(|i| total(cpus, i.saturating_mul(8))).collect()
}

/// Indices from the first bucket that is not empty to the last.
fn used(counts: &[u64]) -> std::ops::Range<usize> {
    match counts.iter().position(|count| *count != 0) {
        Some(first) => {
            first..counts.iter().rposition(|count| *count != 0).map_or(first, |last| last + 1)
        }
        None => 0..0,
    }
}

fn log2(bits: u8, counts: &[u64], div: u32) -> Histogram {
    let bucket = |i: usize| Bucket {
        low: i.checked_sub(1).map(|below| log2_bound(bits, below)),
        high: Some(log2_bound(bits, i)),
        count: counts.get(i).copied().unwrap_or(0) / u64::from(div),
    };
    Histogram { scale: Scale::Log2 { bits }, buckets: used(counts).map(bucket).collect() }
}

/// First value above bucket `index`; bucket 0 holds what is below 0.
fn log2_bound(bits: u8, index: usize) -> i128 {
    let index = i128::try_from(index).unwrap_or(0);
    let power = (index >> bits) - 1;
    if power <= 0 {
        return index;
    }
    let split = 1i128 << bits;
    (split + (index & (split - 1))) << power.min(64)
}

fn linear(min: i64, max: i64, step: i64, mut counts: Vec<u64>) -> Histogram {
    let (wide_min, wide_max, wide_step) = (i128::from(min), i128::from(max), i128::from(step));
    // Where the last regular bucket would reach beyond `max`, bpftrace counts all above in it.
    if wide_step > 0 && (wide_max - wide_min) % wide_step != 0 {
        let above = counts.pop().unwrap_or(0);
        if let Some(last) = counts.last_mut() {
            *last = last.wrapping_add(above);
        }
    }
    let bound = |index: i128| wide_min + index * wide_step;
    let bucket = |i: usize| {
        let index = i128::try_from(i).unwrap_or(0);
        Bucket {
            low: (index > 0).then(|| bound(index - 1)),
            high: Some(bound(index)).filter(|high| *high <= wide_max),
            count: counts.get(i).copied().unwrap_or(0),
        }
    };
    Histogram { scale: Scale::Linear { step }, buckets: used(&counts).map(bucket).collect() }
}
