//! The typed program: every name resolved, every expression with its type, every implicit
//! conversion written out. After `check` a failure is a stated limit or a bug, never a type
//! error.

pub mod visit;

use std::fmt;

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan;
use rbtrace_probes_ebpf::types::{Clock, StackMode};

use crate::span::Span;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// As an index.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id! {
    /// Index into [`Program::maps`].
    MapId
}
id! {
    /// Index into [`Program::records`].
    RecordId
}
id! {
    /// Index into [`Program::enums`].
    EnumId
}
id! {
    /// Index into [`ProbeBlock::locals`].
    LocalId
}

/// A checked script.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Maps of the script, in order of appearance.
    pub maps: Vec<Map>,
    /// Structs, unions and tracepoint records that the script uses.
    pub records: Vec<Record>,
    /// Enums that the script uses.
    pub enums: Vec<Enum>,
    /// Attach points of all blocks, wildcards expanded. The index is the probe's number.
    pub probes: Vec<plan::Probe>,
    /// One eBPF program each.
    pub blocks: Vec<ProbeBlock>,
    /// Settings for run time.
    pub config: plan::Config,
}

/// A map of the script.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// With its `@`.
    pub name: String,
    /// Type of the key; [`Type::Void`] for a scalar map.
    pub key: Type,
    /// Type of the value.
    pub value: Type,
    /// The kernel's map type, from a declaration or by the value's type.
    pub kind: plan::MapKind,
    /// Number of entries.
    pub max_entries: u32,
    /// Where it was first seen.
    pub span: Span,
}

/// A probe block, or one copy of it: attach points whose arguments differ in type get copies.
#[derive(Clone, Debug)]
pub struct ProbeBlock {
    /// Kind of all its probes.
    pub kind: ProbeKind,
    /// Indices into [`Program::probes`].
    pub probes: Vec<u32>,
    /// Variables, macro temporaries included.
    pub locals: Vec<Local>,
    /// Runs the body only if this is not 0; of an integer, boolean or pointer type.
    pub predicate: Option<Expr>,
    /// The action.
    pub body: Vec<Stmt>,
    /// The whole block.
    pub span: Span,
}

/// A `$variable`.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// With its `$`; unique within a block by `#2` and so on where scopes repeat a name.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

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
    /// An IPv4 or IPv6 address.
    Inet,
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
    /// An errno that prints as text.
    Errno,
    /// The number of a probe; prints as its name.
    Probe,
    /// The number of a probe; prints as its function.
    Func,
    /// The value of an aggregating map. Only as [`Map::value`].
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
}

/// A struct, union or tracepoint record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Tag, without `struct`.
    pub name: String,
    /// All members at offset 0.
    pub union: bool,
    /// Bytes.
    pub size: u32,
    /// Members.
    pub fields: Vec<Field>,
}

/// A member of a [`Record`].
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name; empty for an anonymous member.
    pub name: String,
    /// Bytes from the start.
    pub offset: u32,
    /// Type.
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
    /// Tag.
    pub name: String,
    /// Its integer.
    pub int: Int,
    /// Value and name of each variant.
    pub variants: Vec<(i64, String)>,
}

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
    Int(i64),
    /// A constant of type [`Type::Str`], without its NUL; shorter than the type's size.
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
    /// and from a shorter to a longer string or from a longer to a shorter one (cut).
    Cast(Box<Expr>),
    /// The value at an address: the operand is a pointer to the type of the expression.
    Load(Box<Expr>),
    /// A member of a record: `offset` bytes into `base`, which is a record (in memory) or a tuple.
    Field {
        /// Record or tuple.
        base: Box<Expr>,
        /// Number of the member.
        field: u32,
    },
    /// An element of an array; outside of it: zero.
    Index {
        /// Array.
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

pub use crate::ast::BinaryOp;

/// Things the kernel knows, without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// Process id; `uint32`.
    Pid,
    /// Thread id; `uint32`.
    Tid,
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
    /// The context itself; a pointer to nothing in [`Space::Own`].
    Context,
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
    /// `len(@m)`: number of entries; `uint64`.
    MapLen(MapId),
    /// `len(s)` of a string: bytes before the NUL; `uint64`.
    StrLen(Expr),
    /// `strncmp(a, b, n)`: 0 if the first `n` bytes are the same; `uint64`.
    Strncmp {
        /// A string.
        left: Expr,
        /// A string.
        right: Expr,
        /// Number of bytes.
        len: u64,
    },
    /// `strcontains(s, t)`: [`Type::Bool`].
    StrContains {
        /// A string.
        haystack: Expr,
        /// A string.
        needle: Expr,
    },
    /// `bswap(n)`: bytes in reverse; of the type of the expression.
    Bswap(Expr),
    /// `strftime(fmt, ns)`: [`Type::Timestamp`].
    Strftime(Expr),
    /// `ksym(a)`, `usym(a)`, `cgroup_path(id)`, `strerror(n)`, `username` of an id: the operand,
    /// marked with the type of the expression.
    Mark(Expr),
    /// `ntop(a)`: an address of 4 or 16 bytes, or an integer in network order; [`Type::Inet`].
    Ntop {
        /// Address family, `AF_INET` or `AF_INET6`; absent: by the size.
        family: Option<Expr>,
        /// The address.
        addr: Expr,
    },
    /// `macaddr(a)`: [`Type::Mac`].
    MacAddr(Expr),
    /// `kstack(...)`, `ustack(...)`, by the type of the expression.
    Stack,
    /// `reg("name")`: the register at this offset of the context; `uint64`.
    Register {
        /// Bytes.
        offset: u32,
    },
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// Its place in the script.
    pub span: Span,
}

/// Kinds of statement.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// Evaluates and drops the value.
    Expr(Expr),
    /// Sets a variable. A compound assignment has become a plain one.
    Set {
        /// The variable.
        local: LocalId,
        /// Of the variable's type.
        value: Expr,
    },
    /// Sets a map's entry.
    MapSet {
        /// The map.
        map: MapId,
        /// Absent for a scalar map.
        key: Option<Expr>,
        /// Of the map's value type.
        value: Expr,
    },
    /// `@x[k] += e`: reads the entry (zero if there is none), computes, writes it. The key is
    /// evaluated once.
    MapModify {
        /// The map.
        map: MapId,
        /// Absent for a scalar map.
        key: Option<Expr>,
        /// The operator.
        op: BinaryOp,
        /// Right operand, of the map's value type (shifts: `uint64`).
        value: Expr,
    },
    /// `@x[k] = count()` and so on: adds to an aggregating map.
    Aggregate {
        /// The map; its value type says what is done.
        map: MapId,
        /// Absent for a scalar map.
        key: Option<Expr>,
        /// The number, `int64` or `uint64` by signedness; absent for `count()`.
        value: Option<Expr>,
    },
    /// Two ways.
    If {
        /// [`Type::Bool`].
        cond: Expr,
        /// If true.
        then: Vec<Stmt>,
        /// If false.
        otherwise: Vec<Stmt>,
    },
    /// `while`.
    While {
        /// [`Type::Bool`].
        cond: Expr,
        /// The body.
        body: Vec<Stmt>,
    },
    /// `for ($i : a..b)`: `local` runs from `start` up to `end` - 1.
    ForRange {
        /// The variable; its assignments do not change the number of rounds.
        local: LocalId,
        /// First value, of the variable's type.
        start: Expr,
        /// One past the last, of the variable's type.
        end: Expr,
        /// The body.
        body: Vec<Stmt>,
    },
    /// `for ($kv : @map)`: `local` is a tuple of key and value.
    ForMap {
        /// The variable.
        local: LocalId,
        /// The map.
        map: MapId,
        /// The body.
        body: Vec<Stmt>,
    },
    /// Leaves the innermost loop.
    Break,
    /// Next round of the innermost loop.
    Continue,
    /// Ends the program with a value, of type `int64`.
    Return(Option<Expr>),
    /// Statements in a row; an unrolled loop is this.
    Block(Vec<Stmt>),
    /// Asks something of user space.
    Action(Action),
}

/// What a program asks of user space, by a ring buffer record.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// `printf(fmt, ...)`
    Printf {
        /// The format, escapes resolved.
        format: String,
        /// One for each conversion, of types that the conversion takes.
        args: Vec<Expr>,
    },
    /// `errorf`, `warnf`
    Errorf {
        /// The format.
        format: String,
        /// One for each conversion.
        args: Vec<Expr>,
        /// `warnf`
        warning: bool,
    },
    /// `print(e)` of a value.
    PrintValue(Expr),
    /// `print(@m)`, with `top` and `div`.
    PrintMap {
        /// The map.
        map: MapId,
        /// Number of entries; 0: all.
        top: u32,
        /// Divisor; 0: none.
        div: u32,
    },
    /// `print(@m[k])`
    PrintEntry {
        /// The map.
        map: MapId,
        /// The key.
        key: Expr,
        /// The value now; absent for aggregating maps.
        value: Option<Expr>,
        /// Divisor; 0: none.
        div: u32,
    },
    /// `clear(@m)`
    Clear(MapId),
    /// `zero(@m)`
    Zero(MapId),
    /// `exit()`, `exit(n)`; the program ends there.
    Exit(Option<Expr>),
    /// `time(fmt)`
    Time(String),
    /// `join(argv, sep)`: strings behind a pointer to pointers.
    Join {
        /// `char **`
        list: Expr,
        /// The separator.
        separator: String,
    },
    /// `cat(fmt, ...)`
    Cat {
        /// Format of the path.
        format: String,
        /// One for each conversion.
        args: Vec<Expr>,
    },
    /// `system(fmt, ...)`
    System {
        /// Format of the command.
        format: String,
        /// One for each conversion.
        args: Vec<Expr>,
    },
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

    /// Whether values are held in a register: integers, booleans, enums, pointers and what is
    /// marked as an integer of 8 bytes. All others live in memory.
    pub const fn is_scalar(&self) -> bool {
        matches!(
            self,
            Type::Int(_)
                | Type::Bool
                | Type::Enum(_)
                | Type::Ptr { .. }
                | Type::KSym
                | Type::Username
                | Type::Timestamp { .. }
                | Type::CgroupPath { .. }
                | Type::Errno
                | Type::Probe
                | Type::Func
        )
    }

    /// The integer that a scalar is held as; `None` if the type is no scalar. Enums answer
    /// `int64`: their own integer is in [`Program::enums`].
    pub const fn as_int(&self) -> Option<Int> {
        match self {
            Type::Int(int) => Some(*int),
            Type::Bool => Some(Int { size: 1, signed: false }),
            Type::Enum(_) => Some(Int::I64),
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
