//! `tseries()`: numbers by the interval of time that they fall into.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::hir::{Aggregate, Int};
use rbtrace_probes_ebpf::types::{SERIES_BUCKET, SeriesHow};

use super::aggregate::{larger, smaller};
use super::func::FnBuilder;
use super::mem::Place;
use crate::error::Error;

/// Offsets in a bucket: see the plan's `Tseries`.
const META: u32 = 8;
const EPOCH: u32 = 16;

impl FnBuilder<'_, '_, '_> {
    /// Adds a number to the bucket of its time.
    pub(super) fn add_at(
        &mut self,
        aggregate: &Aggregate,
        at: Place,
        number: Value,
        time: Value,
    ) -> Result<(), Error> {
        let Aggregate::Tseries { interval, intervals, how, signed } = *aggregate else {
            return Err(self.bug("a time where none is wanted"));
        };
        let interval = self.opaque(interval as i64);
        let epoch = self.b.ins().udiv(time, interval);
        let count = self.opaque(i64::from(intervals));
        let index = self.b.ins().urem(epoch, count);
        // Tells the verifier what it does not see.
        let inside = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, index, i64::from(intervals));
        self.when(inside, |f| {
            let start = f.address(at);
            let offset = f.b.ins().imul_imm_s(index, i64::from(SERIES_BUCKET));
            let bucket = Place::pointer(f.b.ins().iadd(start, offset));
            let before = f.load(bucket.plus(EPOCH), Int::U64);
            let other = f.b.ins().icmp(IntCC::NotEqual, before, epoch);
            f.when(other, |f| {
                let zero = f.iconst(0);
                f.store(bucket, 8, zero);
                f.store(bucket.plus(META), 8, zero);
                f.store(bucket.plus(EPOCH), 8, epoch);
                Ok(())
            })?;
            f.add_to_interval(how, signed, bucket, number, time)
        })
    }

    fn add_to_interval(
        &mut self,
        how: SeriesHow,
        signed: bool,
        bucket: Place,
        number: Value,
        time: Value,
    ) -> Result<(), Error> {
        match how {
            SeriesHow::Last => {
                self.store(bucket, 8, number);
                self.store(bucket.plus(META), 8, time);
            }
            SeriesHow::Avg => {
                self.increase(bucket, number);
                let one = self.iconst(1);
                self.increase(bucket.plus(META), one);
            }
            SeriesHow::Sum => self.increase(bucket, number),
            SeriesHow::Min => self.extreme(bucket, number, smaller(signed))?,
            SeriesHow::Max => self.extreme(bucket, number, larger(signed))?,
        }
        Ok(())
    }
}
