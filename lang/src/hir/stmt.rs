//! Statements, and what they ask of user space.

use super::expr::{BinaryOp, Expr};
use super::{LocalId, MapId};
use crate::span::Span;

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
    /// Sets a map's entry. The value is evaluated before the key.
    MapSet {
        /// The map.
        map: MapId,
        /// Absent for a scalar map.
        key: Option<Expr>,
        /// Of the map's value type.
        value: Expr,
    },
    /// `@x[k] += e`: reads the entry (zero if there is none), computes, writes it. The key is
    /// evaluated once, after the right operand.
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
    /// `@x[k] = count()` and so on: adds to an aggregating map. The number is evaluated before
    /// the key.
    Aggregate {
        /// The map; its value type says what is done.
        map: MapId,
        /// Absent for a scalar map.
        key: Option<Expr>,
        /// The number, `int64` or `uint64` by signedness; absent for `count()`.
        value: Option<Expr>,
        /// When: nanoseconds of `CLOCK_TAI`, `uint64`. Only for `tseries()`.
        time: Option<Expr>,
    },
    /// Two ways.
    If {
        /// [`Type::Bool`](super::Type::Bool).
        cond: Expr,
        /// If true.
        then: Vec<Stmt>,
        /// If false.
        otherwise: Vec<Stmt>,
    },
    /// `while`.
    While {
        /// [`Type::Bool`](super::Type::Bool).
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
    /// `printf` of an iterator that others read: the kernel writes it into what is read, no record.
    SeqPrintf(Vec<SeqPiece>),
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
    /// `unwatch(address)`, a `uint64`
    Unwatch(Expr),
    /// `time(fmt)`
    Time(String),
    /// `join(argv, sep)`: strings behind a pointer to pointers.
    Join {
        /// `char **`
        list: Expr,
        /// The separator.
        separator: String,
    },
    /// `debugf(fmt, ...)`: printed by the kernel, no record.
    Debugf {
        /// The format, which the kernel reads.
        format: String,
        /// At most three.
        args: Vec<Expr>,
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

/// A part of what [`Action::SeqPrintf`] prints.
#[derive(Clone, Debug, PartialEq)]
pub enum SeqPiece {
    /// Text as it is.
    Text(String),
    /// A value.
    Value {
        /// A conversion of the kernel's, for 64 bits or text.
        format: String,
        /// A scalar, or a string.
        value: Expr,
    },
}

impl SeqPiece {
    /// The value, if it is one.
    pub const fn value(&self) -> Option<&Expr> {
        match self {
            SeqPiece::Text(_) => None,
            SeqPiece::Value { value, .. } => Some(value),
        }
    }
}
