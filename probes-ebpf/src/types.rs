//! Types of the values that cross from the kernel to user space: map keys, map values and the
//! fields of ring buffer records. A type fixes the layout of the bytes and the way they print.

use serde::{Deserialize, Serialize};

/// The type of a value in memory, as user space sees it. All numbers are in the byte order of
/// the machine that runs the program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// An integer of `size` bytes (1, 2, 4 or 8).
    Int {
        /// Bytes: 1, 2, 4 or 8.
        size: u8,
        /// Two's complement when set.
        signed: bool,
    },
    /// One byte, 0 or 1; prints as `true` or `false`.
    Bool,
    /// Text in a field of `size` bytes, ended by NUL or by the end of the field. A field that is
    /// full to its last byte without a NUL was cut, and prints with the truncation trailer.
    Str {
        /// Bytes of the field, NUL included.
        size: u32,
    },
    /// Text in a C `char` array of `size` bytes, ended by NUL or by the end of the array, which is
    /// no sign of a text that was cut.
    Chars {
        /// Bytes of the array.
        size: u32,
    },
    /// A `u32` length, then `size` bytes of which the first `length` count.
    Buf {
        /// Bytes after the length.
        size: u32,
    },
    /// An address, 8 bytes; prints as `0x...`.
    Ptr,
    /// `len` elements without gaps.
    Array {
        /// Type of an element.
        elem: Box<Type>,
        /// Number of elements.
        len: u32,
    },
    /// A struct, a union or a tuple.
    Record(Record),
    /// An integer that prints by name where it has one.
    Enum {
        /// Name of the enum.
        name: String,
        /// Bytes: 1, 2, 4 or 8.
        size: u8,
        /// Two's complement when set.
        signed: bool,
        /// Value and name of each variant.
        variants: Vec<(i64, String)>,
    },
    /// An address: a `u32` family (`AF_INET` or `AF_INET6`), then 16 bytes in network order, of
    /// which an IPv4 address takes the first four. 20 bytes.
    Inet,
    /// An IPv4 address in network order, 4 bytes.
    Inet4,
    /// An IPv6 address, 16 bytes.
    Inet6,
    /// An Ethernet address, 6 bytes.
    Mac,
    /// A kernel address that prints as a symbol, 8 bytes.
    KSym,
    /// A user address that prints as a symbol: `u64` address, `u32` process id, `u32` probe id.
    USym,
    /// A kernel stack: see [`Stack`].
    KStack(Stack),
    /// A user stack: see [`Stack`].
    UStack(Stack),
    /// A user id that prints as a name, 8 bytes.
    Username,
    /// Nanoseconds of `CLOCK_BOOTTIME` (`u64`) that print as wall-clock time.
    Timestamp {
        /// A strftime(3) format, with bpftrace's `%f` (microseconds) and `%k` (nanoseconds).
        format: String,
        /// Which clock the nanoseconds are of.
        clock: Clock,
        /// Print in UTC instead of the local time zone.
        utc: bool,
    },
    /// A cgroup id (`u64`) that prints as the cgroup's path.
    CgroupPath {
        /// Glob over hierarchies; empty for all.
        filter: String,
    },
    /// An index into [`crate::plan::Plan::probes`] (`u64`); prints as that probe's full name.
    Probe,
    /// As [`Type::Probe`], printing the name of the function that the probe is on.
    Func,
    /// A per-CPU count, `u64`.
    Count,
    /// A per-CPU sum, `u64`.
    Sum {
        /// Two's complement when set.
        signed: bool,
    },
    /// A per-CPU smallest value: `u64` value, `u64` set (0 or 1).
    Min {
        /// Two's complement when set.
        signed: bool,
    },
    /// A per-CPU largest value: `u64` value, `u64` set (0 or 1).
    Max {
        /// Two's complement when set.
        signed: bool,
    },
    /// Per-CPU `u64` total and `u64` count; prints their quotient.
    Avg {
        /// Two's complement when set.
        signed: bool,
    },
    /// As [`Type::Avg`]; prints count, average and total.
    Stats {
        /// Two's complement when set.
        signed: bool,
    },
    /// A power-of-two histogram: per-CPU `u64` buckets, [`hist_buckets`] of them.
    Hist {
        /// Each power of two is split into `1 << bits` buckets; 0 to 5.
        bits: u8,
    },
    /// A linear histogram: per-CPU `u64` buckets; the first is below `min`, the last `max` and
    /// above.
    Lhist {
        /// Lower end of the first regular bucket.
        min: i64,
        /// Upper end (exclusive) of the last regular bucket.
        max: i64,
        /// Width of a regular bucket; above 0.
        step: i64,
    },
    /// A time series: per-CPU buckets of `u64` value, `u64` meta and `u64` epoch, `intervals` of
    /// them. An epoch is `CLOCK_TAI` in units of the interval; 0: the bucket was never used. It
    /// lies in the bucket of its remainder by `intervals`.
    Tseries {
        /// Length of an interval in nanoseconds; above 0.
        interval: u64,
        /// Number of intervals; above 0.
        intervals: u32,
        /// What becomes of several values in an interval.
        how: SeriesHow,
        /// Two's complement when set.
        signed: bool,
    },
    /// Nothing: the value of a call that returns none.
    Void,
}

/// What becomes of several values in one interval of a [`Type::Tseries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesHow {
    /// The last one stays; `meta` is its time.
    Last,
    /// Their sum and, in `meta`, their number.
    Avg,
    /// The largest; `meta` is 1.
    Max,
    /// The smallest; `meta` is 1.
    Min,
    /// Their sum.
    Sum,
}

/// Bytes of a bucket of a [`Type::Tseries`].
pub const SERIES_BUCKET: u32 = 24;

/// A struct, union or tuple with its layout.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// What it is, which decides how it prints.
    pub kind: RecordKind,
    /// The tag in the source (`task_struct`); empty for tuples and anonymous types.
    pub name: String,
    /// Bytes, padding at the end included.
    pub size: u32,
    /// Members in order of declaration.
    pub fields: Vec<Field>,
}

/// Kinds of [`Record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// Prints as `{ .a = 1, .b = 2 }`.
    Struct,
    /// As a struct, all members at offset 0.
    Union,
    /// Prints as `(1, 2)`; its fields have the empty name.
    Tuple,
}

/// A member of a [`Record`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// Name; empty in a tuple or for an anonymous member.
    pub name: String,
    /// Bytes from the start of the record.
    pub offset: u32,
    /// Type of the member.
    #[serde(rename = "type")]
    pub ty: Type,
    /// For a bitfield: its first bit, counted from the lowest of the integer at `offset`, and
    /// its width in bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<(u8, u8)>,
}

/// A captured stack: `u64` key in the stack map, whose lowest ten bits are the number of frames
/// ([`stack_frames`]), `u32` process id, `u32` probe id; the latter two are 0 for a kernel stack.
/// 16 bytes. A value of the stack map is an array of addresses, innermost first, or of
/// `struct bpf_stack_build_id` (linux/bpf.h).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stack {
    /// How frames print.
    pub mode: StackMode,
    /// Largest number of frames.
    pub limit: u32,
    /// Index into [`crate::plan::Plan::maps`] of the map that the id is of.
    pub map: u32,
}

/// Bits of a stack's key that hold the number of its frames.
pub const STACK_FRAMES_MASK: u64 = 0x3ff;

/// Number of frames of the stack with this key; 0 if it could not be captured.
pub const fn stack_frames(key: u64) -> usize {
    (key & STACK_FRAMES_MASK) as usize
}

/// How stack frames print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackMode {
    /// `symbol+offset`
    Bpftrace,
    /// `address symbol+offset (module)`
    Perf,
    /// The address alone.
    Raw,
    /// Build id and file offset.
    BuildId,
}

/// The clock that a timestamp is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// `CLOCK_MONOTONIC`
    Monotonic,
    /// `CLOCK_BOOTTIME`
    Boot,
    /// `CLOCK_TAI`
    Tai,
    /// Wall clock read in user space when the event is printed.
    Realtime,
}

/// Families of a [`Type::Inet`], as in linux/socket.h.
pub const AF_INET: u32 = 2;
/// See [`AF_INET`].
pub const AF_INET6: u32 = 10;

/// Number of buckets of a [`Type::Hist`] with `bits`: one for negative numbers, one for each of
/// `0 .. 1 << bits`, then `1 << bits` for each power of two up to 2^63.
pub const fn hist_buckets(bits: u8) -> u32 {
    1 + (65 - bits as u32) * (1 << bits)
}

/// Number of buckets of a [`Type::Lhist`], the two outer ones included. 0 if `step` is not
/// above 0 or `max` not above `min`.
pub const fn lhist_buckets(min: i64, max: i64, step: i64) -> u64 {
    if step <= 0 || max <= min {
        return 0;
    }
    max.abs_diff(min).div_ceil(step as u64) + 2
}

impl Type {
    /// Bytes that a value takes: in a map with per-CPU values, on each CPU.
    pub fn size(&self) -> u32 {
        match self {
            Type::Int { size, .. } | Type::Enum { size, .. } => u32::from(*size),
            Type::Bool => 1,
            Type::Str { size } | Type::Chars { size } => *size,
            Type::Buf { size } => size.saturating_add(4),
            Type::Array { elem, len } => elem.size().saturating_mul(*len),
            Type::Record(r) => r.size,
            Type::Inet => 20,
            Type::Inet4 => 4,
            Type::Inet6 => 16,
            Type::Mac => 6,
            Type::USym | Type::KStack(_) | Type::UStack(_) => 16,
            Type::Min { .. } | Type::Max { .. } | Type::Avg { .. } | Type::Stats { .. } => 16,
            Type::Hist { bits } => hist_buckets(*bits) * 8,
            Type::Lhist { min, max, step } => {
                u32::try_from(lhist_buckets(*min, *max, *step) * 8).unwrap_or(u32::MAX)
            }
            Type::Tseries { intervals, .. } => intervals.saturating_mul(SERIES_BUCKET),
            Type::Void => 0,
            Type::Ptr
            | Type::KSym
            | Type::Username
            | Type::Timestamp { .. }
            | Type::CgroupPath { .. }
            | Type::Probe
            | Type::Func
            | Type::Count
            | Type::Sum { .. } => 8,
        }
    }

    /// Natural alignment in bytes: 1, 2, 4 or 8.
    pub fn align(&self) -> u32 {
        match self {
            Type::Int { size, .. } | Type::Enum { size, .. } => u32::from(*size).max(1),
            Type::Bool | Type::Str { .. } | Type::Chars { .. } | Type::Mac | Type::Void => 1,
            Type::Buf { .. } | Type::Inet | Type::Inet4 | Type::Inet6 => 4,
            Type::Array { elem, .. } => elem.align(),
            Type::Record(r) => r.fields.iter().map(|f| f.ty.align()).max().unwrap_or(1),
            _ => 8,
        }
    }

    /// Whether values of this type live in maps with a copy for each CPU.
    pub fn is_per_cpu(&self) -> bool {
        matches!(
            self,
            Type::Count
                | Type::Sum { .. }
                | Type::Min { .. }
                | Type::Max { .. }
                | Type::Avg { .. }
                | Type::Stats { .. }
                | Type::Hist { .. }
                | Type::Lhist { .. }
                | Type::Tseries { .. }
        )
    }
}

/// Lays out `members` one after another at their natural alignment, as a C struct would be.
/// Returns the fields and the size, rounded up to the largest alignment.
pub fn lay_out(members: impl IntoIterator<Item = (String, Type)>) -> (Vec<Field>, u32) {
    let mut offset = 0u32;
    let mut align = 1;
    let mut fields = Vec::new();
    for (name, ty) in members {
        let a = ty.align();
        align = align.max(a);
        offset = offset.next_multiple_of(a);
        let size = ty.size();
        fields.push(Field { name, offset, ty, bits: None });
        offset = offset.saturating_add(size);
    }
    (fields, offset.next_multiple_of(align))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lay_out_pads_as_c_does() {
        let int = |size| Type::Int { size, signed: false };
        let (fields, size) = lay_out([
            ("a".into(), int(1)),
            ("b".into(), int(8)),
            ("c".into(), Type::Str { size: 3 }),
        ]);
        assert_eq!(fields.iter().map(|f| f.offset).collect::<Vec<_>>(), [0, 8, 16]);
        assert_eq!(size, 24);
    }

    #[test]
    fn bucket_counts() {
        assert_eq!(hist_buckets(0), 66);
        assert_eq!(lhist_buckets(0, 10, 3), 6);
        assert_eq!(lhist_buckets(0, 10, 0), 0);
        assert_eq!(lhist_buckets(i64::MIN, i64::MAX, i64::MAX), 5);
    }
}
