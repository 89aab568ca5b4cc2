//! What aggregating maps keep.

use rbtrace_lang::hir::Aggregate;
use serde_json::{Value as Json, json};

/// Everything that any aggregation needs of the numbers it was given.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    count: i64,
    sum: i64,
    smallest: (i64, u64),
    largest: (i64, u64),
}

impl Totals {
    /// Of no number.
    pub fn none() -> Self {
        Totals { count: 0, sum: 0, smallest: (i64::MAX, u64::MAX), largest: (i64::MIN, 0) }
    }

    /// With one more.
    pub fn add(&mut self, n: i64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(n);
        self.smallest = (self.smallest.0.min(n), self.smallest.1.min(n as u64));
        self.largest = (self.largest.0.max(n), self.largest.1.max(n as u64));
    }

    /// The number that the map stands for in an expression.
    pub fn value(&self, aggregate: &Aggregate) -> i64 {
        match aggregate {
            _ if self.count == 0 => 0,
            Aggregate::Count => self.count,
            Aggregate::Sum { .. } => self.sum,
            Aggregate::Min { signed: true } => self.smallest.0,
            Aggregate::Min { signed: false } => self.smallest.1 as i64,
            Aggregate::Max { signed: true } => self.largest.0,
            Aggregate::Max { signed: false } => self.largest.1 as i64,
            Aggregate::Avg { signed: false } | Aggregate::Stats { signed: false } => {
                (self.sum as u64 / self.count as u64) as i64
            }
            _ => self.sum.wrapping_div(self.count),
        }
    }

    /// As JSON output shows it.
    pub fn json(&self, aggregate: &Aggregate) -> Json {
        let number = |n: i64, signed: bool| if signed { json!(n) } else { json!(n as u64) };
        match aggregate {
            Aggregate::Stats { signed } => json!({
                "count": self.count,
                "average": number(self.value(aggregate), *signed),
                "total": number(self.sum, *signed),
            }),
            Aggregate::Sum { signed }
            | Aggregate::Min { signed }
            | Aggregate::Max { signed }
            | Aggregate::Avg { signed } => number(self.value(aggregate), *signed),
            _ => json!(self.value(aggregate)),
        }
    }
}
