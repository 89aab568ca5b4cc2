//! Aggregating maps: `count()`, `sum()`, `hist()` and the others, a value for each CPU.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::hir::{Aggregate, Expr, Int, MapId, Type};
use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::types::{hist_buckets, lhist_buckets};

use super::func::FnBuilder;
use super::map::NO_EXIST;
use super::mem::Place;
use crate::error::Error;

/// Values up to this many bytes are made from a zero on the stack.
const SMALL: u32 = 16;

/// The number of the highest bit of each number from 0 to 15, two bits each.
const LOG2_OF_4_BITS: i64 = 0xffff_aa50;

impl FnBuilder<'_, '_, '_> {
    /// `@m[key] = count()` and its like.
    pub(super) fn aggregate(
        &mut self,
        map: MapId,
        key: Option<&Expr>,
        value: Option<&Expr>,
        time: Option<&Expr>,
    ) -> Result<(), Error> {
        let Type::Aggregate(aggregate) = &self.map_type(map)?.value else {
            return Err(self.bug("an aggregation into a plain map"));
        };
        // As in bpftrace the key comes first, unlike that of an assignment.
        let key = self.key_before(map, key, value)?;
        let number = match value {
            Some(value) => self.scalar(value)?,
            None => self.iconst(1),
        };
        let time = time.map(|time| self.scalar(time)).transpose()?;
        let entry = self.entry(map, key)?;
        self.when(entry, |f| {
            f.mark_set(map, entry);
            match (aggregate, time) {
                (Aggregate::Tseries { .. }, Some(time)) => {
                    f.add_at(aggregate, Place::pointer(entry), number, time)
                }
                _ => f.add(aggregate, Place::pointer(entry), number),
            }
        })
    }

    /// Pointer to this CPU's value of an entry, which is made if it is not there; 0 if the map
    /// is full.
    fn entry(&mut self, map: MapId, key: Value) -> Result<Value, Error> {
        let declared = self.map_type(map)?;
        let found = self.look_up(map, key);
        if declared.kind.is_array() {
            return Ok(found);
        }
        let size = self.unit.layout(&declared.value).size();
        self.choose(
            found,
            |_| Ok(found),
            |f| {
                let zeros = if size <= SMALL {
                    let place = f.temp_bytes(size)?;
                    f.zero(place, size)?;
                    f.address(place)
                } else {
                    let offset = f.unit.zeros(size);
                    f.bss(offset)
                };
                f.update(map, key, zeros, NO_EXIST)?;
                Ok(f.look_up(map, key))
            },
        )
    }

    fn add(&mut self, aggregate: &Aggregate, at: Place, number: Value) -> Result<(), Error> {
        match *aggregate {
            Aggregate::Count | Aggregate::Sum { .. } => self.increase(at, number),
            Aggregate::Avg { .. } | Aggregate::Stats { .. } => {
                self.increase(at, number);
                let one = self.iconst(1);
                self.increase(at.plus(8), one);
            }
            Aggregate::Min { signed } => self.extreme(at, number, smaller(signed))?,
            Aggregate::Max { signed } => self.extreme(at, number, larger(signed))?,
            Aggregate::Hist { bits } => {
                let bucket = self.hist_bucket(number, bits)?;
                self.increase_bucket(at, bucket, hist_buckets(bits))?;
            }
            Aggregate::Lhist { min, max, step } => {
                let buckets = u32::try_from(lhist_buckets(min, max, step))
                    .map_err(|_| self.bug("more buckets than a map's value can hold"))?;
                let bucket = self.lhist_bucket(number, min, max, step, buckets)?;
                self.increase_bucket(at, bucket, buckets)?;
            }
            Aggregate::Tseries { .. } => return Err(self.bug("a time series without a time")),
        }
        Ok(())
    }

    pub(super) fn increase(&mut self, at: Place, by: Value) {
        let old = self.load(at, Int::U64);
        let new = self.b.ins().iadd(old, by);
        self.store(at, 8, new);
    }

    /// Keeps `number` if it is the first or beats what is kept.
    pub(super) fn extreme(&mut self, at: Place, number: Value, beats: IntCC) -> Result<(), Error> {
        let set = self.load(at.plus(8), Int::U64);
        let first = self.b.ins().icmp_imm_s(IntCC::Equal, set, 0);
        let kept = self.load(at, Int::U64);
        let better = self.b.ins().icmp(beats, number, kept);
        let keep = self.b.create_block();
        let compare = self.b.create_block();
        let after = self.b.create_block();
        self.b.ins().brif(first, keep, &[], compare, &[]);
        self.enter(compare);
        self.b.ins().brif(better, keep, &[], after, &[]);
        self.enter(keep);
        self.store(at, 8, number);
        let one = self.iconst(1);
        self.store(at.plus(8), 8, one);
        self.join(after);
        Ok(())
    }

    /// Adds one to a bucket. The test tells the verifier that the index is inside.
    fn increase_bucket(&mut self, at: Place, bucket: Value, buckets: u32) -> Result<(), Error> {
        let inside = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, bucket, i64::from(buckets));
        self.when(inside, |f| {
            let start = f.address(at);
            let offset = f.b.ins().ishl_imm_s(bucket, 3);
            let address = f.b.ins().iadd(start, offset);
            let one = f.iconst(1);
            f.increase(Place::pointer(address), one);
            Ok(())
        })
    }

    /// Index of a number's bucket: see [`hist_buckets`].
    fn hist_bucket(&mut self, number: Value, bits: u8) -> Result<Value, Error> {
        let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, number, 0);
        self.choose(
            negative,
            |f| Ok(f.iconst(0)),
            |f| {
                let small = f.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, number, 1 << bits);
                f.choose(
                    small,
                    |f| Ok(f.b.ins().iadd_imm_s(number, 1)),
                    |f| {
                        let log = f.log2(number);
                        let bits = i64::from(bits);
                        // 1 + (log - bits + 1) * 2^bits + the `bits` bits below the highest
                        let power = f.b.ins().iadd_imm_s(log, 1 - bits);
                        let power = f.b.ins().ishl_imm_s(power, bits);
                        let bucket = f.b.ins().iadd_imm_s(power, 1);
                        if bits == 0 {
                            return Ok(bucket);
                        }
                        let shift = f.b.ins().iadd_imm_s(log, -bits);
                        let top = f.b.ins().ushr(number, shift);
                        let below = f.b.ins().band_imm_s(top, (1 << bits) - 1);
                        Ok(f.b.ins().iadd(bucket, below))
                    },
                )
            },
        )
    }

    /// Number of the highest bit of a number from 1 to `i64::MAX`, by halving down to four bits.
    /// Without branches: they would be 64 paths for the verifier.
    fn log2(&mut self, number: Value) -> Value {
        let mut rest = number;
        let mut log = self.iconst(0);
        for power in (2..6).rev() {
            let shift = 1 << power;
            // The sign is set if the rest is larger.
            let largest = self.iconst((1i64 << shift) - 1);
            let distance = self.b.ins().isub(largest, rest);
            let sign = self.b.ins().ushr_imm_u(distance, 63);
            let step = self.b.ins().ishl_imm_u(sign, power);
            rest = self.b.ins().ushr(rest, step);
            log = self.b.ins().bor(log, step);
        }
        let table = self.iconst(LOG2_OF_4_BITS);
        let position = self.b.ins().ishl_imm_u(rest, 1);
        let entry = self.b.ins().ushr(table, position);
        let entry = self.b.ins().band_imm_s(entry, 3);
        self.b.ins().bor(log, entry)
    }

    fn lhist_bucket(
        &mut self,
        number: Value,
        min: i64,
        max: i64,
        step: i64,
        buckets: u32,
    ) -> Result<Value, Error> {
        let below = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, number, min);
        self.choose(
            below,
            |f| Ok(f.iconst(0)),
            |f| {
                let above = f.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, number, max);
                f.choose(
                    above,
                    |f| Ok(f.iconst(i64::from(buckets) - 1)),
                    |f| {
                        let min = f.iconst(min);
                        let distance = f.b.ins().isub(number, min);
                        let step = f.opaque(step);
                        let bucket = f.b.ins().udiv(distance, step);
                        Ok(f.b.ins().iadd_imm_s(bucket, 1))
                    },
                )
            },
        )
    }

    /// An aggregating map's entry as an integer, over all CPUs.
    pub(super) fn aggregate_get(&mut self, map: MapId, key: Option<&Expr>) -> Result<Value, Error> {
        let key = self.key(map, key)?;
        self.aggregate_at(map, key)
    }

    /// As [`FnBuilder::aggregate_get`], with the key at an address.
    pub(super) fn aggregate_at(&mut self, map: MapId, key: Value) -> Result<Value, Error> {
        let Type::Aggregate(aggregate) = &self.map_type(map)?.value else {
            return Err(self.bug("an aggregation of a plain map"));
        };
        let cpus = self.unit.profile.cpus;
        // Sums and counts, or the extreme value and whether there is one.
        let total = self.temp_bytes(16)?;
        self.zero(total, 16)?;
        self.repeat(cpus, |f, cpu, leave| {
            let map_ref = f.map_ref(map.0);
            let value = f.helper(helpers::MAP_LOOKUP_PERCPU_ELEM, &[map_ref, key, cpu]);
            let found = f.b.create_block();
            f.b.ins().brif(value, found, &[], leave, &[]);
            f.enter(found);
            f.merge(aggregate, total, Place::pointer(value))
        })?;
        let first = self.load(total, Int::U64);
        match *aggregate {
            Aggregate::Avg { signed } | Aggregate::Stats { signed } => {
                let count = self.load(total.plus(8), Int::U64);
                let none = self.b.ins().icmp_imm_s(IntCC::Equal, count, 0);
                self.choose(
                    none,
                    |f| Ok(f.iconst(0)),
                    |f| {
                        Ok(if signed {
                            f.b.ins().sdiv(first, count)
                        } else {
                            f.b.ins().udiv(first, count)
                        })
                    },
                )
            }
            _ => Ok(first),
        }
    }

    /// Adds one CPU's value to the total.
    fn merge(&mut self, aggregate: &Aggregate, total: Place, value: Place) -> Result<(), Error> {
        match *aggregate {
            Aggregate::Min { signed } | Aggregate::Max { signed } => {
                let beats = match aggregate {
                    Aggregate::Min { .. } => smaller(signed),
                    _ => larger(signed),
                };
                let set = self.load(value.plus(8), Int::U64);
                self.when(set, |f| {
                    let number = f.load(value, Int::U64);
                    f.extreme(total, number, beats)
                })
            }
            Aggregate::Avg { .. } | Aggregate::Stats { .. } => {
                let (sum, count) = (self.load(value, Int::U64), self.load(value.plus(8), Int::U64));
                self.increase(total, sum);
                self.increase(total.plus(8), count);
                Ok(())
            }
            Aggregate::Count | Aggregate::Sum { .. } => {
                let sum = self.load(value, Int::U64);
                self.increase(total, sum);
                Ok(())
            }
            Aggregate::Hist { .. } | Aggregate::Lhist { .. } | Aggregate::Tseries { .. } => {
                Err(self.bug("a histogram as an integer"))
            }
        }
    }
}

pub(super) fn smaller(signed: bool) -> IntCC {
    if signed { IntCC::SignedLessThan } else { IntCC::UnsignedLessThan }
}

pub(super) fn larger(signed: bool) -> IntCC {
    if signed { IntCC::SignedGreaterThan } else { IntCC::UnsignedGreaterThan }
}
