//! Types of C, as declarations and debug information describe them.
//!
//! Descriptions are one level deep: a member whose type has a name refers to it by a [`TypeRef`],
//! and the one who wants to know more asks again. So a script that follows one pointer of
//! `task_struct` reads one struct, not the thousands that it leads to.

/// A type that a source can describe, by its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeRef {
    /// Which source; 0 is the script itself, all others are the numbers of a
    /// [`TypeSource`](super::TypeSource).
    pub source: u32,
    /// Number of the type within its source: a BTF type id, an offset of a DWARF entry.
    pub id: u64,
}

impl TypeRef {
    /// The source that holds what the script and the headers that it includes declare.
    pub const SCRIPT: u32 = 0;
}

/// Where the values of a source's types lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Declared in the script: nothing is known of where values lie.
    Script,
    /// The kernel's own types: what is in its memory can be relocated when a program is loaded.
    Kernel,
    /// Types of a program or library.
    User,
}

/// The name spaces of C's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tag {
    /// `struct NAME`
    Struct,
    /// `union NAME`
    Union,
    /// `enum NAME`
    Enum,
    /// A name of its own: a typedef, or a base type such as `unsigned int`.
    Name,
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CType {
    /// `void`
    Void,
    /// `_Bool`
    Bool,
    /// Plain `char`, signed: an array of these is text.
    Char,
    /// Any other integer.
    Int {
        /// Bytes: 1, 2, 4, 8 or 16.
        size: u8,
        /// Two's complement.
        signed: bool,
    },
    /// A floating-point number, which programs can hold but not compute with.
    Float {
        /// Bytes.
        size: u8,
    },
    /// A pointer.
    Pointer(Box<CType>),
    /// Elements in a row.
    Array {
        /// Type of an element.
        elem: Box<CType>,
        /// Number of elements; 0 for a flexible array member.
        len: u32,
    },
    /// A struct or union.
    Record(CRecord),
    /// An enum.
    Enum(CEnum),
    /// A function, which can only be pointed to.
    Function,
    /// A type that has a description of its own.
    Ref(TypeRef),
}

/// A struct or union.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CRecord {
    /// Tag; empty for an anonymous one.
    pub name: String,
    /// All members start at 0.
    pub union: bool,
    /// Bytes; `None` if it is only declared.
    pub size: Option<u32>,
    /// Members in order.
    pub fields: Vec<CField>,
}

/// A member of a [`CRecord`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CField {
    /// Name; empty for an anonymous struct or union, whose members count as the record's own.
    pub name: String,
    /// Its type.
    pub ty: CType,
    /// Bits from the start of the record.
    pub bit_offset: u32,
    /// Width of a bitfield.
    pub bits: Option<u8>,
}

/// An enum.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CEnum {
    /// Tag; empty for an anonymous one.
    pub name: String,
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Two's complement.
    pub signed: bool,
    /// Name and value of each variant.
    pub variants: Vec<(String, i64)>,
}

/// Parameters and result of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// Name and type of each parameter.
    pub params: Vec<(String, CType)>,
    /// What it returns.
    pub result: CType,
}
