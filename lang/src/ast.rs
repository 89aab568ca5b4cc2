//! The syntax tree: what the script says, nothing checked. Every node has its span.

use crate::span::Span;

/// A whole script.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// C definitions and preprocessor lines at the top, as written.
    pub definitions: Vec<CDefinition>,
    /// `config = { ... }`, if there is one.
    pub config: Option<Config>,
    /// `import "..."`
    pub imports: Vec<Import>,
    /// Probes, macros and map declarations in order.
    pub items: Vec<Item>,
    /// Comments, in order of appearance; for the formatter.
    pub comments: Vec<Span>,
}

impl Script {
    /// The settings of the config block; none without one.
    pub fn settings(&self) -> &[ConfigEntry] {
        self.config.as_ref().map_or(&[], |config| &config.entries)
    }
}

/// A C definition (`struct`, `union`, `enum`, `typedef`) or a preprocessor line.
#[derive(Clone, Debug, PartialEq)]
pub struct CDefinition {
    /// The text as written.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// `config = { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The settings in order.
    pub entries: Vec<ConfigEntry>,
    /// The whole block.
    pub span: Span,
}

/// A setting of the config block.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigEntry {
    /// Name as written.
    pub name: Ident,
    /// Value.
    pub value: ConfigValue,
    /// The whole entry.
    pub span: Span,
}

/// Value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigValue {
    /// A number.
    Int(u64),
    /// `"..."`
    Str(String),
    /// A bare word, `true` and `false` among them.
    Word(String),
}

/// `import "NAME"`
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// Text between the quotes.
    pub name: String,
    /// The whole statement.
    pub span: Span,
}

/// A name and its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ident {
    /// Without sigils.
    pub name: String,
    /// Place, sigil included.
    pub span: Span,
}

/// Something at the top level.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A probe block.
    Probe(Probe),
    /// `macro name(args) { ... }`
    Macro(Macro),
    /// `let @x = hash(10);`
    MapDecl(MapDecl),
    /// `fn name($a: T): T { ... }`
    Function(Function),
}

/// `fn name($a: T): T { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Name.
    pub name: Ident,
    /// Parameters with their types.
    pub params: Vec<(Ident, Type)>,
    /// Type of what it returns, if given.
    pub result: Option<Type>,
    /// The body.
    pub body: Block,
    /// The whole function.
    pub span: Span,
}

/// A probe block.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// `name =` in front of the attach points.
    pub name: Option<Ident>,
    /// At least one.
    pub attach_points: Vec<AttachPoint>,
    /// Between slashes.
    pub predicate: Option<Expr>,
    /// The action.
    pub body: Block,
    /// From the first attach point to the closing brace.
    pub span: Span,
}

/// An attach point as written: parts between colons, quotes taken off.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachPoint {
    /// `kprobe`, `vfs_read`; parameters may still be in them.
    pub parts: Vec<AttachPart>,
    /// Its place.
    pub span: Span,
}

/// A part of an attach point.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachPart {
    /// The pieces that make up its text.
    pub pieces: Vec<AttachPiece>,
    /// Its place.
    pub span: Span,
}

/// A piece of a part of an attach point.
#[derive(Clone, Debug, PartialEq)]
pub enum AttachPiece {
    /// Text, `*` and the like included.
    Text(String),
    /// Quoted text: a path with colons, say.
    Quoted(String),
    /// `$1`, `${1:-libc}`
    Param(Param),
}

/// A positional parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// From 1.
    pub number: u32,
    /// `${1:-DEFAULT}`
    pub default: Option<String>,
    /// Its place.
    pub span: Span,
}

/// `macro name($var, @map, expr) { ... }`
#[derive(Clone, Debug, PartialEq)]
pub struct Macro {
    /// Name.
    pub name: Ident,
    /// Parameters.
    pub params: Vec<MacroParam>,
    /// The body, perhaps with a value.
    pub body: Block,
    /// The whole macro.
    pub span: Span,
}

/// A parameter of a macro.
#[derive(Clone, Debug, PartialEq)]
pub enum MacroParam {
    /// `$x`: a variable, by reference.
    Var(Ident),
    /// `@x`: a map, by reference.
    Map(Ident),
    /// `x`: an expression.
    Expr(Ident),
}

/// `let @name = kind(max_entries);`
#[derive(Clone, Debug, PartialEq)]
pub struct MapDecl {
    /// Name of the map.
    pub name: Ident,
    /// `hash`, `lruhash`, `percpuhash`, `percpulruhash`
    pub kind: Ident,
    /// Number of entries.
    pub max_entries: Box<Expr>,
    /// The whole declaration.
    pub span: Span,
}

/// `{ ... }`, perhaps with a value at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Statements.
    pub stmts: Vec<Stmt>,
    /// Last expression without a semicolon, where a block is used as an expression.
    pub value: Option<Box<Expr>>,
    /// Braces included.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// Its place.
    pub span: Span,
}

/// Kinds of statement.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `f();`
    Expr(Expr),
    /// `_ = e;`
    Discard(Expr),
    /// `$x = e;`, `@x[k] += e;`, `let $x: int8 = e;` has its own kind
    Assign {
        /// A variable or a map (entry).
        target: Expr,
        /// The operator of a compound assignment.
        op: Option<BinaryOp>,
        /// Right-hand side.
        value: Expr,
    },
    /// `let $x;`, `let $x: T = e;`
    Let {
        /// Name of the variable.
        name: Ident,
        /// Type, if given.
        ty: Option<Type>,
        /// Value, if given.
        value: Option<Expr>,
    },
    /// `if (c) { } else { }`; an `else if` is an else block with one `If`.
    If {
        /// Condition.
        cond: Expr,
        /// Then.
        then: Block,
        /// Else.
        otherwise: Option<Block>,
    },
    /// `unroll(n) { }`
    Unroll {
        /// Number of copies.
        count: Expr,
        /// The body.
        body: Block,
    },
    /// `while (c) { }`
    While {
        /// Condition.
        cond: Expr,
        /// The body.
        body: Block,
    },
    /// `for ($kv : @map) { }`
    ForMap {
        /// The variable.
        var: Ident,
        /// The map.
        map: Ident,
        /// The body.
        body: Block,
    },
    /// `for ($i : a..b) { }`
    ForRange {
        /// The variable.
        var: Ident,
        /// First value.
        start: Expr,
        /// One past the last value.
        end: Expr,
        /// The body.
        body: Block,
    },
    /// `break;`
    Break,
    /// `continue;`
    Continue,
    /// `return;`, `return e;`
    Return(Option<Expr>),
    /// `{ ... }`
    Block(Block),
    /// `import "...";` inside a block.
    Import(Import),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place.
    pub span: Span,
}

/// Kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `42`, `0x2a`, `1e6`, `1_000`, `10ms` (nanoseconds), `'a'`
    Int(u64),
    /// `"..."`, escapes resolved; bytes, since `\x` can make any.
    Str(Vec<u8>),
    /// `true`, `false`
    Bool(bool),
    /// `pid`, `AF_INET`: a builtin, a constant or a macro.
    Ident(String),
    /// `$x`
    Var(String),
    /// `@x` or `@x[k]`; several keys are a tuple.
    Map {
        /// Name without `@`; empty for `@` itself.
        name: String,
        /// Key.
        key: Option<Box<Expr>>,
    },
    /// `$1`, `${1:-5}`
    Param(Param),
    /// `$#`
    ParamCount,
    /// `f(a, b)`, and `f!(a)` for a macro
    Call {
        /// Name of the function.
        name: Ident,
        /// Arguments.
        args: Vec<Expr>,
    },
    /// `-e`
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Operand.
        operand: Box<Expr>,
    },
    /// `a + b`
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// `c ? a : b`, and `if (c) { a } else { b }` used as an expression. In `c ?: b` both `cond` and
    /// `then` are `c`, with the same span.
    Ternary {
        /// Condition.
        cond: Box<Expr>,
        /// Value if true.
        then: Box<Expr>,
        /// Value if false.
        otherwise: Box<Expr>,
    },
    /// `x++`, `--x`
    IncDec {
        /// A variable or a map (entry).
        target: Box<Expr>,
        /// `++`
        increment: bool,
        /// The operator stands before.
        prefix: bool,
    },
    /// `e.field`, `e->field`; `e.0` for tuples
    Member {
        /// The record or pointer.
        base: Box<Expr>,
        /// Name or number.
        field: Ident,
        /// `->`
        arrow: bool,
    },
    /// `e[i]`
    Index {
        /// Array or pointer.
        base: Box<Expr>,
        /// Index.
        index: Box<Expr>,
    },
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `(a=1, b=2)`
    Record(Vec<(Ident, Expr)>),
    /// `(T)e`
    Cast {
        /// Target type.
        ty: Type,
        /// Operand.
        operand: Box<Expr>,
    },
    /// `sizeof(T)`, `sizeof(e)`
    SizeOf(TypeOrExpr),
    /// `offsetof(T, a.b)`
    OffsetOf {
        /// The record.
        of: TypeOrExpr,
        /// Path to the member.
        path: Vec<Ident>,
    },
    /// `{ stmts; value }`. An `if` used as an expression is a [`ExprKind::Ternary`] whose branches
    /// are blocks.
    Block(Block),
    /// `typeof(e)` in place of an argument: a type passed to a macro.
    TypeArg(Type),
    /// `typeinfo(T)`, `typeinfo(e)`
    TypeInfo(TypeOrExpr),
    /// `comptime e`: must be known when the script is compiled.
    Comptime(Box<Expr>),
}

/// A type or an expression in its place.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeOrExpr {
    /// A type.
    Type(Type),
    /// An expression, for its type.
    Expr(Box<Expr>),
}

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// What it is.
    pub kind: TypeKind,
    /// Its place.
    pub span: Span,
}

/// Kinds of written type.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// `int8`, `uint64`, `bool`, `string`, `pid_t`
    Name(String),
    /// `string[64]`-like types with a length in brackets are arrays of `Name`.
    Array(Box<Type>, Option<Box<Expr>>),
    /// `T *`
    Pointer(Box<Type>),
    /// `struct x`
    Struct(String),
    /// `union x`
    Union(String),
    /// `enum x`
    Enum(String),
    /// `typeof(e)`
    TypeOf(Box<TypeOrExpr>),
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
    /// `~`
    BitNot,
    /// `*`
    Deref,
    /// `&`
    AddressOf,
}

impl UnaryOp {
    /// The operator as written.
    pub const fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "!",
            UnaryOp::BitNot => "~",
            UnaryOp::Deref => "*",
            UnaryOp::AddressOf => "&",
        }
    }
}

/// Operators with two operands, the loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `|`
    BitOr,
    /// `^`
    BitXor,
    /// `&`
    BitAnd,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
}

impl BinaryOp {
    /// The operator as written.
    pub const fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "||",
            BinaryOp::And => "&&",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "^",
            BinaryOp::BitAnd => "&",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Shl => "<<",
            BinaryOp::Shr => ">>",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
        }
    }

    /// Whether the result is a truth value of comparing the operands.
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge
        )
    }
}
