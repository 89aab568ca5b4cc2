//! Values as a script computed them, typed and with their names looked up.

use std::net::IpAddr;
use std::sync::Arc;

use rbtrace_probes_ebpf::types::StackMode;

/// A value that a script printed or keeps in a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// Text.
    Str(Text),
    /// Bytes, from `buf`.
    Buf(Vec<u8>),
    /// An address.
    Ptr(u64),
    /// A value of an enum.
    Enum {
        /// The variant's name, if the number has one.
        name: Option<String>,
        /// The number's bits, not sign-extended.
        number: u64,
    },
    /// A network address; absent for a family that is neither IPv4 nor IPv6.
    Inet(Option<IpAddr>),
    /// An Ethernet address.
    Mac([u8; 6]),
    /// An address that prints as a symbol.
    Symbol {
        /// The address.
        address: u64,
        /// Its symbol, if known.
        symbol: Option<Box<Symbol>>,
    },
    /// A captured stack.
    Stack(Stack),
    /// A number that prints as a name: a user, an errno value, a probe, a function, a cgroup.
    Named {
        /// The number.
        number: u64,
        /// What prints.
        name: String,
    },
    /// A point in time.
    Time {
        /// Nanoseconds since the Unix epoch; absent if the clock's offset is not known.
        nanoseconds: Option<i128>,
        /// In the format that the script asks for.
        text: String,
    },
    /// Elements of an array.
    Array(Vec<Value>),
    /// A tuple, or the keys of a map with several.
    Tuple(Vec<Value>),
    /// Members of a struct or union, by name.
    Struct(Vec<(String, Value)>),
    /// The result of `stats`.
    Stats(Stats),
    /// The result of `hist` or `lhist`.
    Hist(Histogram),
    /// The result of `tseries`.
    Series(Series),
}

/// Text of any encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The bytes, without a NUL.
    pub bytes: Vec<u8>,
    /// Set if the text was cut: what prints after it.
    pub trailer: Option<Arc<str>>,
}

/// A symbol and the place of an address in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbol {
    /// Name, demangled where that is asked for.
    pub name: String,
    /// Bytes from the start of the symbol.
    pub offset: u64,
    /// Path of the file, or name of the kernel module.
    pub module: Option<String>,
    /// File and line of the source, where debug information has it.
    pub place: Option<String>,
    /// Functions that the compiler has put into this one at the address, innermost first.
    pub inlined: Vec<Inlined>,
}

/// A function that the compiler has put into its caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inlined {
    /// Name, demangled where that is asked for.
    pub name: String,
    /// File and line of the source, where known.
    pub place: Option<String>,
}

/// A captured stack, innermost frame first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// How it prints.
    pub mode: StackMode,
    /// Of a user process, not of the kernel.
    pub user: bool,
    /// The frames; none if the stack could not be captured.
    pub frames: Vec<Frame>,
}

/// A frame of a [`Stack`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// An instruction.
    Address {
        /// Its address.
        address: u64,
        /// Its symbol, if known.
        symbol: Option<Symbol>,
    },
    /// A place in a file.
    BuildId {
        /// Build id of the file.
        id: [u8; 20],
        /// Bytes from the start of the file.
        offset: u64,
    },
}

/// The result of `stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Number of values.
    pub count: u64,
    /// Their average, rounded toward 0.
    pub average: i128,
    /// Their sum.
    pub total: i128,
}

/// The result of `hist` or `lhist`: the buckets from the first that is not empty to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// How the buckets are laid out.
    pub scale: Scale,
    /// The buckets, without gaps, in ascending order.
    pub buckets: Vec<Bucket>,
}

/// Layout of a [`Histogram`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Each power of two is split into `1 << bits` buckets.
    Log2 {
        /// 0 to 5.
        bits: u8,
    },
    /// Buckets of one width.
    Linear {
        /// The width.
        step: i64,
    },
}

/// A bucket of a [`Histogram`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Smallest value counted here; absent: no lower bound.
    pub low: Option<i128>,
    /// First value above; absent: no upper bound.
    pub high: Option<i128>,
    /// How many values.
    pub count: u64,
}

/// The result of `tseries`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Nanoseconds between two points; 0 if there is only one.
    pub interval: u64,
    /// The numbers are signed.
    pub signed: bool,
    /// The intervals, without gaps, in ascending order.
    pub points: Vec<Point>,
}

/// An interval of a [`Series`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// When it begins, in the local time zone: hours, minutes and seconds.
    pub clock: String,
    /// When it begins, with the date, in UTC.
    pub date: String,
    /// Nanoseconds of the second.
    pub fraction: u32,
    /// Its number; absent if nothing was recorded.
    pub value: Option<i128>,
}

impl Value {
    /// Text from a string, not cut.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Str(Text { bytes: text.into().into_bytes(), trailer: None })
    }

    /// The value as 64 bits, if it is a number or stands for one.
    pub fn bits(&self) -> Option<u64> {
        match self {
            Self::Bool(b) => Some(u64::from(*b)),
            Self::Int(n) => Some(n.cast_unsigned()),
            Self::Uint(n) | Self::Ptr(n) => Some(*n),
            Self::Enum { number, .. } | Self::Named { number, .. } => Some(*number),
            Self::Symbol { address, .. } => Some(*address),
            _ => None,
        }
    }
}
