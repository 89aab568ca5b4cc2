//! Entries as the compiler's descriptions of types.

use gimli::{AttributeValue, DwAte};
use rbtrace_lang::catalog::ctypes::{CEnum, CField, CRecord, CType, Signature, Tag, TypeRef};

use super::go;
use super::parts::{DebugInfo, Place};
use super::unit::{Cursor, Entry, Value, flag};

/// Types around one another, at most.
const MAX_DEPTH: u32 = 32;

/// Types of one program, under the number that the compiler knows them by.
#[derive(Clone, Copy)]
pub struct Describe<'a> {
    /// The types.
    pub info: &'a DebugInfo,
    /// [`TypeRef::source`] of its types.
    pub source: u32,
}

impl<'a> Describe<'a> {
    /// The reference that stands for an entry.
    fn reference(&self, place: Place) -> Option<CType> {
        Some(CType::Ref(TypeRef { source: self.source, id: place.to_number()? }))
    }

    /// A type that is defined under this name.
    pub fn find(&self, tag: Tag, name: &str) -> Option<TypeRef> {
        let place = self.info.index().find_type(tag, name)?;
        let (cursor, entry) = Cursor::open(self.info, place)?;
        let found = cursor.name(&entry) == name;
        found.then_some(TypeRef { source: self.source, id: place.to_number()? })
    }

    /// What an entry stands for.
    pub fn describe(&self, place: Place) -> Option<CType> {
        let (cursor, entry) = Cursor::open(self.info, place)?;
        let Some((cursor, entry)) = strip(cursor, entry) else { return Some(CType::Void) };
        if flag(&entry, gimli::DW_AT_declaration)
            && let Some((cursor, entry)) = self.definition(&cursor, &entry)
        {
            return self.whole(&cursor, &entry);
        }
        self.whole(&cursor, &entry)
    }

    /// What is only declared here may be defined in another unit.
    fn definition(
        &self,
        cursor: &Cursor<'a>,
        entry: &Entry<'a>,
    ) -> Option<(Cursor<'a>, Entry<'a>)> {
        let tag = match entry.tag() {
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => Tag::Struct,
            gimli::DW_TAG_union_type => Tag::Union,
            gimli::DW_TAG_enumeration_type => Tag::Enum,
            _ => return None,
        };
        let name = cursor.name(entry);
        let found = Cursor::open(self.info, self.info.index().find_type(tag, &name)?)?;
        (found.0.name(&found.1) == name).then_some(found)
    }

    fn whole(&self, cursor: &Cursor<'a>, entry: &Entry<'a>) -> Option<CType> {
        Some(match entry.tag() {
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => {
                CType::Record(self.record(cursor, entry, false))
            }
            gimli::DW_TAG_union_type => CType::Record(self.record(cursor, entry, true)),
            gimli::DW_TAG_enumeration_type => CType::Enum(enumeration(cursor, entry)),
            _ => self.member_type(cursor, entry, MAX_DEPTH),
        })
    }

    /// The type of a member or parameter: what has a description of its own by reference.
    fn member_type(&self, cursor: &Cursor<'a>, entry: &Entry<'a>, depth: u32) -> CType {
        let Some(depth) = depth.checked_sub(1) else { return CType::Void };
        let Some((cursor, entry)) = strip(cursor.clone(), entry.clone()) else {
            return CType::Void;
        };
        match entry.tag() {
            gimli::DW_TAG_base_type => base(&cursor, &entry),
            gimli::DW_TAG_pointer_type
            | gimli::DW_TAG_reference_type
            | gimli::DW_TAG_rvalue_reference_type => {
                CType::Pointer(Box::new(self.target(&cursor, &entry, depth)))
            }
            gimli::DW_TAG_array_type => self.array(&cursor, &entry, depth),
            gimli::DW_TAG_subroutine_type => CType::Function,
            gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_enumeration_type => {
                self.reference(cursor.place(entry.offset())).unwrap_or(CType::Void)
            }
            _ => CType::Void,
        }
    }

    /// The type that an entry has.
    fn target(&self, cursor: &Cursor<'a>, entry: &Entry<'a>, depth: u32) -> CType {
        match cursor.type_of(entry) {
            Some((cursor, entry)) => self.member_type(&cursor, &entry, depth),
            None => CType::Void,
        }
    }

    fn array(&self, cursor: &Cursor<'a>, entry: &Entry<'a>, depth: u32) -> CType {
        let mut ty = self.target(cursor, entry, depth);
        let dimensions = cursor.children(entry).into_iter();
        let dimensions: Vec<u32> = dimensions
            .filter(|child| child.tag() == gimli::DW_TAG_subrange_type)
            .map(|child| length(&child))
            .collect();
        for len in dimensions.into_iter().rev() {
            ty = CType::Array { elem: Box::new(ty), len };
        }
        ty
    }

    fn record(&self, cursor: &Cursor<'a>, entry: &Entry<'a>, union: bool) -> CRecord {
        let declared = flag(entry, gimli::DW_AT_declaration);
        let size = cursor.number(entry, gimli::DW_AT_byte_size);
        let size = size.and_then(|size| u32::try_from(size).ok()).filter(|_| !declared);
        let children = cursor.children(entry);
        let fields = children.iter().filter_map(|child| self.field(cursor, child)).collect();
        CRecord { name: own_name(cursor, entry), union, size, fields }
    }

    fn field(&self, cursor: &Cursor<'a>, entry: &Entry<'a>) -> Option<CField> {
        let is_member = entry.tag() == gimli::DW_TAG_member;
        // Static members lie elsewhere.
        let is_static = flag(entry, gimli::DW_AT_external) || flag(entry, gimli::DW_AT_declaration);
        if !(is_member && !is_static || entry.tag() == gimli::DW_TAG_inheritance) {
            return None;
        }
        let name = if is_member { own_name(cursor, entry) } else { String::new() };
        let ty = self.target(cursor, entry, MAX_DEPTH);
        let bits = cursor.number(entry, gimli::DW_AT_bit_size);
        let bits = bits.and_then(|bits| u8::try_from(bits).ok());
        let bit_offset = u32::try_from(bit_offset(cursor, entry, bits)?).ok()?;
        Some(CField { name, ty, bit_offset, bits })
    }

    /// Parameters and result of a function, by its name in the source or its symbol.
    pub fn function(&self, name: &str) -> Option<Signature> {
        let (cursor, entry) = function(self.info, name)?;
        let params = parameters(&cursor, &entry).into_iter().enumerate();
        let params = params.map(|(i, param)| {
            let name = cursor.name(&param);
            let name = if name.is_empty() { format!("arg{i}") } else { name };
            (name, self.target(&cursor, &param, MAX_DEPTH))
        });
        let mut params = params.collect();
        if go::is_go(&cursor) {
            go::add_dictionary(name, &mut params);
        }
        Some(Signature { params, result: self.target(&cursor, &entry, MAX_DEPTH) })
    }
}

/// The entry of a function, by its name in the source or its symbol.
pub fn function<'a>(info: &'a DebugInfo, name: &str) -> Option<(Cursor<'a>, Entry<'a>)> {
    Cursor::open(info, info.index().find_function(name)?)
}

/// Parameters of a function, `...` and results left out.
pub fn parameters<'a>(cursor: &Cursor<'a>, function: &Entry<'a>) -> Vec<Entry<'a>> {
    let children = cursor.children(function).into_iter();
    let params = children.filter(|child| child.tag() == gimli::DW_TAG_formal_parameter);
    params.filter(|param| !go::is_result(cursor, param)).collect()
}

/// What is behind typedefs, `const` and the like. `None` is `void`.
fn strip<'a>(cursor: Cursor<'a>, entry: Entry<'a>) -> Option<(Cursor<'a>, Entry<'a>)> {
    let mut at = (cursor, entry);
    for _ in 0..MAX_DEPTH {
        match at.1.tag() {
            gimli::DW_TAG_typedef
            | gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_restrict_type
            | gimli::DW_TAG_atomic_type
            | gimli::DW_TAG_packed_type
            | gimli::DW_TAG_subrange_type
            | gimli::DW_TAG_immutable_type => at = at.0.type_of(&at.1)?,
            _ => return Some(at),
        }
    }
    None
}

/// The name of an entry itself.
fn own_name<'a>(cursor: &Cursor<'a>, entry: &Entry<'a>) -> String {
    let name = cursor.text(entry, gimli::DW_AT_name);
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn size_of<'a>(cursor: &Cursor<'a>, entry: &Entry<'a>) -> Option<u8> {
    u8::try_from(cursor.number(entry, gimli::DW_AT_byte_size)?).ok()
}

fn base<'a>(cursor: &Cursor<'a>, entry: &Entry<'a>) -> CType {
    let size = size_of(cursor, entry).unwrap_or(8);
    let Some(AttributeValue::Encoding(encoding)) = entry.attr_value(gimli::DW_AT_encoding) else {
        return CType::Void;
    };
    let is_char =
        |encoding| matches!(encoding, gimli::DW_ATE_signed_char | gimli::DW_ATE_unsigned_char);
    match encoding {
        gimli::DW_ATE_boolean if size == 1 => CType::Bool,
        gimli::DW_ATE_float => CType::Float { size },
        gimli::DW_ATE_complex_float => complex(size),
        gimli::DW_ATE_decimal_float => CType::Void,
        // Whether it is signed differs between architectures; that it is text does not.
        encoding if is_char(encoding) && own_name(cursor, entry) == "char" => CType::Char,
        encoding => CType::Int { size, signed: is_signed(encoding) },
    }
}

/// A complex number, which is passed as a struct of its parts is.
fn complex(size: u8) -> CType {
    let half = size / 2;
    let part = |(name, bytes): (&str, u8)| CField {
        name: name.to_owned(),
        ty: CType::Float { size: half },
        bit_offset: 8 * u32::from(bytes),
        bits: None,
    };
    CType::Record(CRecord {
        name: String::new(),
        union: false,
        size: Some(size.into()),
        fields: [("real", 0), ("imaginary", half)].map(part).to_vec(),
    })
}

fn is_signed(encoding: DwAte) -> bool {
    matches!(encoding, gimli::DW_ATE_signed | gimli::DW_ATE_signed_char)
}

/// Number of elements that a dimension has; 0 if it is not known here.
fn length(dimension: &Entry<'_>) -> u32 {
    let number = |attribute| dimension.attr_value(attribute)?.udata_value();
    let count = number(gimli::DW_AT_count);
    // `a[]` has -1 as its upper bound, or none.
    let bound = || Some(number(gimli::DW_AT_upper_bound)?.wrapping_add(1));
    count.or_else(bound).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

/// Bits from the start of the record to a member.
fn bit_offset<'a>(cursor: &Cursor<'a>, entry: &Entry<'a>, bits: Option<u8>) -> Option<u64> {
    if let Some(offset) = cursor.number(entry, gimli::DW_AT_data_bit_offset) {
        return Some(offset);
    }
    let bytes = match entry.attr_value(gimli::DW_AT_data_member_location) {
        Some(location) => constant(cursor, &location)?,
        None => 0,
    };
    let start = bytes.checked_mul(8)?;
    // Before DWARF 4 a bitfield's offset counts from the highest bit of its storage.
    match (bits, cursor.number(entry, gimli::DW_AT_bit_offset)) {
        (Some(bits), Some(from_top)) => {
            let own = cursor.number(entry, gimli::DW_AT_byte_size);
            let (at, ty) = cursor.type_of(entry)?;
            let (at, ty) = strip(at, ty)?;
            let storage = own.or_else(|| at.number(&ty, gimli::DW_AT_byte_size))?;
            let from_bottom = storage.checked_mul(8)?.checked_sub(from_top)?;
            start.checked_add(from_bottom.checked_sub(bits.into())?)
        }
        _ => Some(start),
    }
}

/// A constant, also as the expression that older compilers write: `DW_OP_plus_uconst N`.
fn constant<'a>(cursor: &Cursor<'a>, value: &Value<'a>) -> Option<u64> {
    if let Some(n) = value.udata_value() {
        return Some(n);
    }
    let mut operations = value.exprloc_value()?.operations(cursor.unit().encoding());
    match operations.next().ok()?? {
        gimli::Operation::PlusConstant { value } => Some(value),
        gimli::Operation::UnsignedConstant { value } => Some(value),
        _ => None,
    }
}

fn enumeration<'a>(cursor: &Cursor<'a>, entry: &Entry<'a>) -> CEnum {
    let base = cursor.type_of(entry).and_then(|(at, ty)| strip(at, ty));
    let encoding = base.as_ref().and_then(|(_, ty)| match ty.attr_value(gimli::DW_AT_encoding) {
        Some(AttributeValue::Encoding(encoding)) => Some(encoding),
        _ => None,
    });
    let size = size_of(cursor, entry);
    let size = size.or_else(|| base.as_ref().and_then(|(at, ty)| size_of(at, ty))).unwrap_or(4);
    let known = encoding.map(is_signed);
    let variants: Vec<(String, i64)> = cursor
        .children(entry)
        .iter()
        .filter(|child| child.tag() == gimli::DW_TAG_enumerator)
        .filter_map(|child| {
            let value = child.attr_value(gimli::DW_AT_const_value)?;
            Some((own_name(cursor, child), variant(&value, known.unwrap_or(false))?))
        })
        .collect();
    let signed = known.unwrap_or_else(|| variants.iter().any(|(_, value)| *value < 0));
    CEnum { name: own_name(cursor, entry), size, signed, variants }
}

/// The value of a variant. How its form is to be extended, only the enum's sign tells.
fn variant(value: &Value<'_>, signed: bool) -> Option<i64> {
    match *value {
        AttributeValue::Data1(n) if signed => Some(i64::from(n as i8)),
        AttributeValue::Data2(n) if signed => Some(i64::from(n as i16)),
        AttributeValue::Data4(n) if signed => Some(i64::from(n as i32)),
        AttributeValue::Sdata(n) => Some(n),
        ref other => other.udata_value().map(|n| n as i64),
    }
}
