//! One type.

use super::{Btf, COMMON, word};

/// Kinds of type (`BTF_KIND_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An integer, a character or a boolean.
    Int,
    /// A pointer.
    Ptr,
    /// An array of one dimension.
    Array,
    /// A struct.
    Struct,
    /// A union.
    Union,
    /// An enum whose values take 32 bits.
    Enum,
    /// A struct or union that is only declared; the kind flag says which.
    Fwd,
    /// A name for another type.
    Typedef,
    /// `volatile`
    Volatile,
    /// `const`
    Const,
    /// `restrict`
    Restrict,
    /// A function; its target is a [`Kind::FuncProto`].
    Func,
    /// Parameters and result of a function.
    FuncProto,
    /// A variable.
    Var,
    /// The variables of a section.
    Datasec,
    /// A floating-point number.
    Float,
    /// `__attribute__((btf_decl_tag(...)))`
    DeclTag,
    /// `__attribute__((btf_type_tag(...)))`
    TypeTag,
    /// An enum whose values take 64 bits.
    Enum64,
}

/// The kind in the word that holds kind, flag and number of members.
pub(super) fn kind_bits(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

/// The number of members.
pub(super) fn vlen(info: u32) -> usize {
    (info & 0xffff) as usize
}

impl Kind {
    pub(super) fn of_info(info: u32) -> Option<Self> {
        Some(match kind_bits(info) {
            1 => Kind::Int,
            2 => Kind::Ptr,
            3 => Kind::Array,
            4 => Kind::Struct,
            5 => Kind::Union,
            6 => Kind::Enum,
            7 => Kind::Fwd,
            8 => Kind::Typedef,
            9 => Kind::Volatile,
            10 => Kind::Const,
            11 => Kind::Restrict,
            12 => Kind::Func,
            13 => Kind::FuncProto,
            14 => Kind::Var,
            15 => Kind::Datasec,
            16 => Kind::Float,
            17 => Kind::DeclTag,
            18 => Kind::TypeTag,
            19 => Kind::Enum64,
            _ => return None,
        })
    }

    /// Words that follow the common ones.
    pub(super) fn words(self, vlen: usize) -> usize {
        match self {
            Kind::Int | Kind::Var | Kind::DeclTag => 1,
            Kind::Array => 3,
            Kind::Struct | Kind::Union | Kind::Datasec | Kind::Enum64 => vlen * 3,
            Kind::Enum | Kind::FuncProto => vlen * 2,
            _ => 0,
        }
    }

    /// Whether it stands for its target.
    pub fn is_alias(self) -> bool {
        matches!(
            self,
            Kind::Typedef | Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag
        )
    }
}

/// A type in a [`Btf`].
#[derive(Clone, Copy, Debug)]
pub struct Type<'a> {
    btf: &'a Btf<'a>,
    id: u32,
    kind: Kind,
    /// From its first word on.
    data: &'a [u8],
}

/// What a [`Kind::Int`] is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntInfo {
    /// Two's complement.
    pub signed: bool,
    /// `_Bool`
    pub boolean: bool,
    /// Bits of the value; fewer than its bytes hold for a bitfield of old.
    pub bits: u8,
    /// Where the value begins in its bytes, in bits.
    pub offset: u8,
}

/// What a [`Kind::Array`] is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayInfo {
    /// Type of an element.
    pub elem: u32,
    /// Number of elements.
    pub len: u32,
}

/// A member of a struct or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Name; empty for an anonymous one.
    pub name: &'a str,
    /// Its type.
    pub ty: u32,
    /// Bits from the start of the record.
    pub bit_offset: u32,
    /// Width of a bitfield in bits.
    pub bits: Option<u8>,
}

/// A parameter of a function. The last one of type 0 stands for `...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// Name; empty if it has none.
    pub name: &'a str,
    /// Its type.
    pub ty: u32,
}

/// A variant of an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value; an unsigned one above `i64::MAX` as two's complement.
    pub value: i64,
}

impl<'a> Type<'a> {
    pub(super) fn new(btf: &'a Btf<'a>, id: u32, data: &'a [u8]) -> Option<Self> {
        let kind = Kind::of_info(word(data, 4)?)?;
        let len = COMMON + kind.words(vlen(word(data, 4)?)) * 4;
        Some(Self { btf, id, kind, data: data.get(..len)? })
    }

    fn word(&self, index: usize) -> u32 {
        word(self.data, index * 4).unwrap_or_default()
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name; empty if it has none.
    pub fn name(&self) -> &'a str {
        self.btf.string(self.word(0)).unwrap_or_default()
    }

    /// The kind flag: the enum is signed, the declaration is one of a union, members carry bit
    /// widths.
    pub fn flag(&self) -> bool {
        self.word(1) >> 31 == 1
    }

    /// Number of members, parameters or variants; linkage of a function.
    pub fn vlen(&self) -> usize {
        vlen(self.word(1))
    }

    /// The type that it refers to; 0 is `void`.
    pub fn target(&self) -> u32 {
        self.word(2)
    }

    /// Bytes that its entry says a value takes. `None` for kinds that have none.
    pub fn size(&self) -> Option<u32> {
        let sized = matches!(
            self.kind,
            Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float
        );
        sized.then(|| self.word(2))
    }

    /// What an integer is made of.
    pub fn int(&self) -> Option<IntInfo> {
        let word = self.word(3);
        (self.kind == Kind::Int).then_some(IntInfo {
            signed: word & 1 << 24 != 0,
            boolean: word & 1 << 26 != 0,
            bits: word as u8,
            offset: (word >> 16) as u8,
        })
    }

    /// What an array is made of.
    pub fn array(&self) -> Option<ArrayInfo> {
        let info = ArrayInfo { elem: self.word(3), len: self.word(5) };
        (self.kind == Kind::Array).then_some(info)
    }

    /// Members of a struct or union; none of any other type.
    pub fn members(&self) -> impl Iterator<Item = Member<'a>> {
        let this = *self;
        let is_record = matches!(self.kind, Kind::Struct | Kind::Union);
        let count = if is_record { self.vlen() } else { 0 };
        (0..count).map(move |i| this.member(i))
    }

    fn member(&self, index: usize) -> Member<'a> {
        let at = 3 + index * 3;
        let (name, ty, offset) = (self.word(at), self.word(at + 1), self.word(at + 2));
        let name = self.btf.string(name).unwrap_or_default();
        if self.flag() {
            let bits = (offset >> 24) as u8;
            let bits = (bits != 0).then_some(bits);
            return Member { name, ty, bit_offset: offset & 0xff_ffff, bits };
        }
        // Without the flag, the width of a bitfield is that of its integer.
        let int = self.btf.resolve(ty).and_then(|ty| Some((ty.size()?, ty.int()?)));
        match int.filter(|(size, int)| u32::from(int.bits) != size.saturating_mul(8)) {
            Some((_, int)) => Member {
                name,
                ty,
                bit_offset: offset.saturating_add(int.offset.into()),
                bits: Some(int.bits),
            },
            None => Member { name, ty, bit_offset: offset, bits: None },
        }
    }

    /// Parameters of a [`Kind::FuncProto`]; none of any other type.
    pub fn params(&self) -> impl Iterator<Item = Param<'a>> {
        let this = *self;
        let count = if self.kind == Kind::FuncProto { self.vlen() } else { 0 };
        (0..count).map(move |i| Param {
            name: this.btf.string(this.word(3 + i * 2)).unwrap_or_default(),
            ty: this.word(4 + i * 2),
        })
    }

    /// Variants of an enum; none of any other type.
    pub fn variants(&self) -> impl Iterator<Item = Variant<'a>> {
        let this = *self;
        let count = if self.is_enum() { self.vlen() } else { 0 };
        (0..count).map(move |i| this.variant(i))
    }

    /// Value of the variant whose name is at one of these offsets.
    pub(super) fn variant_at(&self, offsets: &[u32]) -> Option<i64> {
        let count = if self.is_enum() { self.vlen() } else { 0 };
        let mut places = (0..count).map(|i| self.variant_place(i));
        places.find(|at| offsets.contains(&self.word(*at))).map(|at| self.variant_value(at))
    }

    /// Where a variant's words begin.
    fn variant_place(&self, index: usize) -> usize {
        3 + index * if self.kind == Kind::Enum { 2 } else { 3 }
    }

    fn variant(&self, index: usize) -> Variant<'a> {
        let at = self.variant_place(index);
        let name = self.btf.string(self.word(at)).unwrap_or_default();
        Variant { name, value: self.variant_value(at) }
    }

    fn variant_value(&self, at: usize) -> i64 {
        let low = self.word(at + 1);
        match self.kind {
            Kind::Enum if self.flag() => i64::from(low as i32),
            Kind::Enum => i64::from(low),
            _ => (u64::from(self.word(at + 2)) << 32 | u64::from(low)) as i64,
        }
    }

    fn is_enum(&self) -> bool {
        matches!(self.kind, Kind::Enum | Kind::Enum64)
    }
}
