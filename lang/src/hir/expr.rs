//! Expressions.

use std::net::IpAddr;

use rbtrace_probes_ebpf::helpers::Helper;
use rbtrace_probes_ebpf::names::Names;
use rbtrace_probes_ebpf::packet::Property;
use rbtrace_probes_ebpf::types::Clock;

use super::stmt::Stmt;
use super::types::Type;
use super::{LocalId, MapId};
use crate::span::Span;

pub use crate::ast::BinaryOp;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it does.
    pub kind: ExprKind,
    /// Type of its value.
    pub ty: Type,
    /// Its place in the script.
    pub span: Span,
}

/// Kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant of an integer, boolean, enum or pointer type, as two's complement.
    ///
    /// One of [`Type::Inet4`] is the number that its bytes are in memory.
    Int(i64),
    /// A value of a type that lives in memory, all bytes 0.
    Zero,
    /// A constant of type [`Type::Str`], without its NUL; shorter than the type's size. Also one of
    /// an array of bytes, [`Type::Inet`], [`Type::Inet6`] or [`Type::Mac`], all of their bytes.
    Str(Vec<u8>),
    /// Value of a variable.
    Local(LocalId),
    /// Value of a map's entry; zero if there is none. Not for aggregating maps.
    MapGet {
        /// The map.
        map: MapId,
        /// Absent for a scalar map.
        key: Option<Box<Expr>>,
    },
    /// An aggregating map's entry as an integer: count, sum, smallest, largest or average over
    /// all CPUs.
    AggregateGet {
        /// The map.
        map: MapId,
        /// Absent for a scalar map.
        key: Option<Box<Expr>>,
    },
    /// Something the kernel knows.
    Builtin(Builtin),
    /// An operator. The operand has the type that the operator works in.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Operand.
        operand: Box<Expr>,
    },
    /// An operator on two integers of one type (shifts: the right one is a `uint64`), or on a
    /// pointer and an offset in bytes. The result of a comparison is [`Type::Bool`].
    Binary {
        /// The operator; never `And` or `Or`.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// Comparison of memory: two strings, arrays or tuples. Result: [`Type::Bool`].
    Same {
        /// `!=`
        negated: bool,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// Is the current probe one of these? What `probe == "..."` means. Result: [`Type::Bool`].
    ProbeIs(Vec<u32>),
    /// `&&` or `||`: the right operand is only evaluated if it is needed. Operands and result
    /// are [`Type::Bool`].
    Logic {
        /// `&&`, not `||`.
        and: bool,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// `c ? a : b`; both values have the type of the expression.
    Ternary {
        /// [`Type::Bool`].
        cond: Box<Expr>,
        /// If true.
        then: Box<Expr>,
        /// If false.
        otherwise: Box<Expr>,
    },
    /// Conversion to the type of the expression, between integers, booleans, pointers, enums,
    /// and from a shorter to a longer string or from a longer to a shorter one (cut). From and to
    /// arrays it keeps the bytes, and an IP address is given its family: an integer is at least as large as the array, an array as large
    /// as the integer or string.
    Cast(Box<Expr>),
    /// Address of a variable, a pointer into kernel memory.
    AddressOf(LocalId),
    /// Address of the value of a map's entry; 0 if there is none.
    MapAddress {
        /// The map.
        map: MapId,
        /// Absent for a scalar map.
        key: Option<Box<Expr>>,
    },
    /// The value at an address: the operand is a pointer to the type of the expression.
    Load(Box<Expr>),
    /// A member of a record: `offset` bytes into `base`, which is a record (in memory) or a tuple.
    Field {
        /// Record or tuple.
        base: Box<Expr>,
        /// Number of the member.
        field: u32,
    },
    /// An element of an array, or a byte of a string; outside of it: zero. An array without a
    /// length is as long as it takes.
    Index {
        /// Array or string.
        base: Box<Expr>,
        /// `uint64`.
        index: Box<Expr>,
    },
    /// The record of the current tracepoint: a [`Type::Record`] that is never copied.
    TracepointRecord,
    /// A tuple of these values.
    Tuple(Vec<Expr>),
    /// A function.
    Call(Box<Call>),
    /// Statements, then a value.
    Block {
        /// Statements.
        stmts: Vec<Stmt>,
        /// The value.
        value: Box<Expr>,
    },
    /// Adds `delta` to a variable and yields its value before or after.
    LocalStep {
        /// The variable.
        local: LocalId,
        /// 1 or -1, for a pointer the size of what it points to.
        delta: i64,
        /// Yield the new value.
        prefix: bool,
    },
    /// As [`ExprKind::LocalStep`], for a map's entry.
    MapStep {
        /// The map.
        map: MapId,
        /// Absent for a scalar map.
        key: Option<Box<Expr>>,
        /// 1 or -1.
        delta: i64,
        /// Yield the new value.
        prefix: bool,
    },
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// Negation.
    Neg,
    /// Truth value of the opposite: operand and result are [`Type::Bool`].
    Not,
    /// Complement.
    BitNot,
}

/// Things the kernel knows, without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// Process id in rbtrace's own PID namespace, 0 for a process of another; `uint32`.
    Pid,
    /// Thread id in rbtrace's own PID namespace, 0 for a thread of another; `uint32`.
    Tid,
    /// Process id in the first PID namespace; `uint32`.
    InitPid,
    /// Thread id in the first PID namespace; `uint32`.
    InitTid,
    /// User id; `uint64`.
    Uid,
    /// Group id; `uint64`.
    Gid,
    /// User name; [`Type::Username`].
    Username,
    /// Thread name; `string[16]`.
    Comm,
    /// Nanoseconds of a clock; `uint64`. `Realtime` is not among them.
    Nsecs(Clock),
    /// Nanoseconds of International Atomic Time, from the clock that counts since boot and what
    /// the two differed by when the run began; `uint64`.
    SwTai,
    /// Ticks of the kernel's timer since boot; `uint64`.
    Jiffies,
    /// Number of the NUMA node; `uint32`.
    NumaNode,
    /// Nanoseconds since the run began; `uint64`.
    Elapsed,
    /// Number of the CPU; `uint32`.
    Cpu,
    /// Number of CPUs; `uint64`.
    Ncpus,
    /// Pointer to the current `task_struct`; `uint64`.
    Curtask,
    /// Id of the current cgroup; `uint64`.
    Cgroup,
    /// Whether the current thread is in the cgroup that user space names, or in one below it; `bool`.
    InCgroup,
    /// A random `uint32`.
    Rand,
    /// An argument of the function, from 0; `uint64`.
    Arg(u32),
    /// An argument on the stack, from 0; `uint64`.
    StackArg(u32),
    /// Result of the function; `uint64`.
    Retval,
    /// Number of the probe; [`Type::Probe`].
    Probe,
    /// Number of the probe; [`Type::Func`].
    Func,
    /// Address of the instruction that the probe is on; prints as a symbol.
    InstructionPointer,
    /// What a packet has that is in no header; `uint32`.
    Packet(Property),
    /// The context itself; a pointer to nothing in [`Space::Own`](super::Space::Own).
    Context,
}

/// What follows the last header of a packet: the variables for [`Fact::PayloadOffset`] and
/// [`Fact::PayloadEnd`].
///
/// [`Fact::PayloadOffset`]: rbtrace_probes_ebpf::packet::Fact::PayloadOffset
/// [`Fact::PayloadEnd`]: rbtrace_probes_ebpf::packet::Fact::PayloadEnd
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// Where it begins; `uint64`.
    pub start: Expr,
    /// Where it ends, as the header of IP claims; 0 without one. `uint64`.
    pub end: Expr,
}

/// Functions with a value, evaluated in the kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// `str(p[, n])`: the text at an address; the expression's type says how much.
    Str {
        /// A pointer.
        ptr: Expr,
        /// Largest number of bytes, if not constant; `uint64`.
        len: Option<Expr>,
    },
    /// `str(s, n)` of a string: as much of it as fits into `n` bytes with the NUL.
    Cut {
        /// A string.
        text: Expr,
        /// Number of bytes; `uint64`.
        len: Expr,
    },
    /// `str_concat(s, t)`: one string after the other, cut to the type of the expression.
    StrConcat {
        /// A string.
        left: Expr,
        /// A string.
        right: Expr,
    },
    /// `strerror(n)` and the like: the text of a number.
    TextOf {
        /// The number; `int32`.
        number: Expr,
        /// Where its text is.
        names: Names,
    },
    /// `buf(s, n)` of a string or an array.
    BufOf {
        /// A value in memory.
        data: Expr,
        /// Number of bytes; `uint64`.
        len: Expr,
    },
    /// `buf(p, n)`: bytes at an address.
    Buf {
        /// A pointer.
        ptr: Expr,
        /// Number of bytes; `uint64`.
        len: Expr,
    },
    /// `has_key(@m, k)`: [`Type::Bool`].
    HasKey {
        /// The map.
        map: MapId,
        /// The key.
        key: Expr,
    },
    /// `delete(@m, k)`: [`Type::Bool`], whether there was such an entry.
    Delete {
        /// The map.
        map: MapId,
        /// Absent for a scalar map: its value becomes zero.
        key: Option<Expr>,
    },
    /// `len(@m)`: number of entries; `int64`.
    MapLen(MapId),
    /// `len(s)` of a string: bytes before the NUL; `uint64`.
    StrLen(Expr),
    /// `len(stack)`: number of its frames; `i64`.
    StackLen(Expr),
    /// `strncmp(a, b, n)`: 0 if the first `n` bytes are the same; `uint64`.
    Strncmp {
        /// A string.
        left: Expr,
        /// A string.
        right: Expr,
        /// Number of bytes.
        len: u64,
    },
    /// `memcmp(a, b, n)`: the difference of the first two bytes that differ among the first `n`, as
    /// `int8`; 0 if there are none. A value that is shorter goes on with zeros; `int32`.
    Memcmp {
        /// Any value.
        left: Expr,
        /// Any value.
        right: Expr,
        /// Number of bytes; `uint64`.
        len: Expr,
    },
    /// `strstr(s, t)`: index of the first occurrence, -1 if there is none; `int64`.
    StrStr {
        /// A string.
        haystack: Expr,
        /// A string.
        needle: Expr,
    },
    /// A helper of the kernel that is called as it is; `int64` or `uint64`.
    Helper {
        /// Which.
        helper: &'static Helper,
        /// The context is its first argument.
        context: bool,
        /// The others, scalars.
        args: Vec<Expr>,
    },
    /// `write_user(p, s, n)`: writes memory of the current process; `int64`, 0 if it worked.
    WriteUser {
        /// The address; `uint64`.
        to: Expr,
        /// A value in memory, or a pointer in [`Space::Own`](super::Space::Own).
        from: Expr,
        /// Number of bytes, no more than the source has.
        len: u32,
    },
    /// `path(p)`: the path that a `struct path` of the kernel stands for, as text; the address is one
    /// whose type the verifier knows.
    Path(Expr),
    /// `skboutput(file, skb, n, offset)`: has user space write a packet to a file; `int64`, 0 if it
    /// worked.
    SkbOutput {
        /// Path of the file.
        file: String,
        /// Pointer to a `struct sk_buff`, whose type the verifier knows.
        skb: Expr,
        /// Bytes of the packet; `uint64`.
        len: Expr,
        /// Bytes to leave out from its start.
        offset: u64,
    },
    /// The address of a kernel variable that each CPU has its own of; `uint64`, 0 if there is no
    /// such CPU.
    PerCpuAddress {
        /// Address of the array of offsets, an element for each CPU (`__per_cpu_offset`).
        offsets: u64,
        /// Address of the variable before the offset is added.
        variable: u64,
        /// The CPU; `uint64`.
        cpu: Expr,
    },
    /// `bswap(n)`: bytes in reverse; of the type of the expression.
    Bswap(Expr),
    /// `strftime(fmt, ns)`: [`Type::Timestamp`].
    Strftime(Expr),
    /// `ksym(a)`, `usym(a)`, `cgroup_path(id)`, `username` of an id: the operand, marked with the type of the expression.
    Mark(Expr),
    /// `ntop(a)`: an address of 4 or 16 bytes, or an integer in network order; [`Type::Inet`].
    Ntop {
        /// Address family, `AF_INET` or `AF_INET6`; absent: by the size.
        family: Option<Expr>,
        /// The address.
        addr: Expr,
    },
    /// `within(a, network)`: [`Type::Bool`], whether the first bits of an IP address are these.
    Within {
        /// The address.
        address: Expr,
        /// The network.
        network: IpAddr,
        /// How many bits, no more than an address of this family has.
        prefix: u8,
    },
    /// `payload[n]`: a byte of what follows the last header of a packet, 0 behind its end; `uint8`.
    PayloadByte {
        /// The payload.
        payload: Payload,
        /// Which; `uint64`.
        at: Expr,
    },
    /// `str(payload, n)`, `buf(payload, n)`: its first bytes, by the type of the expression.
    PayloadBytes {
        /// The payload.
        payload: Payload,
        /// How many, if it has so many; `uint64`.
        len: Expr,
    },
    /// `len(payload)`: how many bytes it has; `uint64`.
    PayloadLen(Payload),
    /// `macaddr(a)`: [`Type::Mac`].
    MacAddr(Expr),
    /// `kstack(...)`, `ustack(...)`, by the type of the expression.
    Stack {
        /// `dw_ustack(...)`: by unwind data, not by frame pointers.
        unwind: bool,
    },
    /// `reg("name")`: the register at this offset of the context; `uint64`.
    Register {
        /// Bytes.
        offset: u32,
    },
}
