//! Types of values, and the records and enums that they refer to.

use std::fmt;

use rbtrace_probes_ebpf::types::{Clock, SeriesHow, StackMode};

use super::{EnumId, RecordId};
use crate::catalog::ctypes::Origin;

/// A type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// An integer.
    Int(Int),
    /// `true` or `false`.
    Bool,
    /// Text in `size` bytes, NUL included.
    Str {
        /// Bytes, at least 1.
        size: u32,
    },
    /// Bytes with a length.
    Buf {
        /// Largest number of bytes.
        size: u32,
    },
    /// A pointer.
    Ptr {
        /// What it points to; [`Type::Void`] if that is not known.
        to: Box<Type>,
        /// Where it points.
        space: Space,
    },
    /// Elements in a row.
    Array {
        /// Type of an element.
        elem: Box<Type>,
        /// Number of elements.
        len: u32,
    },
    /// A struct or union, in memory.
    Record(RecordId),
    /// A tuple; names are empty, or all given for a record literal.
    Tuple(Vec<(String, Type)>),
    /// An enum.
    Enum(EnumId),
    /// An IPv4 or IPv6 address, with its family.
    Inet,
    /// An IPv4 address, held as the integer that its bytes are in memory.
    Inet4,
    /// An IPv6 address.
    Inet6,
    /// An Ethernet address.
    Mac,
    /// A kernel address that prints as a symbol.
    KSym,
    /// A user address that prints as a symbol.
    USym,
    /// A kernel stack.
    KStack(StackType),
    /// A user stack.
    UStack(StackType),
    /// A user id that prints as a name.
    Username,
    /// A point in time.
    Timestamp {
        /// strftime(3) format.
        format: String,
        /// The clock.
        clock: Clock,
    },
    /// A cgroup id that prints as a path.
    CgroupPath {
        /// Glob over hierarchies.
        filter: String,
    },
    /// The number of a probe; prints as its name.
    Probe,
    /// The number of a probe; prints as its function.
    Func,
    /// The value of an aggregating map. Only as [`Map::value`](super::Map::value).
    Aggregate(Aggregate),
    /// No value.
    Void,
}

/// An integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Int {
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Two's complement.
    pub signed: bool,
}

/// How a stack is captured and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StackType {
    /// How frames print.
    pub mode: StackMode,
    /// Largest number of frames, 1 to 1024.
    pub limit: u32,
}

/// The memory that a pointer points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Kernel memory.
    Kernel,
    /// Memory of the current process.
    User,
    /// Decided at run time from the address.
    Unknown,
    /// The program's own memory: the context, the stack, a map's value. Never stored.
    Own,
}

/// What an aggregating map keeps, for each CPU apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// `count()`
    Count,
    /// `sum(n)`
    Sum {
        /// The numbers are signed.
        signed: bool,
    },
    /// `min(n)`
    Min {
        /// The numbers are signed.
        signed: bool,
    },
    /// `max(n)`
    Max {
        /// The numbers are signed.
        signed: bool,
    },
    /// `avg(n)`
    Avg {
        /// The numbers are signed.
        signed: bool,
    },
    /// `stats(n)`
    Stats {
        /// The numbers are signed.
        signed: bool,
    },
    /// `hist(n, bits)`
    Hist {
        /// 0 to 5.
        bits: u8,
    },
    /// `lhist(n, min, max, step)`
    Lhist {
        /// Lower end.
        min: i64,
        /// Upper end.
        max: i64,
        /// Width of a bucket, above 0.
        step: i64,
    },
    /// `tseries(n, interval, intervals, how)`
    Tseries {
        /// Nanoseconds of an interval, above 0.
        interval: u64,
        /// Number of intervals, above 0.
        intervals: u32,
        /// What becomes of several numbers in an interval.
        how: SeriesHow,
        /// The numbers are signed.
        signed: bool,
    },
}

/// A struct, union or tracepoint record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Tag, without `struct`; empty for an anonymous one.
    pub name: String,
    /// All members at offset 0.
    pub union: bool,
    /// Bytes; 0 for one that is only pointed to.
    pub size: u32,
    /// Members, those of anonymous structs and unions in it among them. None for one that is
    /// only pointed to.
    pub fields: Vec<Field>,
    /// Where the type comes from; absent for the record of a tracepoint.
    pub origin: Option<Origin>,
}

/// A member of a [`Record`].
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name; empty for an anonymous member.
    pub name: String,
    /// Bytes from the start.
    pub offset: u32,
    /// Type of what lies there. A pointer's says nothing of what it points to; a bitfield's is
    /// the integer that holds its bits; a `char` array's has no room for a NUL beyond its end.
    pub ty: Type,
    /// First bit and width of a bitfield.
    pub bits: Option<(u8, u8)>,
    /// The member is a `u32` that says where the value is; see
    /// [`crate::catalog::TracepointField::data_loc`].
    pub data_loc: Option<crate::catalog::DataLoc>,
}

/// An enum.
#[derive(Clone, Debug, PartialEq)]
pub struct Enum {
    /// Tag; empty for an anonymous one.
    pub name: String,
    /// Its integer.
    pub int: Int,
    /// Value and name of each variant.
    pub variants: Vec<(i64, String)>,
}

impl Int {
    /// `uint64`
    pub const U64: Int = Int { size: 8, signed: false };
    /// `int64`
    pub const I64: Int = Int { size: 8, signed: true };
    /// `uint32`
    pub const U32: Int = Int { size: 4, signed: false };
}

impl Type {
    /// `uint64`
    pub const U64: Type = Type::Int(Int::U64);
    /// `int64`
    pub const I64: Type = Type::Int(Int::I64);
    /// `uint32`
    pub const U32: Type = Type::Int(Int::U32);

    /// Whether values are held in a register: integers, booleans, enums, pointers, IPv4 addresses and
    /// what is marked as an integer of 8 bytes. All others live in memory.
    pub const fn is_scalar(&self) -> bool {
        matches!(
            self,
            Type::Int(_)
                | Type::Bool
                | Type::Enum(_)
                | Type::Ptr { .. }
                | Type::Inet4
                | Type::KSym
                | Type::Username
                | Type::Timestamp { .. }
                | Type::CgroupPath { .. }
                | Type::Probe
                | Type::Func
        )
    }

    /// Whether it is an IP address.
    pub const fn is_inet(&self) -> bool {
        matches!(self, Type::Inet | Type::Inet4 | Type::Inet6)
    }

    /// The integer that a scalar is held as; `None` if the type is no scalar. Enums answer
    /// `uint64`: their own integer is in [`Program::enums`](super::Program::enums).
    pub const fn as_int(&self) -> Option<Int> {
        match self {
            Type::Int(int) => Some(*int),
            Type::Bool => Some(Int { size: 1, signed: false }),
            Type::Enum(_) => Some(Int::U64),
            Type::Inet4 => Some(Int::U32),
            t if t.is_scalar() => Some(Int::U64),
            _ => None,
        }
    }
}

impl fmt::Display for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}int{}", if self.signed { "" } else { "u" }, u32::from(self.size) * 8)
    }
}
